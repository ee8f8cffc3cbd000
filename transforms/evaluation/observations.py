"""Observations against the truth: is the picture of each step the screen that the person saw just before?"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taskreel.transforms.evaluation.actions import ActionComparison

OBSERVED = ("image_hash", "image_time_us", "image_age_us", "approach_image_hash", "approach_image_time_us")
"""The columns of `steps` that are looked at, besides `start_us`."""


@dataclass(frozen=True)
class ObservationErrors:
    """Counts. Of all steps: the first five. Of the truth actions that have a step: the others."""

    steps: int
    image_at_or_after_action: int
    """`image_time_us` >= `start_us`. Must never be: the picture may show what the action did."""
    approach_image_at_or_after_action: int
    approach_image_after_image: int
    image_age_wrong: int
    """`image_age_us` is not above 0, or not `start_us` - `image_time_us`."""
    compared: int
    """Truth actions that state a picture and have a step; 0 if the truth states none."""
    image_missing: int
    """The truth has a picture, the step has none."""
    image_differs: int
    """The step has another picture than the truth, or one where the truth has none."""

    @property
    def total(self) -> int:
        """All errors."""
        return sum(asdict(self).values()) - self.steps - self.compared


def observation_errors(truth: pa.Table, steps: pa.Table, compared: ActionComparison) -> ObservationErrors:
    """Count the errors of `steps` (with `OBSERVED`); `truth` may lack `picture_hash`."""
    start_us, image_us = steps.column("start_us"), steps.column("image_time_us")
    approach_us, age_us = steps.column("approach_image_time_us"), steps.column("image_age_us")
    age_wrong = pc.or_(pc.less_equal(age_us, 0), pc.not_equal(age_us, pc.subtract(start_us, image_us)))
    missing, differs = _pictures(truth, steps, compared)
    return ObservationErrors(
        steps=steps.num_rows,
        image_at_or_after_action=_count(pc.greater_equal(image_us, start_us)),
        approach_image_at_or_after_action=_count(pc.greater_equal(approach_us, start_us)),
        approach_image_after_image=_count(pc.greater(approach_us, image_us)),
        image_age_wrong=_count(age_wrong),
        compared=int((compared.step >= 0).sum()) if "picture_hash" in truth.column_names else 0,
        image_missing=int(missing.sum()),
        image_differs=int(differs.sum()),
    )


def _pictures(truth: pa.Table, steps: pa.Table, compared: ActionComparison) -> tuple[np.ndarray, np.ndarray]:
    """Per truth action that states its picture and has a step: whether the step has none, or another."""
    rows = np.flatnonzero(compared.step >= 0)
    if "picture_hash" not in truth.column_names:
        return np.zeros(0, bool), np.zeros(0, bool)
    stated = truth.column("picture_hash").take(pa.array(rows))
    found = steps.column("image_hash").take(pa.array(compared.step[rows]))
    missing = pc.and_(pc.is_valid(stated), pc.is_null(found)).to_numpy(zero_copy_only=False)
    same = pc.or_(pc.fill_null(pc.equal(stated, found), False), pc.and_(pc.is_null(stated), pc.is_null(found)))
    return missing, ~same.to_numpy(zero_copy_only=False) & ~missing


def _count(where: pa.ChunkedArray) -> int:
    return int(pc.sum(where).as_py() or 0)
