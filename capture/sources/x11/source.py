"""The source of an X server: all input of keyboards and pointers, and what its windows and monitors tell."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from taskreel.capture.settings import Settings
from taskreel.capture.sources.protocol import Event, Sink, SourceFacts
from taskreel.capture.sources.x11.desktop import Desktop

if TYPE_CHECKING:
    from taskreel.capture.sources.x11.watch import Watch


class X11Source:
    """Watches an X server, passively. `desktop` says what must not be kept; that of `settings` if it is not given."""

    name = "x11"

    def __init__(self, settings: Settings, desktop: Desktop | None = None) -> None:
        self.produced = 0
        self._settings, self._desktop = settings, desktop
        self._watch: Watch | None = None
        self._lock = threading.Lock()
        self._is_stopped = False
        self._bell: int | None = None

    def open(self) -> SourceFacts:
        """Connect. Raises `SourceUnavailableError`: no X server, one that is too old, a library that is missing."""
        from taskreel.capture.sources.x11.watch import Watch

        self._watch = Watch(self._settings.display, self._desktop or _windows(self._settings), self._count)
        return self._watch.facts

    def run(self, sink: Sink) -> None:
        """Watch until `stop`. Raises `SourceLostError` when the server ends; also then all handles are let go."""
        watch, self._watch = self._watch, None
        assert watch is not None, "open comes before run, and each only once"
        ear, bell = os.pipe()
        try:
            with self._lock:
                self._bell = bell
                if self._is_stopped:
                    os.write(bell, b"!")
            watch.run(sink, ear)
        finally:
            with self._lock:
                self._bell = None
            os.close(ear)
            os.close(bell)
            watch.close()

    def stop(self) -> None:
        """Make `run` return soon."""
        with self._lock:
            self._is_stopped = True
            if self._bell is not None:
                os.write(self._bell, b"!")

    def heed(self, event: Event) -> None:
        """Other sources' events are nothing to it."""

    def _count(self, events: int = 1) -> None:
        self.produced += events


def _windows(settings: Settings) -> Desktop:
    from taskreel.capture.sources.x11.windows import Windows

    return Windows(settings)
