"""What a person should look at: boundaries that were missed, invented or put beside their place, and why they came."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from taskreel.transforms.evaluation.boundaries import Labeled, match_boundaries
from taskreel.transforms.evaluation.cuts import SECOND_US, CutOptions, Cuts


@dataclass(frozen=True)
class Finding:
    """A boundary that is wrong.

    `kind`: `missed` and `invented` have no partner within the wide tolerance; `moved` has one there, but it is not
    within the strict one. `time_us` is where the truth has it; of one that was invented, where it was put. `before` and
    `after` are the truth's tasks on both sides, None for none. `off_us` is how far the nearest of the other side is in
    its session, None if there is none; of one that was moved, how much too late it is (below 0: too early).
    `cut_reason` and `confidence` are of the cut that was made.
    """

    kind: str
    participant: str
    session_id: str
    time_us: int
    before: int | None
    after: int | None
    off_us: int | None
    cut_reason: str | None = None
    confidence: float | None = None


@dataclass(frozen=True)
class CutCounts:
    """How many boundaries with a reason and confidence there are, and how many are right, strictly and widely."""

    cut_reason: str
    confidence: float
    """Rounded down to tenths."""
    boundaries: int
    right: int
    nearly_right: int


def findings(cuts: Cuts, options: CutOptions) -> list[Finding]:
    """All that is wrong with the dataset's boundaries: missed, invented, moved; in each, the farthest off first."""
    strict_s, wide_s = options.tolerances_s
    matched = match_boundaries(cuts.truth, cuts.found, tolerance_us=wide_s * SECOND_US)
    found = [*_missed(cuts, matched.truth), *_invented(cuts, matched.found)]
    for act, step in zip(matched.truth.tolist(), matched.found.tolist(), strict=True):
        off_us = int(cuts.found.start_us[step] - cuts.truth.start_us[act])
        if abs(off_us) > strict_s * SECOND_US:
            tasks = cuts.truth.label[act - 1 : act + 1]
            found.append(_finding("moved", cuts, step, int(cuts.truth.start_us[act]), tasks, off_us))
    return sorted(found, key=_by_weight)


def _by_weight(one: Finding) -> tuple[object, ...]:
    is_alone = one.off_us is None
    return ("missed", "invented", "moved").index(one.kind), not is_alone, -abs(one.off_us or 0), one.time_us


def _missed(cuts: Cuts, matched: np.ndarray) -> Iterator[Finding]:
    rows = np.setdiff1d(cuts.truth.boundaries(), matched)
    for row, off_us in zip(rows.tolist(), _distances(rows, cuts.truth, cuts.found), strict=True):
        step = int(np.searchsorted(cuts.found.group, cuts.truth.group[row]))  # any step of the session
        tasks = cuts.truth.label[row - 1 : row + 1]
        yield _finding("missed", cuts, step, int(cuts.truth.start_us[row]), tasks, off_us)


def _invented(cuts: Cuts, matched: np.ndarray) -> Iterator[Finding]:
    rows = np.setdiff1d(cuts.found.boundaries(), matched)
    for row, off_us in zip(rows.tolist(), _distances(rows, cuts.found, cuts.truth), strict=True):
        tasks = cuts.truth_of_step[row - 1 : row + 1]
        yield _finding("invented", cuts, row, int(cuts.found.start_us[row]), tasks, off_us)


def _finding(kind: str, cuts: Cuts, step: int, time_us: int, tasks: np.ndarray, off_us: int | None) -> Finding:
    row = cuts.steps.slice(step, 1).to_pylist()[0]
    before, after = (None if task < 0 else task for task in tasks.tolist())
    made = (None, None) if kind == "missed" else (row["cut_reason"], row["confidence"])
    return Finding(kind, row["participant"], row["session_id"], time_us, before, after, off_us, *made)


def _distances(rows: np.ndarray, of: Labeled, other: Labeled) -> list[int | None]:
    """How far each of some boundaries of `of` is from the nearest one of `other` in its session."""
    theirs = other.boundaries()
    return [
        min(
            np.abs(other.start_us[theirs[other.group[theirs] == of.group[row]]] - of.start_us[row]).tolist(),
            default=None,
        )
        for row in rows.tolist()
    ]


def counts_by_reason(cuts: Cuts, options: CutOptions) -> list[CutCounts]:
    """How the dataset's boundaries came about, and how often that was right; sorted by reason and confidence."""
    rows = cuts.found.boundaries()
    right, nearly = (
        np.isin(rows, match_boundaries(cuts.truth, cuts.found, tolerance_us=tolerance_s * SECOND_US).found)
        for tolerance_s in options.tolerances_s
    )
    made = cuts.steps.select(["cut_reason", "confidence"]).take(rows).to_pylist()
    kinds = [(row["cut_reason"], int(row["confidence"] * 10)) for row in made]
    counts = []
    for kind in sorted(set(kinds)):
        mine = np.array([other == kind for other in kinds])
        parts = (mine, mine & right, mine & nearly)
        counts.append(CutCounts(kind[0], kind[1] / 10, *(int(part.sum()) for part in parts)))
    return counts
