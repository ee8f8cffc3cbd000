"""Fingers on touchpads. The pads are 100 mm wide; a millimeter is 20 units, 12 px and 96 wheel units."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_devices import (
    ABS,
    BUTTONED_PAD,
    CLICKPAD,
    KEY,
    LEFT,
    MT_X,
    MT_Y,
    ONE,
    PAD_KEYS,
    RIGHT,
    SYN,
    THREE,
    TOUCH,
    TRACK,
    TWO,
    X,
    Y,
    buttons,
    glide,
    land,
    lift,
    of_kinds,
    rows_of,
    stroke,
    tap,
)

from taskreel.capture.kernel.devices import Axis, Device
from taskreel.io.events import Flag, Kind

PX = 256
ONE_PLACE = Device("one place", PAD_KEYS, {X: Axis(0, 2000, 20), Y: Axis(0, 2000, 20)})


def moved_px(rows: list[Any]) -> tuple[int, int]:
    """Where the pointer has got to."""
    moves = of_kinds(rows, Kind.MOVE)
    return (moves[-1]["x"] // PX, moves[-1]["y"] // PX) if moves else (0, 0)


def jumps_px(rows: list[Any]) -> int:
    """The farthest that a single move went along an axis."""
    places = [(0, 0), *((row["x"], row["y"]) for row in of_kinds(rows, Kind.MOVE))]
    steps = pairwise(places)
    return max((abs(b - a) for then, now in steps for a, b in zip(then, now, strict=True)), default=0) // PX


def two_fingers(start_ms: int, dx: int, dy: int, *, steps: int = 20) -> list[Any]:
    """Two fingers land, glide side by side and lift."""
    frames: list[Any] = [(start_ms, land(0, 1, 500, 500) + land(1, 2, 900, 500))]
    for step in range(1, steps + 1):
        by = dx * step // steps, dy * step // steps
        frames.append((start_ms + 15 * step, glide(0, 500 + by[0], 500 + by[1]) + glide(1, 900 + by[0], 500 + by[1])))
    return [*frames, (start_ms + 15 * steps + 15, lift(0, 1))]


class TestOneFinger:
    def test_moves_the_pointer_by_its_millimeters(self) -> None:
        rows = rows_of(CLICKPAD, stroke(0, 400, 500, 800, 300))
        assert moved_px(rows) == (240, -120)
        assert {row["flags"] for row in rows} == {Flag.ESTIMATED}
        assert {row["kind"] for row in rows} == {Kind.MOVE}

    def test_where_it_lands_means_nothing(self) -> None:
        rows = rows_of(CLICKPAD, [*stroke(0, 400, 500, 800, 500), *stroke(1000, 100, 1900, 500, 1900, track=2)])
        assert moved_px(rows) == (480, 0)
        assert jumps_px(rows) <= 12

    def test_slow_motion_is_not_lost_to_rounding(self) -> None:
        assert moved_px(rows_of(CLICKPAD, stroke(0, 400, 500, 500, 500, steps=100))) == (60, 0)

    def test_a_drivers_single_place_will_do(self) -> None:
        frames: list[Any] = [(0, [(KEY, TOUCH, 1), (KEY, ONE, 1), (ABS, X, 400), (ABS, Y, 500)])]
        frames += [(15 * step, [(ABS, X, 400 + 20 * step)]) for step in range(1, 21)]
        frames += [(315, [(KEY, TOUCH, 0), (KEY, ONE, 0)])]
        assert moved_px(rows_of(ONE_PLACE, frames)) == (240, 0)

    def test_fingers_that_are_told_anew_in_each_frame_will_do(self) -> None:
        def told_anew(x: int) -> list[tuple[int, int, int]]:
            return [(ABS, MT_X, x), (ABS, MT_Y, 500), (SYN, 2, 0)]

        frames: list[Any] = [(15 * step, told_anew(400 + 20 * step)) for step in range(21)]
        assert moved_px(rows_of(CLICKPAD, [*frames, (315, [(SYN, 2, 0)])])) == (240, 0)

    def test_without_a_resolution_the_size_is_assumed(self) -> None:
        pad = Device("old", PAD_KEYS, {X: Axis(0, 6900), Y: Axis(0, 5000)})
        frames: list[Any] = [(0, [(KEY, TOUCH, 1), (ABS, X, 400), (ABS, Y, 500)])]
        frames += [(15 * step, [(ABS, X, 400 + 50 * step)]) for step in range(1, 21)]
        assert moved_px(rows_of(pad, frames)) == (120, 0)


class TestTaps:
    @pytest.mark.parametrize(("fingers", "button"), [(1, 1), (2, 3), (3, 2)])
    def test_a_tap_is_a_click_that_nobody_pressed(self, fingers: int, button: int) -> None:
        rows = rows_of(CLICKPAD, tap(100, fingers=fingers))
        assert buttons(rows) == [(100, button, 1), (160, button, 0)]
        assert {row["flags"] for row in rows} == {Flag.INFERRED | Flag.ESTIMATED}
        assert [row["fingers"] for row in rows] == [fingers, None]

    @pytest.mark.parametrize(
        "frames", [tap(0, fingers=4), tap(0, length_ms=181), stroke(0, 400, 500, 480, 500, steps=4)]
    )
    def test_four_fingers_a_long_touch_and_a_short_stroke_are_none(self, frames: list[Any]) -> None:
        assert buttons(rows_of(CLICKPAD, frames)) == []

    def test_two_taps(self) -> None:
        rows = rows_of(CLICKPAD, [*tap(0), *tap(150, track=60)])
        assert buttons(rows) == [(0, 1, 1), (60, 1, 0), (150, 1, 1), (210, 1, 0)]

    def test_the_tremor_of_a_tap_moves_nothing(self) -> None:
        rows = rows_of(CLICKPAD, stroke(0, 500, 500, 530, 500, steps=6))
        assert {row["kind"] for row in rows} == {Kind.BUTTON_DOWN, Kind.BUTTON_UP}

    def test_a_small_motion_that_lasts_is_kept(self) -> None:
        assert moved_px(rows_of(CLICKPAD, stroke(0, 500, 500, 530, 500, steps=20))) == (18, 0)

    def test_a_touch_right_after_a_tap_drags(self) -> None:
        rows = rows_of(CLICKPAD, [*tap(0), *stroke(150, 500, 500, 900, 500, track=9)])
        assert buttons(rows) == [(0, 1, 1), (465, 1, 0)]
        assert moved_px(rows) == (240, 0)

    def test_a_touch_some_time_after_a_tap_moves(self) -> None:
        rows = rows_of(CLICKPAD, [*tap(0), *stroke(300, 500, 500, 900, 500, track=9)])
        assert buttons(rows) == [(0, 1, 1), (60, 1, 0)]

    def test_a_press_right_after_a_tap_is_a_press(self) -> None:
        rows = rows_of(
            CLICKPAD, [*tap(0), (100, land(0, 9, 500, 500)), (120, [(KEY, LEFT, 1)]), (500, [(KEY, LEFT, 0)])]
        )
        assert buttons(rows) == [(0, 1, 1), (60, 1, 0), (120, 1, 1), (500, 1, 0)]


class TestTwoFingers:
    @pytest.mark.parametrize(("dx", "dy", "axis", "sign"), [(0, 400, "y", -1), (0, -400, "y", 1), (400, 30, "x", 1)])
    def test_scroll_along_one_axis(self, dx: int, dy: int, axis: str, sign: int) -> None:
        rows = rows_of(CLICKPAD, two_fingers(0, dx, dy))
        assert {row["kind"] for row in rows} == {Kind.SCROLL}
        assert {row["flags"] for row in rows} == {Flag.ESTIMATED}
        other = {"x": "y", "y": "x"}[axis]
        assert {row[f"wheel_{other}"] for row in rows} == {0}
        total = sum(row[f"wheel_{axis}"] for row in rows) * sign
        assert 96 * 17 <= total <= 96 * 20 - 96 * 1.3

    def test_do_not_scroll_while_a_button_is_down(self) -> None:
        glide_on = two_fingers(0, 0, 400)
        frames = [glide_on[0], (5, [(KEY, LEFT, 1)]), *glide_on[1:-1], (400, [(KEY, LEFT, 0)]), (450, lift(0, 1))]
        assert buttons(rows_of(CLICKPAD, frames)) == [(5, 3, 1), (400, 3, 0)]
        assert of_kinds(rows_of(CLICKPAD, frames), Kind.SCROLL) == []

    def test_a_second_finger_moves_nothing_when_it_lands_or_lifts(self) -> None:
        frames: list[Any] = stroke(0, 400, 500, 600, 500)[:-1]
        frames += [(320, land(1, 2, 1900, 1900)), (335, lift(0)), (350, glide(1, 1900, 1900)), (365, lift(1))]
        rows = rows_of(CLICKPAD, frames)
        assert moved_px(rows) == (120, 0)
        assert of_kinds(rows, Kind.SCROLL) == []

    def test_a_finger_that_lifts_as_another_lands_is_another(self) -> None:
        frames: list[Any] = stroke(0, 400, 500, 800, 500)[:-1]
        frames += [(315, [(ABS, TRACK, 7), (ABS, MT_X, 1900)]), (330, glide(0, 1920, 500)), (345, lift(0))]
        assert moved_px(rows_of(CLICKPAD, frames)) == (252, 0)

    def test_a_pad_with_one_place_may_change_the_finger_that_it_tells(self) -> None:
        frames: list[Any] = [(0, [(KEY, TOUCH, 1), (KEY, ONE, 1), (ABS, X, 400), (ABS, Y, 500)])]
        frames += [(200, [(ABS, X, 500)]), (215, [(KEY, ONE, 0), (KEY, TWO, 1), (ABS, X, 1900)])]
        frames += [(230, [(KEY, TWO, 0), (KEY, ONE, 1), (ABS, X, 500)]), (245, [(KEY, TOUCH, 0), (KEY, ONE, 0)])]
        assert moved_px(rows_of(ONE_PLACE, frames)) == (60, 0)

    def test_a_finger_from_before_lost_events_is_no_longer_there(self) -> None:
        frames: list[Any] = [(0, land(0, 1, 400, 500)), (10, [(SYN, 3, 0)])]
        frames += [(300 + time_ms, events[1:]) for time_ms, events in stroke(0, 400, 500, 800, 500)]
        frames[2] = (300, land(1, 2, 400, 500))
        assert moved_px(rows_of(CLICKPAD, frames)) == (240, 0)

    def test_three_fingers_do_nothing(self) -> None:
        landed = land(0, 1, 500, 500) + land(1, 2, 900, 500) + land(2, 3, 1300, 500)
        frames: list[Any] = [(0, landed)]
        frames += [
            (15 * step, [e for slot in range(3) for e in glide(slot, 500, 500 + 20 * step)]) for step in range(1, 20)
        ]
        assert rows_of(CLICKPAD, [*frames, (400, lift(0, 1, 2))]) == []

    def test_a_pad_that_knows_two_places_counts_three_fingers_by_its_tool(self) -> None:
        landed = [*land(0, 1, 500, 500), *land(1, 2, 900, 500), (KEY, THREE, 1)]
        rows = rows_of(CLICKPAD, [(0, landed), (60, [*lift(0, 1), (KEY, THREE, 0)])])
        assert [row["fingers"] for row in rows] == [3, None]
        assert buttons(rows) == [(0, 2, 1), (60, 2, 0)]


class TestPresses:
    @pytest.mark.parametrize(("tool", "fingers", "button"), [(ONE, 1, 1), (TWO, 2, 3), (THREE, 3, 2)])
    def test_a_pad_that_is_pressed_itself(self, tool: int, fingers: int, button: int) -> None:
        landed = [*land(0, 1, 500, 500), (KEY, TOUCH, 1), (KEY, tool, 1)]
        rows = rows_of(CLICKPAD, [(0, landed), (300, [(KEY, LEFT, 1)]), (350, [(KEY, LEFT, 0)]), (900, lift(0))])
        assert buttons(rows) == [(300, button, 1), (350, button, 0)]
        assert [row["fingers"] for row in rows] == [fingers, None]
        assert {row["flags"] for row in rows} == {Flag.INFERRED | Flag.ESTIMATED}

    def test_a_button_is_what_it_is(self) -> None:
        frames = [(0, land(0, 1, 500, 500) + land(1, 2, 900, 500)), (300, [(KEY, LEFT, 1), (KEY, RIGHT, 1)])]
        rows = rows_of(BUTTONED_PAD, frames)
        assert buttons(rows) == [(300, 1, 1), (300, 3, 1)]
        assert {row["flags"] for row in rows} == {Flag.ESTIMATED}
        assert [row["fingers"] for row in rows] == [2, 2]

    def test_a_press_is_no_tap(self) -> None:
        frames = [(0, land(0, 1, 500, 500)), (20, [(KEY, LEFT, 1)]), (60, [(KEY, LEFT, 0)]), (80, lift(0))]
        assert buttons(rows_of(CLICKPAD, frames)) == [(20, 1, 1), (60, 1, 0)]

    def test_one_finger_drags_with_the_button_down(self) -> None:
        glide_on = stroke(0, 400, 500, 800, 500)
        frames = [glide_on[0], (5, [(KEY, LEFT, 1)]), *glide_on[1:-1], (310, [(KEY, LEFT, 0)]), glide_on[-1]]
        rows = rows_of(CLICKPAD, frames)
        assert buttons(rows) == [(5, 1, 1), (310, 1, 0)]
        assert moved_px(rows) == (240, 0)

    def test_the_release_is_of_the_button_that_was_pressed(self) -> None:
        landed = land(0, 1, 500, 500) + land(1, 2, 900, 500)
        frames = [(0, landed), (300, [(KEY, LEFT, 1)]), (350, lift(1)), (400, [(KEY, LEFT, 0)])]
        assert buttons(rows_of(CLICKPAD, frames)) == [(300, 3, 1), (400, 3, 0)]


def test_a_slot_tells_only_what_has_changed() -> None:
    """The kernel does not repeat a coordinate that is as it was when the last finger left the slot."""
    frames: list[Any] = [*stroke(0, 400, 500, 800, 500), (1000, [(ABS, TRACK, 7), (ABS, MT_X, 400)])]
    frames += [(1000 + 15 * step, glide(0, 400 + 20 * step, 500)) for step in range(1, 21)]
    assert moved_px(rows_of(CLICKPAD, frames)) == (480, 0)


FINGERS = st.lists(
    st.tuples(
        st.sampled_from(["land", "lift", "glide"]), st.integers(0, 3), st.integers(0, 2000), st.integers(0, 2000)
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(FINGERS, st.integers(5, 300))
def test_the_pointer_goes_only_as_far_as_a_single_finger_did(
    steps: list[tuple[str, int, int, int]], every_ms: int
) -> None:
    """An oracle keeps the fingers in a dict: moves go at most as far as lone fingers did from frame to frame."""
    frames: list[Any] = []
    down: dict[int, tuple[int, int]] = {}
    way = 0
    for number, (act, slot, x, y) in enumerate(steps):
        if act == "land" and slot not in down:
            events = land(slot, number, x, y)
            down[slot] = (x, y)
        elif act == "lift" and slot in down:
            events = lift(slot)
            del down[slot]
        elif act == "glide" and slot in down:
            events = glide(slot, x, y)
            if len(down) == 1:
                way += abs(x - down[slot][0]) + abs(y - down[slot][1])
            down[slot] = (x, y)
        else:
            continue
        frames.append((every_ms * len(frames), events))
    places = [(0, 0), *((row["x"], row["y"]) for row in of_kinds(rows_of(CLICKPAD, frames), Kind.MOVE))]
    went = sum(abs(b - a) for then, now in pairwise(places) for a, b in zip(then, now, strict=True))
    assert went <= way * 12 * PX // 20 + 2 * len(frames)
