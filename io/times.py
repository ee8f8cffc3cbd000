"""Times as the whole project keeps them: `int64` microseconds UTC."""

from __future__ import annotations

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
