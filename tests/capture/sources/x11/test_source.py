"""How the source begins and ends: what it needs, what it says when it is gone, and that it leaves nothing behind."""

from __future__ import annotations

import os
import struct
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from listening_sink import ListeningSink, running
from open_desktop import OpenDesktop
from x_server import Injector, XServer, end, wait_for

from taskreel.capture.settings import Settings
from taskreel.capture.sources.protocol import Event, SourceLostError, SourceUnavailableError
from taskreel.capture.sources.x11.queries import Server
from taskreel.capture.sources.x11.source import X11Source
from taskreel.io.events import Kind
from taskreel.io.segments import Screen


@pytest.fixture(scope="module")
def server() -> Any:
    with XServer() as x:
        yield x


def source_of(display: str, desktop: OpenDesktop | None = None) -> X11Source:
    return X11Source(Settings(Path("spool"), display=display), desktop or OpenDesktop())


def test_the_facts(server: XServer) -> None:
    server.run("setxkbmap", "-layout", "us,de", "-variant", ",nodeadkeys")
    with running(source_of(server.display), ListeningSink()) as facts:
        assert facts.screen == Screen(1280, 800)
        assert facts.keyboard_layout == "us,de(nodeadkeys)"
        assert facts.coordinate_space == "physical"
    server.run("setxkbmap", "-layout", "us", "-variant", "")


def test_the_display_of_the_environment(server: XServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", server.display)
    with running(source_of(""), ListeningSink()) as facts:
        assert facts.screen


def test_no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(SourceUnavailableError, match="DISPLAY"):
        source_of("").open()


def test_nobody_at_the_display() -> None:
    with pytest.raises(SourceUnavailableError, match=r"cannot connect to the X server :987654"):
        source_of(":987654").open()


class OldServer:
    """Answers as a server without XKB, or with an old XInput."""

    def __init__(self, *, has_xkb: bool, xinput: tuple[int, int]) -> None:
        self._has_xkb, self._xinput = has_xkb, xinput

    def extension(self, name: str) -> tuple[int, int] | None:
        return (130, 80) if name == "XInputExtension" or self._has_xkb else None

    def ask(self, opcode: int, minor: int = 0, body: bytes = b"") -> bytes:
        return struct.pack("=8xHH20x", *self._xinput)


@pytest.mark.parametrize(
    ("old", "why"),
    [
        (OldServer(has_xkb=False, xinput=(2, 4)), "XKEYBOARD"),
        (OldServer(has_xkb=True, xinput=(2, 0)), r"XInput 2\.0, and recording needs 2\.2"),
        (OldServer(has_xkb=True, xinput=(2, 2)), "XKB"),
    ],
)
def test_a_server_that_is_too_old(old: Any, why: str) -> None:
    with pytest.raises(SourceUnavailableError, match=why):
        Server(old)


def test_a_desktop_that_cannot_be_had_lets_everything_go(server: XServer) -> None:
    class NoDesktop(OpenDesktop):
        def open(self) -> Screen:
            raise SourceUnavailableError("no RANDR")

    desktop, before = NoDesktop(), open_descriptors()
    with pytest.raises(SourceUnavailableError, match="RANDR"):
        source_of(server.display, desktop).open()
    assert desktop.is_closed
    assert open_descriptors() == before - 2


def test_the_end_of_the_server() -> None:
    with XServer() as x:
        injector, sink, desktop = Injector(x.display), ListeningSink(), OpenDesktop()
        before = open_descriptors() - 2
        source = source_of(x.display, desktop)

        def work() -> None:
            with running(source, sink):
                injector.click()
                wait_for(lambda: len(sink.events) == 2, "the click")
                end(x._processes[0])

        with pytest.raises(SourceLostError, match="X server has ended"):
            work()
        assert desktop.is_closed
        assert open_descriptors() == before
        assert source.produced == sink.accounted


def test_stop_before_run(server: XServer) -> None:
    source, sink = source_of(server.display), ListeningSink()
    source.open()
    source.stop()
    source.stop()
    source.run(sink)
    source.stop()
    assert source.produced == sink.accounted == 0


def test_stop_is_soon(server: XServer) -> None:
    source = source_of(server.display)
    source.open()
    thread = threading.Thread(target=source.run, args=(ListeningSink(),))
    thread.start()
    began = time.monotonic()
    source.stop()
    thread.join(10)
    assert time.monotonic() - began < 2  # 200 ms, on a machine that has time


def test_what_was_done_before_the_stop_is_handed_over(server: XServer) -> None:
    injector, sink = Injector(server.display), ListeningSink()
    with running(source_of(server.display), sink):
        for number in range(20):
            injector.move_by(number, 1)
    injector.close()
    assert len(sink.of(Kind.MOVE)) == 20


class CountingSink(ListeningSink):
    def put(self, event: Event) -> None:
        self.withheld["kept nothing"] += 1


def test_a_long_run_keeps_nothing(server: XServer) -> None:
    injector, sink = Injector(server.display), CountingSink()

    def work(rounds: int) -> None:
        wanted = sink.accounted + 5 * rounds
        for number in range(rounds):
            injector.move(number % 1280, number % 800)
            injector.tap(38)
            injector.click()
        wait_for(lambda: sink.accounted == wanted, "all events")

    before = open_descriptors()
    with running(source_of(server.display), sink):
        work(200)
        tracemalloc.start()
        server.run("setxkbmap", "us")
        work(200)
        small, _ = tracemalloc.get_traced_memory()
        for _ in range(5):
            server.run("setxkbmap", "us")
            work(400)
        large, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    injector.close()
    assert large - small < 100_000
    assert open_descriptors() == before - 1  # the injector's


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
