"""Devices and their events for tests, written as a driver would tell them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from taskreel.capture.kernel.devices import Axis, Device
from taskreel.capture.kernel.interpret import interpret
from taskreel.capture.kernel.streams import KERNEL_EVENT
from taskreel.capture.keymaps import keymap_for
from taskreel.io.events import Kind

SYN, KEY, REL, ABS = 0, 1, 2, 3
LEFT, RIGHT, MIDDLE, SIDE, EXTRA = range(0x110, 0x115)
TOUCH, ONE, TWO, THREE, FOUR, PEN = 0x14A, 0x145, 0x14D, 0x14E, 0x14F, 0x140
X, Y, SLOT, MT_X, MT_Y, TRACK = 0x00, 0x01, 0x2F, 0x35, 0x36, 0x39

Event = tuple[int, int, int]

KEYBOARD = Device("keyboard", keys=frozenset(range(1, 128)))
MOUSE = Device("mouse", keys=frozenset(range(0x110, 0x118)))
PAD_KEYS = frozenset({LEFT, TOUCH, ONE, TWO, THREE, FOUR})
PAD_AXES = {code: Axis(0, 2000, 20) for code in (X, Y, MT_X, MT_Y)}
"""100 mm, 20 units a millimeter: a unit is 0.6 px."""
CLICKPAD = Device("clickpad", PAD_KEYS, PAD_AXES, properties=frozenset({0, 2}))
BUTTONED_PAD = Device("pad with buttons", PAD_KEYS | {RIGHT, MIDDLE}, PAD_AXES, properties=frozenset({0}))
SCREEN = Device("touchscreen", frozenset({TOUCH}), PAD_AXES, properties=frozenset({1}))
TABLET = Device("pen", frozenset({TOUCH, PEN, 0x14B, 0x14C}), {X: Axis(0, 1000, 10), Y: Axis(0, 1000, 10)})
VM_MOUSE = Device("virtual", frozenset({LEFT, RIGHT}), {X: Axis(0, 32767), Y: Axis(0, 32767)})


def told(frames: Iterable[tuple[int, Sequence[Event]]]) -> np.ndarray:
    """Frames of (milliseconds, events) as kernel events."""
    rows = []
    for time_ms, events in frames:
        rows += [(time_ms * 1000, *event) for event in events] + [(time_ms * 1000, SYN, 0, 0)]
    return np.array(rows, KERNEL_EVENT) if rows else np.empty(0, KERNEL_EVENT)


def rows_of(device: Device, frames: Iterable[tuple[int, Sequence[Event]]], layout: str | None = None) -> list[Any]:
    """The rows of one device's frames."""
    return interpret([(device, told(frames))], keymap_for(layout)).events.to_pylist()


def of_kinds(rows: list[Any], *kinds: Kind) -> list[Any]:
    return [row for row in rows if row["kind"] in kinds]


def buttons(rows: list[Any]) -> list[tuple[int, int, int]]:
    """(milliseconds, X11's number, 1 for down and 0 for up) of the buttons."""
    downs = of_kinds(rows, Kind.BUTTON_DOWN, Kind.BUTTON_UP)
    return [(row["time_us"] // 1000, row["code"], int(row["kind"] == Kind.BUTTON_DOWN)) for row in downs]


def land(slot: int, track: int, x: int, y: int) -> list[Event]:
    """A finger lands (protocol B)."""
    return [(ABS, SLOT, slot), (ABS, TRACK, track), (ABS, MT_X, x), (ABS, MT_Y, y)]


def glide(slot: int, x: int, y: int) -> list[Event]:
    return [(ABS, SLOT, slot), (ABS, MT_X, x), (ABS, MT_Y, y)]


def lift(*slots: int) -> list[Event]:
    return [event for slot in slots for event in ((ABS, SLOT, slot), (ABS, TRACK, -1))]


def stroke(start_ms: int, x: int, y: int, to_x: int, to_y: int, *, steps: int = 20, track: int = 1) -> list[Any]:
    """One finger lands, glides in steps of 15 ms and lifts."""
    frames: list[Any] = [(start_ms, land(0, track, x, y))]
    for step in range(1, steps + 1):
        place = x + (to_x - x) * step // steps, y + (to_y - y) * step // steps
        frames.append((start_ms + 15 * step, glide(0, *place)))
    return [*frames, (start_ms + 15 * steps + 15, lift(0))]


def tap(start_ms: int, *, fingers: int = 1, length_ms: int = 60, track: int = 50) -> list[Any]:
    """Fingers land at once and lift at once."""
    landing = [event for slot in range(fingers) for event in land(slot, track + slot, 500 + 300 * slot, 500)]
    return [(start_ms, landing), (start_ms + length_ms, lift(*range(fingers)))]
