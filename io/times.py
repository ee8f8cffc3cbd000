"""Times as the whole project keeps them: `int64` microseconds UTC."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

SECOND_US = 1_000_000


def iso_from_us(time_us: int) -> str:
    """Microseconds UTC as ISO 8601 with a Z.

    >>> iso_from_us(1_767_603_600_500_000)
    '2026-01-05T09:00:00.500000Z'
    """
    seconds, microseconds = divmod(time_us, SECOND_US)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=microseconds)
    return moment.isoformat().replace("+00:00", "Z")


def us_from_iso(text: str) -> int:
    """ISO 8601 as microseconds UTC; a time without an offset is UTC. Raises `ValueError`.

    >>> us_from_iso("2026-01-05T10:00+01:00")
    1767603600000000
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * SECOND_US + delta.microseconds


@dataclass(frozen=True)
class Clock:
    """The time of day that a long run goes by: the real one, or in a trial one that runs faster.

    At the real time `real_us` it is `shown_us`, and from then on it runs `rate` times as fast.

    >>> Clock.parse("2026-01-05T09:00:00Z@2026-11-25T12:00:00Z*600").us(us_from_iso("2026-11-25T12:00:02Z"))
    1767604800000000
    """

    shown_us: int = 0
    real_us: int = 0
    rate: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Clock:
        """SHOWN@REAL*RATE, times in ISO 8601; raises `ValueError`."""
        shown, at, rest = text.partition("@")
        real, times, rate = rest.partition("*")
        if not (at and times and 0 < float(rate) < 1e6):
            raise ValueError(
                f"{text}: SHOWN@REAL*RATE is expected, such as 2026-01-05T09:00:00Z@2026-11-25T12:00:00Z*600"
            )
        return cls(us_from_iso(shown), us_from_iso(real), float(rate))

    def us(self, real_us: int) -> int:
        """What this clock shows at a real time, microseconds UTC."""
        return self.shown_us + int((real_us - self.real_us) * self.rate)

    def now_us(self) -> int:
        """What it shows now, by the clock of this machine."""
        return self.us(time.time_ns() // 1000)
