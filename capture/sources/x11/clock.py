"""The clock of an X server: milliseconds modulo 2^32, which are over after 49.7 days."""

from __future__ import annotations

from dataclasses import dataclass

_PERIOD_MS = 1 << 32
_PERIOD_US = _PERIOD_MS * 1000
_SAME_CLOCK_US = 1_000_000
"""A server whose time is as near as this to ours is on this machine and reads the same clock."""


@dataclass(frozen=True)
class ServerClock:
    """From a server's time to CLOCK_MONOTONIC. `offset_us` is what has to be added: 0 for a server on this machine."""

    offset_us: int = 0

    @classmethod
    def set_by(cls, server_ms: int, now_us: int) -> ServerClock:
        """The clock of a server whose time was `server_ms` when CLOCK_MONOTONIC was `now_us`."""
        ahead_us = now_us - cls().monotonic_us(server_ms, now_us)
        return cls(0 if abs(ahead_us) < _SAME_CLOCK_US else ahead_us)

    def monotonic_us(self, server_ms: int, near_us: int) -> int:
        """Microseconds of CLOCK_MONOTONIC: of all times that this may be, the one next to `near_us`."""
        first_us = server_ms * 1000 + self.offset_us
        return first_us + (near_us - first_us + _PERIOD_US // 2) // _PERIOD_US * _PERIOD_US
