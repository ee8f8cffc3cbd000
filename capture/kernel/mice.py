"""Relative motion and wheels."""

from __future__ import annotations

from collections.abc import Sequence

from taskreel.capture.kernel.codes import (
    EV_REL,
    REL_HWHEEL,
    REL_HWHEEL_HI_RES,
    REL_WHEEL,
    REL_WHEEL_HI_RES,
    REL_X,
    REL_Y,
)
from taskreel.capture.kernel.pointers import Pointer, Rows
from taskreel.io.kinds import POSITION_UNITS_PER_PX, WHEEL_UNITS_PER_TICK

_FINE_OF_COARSE = {REL_HWHEEL: REL_HWHEEL_HI_RES, REL_WHEEL: REL_WHEEL_HI_RES}
"""A wheel of high resolution tells its ticks, too. Both are one turn."""

KNOWN = frozenset({REL_X, REL_Y, *_FINE_OF_COARSE, *_FINE_OF_COARSE.values()})


class Mouse:
    """The relative axes of a device; its frames go in, rows come out.

    One count is one pixel: what the desktop made of it (acceleration) is not known.
    """

    def __init__(self, pointer: Pointer, rows: Rows) -> None:
        self._pointer, self._rows = pointer, rows
        self._used: set[int] = set()

    def update(self, time_us: int, events: Sequence[tuple[int, int, int]]) -> None:
        """Take a frame's relative axes."""
        total = dict.fromkeys(KNOWN, 0)
        for kind, code, value in events:
            if kind == EV_REL and code in KNOWN:
                total[code] += value
                self._used.add(code)
        if total[REL_X] or total[REL_Y]:
            by = total[REL_X] * POSITION_UNITS_PER_PX, total[REL_Y] * POSITION_UNITS_PER_PX
            self._rows.move(time_us, self._pointer.move_by(*by))
        wheel = self._turned(REL_HWHEEL, total), self._turned(REL_WHEEL, total)
        if any(wheel):
            self._rows.scroll(time_us, *wheel, self._pointer.place)

    def _turned(self, coarse: int, total: dict[int, int]) -> int:
        """By the fine axis once it was used: devices announce one that they never use, so a description is no proof."""
        fine = _FINE_OF_COARSE[coarse]
        return total[fine] if fine in self._used else total[coarse] * WHEEL_UNITS_PER_TICK
