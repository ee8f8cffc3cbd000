"""`struct input_event` as bytes come: the two layouts of it are told apart by what kernel events can be.

Its times are two words of the machine: 24 bytes an event on a 64-bit machine, 16 on a 32-bit one. Nothing in a stream
says which, but bytes read in the wrong layout are soon no events: parts of a second beyond a million, unknown types.
"""

from __future__ import annotations

import numpy as np

from taskreel.capture.kernel.codes import EV_SYN, SYN_REPORT
from taskreel.capture.kernel.streams import INPUT_EVENT, KERNEL_EVENT, from_input_events

MOST_BYTES = 4096
"""Streams that are still ambiguous after so many bytes stay so."""

_TYPES = np.zeros(1 << 16, bool)
_TYPES[[*range(0x06), 0x11, 0x12, *range(0x14, 0x18)]] = True
_CODE_MAX = 0x2FF
_SYN_CODE_MAX = 3
_SECONDS_MAX = 253_402_300_799
"""The end of the year 9999."""
_LEAP_US = 86_400_000_000
"""A day: no two events that follow one another lie so far apart while the layout is told."""


class NotInputEventsError(ValueError):
    """Bytes that are no kernel events in any layout; the message ends the sentence "PATH: …"."""


class AmbiguousLayoutError(NotInputEventsError):
    """Bytes that are kernel events in both layouts."""


class Decoder:
    """Bytes of a stream to `KERNEL_EVENT`, whatever the pieces in which they come. `bits`: of the times, if known.

    `is_kernels`: they come from this machine's kernel, and need no check.
    """

    def __init__(self, bits: int | None = None, *, is_kernels: bool = False) -> None:
        self.bits, self._is_kernels = bits, is_kernels
        self._rest = b""

    def feed(self, data: bytes) -> np.ndarray:
        """The events that are complete now. None are until the layout is clear. Raises `NotInputEventsError`."""
        self._rest += data
        if self.bits is None:
            self.bits = told_layout(self._rest)
        return self._decode(self.bits) if self.bits else np.empty(0, KERNEL_EVENT)

    def end(self) -> np.ndarray:
        """The events that waited for their layout to get clear; no more bytes come. Raises `NotInputEventsError`."""
        if self.bits is not None or not self._rest:
            return np.empty(0, KERNEL_EVENT)
        self.bits = told_layout(self._rest, is_all=True)
        if self.bits is None:
            raise _ambiguous()
        return self._decode(self.bits)

    @property
    def is_cut(self) -> bool:
        """Whether a part of an event is left over."""
        return bool(self._rest)

    def _decode(self, bits: int) -> np.ndarray:
        whole = len(self._rest) - len(self._rest) % INPUT_EVENT[bits].itemsize
        data, self._rest = self._rest[:whole], self._rest[whole:]
        if not self._is_kernels and not are_events(data, bits):
            raise NotInputEventsError(f"these are no kernel events with {bits}-bit times")
        return from_input_events(data, bits)


def told_layout(data: bytes, *, is_all: bool = False) -> int | None:
    """64 or 32: the layout of a stream that begins with these bytes; None while more are needed.

    `is_all`: no more bytes come; a layout in which they end within an event is the worse one then. Raises
    `NotInputEventsError` if they are events in no layout, `AmbiguousLayoutError` if in both for too long.
    """
    possible = [bits for bits in INPUT_EVENT if are_events(data, bits)]
    whole = [bits for bits in possible if len(data) >= INPUT_EVENT[bits].itemsize]
    if not possible:
        raise NotInputEventsError("these are no kernel events (`struct input_event`)")
    if len(possible) > 1 and (is_all or len(whole) > 1):
        whole = [bits for bits in whole if _is_likely(data, bits, is_all)]
    if len(whole) == 1 and (is_all or len(possible) == 1 or len(data) >= 4 * INPUT_EVENT[64].itemsize):
        return whole[0]
    if len(data) >= MOST_BYTES:
        raise _ambiguous()
    return None


def are_events(data: bytes, bits: int) -> bool:
    """Whether all whole events in some bytes are such as a kernel can tell."""
    layout = INPUT_EVENT[bits]
    raw = np.frombuffer(data, layout, count=len(data) // layout.itemsize)
    codes_max = np.where(raw["type"] == EV_SYN, _SYN_CODE_MAX, _CODE_MAX)
    return bool(
        _TYPES[raw["type"]].all()
        and (raw["code"] <= codes_max).all()
        and ((raw["usec"] >= 0) & (raw["usec"] < 1_000_000)).all()
        and ((raw["sec"] >= 0) & (raw["sec"] <= _SECONDS_MAX)).all()
    )


def _is_likely(data: bytes, bits: int, is_all: bool) -> bool:
    """Whether the times rise by less than a day, reports end frames that are not empty, and all bytes are used up."""
    events = from_input_events(data, bits)
    steps = np.diff(events["time_us"])
    is_report = (events["type"] == EV_SYN) & (events["code"] == SYN_REPORT)
    is_doubled = is_report[1:] & is_report[:-1]
    return (
        bool(is_report.any() and (steps >= 0).all() and (steps < _LEAP_US).all() and not is_doubled.any())
        and not is_report[0]
        and not (is_all and len(data) % INPUT_EVENT[bits].itemsize)
    )


def _ambiguous() -> AmbiguousLayoutError:
    return AmbiguousLayoutError("it is not clear whether its times have 64 or 32 bits; put #64 or #32 behind its name")
