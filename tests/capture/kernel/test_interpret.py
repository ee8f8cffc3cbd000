"""What kernel events mean: keys, mice, wheels, devices that know places, losses, several devices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_devices import (
    ABS,
    BUTTONED_PAD,
    CLICKPAD,
    EXTRA,
    KEY,
    KEYBOARD,
    LEFT,
    MIDDLE,
    MOUSE,
    MT_X,
    MT_Y,
    PEN,
    REL,
    RIGHT,
    SCREEN,
    SIDE,
    SLOT,
    SYN,
    TABLET,
    TOUCH,
    TRACK,
    VM_MOUSE,
    X,
    Y,
    buttons,
    glide,
    land,
    lift,
    of_kinds,
    rows_of,
    tap,
    told,
)

from taskreel.capture.kernel.devices import Axis, Device, Pointing, described_by
from taskreel.capture.kernel.interpret import interpret
from taskreel.capture.kernel.streams import KERNEL_EVENT
from taskreel.capture.keymaps import keymap_for
from taskreel.io.events import SEGMENT_SCHEMA, Flag, Kind

WHEEL, HWHEEL, WHEEL_FINE, HWHEEL_FINE = 0x08, 0x06, 0x0B, 0x0C
CTRL, SHIFT, A, Y_US = 29, 42, 30, 21


def key(code: int, *values: int) -> list[tuple[int, list[tuple[int, int, int]]]]:
    """Events of one key, 100 ms apart."""
    return [(100 * number, [(4, 4, code), (KEY, code, value)]) for number, value in enumerate(values)]


def rel(**axes: int) -> list[tuple[int, int, int]]:
    codes = {"x": 0, "y": 1, "wheel": WHEEL, "hwheel": HWHEEL, "fine": WHEEL_FINE, "hfine": HWHEEL_FINE}
    return [(REL, codes[name], value) for name, value in axes.items()]


class TestKeys:
    def test_a_press_has_name_code_and_text(self) -> None:
        down, up = rows_of(KEYBOARD, key(A, 1, 0), "us")
        assert (down["kind"], down["key"], down["code"], down["text"], down["flags"]) == (Kind.KEY_DOWN, "a", A, "a", 0)
        assert (up["kind"], up["key"], up["code"], up["text"], up["flags"]) == (Kind.KEY_UP, "a", A, None, 0)
        assert (down["time_us"], up["time_us"], down["x"]) == (0, 100_000, None)

    def test_the_layout_decides(self) -> None:
        down, _ = rows_of(KEYBOARD, key(Y_US, 1, 0), "de")
        assert (down["key"], down["text"]) == ("z", "z")

    def test_without_a_layout_text_is_flagged_and_nothing_else(self) -> None:
        rows = rows_of(KEYBOARD, [(0, [(KEY, SHIFT, 1)]), (1, [(KEY, A, 1)]), (2, [(KEY, A, 0), (KEY, SHIFT, 0)])])
        assert [(row["key"], row["text"], row["flags"]) for row in rows] == [
            ("shiftleft", None, 0),
            ("a", "A", Flag.UNKNOWN_LAYOUT),
            ("a", None, 0),
            ("shiftleft", None, 0),
        ]

    def test_a_repeat_is_the_consoles_and_so_estimated(self) -> None:
        rows = rows_of(KEYBOARD, key(A, 1, 2, 2, 0), "us")
        assert [row["flags"] for row in rows] == [0, *[Flag.AUTO_REPEAT | Flag.ESTIMATED] * 2, 0]
        assert [row["text"] for row in rows] == ["a", "a", "a", None]

    def test_a_modifier_of_one_keyboard_holds_for_another(self) -> None:
        first, second = told([(0, [(KEY, SHIFT, 1)])]), told([(50, [(KEY, A, 1)])])
        events = interpret([(KEYBOARD, first), (KEYBOARD, second)], keymap_for("us")).events
        assert events.column("text").to_pylist() == [None, "A"]

    def test_hidden_keys_have_neither_name_nor_text(self) -> None:
        hidden = Device(keys=KEYBOARD.keys, is_obfuscated=True)
        rows = rows_of(hidden, [*key(A, 1, 0), (300, [(KEY, CTRL, 1)])], "us")
        assert [(row["key"], row["code"], row["text"], row["flags"]) for row in rows] == [
            *[(None, None, None, Flag.UNKNOWN_LAYOUT)] * 2,
            ("ctrlleft", CTRL, None, 0),
        ]

    def test_an_unknown_value_is_counted(self) -> None:
        result = interpret([(KEYBOARD, told(key(A, 7)))], keymap_for(None))
        assert (result.events.num_rows, result.ignored) == (0, {"key with an unknown value": 1})


class TestMice:
    def test_motion_is_integrated_and_estimated(self) -> None:
        rows = rows_of(MOUSE, [(0, rel(x=3, y=-2)), (8, rel(x=1)), (16, rel(x=0))])
        assert [(row["kind"], row["x"], row["y"], row["flags"]) for row in rows] == [
            (Kind.MOVE, 768, -512, Flag.ESTIMATED),
            (Kind.MOVE, 1024, -512, Flag.ESTIMATED),
        ]

    def test_a_button_is_pressed_where_the_pointer_has_got_to(self) -> None:
        rows = rows_of(MOUSE, [(0, [(KEY, LEFT, 1), *rel(x=5)])])
        assert [(row["kind"], row["x"]) for row in rows] == [(Kind.MOVE, 1280), (Kind.BUTTON_DOWN, 1280)]
        assert rows[1]["flags"] == Flag.ESTIMATED

    @pytest.mark.parametrize(
        ("code", "number"),
        [(LEFT, 1), (MIDDLE, 2), (RIGHT, 3), (SIDE, 8), (EXTRA, 9), (0x117, 12), (0x118, 13), (0x100, 8)],
    )
    def test_numbers_of_buttons_are_those_of_x11(self, code: int, number: int) -> None:
        assert buttons(rows_of(MOUSE, [(0, [(KEY, code, 1)]), (90, [(KEY, code, 0)])])) == [
            (0, number, 1),
            (90, number, 0),
        ]

    def test_nameless_buttons_of_a_device_without_a_left_one(self) -> None:
        assert buttons(rows_of(Device(), [(0, [(KEY, 0x100, 1)])])) == [(0, 1, 1)]

    def test_a_release_without_a_press_is_kept(self) -> None:
        assert buttons(rows_of(MOUSE, [(0, [(KEY, 0x118, 0)])])) == [(0, 13, 0)]

    def test_other_buttons_are_counted(self) -> None:
        result = interpret([(Device(), told([(0, [(KEY, 0x120, 1), (KEY, 0x133, 1)])]))], keymap_for(None))
        assert (result.events.num_rows, result.ignored) == (0, {"button 0x120": 1, "button 0x133": 1})


class TestWheels:
    def test_up_and_right_are_positive(self) -> None:
        rows = rows_of(MOUSE, [(0, rel(wheel=1)), (9, rel(wheel=-2)), (18, rel(hwheel=1)), (27, rel(wheel=63))])
        assert [(row["wheel_x"], row["wheel_y"]) for row in rows] == [(0, 120), (0, -240), (120, 0), (0, 63 * 120)]

    def test_a_fine_wheel_counts_once(self) -> None:
        frames = [(8 * step, rel(fine=-30) + (rel(wheel=-1) if step % 4 == 3 else [])) for step in range(8)]
        assert sum(row["wheel_y"] for row in rows_of(MOUSE, frames)) == -240

    def test_a_fine_wheel_counts_once_if_its_tick_comes_alone(self) -> None:
        assert [row["wheel_y"] for row in rows_of(MOUSE, [(0, rel(fine=120)), (1, rel(wheel=1))])] == [120]

    def test_a_fine_wheel_that_is_announced_but_never_used_is_coarse(self) -> None:
        assert [row["wheel_x"] for row in rows_of(MOUSE, [(0, rel(fine=120)), (1, rel(hwheel=1))])] == [0, 120]


class TestAbsolute:
    def test_a_touchscreen_is_scaled_to_the_screen(self) -> None:
        frames = [(0, land(0, 1, 1000, 500)), (10, glide(0, 2000, 500)), (20, lift(0))]
        rows = rows_of(SCREEN, frames)
        assert [(row["kind"], row["x"] // 256, row["y"] // 256) for row in rows] == [
            (Kind.MOVE, 960, 270),
            (Kind.BUTTON_DOWN, 960, 270),
            (Kind.MOVE, 1920, 270),
            (Kind.BUTTON_UP, 1920, 270),
        ]
        assert {row["flags"] for row in of_kinds(rows, Kind.MOVE)} == {0}
        assert {row["flags"] for row in of_kinds(rows, Kind.BUTTON_DOWN, Kind.BUTTON_UP)} == {Flag.INFERRED}

    def test_only_the_first_finger_on_a_touchscreen_points(self) -> None:
        frames = [
            (0, land(0, 1, 100, 100)),
            (9, land(1, 2, 900, 900)),
            (18, lift(0)),
            (27, glide(1, 950, 900)),
            (36, lift(1)),
        ]
        rows = rows_of(SCREEN, frames)
        assert buttons(rows) == [(0, 1, 1), (18, 1, 0)]
        assert len(of_kinds(rows, Kind.MOVE)) == 1

    def test_a_pen_hovers_and_then_touches(self) -> None:
        frames = [
            (0, [(KEY, PEN, 1), (ABS, X, 500), (ABS, Y, 500)]),
            (10, [(ABS, X, 600), (KEY, TOUCH, 1)]),
            (20, [(KEY, 0x14B, 1)]),
            (30, [(KEY, 0x14B, 0), (KEY, TOUCH, 0)]),
        ]
        rows = rows_of(TABLET, frames)
        assert buttons(rows) == [(10, 1, 1), (20, 2, 1), (30, 1, 0), (30, 2, 0)]
        assert [row["x"] // 256 for row in of_kinds(rows, Kind.MOVE)] == [960, 1152]

    def test_the_mouse_of_a_virtual_machine_knows_its_place(self) -> None:
        rows = rows_of(VM_MOUSE, [(0, [(ABS, X, 32767), (ABS, Y, 0), (KEY, LEFT, 1)])])
        assert [(row["x"] // 256, row["y"], row["flags"]) for row in rows] == [(1920, 0, 0)] * 2

    @pytest.mark.parametrize(
        ("device", "pointing"),
        [
            (KEYBOARD, Pointing.NOT),
            (MOUSE, Pointing.NOT),
            (CLICKPAD, Pointing.TOUCHPAD),
            (SCREEN, Pointing.TOUCHSCREEN),
            (TABLET, Pointing.TABLET),
            (VM_MOUSE, Pointing.TABLET),
            (Device(keys=frozenset({0x130}), axes={X: Axis(0, 255), Y: Axis(0, 255)}), Pointing.NOT),
            (Device(axes={X: Axis(0, 9), Y: Axis(0, 9)}, tags=frozenset({"ID_INPUT_TABLET"})), Pointing.TABLET),
        ],
    )
    def test_what_a_device_points_with(self, device: Device, pointing: Pointing) -> None:
        assert device.pointing is pointing


def test_lost_events_are_a_gap_and_a_tap_does_not_reach_over_it() -> None:
    events = told(
        [(0, land(0, 1, 500, 500)), (10, [(SYN, 3, 0), (KEY, LEFT, 1)]), (60, lift(0)), (900, [(KEY, LEFT, 0)])]
    )
    rows = interpret([(CLICKPAD, events)], keymap_for(None)).events.to_pylist()
    assert [(row["kind"], row["time_us"]) for row in rows] == [(Kind.GAP, 10_000), (Kind.BUTTON_UP, 900_000)]


def test_several_devices_move_one_pointer() -> None:
    first, second = told([(0, rel(x=1)), (20, rel(x=1))]), told([(10, rel(x=1)), (30, [(KEY, LEFT, 1)])])
    rows = interpret([(MOUSE, first), (MOUSE, second)], keymap_for(None)).events.to_pylist()
    assert [row["x"] // 256 for row in rows] == [1, 2, 3, 3]
    assert [row["seq"] for row in rows] == [0, 1, 2, 3]


def test_a_clock_that_is_set_back_turns_nothing_round() -> None:
    rows = np.array(
        [(9_000_000, KEY, A, 1), (9_000_000, SYN, 0, 0), (50_000, KEY, A, 0), (50_000, SYN, 0, 0)], KERNEL_EVENT
    )
    result = interpret([(KEYBOARD, rows)], keymap_for(None))
    assert result.events.column("kind").to_pylist() == [Kind.KEY_DOWN, Kind.KEY_UP]
    assert result.clock_back_us == 8_950_000


def test_a_device_without_a_description_is_described_by_its_events() -> None:
    device = described_by(told(tap(0)))
    assert device.pointing is Pointing.TOUCHPAD
    assert described_by(told([(0, rel(x=1))])).pointing is Pointing.NOT


DEVICES = [KEYBOARD, MOUSE, CLICKPAD, BUTTONED_PAD, SCREEN, TABLET, VM_MOUSE, Device()]
CODES = sorted(
    {*range(16), SLOT, MT_X, MT_Y, TRACK, A, CTRL, SHIFT, 58, 100, 0x100, LEFT, RIGHT, 0x118, 0x120, 0x2C0, 0x2FF}
    | {*range(0x140, 0x150), 0xFFFF}
)
EDGES = [0, 1, 2, -1, 120, (1 << 31) - 1, -(1 << 31)]
EVENTS = st.tuples(
    st.integers(0, 400_000),
    st.sampled_from([0, 1, 2, 3, 4, 5, 17, 0xFFFF]),
    st.sampled_from(CODES),
    st.sampled_from(EDGES) | st.integers(-3000, 3000),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(DEVICES), st.lists(EVENTS, max_size=60)), max_size=3))
def test_any_events_give_a_table_that_can_be_stored(recorded: list[tuple[Device, list[tuple[int, ...]]]]) -> None:
    streams = []
    for device, steps in recorded:
        events = np.array([tuple(step) for step in steps], KERNEL_EVENT) if steps else np.empty(0, KERNEL_EVENT)
        events["time_us"] = np.cumsum(events["time_us"])
        streams.append((device, events))
    table = interpret(streams, keymap_for(None)).events
    assert table.schema.equals(SEGMENT_SCHEMA)
    table.validate(full=True)
    time_us = table.column("time_us").to_numpy()
    assert (np.diff(time_us) >= 0).all()
    assert table.column("seq").to_pylist() == list(range(table.num_rows))
    known = np.concatenate([events["time_us"] for _, events in streams]) if streams else np.empty(0)
    assert np.isin(time_us, known).all()
