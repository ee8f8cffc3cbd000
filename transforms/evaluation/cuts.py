"""Cuts against the truth: the dataset's own and the baselines', all on the same steps, by the same measures."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pyarrow as pa

from taskreel.transforms.evaluation.agreement import adjusted_rand_index
from taskreel.transforms.evaluation.baselines import idle_gap_labels, window_labels
from taskreel.transforms.evaluation.boundaries import NO_TASK, Labeled, Score, match_boundaries, nearest, runs_apart

SECOND_US = 1_000_000
TASKREEL, IDLE_GAP, BEST_IDLE_GAP, WINDOW_CHANGE = "taskreel", "idle_gap", "idle_gap_best", "window_change"

CUT_COLUMNS = ("participant", "session_id", "episode_id", "step", "start_us", "end_us", "app", "title")
"""Columns of `steps` that scoring needs; `kind`, `cut_reason` and `confidence` of their episodes come beside them."""


@dataclass(frozen=True)
class CutOptions:
    """How cuts are scored.

    `tolerances_s`: how far apart two boundaries may be and still be one, the strict one first. `idle_gap_s`: of the
    baseline. `hindsight_gaps_s`: of these the gap that would have scored best, known only once one has the truth.
    """

    tolerances_s: tuple[int, int] = (2, 30)
    idle_gap_s: int = 120
    hindsight_gaps_s: tuple[int, ...] = (5, 8, 10, 15, 20, 30, 45, 60, 90, 120, 180, 240, 300)


@dataclass(frozen=True)
class Cuts:
    """Steps in order, and what is known of their tasks. `found` is the dataset's segmentation of `steps`.

    `truth` has the truth's actions, `truth_of_step` its labels carried over to the steps, int64 of shape (steps,).
    """

    steps: pa.Table
    found: Labeled
    truth: Labeled
    truth_of_step: np.ndarray


@dataclass(frozen=True)
class CutScore:
    """How a segmentation scores: by tolerance in seconds, and over all pairs of steps. `gap_s` of an idle gap."""

    within_s: dict[int, Score]
    adjusted_rand_index: Fraction | None
    gap_s: int | None = None


def in_order(steps: pa.Table) -> tuple[pa.Table, np.ndarray]:
    """Steps (`CUT_COLUMNS`) by participant, session, episode and step, and the number of each step's session.

    Sessions and episodes are in order of their first start. So every episode is in one piece, also where an action
    begins a little before the one that it follows.
    """
    start_us, step = _numbers(steps, "start_us"), _numbers(steps, "step")
    participant = _ranks(steps, ("participant",))
    session, episode = _ranks(steps, ("participant", "session_id")), _ranks(steps, ("participant", "episode_id"))
    keys = (step, episode, _first(episode, start_us), session, _first(session, start_us), participant)
    order = np.lexsort(keys)
    group = np.cumsum(np.diff(session[order], prepend=session[order][:1]) != 0)
    return steps.take(pa.array(order)), group


def cuts_of(truth: pa.Table, steps: pa.Table) -> Cuts:
    """Carry the truth's labels to the steps, and the steps' sessions to the truth's actions, by time.

    `truth` has `participant`, `recording`, `start_us` and `episode` (null: no task). A truth action is of the session
    of the participant's step nearest in time; a step has the label of its recording's truth action nearest in time.
    Raises `ValueError` for a participant or recording of `steps` without truth, or a participant without steps.
    """
    steps, group = in_order(steps)
    step_us, act_us = _numbers(steps, "start_us"), _numbers(truth, "start_us")
    people, acting = _codes(steps, truth, ("participant",))
    of_act = nearest(acting, act_us, people, step_us)
    if (of_act < 0).any():
        raise ValueError("a participant of the truth has no steps")
    act_group = group[of_act] if len(of_act) else np.zeros(0, np.int64)
    order = np.lexsort((act_us, act_group))
    truth, act_us, act_group = truth.take(pa.array(order)), act_us[order], act_group[order]
    task = np.array([NO_TASK if value is None else value for value in truth.column("episode").to_pylist()], np.int64)
    acted = Labeled(act_group, act_us, runs_apart(act_group, task))

    machines, acting_on = _codes(steps, truth, ("participant", "recording"))
    of_step = nearest(machines, step_us, acting_on, act_us)
    if (of_step < 0).any():
        raise ValueError("a recording of the steps has no truth")
    return Cuts(steps, _found(steps, group), acted, acted.label[of_step])


def cuts_of_labeled(steps: pa.Table) -> Cuts:
    """The cuts of steps that carry the truth themselves, as a whole number from 0 in the column `truth`."""
    steps, group = in_order(steps)
    label = _numbers(steps, "truth")
    return Cuts(steps, _found(steps, group), Labeled(group, _numbers(steps, "start_us"), label), label)


def segmentations(cuts: Cuts, options: CutOptions) -> dict[str, tuple[Labeled, int | None]]:
    """The dataset's cuts and the baselines', by name, with the gap (s) of those that have one."""
    group, start_us = cuts.found.group, cuts.found.start_us
    end_us = _numbers(cuts.steps, "end_us")

    def idle(gap_s: int) -> tuple[Labeled, int]:
        labels = idle_gap_labels(group, start_us, end_us, gap_us=gap_s * SECOND_US)
        return Labeled(group, start_us, labels), gap_s

    def f1(gap_s: int) -> float:
        return _score(cuts.truth, idle(gap_s)[0], options.tolerances_s[0]).f1 or 0.0

    windows = window_labels([_ranks(cuts.steps, (name,)) for name in ("app", "title")])
    return {
        TASKREEL: (cuts.found, None),
        IDLE_GAP: idle(options.idle_gap_s),
        BEST_IDLE_GAP: idle(max(options.hindsight_gaps_s, key=f1)),
        WINDOW_CHANGE: (Labeled(group, start_us, windows), None),
    }


def score_cuts(cuts: Cuts, options: CutOptions) -> dict[str, CutScore]:
    """Score the dataset's cuts and the baselines'."""
    return {
        name: CutScore(
            {tolerance_s: _score(cuts.truth, found, tolerance_s) for tolerance_s in options.tolerances_s},
            adjusted_rand_index(found.group, cuts.truth_of_step, found.label),
            gap_s,
        )
        for name, (found, gap_s) in segmentations(cuts, options).items()
    }


def _score(truth: Labeled, found: Labeled, tolerance_s: int) -> Score:
    matched = match_boundaries(truth, found, tolerance_us=tolerance_s * SECOND_US)
    return Score(len(truth.boundaries()), len(found.boundaries()), len(matched.truth))


def _found(steps: pa.Table, group: np.ndarray) -> Labeled:
    episode = _ranks(steps, ("participant", "episode_id"))
    is_residue = np.array(steps.column("kind").to_pylist(), object) == "residue"
    label = runs_apart(group, np.where(is_residue, NO_TASK, episode))
    return Labeled(group, _numbers(steps, "start_us"), label)


def _numbers(table: pa.Table, column: str) -> np.ndarray:
    return table.column(column).to_numpy().astype(np.int64)


def _ranks(table: pa.Table, columns: tuple[str, ...]) -> np.ndarray:
    """The same whole number for rows that are the same in some text columns, in the order of these; null is first."""
    rows = list(zip(*(table.column(name).to_pylist() for name in columns), strict=True))
    known = sorted(set(rows), key=lambda row: [(value is not None, value or "") for value in row])
    rank = {row: number for number, row in enumerate(known)}
    return np.array([rank[row] for row in rows], np.int64)


def _codes(steps: pa.Table, truth: pa.Table, columns: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    codes = _ranks(pa.concat_tables([table.select(columns).cast(_text(columns)) for table in (steps, truth)]), columns)
    return codes[: steps.num_rows], codes[steps.num_rows :]


def _text(columns: tuple[str, ...]) -> pa.Schema:
    return pa.schema([pa.field(name, pa.string()) for name in columns])


def _first(code: np.ndarray, start_us: np.ndarray) -> np.ndarray:
    """Per row, the earliest start of the rows with its code."""
    earliest = np.full(code.max(initial=-1) + 1, np.iinfo(np.int64).max)
    np.minimum.at(earliest, code, start_us)
    return earliest[code]
