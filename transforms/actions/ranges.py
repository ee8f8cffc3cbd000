"""Runs and ranges of rows, many at once."""

from __future__ import annotations

import numpy as np


def expanded(first: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All rows of some ranges (`end` exclusive), range by range: the number of its range, and the row."""
    lengths = np.maximum(end - first, 0)
    number = np.repeat(np.arange(len(lengths)), lengths)
    return number, np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths - first, lengths)


def maximum_of_runs(values: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """The largest value of each run; runs begin at `begins`, of which the first is 0. Shape (runs,)."""
    return np.maximum.reduceat(values, begins) if len(begins) else values[:0]
