"""What Xvfb cannot make: bytes are put among those that a real server sends."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import xcffib
import xcffib.xproto
from listening_sink import ListeningSink
from open_desktop import OpenDesktop
from x_event_bytes import device_event
from x_server import Injector, XServer, wait_for

from taskreel.capture.settings import Settings
from taskreel.capture.sources.x11.connection import Connection
from taskreel.capture.sources.x11.devices import Axis, Device, Wheel
from taskreel.capture.sources.x11.source import X11Source
from taskreel.capture.sources.x11.watch import Watch
from taskreel.io.events import Flag, Kind

MOUSE = 99
RELATIVE = Axis(False, -1, -1, 0)
WHEEL_MOUSE = Device(False, dict.fromkeys(range(4), RELATIVE), {2: Wheel(True, 120), 3: Wheel(False, 15)})
KEY_PRESS, BUTTON_PRESS, BUTTON_RELEASE, MOTION = 13, 15, 16, 17
EMULATED = 1 << 16


class Feed:
    """A source on a real server, and bytes that it reads as if they came from there."""

    def __init__(self, server: XServer) -> None:
        self.sink = ListeningSink()
        self.source = X11Source(Settings(Path("spool"), display=server.display), OpenDesktop())
        self.source.open()
        assert self.source._watch
        self.watch: Watch = self.source._watch
        self._injector = Injector(server.display)
        self._bytes: list[bytes] = []
        connection = self.watch._connection
        of_server = connection.events

        def events() -> Iterator[bytes]:
            yield from of_server()
            while self._bytes:
                yield self._bytes.pop(0)
                yield from of_server()  # taking them may ask the server, and events come with its answer

        connection.events = events  # type: ignore[method-assign]
        self._thread = threading.Thread(target=self.source.run, args=(self.sink,))
        self._thread.start()

    def put(self, kind: int, **values: object) -> None:
        """An event of the server's own kind, now."""
        now_ms = time.monotonic_ns() // 1_000_000 % (1 << 32)
        data = device_event(kind, opcodes=self.watch._server.opcodes, time=now_ms, source=MOUSE, **values)  # type: ignore[arg-type]
        self._bytes.append(data)

    def click(self) -> None:
        """A click of the server, which wakes the source."""
        before = len(self.sink.of(Kind.BUTTON_UP))
        self._injector.click()
        wait_for(lambda: len(self.sink.of(Kind.BUTTON_UP)) > before, "the click")

    def close(self) -> None:
        self.source.stop()
        self._thread.join(10)
        self._injector.close()
        assert self.source.produced == self.sink.accounted


@pytest.fixture
def server() -> Iterator[XServer]:
    with XServer() as x:
        yield x


@pytest.fixture
def feed(server: XServer) -> Iterator[Feed]:
    feed = Feed(server)
    yield feed
    feed.close()


def test_a_wheel_by_valuators_is_counted_once_though_the_server_makes_buttons_of_it(feed: Feed) -> None:
    feed.watch._devices.update({MOUSE: WHEEL_MOUSE})
    for valuators, button in (
        ({3: 15 << 32}, 5),
        ({3: -(15 << 31)}, 4),
        ({2: 240 << 32}, 7),
        ({0: 1 << 32, 3: 15 << 32}, 5),
    ):
        feed.put(MOTION, valuators=valuators)
        feed.put(BUTTON_PRESS, detail=button, flags=EMULATED)
        feed.put(BUTTON_RELEASE, detail=button, flags=EMULATED)
    feed.click()
    scrolls = feed.sink.of(Kind.SCROLL)
    assert [(event.wheel_x, event.wheel_y) for event in scrolls] == [(0, -120), (0, 60), (240, 0), (0, -120)]
    assert all(event.x is not None and not event.flags & Flag.SYNTHETIC for event in scrolls)
    assert len(feed.sink.of(Kind.MOVE)) == 1
    assert len(feed.sink.events) == 7


def test_odd_bytes_do_not_end_it(feed: Feed) -> None:
    feed._bytes += [b"", b"\x23" * 36, bytes(36), bytes((34, 0, 0, 0, 2)) * 8]
    feed.click()
    assert len(feed.sink.events) == 2


def test_what_comes_with_an_answer_is_taken_though_nothing_wakes_the_source(
    feed: Feed, server: XServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, asked = xcffib.connect(server.display), feed.watch._server.button_mapping

    def button_mapping() -> bytes:
        feed._injector.click()  # before the answer, which is read together with it
        return asked()

    monkeypatch.setattr(feed.watch._server, "button_mapping", button_mapping)
    mapping = other.core.GetPointerMapping().reply().map
    other.core.SetPointerMapping(len(mapping), mapping).reply()
    wait_for(lambda: feed.sink.of(Kind.BUTTON_UP), "the click", 5)
    other.disconnect()


def test_a_key_of_a_device_that_was_pulled_out_does_not_repeat_for_ever(feed: Feed, server: XServer) -> None:
    """The server does not hold the key, and no release comes."""
    server.run("xset", "r", "rate", "100", "50")
    feed.put(KEY_PRESS, detail=38)
    feed.click()
    wait_for(lambda: len(feed.sink.of(Kind.KEY_DOWN)) > 5, "repeats")
    wait_for(lambda: feed.watch._keys.due_us is None, "the end of the repeats", 5)
    assert len(feed.sink.of(Kind.KEY_DOWN)) < 120


def test_devices_that_come_are_known(feed: Feed, server: XServer) -> None:
    other = Connection(server.display)
    xinput, _ = other.extension("XInputExtension") or (0, 0)
    other.ask(xinput, 47, struct.pack("=HH", 2, 4))
    before = set(feed.watch._devices._devices)
    name = b"second"
    other.tell(xinput, 43, struct.pack("=B3xHHHBB", 1, 1, 4, len(name), 1, 1) + name + b"\0\0")
    wait_for(lambda: len(feed.watch._devices._devices) > len(before), "the devices")
    new = set(feed.watch._devices._devices) - before
    assert {feed.watch._devices.is_synthetic(number) for number in new} == {True, False}
    other.close()
