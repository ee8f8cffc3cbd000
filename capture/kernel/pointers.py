"""The one pointer of a session, which all of its devices move, and the rows that they make of the event table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from taskreel.io.kinds import Flag, Kind

if TYPE_CHECKING:
    import pyarrow as pa

_INT32_MAX = (1 << 31) - 1
_COLUMNS = ("time_us", "kind", "flags", "x", "y", "code", "wheel_x", "wheel_y", "key", "text", "fingers")
_FINGERS_MAX = 127


@dataclass(frozen=True)
class Place:
    """Where the pointer is, in 1/256 px, and whether that was integrated from motion (`Flag.ESTIMATED`)."""

    x: int
    y: int
    flags: int


Row = tuple[int | str | None, ...]
"""time_us, kind, flags, x, y, code, wheel_x, wheel_y, key, text, fingers: as `EVENT_SCHEMA` has them."""


class Rows:
    """Rows of the event table, in any order."""

    def __init__(self) -> None:
        self._rows: list[Row] = []

    def key(self, time_us: int, kind: Kind, flags: int, code: int | None, key: str | None, text: str | None) -> None:
        """A key went down or up."""
        self._rows.append((time_us, kind, flags, None, None, code, None, None, key, text, None))

    def move(self, time_us: int, at: Place) -> None:
        """The pointer moved."""
        self._rows.append((time_us, Kind.MOVE, at.flags, at.x, at.y, None, None, None, None, None, None))

    def button(
        self, time_us: int, down: bool, button: int, at: Place, flags: int = 0, fingers: int | None = None
    ) -> None:
        """A button (X11's number) went down or up. `fingers`: on the touchpad."""
        kind = Kind.BUTTON_DOWN if down else Kind.BUTTON_UP
        fingers = None if fingers is None else min(fingers, _FINGERS_MAX)
        self._rows.append((time_us, kind, at.flags | flags, at.x, at.y, button, None, None, None, None, fingers))

    def scroll(self, time_us: int, wheel_x: int, wheel_y: int, at: Place, flags: int = 0) -> None:
        """The wheel turned, in 1/120 tick; or fingers did as if."""
        wheel = (_int32(wheel_x), _int32(wheel_y))
        self._rows.append((time_us, Kind.SCROLL, at.flags | flags, at.x, at.y, None, *wheel, None, None, None))

    def gap(self, time_us: int) -> None:
        """Events were lost."""
        self._rows.append((time_us, Kind.GAP, 0, *[None] * (len(_COLUMNS) - 3)))

    def take(self) -> list[Row]:
        """The rows that came since they were last taken, in the order in which they came; they are not kept."""
        rows, self._rows = self._rows, []
        return rows

    def table(self) -> pa.Table:
        """The rows as `SEGMENT_SCHEMA`, sorted by time, equal times in the order in which they came; `seq` from 0."""
        from taskreel.io.events import SEGMENT_SCHEMA, event_table  # Arrow: not for a recorder

        rows = sorted(self._rows, key=lambda row: row[0])  # type: ignore[arg-type, return-value]
        if not rows:
            return SEGMENT_SCHEMA.empty_table()
        columns: dict[str, object] = dict(zip(_COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
        return event_table({"seq": np.arange(len(rows))} | columns)


class Pointer:
    """Where the pointer is. It begins at (0, 0), since no kernel event says where it was."""

    def __init__(self) -> None:
        self._x = self._y = 0
        self._is_estimated = True

    @property
    def place(self) -> Place:
        """Where it is now."""
        return Place(self._x, self._y, Flag.ESTIMATED if self._is_estimated else 0)

    def move_by(self, dx: int, dy: int) -> Place:
        """Move by some 1/256 px; where it is then."""
        self._x, self._y = _int32(self._x + dx), _int32(self._y + dy)
        self._is_estimated = True
        return self.place

    def move_to(self, x: int, y: int) -> Place:
        """Move to a place that was told."""
        self._x, self._y = _int32(x), _int32(y)
        self._is_estimated = False
        return self.place


def _int32(value: int) -> int:
    return max(-_INT32_MAX, min(_INT32_MAX, value))
