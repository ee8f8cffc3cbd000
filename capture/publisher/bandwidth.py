"""No more bytes a second than a person allows."""

from __future__ import annotations

import time
from collections.abc import Callable

_UNITS = {"k": 1_000, "M": 1_000_000}
_BURST_S = 0.1


def bytes_per_s(option: str, text: str) -> int:
    """A rate such as 500k, 2M or 80000 (bytes a second); raises `ValueError` that names the option."""
    number, unit = (text[:-1], _UNITS[text[-1]]) if text[-1:] in _UNITS else (text, 1)
    try:
        rate = round(float(number) * unit)
    except (ValueError, OverflowError):
        rate = 0
    if rate < 1:
        raise ValueError(f"{option} {text}: bytes a second are expected, such as 500k or 2M")
    return rate


class Throttle:
    """A token bucket: in any time T passes at most rate x (T + 0.1 s), and one block more.

    `sleep` may end early; then the next block waits for longer. For one thread.
    """

    def __init__(
        self,
        rate_bytes_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._rate_bytes_s = rate_bytes_s
        self._clock = clock
        self._sleep = sleep
        self._paid_until_s = clock()

    def take(self, count: int) -> None:
        """Wait until `count` bytes may be sent."""
        now_s = self._clock()
        self._paid_until_s = max(self._paid_until_s, now_s - _BURST_S) + count / self._rate_bytes_s
        if self._paid_until_s > now_s:
            self._sleep(self._paid_until_s - now_s)
