"""Pictures of the screen as a source of events: before each action, once the screen has settled, and now and then."""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections import deque

from taskreel.capture.settings import Settings
from taskreel.capture.sources.protocol import (
    Event,
    Sink,
    SourceFacts,
    WindowViews,
    monotonic_us,
)
from taskreel.capture.sources.screens.budget import Budget
from taskreel.capture.sources.screens.choose import Chooser, Outcome
from taskreel.capture.sources.screens.encode import Encoder
from taskreel.capture.sources.screens.grab import FrameGrabber, XGrabber
from taskreel.capture.sources.screens.memory import give_back_large_buffers
from taskreel.capture.sources.screens.moments import HEEDED, Moments, Why
from taskreel.capture.sources.screens.ring import Frame
from taskreel.capture.sources.screens.watch import NoViews, ScreenWatch, Sight

GRAB_US = 80_000
"""Time between grabs while the screen changes: 12 a second, 5 % of a core at 1920 x 1080 if all of it changes."""

LOOK_US = 1_000_000
"""Whether windows were excluded or the screen was hidden is asked so often while nothing changes."""

POLL_US = 250_000
"""Time between grabs where no XDamage says when something changed."""

HEED_US = 100_000
"""Other sources tell of an action by then (twice `x11.watch.COMPANY_US`). Frames not asked for by an action are
as of so long ago, so that no screen event lies between an action and the frame before it."""

RING_US = 500_000
"""How far back the frame before an action is looked for: five times as late as events may come (`guards.HOLD_US`).
Each second more of a video takes 100 MB."""


class ScreenSource:
    """Implements `Source`. `views` says what must not be seen (nothing, if None); both it and `frames` are closed.

    A screen event is put some ms after its frame was chosen. Its time is that of the grab: when the screen began to
    look so. That is long ago if the screen was calm before an action.
    """

    name = "screens"

    def __init__(
        self, settings: Settings, views: WindowViews | None = None, frames: FrameGrabber | None = None
    ) -> None:
        self.produced = 0
        self._settings, self._views, self._frames = settings, views or NoViews(), frames
        self._heard: deque[Event] = deque(maxlen=10_000)
        self._stopping = threading.Event()
        self._waking = threading.Lock()
        self._wake = -1

    @property
    def dropped_moving(self) -> int:
        """Grabs that were given up because windows moved meanwhile."""
        return self._watch.dropped_moving

    def open(self) -> SourceFacts:
        """Connect to the screen. Raises `SourceUnavailableError` on Wayland and where there is no display."""
        if self._frames is None:
            self._frames = XGrabber(self._settings.display)
        give_back_large_buffers()
        self._watch = ScreenWatch(self._frames, self._views, self._settings.ring_bytes)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        return SourceFacts()

    def run(self, sink: Sink) -> None:
        """Watch until `stop`. Pictures that wait to be encoded are made before it returns."""
        try:
            with Encoder(sink) as encoder:
                self._begin(sink, encoder)
                while not self._stopping.is_set():
                    encoder.check()
                    self._turn()
        finally:
            self._close()

    def stop(self) -> None:
        """Make `run` return soon."""
        self._stopping.set()
        self._notify()

    def heed(self, event: Event) -> None:
        """An action: the frame before it is looked up by the thread of `run`."""
        if event.kind in HEEDED:
            self._heard.append(event)
            self._notify()

    def _notify(self) -> None:
        with self._waking:
            if self._wake >= 0:
                os.eventfd_write(self._wake, 1)

    def _begin(self, sink: Sink, encoder: Encoder) -> None:
        now_us, settings = monotonic_us(), self._settings
        self._sink = sink
        self._chooser = Chooser(self._put, encoder, Budget(settings.pictures_per_s, now_us), settings.difference_ppm)
        self._moments = Moments(settings.settle_ms * 1000, round(settings.heartbeat_s * 1_000_000), now_us)
        self._looked_us = now_us - LOOK_US
        self._is_blank = self._is_thinning = self._is_behind = False
        self._wants_first = True

    def _turn(self) -> None:
        """Wait for something to do, and do it."""
        self._wait()
        self._before_actions()
        if monotonic_us() >= self._next_look_us():
            self._look()
        now_us = monotonic_us()
        if self._wants_first:
            self._wants_first = self._offer(self._watch.ring.frame_at(now_us), Why.FIRST) != Outcome.SHOWN
        elif why := self._moments.due(now_us):
            self._offer(self._watch.ring.frame_at(now_us - HEED_US), why)

    def _wait(self) -> None:
        assert self._frames is not None
        until_us = min(self._next_look_us(), self._moments.next_us())
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        if not self._frames.has_changed():
            poll.register(self._frames.fileno(), select.POLLIN)
        poll.poll(max(0, -(-(until_us - monotonic_us()) // 1000)))
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)

    def _next_look_us(self) -> int:
        assert self._frames is not None
        if not self._frames.tells_changes:
            return self._looked_us + POLL_US
        return self._looked_us + (GRAB_US if self._frames.has_changed() or self._is_behind else LOOK_US)

    def _before_actions(self) -> None:
        while self._heard:
            event = self._heard.popleft()
            if self._moments.heed(event):
                self._offer(self._watch.ring.frame_at(event.time_us), Why.BEFORE)

    def _look(self) -> None:
        sight = self._watch.look()
        self._looked_us = monotonic_us()
        self._is_behind = sight == Sight.MOVING
        self._watch.ring.forget(self._looked_us - RING_US)
        if sight == Sight.NEW:
            self._is_blank = False
            self._chooser.changed(self._watch.changed)
            self._moments.changed(self._looked_us)
        elif sight in (Sight.BLANK, Sight.BLACK):
            self._wants_first = True
            if sight == Sight.BLANK and not self._is_blank:
                self._is_blank = True
                self._sink.lose("screen_blank", self._looked_us)

    def _offer(self, frame: Frame | None, why: Why) -> Outcome:
        if frame is None:
            return Outcome.SAME
        now_us = monotonic_us()
        outcome = self._chooser.offer(frame, why, now_us)
        if outcome == Outcome.SHOWN:
            self._moments.shown(why, now_us)
            self._is_thinning = False
        elif outcome == Outcome.THINNED and why in (Why.BEFORE, Why.SETTLED) and not self._is_thinning:
            self._is_thinning = True
            self._sink.lose("pictures_thinned", now_us)
        return outcome

    def _put(self, event: Event) -> None:
        self.produced += 1
        self._sink.put(event)

    def _close(self) -> None:
        with self._waking:
            wake, self._wake = self._wake, -1
        if wake >= 0:
            os.close(wake)
        if self._frames is not None:
            self._frames.close()
        self._views.close()
