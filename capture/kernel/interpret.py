"""From kernel events to the event table: all devices of a session, with one pointer and one keyboard between them.

`interpret` is the whole way for a recording. A live source makes an `Interpreter` and gives it frames as they come.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

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
from taskreel.capture.kernel.pointers import Pointer, Row, Rows
from taskreel.capture.kernel.streams import Frame, forward_times, frames
from taskreel.capture.kernel.touchpads import Touchpad, TouchpadRules
from taskreel.capture.keymaps import AnyKeymap
from taskreel.io.kinds import Flag, Kind

if TYPE_CHECKING:
    import pyarrow as pa

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

    Rows can lie up to a tap and a half before the last frame: whether a touch was a tap is known only after it. What
    was taken is final, and nothing of it is kept.
    """

    def __init__(
        self,
        devices: Sequence[Device],
        keymap: AnyKeymap,
        screen_px: tuple[int, int] = ASSUMED_SCREEN_PX,
        rules: TouchpadRules | None = None,
    ) -> None:
        self._rows, self._pointer, self._screen_px = Rows(), Pointer(), screen_px
        self._rules = rules or TouchpadRules()
        self.ignored: Counter[str] = Counter()
        self._keyboard = _Keyboard(keymap, self._rows, self.ignored)
        self._parts: dict[int, _Parts] = {}
        self._numbers = itertools.count()
        for device in devices:
            self.add(device)

    def add(self, device: Device) -> int:
        """A device that takes part from now on; its number. The first has 0."""
        number = next(self._numbers)
        self._parts[number] = _Parts(device, self._pointer, self._rows, self._keyboard, self._pad(device))
        return number

    def describe(self, number: int, device: Device) -> None:
        """More is known of a device than before. Its fingers are known as they were, unless it is another thing now."""
        parts = self._parts[number]
        parts.describe(device, parts.pad if device.pointing is parts.device.pointing else self._pad(device))

    def update(self, number: int, frame: Frame) -> None:
        """Take the next frame, of the device with this number."""
        self._parts[number].update(frame)

    def advance(self, number: int, time_us: int) -> None:
        """No frame of this device before this time is still to come: taps that waited for one are settled."""
        pad = self._parts[number].pad
        if isinstance(pad, Touchpad):
            pad.advance(time_us)

    def is_waiting(self, number: int) -> bool:
        """Whether `advance` may bring rows of this device."""
        pad = self._parts[number].pad
        return isinstance(pad, Touchpad) and pad.is_waiting

    def remove(self, number: int, held: Iterable[int] = ()) -> None:
        """A device takes part no more; its keys that were down no longer count as held for others' texts."""
        self._parts.pop(number).finish()
        self._keyboard.forget(held)

    def lock(self, code: int) -> None:
        """Caps Lock or Num Lock was on already when the first event came."""
        self._keyboard.lock(code)

    def take(self) -> list[Row]:
        """The rows that are new since the last call, in the order in which they became known."""
        return self._rows.take()

    def finish(self) -> pa.Table:
        """All rows that were not taken, as `SEGMENT_SCHEMA`, sorted by time."""
        for parts in self._parts.values():
            parts.finish()
        return self._rows.table()

    def _pad(self, device: Device) -> Touchpad | Absolute | None:
        if device.pointing is Pointing.TOUCHPAD:
            return Touchpad(device, self._pointer, self._rows, self._rules)
        if device.pointing is Pointing.NOT:
            return None
        return Absolute(device, self._pointer, self._rows, self._screen_px)


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
        self.device, self.pad = device, pad
        self._pointer, self._rows, self._keyboard = pointer, rows, keyboard
        self._mouse = Mouse(pointer, rows)
        self._counts = keyboard.ignored

    def describe(self, device: Device, pad: Touchpad | Absolute | None) -> None:
        self.device, self.pad = device, pad

    def update(self, frame: Frame) -> None:
        """Motion first, then the keys and buttons in their order: a button is pressed where the pointer has got to."""
        if frame.is_gap:
            self._rows.gap(frame.time_us)
            if self.pad:
                self.pad.lose(frame.time_us)
            return
        if frame.is_restated:
            for _, code, value in frame.events:
                self._press(frame.time_us, code, value, Flag.RESTATED)
            return
        self._mouse.update(frame.time_us, frame.events)
        if self.pad:
            self.pad.update(frame.time_us, frame.events)
        for kind, code, value in frame.events:
            if kind == EV_KEY:
                self._press(frame.time_us, code, value)
            elif not self._uses(kind, code):
                self._counts[f"type {kind:#x} code {code:#x}"] += 1

    def finish(self) -> None:
        if isinstance(self.pad, Touchpad):
            self.pad.finish()

    def _uses(self, kind: int, code: int) -> bool:
        return kind in _SILENT or (kind == EV_REL and code in KNOWN_RELATIVE) or (kind == EV_ABS and bool(self.pad))

    def _press(self, time_us: int, code: int, value: int, flags: int = 0) -> None:
        if is_key(code):
            self._keyboard.press(time_us, code, value, self.device.is_obfuscated, flags)
        elif x11_button(code, self.device.has_left_button) is None:
            if code not in TOOLS:
                self._counts[f"button {code:#x}"] += 1
        elif value not in (_UP, _DOWN):
            self._counts["repeat of a button"] += 1
        elif isinstance(self.pad, Touchpad):
            self.pad.button(time_us, code, value == _DOWN, flags)
        else:
            button = x11_button(code, self.device.has_left_button)
            self._rows.button(time_us, value == _DOWN, button or 0, self._pointer.place, flags)


class _Keyboard:
    """All keys of a session: a modifier of one keyboard holds for the others."""

    def __init__(self, keymap: AnyKeymap, rows: Rows, ignored: Counter[str]) -> None:
        self._keymap, self._state, self._rows, self.ignored = keymap, keymap.state(), rows, ignored

    def press(self, time_us: int, code: int, value: int, is_obfuscated: bool, flags: int = 0) -> None:
        """A key event. Value 2 is the console's repeat, in its rhythm and not the desktop's: so it is `ESTIMATED`.

        A press that is `RESTATED` changes what is held, and writes nothing.
        """
        if value not in (_UP, _DOWN, _REPEAT):
            self.ignored["key with an unknown value"] += 1
            return
        kind = Kind.KEY_UP if value == _UP else Kind.KEY_DOWN
        if value == _REPEAT:
            flags |= Flag.AUTO_REPEAT | Flag.ESTIMATED
        if is_obfuscated and code == KEY_A:
            self._rows.key(time_us, kind, flags | Flag.UNKNOWN_LAYOUT, None, None, None)
            return
        text = self._state.text(code, value != _UP)
        if flags & Flag.RESTATED:
            text = None
        if text and self._keymap.is_assumed:
            flags |= Flag.UNKNOWN_LAYOUT
        self._rows.key(time_us, kind, flags, code, self._keymap.key_name(code), text)

    def forget(self, held: Iterable[int]) -> None:
        """Keys are no longer held, though nobody saw them go up."""
        for code in held:
            self._state.text(code, False)

    def lock(self, code: int) -> None:
        """A lock is on."""
        for down in (True, False):
            self._state.text(code, down)
