"""The frames of the last seconds: the newest one whole, and of those before it only the tiles that were replaced."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from taskreel.capture.sources.screens.tiles import TILE_PX, changed_tiles, new_canvas, tiles_of


@dataclass(frozen=True)
class Frame:
    """What the screen showed from `time_us` on. `canvas` is to be read before the ring's next `add`: it may be its own.

    `is_newest`: nothing has changed since.
    """

    time_us: int
    canvas: np.ndarray
    width_px: int
    height_px: int
    is_newest: bool

    @property
    def pixels(self) -> np.ndarray:
        """Height x width of `uint32`, a view."""
        return self.canvas[: self.height_px, : self.width_px]


@dataclass(frozen=True)
class _Change:
    """The frame that came at `time_us`: where it replaced tiles (rows, columns), and what was there before."""

    time_us: int
    rows: np.ndarray
    columns: np.ndarray
    replaced: np.ndarray


class Ring:
    """Frames of one size, at most `max_bytes` of them with the newest. A frame equal to the one before is none."""

    def __init__(self, width_px: int, height_px: int, max_bytes: int) -> None:
        self.width_px, self.height_px = width_px, height_px
        self._canvas = new_canvas(width_px, height_px)
        self._tiles = tiles_of(self._canvas)
        self._max_bytes, self._bytes = max_bytes, self._canvas.nbytes
        self._changes: deque[_Change] = deque()
        self._oldest_us: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is no frame at all: the next one has to be whole."""
        return self._oldest_us is None

    @property
    def held_bytes(self) -> int:
        """What the ring takes in memory."""
        return self._bytes

    def clear(self) -> None:
        """Forget all frames: what comes next has nothing before it."""
        self._oldest_us = None
        self._changes.clear()
        self._bytes = self._canvas.nbytes

    def add(self, time_us: int, x: int, y: int, pixels: np.ndarray) -> np.ndarray:
        """The screen now shows these pixels at (x, y), whole tiles; elsewhere what it showed. Times rise.

        Returns which tiles of the screen changed, rows x columns of bool.
        """
        changed = np.zeros(self._tiles.shape[:2], bool)
        part = self._canvas[y : y + pixels.shape[0], x : x + pixels.shape[1]]
        if self._oldest_us is None:
            self._oldest_us = time_us
            changed[:] = True
        else:
            top, left = y // TILE_PX, x // TILE_PX
            found = changed_tiles(part, pixels)
            changed[top : top + found.shape[0], left : left + found.shape[1]] = found
            self._keep(time_us, changed)
        part[:] = pixels
        return changed

    def frame_at(self, time_us: int) -> Frame | None:
        """What the screen showed just before a time; None if that is not known, or no longer."""
        undone = [change for change in self._changes if change.time_us >= time_us]
        shown_us = self._changes[-len(undone) - 1].time_us if len(undone) < len(self._changes) else self._oldest_us
        if shown_us is None or shown_us >= time_us:
            return None
        canvas = self._canvas.copy() if undone else self._canvas
        for change in reversed(undone):
            tiles_of(canvas)[change.rows, change.columns] = change.replaced
        return Frame(shown_us, canvas, self.width_px, self.height_px, not undone)

    def forget(self, time_us: int) -> None:
        """Let go what only tells of times before this one."""
        while self._changes and self._changes[0].time_us < time_us:
            self._drop_oldest()

    def _keep(self, time_us: int, changed: np.ndarray) -> None:
        rows, columns = np.nonzero(changed)
        if not len(rows):
            return
        replaced = self._tiles[rows, columns]
        self._changes.append(_Change(time_us, rows, columns, replaced))
        self._bytes += replaced.nbytes
        while self._bytes > self._max_bytes and self._changes:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        change = self._changes.popleft()
        self._bytes -= change.replaced.nbytes
        self._oldest_us = change.time_us
