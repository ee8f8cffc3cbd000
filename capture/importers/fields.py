"""Fields of a foreign event, checked. What is wrong is said without the value: values are what a person did."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from taskreel.io.events import POSITION_UNITS_PER_PX, WHEEL_UNITS_PER_TICK

_LONGEST_PX = (1 << 31) // POSITION_UNITS_PER_PX - 1
_MOST_TICKS = (1 << 31) // WHEEL_UNITS_PER_TICK - 1
_LONGEST_UPTIME_S = 10_000_000_000
_LATEST_US = 250_000_000_000_000_000
"""In the year 9892; the name of a segment has a year of four digits."""


class BadEventError(ValueError):
    """Why a line is no event, in words that hold nothing of the line: they become the reason of a `BadLine`."""


def json_object(line: str | bytes) -> dict[str, Any]:
    """The JSON object that a line is."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise BadEventError("not JSON") from None
    if not isinstance(value, dict):
        raise BadEventError("JSON, but no object")
    return value


def number(event: Mapping[str, Any], name: str) -> float | int:
    """A finite number."""
    value = event.get(name)
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise BadEventError(f"field {name}: a number is expected")


def text(event: Mapping[str, Any], name: str) -> str:
    """A text that is valid Unicode: halves of surrogate pairs are joined, or replaced where they stand alone."""
    value = event.get(name)
    if not isinstance(value, str):
        raise BadEventError(f"field {name}: a text is expected")
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def flag(event: Mapping[str, Any], name: str) -> bool:
    """True or false."""
    value = event.get(name)
    if not isinstance(value, bool):
        raise BadEventError(f"field {name}: true or false is expected")
    return value


def choice(event: Mapping[str, Any], name: str, *choices: str) -> str:
    """One of some texts."""
    value = event.get(name)
    if value not in choices:
        raise BadEventError(f"field {name}: none of the format's values")
    return value


def position_units(event: Mapping[str, Any], name: str) -> int:
    """A position in px as one in units of the event table."""
    return round(_within(event, name, _LONGEST_PX) * POSITION_UNITS_PER_PX)


def wheel_units(event: Mapping[str, Any], name: str) -> int:
    """Ticks of a wheel in units of the event table."""
    return round(_within(event, name, _MOST_TICKS) * WHEEL_UNITS_PER_TICK)


def clock_us(event: Mapping[str, Any], name: str) -> int:
    """Seconds of a monotonic clock, which begins at 0 at the earliest, as whole microseconds."""
    seconds = _within(event, name, _LONGEST_UPTIME_S)
    if seconds < 0:
        raise BadEventError(f"field {name}: a time before the clock's beginning")
    return round(seconds * 1_000_000)


def utc_us(nanoseconds: int) -> int:
    """Nanoseconds of UTC as microseconds, floored."""
    if not 0 <= nanoseconds // 1000 <= _LATEST_US:
        raise BadEventError("a time that is out of range")
    return nanoseconds // 1000


def _within(event: Mapping[str, Any], name: str, most: int) -> float | int:
    value = number(event, name)
    if abs(value) > most:
        raise BadEventError(f"field {name}: out of range")
    return value
