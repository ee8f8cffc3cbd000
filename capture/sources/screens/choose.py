"""Which frames become screen events: those that look new, as many as the budget allows, each picture encoded once."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from enum import Enum

import numpy as np
import xxhash

from taskreel.capture.frames import PPM, changed_pixels
from taskreel.capture.sources.protocol import Event
from taskreel.capture.sources.screens.budget import Budget
from taskreel.capture.sources.screens.encode import QUEUE, Encoder
from taskreel.capture.sources.screens.moments import Why
from taskreel.capture.sources.screens.ring import Frame
from taskreel.capture.sources.screens.tiles import tiles_of
from taskreel.io.kinds import Kind

KNOWN_KEYS = 4096
"""Pictures that are remembered, half an hour of them at full rate. One that was forgotten is encoded again."""

_TILES_AT_ONCE = 8
"""Tiles that are compared at once, so that what is made on the way stays in the processor's cache."""


class Outcome(Enum):
    """What became of a frame that was offered."""

    SHOWN = "a screen event was made"
    SAME = "nothing visible changed since the screen event before"
    THINNED = "there were too many"


class Chooser:
    """Compares the frames that it is offered with the last one that became a screen event."""

    def __init__(self, put: Callable[[Event], None], encoder: Encoder, budget: Budget, difference_ppm: int) -> None:
        self._put, self._encoder, self._budget, self._difference_ppm = put, encoder, budget, difference_ppm
        self._shown: np.ndarray | None = None
        self._size_px = (0, 0)
        self._dirty = np.zeros((0, 0), bool)
        self._events: deque[tuple[int, str]] = deque(maxlen=8)
        self._known: OrderedDict[str, None] = OrderedDict()

    @property
    def is_dirty(self) -> bool:
        """Whether any tile changed since the last screen event."""
        return bool(self._dirty.any())

    def changed(self, tiles: np.ndarray) -> None:
        """These tiles of the screen (rows x columns of bool) changed."""
        if tiles.shape == self._dirty.shape:
            self._dirty |= tiles
        else:
            self._dirty = tiles.copy()

    def offer(self, frame: Frame, why: Why, now_us: int) -> Outcome:
        """Make a screen event of a frame if it looks new. `Why.FIRST` is one in any case."""
        if self._events and frame.time_us <= self._events[-1][0]:
            return self._offer_late(frame, why, now_us)
        change_ppm = self._change_ppm(frame) if self._events else None
        if why != Why.FIRST and change_ppm is not None and change_ppm < max(self._difference_ppm, 1):
            return Outcome.SAME
        key = picture_key(frame)
        if not self._make(key, frame, why, now_us, change_ppm):
            return Outcome.THINNED
        self._events.append((frame.time_us, key))
        self._remember(frame)
        return Outcome.SHOWN

    def _offer_late(self, frame: Frame, why: Why, now_us: int) -> Outcome:
        """A frame from before the last screen event: its action was heard late. What it changed was not measured."""
        before = [(time_us, key) for time_us, key in self._events if time_us <= frame.time_us]
        if before and before[-1][0] == frame.time_us:
            return Outcome.SAME
        key = picture_key(frame)
        if before and before[-1][1] == key:
            return Outcome.SAME
        return Outcome.SHOWN if self._make(key, frame, why, now_us, None) else Outcome.THINNED

    def _make(self, key: str, frame: Frame, why: Why, now_us: int, change_ppm: int | None) -> bool:
        """Put the event, and have its picture made unless it is known. False: there is no room for one."""
        is_known = key in self._known
        if not is_known and not self._has_room(why, now_us):
            return False
        self._put(Event(frame.time_us, Kind.SCREEN, picture_key=key, picture_change_ppm=change_ppm))
        if not is_known:
            self._encoder.submit(key, frame.pixels)
            self._budget.take()
        self._known[key] = None
        self._known.move_to_end(key)
        if len(self._known) > KNOWN_KEYS:
            self._known.popitem(last=False)
        return True

    def _has_room(self, why: Why, now_us: int) -> bool:
        """Whether one more picture may be made. Room for one is kept for each reason that comes before this one."""
        spare = max(why - Why.BEFORE, 0)
        return self._budget.tokens(now_us) >= 1 + spare and self._encoder.waiting + spare < QUEUE

    def _change_ppm(self, frame: Frame) -> int:
        if self._shown is None or self._size_px != (frame.width_px, frame.height_px):
            return PPM
        rows, columns = np.nonzero(self._dirty)
        before, after = tiles_of(self._shown), tiles_of(frame.canvas)
        changed = 0
        for start in range(0, len(rows), _TILES_AT_ONCE):
            some = rows[start : start + _TILES_AT_ONCE], columns[start : start + _TILES_AT_ONCE]
            changed += changed_pixels(_channels(before[some]), _channels(after[some]))
        return -(-changed * PPM // (frame.width_px * frame.height_px))

    def _remember(self, frame: Frame) -> None:
        if self._shown is None or self._shown.shape != frame.canvas.shape:
            self._shown = frame.canvas.copy()
        else:
            tiles_of(self._shown)[self._dirty] = tiles_of(frame.canvas)[self._dirty]
        self._size_px = frame.width_px, frame.height_px
        if frame.is_newest:
            self._dirty[:] = False


def picture_key(frame: Frame) -> str:
    """What names the picture of a frame: xxh3 of its pixels and its size."""
    hashed = xxhash.xxh3_128(frame.canvas.data)
    hashed.update(f"{frame.width_px}x{frame.height_px}".encode())
    return hashed.hexdigest()


def _channels(tiles: np.ndarray) -> np.ndarray:
    return tiles.view(np.uint8).reshape(*tiles.shape, 4)
