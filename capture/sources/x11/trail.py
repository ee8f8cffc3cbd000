"""Where the pointer was at each event of a batch: raw events do not say it, and a query for each costs too much.

The server is asked once, after the last event of the batch. From there it goes back along the distances of the moves.
"""

from __future__ import annotations

from typing import NamedTuple

from taskreel.capture.sources.protocol import Event
from taskreel.capture.sources.x11.devices import Motion
from taskreel.io.kinds import POSITION_UNITS_PER_PX, Flag

_ESTIMATED = int(Flag.ESTIMATED)  # an int takes part in `|` ten times faster than a flag
_Place = tuple[float, float]


class _Step(NamedTuple):
    event: Event
    is_placed: bool
    motion: Motion | None


class Trail:
    """The events of a batch, in order. Those that have no place, such as keys, only keep their turn."""

    def __init__(self) -> None:
        self._steps: list[_Step] = []
        self._place: _Place | None = None

    def __bool__(self) -> bool:
        return bool(self._steps)

    def add(self, event: Event, motion: Motion | None = None) -> None:
        """An event that happened where the pointer was, after `motion` if it is one."""
        self._steps.append(_Step(event, True, motion))

    def add_placeless(self, event: Event) -> None:
        """An event that needs no place."""
        self._steps.append(_Step(event, False, None))

    def drop(self) -> int:
        """Give all up; how many there were."""
        count = len(self._steps)
        self._steps = []
        return count

    def settle(self, x_px: int, y_px: int, screen_px: tuple[int, int]) -> list[Event]:
        """The events with their places; the pointer is at `x_px`, `y_px` after the last one.

        A place that was found by going along distances is flagged as estimated. It is always on the screen.
        """
        steps, self._steps = self._steps, []
        begin, self._place = self._place or (x_px, y_px), (x_px, y_px)
        if _goes_to_places(steps, self._place):
            places = _forward(steps, begin, screen_px)
        else:
            places = _backward(steps, self._place, screen_px)
        still = _still_from(steps)
        for step, (x, y) in zip(steps[:still], places, strict=False):
            if step.is_placed:
                _put_at(step.event, int(x), int(y))
                step.event.flags |= _ESTIMATED
        for step in steps[still:]:
            if step.is_placed:
                _put_at(step.event, x_px, y_px)
        return [step.event for step in steps]


def _put_at(event: Event, x_px: int, y_px: int) -> None:
    event.x, event.y = x_px * POSITION_UNITS_PER_PX, y_px * POSITION_UNITS_PER_PX


def _still_from(steps: list[_Step]) -> int:
    """From which step on the pointer stood still: after the last motion."""
    for number in range(len(steps) - 1, -1, -1):
        motion = steps[number].motion
        if motion and (motion.dx or motion.dy):
            return number
    return 0


def _backward(steps: list[_Step], end: _Place, screen_px: tuple[int, int]) -> list[_Place]:
    x, y = end[0] + 0.5, end[1] + 0.5  # the server knows fractions and says whole pixels
    places = []
    for _, _, motion in reversed(steps):
        places.append((x, y))
        if motion:
            x, y = _on_screen(x - motion.dx, y - motion.dy, screen_px)
    return places[::-1]


def _forward(steps: list[_Step], begin: _Place, screen_px: tuple[int, int]) -> list[_Place]:
    x, y = begin
    places = []
    for _, _, motion in steps:
        if motion and motion.target:
            x, y = _on_screen(*motion.target, screen_px)
        elif motion:
            x, y = _on_screen(x + motion.dx, y + motion.dy, screen_px)
        places.append((x, y))
    return places


def _goes_to_places(steps: list[_Step], place_px: _Place) -> bool:
    """Whether XTEST's moves were to places rather than by distances: the last one was to where the pointer is."""
    for step in reversed(steps):
        if step.motion and step.motion.target:
            return (int(step.motion.target[0]), int(step.motion.target[1])) == place_px
    return False


def _on_screen(x: float, y: float, screen_px: tuple[int, int]) -> _Place:
    right, bottom = screen_px[0] - 1.0, screen_px[1] - 1.0
    if 0.0 <= x <= right and 0.0 <= y <= bottom:
        return x, y
    return min(max(x, 0.0), right), min(max(y, 0.0), bottom)
