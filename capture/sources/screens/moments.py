"""When a picture is wanted: before an action, once the screen has settled after it, and now and then in between."""

from __future__ import annotations

from enum import IntEnum

from taskreel.capture.sources.protocol import Event
from taskreel.io.kinds import Flag, Kind

RUN_GAP_US = 1_000_000
"""Keys and ticks of the wheel are one run while no more time than this is between two."""

SETTLE_LIMIT_US = 2_000_000
"""A picture after an action, or after a run, is made so long after it at the latest, settled or not."""

HEEDED = frozenset({Kind.KEY_DOWN, Kind.KEY_UP, Kind.BUTTON_DOWN, Kind.BUTTON_UP, Kind.SCROLL, Kind.FOCUS})
"""Kinds of events that decide about pictures."""

_ENDING_KEYS = frozenset({"enter", "numpadenter", "tab", "esc"})
_MODIFIERS = frozenset({"ctrlleft", "ctrlright", "altleft", "altright", "winleft", "winright"})
_NOT_ACTIONS = Flag.RESTATED | Flag.RECORDER_CONTROL
_LONG_AGO_US = -(1 << 62)


class Why(IntEnum):
    """Why a picture is wanted. When there are too many, those with the higher number are given up first."""

    FIRST = 1
    BEFORE = 2
    SETTLED = 3
    HEARTBEAT = 4


class Moments:
    """Hears of actions and of changes on the screen, and says when a picture is wanted. Times in µs of one clock."""

    def __init__(self, settle_us: int, heartbeat_us: int, now_us: int) -> None:
        self._settle_us, self._heartbeat_us = settle_us, heartbeat_us
        self._run: tuple[Kind, int] | None = None
        self._held: set[str] = set()
        self._since_us: int | None = None
        self._acted_us = self._changed_us = _LONG_AGO_US
        self._has_changed = False
        self._beat_us = now_us + heartbeat_us

    def heed(self, event: Event) -> bool:
        """An event of another source; whether the frame before it is wanted."""
        if event.kind not in HEEDED or event.flags & _NOT_ACTIONS:
            return False
        if event.kind == Kind.FOCUS:
            self._run = None
            return False
        if event.kind == Kind.KEY_UP:
            self._held.discard(event.key or "")
            return False
        begins = self._begins_action(event)
        self._arm(event.time_us, is_new=begins or self._run is None)
        return begins

    def changed(self, time_us: int) -> None:
        """The screen has changed."""
        self._changed_us, self._has_changed = time_us, True

    def due(self, now_us: int) -> Why | None:
        """What is wanted now, if anything; said once."""
        if self._since_us is not None and now_us >= self._since_us + SETTLE_LIMIT_US:
            self._since_us = None
            return Why.SETTLED
        if now_us >= self._settles_us():
            self._has_changed = False
            return Why.SETTLED
        if now_us >= self._beat_us:
            self._beat_us = now_us + self._heartbeat_us
            return Why.HEARTBEAT
        return None

    def next_us(self) -> int:
        """When `due` has something to say, if nothing happens until then."""
        limit_us = self._beat_us if self._since_us is None else self._since_us + SETTLE_LIMIT_US
        return min(limit_us, self._settles_us(), self._beat_us)

    def shown(self, why: Why, now_us: int) -> None:
        """A screen event was made."""
        self._beat_us = now_us + self._heartbeat_us
        if why == Why.SETTLED:
            self._since_us = None

    def _settles_us(self) -> int:
        if self._since_us is None or not self._has_changed or self._changed_us < self._since_us:
            return 1 << 62
        return max(self._acted_us, self._changed_us) + self._settle_us

    def _arm(self, time_us: int, *, is_new: bool) -> None:
        """An action: a picture after it is wanted. A run that goes on puts that off, on a screen that never settles."""
        self._acted_us = time_us
        if self._since_us is None or not is_new:
            self._since_us = time_us

    def _begins_action(self, event: Event) -> bool:
        if event.kind not in (Kind.KEY_DOWN, Kind.SCROLL):
            self._run = None
            return event.kind == Kind.BUTTON_DOWN
        run = self._run
        is_first = run is None or run[0] != event.kind or event.time_us - run[1] > RUN_GAP_US
        ends_run = event.kind == Kind.KEY_DOWN and self._ends_run(event)
        self._run = None if ends_run else (Kind(event.kind), event.time_us)
        return is_first or ends_run

    def _ends_run(self, event: Event) -> bool:
        """Whether a key is an action by itself: Enter, Tab, Escape, and what is pressed with Ctrl, Alt or Meta.

        Not while it repeats.
        """
        key = event.key or ""
        if key in _MODIFIERS:
            self._held.add(key)
            return False
        return not event.flags & Flag.AUTO_REPEAT and (key in _ENDING_KEYS or bool(self._held))
