import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from taskreel.transforms.actions.paths import simplified

small = st.integers(-12, 12)
places = st.one_of(small, small, st.integers(-(2**31), 2**31 - 1), st.sampled_from([2**31 - 1, -(2**31), 2**26, 2**30]))
paths = st.lists(st.tuples(places, places), min_size=1, max_size=12)


def kept(points, tolerance):
    """Ramer–Douglas–Peucker by the book, in whole numbers: which points of one path are kept."""
    (ax, ay), (bx, by) = points[0], points[-1]
    if len(points) < 3:
        return [True] * len(points)
    dx, dy = bx - ax, by - ay
    if (dx, dy) == (0, 0):  # no line: from the point
        off2, unit2 = [(x - ax) ** 2 + (y - ay) ** 2 for x, y in points], 1
    else:
        off2, unit2 = [((x - ax) * dy - (y - ay) * dx) ** 2 for x, y in points], dx**2 + dy**2
    far = max(range(1, len(points) - 1), key=off2.__getitem__)
    if off2[far] < tolerance**2 * unit2:
        return [True, *[False] * (len(points) - 2), True]
    return kept(points[: far + 1], tolerance)[:-1] + kept(points[far:], tolerance)


@given(st.lists(paths, min_size=1, max_size=4), st.sampled_from([0, 1, 2, 3, 5, 768, 2**26]))
def test_paths_are_simplified_as_by_the_book_many_at_once(paths, tolerance):
    x, y = np.array([point for path in paths for point in path], np.int64).T
    begins = np.cumsum([0, *[len(path) for path in paths[:-1]]])
    expected = [keep for path in paths for keep in kept(path, tolerance)]
    assert simplified(x, y, begins, tolerance).tolist() == expected


def test_no_paths_are_simplified_to_none():
    none = np.zeros(0, np.int64)
    assert simplified(none, none, none, 3).tolist() == []


def test_a_corner_stays_and_a_tremor_goes():
    x = np.array([0, 10, 20, 30, 30, 30])
    y = np.array([0, 1, -1, 0, 10, 20])
    assert simplified(x, y, np.array([0]), 3).tolist() == [True, False, False, True, False, True]


def test_a_distance_of_just_the_tolerance_is_kept():
    x, y = np.array([0, 1, 7]), np.array([0, 7, 1])  # 48 / sqrt(50) from the line
    assert not simplified(x, y, np.array([0]), 7)[1]
    x, y = np.array([0, 0, 400]), np.array([0, 500, 300])  # 200,000 / 500 = 400
    assert simplified(x, y, np.array([0]), 400)[1]
    assert not simplified(x, y, np.array([0]), 401)[1]
