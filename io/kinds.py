"""What kinds of events there are, and the units of their numbers. Needs no library, so that a recorder stays small.

Positions are integers in units of 1/`POSITION_UNITS_PER_PX` pixel, so that no decision depends on how a processor
rounds; macOS reports positions in 1/256 point, and 256 holds them without loss.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum, IntFlag

PICTURE_HASH_DIGITS = 32

POSITION_UNITS_PER_PX = 256
"""In an event table in memory. A segment may store coarser units (its header's `positions_per_px`)."""

WHEEL_UNITS_PER_TICK = 120
"""Wheel movement is in 1/120 of a detent, as Linux's `REL_WHEEL_HI_RES` and Windows' `WHEEL_DELTA` count it."""


class Kind(IntEnum):
    """What happened. The numbers are part of the segment format and are never reused."""

    KEY_DOWN = 1
    KEY_UP = 2
    BUTTON_DOWN = 3
    BUTTON_UP = 4
    MOVE = 5
    SCROLL = 6
    FOCUS = 7
    SCREEN = 8
    MARK_START = 9
    MARK_END = 10
    PAUSE = 11
    RESUME = 12
    GEOMETRY = 13
    GAP = 14


class Flag(IntFlag):
    """What has to be known of an event beside its values. Nothing is deleted that can be flagged."""

    SYNTHETIC = 1 << 0
    """Injected by a program (XTEST): also how VNC types, so never a reason to drop."""
    ESTIMATED = 1 << 1
    """The position was integrated from relative motion, or the repeat was computed."""
    AUTO_REPEAT = 1 << 2
    RECORDER_CONTROL = 1 << 3
    """The recorder's own control keys and clicks."""
    IME = 1 << 4
    """An input method was active: the text of a key is not what reached the application."""
    RESTATED = 1 << 5
    """State repeated at the start of a segment, so that it can be read alone; nothing happened."""
    UNKNOWN_LAYOUT = 1 << 6
    """The text was inferred from a bare key code with an assumed layout."""
    INFERRED = 1 << 7
    """No button was pressed: it is what a compositor would have made of a touch."""


@dataclass(frozen=True)
class Screen:
    """The screen's geometry: physical pixels, logical points per pixel as `scale`, and the monitors on it."""

    width_px: int
    height_px: int
    scale: float = 1.0
    monitors: tuple[tuple[int, int, int, int], ...] = ()


def picture_hash(picture: bytes) -> str:
    """The content hash that an event's `picture_hash` holds."""
    return hashlib.sha256(picture).hexdigest()[:PICTURE_HASH_DIGITS]
