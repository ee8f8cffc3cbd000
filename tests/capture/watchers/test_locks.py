"""Locks, users and sleep on private buses, where small programs play logind and the lockers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from message_bus import PrivateBus, Program
from x_server import wait_for

from taskreel.capture.watchers import locks
from taskreel.capture.watchers.locks import LockerWatcher, LogindWatcher
from taskreel.capture.watchers.session import Session
from taskreel.capture.watchers.watcher import BusWatcher

SESSION = "org.freedesktop.login1.Session"
MANAGER = "org.freedesktop.login1.Manager"
PATH = "/org/freedesktop/login1/session/_31"
GNOME, KDE = "org.gnome.ScreenSaver", "org.freedesktop.ScreenSaver"


@pytest.fixture(scope="module")
def bus() -> Iterator[PrivateBus]:
    with PrivateBus() as bus:
        yield bus


@contextmanager
def watched(watcher: BusWatcher) -> Iterator[None]:
    watcher.start()
    watcher.wait(20)
    try:
        yield
    finally:
        watcher.stop()
        watcher.join(20)


@contextmanager
def logind(bus: PrivateBus, *, locked: bool = False, active: bool = True, sleeping: bool = False) -> Iterator[Program]:
    with Program(bus.address, "org.freedesktop.login1") as program:
        program.answers |= {
            "GetSession": ("o", (PATH,)),
            f"{SESSION}.LockedHint": ("b", (locked,)),
            f"{SESSION}.Active": ("b", (active,)),
            f"{MANAGER}.PreparingForSleep": ("b", (sleeping,)),
        }
        yield program


def changed(program: Program, name: str, value: bool) -> None:
    interface = "org.freedesktop.DBus.Properties"
    program.emit(PATH, interface, "PropertiesChanged", "sa{sv}as", SESSION, {name: ("b", value)}, [])


def test_logind_tells_of_locks_users_and_sleep(bus: PrivateBus) -> None:
    session = Session()
    environ = {"DBUS_SYSTEM_BUS_ADDRESS": bus.address, "XDG_SESSION_ID": "1"}
    with logind(bus) as program, watched(watcher := LogindWatcher(session, environ)):
        assert watcher.absence == ""
        assert not session.guard.is_on
        assert program.calls[1] == ("GetSession", ("1",))
        for begin, end, has_begun in (
            (
                lambda: changed(program, "LockedHint", True),
                lambda: changed(program, "LockedHint", False),
                lambda: session.is_locked,
            ),
            (
                lambda: changed(program, "Active", False),
                lambda: changed(program, "Active", True),
                lambda: not session.is_active_session,
            ),
            (
                lambda: program.emit("/org/freedesktop/login1", MANAGER, "PrepareForSleep", "b", True),
                lambda: program.emit("/org/freedesktop/login1", MANAGER, "PrepareForSleep", "b", False),
                lambda: session.is_suspending,
            ),
            (
                lambda: program.emit(PATH, SESSION, "Lock", ""),
                lambda: program.emit(PATH, SESSION, "Unlock", ""),
                lambda: session.is_locked,
            ),
            (
                lambda: program.emit(PATH, SESSION, "Lock", ""),
                lambda: changed(program, "LockedHint", False),
                lambda: session.is_locked,
            ),
        ):
            begin()
            wait_for(has_begun, "it has begun")
            assert session.guard.is_on
            end()
            wait_for(lambda: not session.guard.is_on, "it has ended")


def test_a_property_that_logind_does_not_send_is_asked_for(bus: PrivateBus) -> None:
    session = Session()
    with logind(bus) as program, watched(LogindWatcher(session, {"DBUS_SYSTEM_BUS_ADDRESS": bus.address})):
        assert ("GetSession", ("auto",)) in program.calls
        program.answers[f"{SESSION}.LockedHint"] = ("b", (True,))
        interface = "org.freedesktop.DBus.Properties"
        program.emit(PATH, interface, "PropertiesChanged", "sa{sv}as", SESSION, {}, ["LockedHint"])
        wait_for(lambda: session.is_locked, "the lock")


def test_what_logind_says_at_the_start_counts(bus: PrivateBus) -> None:
    session = Session()
    environ = {"DBUS_SYSTEM_BUS_ADDRESS": bus.address}
    with logind(bus, locked=True, active=False, sleeping=True), watched(LogindWatcher(session, environ)):
        assert (session.is_locked, session.is_active_session, session.is_suspending) == (True, False, True)


def test_without_a_session_sleep_is_noticed_and_the_reason_said(bus: PrivateBus) -> None:
    session = Session()
    with logind(bus) as program:
        del program.answers["GetSession"]
        with watched(watcher := LogindWatcher(session, {"DBUS_SYSTEM_BUS_ADDRESS": bus.address})):
            assert "belongs to no session" in watcher.absence
            program.emit("/org/freedesktop/login1", MANAGER, "PrepareForSleep", "b", True)
            wait_for(lambda: session.is_suspending, "sleep")


def test_a_request_to_lock_that_no_locker_confirms_ends(bus: PrivateBus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "UNCONFIRMED_S", 0.3)
    session = Session()
    states: list[bool] = []
    session = Session(lambda: states.append(session.is_locked))
    with logind(bus) as program, watched(LogindWatcher(session, {"DBUS_SYSTEM_BUS_ADDRESS": bus.address})):
        program.emit(PATH, SESSION, "Lock", "")
        wait_for(lambda: states == [True, False], "a lock that ends")


def test_a_signal_of_a_strange_form_does_not_end_the_watch(bus: PrivateBus) -> None:
    session = Session()
    with logind(bus) as program, watched(LogindWatcher(session, {"DBUS_SYSTEM_BUS_ADDRESS": bus.address})):
        program.emit("/org/freedesktop/login1", MANAGER, "PrepareForSleep", "")
        program.emit(PATH, "org.freedesktop.DBus.Properties", "PropertiesChanged", "su", SESSION, 1)
        changed(program, "LockedHint", True)
        wait_for(lambda: session.is_locked, "the lock")


@pytest.mark.parametrize(("name", "path"), [(GNOME, "/org/gnome/ScreenSaver"), (KDE, "/ScreenSaver")])
def test_a_locker_is_asked_at_the_start_and_heard_after(bus: PrivateBus, name: str, path: str) -> None:
    session = Session()
    environ = {"DBUS_SESSION_BUS_ADDRESS": bus.address}
    with Program(bus.address, name) as locker:
        locker.answers["GetActive"] = ("b", (True,))
        with watched(watcher := LockerWatcher(session, environ)):
            assert watcher.absence == ""
            assert session.is_locked
            locker.emit(path, name, "ActiveChanged", "b", False)
            wait_for(lambda: not session.is_locked, "no lock")
            locker.emit(path, name, "ActiveChanged", "b", True)
            wait_for(lambda: session.is_locked, "the lock")


def test_a_locker_that_crashes_while_it_locks_has_locked_until_it_is_back(
    bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()
    session = Session()
    with ExitStack() as stack:
        with Program(bus.address, GNOME) as locker:
            locker.answers["GetActive"] = ("b", (True,))
            watcher = LockerWatcher(session, {"DBUS_SESSION_BUS_ADDRESS": bus.address})
            due = watcher.due
            monkeypatch.setattr(watcher, "due", lambda bus: (asked.set(), due(bus)))
            stack.enter_context(watched(watcher))
        wait_for(lambda: watcher.due_s < float("inf"), "news of the crash")
        assert session.is_locked
        again = stack.enter_context(Program(bus.address))
        again.answers["GetActive"] = ("b", (False,))
        again.own(GNOME)
        wait_for(lambda: not session.is_locked, "no lock")
        assert not asked.is_set(), "it was the locker's answer, not the limit"


def test_a_locker_that_comes_back_and_still_locks_has_locked(bus: PrivateBus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "UNCONFIRMED_S", 1.0)
    session = Session()
    with ExitStack() as stack:
        with Program(bus.address, GNOME) as locker:
            locker.answers["GetActive"] = ("b", (True,))
            watcher = LockerWatcher(session, {"DBUS_SESSION_BUS_ADDRESS": bus.address})
            stack.enter_context(watched(watcher))
        wait_for(lambda: watcher.due_s < float("inf"), "news of the crash")
        again = stack.enter_context(Program(bus.address))
        again.answers["GetActive"] = ("b", (True,))
        again.own(GNOME)
        wait_for(lambda: again.calls, "the question")
        wait_for(lambda: watcher.due_s == float("inf"), "the limit")
        assert session.is_locked


def test_a_locker_that_is_gone_for_good_has_not_locked_for_ever(
    bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "UNCONFIRMED_S", 0.3)
    session = Session()
    with ExitStack() as stack:
        with Program(bus.address, GNOME) as locker:
            locker.answers["GetActive"] = ("b", (True,))
            stack.enter_context(watched(LockerWatcher(session, {"DBUS_SESSION_BUS_ADDRESS": bus.address})))
            assert session.is_locked
        wait_for(lambda: not session.is_locked, "the end of the lock")


def test_without_a_locker_the_reason_is_said_until_one_comes(bus: PrivateBus) -> None:
    session = Session()
    with watched(watcher := LockerWatcher(session, {"DBUS_SESSION_BUS_ADDRESS": bus.address})):
        assert watcher.absence == "no screen locker runs on the session bus"
        with Program(bus.address, GNOME):
            wait_for(lambda: not watcher.absence, "the locker")
