"""Presses: a down and the up that ends it, of one button or one key, with its repeats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LOST = -1
"""The row of a release that never came."""


@dataclass(frozen=True)
class Presses:
    """Presses in order of their first down; arrays of shape (presses,) but for the last two.

    `down`, `up`: rows; an `up` that is `LOST` never came, the press is unpaired. `which`: the button or key.
    `repeat`, `leader`, of shape (repeats,): the rows of repeats, press by press and in order, and the press of each.
    """

    down: np.ndarray
    up: np.ndarray
    which: np.ndarray
    repeat: np.ndarray
    leader: np.ndarray

    @property
    def is_paired(self) -> np.ndarray:
        """Whether the release came."""
        return self.up != LOST

    def lasts(self, time_us: np.ndarray, at_least_ms: int) -> np.ndarray:
        """Whether each press has a release, so long after its down or longer."""
        return (time_us[self.up] - time_us[self.down] >= at_least_ms * 1000) & self.is_paired


def find_presses(
    rows: np.ndarray,
    which: np.ndarray,
    is_down: np.ndarray,
    can_repeat: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
) -> Presses:
    """The presses in downs and ups, given by their rows, of what, and whether they are downs; shape (events,).

    `can_repeat`: whether a down, if its press is open, is a repeat; it gets the rows of downs and those of the downs
    before them of the same key, and returns bools. Without it no down is a repeat.
    """
    order, last = _by_what(which)
    down = is_down[order]
    is_open = down[:-1].copy()
    is_open[last[:-1]] = False
    closed = np.flatnonzero(is_open & ~down[1:])
    release = np.full(len(rows), LOST)
    release[order[closed]] = rows[order[closed + 1]]
    again = np.flatnonzero(is_open & down[1:]) + 1
    if can_repeat is None or not len(again):
        first = np.flatnonzero(is_down)
        return Presses(rows[first], release[first], which[first], again[:0], again[:0])

    again = again[can_repeat(rows[order[again]], rows[order[again - 1]])]
    is_first = is_down.copy()
    is_first[order[again]] = False
    first = np.flatnonzero(is_first)
    begins = np.flatnonzero(np.diff(again, prepend=-2) > 1)  # consecutive repeats are of one press
    ends = np.append(begins, len(again))[1:] - 1
    leader = np.searchsorted(first, order[again[begins] - 1])
    up = release[first]
    up[leader] = release[order[again[ends]]]
    return Presses(rows[first], up, which[first], rows[order[again]], np.repeat(leader, ends - begins + 1))


def _by_what(which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A stable order by button or key, and where in it each of these has its last event."""
    if not len(which) or which.min() == which.max():
        return np.arange(len(which)), np.array([len(which) - 1])
    if which.dtype != np.uint8:
        which = np.unique(which, return_inverse=True)[1]
    counts = np.bincount(which)
    return np.argsort(which, kind="stable"), np.cumsum(counts[counts > 0]) - 1
