"""What is kept up to date by events is what somebody sees who asks anew."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from x_programs import Program
from x_server import XServer
from xcffib.xproto import ConfigWindow, WindowError

from taskreel.capture.sources.x11.server import Server
from taskreel.capture.sources.x11.stacking import Stack

WHICH = st.integers(0, 4)
OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["make", "popup", "frame", "move", "border", "raise", "lower", "map", "unmap"]), WHICH)
    | st.tuples(st.sampled_from(["destroy", "into_frame", "to_root", "state", "stateless", "title", "class"]), WHICH)
    | st.just(("look", 0)),
    max_size=25,
)


@pytest.fixture(scope="module")
def x() -> Iterator[XServer]:
    with XServer() as x:
        yield x


class Desk:
    """A program and a window manager, as two clients, that do what they are told, sensible or not."""

    def __init__(self, display: str) -> None:
        self.program, self.manager = Program(display), Program(display)
        self.windows: list[int] = []
        self.frames: list[int] = []

    def close(self) -> None:
        self.program.close()
        self.manager.close()

    def do(self, what: str, which: int) -> None:
        core, windows = self.program.core, self.windows
        window = windows[which % len(windows)] if windows else self.program.root
        frame = self.frames[which % len(self.frames)] if self.frames else self.program.root
        if what in ("make", "popup"):
            place = (which * 7, which, 20, 30)
            windows.append(self.program.window(place, app="Made", is_popup=what == "popup"))
        elif what == "frame":
            self.frames.append(self.manager.window((which, 50, 40, 40), is_popup=True))
        elif not windows:
            return
        elif what == "move":
            core.ConfigureWindow(window, ConfigWindow.X | ConfigWindow.Width, [which * 9, 10 + which])
        elif what == "border":
            core.ConfigureWindow(window, ConfigWindow.BorderWidth, [which])
        elif what in ("raise", "lower"):
            core.ConfigureWindow(window, ConfigWindow.StackMode, [what == "lower"])
        elif what in ("map", "unmap"):
            (core.MapWindow if what == "map" else core.UnmapWindow)(window)
        elif what == "destroy":
            core.DestroyWindow(windows.pop(which % len(windows)))
        elif what in ("into_frame", "to_root"):
            core.ReparentWindow(window, frame if what == "into_frame" else self.program.root, 1, 1)
        elif what == "state":
            atom = self.program.atom("WM_STATE")
            core.ChangeProperty(0, window, atom, atom, 32, 2, struct.pack("=2I", 1, 0))
        elif what == "stateless":
            core.DeleteProperty(window, self.program.atom("WM_STATE"))
        elif what == "title":
            self.program.put(window, "_NET_WM_NAME", f"title {which}", "UTF8_STRING")
        elif what == "class":
            self.program.put(window, "WM_CLASS", f"a\0Class{which}\0")
        self.program.sync()


@given(OPERATIONS)
@example([("make", 0), ("state", 0), ("frame", 0), ("look", 0), ("into_frame", 0), ("look", 0), ("title", 1)])
@example([("make", 0), ("frame", 0), ("into_frame", 0), ("look", 0), ("state", 0), ("look", 0), ("destroy", 0)])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_stack_that_listens_is_the_stack_that_asks_anew(x: XServer, operations: list[tuple[str, int]]) -> None:
    desk, listening = Desk(x.display), Server(x.display)
    stack = Stack(listening)
    try:
        stack.refresh(is_asked=True)
        for what, which in operations:
            if what == "look":
                stack.refresh(is_asked=True)
            else:
                desk.do(what, which)
        assert stack.refresh(is_asked=True)
        asking = Server(x.display)
        anew = Stack(asking)
        assert anew.refresh(is_asked=True)
        assert stack.tops == anew.tops
        assert stack._top_of.keys() - {top.client.id for top in stack.tops} <= anew._top_of.keys()
        asking.close()
    finally:
        desk.close()
        listening.close()


@given(OPERATIONS)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_changes_is_counted(x: XServer, operations: list[tuple[str, int]]) -> None:
    desk, server = Desk(x.display), Server(x.display)
    stack = Stack(server)
    try:
        stack.refresh(is_asked=True)
        for what, which in operations:
            tops, generation = stack.tops, stack.generation
            desk.do(what, which)
            stack.refresh(is_asked=True)
            assert (stack.tops == tops) or stack.generation != generation
    finally:
        desk.close()
        server.close()


def test_another_window_with_the_id_of_one_that_is_gone_is_watched(x: XServer) -> None:
    """Ids come again once a program has used all of its own."""
    program, server = Program(x.display), Server(x.display)
    stack = Stack(server)
    first = program.window((0, 0, 10, 10), title="first")
    stack.refresh(is_asked=True)
    program.destroy(first)
    program.core.CreateWindow(0, first, program.root, 0, 0, 10, 10, 0, 1, 0, 0, [])
    program.put(first, "_NET_WM_NAME", "second", "UTF8_STRING")
    stack.refresh(is_asked=True)
    program.put(first, "_NET_WM_NAME", "third", "UTF8_STRING")
    stack.refresh(is_asked=True)
    found = stack.find(first)
    assert found is not None
    assert found.client.title == "third"
    program.close()
    server.close()


DEEP = st.lists(st.tuples(st.sampled_from(["find", "into", "destroy"]), WHICH, WHICH), max_size=30)


@given(DEEP)
@example([("find", 4, 0), ("into", 2, 1), ("find", 4, 0)])
@example([("find", 4, 0), ("destroy", 2, 0), ("find", 4, 0)])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_a_window_lies_in_is_found_wherever_it_is_moved(x: XServer, acts: list[tuple[str, int, int]]) -> None:
    program, server = Program(x.display), Server(x.display)
    stack = Stack(server)
    windows = [program.window(app="one"), program.window(app="two")]
    for _ in range(3):
        windows.append(program.window(parent=windows[-1]))
    try:
        for what, which, other in acts:
            if what == "find":
                stack.refresh(is_asked=True)
                found = stack.find(windows[which])
                assert (found.id if found is not None else 0) == top_of(program, windows[which])
            elif what == "destroy":
                program.destroy(windows[which])
            elif which > 1:
                program.core.ReparentWindow(windows[which], windows[other], 0, 0)
                program.sync()
            server.take_news()
    finally:
        program.close()
        server.close()


def top_of(program: Program, window: int) -> int:
    """By asking; 0 for one that is gone."""
    while True:
        try:
            parent = program.core.QueryTree(window).reply().parent
        except WindowError:
            return 0
        if parent == program.root:
            return window
        window = parent
