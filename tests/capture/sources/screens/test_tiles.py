from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskreel.capture.sources.protocol import Rect
from taskreel.capture.sources.screens.tiles import (
    BLACK,
    TILE_PX,
    blacken,
    changed_tiles,
    has_one_color,
    new_canvas,
    tiles_of,
    to_tiles,
    union,
)

SIZES = st.tuples(st.integers(1, 300), st.integers(1, 300))
PLACES = st.lists(st.tuples(st.integers(0, 299), st.integers(0, 299)), max_size=8)


@given(size=SIZES, places=PLACES)
def test_a_tile_changed_if_any_of_its_pixels_did(size: tuple[int, int], places: list[tuple[int, int]]) -> None:
    height, width = size
    before = np.random.default_rng(height * width).integers(0, 1 << 32, size, np.uint32)
    after = before.copy()
    for number, (y, x) in enumerate(places):
        after[y % height, x % width] ^= np.uint32(1 << (number * 4))
    found = changed_tiles(before, after)
    assert found.shape == (-(-height // TILE_PX), -(-width // TILE_PX))
    for row, column in np.ndindex(found.shape):
        part = np.s_[row * TILE_PX : (row + 1) * TILE_PX, column * TILE_PX : (column + 1) * TILE_PX]
        assert found[row, column] == (before[part] != after[part]).any()


@given(
    corner=st.tuples(st.integers(-40, 40), st.integers(-40, 40)),
    areas=st.lists(
        st.builds(Rect, st.integers(-60, 60), st.integers(-60, 60), st.integers(0, 70), st.integers(0, 70)), max_size=4
    ),
)
def test_black_is_what_lies_in_an_area_and_nothing_else(corner: tuple[int, int], areas: list[Rect]) -> None:
    pixels = np.full((30, 50), 0xFF123456, np.uint32)
    blacken(pixels, *corner, areas)
    for row, column in np.ndindex(pixels.shape):
        x, y = corner[0] + column, corner[1] + row
        is_in = any(a.x <= x < a.x + a.width and a.y <= y < a.y + a.height for a in areas)
        assert pixels[row, column] == (BLACK if is_in else 0xFF123456)


@given(
    area=st.builds(Rect, st.integers(-99, 300), st.integers(-99, 300), st.integers(1, 200), st.integers(1, 200)),
    size=SIZES,
)
def test_whole_tiles_hold_what_of_an_area_is_on_the_screen(area: Rect, size: tuple[int, int]) -> None:
    width, height = size
    found = to_tiles(area, width, height)
    inside = [
        (x, y)
        for x in (max(area.x, 0), min(area.x + area.width, width) - 1)
        for y in (max(area.y, 0), min(area.y + area.height, height) - 1)
    ]
    if area.x >= width or area.y >= height or area.x + area.width <= 0 or area.y + area.height <= 0:
        assert found is None
        return
    assert found is not None
    assert found.x % TILE_PX == found.y % TILE_PX == 0
    assert found.x + found.width <= width
    assert found.y + found.height <= height
    assert (found.width % TILE_PX == 0) or found.x + found.width == width
    assert (found.height % TILE_PX == 0) or found.y + found.height == height
    assert all(found.x <= x < found.x + found.width and found.y <= y < found.y + found.height for x, y in inside)


def test_tiles_are_a_view_of_the_canvas() -> None:
    canvas = new_canvas(130, 70)
    assert canvas.shape == (128, 192)
    tiles_of(canvas)[1, 2] = 7
    assert (canvas[64:, 128:] == 7).all()
    assert not canvas[:64].any()
    assert not canvas[:, :128].any()


def test_a_union_holds_both() -> None:
    assert union(Rect(1, 2, 3, 4), Rect(-5, 4, 2, 9)) == Rect(-5, 2, 9, 11)
    assert union(None, Rect(1, 2, 3, 4)) == union(Rect(1, 2, 3, 4), None) == Rect(1, 2, 3, 4)
    assert union(None, None) is None


@pytest.mark.parametrize("place", [(0, 0), (33, 35), (299, 399)])
def test_one_other_pixel_is_another_color(place: tuple[int, int]) -> None:
    pixels = np.full((300, 400), 5, np.uint32)
    assert has_one_color(pixels)
    pixels[place] = 6
    assert not has_one_color(pixels)
