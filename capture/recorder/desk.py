"""The desk of a person who is recorded: are they at it, has the spool room, and what is shown to them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from taskreel.capture.indicators import Indicators, Phase, Status
from taskreel.capture.recorder.admission import still_admitted
from taskreel.capture.recorder.recorder import Conditions
from taskreel.capture.recorder.recording import Identity
from taskreel.capture.settings import Settings
from taskreel.capture.sources.guards import Guard
from taskreel.capture.spool import Spool
from taskreel.capture.watchers.session import Session

_LOOK_S = 10.0
"""How often the spool is walked: a few milliseconds with thousands of files."""
_PHASES = {"recording": Phase.RECORDING, "paused": Phase.PAUSED, "starting": Phase.RECORDING, "stopped": Phase.STOPPED}


class Desk:
    """What a recorder asks of its surroundings, and where it tells how it stands."""

    def __init__(self, settings: Settings, identity: Identity, session: Session) -> None:
        self._settings, self._identity, self._session = settings, identity, session
        self._spool = Spool(settings.spool).open()
        self._started_us = self._since_us = time.time_ns() // 1000
        self._phase = Phase.STOPPED
        self._next_look = 0.0
        self._has_room = True
        self._unsent = self._bytes = 0
        self.indicators: Indicators | None = None

    def conditions(self, guards: Sequence[Guard]) -> Conditions:
        """What the recorder asks."""
        return Conditions(guards, self.away, self.has_room, self.refused)

    def away(self) -> str | None:
        """Why nobody may be recorded now."""
        if self._session.is_locked:
            return "locked"
        if not self._session.is_active_session:
            return "user_switched"
        return "suspending" if self._session.is_suspending else None

    def refused(self) -> str | None:
        """Why the consent does not hold any more: it is read each second, a kilobyte a record."""
        return still_admitted(self._settings.spool, self._identity)

    def has_room(self) -> bool:
        """Whether the spool is within its quota, after old sent segments were removed."""
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _LOOK_S
            self._spool.make_room(self._settings.quota_bytes)
            self._look()
            self._has_room = self._bytes <= self._settings.quota_bytes
        return self._has_room

    def _look(self) -> None:
        self._bytes = self._spool.size_bytes()
        self._unsent = len(self._spool.unsent())

    def show(self, status: dict[str, Any]) -> None:
        """Show a person, and other programs, how it stands."""
        phase = _PHASES.get(status["state"], Phase.LOCKED)
        if any("quota" in fault for fault in status["faults"]) and phase is Phase.STOPPED:
            phase = Phase.QUOTA
        if phase is not self._phase:
            self._phase, self._since_us = phase, time.time_ns() // 1000
            if status["state"] == "stopped":
                self._look()
        if self.indicators is None:
            return
        account = status["account"]
        self.indicators.show(
            Status(
                pid=status["pid"],
                phase=phase,
                since_us=self._since_us,
                participant=status["participant"],
                recording=status["recording"] or "",
                started_us=self._started_us,
                events=account["journaled"],
                pictures=status["pictures"],
                withheld=account["withheld"],
                segments_sealed=status["segments"],
                segments_unsent=self._unsent,
                spool_bytes=self._bytes,
            )
        )
