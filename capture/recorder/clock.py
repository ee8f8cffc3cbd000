"""Monotonic time to UTC, fixed when a recording begins, and when that stops being true.

Events of one recording never go back in time: UTC is taken once, and CLOCK_MONOTONIC counts on from it. What UTC
really was is told by more anchors in the segments' headers. Where the two part company by `JUMP_US` (somebody set the
clock, or the machine slept, while CLOCK_MONOTONIC stood still), the recording has to end and another to begin.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

JUMP_US = 500_000
"""More than any slewing does between two looks (500 µs a second at most, adjtimex(2)), less than a person notices."""


@dataclass(frozen=True)
class Reading:
    """The machine's clocks at one moment, in µs: CLOCK_MONOTONIC, CLOCK_REALTIME (UTC), CLOCK_BOOTTIME."""

    monotonic_us: int
    utc_us: int
    boot_us: int


def read_clocks() -> Reading:
    """The clocks now."""
    return Reading(
        time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000,
        time.clock_gettime_ns(time.CLOCK_REALTIME) // 1000,
        time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000,
    )


class RecordingClock:
    """The clock of one recording."""

    def __init__(self, read: Callable[[], Reading] = read_clocks) -> None:
        self._read = read
        self._begin = self._last = read()
        self._offset_us = self._begin.utc_us - self._begin.monotonic_us

    def utc_us(self, monotonic_us: int) -> int:
        """A source's time as the recording's."""
        return monotonic_us + self._offset_us

    def broken(self) -> str | None:
        """Why the recording has to end by what came since this was last asked: `suspended`, `clock_jumped`, or None."""
        before, now = self._last, self._read()
        self._last = now
        passed_us = now.monotonic_us - before.monotonic_us
        if now.boot_us - before.boot_us - passed_us > JUMP_US:
            return "suspended"
        if abs(now.utc_us - before.utc_us - passed_us) > JUMP_US:
            return "clock_jumped"
        return None

    def anchors(self) -> tuple[tuple[int, int], ...]:
        """(the recording's time, UTC): when it began, and now."""
        now = self._read()
        return (self._begin.utc_us, self._begin.utc_us), (self.utc_us(now.monotonic_us), now.utc_us)
