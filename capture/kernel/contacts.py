"""Fingers on a device, frame by frame, whichever way the device tells them.

There are three ways (the kernel's multi-touch-protocol.rst): slots, each with its own finger (protocol B); all fingers
again in each frame, each ended by SYN_MT_REPORT (protocol A); and one place, ABS_X and ABS_Y, with a key that says
whether it is touched. Many touchpads also tell how many fingers there are (BTN_TOOL_DOUBLETAP …), since they know two
places at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from taskreel.capture.kernel.codes import (
    ABS_MT_POSITION_X,
    ABS_MT_POSITION_Y,
    ABS_MT_SLOT,
    ABS_MT_TRACKING_ID,
    ABS_X,
    ABS_Y,
    BTN_TOUCH,
    EV_ABS,
    EV_KEY,
    EV_SYN,
    FINGERS_OF_TOOL,
    SYN_MT_REPORT,
)

Place = tuple[int, int]

_POSITIONS = {ABS_MT_POSITION_X: 0, ABS_MT_POSITION_Y: 1, ABS_X: 0, ABS_Y: 1}


@dataclass(frozen=True)
class Touching:
    """The fingers that are down after a frame: how many, and the known places by a number that is the finger's own."""

    places: dict[int, Place]
    fingers: int


class _Spot:
    """A finger that may be there: a slot, or the one place of a device without slots."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.place: list[int | None] = [None, None]


class Contacts:
    """What is known of the fingers on one device."""

    def __init__(self) -> None:
        self._slots: dict[int, _Spot] = {}
        self._slot = 0
        self._single = _Spot()
        self._listed: dict[int, Place] = {}
        self._is_listing = False
        self._tools: set[int] = set()
        self._touch: bool | None = None
        self._has_list = False

    def update(self, events: Sequence[tuple[int, int, int]]) -> Touching:
        """Take a frame's events; the fingers that are down after it."""
        listed: dict[int, Place] = {}
        spot = _Spot()
        self._is_listing = False
        for kind, code, value in events:
            if kind == EV_KEY:
                self._update_key(code, value)
            elif kind == EV_SYN and code == SYN_MT_REPORT:
                self._end_listed(listed, spot)
                spot = _Spot()
            elif kind == EV_ABS:
                self._update_axis(code, value, spot)
        if self._is_listing:
            self._listed = listed
        return self._touching()

    def forget(self) -> None:
        """After lost events nothing is known of what is down. The devices' places are, since they tell only changes."""
        self._listed, self._tools, self._touch = {}, set(), None
        for spot in self._slots.values():
            spot.number = None

    def place(self) -> Place | None:
        """The one place of a device, touched or not; None while it is not known."""
        x, y = self._single.place
        return None if x is None or y is None else (x, y)

    @property
    def is_touched(self) -> bool:
        """Whether the device says that it is touched."""
        return bool(self._touch)

    def _update_key(self, code: int, value: int) -> None:
        if code == BTN_TOUCH:
            self._touch = value != 0
        elif code in FINGERS_OF_TOOL:
            (self._tools.add if value else self._tools.discard)(code)

    def _update_axis(self, code: int, value: int, listed: _Spot) -> None:
        if code in (ABS_X, ABS_Y):
            self._single.place[_POSITIONS[code]] = value
        elif code == ABS_MT_SLOT:
            self._slot = value
        elif code == ABS_MT_TRACKING_ID:
            listed.number = value
            self._of_slot().number = value if value >= 0 else None
        elif code in _POSITIONS:
            listed.place[_POSITIONS[code]] = value
            self._of_slot().place[_POSITIONS[code]] = value

    def _of_slot(self) -> _Spot:
        return self._slots.setdefault(self._slot, _Spot())

    def _end_listed(self, listed: dict[int, Place], spot: _Spot) -> None:
        self._has_list = self._is_listing = True
        x, y = spot.place
        if x is not None and y is not None:
            listed[spot.number if spot.number is not None else len(listed)] = (x, y)

    def _touching(self) -> Touching:
        places = self._places()
        if self._touch is False:
            places = {}
        count = max((FINGERS_OF_TOOL[tool] for tool in self._tools), default=0)
        return Touching(places, max(len(places), count if places else 0))

    def _places(self) -> dict[int, Place]:
        if self._has_list:
            return self._listed
        active = {spot.number: spot.place for spot in self._slots.values() if spot.number is not None}
        if self._slots:
            return {number: (x, y) for number, (x, y) in active.items() if x is not None and y is not None}
        place = self.place()
        return {0: place} if place and (self._touch or self._tools) else {}
