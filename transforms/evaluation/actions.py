"""Actions against the truth: which steps are exactly what the person did, and in which columns the others differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

COMPARED = (
    "action",
    "start_us",
    "end_us",
    "first_seq",
    "last_seq",
    "x",
    "y",
    "to_x",
    "to_y",
    "button",
    "clicks",
    "wheel_x_ticks",
    "wheel_y_ticks",
    "text",
    "keys",
    "count",
    "modifiers",
)
"""What has to be equal, of the columns that both the truth and the dataset have."""


@dataclass(frozen=True)
class ActionComparison:
    """Truth actions beside steps.

    `step`: int64 of shape (truth,), the row of the step that stands for each, or -1. `differs`: by compared column,
    bool of shape (truth,), False where there is no step. `spurious`: the rows of steps that stand for nothing.
    """

    step: np.ndarray
    differs: dict[str, np.ndarray]
    spurious: np.ndarray

    @property
    def is_exact(self) -> np.ndarray:
        """Per truth action, whether there is a step that is equal to it in every compared column."""
        differs = [np.zeros(len(self.step), bool), *self.differs.values()]
        return (self.step >= 0) & ~np.logical_or.reduce(differs)


def compare_actions(truth: pa.Table, steps: pa.Table) -> ActionComparison:
    """Compare by `recording` and the columns of `COMPARED` that both tables have.

    A step stands for the truth action of its recording that begins with the same event; of those left over, for the one
    that ends with the same event. So a step that took in an event too many at one end is different, not missed.
    """
    step = _pair(truth, steps, "first_seq", np.full(truth.num_rows, -1, np.int64))
    step = _pair(truth, steps, "last_seq", step)
    columns = [name for name in COMPARED if name in truth.column_names and name in steps.column_names]
    beside = steps.select(columns).take(pa.array(step, mask=step < 0))
    differs = {name: (step >= 0) & _differs(truth.column(name), beside.column(name)) for name in columns}
    return ActionComparison(step, differs, np.setdiff1d(np.arange(steps.num_rows), step))


def _pair(truth: pa.Table, steps: pa.Table, column: str, step: np.ndarray) -> np.ndarray:
    """Give truth actions without a step (-1) the free step with the same recording and `column`, in order of rows."""
    free: dict[tuple[str, int], list[int]] = {}
    taken = set(step.tolist())
    for row, key in enumerate(_keys(steps, column)):
        if row not in taken:
            free.setdefault(key, []).append(row)
    paired = step.tolist()
    for row, key in enumerate(_keys(truth, column)):
        if paired[row] < 0 and free.get(key):
            paired[row] = free[key].pop(0)
    return np.array(paired, np.int64)


def _keys(table: pa.Table, column: str) -> list[tuple[str, int]]:
    return list(zip(table.column("recording").to_pylist(), table.column(column).to_pylist(), strict=True))


def _differs(stated: pa.ChunkedArray, found: pa.ChunkedArray) -> np.ndarray:
    """Per row, whether two columns are not the same; two nulls are."""
    equal = pc.fill_null(pc.equal(stated, found), False)
    both_null = pc.and_(pc.is_null(stated), pc.is_null(found))
    return ~pc.or_(equal, both_null).to_numpy(zero_copy_only=False)


@dataclass(frozen=True)
class TypeCounts:
    """What became of the actions of one type. `truth` = exact + different + missed; `spurious` steps have the type."""

    truth: int
    exact: int
    different: int
    missed: int
    spurious: int


def counts_by_type(truth: pa.Table, steps: pa.Table, compared: ActionComparison) -> dict[str, TypeCounts]:
    """The counts by the truth's action, and of spurious steps by theirs; sorted by name."""
    acted = np.array(truth.column("action").to_pylist(), object)
    spurious = np.array(steps.column("action").to_pylist(), object)[compared.spurious]
    exact, missed = compared.is_exact, compared.step < 0
    counts = {}
    for name in sorted({*acted.tolist(), *spurious.tolist()}):
        mine = acted == name
        parts = (mine, mine & exact, mine & ~exact & ~missed, mine & missed, spurious == name)
        counts[name] = TypeCounts(*(int(part.sum()) for part in parts))
    return counts
