"""A program that has the keyboard for itself is noticed, wherever the focus is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from x_programs import GTK, QT, Program, start_manager, start_toolkit
from x_server import Injector, XServer, wait_for

from taskreel.capture.sources.protocol import monotonic_us
from taskreel.capture.sources.x11.grabs import KeyboardGrabs
from taskreel.capture.sources.x11.server import Server

F1, NONE, POINTER_ROOT, ANY_MODIFIER = 67, 0, 1, 0x8000


@pytest.fixture(scope="module")
def display() -> Iterator[XServer]:
    with XServer() as x:
        yield x


@pytest.fixture
def program(display: XServer) -> Iterator[Program]:
    program = Program(display.display)
    yield program
    program.close()


@pytest.fixture
def server(display: XServer) -> Iterator[Server]:
    server = Server(display.display)
    yield server
    server.close()


def is_held(server: Server, grabs: KeyboardGrabs) -> bool:
    return grabs.learn(*server.exchange(grabs.ask()))


PLACES = ["outer", "inner", "other", "root"]


@pytest.mark.parametrize("focus", [*PLACES, "none", "pointer_root"])
@pytest.mark.parametrize("grabbed", PLACES)
def test_a_grab_is_seen_by_news_and_by_asking(program: Program, server: Server, focus: str, grabbed: str) -> None:
    outer = program.window()
    places = {
        "outer": outer,
        "inner": program.window((0, 0, 50, 50), parent=outer),
        "other": program.window((200, 0, 9, 9)),
    }
    places |= {"root": program.root, "none": NONE, "pointer_root": POINTER_ROOT}
    grabs = KeyboardGrabs(server)
    program.focus(places[focus])
    grabs.watch(places[focus])
    assert not is_held(server, grabs)
    server.take_news()
    assert not grabs.guard.is_on

    program.grab_keyboard(places[grabbed])
    server.answer(server.core.GetInputFocus())
    server.take_news()
    assert grabs.guard.is_on is (focus != "none"), "without asking"
    assert is_held(server, grabs)

    program.ungrab_keyboard()
    grabs.settle()
    assert not grabs.guard.is_on
    assert not is_held(server, grabs)


def test_a_grab_that_is_over_before_anybody_asks_was_on(program: Program, server: Server) -> None:
    window = program.window()
    grabs = KeyboardGrabs(server)
    program.focus(window)
    grabs.watch(window)
    assert not is_held(server, grabs)
    before_us = monotonic_us()
    program.grab_keyboard(window)
    program.ungrab_keyboard()
    server.answer(server.core.GetInputFocus())
    server.take_news()
    grabs.settle()
    assert not grabs.guard.is_on
    assert grabs.guard.is_on_at(before_us)


def test_the_hot_key_of_a_window_manager_is_a_grab_while_it_is_down(
    display: XServer, program: Program, server: Server
) -> None:
    grabs, injector = KeyboardGrabs(server), Injector(display.display)
    window = program.window()
    program.focus(window)
    program.core.GrabKey(False, program.root, ANY_MODIFIER, F1, 1, 1)
    program.sync()
    grabs.watch(window)
    assert not is_held(server, grabs)
    injector.key(F1, True)
    assert is_held(server, grabs)
    injector.key(F1, False)
    assert not is_held(server, grabs)

    before_us = monotonic_us()
    injector.tap(F1)
    server.answer(server.core.GetInputFocus())
    server.take_news()
    assert grabs.guard.is_on_at(before_us), "though it was short"
    injector.close()


def test_asking_never_takes_the_keyboard_from_a_program(program: Program, server: Server) -> None:
    grabs = KeyboardGrabs(server)
    window = program.window()
    program.focus(window)
    for _ in range(100):
        assert not is_held(server, grabs)
        program.grab_keyboard(window)
        program.ungrab_keyboard()
    assert int(program.core.GetInputFocus().reply().focus) == window


def test_a_window_that_is_destroyed_while_it_has_the_grab_ends_it(program: Program, server: Server) -> None:
    window = program.window()
    grabs = KeyboardGrabs(server)
    program.focus(window)
    grabs.watch(window)
    assert not is_held(server, grabs)
    program.grab_keyboard(window)
    server.answer(server.core.GetInputFocus())
    server.take_news()
    assert grabs.guard.is_on
    program.destroy(window)
    grabs.settle()
    assert not grabs.guard.is_on


def test_watching_leaves_no_trace_of_windows_that_had_the_focus(program: Program, server: Server) -> None:
    grabs = KeyboardGrabs(server)
    grabs.watch(program.root)
    before = len(server.selected)
    for _ in range(20):
        window = program.window()
        grabs.watch(window)
        program.destroy(window)
    grabs.watch(program.root)
    assert len(server.selected) == before


def test_secure_keyboard_of_xterm_is_a_grab() -> None:
    with XServer() as x:
        start_manager(x)
        eyes, server, injector = Program(x.display), Server(x.display), Injector(x.display)
        grabs = KeyboardGrabs(server)
        x.start("xterm", "-T", "safe", "-xrm", "*VT100.translations: #override <Key>F1: secure()")
        wait_for(lambda: eyes.active() and eyes.active() == eyes.titled("safe"), "xterm with the focus")
        injector.tap(F1)
        wait_for(lambda: is_held(server, grabs), "the grab")
        injector.tap(F1)
        wait_for(lambda: not is_held(server, grabs), "the end of the grab")
        for part in (eyes, injector, server):
            part.close()


@pytest.mark.parametrize("program_text", [GTK, QT], ids=["gtk", "qt"])
def test_the_open_menu_of_a_toolkit_is_a_grab(program_text: str) -> None:
    with XServer() as x:
        start_manager(x)
        eyes, server, injector = Program(x.display), Server(x.display), Injector(x.display)
        grabs = KeyboardGrabs(server)
        window = start_toolkit(x, program_text, "editor", "notes", eyes)
        left, top = eyes.inside(window)
        injector.move(left + 15, top + 10)
        wait_for(lambda: not is_held(server, grabs), "a free keyboard")
        injector.click()
        wait_for(lambda: is_held(server, grabs), "the grab of the menu")
        for part in (eyes, injector, server):
            part.close()
