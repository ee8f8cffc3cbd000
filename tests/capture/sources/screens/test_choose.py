from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskreel.capture.frames import PPM, changed_ppm
from taskreel.capture.sources.protocol import Event, Rect
from taskreel.capture.sources.screens import choose
from taskreel.capture.sources.screens.budget import BURST, Budget
from taskreel.capture.sources.screens.choose import Chooser, Outcome, picture_key
from taskreel.capture.sources.screens.moments import Why
from taskreel.capture.sources.screens.ring import Frame, Ring
from taskreel.capture.sources.screens.tiles import TILE_PX

SECOND = 1_000_000


class KeptEncoder:
    """An encoder that encodes nothing."""

    def __init__(self) -> None:
        self.waiting = 0
        self.keys: list[str] = []

    def submit(self, key: str, pixels: np.ndarray) -> None:
        self.keys.append(key)


class Desk:
    """A screen of 200 x 100 px, a ring of its frames, and a chooser with 2 pictures a second."""

    def __init__(self, difference_ppm: int = 100, size: tuple[int, int] = (200, 100)) -> None:
        self.events: list[Event] = []
        self.encoder = KeptEncoder()
        self.budget = Budget(2.0, 0)
        self.chooser = Chooser(self.events.append, self.encoder, self.budget, difference_ppm)  # type: ignore[arg-type]
        self.show(size)

    def show(self, size: tuple[int, int]) -> None:
        self.screen = np.full((size[1], size[0]), 0xFF808080, np.uint32)
        self.ring = Ring(*size, 1 << 30)

    def paint(self, time_us: int, area: Rect, color: int) -> None:
        self.screen[area.y : area.y + area.height, area.x : area.x + area.width] = 0xFF000000 | color
        self.chooser.changed(self.ring.add(time_us, 0, 0, self.screen.copy()))

    def frame_at(self, time_us: int) -> Frame:
        frame = self.ring.frame_at(time_us)
        assert frame is not None
        return frame

    def offer(self, time_us: int, why: Why = Why.BEFORE, now_us: int | None = None) -> Outcome:
        return self.chooser.offer(self.frame_at(time_us), why, time_us if now_us is None else now_us)


def test_a_screen_event_says_what_changed_since_the_one_before() -> None:
    desk = Desk()
    desk.paint(10, Rect(0, 0, 0, 0), 0)
    assert desk.offer(11, Why.FIRST) == Outcome.SHOWN
    desk.paint(20, Rect(5, 5, 10, 20), 0xFFFFFF)
    assert desk.offer(30) == Outcome.SHOWN
    assert [event.time_us for event in desk.events] == [10, 20]
    assert [event.picture_change_ppm for event in desk.events] == [None, PPM * 200 // 20_000]
    assert desk.encoder.keys == [event.picture_key for event in desk.events]


def test_nothing_new_makes_no_event_but_the_first_always_does() -> None:
    desk = Desk()
    desk.paint(10, Rect(0, 0, 9, 9), 0)
    assert desk.offer(11, Why.FIRST) == Outcome.SHOWN
    assert desk.offer(50) == Outcome.SAME
    desk.paint(60, Rect(0, 0, 9, 9), 0xFFFFFF)
    desk.paint(70, Rect(0, 0, 9, 9), 0)  # as it was
    assert desk.offer(80) == Outcome.SAME
    desk.ring.clear()
    desk.paint(90, Rect(0, 0, 0, 0), 0)
    assert desk.offer(91, Why.FIRST) == Outcome.SHOWN
    assert desk.events[0].picture_key == desk.events[1].picture_key
    assert desk.events[1].picture_change_ppm == 0
    assert len(desk.encoder.keys) == 1


@pytest.mark.parametrize(("pixels", "outcome"), [(3, Outcome.SAME), (4, Outcome.SHOWN)])
def test_small_changes_are_none_until_they_add_up(pixels: int, outcome: Outcome) -> None:
    desk = Desk(difference_ppm=200)
    desk.paint(10, Rect(0, 0, 0, 0), 0)
    desk.offer(11, Why.FIRST)
    for number in range(pixels):
        desk.paint(20 + number, Rect(60 * number, number, 1, 1), 0xFFFFFF)
        last = desk.offer(100 + number)
    assert last == outcome


def test_what_nobody_can_see_is_no_change() -> None:
    desk = Desk(difference_ppm=0)
    desk.paint(10, Rect(0, 0, 0, 0), 0)
    desk.offer(11, Why.FIRST)
    desk.paint(20, Rect(0, 0, 200, 100), 0x808080 + 0x18)  # 24 of 255
    assert desk.offer(30) == Outcome.SAME
    desk.paint(40, Rect(0, 0, 200, 100), 0x808080 + 0x19)
    assert desk.offer(50) == Outcome.SHOWN


def test_equal_screens_are_one_picture_which_costs_nothing() -> None:
    desk = Desk()
    desk.paint(10, Rect(0, 0, 50, 50), 0)
    desk.offer(11, Why.FIRST)
    for number in range(20):
        desk.paint(20 + 2 * number, Rect(0, 0, 50, 50), 0xFFFFFF if number % 2 else 0x123456)
        assert desk.offer(21 + 2 * number) == Outcome.SHOWN
    assert len({event.picture_key for event in desk.events}) == len(desk.encoder.keys) == 3
    assert len(desk.events) == 21


def test_a_forgotten_picture_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "KNOWN_KEYS", 2)
    desk = Desk()
    for number, color in enumerate((1, 2, 3, 1)):
        desk.paint(10 * SECOND * (number + 1), Rect(0, 0, 50, 50), color << 6)
        assert desk.offer(10 * SECOND * (number + 1) + 1, Why.FIRST) == Outcome.SHOWN
    assert len(desk.encoder.keys) == 4
    assert desk.encoder.keys[0] == desk.encoder.keys[3]


def test_an_older_frame_than_the_last_event_comes_late_and_once() -> None:
    desk = Desk()
    desk.paint(10, Rect(0, 0, 0, 0), 0)
    desk.offer(11, Why.FIRST)
    desk.paint(20, Rect(0, 0, 50, 50), 1)
    desk.paint(30, Rect(0, 0, 50, 50), 0xFFFFFF)
    assert desk.offer(40, Why.HEARTBEAT) == Outcome.SHOWN
    assert desk.offer(25) == Outcome.SHOWN, "its action was before the heartbeat"
    assert desk.offer(15) == Outcome.SAME
    assert desk.offer(40) == Outcome.SAME
    assert [(event.time_us, event.picture_change_ppm) for event in desk.events] == [
        (10, None),
        (30, PPM * 2500 // 20_000),
        (20, None),
    ]


def test_what_was_not_the_newest_frame_does_not_hide_later_changes() -> None:
    desk = Desk()
    desk.paint(10, Rect(0, 0, 0, 0), 0)
    desk.offer(11, Why.FIRST)
    desk.paint(20, Rect(0, 0, 50, 50), 0xFFFFFF)
    desk.paint(30, Rect(0, 0, 50, 50), 0x0000FF)
    assert desk.offer(25) == Outcome.SHOWN
    assert desk.offer(40) == Outcome.SHOWN


def test_a_screen_of_another_size_has_changed_wholly() -> None:
    desk = Desk()
    desk.paint(10, Rect(0, 0, 0, 0), 0)
    desk.offer(11, Why.FIRST)
    for number, size in enumerate([(199, 100), (640, 480)]):  # as many tiles, and more
        desk.show(size)
        desk.paint(20 + 10 * number, Rect(0, 0, 0, 0), 0)
        assert desk.offer(25 + 10 * number) == Outcome.SHOWN
    assert [event.picture_change_ppm for event in desk.events] == [None, PPM, PPM]
    assert len({event.picture_key for event in desk.events}) == 3


def test_heartbeats_are_given_up_first_and_then_settled_frames() -> None:
    desk = Desk()

    def outcome(why: Why) -> Outcome:
        desk.paint(desk_time.pop(0), Rect(0, 0, 50, 50), 0x40 * (10 - len(desk_time)))
        return desk.offer(50, why, now_us=50)

    desk_time = list(range(10, 20))
    assert [outcome(Why.BEFORE), outcome(Why.BEFORE)] == [Outcome.SHOWN] * 2  # two of four tokens are left
    assert [outcome(Why.HEARTBEAT), outcome(Why.SETTLED)] == [Outcome.THINNED, Outcome.SHOWN]
    assert [outcome(Why.HEARTBEAT), outcome(Why.SETTLED), outcome(Why.BEFORE)] == [
        *(Outcome.THINNED, Outcome.THINNED, Outcome.SHOWN)
    ]
    assert outcome(Why.BEFORE) == Outcome.THINNED
    assert len(desk.encoder.keys) == BURST


@pytest.mark.parametrize(("waiting", "shown"), [(0, [1, 2, 3, 4]), (1, [1, 2, 3]), (2, [1, 2]), (3, [])])
def test_a_full_queue_thins_in_the_same_order(waiting: int, shown: list[int]) -> None:
    desk = Desk()
    desk.encoder.waiting = waiting
    outcomes = {}
    for number, why in enumerate(Why):
        desk.paint(10 * SECOND * (number + 1), Rect(0, 0, 50, 50), 0x40 * number)
        outcomes[why] = desk.offer(10 * SECOND * (number + 1) + 1, why)
    assert [why for why, outcome in outcomes.items() if outcome == Outcome.SHOWN] == shown


@given(
    frames=st.lists(
        st.lists(
            st.tuples(
                st.builds(Rect, st.integers(0, 199), st.integers(0, 99), st.integers(0, 90), st.integers(0, 90)),
                st.sampled_from([0x808080, 0x80808A, 0x8080A8, 0x000000, 0xFFFFFF]),
            ),
            max_size=3,
        ),
        max_size=6,
    ),
    offered=st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_the_change_is_that_of_whole_frames(frames: list[list[tuple[Rect, int]]], offered: list[bool]) -> None:
    desk = Desk(difference_ppm=0)
    desk.paint(10, Rect(0, 0, 0, 0), 0)
    desk.offer(11, Why.FIRST)
    shown = desk.screen.copy()
    for number, changes in enumerate(frames):
        time_us = (number + 1) * 10 * SECOND
        for later_us, (area, color) in enumerate(changes):
            desk.paint(time_us + later_us, area, color)
        if offered[number]:
            expected = changed_ppm(channels(shown), channels(desk.screen))
            outcome = desk.offer(time_us + 99)
            assert outcome == (Outcome.SHOWN if expected else Outcome.SAME)
            if expected:
                assert desk.events[-1].picture_change_ppm == expected
                shown = desk.screen.copy()


def test_a_key_is_of_pixels_and_size() -> None:
    def key(width: int, height: int, color: int) -> str:
        ring = Ring(width, height, 1 << 30)
        ring.add(0, 0, 0, np.full((height, width), color, np.uint32))
        frame = ring.frame_at(1)
        assert frame is not None
        return picture_key(frame)

    assert key(TILE_PX, 9, 5) == key(TILE_PX, 9, 5)
    assert len({key(TILE_PX, 9, 5), key(TILE_PX, 9, 6), key(TILE_PX, 10, 0), key(TILE_PX, 9, 0)}) == 4


def test_a_bucket_fills_with_time_up_to_the_burst() -> None:
    budget = Budget(2.0, 0)
    for _ in range(BURST):
        budget.take()
    assert budget.tokens(0) == 0
    assert budget.tokens(SECOND // 2) == pytest.approx(1)
    assert budget.tokens(100 * SECOND) == BURST


def channels(pixels: np.ndarray) -> np.ndarray:
    return np.stack([pixels >> 16 & 255, pixels >> 8 & 255, pixels & 255], -1).astype(np.uint8)
