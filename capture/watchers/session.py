"""Whether the person is at this session: what several watchers know of it, in one value that the recorder asks."""

from __future__ import annotations

import threading
from collections.abc import Callable

from taskreel.capture.sources.guards import Guard, Withholds
from taskreel.capture.sources.protocol import monotonic_us

_INACTIVE, _SUSPENDING = "inactive", "suspending"


class Causes:
    """A guard that is on while at least one of several causes holds. From any thread."""

    def __init__(self, guard: Guard, changed: Callable[[], None] = lambda: None) -> None:
        """`changed` is called, from the thread that told it, when a cause began or ceased to hold."""
        self.guard = guard
        self._changed = changed
        self._lock = threading.Lock()
        self._holding: set[str] = set()

    def tell(self, cause: str, holds: bool) -> None:
        """A cause holds, or no longer does, as of now. Again the same changes nothing."""
        with self._lock:
            before = len(self._holding)
            (self._holding.add if holds else self._holding.discard)(cause)
            is_changed = len(self._holding) != before
            self.guard.switch(bool(self._holding), monotonic_us())
        if is_changed:
            self._changed()

    @property
    def holding(self) -> frozenset[str]:
        """The causes that hold."""
        with self._lock:
            return frozenset(self._holding)


class Session:
    """The session of the desktop that is recorded. While nobody may be watched its guard, `locked`, withholds all.

    A recorder that sees one of these change ends the recording, and begins another one when they are as before.
    """

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        """`changed` is called, from a watcher's thread, when one of the properties may have changed."""
        self._causes = Causes(Guard("locked", Withholds.ALL), changed)

    @property
    def guard(self) -> Guard:
        """On while the screen is locked, another session is in front, or the computer goes to sleep."""
        return self._causes.guard

    @property
    def is_locked(self) -> bool:
        """Whether the screen is locked, or about to be."""
        return bool(self._causes.holding - {_INACTIVE, _SUSPENDING})

    @property
    def is_active_session(self) -> bool:
        """Whether this session is the one in front: False while another user has the screen."""
        return _INACTIVE not in self._causes.holding

    @property
    def is_suspending(self) -> bool:
        """Whether the computer goes to sleep, or sleeps."""
        return _SUSPENDING in self._causes.holding

    def tell_locked(self, by: str, on: bool) -> None:
        """The screen is locked, or no longer, as one of those who know says; it is locked while one of them says so."""
        self._causes.tell(f"locked by {by}", on)

    def tell_active(self, on: bool) -> None:
        """This session is in front, or no longer."""
        self._causes.tell(_INACTIVE, not on)

    def tell_suspending(self, on: bool) -> None:
        """The computer goes to sleep, or woke up."""
        self._causes.tell(_SUSPENDING, on)
