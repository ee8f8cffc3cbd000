"""Kernel events as arrays: their layout, the bytes of a device, times that do not go back, and frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from taskreel.capture.kernel.codes import EV_SYN, SYN_DROPPED, SYN_REPORT

KERNEL_EVENT = np.dtype([("time_us", "<i8"), ("type", "<u2"), ("code", "<u2"), ("value", "<i4")])
"""One kernel event. Times are microseconds of whatever clock the device was told to use."""

_INPUT_EVENT = np.dtype([("sec", "<i8"), ("usec", "<i8"), ("type", "<u2"), ("code", "<u2"), ("value", "<i4")])
"""`struct input_event` of 64-bit Linux."""

FRAME_LONGEST_US = 10_000
"""At this age a frame ends even without a SYN_REPORT. Old kernels stamp the events of one frame microseconds apart."""


@dataclass(frozen=True)
class Frame:
    """What a device told at once: (type, code, value) without the SYN_REPORT. `is_gap`: events before it were lost."""

    time_us: int
    events: list[tuple[int, int, int]]
    is_gap: bool = False


def from_input_events(data: bytes) -> np.ndarray:
    """`KERNEL_EVENT` of the bytes of a device; a part of an event at the end is left out."""
    raw = np.frombuffer(data, _INPUT_EVENT, count=len(data) // _INPUT_EVENT.itemsize)
    events = np.empty(len(raw), KERNEL_EVENT)
    events["time_us"] = raw["sec"] * 1_000_000 + raw["usec"]
    for name in ("type", "code", "value"):
        events[name] = raw[name]
    return events


def forward_times(time_us: np.ndarray) -> tuple[np.ndarray, int]:
    """Times of one device that never go back, and by how much in all its clock had gone back.

    Where the clock was set back, time stands still for one event and goes on from there, so that the intervals are kept
    and no release gets before its press.
    """
    back = np.minimum(np.diff(time_us, prepend=time_us[:1]), 0)
    return time_us - np.cumsum(back), int(-back.sum())


def frames(events: np.ndarray) -> Iterator[Frame]:
    """The frames of one device's events (`KERNEL_EVENT`, times rising), each with the time of its last event.

    After SYN_DROPPED the kernel had lost events: what is there up to and with the next SYN_REPORT is no whole frame. It
    is left out, and an empty frame that `is_gap` stands for it. Source: the kernel's event-codes.rst.
    """
    rows: list[tuple[int, int, int]] = []
    first_us = last_us = 0
    dropping = False
    for time_us, kind, code, value in events.tolist():
        if rows and time_us - first_us > FRAME_LONGEST_US:
            yield Frame(last_us, rows)
            rows = []
        if kind == EV_SYN and code == SYN_DROPPED:
            if not dropping:
                yield Frame(time_us, [], is_gap=True)
            rows, dropping = [], True
        elif kind == EV_SYN and code == SYN_REPORT:
            if rows:
                yield Frame(time_us, rows)
            rows, dropping = [], False
        elif not dropping:
            first_us = first_us if rows else time_us
            rows.append((kind, code, value))
        last_us = time_us
    if rows:
        yield Frame(last_us, rows)
