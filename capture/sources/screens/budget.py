"""How many pictures may be made: a bucket of tokens that fills with time."""

from __future__ import annotations

BURST = 4
"""Pictures that may be made at once after a calm time."""


class Budget:
    """Tokens for `per_s` pictures a second on average, `BURST` at once. Times are µs of one clock, and rise."""

    def __init__(self, per_s: float, now_us: int) -> None:
        self._per_us, self._filled_us, self._tokens = per_s / 1_000_000, now_us, float(BURST)

    def tokens(self, now_us: int) -> float:
        """How many there are now."""
        self._tokens = min(float(BURST), self._tokens + (now_us - self._filled_us) * self._per_us)
        self._filled_us = now_us
        return self._tokens

    def take(self) -> None:
        """One picture is made."""
        self._tokens -= 1
