"""Frames as squares of `TILE_PX`: which of them changed, and areas painted black.

Pixels are `uint32` arrays of height x width, as an X server has them: blue in the lowest byte, the highest 255. A
*canvas* is a frame padded with zeros at the right and the bottom to whole tiles, so that tiles are one view of it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from taskreel.capture.sources.protocol import Rect

TILE_PX = 64
"""Measured at 1920 x 1080: 32 px finds changes no faster and makes 4 times the tiles; 128 px keeps 2.3 times the bytes
for a line of text."""

OPAQUE = np.uint32(0xFF000000)
BLACK = OPAQUE


def new_canvas(width_px: int, height_px: int) -> np.ndarray:
    """A canvas of zeros for frames of a size."""
    return np.zeros((_tiles(height_px) * TILE_PX, _tiles(width_px) * TILE_PX), np.uint32)


def tiles_of(canvas: np.ndarray) -> np.ndarray:
    """A canvas as a view of rows x columns x `TILE_PX` x `TILE_PX`."""
    rows, columns = canvas.shape[0] // TILE_PX, canvas.shape[1] // TILE_PX
    return canvas.reshape(rows, TILE_PX, columns, TILE_PX).swapaxes(1, 2)


def changed_tiles(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Which tiles of two equally large areas differ in any pixel: rows x columns of bool.

    The areas begin at the edge of a tile; the last tiles may be cut off.
    """
    height, width = before.shape
    changed = np.empty((_tiles(height), _tiles(width)), bool)
    starts = np.arange(0, width, TILE_PX)
    for row in range(len(changed)):
        strip = slice(row * TILE_PX, (row + 1) * TILE_PX)
        columns = np.bitwise_or.reduce(before[strip] ^ after[strip], axis=0)
        changed[row] = np.bitwise_or.reduceat(columns, starts) != 0
    return changed


def blacken(pixels: np.ndarray, x: int, y: int, areas: Iterable[Rect]) -> None:
    """Paint areas of the screen black in pixels whose upper left is at (x, y). What lies beyond them is left out."""
    height, width = pixels.shape
    for area in areas:
        left, top = max(area.x - x, 0), max(area.y - y, 0)
        right, bottom = min(area.x + area.width - x, width), min(area.y + area.height - y, height)
        if left < right and top < bottom:
            pixels[top:bottom, left:right] = BLACK


def has_one_color(pixels: np.ndarray) -> bool:
    """Whether all pixels are equal. A few are looked at first: it is hardly ever so."""
    first = pixels[0, 0]
    return bool((pixels[::61, ::67] == first).all() and (pixels == first).all())


def to_tiles(area: Rect, width_px: int, height_px: int) -> Rect | None:
    """The smallest area of whole tiles on a screen that holds an area; None if that lies beyond the screen."""
    left, top = max(area.x, 0), max(area.y, 0)
    right, bottom = min(area.x + area.width, width_px), min(area.y + area.height, height_px)
    if left >= right or top >= bottom:
        return None
    left, top = left // TILE_PX * TILE_PX, top // TILE_PX * TILE_PX
    right, bottom = min(_tiles(right) * TILE_PX, width_px), min(_tiles(bottom) * TILE_PX, height_px)
    return Rect(left, top, right - left, bottom - top)


def union(one: Rect | None, other: Rect | None) -> Rect | None:
    """The smallest rectangle that holds both."""
    if one is None or other is None:
        return one or other
    left, top = min(one.x, other.x), min(one.y, other.y)
    right = max(one.x + one.width, other.x + other.width)
    bottom = max(one.y + one.height, other.y + other.height)
    return Rect(left, top, right - left, bottom - top)


def _tiles(length_px: int) -> int:
    return -(-length_px // TILE_PX)
