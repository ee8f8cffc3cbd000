"""The ring against an oracle that keeps every frame whole."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from taskreel.capture.sources.protocol import Rect
from taskreel.capture.sources.screens.ring import Ring
from taskreel.capture.sources.screens.tiles import TILE_PX, to_tiles

WIDTH, HEIGHT = 150, 140
PLENTY = 1 << 30
TILE_BYTES = 4 * TILE_PX * TILE_PX
BASE_BYTES = 9 * TILE_BYTES

CHANGES = st.lists(
    st.tuples(
        st.builds(Rect, st.integers(0, 149), st.integers(0, 139), st.integers(1, 90), st.integers(1, 90)),
        st.integers(0, 3),
        st.integers(1, 5),
    ),
    max_size=12,
)


class WholeFrames:
    """The oracle: all frames, each whole, those that equal the one before left out."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, np.ndarray]] = []

    def add(self, time_us: int, pixels: np.ndarray) -> None:
        if not self.frames or (self.frames[-1][1] != pixels).any():
            self.frames.append((time_us, pixels.copy()))

    def frame_at(self, time_us: int) -> tuple[int, np.ndarray] | None:
        before = [frame for frame in self.frames if frame[0] < time_us]
        return before[-1] if before else None


def filled(ring: Ring, changes: list[tuple[Rect, int, int]]) -> tuple[WholeFrames, int]:
    """A ring and an oracle after the same changes, and the time of the last."""
    oracle, screen, time_us = WholeFrames(), np.zeros((HEIGHT, WIDTH), np.uint32), 100
    screen[:] = np.arange(WIDTH)
    ring.add(time_us, 0, 0, screen.copy())
    oracle.add(time_us, screen)
    for area, color, later_us in changes:
        time_us += later_us
        before = screen.copy()
        screen[area.y : area.y + area.height, area.x : area.x + area.width] = color
        whole = to_tiles(area, WIDTH, HEIGHT)
        assert whole is not None
        part = screen[whole.y : whole.y + whole.height, whole.x : whole.x + whole.width]
        changed = ring.add(time_us, whole.x, whole.y, part.copy())
        oracle.add(time_us, screen)
        rows, columns = np.nonzero(before != screen)
        expected = set(zip((rows // TILE_PX).tolist(), (columns // TILE_PX).tolist(), strict=True))
        assert set(zip(*(axis.tolist() for axis in np.nonzero(changed)), strict=True)) == expected
    return oracle, time_us


@given(changes=CHANGES)
def test_a_frame_is_as_the_screen_was_just_before_the_time(changes: list[tuple[Rect, int, int]]) -> None:
    ring = Ring(WIDTH, HEIGHT, PLENTY)
    oracle, last_us = filled(ring, changes)
    for time_us in range(99, last_us + 3):
        frame, expected = ring.frame_at(time_us), oracle.frame_at(time_us)
        if expected is None:
            assert frame is None
            continue
        assert frame is not None
        assert frame.time_us == expected[0]
        assert (frame.pixels == expected[1]).all()
        assert frame.is_newest == (expected[0] == oracle.frames[-1][0])


@given(changes=CHANGES, room=st.integers(0, 12))
def test_what_it_holds_is_right_and_within_its_bytes(changes: list[tuple[Rect, int, int]], room: int) -> None:
    ring = Ring(WIDTH, HEIGHT, BASE_BYTES + room * TILE_BYTES)
    oracle, last_us = filled(ring, changes)
    assert BASE_BYTES <= ring.held_bytes <= BASE_BYTES + room * TILE_BYTES
    known = [ring.frame_at(time_us) is not None for time_us in range(99, last_us + 3)]
    assert known == sorted(known), "only the oldest frames are let go"
    assert known[-1]
    for time_us in range(99, last_us + 3):
        frame, expected = ring.frame_at(time_us), oracle.frame_at(time_us)
        if frame is not None:
            assert expected is not None
            assert (frame.time_us, frame.pixels.tolist()) == (expected[0], expected[1].tolist())


def test_no_more_than_needed_is_let_go() -> None:
    ring = Ring(WIDTH, HEIGHT, BASE_BYTES + 3 * TILE_BYTES)
    ring.add(0, 0, 0, np.zeros((HEIGHT, WIDTH), np.uint32))
    for time_us in range(1, 6):
        ring.add(time_us, 0, 0, np.full((TILE_PX, TILE_PX), time_us, np.uint32))
    assert [time_us for time_us in range(8) if ring.frame_at(time_us)] == [3, 4, 5, 6, 7]


@given(changes=CHANGES, back_us=st.integers(-2, 60))
def test_what_is_forgotten_is_only_older(changes: list[tuple[Rect, int, int]], back_us: int) -> None:
    ring = Ring(WIDTH, HEIGHT, PLENTY)
    oracle, last_us = filled(ring, changes)
    before_us = last_us - back_us
    ring.forget(before_us)
    for time_us in range(max(before_us, 101), last_us + 3):
        frame, expected = ring.frame_at(time_us), oracle.frame_at(time_us)
        assert frame is not None
        assert expected is not None
        assert (frame.time_us, frame.pixels.tolist()) == (expected[0], expected[1].tolist())
    changed_since = sum(time_us >= before_us for time_us, _ in oracle.frames[1:])
    assert (ring.held_bytes == BASE_BYTES) == (changed_since == 0)


def test_a_cleared_ring_has_no_frames_and_begins_anew() -> None:
    ring = Ring(WIDTH, HEIGHT, PLENTY)
    oracle, last_us = filled(ring, [(Rect(0, 0, 9, 9), 3, 5)])
    ring.clear()
    assert ring.is_empty
    assert ring.frame_at(last_us + 1) is None
    assert ring.held_bytes == BASE_BYTES
    assert ring.add(200, 0, 0, oracle.frames[-1][1]).all(), "nothing is known of what was before"
    assert ring.frame_at(200) is None
    assert ring.frame_at(201) is not None


def test_an_older_frame_is_a_copy() -> None:
    ring = Ring(WIDTH, HEIGHT, PLENTY)
    filled(ring, [(Rect(0, 0, 9, 9), 3, 5)])
    frame = ring.frame_at(105)
    assert frame is not None
    before = frame.pixels.copy()
    ring.add(300, 0, 0, np.full((HEIGHT, WIDTH), 9, np.uint32))
    assert (frame.pixels == before).all()
