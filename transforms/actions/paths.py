"""Paths simplified by Ramer–Douglas–Peucker (Ramer 1972; Douglas and Peucker 1973), many at once."""

from __future__ import annotations

import numpy as np

from taskreel.transforms.actions.ranges import expanded

_INT64_EXTENT = 1 << 30
"""Products of smaller lengths fit 64 bits."""
_CLOSE = 1e-9
"""Relative difference below which products of floats do not decide; they are off by less than 1e-15."""


def simplified(x: np.ndarray, y: np.ndarray, begins: np.ndarray, tolerance: int) -> np.ndarray:
    """Which points to keep, bool of shape (points,): both ends of each path, and what lies off the line between.

    `x`, `y`: the points of all paths, path by path, as whole numbers; `begins`: where each path begins, rising from 0.
    A point is kept if, of those between two kept ones, it is farthest from the line through them (of equals the
    first), and at least `tolerance` away. All paths are halved in step, so the work is one pass a level, not a path.
    """
    keep = np.zeros(len(x), bool)
    if not len(x):
        return keep
    ends = np.append(begins[1:], len(x)) - 1
    keep[begins] = keep[ends] = True
    x, y = x.astype(np.int64), y.astype(np.int64)
    if max(np.ptp(x), np.ptp(y)) >= _INT64_EXTENT:
        x, y = x.astype(object), y.astype(object)
    while True:
        inner = ends - begins > 1
        begins, ends = begins[inner], ends[inner]
        if not len(begins):
            return keep
        farthest, is_far = _farthest(x, y, begins, ends, tolerance)
        begins, ends, farthest = begins[is_far], ends[is_far], farthest[is_far]
        keep[farthest] = True
        begins, ends = np.concatenate([begins, farthest]), np.concatenate([farthest, ends])


def _farthest(
    x: np.ndarray, y: np.ndarray, begins: np.ndarray, ends: np.ndarray, tolerance: int
) -> tuple[np.ndarray, np.ndarray]:
    """Per piece, the point farthest from the line through its ends, and whether it is too far to be left out."""
    piece, point = expanded(begins + 1, ends)
    dx, dy = (x[ends] - x[begins]), (y[ends] - y[begins])
    length2 = dx * dx + dy * dy
    from_x, from_y = x[point] - x[begins][piece], y[point] - y[begins][piece]
    off = np.where(
        length2[piece] > 0,
        np.abs(from_x * dy[piece] - from_y * dx[piece]),
        from_x * from_x + from_y * from_y,
    )
    runs = np.concatenate([[0], np.cumsum(ends - begins - 1)[:-1]])
    most = np.maximum.reduceat(off, runs)
    candidates = np.flatnonzero(off == most[piece])[::-1]
    farthest = np.empty(len(begins), np.int64)
    farthest[piece[candidates]] = point[candidates]  # the first of equals is assigned last
    return farthest, np.where(length2 > 0, _reaches(most, length2, tolerance), most >= tolerance**2)


def _reaches(off: np.ndarray, length2: np.ndarray, tolerance: int) -> np.ndarray:
    """Whether `off` is at least `tolerance` times the root of `length2`, decided in whole numbers where it is close."""
    have, need = off.astype(np.float64) ** 2, float(tolerance**2) * length2.astype(np.float64)
    reaches = have >= need
    for close in np.flatnonzero(np.abs(have - need) < _CLOSE * need).tolist():
        reaches[close] = int(off[close]) ** 2 >= tolerance**2 * int(length2[close])
    return reaches
