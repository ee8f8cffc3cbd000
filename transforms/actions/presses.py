"""Presses: a down and the up that ends it, of one button or one key, with its repeats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Presses:
    """Presses in order of their first down; arrays of shape (presses,) but for the last two.

    `down`, `last_down`, `up`: rows; an `up` of -1 never came, the press is unpaired. `which`: the button or key.
    `repeat`, `repeat_press`, of shape (repeats,): the rows of repeats and the press that each is of.
    """

    down: np.ndarray
    last_down: np.ndarray
    up: np.ndarray
    which: np.ndarray
    repeat: np.ndarray
    repeat_press: np.ndarray

    @property
    def is_paired(self) -> np.ndarray:
        """Whether the release came."""
        return self.up >= 0

    def repeats(self) -> np.ndarray:
        """How many repeats each press has."""
        return np.bincount(self.repeat_press, minlength=len(self.down))

    def duration_us(self, time_us: np.ndarray) -> np.ndarray:
        """How long each press lasted; 0 for one that is unpaired."""
        return np.where(self.is_paired, time_us[self.up] - time_us[self.down], 0) if len(self.down) else self.down


def find_presses(
    rows: np.ndarray,
    which: np.ndarray,
    is_down: np.ndarray,
    can_repeat: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
) -> Presses:
    """The presses in downs and ups, given by their rows, of what, and whether they are downs; shape (events,).

    `can_repeat`: whether a down, if its press is open, is a repeat; it gets the place of each down and of the one
    before it of the same key, and returns bools. Without it no down is a repeat.
    """
    order = _grouped(which)
    grouped, down = (which, is_down) if order is None else (which[order], is_down[order])
    row = rows if order is None else rows[order]
    is_open = np.zeros(len(row), bool)
    is_open[1:] = down[:-1] & (grouped[1:] == grouped[:-1])
    repeat = is_open & down
    if can_repeat is None or not repeat.any():
        repeat = np.zeros(len(row), bool)
    else:
        again = np.flatnonzero(repeat)
        repeat[again] = can_repeat(row[again], row[again - 1])
    first = down & ~repeat
    press = np.cumsum(first) - 1
    begun = row[first]
    last_down, up = begun.copy(), np.full(len(begun), -1)
    np.maximum.at(last_down, press[repeat], row[repeat])
    closing = is_open & ~down
    up[press[closing]] = row[closing]
    if order is None:
        return Presses(begun, last_down, up, grouped[first], row[repeat], press[repeat])
    in_order, rank = _by_row(order[first], len(rows))
    of_what = grouped[first]
    return Presses(
        begun[in_order], last_down[in_order], up[in_order], of_what[in_order], row[repeat], rank[press[repeat]]
    )


def _grouped(which: np.ndarray) -> np.ndarray | None:
    """A stable order by button or key; None if there is but one."""
    if not len(which) or which.min() == which.max():
        return None
    return np.argsort(which, kind="stable")


def _by_row(places: np.ndarray, events: int) -> tuple[np.ndarray, np.ndarray]:
    """The order of presses by their place among the events, and the rank of each; sorting would take longer."""
    slot = np.full(events, -1, np.int32)
    slot[places] = np.arange(len(places))
    in_order = slot[slot >= 0]
    rank = np.empty(len(places), np.int64)
    rank[in_order] = np.arange(len(places))
    return in_order, rank
