"""What the input source asks of the windows: who has the focus, and what must not be kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from taskreel.capture.sources.guards import Guard
from taskreel.capture.sources.protocol import Event
from taskreel.io.kinds import Screen


class Desktop(Protocol):
    """The windows and monitors of an X server, watched on a connection of its own.

    Used from one thread. Each event that it returns is counted and handed over by who asked.
    """

    def open(self) -> Screen:
        """Connect; the geometry. Raises `SourceUnavailableError`."""

    def fileno(self) -> int:
        """To wait for news: readable until `update` has taken them."""

    def urgent_fileno(self) -> int:
        """To wait for what should not wait while there is much input: that windows come, go or get the focus."""

    def update(self) -> list[Event]:
        """Take the news that is there, without blocking; focus and geometry events that follow from it."""

    def key_reason(self) -> str | None:
        """Why keys must not be kept now (`excluded`, `keyboard_grab`, `own`); asked at each key, after `update`."""

    def pointer_reason(self, x_px: int, y_px: int) -> str | None:
        """Why pointer events at a place must not be kept (`excluded`, `own`): by the topmost window there."""

    def at_press(self, x_px: int, y_px: int) -> list[Event]:
        """The news, and what to put before a press of a button at a place: another window is there than was told last.

        The caller gives all of it the time of the press, if that is earlier: a press often makes the news.
        """

    def guards(self) -> Sequence[Guard]:
        """The guards that it switches."""

    def close(self) -> None:
        """Let the connection go. Again does nothing."""
