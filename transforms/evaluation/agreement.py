"""The adjusted Rand index: whether two actions that belong together are together, corrected for chance."""

from __future__ import annotations

from fractions import Fraction

import numpy as np


def adjusted_rand_index(group: np.ndarray, label: np.ndarray, other: np.ndarray) -> Fraction | None:
    """The adjusted Rand index of two labelings of the same actions (int64 arrays of shape (actions,)), exactly.

    Only pairs of actions in one group (a session) count: the index, its expected and its largest value are summed over
    the groups. With one group it is the index of Hubert and Arabie, "Comparing partitions" (1985). Pairs across
    sessions are apart in every segmentation; counted, they make the worst look good. None if there are no pairs.
    """
    together, expected, largest, pairs = Fraction(0), Fraction(0), Fraction(0), 0
    for number in np.unique(group).tolist():
        mine = group == number
        actions = int(mine.sum())
        all_pairs = actions * (actions - 1) // 2
        if not all_pairs:
            continue
        both, one, two = (_pairs(columns) for columns in ([label[mine], other[mine]], [label[mine]], [other[mine]]))
        together += both
        expected += Fraction(one * two, all_pairs)
        largest += Fraction(one + two, 2)
        pairs += all_pairs
    if not pairs:
        return None
    if largest == expected:  # all in one, or each alone, in both labelings: they agree
        return Fraction(1)
    return (together - expected) / (largest - expected)


def _pairs(columns: list[np.ndarray]) -> int:
    """How many pairs of rows are equal in all columns."""
    _, counts = np.unique(np.stack(columns), axis=1, return_counts=True)
    return sum(count * (count - 1) // 2 for count in counts.tolist())
