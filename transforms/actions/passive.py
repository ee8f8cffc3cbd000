"""What happens without an input: the screen changes by itself, and a marked task ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from taskreel.io.events import Kind
from taskreel.transforms.actions.rules import ActionOptions
from taskreel.transforms.actions.stream import Stream
from taskreel.transforms.looks import distinct_screens

if TYPE_CHECKING:
    from taskreel.transforms.actions.parts import Parts

_INPUT = (Kind.KEY_DOWN, Kind.KEY_UP, Kind.BUTTON_DOWN, Kind.BUTTON_UP, Kind.MOVE, Kind.SCROLL)


def ends_of_tasks(kind: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """The rows at which a marked task ends: of the markers at rows `marks`, each end that follows a start."""
    is_end = kind[marks] == Kind.MARK_END
    return marks[1:][is_end[1:] & ~is_end[:-1]]


def waits(stream: Stream, parts: Parts, rules: ActionOptions) -> tuple[np.ndarray, np.ndarray]:
    """The screens that were waited for, by their rows, and since when, in microseconds."""
    screens = stream.of_kind(Kind.SCREEN)
    if not len(screens) or not len(parts.head):
        return screens[:0], screens[:0]
    screens = screens[distinct_screens(stream.events, screens, same_screen_ppm=rules.same_screen_ppm)]
    screens = screens[_came_by_itself(stream, screens, rules)]
    began = np.minimum(parts.first, parts.start)
    order = np.argsort(began, kind="stable")
    ended = np.maximum.accumulate(parts.end[order])
    gap = np.searchsorted(began[order], screens)
    between = (gap > 0) & (gap < len(began))
    screens, gap = screens[between], gap[between]
    at_rest = ended[gap - 1] < screens
    screens, gap = screens[at_rest], gap[at_rest]
    last = np.flatnonzero(np.diff(gap, append=-1))
    return screens[last], stream.time_us[ended[gap[last] - 1]]


def _came_by_itself(stream: Stream, screens: np.ndarray, rules: ActionOptions) -> np.ndarray:
    """Whether nothing was done in the `wait_ms` before each of some screens."""
    inputs = stream.of_kind(*_INPUT)
    before = np.searchsorted(inputs, screens) - 1
    quiet_us = stream.time_us[screens] - stream.time_us[inputs[before]] if len(inputs) else np.zeros(len(screens))
    return (before < 0) | (quiet_us >= rules.wait_ms * 1000)
