"""From kernel events to the event table: all devices of a session, with one pointer and one keyboard between them.

`interpret` is the whole way for a recording. A live source makes an `Interpreter` and gives it frames as they come.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from taskreel.capture.kernel.absolutes import Absolute
from taskreel.capture.kernel.codes import (
    EV_ABS,
    EV_KEY,
    EV_LED,
    EV_MSC,
    EV_REL,
    EV_SYN,
    KEY_A,
    TOOLS,
    is_key,
    x11_button,
)
from taskreel.capture.kernel.devices import Device, Pointing
from taskreel.capture.kernel.mice import KNOWN as KNOWN_RELATIVE
from taskreel.capture.kernel.mice import Mouse
from taskreel.capture.kernel.pointers import Pointer, Rows
from taskreel.capture.kernel.streams import Frame, forward_times, frames
from taskreel.capture.kernel.touchpads import Touchpad, TouchpadRules
from taskreel.capture.keymaps import AnyKeymap
from taskreel.io.kinds import Flag, Kind

ASSUMED_SCREEN_PX = (1920, 1080)
"""What the area of an absolute device is taken for: no kernel event says which screen it is."""

_UP, _DOWN, _REPEAT = 0, 1, 2
_SILENT = frozenset({EV_SYN, EV_MSC, EV_LED})
"""Types of events that say nothing of what the person did: frames, scan codes, lights."""


@dataclass(frozen=True)
class Interpretation:
    """A session's events (`SEGMENT_SCHEMA`, sorted by time, `seq` from 0) and what was left out, by its name.

    `clock_back_us`: by how much in all the clock had been set back in between.
    """

    events: pa.Table
    ignored: dict[str, int]
    clock_back_us: int


class Interpreter:
    """The devices of a session in use: frames go in, in order of time, rows of the event table come out.

    Rows can lie up to a tap and a half before the last frame: whether a touch was a tap is known only after it.
    """

    def __init__(
        self,
        devices: Sequence[Device],
        keymap: AnyKeymap,
        screen_px: tuple[int, int] = ASSUMED_SCREEN_PX,
        rules: TouchpadRules | None = None,
    ) -> None:
        self._rows, pointer = Rows(), Pointer()
        self.ignored: Counter[str] = Counter()
        keyboard = _Keyboard(keymap, self._rows, self.ignored)
        self._parts = []
        for device in devices:
            pad: Touchpad | Absolute | None = None
            if device.pointing is Pointing.TOUCHPAD:
                pad = Touchpad(device, pointer, self._rows, rules or TouchpadRules())
            elif device.pointing is not Pointing.NOT:
                pad = Absolute(device, pointer, self._rows, screen_px)
            self._parts.append(_Parts(device, pointer, self._rows, keyboard, pad))

    def update(self, number: int, frame: Frame) -> None:
        """Take the next frame, of the device with this number."""
        self._parts[number].update(frame)

    def finish(self) -> pa.Table:
        """All rows, as `SEGMENT_SCHEMA`, sorted by time."""
        for parts in self._parts:
            parts.finish()
        return self._rows.table()


def interpret(recorded: Sequence[tuple[Device, np.ndarray]], keymap: AnyKeymap) -> Interpretation:
    """The events of a session's devices, each with its description and its events (`KERNEL_EVENT`), of one clock.

    Pure, and for any events: it never raises. The devices' order only decides which of two frames of one time is first.
    """
    interpreter = Interpreter([device for device, _ in recorded], keymap)
    streams, back_us = [], 0
    for number, (_, events) in enumerate(recorded):
        time_us, back = forward_times(events["time_us"])
        forward = events.copy()
        forward["time_us"] = time_us
        streams.append(_numbered(number, forward))
        back_us = max(back_us, back)
    for _, number, frame in heapq.merge(*streams, key=lambda item: item[:2]):
        interpreter.update(number, frame)
    return Interpretation(interpreter.finish(), dict(sorted(interpreter.ignored.items())), back_us)


def _numbered(number: int, events: np.ndarray) -> Iterator[tuple[int, int, Frame]]:
    for frame in frames(events):
        yield frame.time_us, number, frame


class _Parts:
    """One device: it can be a keyboard, a mouse and a pad in one."""

    def __init__(
        self, device: Device, pointer: Pointer, rows: Rows, keyboard: _Keyboard, pad: Touchpad | Absolute | None
    ) -> None:
        self._device, self._pointer, self._rows, self._keyboard, self._pad = device, pointer, rows, keyboard, pad
        self._mouse = Mouse(pointer, rows)
        self._counts = keyboard.ignored

    def update(self, frame: Frame) -> None:
        """Motion first, then the keys and buttons in their order: a button is pressed where the pointer has got to."""
        if frame.is_gap:
            self._rows.gap(frame.time_us)
            if self._pad:
                self._pad.lose(frame.time_us)
            return
        self._mouse.update(frame.time_us, frame.events)
        if self._pad:
            self._pad.update(frame.time_us, frame.events)
        for kind, code, value in frame.events:
            if kind == EV_KEY:
                self._press(frame.time_us, code, value)
            elif not self._uses(kind, code):
                self._counts[f"type {kind:#x} code {code:#x}"] += 1

    def finish(self) -> None:
        if isinstance(self._pad, Touchpad):
            self._pad.finish()

    def _uses(self, kind: int, code: int) -> bool:
        return kind in _SILENT or (kind == EV_REL and code in KNOWN_RELATIVE) or (kind == EV_ABS and bool(self._pad))

    def _press(self, time_us: int, code: int, value: int) -> None:
        if is_key(code):
            self._keyboard.press(time_us, code, value, self._device.is_obfuscated)
        elif x11_button(code, self._device.has_left_button) is None:
            if code not in TOOLS:
                self._counts[f"button {code:#x}"] += 1
        elif value not in (_UP, _DOWN):
            self._counts["repeat of a button"] += 1
        elif isinstance(self._pad, Touchpad):
            self._pad.button(time_us, code, value == _DOWN)
        else:
            button = x11_button(code, self._device.has_left_button)
            self._rows.button(time_us, value == _DOWN, button or 0, self._pointer.place)


class _Keyboard:
    """All keys of a session: a modifier of one keyboard holds for the others."""

    def __init__(self, keymap: AnyKeymap, rows: Rows, ignored: Counter[str]) -> None:
        self._keymap, self._state, self._rows, self.ignored = keymap, keymap.state(), rows, ignored

    def press(self, time_us: int, code: int, value: int, is_obfuscated: bool) -> None:
        """A key event. Value 2 is the console's repeat, in its rhythm and not the desktop's: so it is `ESTIMATED`."""
        if value not in (_UP, _DOWN, _REPEAT):
            self.ignored["key with an unknown value"] += 1
            return
        kind = Kind.KEY_UP if value == _UP else Kind.KEY_DOWN
        flags = Flag.AUTO_REPEAT | Flag.ESTIMATED if value == _REPEAT else 0
        if is_obfuscated and code == KEY_A:
            self._rows.key(time_us, kind, flags | Flag.UNKNOWN_LAYOUT, None, None, None)
            return
        text = self._state.text(code, value != _UP)
        if text and self._keymap.is_assumed:
            flags |= Flag.UNKNOWN_LAYOUT
        self._rows.key(time_us, kind, flags, code, self._keymap.key_name(code), text)
