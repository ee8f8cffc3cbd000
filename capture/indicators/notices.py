"""Desktop notifications when recording begins, pauses, goes on or ends: best effort, in a thread of their own.

Source: the Desktop Notifications Specification (`org.freedesktop.Notifications`).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from typing import Any

from taskreel.capture.indicators.state import Phase
from taskreel.capture.settings import OWN_NAME
from taskreel.capture.watchers.addresses import session_bus
from taskreel.capture.watchers.buses import Bus, BusError, CallError, Remote

_NOTIFICATIONS = "org.freedesktop.Notifications"
_SERVER = Remote(_NOTIFICATIONS, "/org/freedesktop/Notifications", _NOTIFICATIONS)
_ICON = "media-record"
_SHOWN_FOR_MS = 5000
_LIMIT_S = 1.0
_LOW, _NORMAL = 0, 1

_TEXTS = {
    Phase.RECORDING: ("Recording", "taskreel records what you do. {hotkey} pauses."),
    Phase.PAUSED: ("Recording is paused", "Nothing is recorded. {hotkey} resumes."),
    Phase.QUOTA: ("Recording stopped: the disk space is used up", "Nothing is recorded until segments are published."),
    Phase.STOPPED: ("Recording ended", "Nothing is recorded."),
}
"""Nothing is said of a locked screen: nobody would see it."""


class Notices:
    """Shows a notification for each new phase, in place of the one before."""

    def __init__(self, pause_hotkey: str, environ: Mapping[str, str]) -> None:
        self._hotkey, self._environ = pause_hotkey, environ
        self.absence = ""
        """Why there are none, if so."""
        self._phase: Phase | None = None
        self._phases: queue.SimpleQueue[Phase | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="taskreel-notices", daemon=True)
        self._thread.start()

    def show(self, phase: Phase) -> None:
        """Show it soon, if it is another one than before. Returns at once."""
        if phase is not self._phase:
            self._phase = phase
            self._phases.put(phase)

    def close(self) -> None:
        """Show what is still to be shown, within a second, and end."""
        self._phases.put(None)
        self._thread.join(_LIMIT_S)

    def _run(self) -> None:
        shown = 0
        while (phase := self._phases.get()) is not None:
            if phase in _TEXTS:
                try:
                    shown = self._notify(phase, shown)
                    self.absence = ""
                except (BusError, CallError) as error:
                    self.absence = str(error)

    def _notify(self, phase: Phase, replaces: int) -> int:
        """Show one in place of another (0: none); its number."""
        title, text = _TEXTS[phase]
        urgency = _NORMAL if phase is Phase.QUOTA else _LOW
        hints = {"urgency": ("y", urgency), "transient": ("b", phase is not Phase.QUOTA)}
        bus = Bus(session_bus(self._environ), "session bus")
        try:
            shown: tuple[Any, ...] = (
                OWN_NAME,
                replaces,
                _ICON,
                title,
                text.format(hotkey=self._hotkey),
                [],
                hints,
                _SHOWN_FOR_MS,
            )
            (number,) = bus.call(_SERVER, "Notify", "susssasa{sv}i", *shown, limit_s=_LIMIT_S, may_start=True)
        finally:
            bus.close()
        return int(number)
