"""Boundaries: the places where one task ends and another begins, and how many of them were found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NO_TASK = -1
"""The label of an action that belongs to no task, until `runs_apart` gives its run a label of its own."""


@dataclass(frozen=True)
class Labeled:
    """Actions in order, with the task of each; int64 arrays of shape (actions,).

    `group` is the session: actions of one session are contiguous. Labels are compared within a session only.
    """

    group: np.ndarray
    start_us: np.ndarray
    label: np.ndarray

    def boundaries(self) -> np.ndarray:
        """The rows at which another label begins; the first action of a session is no boundary."""
        return np.flatnonzero((np.diff(self.group) == 0) & (np.diff(self.label) != 0)) + 1


def runs_apart(group: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Labels in which each run of `NO_TASK` within a session has a label of its own, below `NO_TASK`."""
    begins = (np.diff(label, prepend=NO_TASK - 1) != 0) | (np.diff(group, prepend=-1) != 0)
    run = np.cumsum(begins)
    return np.where(label == NO_TASK, NO_TASK - run, label)


@dataclass(frozen=True)
class Matched:
    """Pairs of boundaries: rows `truth[i]` and `found[i]` are one. Each boundary is in one pair at most."""

    truth: np.ndarray
    found: np.ndarray


def match_boundaries(truth: Labeled, found: Labeled, *, tolerance_us: int) -> Matched:
    """Pair the boundaries of the truth with those found, one to one, as many as can be paired.

    A pair is of one session, and at most `tolerance_us` apart in `start_us`. On a line it is optimal to take the
    earliest two that can be paired: any other pairing can be changed to have them without loss (the tests try all).
    """
    ours, theirs = _in_order(truth), _in_order(found)
    pairs = []
    i = j = 0
    while i < len(ours) and j < len(theirs):
        (group, time_us, row), (other_group, other_us, other_row) = ours[i], theirs[j]
        if group == other_group and abs(time_us - other_us) <= tolerance_us:
            pairs.append((row, other_row))
            i, j = i + 1, j + 1
        elif (group, time_us) < (other_group, other_us):
            i += 1
        else:
            j += 1
    rows = np.array(pairs, np.int64).reshape(-1, 2)
    return Matched(rows[:, 0], rows[:, 1])


def _in_order(labeled: Labeled) -> list[tuple[int, int, int]]:
    rows = labeled.boundaries()
    return sorted(zip(labeled.group[rows].tolist(), labeled.start_us[rows].tolist(), rows.tolist(), strict=True))


@dataclass(frozen=True)
class Score:
    """How many boundaries there are, how many were found, and how many of these are right."""

    truth: int
    found: int
    matched: int

    @property
    def precision(self) -> float | None:
        """The share of the found boundaries that are right; None if none was found."""
        return self.matched / self.found if self.found else None

    @property
    def recall(self) -> float | None:
        """The share of the truth's boundaries that were found; None if it has none."""
        return self.matched / self.truth if self.truth else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of both; None if there is nothing to find and nothing was found."""
        return 2 * self.matched / (self.truth + self.found) if self.truth + self.found else None


def nearest(key: np.ndarray, time_us: np.ndarray, other_key: np.ndarray, other_us: np.ndarray) -> np.ndarray:
    """For each (key, time), the row of the nearest other time with this key; of two as near, the earlier; -1 for none.

    Of several others at one time, the first by row.
    """
    found = np.full(len(key), -1, np.int64)
    for value in np.unique(key).tolist():
        mine, theirs = np.flatnonzero(key == value), np.flatnonzero(other_key == value)
        if len(theirs):
            theirs = theirs[np.argsort(other_us[theirs], kind="stable")]
            found[mine] = theirs[_nearest_sorted(time_us[mine], other_us[theirs])]
    return found


def _nearest_sorted(time_us: np.ndarray, other_us: np.ndarray) -> np.ndarray:
    after = np.minimum(np.searchsorted(other_us, time_us, side="left"), len(other_us) - 1)
    before = np.maximum(after - 1, 0)
    before = np.searchsorted(other_us, other_us[before], side="left")  # the first of several at one time
    return np.where(np.abs(time_us - other_us[before]) <= np.abs(other_us[after] - time_us), before, after)
