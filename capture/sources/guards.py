"""When something must not be kept: what is true for some time, such as a locked screen, and what it withholds.

News of it comes late: a password field says that it has the focus when the first key may be on its way already. So
events are held in memory for a moment (`HOLD_US`) before they touch the disk, and a guard says of a *time* whether it
was on, `lead_us` ahead of the news.
"""

from __future__ import annotations

import threading
from collections import deque
from enum import Enum

HOLD_US = 100_000
"""How long an event is held in memory before it is written."""

_REMEMBERED = 256
"""Changes that a guard remembers: more than happen while an event is held."""


class Withholds(Enum):
    """What a guard keeps out of the recording."""

    KEYS = "keys"
    """Key events; the rest is kept."""
    TEXT = "text"
    """Nothing, but key text is flagged `Flag.IME`: an input method makes something else of it."""
    ALL = "all"
    """Every event and picture."""


class Guard:
    """A condition and what it withholds. `reason` is a short name: `locked`, `keyboard_grab`, `password`, `ime`.

    Switched by whoever watches the condition, asked by the recorder; from any thread.
    """

    def __init__(self, reason: str, withholds: Withholds, *, lead_us: int = HOLD_US) -> None:
        self.reason, self.withholds, self._lead_us = reason, withholds, lead_us
        self._lock = threading.Lock()
        self._changes: deque[tuple[int, bool]] = deque([(-(1 << 62), False)], maxlen=_REMEMBERED)

    def switch(self, on: bool, time_us: int) -> None:
        """The condition holds, or no longer does, as of a time (CLOCK_MONOTONIC µs). Again the same changes nothing."""
        with self._lock:
            if self._changes[-1][1] != on:
                time_us = time_us - self._lead_us if on else time_us
                self._changes.append((max(time_us, self._changes[-1][0]), on))

    @property
    def is_on(self) -> bool:
        """Whether the condition holds, as far as is known."""
        with self._lock:
            return self._changes[-1][1]

    def is_off_since(self, time_us: int) -> bool:
        """Whether it was off all the time from then until now, as far as is known."""
        with self._lock:
            since_us, on = self._changes[-1]
            return not on and since_us <= time_us

    def is_on_at(self, time_us: int) -> bool:
        """Whether it held at a time."""
        with self._lock:
            for since_us, on in reversed(self._changes):
                if since_us <= time_us:
                    return on
        return True  # older than all that is remembered: fail closed
