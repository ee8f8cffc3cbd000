"""Fills the ring from grabs, without what must not be seen.

What lies on the screen is asked before and after each grab: if it is not the same, the grab is given up, because nobody
knows where the excluded windows were in it. Their areas are painted black before the pixels are used for anything.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import numpy as np

from taskreel.capture.sources.protocol import Rect, WindowView, WindowViews, monotonic_us
from taskreel.capture.sources.screens.grab import FrameGrabber
from taskreel.capture.sources.screens.ring import Ring
from taskreel.capture.sources.screens.tiles import blacken, has_one_color, to_tiles, union

_TRIES = 3
"""Grabs in a row while windows move: a grab takes 3 ms, so the second or third falls between two moves at 60 Hz."""


class Sight(Enum):
    """What a look at the screen found."""

    NEW = "the ring has a frame that differs from the one before"
    SAME = "nothing changed"
    MOVING = "windows were moving: there is no new frame"
    BLANK = "nothing can be seen: the ring is empty"
    BLACK = "all is covered by what must not be seen: the ring is empty"


class NoViews:
    """Nothing is ever excluded. Implements `WindowViews`."""

    def view(self) -> WindowView:
        """Always the same."""
        return WindowView(0)

    def close(self) -> None:
        """Nothing is open."""


class ScreenWatch:
    """Looks at the screen and keeps the frames of the last seconds in `ring`.

    `dropped_moving` counts the grabs that were given up because windows moved.
    """

    def __init__(
        self,
        frames: FrameGrabber,
        views: WindowViews,
        ring_bytes: int,
        clock: Callable[[], int] = monotonic_us,
    ) -> None:
        self._frames, self._views, self._ring_bytes, self._clock = frames, views, ring_bytes, clock
        self.ring = Ring(*frames.size_px, ring_bytes)
        self.dropped_moving = 0
        self.changed = np.zeros((0, 0), bool)
        self._stale: Rect | None = None
        self._kept_view: WindowView | None = None
        self._black: tuple[Rect, ...] = ()
        self._clear_us = 0

    def look(self) -> Sight:
        """Bring the ring up to date; `changed` has the tiles that changed then (rows x columns of bool)."""
        self._stale = union(self._stale, self._frames.take_changed())
        for _ in range(_TRIES):
            view = self._view()
            if view.is_all_hidden:
                self.ring.clear()
                return Sight.BLANK
            area = self._area(view)
            if area is None:
                return Sight.SAME
            if self._clock() < self._clear_us:
                break
            pixels = self._frames.grab(area)
            time_us = self._clock()
            if pixels is None:
                continue
            if self._view().fingerprint == view.fingerprint:
                return self._keep(time_us, area, pixels, view)
            self.dropped_moving += 1
        return Sight.MOVING

    def _view(self) -> WindowView:
        """What lies on the screen now. An excluded window that has moved may be seen where it was for a while."""
        view = self._views.view()
        if view.black != self._black:
            self._black, self._clear_us = view.black, self._clock() + self._frames.lag_us
        return view

    def _area(self, view: WindowView) -> Rect | None:
        """What has to be grabbed: whole tiles, or nothing. All of it if other areas have to be black than before."""
        width_px, height_px = self._frames.size_px
        if (self.ring.width_px, self.ring.height_px) != (width_px, height_px):
            self.ring = Ring(width_px, height_px, self._ring_bytes)
        is_known = self._kept_view is not None and view.fingerprint == self._kept_view.fingerprint
        if self.ring.is_empty or not is_known:
            self._stale = Rect(0, 0, width_px, height_px)
        return None if self._stale is None else to_tiles(self._stale, width_px, height_px)

    def _keep(self, time_us: int, area: Rect, pixels: np.ndarray, view: WindowView) -> Sight:
        blacken(pixels, area.x, area.y, view.black)
        self._kept_view, self._stale = view, None
        self.changed = self.ring.add(time_us, area.x, area.y, pixels)
        newest = self.ring.frame_at(time_us + 1)
        if newest is not None and has_one_color(newest.pixels):
            self.ring.clear()
            return Sight.BLACK if view.black else Sight.BLANK
        return Sight.NEW if self.changed.any() else Sight.SAME
