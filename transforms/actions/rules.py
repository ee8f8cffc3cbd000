"""The rules of the reducer as data: its thresholds, what an event can belong to, and the action table's columns.

`docs/actions.md` is their specification and gives the reason of each default.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum, IntFlag

import numpy as np
import pyarrow as pa

from taskreel.io.schemas import PATH

REDUCER_VERSION = "2"

LARGEST_PX, LARGEST = 1 << 18, 1 << 40
"""What the thresholds may be. Up to the square of the first, in units of a position, floats hold whole numbers."""

MODIFIERS = ("ctrl", "alt", "shift", "meta")
"""In the order in which a hotkey names them."""


@dataclass(frozen=True)
class ActionOptions:
    """The rules' thresholds, by the names of `docs/actions.md`. Raises `ValueError` that names the field."""

    multi_click_ms: int = 500
    multi_click_px: int = 5
    drag_px: int = 10
    hold_ms: int = 1000
    scroll_gap_ms: int = 2000
    typing_gap_ms: int = 1000
    repeat_gap_ms: int = 1000
    repeat_delay_ms: int = 660
    repeat_interval_ms: int = 40
    approach_pause_ms: int = 200
    approach_longest_ms: int = 2000
    hover_ms: int = 1000
    wait_ms: int = 1000
    path_tolerance_px: int = 3
    same_screen_ppm: int = 0
    keep_moves: bool = False
    resolve_edits: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value, most = getattr(self, field.name), LARGEST_PX if field.name.endswith("_px") else LARGEST
            if not 0 <= value <= most:
                raise ValueError(f"{field.name} is {value}; it must lie between 0 and {most}")
        if not self.repeat_interval_ms:
            raise ValueError("repeat_interval_ms is 0; a held key repeats after at least 1 ms")


class Drop(IntEnum):
    """Why an event belongs to no action. Negative, so that an owner is an action's number or one of these."""

    MOVE = -1
    SCREEN = -2
    FOCUS = -3
    MARKER = -4
    STATE = -5
    BUTTON_UP_WITHOUT_DOWN = -6
    KEY_UP_WITHOUT_DOWN = -7
    MODIFIER = -8
    OUTSIDE_SESSION = -9
    DUPLICATE = -10
    NO_TURN = -11


class ActionFlag(IntFlag):
    """What has to be known of an action to use it. Published by name, in lower case, in the order of the bits."""

    UNPAIRED = 1 << 0
    NO_PICTURE = 1 << 1
    PICTURE_MISSING = 1 << 2
    ESTIMATED_POSITION = 1 << 3
    SYNTHETIC = 1 << 4
    ESTIMATED_COUNT = 1 << 5
    RECORDER_CONTROL = 1 << 6
    IME = 1 << 7
    UNKNOWN_LAYOUT = 1 << 8
    INFERRED = 1 << 9
    CLOCK_UNALIGNED = 1 << 10


_WORD = pa.dictionary(pa.int32(), pa.string())

ACTION_SCHEMA = pa.schema(
    [
        pa.field("action", _WORD, nullable=False),
        pa.field("start_us", pa.int64(), nullable=False),
        pa.field("end_us", pa.int64(), nullable=False),
        pa.field("approach_us", pa.int64(), nullable=False),
        pa.field("recording", pa.int32(), nullable=False),
        pa.field("device", pa.int32(), nullable=False),
        pa.field("segment", pa.int32(), nullable=False),
        pa.field("first_seq", pa.int64(), nullable=False),
        pa.field("last_seq", pa.int64(), nullable=False),
        pa.field("x", pa.float64()),
        pa.field("y", pa.float64()),
        pa.field("to_x", pa.float64()),
        pa.field("to_y", pa.float64()),
        pa.field("path", PATH),
        pa.field("cursor_x", pa.float64()),
        pa.field("cursor_y", pa.float64()),
        pa.field("button", _WORD),
        pa.field("clicks", pa.int32()),
        pa.field("wheel_x_ticks", pa.float64()),
        pa.field("wheel_y_ticks", pa.float64()),
        pa.field("text", pa.string()),
        pa.field("keys", _WORD),
        pa.field("count", pa.int32()),
        pa.field("modifiers", _WORD),
        pa.field("app", _WORD),
        pa.field("title", _WORD),
        pa.field("url", _WORD),
        pa.field("flags", pa.int32(), nullable=False),
    ]
)
"""One row an action, as `docs/actions.md` says. All positions in px. `flags`: `ActionFlag`."""


@dataclass(frozen=True)
class Reduction:
    """Actions (`ACTION_SCHEMA`) in the order that `docs/actions.md` gives, and each event's owner.

    `owner`, int32 of shape (events,): the row of an action, or a `Drop`.
    """

    actions: pa.Table
    owner: np.ndarray
