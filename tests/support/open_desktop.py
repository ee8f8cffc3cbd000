"""A desktop for tests of the X11 input source: what must not be kept is what the test says."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress

from taskreel.capture.sources.guards import Guard
from taskreel.capture.sources.protocol import Event
from taskreel.io.segments import Screen


class OpenDesktop:
    """Keeps everything, unless a test sets `keys` or `pointer`; tells the events in `news` at the next update."""

    def __init__(self) -> None:
        self._descriptors = os.pipe2(os.O_NONBLOCK)
        self.keys: str | None = None
        self.pointer: Callable[[int, int], str | None] = lambda x, y: None
        self.news: list[Event] = []
        self.presses: list[Event] = []
        self.is_closed = False

    def open(self) -> Screen:
        return Screen(1280, 800)

    def fileno(self) -> int:
        return self._descriptors[0]

    def urgent_fileno(self) -> int:
        return self._descriptors[0]

    def tell(self, *events: Event) -> None:
        """Have events told, and whoever waits woken."""
        self.news += events
        os.write(self._descriptors[1], b"!")

    def update(self) -> list[Event]:
        with suppress(BlockingIOError):
            os.read(self._descriptors[0], 64)
        told, self.news = self.news, []
        return told

    def key_reason(self) -> str | None:
        return self.keys

    def pointer_reason(self, x_px: int, y_px: int) -> str | None:
        return self.pointer(x_px, y_px)

    def at_press(self, x_px: int, y_px: int) -> list[Event]:
        told, self.presses = self.presses, []
        return told

    def guards(self) -> Sequence[Guard]:
        return ()

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            for descriptor in self._descriptors:
                os.close(descriptor)
