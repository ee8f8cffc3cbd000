"""Paths simplified by Ramer–Douglas–Peucker (Ramer 1972; Douglas and Peucker 1973), many at once."""

from __future__ import annotations

import numpy as np

from taskreel.transforms.actions.ranges import expanded


def simplified(x: np.ndarray, y: np.ndarray, begins: np.ndarray, tolerance: float) -> np.ndarray:
    """Which points to keep, bool of shape (points,): both ends of each path, and what lies off the line between.

    `x`, `y`: the points of all paths, path by path; `begins`: where each path begins, rising from 0. A point is kept
    if, of those between two kept ones, it is farthest from the line through them (of equals the first), and at
    least `tolerance` away. All paths are halved in step, so the work is one pass a level, not one a path.
    """
    ends = np.append(begins[1:], len(x)) - 1
    keep = np.zeros(len(x), bool)
    keep[begins] = keep[ends] = True
    x, y = x.astype(np.float64), y.astype(np.float64)
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
    x: np.ndarray, y: np.ndarray, begins: np.ndarray, ends: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Per piece, the point farthest from the line through its ends, and whether it is too far to be left out."""
    piece, point = expanded(begins + 1, ends)
    dx, dy = (x[ends] - x[begins]), (y[ends] - y[begins])
    length = np.sqrt(dx * dx + dy * dy)
    from_x, from_y = x[point] - x[begins][piece], y[point] - y[begins][piece]
    off = np.where(
        length[piece] > 0,
        np.abs(from_x * dy[piece] - from_y * dx[piece]),
        np.sqrt(from_x * from_x + from_y * from_y),
    )
    runs = np.concatenate([[0], np.cumsum(ends - begins - 1)[:-1]])
    most = np.maximum.reduceat(off, runs)
    candidates = np.flatnonzero(off == most[piece])[::-1]
    farthest = np.empty(len(begins), np.int64)
    farthest[piece[candidates]] = point[candidates]  # the first of equals is assigned last
    return farthest, most >= tolerance * np.where(length > 0, length, 1.0)
