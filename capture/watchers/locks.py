"""The screen is locked, another user has it, the computer goes to sleep: what logind and screen lockers say.

Sources: `org.freedesktop.login1(5)`; the interfaces `org.freedesktop.ScreenSaver` (KDE, and GNOME without its state),
`org.gnome.ScreenSaver`, and those of Cinnamon, MATE and Xfce, which copied GNOME's. A locker that speaks to neither
(i3lock, xsecurelock) is not noticed here; it grabs the keyboard, which is a guard of its own.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from taskreel.capture.watchers.addresses import session_bus, system_bus
from taskreel.capture.watchers.buses import Bus, CallError, Remote, Signal
from taskreel.capture.watchers.session import Session
from taskreel.capture.watchers.watcher import BusWatcher

UNCONFIRMED_S = 10.0
"""How long a lock holds that was asked for and that no locker has confirmed, or whose locker is gone."""

_LOGIND = "org.freedesktop.login1"
_MANAGER = Remote(_LOGIND, "/org/freedesktop/login1", f"{_LOGIND}.Manager")
_SESSION = f"{_LOGIND}.Session"
_PROPERTIES = "org.freedesktop.DBus.Properties"

_BUS = Remote("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
_LOCKERS = tuple(f"org.{desktop}.ScreenSaver" for desktop in ("freedesktop", "gnome", "cinnamon", "mate", "xfce"))
_LOCKER_ANSWERS_IN_S = 0.5


class LogindWatcher(BusWatcher):
    """logind's session: its hint that it is locked, requests to lock it, whether it is in front; and sleep."""

    name = "logind"

    def __init__(self, session: Session, environ: Mapping[str, str]) -> None:
        super().__init__()
        self._session, self._environ = session, environ
        self._watched: Remote | None = None

    def connect(self) -> Bus:
        """The system bus."""
        return Bus(system_bus(self._environ), "system bus")

    def begin(self, bus: Bus) -> str:
        """Listen to the manager and to this process's session."""
        bus.listen(interface=_MANAGER.interface, member="PrepareForSleep")
        self._session.tell_suspending(bool(bus.property(_MANAGER, "PreparingForSleep")))
        self._watched = self._own_session(bus)
        if not self._watched:
            return "this process belongs to no session of logind: start taskreel from the desktop"
        bus.listen(interface=_PROPERTIES, member="PropertiesChanged", path=self._watched.path)
        bus.listen(interface=_SESSION, path=self._watched.path)
        self._ask(bus)
        return ""

    def heard(self, bus: Bus, signal: Signal) -> None:
        """Follow the manager's and the session's signals."""
        match signal.member:
            case "PrepareForSleep":
                self._session.tell_suspending(bool(signal.body[0]))
            case "Lock":
                self._session.tell_locked("request", True)
                self.due_s = time.monotonic() + UNCONFIRMED_S
            case "Unlock":
                self._session.tell_locked("request", False)
            case "PropertiesChanged" if signal.body[0] == _SESSION:
                self._changed(bus, *signal.body[1:])

    def due(self, bus: Bus) -> None:
        """Nobody confirmed the request to lock: there may be no locker."""
        self._session.tell_locked("request", False)

    def _changed(self, bus: Bus, changed: Mapping[str, tuple[str, object]], stale: list[str]) -> None:
        if "LockedHint" in changed:
            self._session.tell_locked("logind", bool(changed["LockedHint"][1]))
            self._session.tell_locked("request", False)
        if "Active" in changed:
            self._session.tell_active(bool(changed["Active"][1]))
        if {"LockedHint", "Active"} & set(stale):
            self._ask(bus)

    def _ask(self, bus: Bus) -> None:
        assert self._watched
        self._session.tell_locked("logind", bool(bus.property(self._watched, "LockedHint")))
        self._session.tell_active(bool(bus.property(self._watched, "Active")))

    def _own_session(self, bus: Bus) -> Remote | None:
        for name in filter(None, (self._environ.get("XDG_SESSION_ID"), "auto")):
            try:
                (path,) = bus.call(_MANAGER, "GetSession", "s", name)
            except CallError:
                continue
            return Remote(_LOGIND, path, _SESSION)
        return None


class LockerWatcher(BusWatcher):
    """The screen lockers of desktops, on the session bus."""

    name = "screen locker"

    def __init__(self, session: Session, environ: Mapping[str, str]) -> None:
        super().__init__()
        self._session, self._environ = session, environ
        self._gone: set[str] = set()

    def connect(self) -> Bus:
        """The session bus."""
        return Bus(session_bus(self._environ), "session bus")

    def begin(self, bus: Bus) -> str:
        """Listen to all that are known, and ask those that run."""
        for name in _LOCKERS:
            bus.listen(interface=name, member="ActiveChanged")
            bus.listen(interface=_BUS.interface, member="NameOwnerChanged", arg0=name)
        running = [name for name in _LOCKERS if bus.call(_BUS, "NameHasOwner", "s", name)[0]]
        for name in running:
            self._ask(bus, name)
        return "" if running else "no screen locker runs on the session bus"

    def heard(self, bus: Bus, signal: Signal) -> None:
        """Follow the lockers, and who comes and goes."""
        match signal.member:
            case "ActiveChanged" if signal.interface in _LOCKERS:
                self._session.tell_locked(signal.interface, bool(signal.body[0]))
                self._gone.discard(signal.interface)
                self.absence = ""
            case "NameOwnerChanged" if signal.body[2]:
                self.absence = ""
                self._ask(bus, signal.body[0])
            case "NameOwnerChanged":  # a locker that crashed is soon started again by its desktop: locked until then
                self._gone.add(signal.body[0])
                self.due_s = time.monotonic() + UNCONFIRMED_S

    def due(self, bus: Bus) -> None:
        """A locker is gone for good."""
        for name in self._gone:
            self._session.tell_locked(name, False)
        self._gone.clear()

    def _ask(self, bus: Bus, name: str) -> None:
        """Ask whether it is active; GNOME refuses that for one of its two names, and KDE has two paths."""
        for path in (f"/{name.replace('.', '/')}", "/ScreenSaver"):
            try:
                (is_active,) = bus.call(Remote(name, path, name), "GetActive", limit_s=_LOCKER_ANSWERS_IN_S)
            except CallError:
                continue
            self._session.tell_locked(name, bool(is_active))
            self._gone.discard(name)
            return
