"""What a segmentation has to beat: cuts at a fixed idle gap, and at each change of the window."""

from __future__ import annotations

import numpy as np


def idle_gap_labels(group: np.ndarray, start_us: np.ndarray, end_us: np.ndarray, *, gap_us: int) -> np.ndarray:
    """A new label where nothing was done for more than `gap_us`. Arrays of shape (actions,), sessions contiguous."""
    latest_us = np.empty_like(end_us)
    for rows in _sessions(group):
        latest_us[rows] = np.maximum.accumulate(end_us[rows])
    return _labels(np.concatenate([[False], start_us[1:] - latest_us[:-1] > gap_us])[: len(group)])


def window_labels(windows: list[np.ndarray]) -> np.ndarray:
    """A new label where any of some columns of codes (the application, the title) is another than before."""
    changes = [np.diff(window, prepend=window[:1]) != 0 for window in windows]
    return _labels(np.logical_or.reduce(changes))


def _sessions(group: np.ndarray) -> list[np.ndarray]:
    return np.split(np.arange(len(group)), np.flatnonzero(np.diff(group)) + 1)


def _labels(cuts: np.ndarray) -> np.ndarray:
    return np.cumsum(cuts).astype(np.int64)
