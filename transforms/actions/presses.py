"""Presses: a down and the up that ends it, of one button or one key, with its repeats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from taskreel.transforms.actions.acts import UNPAIRED

_NEAR = 4
"""Most downs have their up among the next few events; to look there takes a fifth of the time of sorting by key."""


@dataclass(frozen=True)
class Presses:
    """Presses in order of their first down; arrays of shape (presses,) but for the last two.

    `down`, `up`: rows; an `up` of `UNPAIRED` never came. `which`: the button or key.
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
        return self.up != UNPAIRED

    def lasts(self, time_us: np.ndarray, at_least_ms: int) -> np.ndarray:
        """Whether each press has a release, so long after its down or longer."""
        return (time_us[self.up] - time_us[self.down] >= at_least_ms * 1000) & self.is_paired


def find_presses(
    rows: np.ndarray | None,
    which: np.ndarray,
    is_down: np.ndarray,
    can_repeat: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
) -> Presses:
    """The presses in downs and ups, given by their rows, of what, and whether they are downs; shape (events,).

    `rows`: None if there are no other events.
    `can_repeat`: whether a down, if its press is open, is a repeat; it gets the rows of downs and those of the downs
    before them of the same key, and returns bools. Without it no down is a repeat.
    """
    down = np.flatnonzero(is_down)
    if not len(down):
        return Presses(down, down, which[down], down, down)
    after = _next_of_same(which, is_down, down)
    row, up = (down, after) if rows is None else (rows[down], np.where(after < 0, UNPAIRED, rows[after]))
    before = np.flatnonzero(is_down[after] & (after >= 0))  # downs that are followed by a down of the same
    repeat = np.searchsorted(down, after[before])
    up[before] = UNPAIRED
    if can_repeat is not None and len(before):
        repeats = can_repeat(row[repeat], row[before])
        before, repeat = before[repeats], repeat[repeats]
    if can_repeat is None or not len(before):
        return Presses(row, up, which[down], before[:0], before[:0])
    return _with_repeats(row, up, which[down], before, repeat)


def _with_repeats(
    row: np.ndarray, up: np.ndarray, which: np.ndarray, before: np.ndarray, repeat: np.ndarray
) -> Presses:
    """The presses, of all downs (`row`, `up`, `which`), if the downs `repeat` repeat the downs `before`."""
    by_key = np.argsort(which[repeat], kind="stable")
    before, repeat = before[by_key], repeat[by_key]
    begins = np.flatnonzero(np.append(True, before[1:] != repeat[:-1]))
    ends = np.append(begins[1:], len(repeat)) - 1
    up[before[begins]] = up[repeat[ends]]
    is_first = np.ones(len(row), bool)
    is_first[repeat] = False
    leader = (np.cumsum(is_first) - 1)[before[begins]]
    return Presses(row[is_first], up[is_first], which[is_first], row[repeat], np.repeat(leader, ends - begins + 1))


def _next_of_same(which: np.ndarray, is_down: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Per down, the place of the next event of the same button or key among all events, or -1."""
    step = np.zeros(len(which), np.uint8)
    for distance in range(1, min(_NEAR, len(which) - 1) + 1):
        found = (which[distance:] == which[:-distance]) & (step[:-distance] == 0)
        step[:-distance] += found.view(np.uint8) * np.uint8(distance)
    after = down + step[down]
    far = np.flatnonzero(after == down)
    if len(far):
        mine = np.flatnonzero(np.isin(which, np.unique(which[down[far]])))
        mine = mine[np.argsort(which[mine], kind="stable")]
        following = np.full(len(which), -1, np.int64)
        same = np.flatnonzero(which[mine[1:]] == which[mine[:-1]])
        following[mine[same]] = mine[same + 1]
        after[far] = following[down[far]]
    return after
