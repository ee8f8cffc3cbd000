"""Who has the focus, and what must not be kept, on real servers with and without a window manager."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from x_programs import GTK, QT, Program, start_manager, start_toolkit
from x_server import Injector, XServer, wait_for

from taskreel.capture.settings import Settings
from taskreel.capture.sources.protocol import Event, SourceLostError, SourceUnavailableError, monotonic_us
from taskreel.capture.sources.x11.windows import Windows
from taskreel.io.events import Flag, Kind

SECRET = "KeePassXC"


@pytest.fixture
def program(managed: XServer) -> Iterator[Program]:
    """A client of the server with a window manager. Its windows are gone before the next test."""
    yield from closing(Program(managed.display))


@pytest.fixture
def lone(bare: XServer) -> Iterator[Program]:
    """A client of the server without one."""
    yield from closing(Program(bare.display))


def closing(program: Program) -> Iterator[Program]:
    yield program
    program.close()
    after = Program(program.display)
    wait_for(lambda: after.clients() == [] or not after.mapped(), "the windows to go")
    after.close()


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[[Program], Windows]]:
    """Watches a program's server, from what is so when it begins."""
    opened: list[Windows] = []

    def open_(program: Program) -> Windows:
        windows = Windows(Settings(tmp_path, display=program.display))
        windows.open()
        opened.append(windows)
        return windows

    yield open_
    for windows in opened:
        windows.close()
        windows.close()


def managed_window(program: Program, app: str, title: str, x: int = 0, *, transient_for: int = 0) -> int:
    """A window with the focus."""
    window = program.window((x, 100, 200, 100), app=app, title=title, transient_for=transient_for)
    wait_for(lambda: window in program.clients(), "a managed window")
    program.activate(window)
    return window


def focuses(events: list[Event]) -> list[tuple[str | None, str | None]]:
    return [(event.app, event.title) for event in events if event.kind == Kind.FOCUS]


def until_told(windows: Windows, *expected: tuple[str | None, str | None]) -> list[Event]:
    """The events until the last focus told is the last that is expected; all of those are told, and no others."""
    events: list[Event] = []
    wait_for(lambda: events.extend(windows.update()) or focuses(events)[-1:] == [expected[-1]], "a focus event")
    assert focuses(events) == list(expected)
    return [event for event in events if event.kind == Kind.FOCUS]


# The focus


def test_the_focus_is_restated_and_then_told_when_it_changes(
    program: Program, watch: Callable[[Program], Windows]
) -> None:
    editor = managed_window(program, "Editor", "notes.txt")
    mail = managed_window(program, "Mail", "Inbox — 3 unread ✉", 300)
    windows = watch(program)
    first = windows.update()
    assert [event.kind for event in first] == [Kind.GEOMETRY, Kind.FOCUS]
    assert all(event.flags == Flag.RESTATED for event in first)
    assert focuses(first) == [("Mail", "Inbox — 3 unread ✉")]

    before_us = monotonic_us()
    program.activate(editor)
    (event,) = until_told(windows, ("Editor", "notes.txt"))
    assert event.flags == 0
    assert before_us - 2000 <= event.time_us <= monotonic_us()
    assert event.time_us % 1000 == 0, "the server's time"
    program.activate(mail)
    program.activate(editor)
    assert focuses(windows.update()) in ([], [("Mail", "Inbox — 3 unread ✉"), ("Editor", "notes.txt")])


def test_another_document_in_the_same_window_is_a_focus_event(
    program: Program, watch: Callable[[Program], Windows]
) -> None:
    editor = managed_window(program, "Editor", "one.txt")
    managed_window(program, "Mail", "Inbox")
    program.activate(editor)
    windows = watch(program)
    windows.update()
    program.put(editor, "_NET_WM_NAME", "two.txt", "UTF8_STRING")
    until_told(windows, ("Editor", "two.txt"))
    program.put(editor, "_NET_WM_USER_TIME", "x")
    assert windows.update() == []


def test_a_title_in_the_old_property_alone_is_read(program: Program, watch: Callable[[Program], Windows]) -> None:
    window = program.window(app="Old", is_mapped=False)
    program.put(window, "WM_NAME", "Schlüssel")
    program.core.MapWindow(window)
    program.sync()
    wait_for(lambda: window in program.clients(), "a managed window")
    program.activate(window)
    assert focuses(watch(program).update()) == [("Old", "Schlüssel")]


def test_a_window_that_says_nothing_is_unknown(program: Program, watch: Callable[[Program], Windows]) -> None:
    managed_window(program, "", "")
    assert focuses(watch(program).update()) == [(None, None)]


def test_when_the_last_window_goes_nothing_has_the_focus(program: Program, watch: Callable[[Program], Windows]) -> None:
    window = managed_window(program, "Editor", "notes.txt")
    windows = watch(program)
    windows.update()
    program.destroy(window)
    until_told(windows, (None, None))


def test_news_can_be_waited_for(program: Program, watch: Callable[[Program], Windows]) -> None:
    window = managed_window(program, "Editor", "one.txt")
    windows = watch(program)
    assert is_readable(windows), "the first focus is to be told"
    windows.update()
    wait_for(lambda: windows.update() == [] and not is_readable(windows), "no more news")
    program.put(window, "_NET_WM_NAME", "two.txt", "UTF8_STRING")
    windows.key_reason()  # its answer takes the news with it, out of the connection
    assert is_readable(windows)
    assert focuses(windows.update()) == [("Editor", "two.txt")]


def is_readable(windows: Windows) -> bool:
    return bool(select.select([windows.fileno()], [], [], 0)[0])


def test_windows_that_vanish_while_they_are_asked_about(program: Program, watch: Callable[[Program], Windows]) -> None:
    windows = watch(program)
    for number in range(30):
        window = program.window((0, 0, 50, 50), app=f"Short{number}", title="lived", is_popup=bool(number % 2))
        program.focus(window)
        windows.update()
        program.destroy(window)
        windows.key_reason()
        windows.at_press(10, 10)
        windows.pointer_reason(10, 10)
    wait_for(lambda: windows.update() == [] and not is_readable(windows), "no more news")
    stack = windows._stack
    alive = {window for top in stack.tops for window in (top.id, top.client.id)}
    assert len(stack._tops) == len(stack.tops)
    assert stack._top_of.keys() >= alive
    focus = program.core.GetInputFocus().reply().focus
    assert windows._connected.selected <= stack._top_of.keys() | {program.root, focus}
    assert {windows._reasons.get(id_) for id_ in alive} == {None}


# Without a window manager


def test_without_a_window_manager_the_input_focus_is_told(lone: Program, watch: Callable[[Program], Windows]) -> None:
    editor = lone.window((0, 0, 100, 100), app="Editor", title="notes.txt")
    inside = lone.window((0, 0, 10, 10), parent=lone.window((0, 0, 50, 50), parent=editor))
    mail = lone.window((300, 0, 100, 100), app="Mail", title="Inbox")
    lone.focus(mail)
    windows = watch(lone)
    assert focuses(windows.update()) == [("Mail", "Inbox")]
    lone.focus(inside)
    until_told(windows, ("Editor", "notes.txt"))
    lone.focus(0)
    until_told(windows, (None, None))


def test_without_a_window_manager_keys_may_go_where_the_pointer_is(
    bare: XServer, lone: Program, watch: Callable[[Program], Windows]
) -> None:
    lone.window((0, 0, 100, 100), app="Editor", title="notes.txt")
    lone.window((300, 0, 100, 100), app=SECRET, title="Passwords")
    lone.focus(1)
    injector = Injector(bare.display)
    injector.move(10, 10)
    windows = watch(lone)
    assert focuses(windows.update()) == [("Editor", "notes.txt")]
    assert windows.key_reason() is None
    injector.move(310, 10)
    assert windows.key_reason() == "excluded", "the pointer's place is no news, but it is asked for"
    until_told(windows, (None, None))
    injector.close()


# What must not be kept


def test_nothing_of_an_excluded_window_is_told(program: Program, watch: Callable[[Program], Windows]) -> None:
    editor = managed_window(program, "Editor", "notes.txt")
    windows = watch(program)
    windows.update()
    assert windows.key_reason() is None

    secret = managed_window(program, SECRET, "Passwords of Ada", 300)
    until_told(windows, (None, None))
    assert windows.key_reason() == "excluded"
    program.put(secret, "_NET_WM_NAME", "Other passwords", "UTF8_STRING")
    program.put(secret, "WM_CLASS", f"renamed\0{SECRET}\0")
    assert focuses(windows.update()) == []
    excluded = windows.guards()[1]
    assert excluded.reason == "excluded"
    assert excluded.is_on

    program.activate(editor)
    until_told(windows, ("Editor", "notes.txt"))
    assert windows.key_reason() is None
    assert not excluded.is_on
    assert excluded.is_on_at(monotonic_us() - 10_000_000) is False


def test_keys_that_are_read_late_are_judged_by_the_window_that_had_them(
    program: Program, watch: Callable[[Program], Windows]
) -> None:
    editor = managed_window(program, "Editor", "notes.txt")
    secret = managed_window(program, SECRET, "Passwords", 300)
    windows = watch(program)
    windows.update()
    assert windows.key_reason() == "excluded"
    key_us = monotonic_us()
    program.activate(editor)
    until_told(windows, ("Editor", "notes.txt"))
    assert windows.key_reason() is None, "as of now"
    assert windows.guards()[1].is_on_at(key_us), "but not as of the key"
    program.destroy(secret)


def test_a_title_that_becomes_private_hides_the_window_at_once(
    program: Program, watch: Callable[[Program], Windows]
) -> None:
    browser = managed_window(program, "Firefox", "News — Mozilla Firefox")
    windows = watch(program)
    windows.update()
    program.put(browser, "_NET_WM_NAME", "Bank — Mozilla Firefox Private Browsing", "UTF8_STRING")
    assert focuses(windows.update()) == [(None, None)]
    assert windows.key_reason() == "excluded"
    program.put(browser, "_NET_WM_NAME", "News — Mozilla Firefox", "UTF8_STRING")
    assert focuses(windows.update()) == [("Firefox", "News — Mozilla Firefox")]


def test_dialogs_of_an_excluded_window_are_excluded(program: Program, watch: Callable[[Program], Windows]) -> None:
    secret = managed_window(program, SECRET, "Passwords")
    managed_window(program, "", "Unlock", 300, transient_for=secret)
    windows = watch(program)
    assert focuses(windows.update()) == [(None, None)]
    assert windows.key_reason() == "excluded"
    assert windows.pointer_reason(350, 150) == "excluded"


def test_keys_are_withheld_if_an_excluded_popup_has_them_while_another_window_is_active(
    program: Program, watch: Callable[[Program], Windows]
) -> None:
    managed_window(program, "Editor", "notes.txt")
    prompt = program.window((600, 600, 50, 50), app="Pinentry", is_popup=True)
    windows = watch(program)
    assert focuses(windows.update()) == [("Editor", "notes.txt")]
    program.focus(prompt)
    assert windows.key_reason() == "excluded"


def test_taskreels_own_windows_are_its_own(program: Program, watch: Callable[[Program], Windows]) -> None:
    managed_window(program, "Taskreel", "recording")
    windows = watch(program)
    assert focuses(windows.update()) == [(None, None)]
    assert windows.key_reason() == "own"
    assert windows.pointer_reason(50, 150) == "own"
    assert not windows.guards()[1].is_on


def test_the_name_of_the_process_excludes_a_window(managed: XServer, tmp_path: Path) -> None:
    eyes = Program(managed.display)
    xterm = managed.start("xterm", "-class", "Harmless", "-name", "harmless", "-T", "shell")
    wait_for(lambda: eyes.active() and eyes.active() == eyes.titled("shell"), "xterm with the focus")
    windows = Windows(Settings(tmp_path, display=managed.display, excluded_apps=("xter?",)))
    windows.open()
    assert focuses(windows.update()) == [(None, None)]
    assert windows.key_reason() == "excluded"
    windows.close()
    xterm.terminate()
    xterm.wait(10)
    wait_for(lambda: not eyes.titled("shell"), "xterm to go")
    eyes.close()


def test_the_topmost_window_at_a_place_decides_about_the_pointer(
    program: Program, watch: Callable[[Program], Windows]
) -> None:
    windows, stranger = watch(program), Program(program.display)
    program.window((0, 0, 100, 100), app=SECRET, is_popup=True)
    cover = stranger.window((0, 0, 50, 100), app="Editor", is_popup=True, pid=1)
    windows.update()
    assert windows.pointer_reason(25, 50) is None
    assert windows.pointer_reason(75, 50) == "excluded"
    assert windows.pointer_reason(100, 50) is None
    stranger.destroy(cover)
    windows.update()
    assert windows.pointer_reason(25, 50) == "excluded"
    stranger.close()


def test_a_grab_of_the_keyboard_is_a_reason_and_a_guard(program: Program, watch: Callable[[Program], Windows]) -> None:
    window = managed_window(program, "Editor", "notes.txt")
    windows = watch(program)
    windows.update()
    guard = windows.guards()[0]
    assert windows.key_reason() is None
    assert not guard.is_on
    program.grab_keyboard(window)
    windows.update()
    assert guard.is_on
    assert windows.key_reason() == "keyboard_grab"
    program.ungrab_keyboard()
    windows.update()
    assert not guard.is_on
    assert windows.key_reason() is None


# Presses


def test_a_press_is_told_to_be_in_the_window_under_it_once(
    program: Program, watch: Callable[[Program], Windows]
) -> None:
    mail = managed_window(program, "Mail", "Inbox", 300)
    editor = managed_window(program, "Editor", "notes.txt")
    windows = watch(program)
    windows.update()
    assert windows.at_press(50, 150) == []
    assert focuses(windows.at_press(350, 150)) == [("Mail", "Inbox")]
    assert windows.at_press(350, 150) == []
    program.activate(mail)
    assert focuses(windows.update()) == [], "it is told already"
    program.activate(editor)
    until_told(windows, ("Editor", "notes.txt"))


def test_after_a_press_on_a_window_that_takes_no_focus_the_one_that_has_it_is_told_again(
    program: Program, watch: Callable[[Program], Windows]
) -> None:
    managed_window(program, "Editor", "notes.txt")
    panel = Program(program.display)
    panel.window((600, 0, 100, 20), app="Panel", title="panel", is_popup=True, pid=1)
    windows = watch(program)
    windows.update()
    (told,) = windows.at_press(610, 10)
    assert told.kind == Kind.FOCUS
    assert focuses(windows.update()) == [], "the window may still take it"
    until_told(windows, ("Editor", "notes.txt"))
    assert monotonic_us() - told.time_us >= 200_000
    panel.close()


def test_a_press_on_the_desktop_is_in_no_window(program: Program, watch: Callable[[Program], Windows]) -> None:
    managed_window(program, "Editor", "notes.txt")
    windows = watch(program)
    windows.update()
    assert focuses(windows.at_press(1200, 700)) == [(None, None)]


def test_a_press_on_an_excluded_window_tells_nothing_of_it(
    program: Program, watch: Callable[[Program], Windows]
) -> None:
    managed_window(program, SECRET, "Passwords", 300)
    managed_window(program, "Editor", "notes.txt")
    windows = watch(program)
    windows.update()
    assert focuses(windows.at_press(350, 150)) == [(None, None)]
    assert windows.pointer_reason(350, 150) == "excluded"


@pytest.mark.parametrize(("text", "app"), [(GTK, "editor"), (QT, "editor")], ids=["gtk", "qt"])
def test_a_menu_of_a_toolkit_belongs_to_its_window(text: str, app: str, tmp_path: Path) -> None:
    with XServer() as x:
        start_manager(x)
        eyes, injector = Program(x.display), Injector(x.display)
        window = start_toolkit(x, text, "editor", "notes", eyes)
        other = managed_window(eyes, "Mail", "Inbox", 900)
        windows = Windows(Settings(tmp_path, display=x.display))
        windows.open()
        assert focuses(windows.update()) == [("Mail", "Inbox")]
        before = eyes.mapped().keys()
        left, top = eyes.inside(window)
        injector.move(left + 15, top + 10)
        assert focuses(windows.at_press(left + 15, top + 10)) == [(app, "notes")]
        injector.click()
        wait_for(lambda: eyes.mapped().keys() - before, "the menu")
        x_px, y_px, width_px, height_px = eyes.mapped()[next(iter(eyes.mapped().keys() - before))]
        assert windows.at_press(x_px + width_px // 2, y_px + height_px // 2) == [], "the menu is its window's"
        assert windows.key_reason() == "keyboard_grab"
        eyes.destroy(other)
        for part in (eyes, injector, windows):
            part.close()


# The server


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(SourceUnavailableError, match="DISPLAY is not set"):
        Windows(Settings(tmp_path)).open()
    windows = Windows(Settings(tmp_path, display=":77777"))
    with pytest.raises(SourceUnavailableError, match="cannot connect to the X server :77777"):
        windows.open()
    windows.close()


def test_a_server_that_has_ended_is_told(tmp_path: Path) -> None:
    with XServer() as x:
        windows = Windows(Settings(tmp_path, display=x.display))
        windows.open()
        windows.update()
    with pytest.raises(SourceLostError):
        windows.update()
    with pytest.raises(SourceLostError):
        windows.key_reason()
    windows.close()
