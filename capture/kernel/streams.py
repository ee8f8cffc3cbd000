"""Kernel events as arrays: their layout, the bytes of a device, times that do not go back, and frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from taskreel.capture.kernel.codes import EV_SYN, SYN_DROPPED, SYN_REPORT

KERNEL_EVENT = np.dtype([("time_us", "<i8"), ("type", "<u2"), ("code", "<u2"), ("value", "<i4")])
"""One kernel event. Times are microseconds of whatever clock the device was told to use."""

_REST = [("type", "<u2"), ("code", "<u2"), ("value", "<i4")]
INPUT_EVENT = {
    64: np.dtype([("sec", "<i8"), ("usec", "<i8"), *_REST]),
    32: np.dtype([("sec", "<u4"), ("usec", "<u4"), *_REST]),
}
"""`struct input_event` of 64-bit and of 32-bit Linux, by the number of bits of its times."""

FRAME_LONGEST_US = 10_000
"""At this age a frame ends even without a SYN_REPORT. Old kernels stamp the events of one frame microseconds apart."""


@dataclass(frozen=True)
class Frame:
    """What a device told at once: (type, code, value) without the SYN_REPORT.

    `is_gap`: events before it were lost. `is_restated`: no event said so, the device's state was read.
    """

    time_us: int
    events: list[tuple[int, int, int]]
    is_gap: bool = False
    is_restated: bool = False


def from_input_events(data: bytes, bits: int = 64) -> np.ndarray:
    """`KERNEL_EVENT` of the bytes of a device; a part of an event at the end is left out."""
    layout = INPUT_EVENT[bits]
    raw = np.frombuffer(data, layout, count=len(data) // layout.itemsize)
    events = np.empty(len(raw), KERNEL_EVENT)
    events["time_us"] = raw["sec"].astype(np.int64) * 1_000_000 + raw["usec"]
    for name in ("type", "code", "value"):
        events[name] = raw[name]
    return events


def forward_times(time_us: np.ndarray) -> tuple[np.ndarray, int]:
    """Times of one device that never go back, and by how much in all its clock had gone back; see `ForwardClock`."""
    clock = ForwardClock()
    return clock.forward(time_us), clock.back_us


class ForwardClock:
    """Times of one device as they come, made never to go back. `back_us`: by how much in all its clock had gone back.

    Where the clock was set back, time stands still for one event and goes on from there, so that the intervals are kept
    and no release gets before its press.
    """

    def __init__(self) -> None:
        self.back_us = 0
        self._last_us: int | None = None

    def forward(self, time_us: np.ndarray) -> np.ndarray:
        """The next times."""
        if not len(time_us):
            return time_us
        before_us, self._last_us = self._last_us, int(time_us[-1])
        steps = time_us[1:] - time_us[:-1]
        first_back_us = 0 if before_us is None else min(int(time_us[0]) - before_us, 0)
        if not first_back_us and (steps >= 0).all():
            return time_us + self.back_us if self.back_us else time_us
        back = np.concatenate(([first_back_us], np.minimum(steps, 0))).cumsum()
        forward = time_us + self.back_us - back
        self.back_us -= int(back[-1])
        return forward


def frames(events: np.ndarray) -> Iterator[Frame]:
    """The frames of one device's events (`KERNEL_EVENT`, times rising); see `Framer`."""
    framer = Framer()
    yield from framer.feed(events)
    yield from framer.end()


class Framer:
    """Cuts the events of one device into frames as they come, each with the time of its last event.

    After SYN_DROPPED the kernel had lost events: what is there up to and with the next SYN_REPORT is no whole frame. It
    is left out, and an empty frame that `is_gap` stands for it. Source: the kernel's event-codes.rst.
    """

    def __init__(self) -> None:
        self._rows: list[tuple[int, int, int]] = []
        self._first_us = self._last_us = 0
        self._gap_us: int | None = None

    def feed(self, events: np.ndarray) -> Iterator[Frame]:
        """The frames that these events (`KERNEL_EVENT`, times rising) end. A gap ends where its SYN_REPORT is."""
        for time_us, kind, code, value in events.tolist():
            if self._rows and time_us - self._first_us > FRAME_LONGEST_US:
                yield self._whole(self._last_us)
            if kind == EV_SYN and code == SYN_DROPPED:
                if self._gap_us is None:
                    self._gap_us = time_us
                self._rows = []
            elif kind == EV_SYN and code == SYN_REPORT:
                yield from self._report(time_us)
            elif self._gap_us is None:
                self._first_us = self._first_us if self._rows else time_us
                self._rows.append((kind, code, value))
            self._last_us = time_us

    def end(self) -> Iterator[Frame]:
        """What there is of a last frame, when no more events come."""
        yield from self._report(self._last_us)

    def _report(self, time_us: int) -> Iterator[Frame]:
        if self._gap_us is not None:
            gap_us, self._gap_us = self._gap_us, None
            yield Frame(gap_us, [], is_gap=True)
        elif self._rows:
            yield self._whole(time_us)

    def _whole(self, time_us: int) -> Frame:
        rows, self._rows = self._rows, []
        return Frame(time_us, rows)
