"""An input method is active: what keys say is not what is written.

Sources: IBus's `org.freedesktop.IBus` (on a bus of its own; layouts are engines called `xkb:…`), Fcitx 5's
`org.fcitx.Fcitx.Controller1` (layouts are input methods called `keyboard-…`). Fcitx has no signal, so it is asked each
second; keys typed in the second after a change may lack the flag.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from taskreel.capture.watchers.addresses import ibus_bus, session_bus
from taskreel.capture.watchers.buses import Bus, BusError, CallError, Remote, Signal
from taskreel.capture.watchers.session import Causes
from taskreel.capture.watchers.watcher import BusWatcher

FCITX_EVERY_S = 1.0

_IBUS = Remote("org.freedesktop.IBus", "/org/freedesktop/IBus", "org.freedesktop.IBus")
_FCITX = Remote("org.fcitx.Fcitx5", "/controller", "org.fcitx.Fcitx.Controller1")
_FCITX_ACTIVE = 2


class IbusWatcher(BusWatcher):
    """IBus's global engine."""

    name = "ibus"

    def __init__(self, causes: Causes, environ: Mapping[str, str], display: str = "") -> None:
        super().__init__()
        self._causes, self._environ, self._display = causes, environ, display

    def connect(self) -> Bus:
        """IBus's own bus."""
        address = ibus_bus(self._environ, self._display)
        if not address:
            self._causes.tell(self.name, False)
            raise BusError("IBus does not run")
        return Bus(address, "bus of IBus")

    def begin(self, bus: Bus) -> str:
        """Listen for another engine, and ask for the one that is."""
        bus.listen(interface=_IBUS.interface, member="GlobalEngineChanged")
        try:
            engine = _engine_name(bus.property(_IBUS, "GlobalEngine"))
        except CallError:  # there is none until a window has the focus
            engine = ""
        self._tell(engine)
        return ""

    def heard(self, bus: Bus, signal: Signal) -> None:
        """Another engine."""
        if signal.member == "GlobalEngineChanged":
            self._tell(signal.body[0])

    def _tell(self, engine: str) -> None:
        self._causes.tell(self.name, bool(engine) and not engine.startswith("xkb:"))


class FcitxWatcher(BusWatcher):
    """Fcitx 5's current input method."""

    name = "fcitx"

    def __init__(self, causes: Causes, environ: Mapping[str, str]) -> None:
        super().__init__()
        self._causes, self._environ = causes, environ

    def connect(self) -> Bus:
        """The session bus."""
        return Bus(session_bus(self._environ), "session bus")

    def begin(self, bus: Bus) -> str:
        """Ask for the first time."""
        self.due(bus)
        return self.absence

    def due(self, bus: Bus) -> None:
        """Ask, and again in a second."""
        self.due_s = time.monotonic() + FCITX_EVERY_S
        try:
            (state,) = bus.call(_FCITX, "State")
            (method,) = bus.call(_FCITX, "CurrentInputMethod") if state == _FCITX_ACTIVE else ("keyboard-",)
        except CallError:
            self.absence, is_active = "Fcitx 5 does not run", False
        else:
            self.absence, is_active = "", bool(method) and not method.startswith("keyboard-")
        self._causes.tell(self.name, is_active)


def _engine_name(description: Any) -> str:
    """The name in a serialized `IBusEngineDesc`: a variant with ("IBusEngineDesc", attachments, name, …)."""
    return str(description[1][2] if isinstance(description[0], str) and len(description) == 2 else description[2])
