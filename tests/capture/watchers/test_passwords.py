"""Password fields of real GTK and Qt programs, by the real AT-SPI2; and programs that answer late or not at all."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from message_bus import PrivateBus, Program
from x_server import Injector, XServer, end, wait_for

from taskreel.capture.sources.guards import Guard, Withholds
from taskreel.capture.sources.protocol import monotonic_us
from taskreel.capture.watchers import accessibles, passwords
from taskreel.capture.watchers.buses import Bus
from taskreel.capture.watchers.passwords import PATIENCE_S, PasswordWatcher

GTK = """
import gi
gi.require_version("Gtk", "3.0")
from gi.repository import Gtk
window, box, name, word = Gtk.Window(), Gtk.Box(), Gtk.Entry(), Gtk.Entry()
word.set_visibility(False)
box.add(name)
box.add(word)
window.add(box)
window.show_all()
Gtk.main()
"""
QT = """
from PyQt5.QtWidgets import QApplication, QHBoxLayout, QLineEdit, QWidget
application = QApplication([])
window, name, word = QWidget(), QLineEdit(), QLineEdit()
word.setEchoMode(QLineEdit.Password)
layout = QHBoxLayout(window)
layout.addWidget(name)
layout.addWidget(word)
window.show()
application.exec()
"""
GTK_DIALOG = """
import gi
gi.require_version("Gtk", "3.0")
from gi.repository import Gtk
window, name = Gtk.Window(), Gtk.Entry()
window.add(name)

def ask(_):
    dialog, word = Gtk.Dialog(transient_for=window, modal=True), Gtk.Entry()
    word.set_visibility(False)
    dialog.get_content_area().add(word)
    word.connect("activate", lambda _: dialog.destroy())
    dialog.show_all()

name.connect("activate", ask)
window.show_all()
Gtk.main()
"""
QT_DIALOG = """
from PyQt5.QtWidgets import QApplication, QInputDialog, QLineEdit
application = QApplication([])
name = QLineEdit()
name.returnPressed.connect(lambda: QInputDialog.getText(name, "a", "b", QLineEdit.Password))
name.show()
application.exec()
"""
TAB, ENTER = 23, 36
NEWS_LIMIT_S = 0.5
"""From the key that moves the focus to the guard: measured 3 to 15 ms; the machine of a test may be loaded."""


@pytest.fixture
def x() -> Iterator[XServer]:
    with XServer() as x:
        x.window_manager()
        yield x


@pytest.fixture
def bus(x: XServer) -> Iterator[PrivateBus]:
    with PrivateBus(x.env()) as bus:
        yield bus


@contextmanager
def watched(bus: PrivateBus) -> Iterator[tuple[PasswordWatcher, Guard]]:
    guard = Guard("password", Withholds.KEYS)
    watcher = PasswordWatcher(guard, bus.environ)
    watcher.start()
    watcher.wait(20)
    try:
        yield watcher, guard
    finally:
        watcher.stop()
        watcher.join(20)


@contextmanager
def injected(x: XServer) -> Iterator[Injector]:
    injector = Injector(x.display)
    try:
        yield injector
    finally:
        injector.close()


@pytest.mark.parametrize("program", [GTK, QT], ids=["gtk", "qt"])
def test_the_guard_is_on_while_a_password_field_has_the_focus(x: XServer, bus: PrivateBus, program: str) -> None:
    with watched(bus) as (watcher, guard), injected(x) as injector:
        assert watcher.absence == ""
        process = x.start("/usr/bin/python3", "-c", program, env=bus.environ)
        wait_for(lambda: watcher.focused, "a widget with the focus")
        assert not guard.is_on
        for is_on in (True, False, True):
            pressed_us, pressed_s = monotonic_us(), time.monotonic()
            injector.tap(TAB)
            wait_for(lambda is_on=is_on: guard.is_on == is_on, f"the guard at {is_on}", NEWS_LIMIT_S)
            print(f"{'on' if is_on else 'off'} after {1000 * (time.monotonic() - pressed_s):.0f} ms")
            assert is_on or guard.is_on_at(pressed_us - 1), "the password's last keys"
        other = x.start("xterm")
        wait_for(lambda: not guard.is_on, "another window with the focus")
        end(other)
        wait_for(lambda: guard.is_on, "the password's field again")
        end(process)
        wait_for(lambda: not guard.is_on, "the end of the program")


@pytest.mark.parametrize("program", [GTK_DIALOG, QT_DIALOG], ids=["gtk", "qt"])
def test_the_guard_is_on_in_a_dialog_of_the_program_that_had_the_focus(
    x: XServer, bus: PrivateBus, program: str
) -> None:
    with watched(bus) as (watcher, guard), injected(x) as injector:
        x.start("/usr/bin/python3", "-c", program, env=bus.environ)
        wait_for(lambda: watcher.focused, "a widget with the focus")
        for _ in range(2):
            injector.tap(ENTER)
            wait_for(lambda: guard.is_on, "the password's field")
            time.sleep(0.2)  # late news of the first window
            assert guard.is_on
            injector.tap(ENTER)
            wait_for(lambda: not guard.is_on and watcher.focused, "the first window again")


@pytest.mark.parametrize(
    "program",
    [
        GTK.replace("Gtk.main", "word.grab_focus()\nGtk.main"),
        QT.replace("application.exec", "word.setFocus()\napplication.exec"),
    ],
    ids=["gtk", "qt"],
)
def test_a_field_that_had_the_focus_before_is_found(x: XServer, bus: PrivateBus, program: str) -> None:
    """Qt 5 looks at the session's setting only when it starts, so it is told by the variable here."""
    accessibility_address(bus)  # the bus runs, as on a desktop
    x.start("/usr/bin/python3", "-c", program, env=bus.environ | {"QT_LINUX_ACCESSIBILITY_ALWAYS_ON": "1"})
    wait_for(lambda: has_focus(x), "a window with the focus")
    with watched(bus) as (_, guard):
        wait_for(lambda: guard.is_on, "the field that had the focus before")


def test_news_of_the_focus_end_the_search(bus: PrivateBus) -> None:
    """A tree without end, in which each widget is active and has only itself below it."""
    listening = accessibles.connect(bus.environ)
    listening.listen(interface="org.a11y.atspi.Event.Object", member="StateChanged")
    with Program(accessibility_address(bus), accessibles._REGISTRY) as program:
        program.answers["GetState"] = ("au", ([1 << 1, 0],))
        program.answers["GetChildren"] = ("a(so)", ([(program.unique_name, "/any")],))
        threading.Timer(0.3, lambda: says_focused(program, "/word")).start()
        began_s = time.monotonic()
        assert accessibles.find_focused(listening, 60) is None
        assert 0.2 < time.monotonic() - began_s < 30
        while listening.has_heard("StateChanged"):
            listening.receive(time.monotonic())
        began_s = time.monotonic()
        assert accessibles.find_focused(listening, 0.2) is None
        assert 0.2 <= time.monotonic() - began_s < 20, "the search without an end has a limit"
    listening.close()


def test_the_setting_of_the_session_is_put_back_unless_a_screen_reader_came(bus: PrivateBus) -> None:
    status = accessibles._Launcher.status
    launcher = Bus(bus.address, "session bus")
    with watched(bus):
        assert launcher.property(status, "IsEnabled")
    assert not launcher.property(status, "IsEnabled")
    with watched(bus):
        launcher.set_property(status, "ScreenReaderEnabled", "b", True)
    assert launcher.property(status, "IsEnabled")
    launcher.set_property(status, "ScreenReaderEnabled", "b", False)
    with watched(bus):
        pass
    assert launcher.property(status, "IsEnabled"), "it was on before"
    launcher.close()


def has_focus(x: XServer) -> bool:
    """Whether a window has the focus."""
    said = x.run("xprop", "-root", "_NET_ACTIVE_WINDOW")
    return "# 0x" in said and "# 0x0" not in said


def says_focused(program: Program, path: str, on: int = 1) -> None:
    program.emit(path, "org.a11y.atspi.Event.Object", "StateChanged", "siiv", "focused", on, 0, ("u", 0))


def test_while_a_program_does_not_say_what_has_the_focus_keys_are_withheld(bus: PrivateBus) -> None:
    with watched(bus) as (watcher, guard):
        with Program(accessibility_address(bus)) as program:
            program.silent.add("GetRole")
            said_us = monotonic_us()
            says_focused(program, "/silent")
            wait_for(lambda: guard.is_on, "the guard without an answer")
            assert monotonic_us() - said_us >= PATIENCE_S * 1e6
            assert guard.is_on_at(said_us), "also for the keys that are held since"
        wait_for(lambda: not guard.is_on, "the end of the program")
        assert watcher.focused is None


def test_an_answer_in_time_withholds_nothing_of_what_came_before(bus: PrivateBus) -> None:
    with watched(bus) as (watcher, guard), Program(accessibility_address(bus)) as program:
        program.answers["GetRole"] = ("u", (61,))
        since_us = monotonic_us()
        for path in ("/a", "/b"):
            says_focused(program, path)
            wait_for(lambda path=path: watcher.focused and watcher.focused.path == path, "the focus")
        wait_for(lambda: [member for member, _ in program.calls].count("GetRole") == 2, "both questions")
        time.sleep(2 * PATIENCE_S)
        assert not any(guard.is_on_at(time_us) for time_us in range(since_us - 200_000, monotonic_us(), 1000))


def test_the_answer_about_a_field_that_has_lost_the_focus_does_not_count(bus: PrivateBus) -> None:
    with watched(bus) as (watcher, guard), Program(accessibility_address(bus)) as program:
        program.answers["GetRole"] = ("u", (accessibles.ROLE_PASSWORD_TEXT,))
        says_focused(program, "/word")
        says_focused(program, "/word", 0)
        says_focused(program, "/other", 0)
        wait_for(lambda: any(member == "GetRole" for member, _ in program.calls), "the question")
        time.sleep(2 * PATIENCE_S)
        assert not guard.is_on
        assert watcher.focused is None


def test_a_guard_that_a_lost_bus_left_on_is_off_once_nothing_is_found(
    bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "_SEARCH_AGAIN_S", 0.1)
    with watched(bus) as (watcher, guard):
        guard.switch(True, monotonic_us())
        assert not watcher.absence
        wait_for(lambda: not guard.is_on, "the end of the search")


def test_without_a_session_bus_the_reason_is_said() -> None:
    watcher = PasswordWatcher(Guard("password", Withholds.KEYS), {})
    watcher.start()
    watcher.wait(20)
    assert "no session bus" in watcher.absence
    watcher.stop()
    watcher.join(20)


def accessibility_address(bus: PrivateBus) -> str:
    return accessibles._address(bus.environ)
