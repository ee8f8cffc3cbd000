"""Pictures of a real X server's screen, before and after actions on its windows."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xcffib.xproto
from listening_sink import ListeningSink, running
from painted_windows import Painter
from PIL import Image
from x_server import Injector, XServer, end, wait_for

from taskreel.capture.settings import Settings
from taskreel.capture.sources.protocol import (
    Event,
    Picture,
    Rect,
    SourceLostError,
    SourceUnavailableError,
    WindowView,
    monotonic_us,
)
from taskreel.capture.sources.screens.source import ScreenSource
from taskreel.capture.sources.screens.tiles import union
from taskreel.io.events import Kind

WINDOW = Rect(100, 60, 200, 150)
COLORS = [0xC01C28, 0x2EC27E, 0x3584E4, 0xF5C211, 0x9141AC, 0xFFFFFF, 0x63452C, 0x1C71D8]
PRESSES = xcffib.xproto.EventMask.ButtonPress
LONG_S = 3600.0


@pytest.fixture(scope="module")
def server() -> Iterator[XServer]:
    with XServer("640x480x24") as server:
        yield server


@pytest.fixture
def settings(server: XServer, tmp_path: Path) -> Settings:
    """Many pictures are allowed, and none is made without a reason."""
    return Settings(tmp_path, display=server.display, heartbeat_s=LONG_S, pictures_per_s=1000.0)


def color_of(picture: Picture, place: Rect = WINDOW) -> int:
    """The color in the middle of a window."""
    image = Image.open(io.BytesIO(picture.data)).convert("RGB")
    red, green, blue = image.getpixel((place.x + place.width // 2, place.y + place.height // 2))  # type: ignore[misc]
    return int(red) << 16 | int(green) << 8 | int(blue)


def colors_shown(sink: ListeningSink) -> list[int]:
    """What color the window had in each screen event."""
    return [color_of(sink.pictures[event.picture_key]) for event in sink.of(Kind.SCREEN) if event.picture_key]


def wait_until_seen(source: ScreenSource, color: int) -> None:
    """Wait until the source has grabbed the window in a color."""

    def is_seen() -> bool:
        canvas = source._watch.ring._canvas
        return int(canvas[WINDOW.y + 5, WINDOW.x + 5]) == 0xFF000000 | color

    wait_for(is_seen, f"a grab of {color:06x}")


def press(time_us: int | None = None) -> Event:
    return Event(monotonic_us() if time_us is None else time_us, Kind.BUTTON_DOWN, code=1)


def test_each_press_has_the_window_as_it_was_before(server: XServer, settings: Settings) -> None:
    source, sink, injector, until = ScreenSource(settings), ListeningSink(), Injector(server.display), threading.Event()
    with Painter(server.display) as painter:
        window = painter.window(WINDOW, COLORS[0], events=PRESSES)
        injector.move(WINDOW.x + 20, WINDOW.y + 20)
        heard: list[int] = []
        clicked = threading.Thread(target=lambda: heard.extend(painter.paint_at_clicks(window, COLORS[1:], until)))
        clicked.start()
        try:
            with running(source, sink):
                for number, color in enumerate(COLORS[1:]):
                    wait_until_seen(source, COLORS[number])
                    before_us = monotonic_us()
                    injector.click()
                    source.heed(press(before_us))
                    wait_until_seen(source, color)
        finally:
            until.set()
            clicked.join(20)
            painter.hide(window)
            injector.close()
    assert len(heard) == len(COLORS) - 1
    shown = sorted((event.time_us, event.picture_key) for event in sink.of(Kind.SCREEN))
    for press_ms, color in zip(heard, COLORS, strict=False):
        key = [key for time_us, key in shown if time_us < press_ms * 1000][-1]
        assert key is not None
        assert color_of(sink.pictures[key]) == color


def test_equal_screens_are_one_picture(server: XServer, settings: Settings) -> None:
    source, sink = ScreenSource(settings), ListeningSink()
    with Painter(server.display) as painter:
        window = painter.window(WINDOW, COLORS[0])
        with running(source, sink):
            for number in range(6):
                wait_until_seen(source, COLORS[number % 2])
                source.heed(press())
                wait_for(lambda number=number: len(sink.events) == number + 1, "a screen event")
                painter.paint(window, COLORS[(number + 1) % 2])
        painter.hide(window)
    assert colors_shown(sink) == COLORS[:2] * 3
    assert len(sink.pictures) == 2
    changed = [event.picture_change_ppm for event in sink.events]
    assert changed == [None] + [1_000_000 * WINDOW.width * WINDOW.height // (640 * 480) + 1] * 5


def test_the_first_picture_and_one_for_each_heartbeat_with_a_change(server: XServer, settings: Settings) -> None:
    source, sink = ScreenSource(replace(settings, heartbeat_s=0.3)), ListeningSink()
    with Painter(server.display) as painter:
        window = painter.window(WINDOW, COLORS[0])
        with running(source, sink):
            for number, color in enumerate(COLORS[:3]):
                painter.paint(window, color)
                wait_for(lambda number=number: len(sink.pictures) == number + 1, "a picture")
            time.sleep(0.7)  # two heartbeats without a change
        painter.hide(window)
    assert colors_shown(sink) == COLORS[:3]
    times = [event.time_us for event in sink.events]
    assert times == sorted(times)


def test_a_picture_once_the_screen_has_settled(server: XServer, settings: Settings) -> None:
    source, sink = ScreenSource(replace(settings, settle_ms=250)), ListeningSink()
    with Painter(server.display) as painter:
        window = painter.window(WINDOW, COLORS[0])
        with running(source, sink):
            wait_for(lambda: len(sink.events) == 1, "the first picture")
            source.heed(press())
            for color in COLORS[1:5]:
                painter.paint(window, color)
                time.sleep(0.03)
            painted_us = monotonic_us()
            wait_for(lambda: len(sink.events) == 2, "the settled picture")
            late_us = monotonic_us() - painted_us
        painter.hide(window)
    assert colors_shown(sink) == [COLORS[0], COLORS[4]]
    assert late_us > 200_000
    assert sink.events[1].time_us < painted_us + late_us - 150_000, "its time is that of the grab"


def test_too_many_pictures_are_thinned_which_is_told_once(server: XServer, settings: Settings) -> None:
    source, sink = ScreenSource(replace(settings, pictures_per_s=0.001)), ListeningSink()
    with Painter(server.display) as painter:
        window = painter.window(WINDOW, COLORS[0])
        with running(source, sink):
            for color in COLORS:
                painter.paint(window, color)
                wait_until_seen(source, color)
                source.heed(press())
                asked = monotonic_us()
                wait_for(lambda asked=asked: not source._heard and monotonic_us() > asked + 20_000, "the frame")
        painter.hide(window)
    assert colors_shown(sink) == COLORS[:4]
    assert [(reason, events) for reason, _, events in sink.lost] == [("pictures_thinned", 0)]


def test_a_blank_screen_is_a_gap_and_no_picture(server: XServer, settings: Settings) -> None:
    source, sink = ScreenSource(settings), ListeningSink()
    with Painter(server.display) as painter:
        window = painter.window(WINDOW, COLORS[0])
        with running(source, sink):
            wait_for(lambda: len(sink.pictures) == 1, "the first picture")
            curtain = painter.window(Rect(0, 0, 640, 480), 0x204060)
            wait_for(lambda: sink.lost, "the gap")
            source.heed(press())
            painter.paint(curtain, 0x604020)
            time.sleep(0.3)
            painter.hide(curtain)
            wait_for(lambda: len(sink.events) == 2, "the first picture after it")
        painter.hide(window)
    assert [reason for reason, _, _ in sink.lost] == ["screen_blank"]
    assert sink.events[0].time_us < sink.lost[0][1] < sink.events[1].time_us
    assert colors_shown(sink) == [COLORS[0]] * 2


def test_a_hidden_screen_is_a_gap(server: XServer, settings: Settings) -> None:
    class Locker:
        is_locked, is_closed = False, False

        def view(self) -> WindowView:
            return WindowView(1 if self.is_locked else 2, is_all_hidden=self.is_locked)

        def close(self) -> None:
            self.is_closed = True

    locker, sink = Locker(), ListeningSink()
    source = ScreenSource(settings, locker)
    with Painter(server.display) as painter:
        window = painter.window(WINDOW, COLORS[0])
        with running(source, sink):
            wait_for(lambda: len(sink.pictures) == 1, "the first picture")
            locker.is_locked = True
            wait_for(lambda: sink.lost, "the gap, though nothing was painted")
            painter.paint(window, COLORS[1])
            source.heed(press())
            time.sleep(0.3)
            assert len(sink.events) == 1
            locker.is_locked = False
            wait_for(lambda: len(sink.events) == 2, "the first picture after it")
        painter.hide(window)
    assert [reason for reason, _, _ in sink.lost] == ["screen_blank"]
    assert colors_shown(sink) == COLORS[:2]
    assert locker.is_closed


def test_pictures_that_wait_are_made_at_the_end_and_nothing_stays_open(server: XServer, settings: Settings) -> None:
    with Painter(server.display) as painter:
        window = painter.window(WINDOW, COLORS[0])
        open_before, threads_before = len(os.listdir("/proc/self/fd")), threading.active_count()
        source, sink = ScreenSource(settings), ListeningSink()
        with running(source, sink):
            for color in COLORS[:3]:
                painter.paint(window, color)
                wait_until_seen(source, color)
                source.heed(press())
            wait_for(lambda: len(sink.events) == 3, "screen events")
            stopped_s = time.monotonic()
        assert time.monotonic() - stopped_s < 5
        painter.hide(window)
        assert len(os.listdir("/proc/self/fd")) == open_before
        assert threading.active_count() == threads_before
    assert {event.picture_key for event in sink.events} == set(sink.pictures)
    source.heed(press())
    source.stop()


def test_stopped_before_it_runs_it_returns(settings: Settings) -> None:
    source, sink = ScreenSource(settings), ListeningSink()
    source.heed(press())
    source.stop()
    source.open()
    source.run(sink)
    assert sink.events == []


def test_a_grab_follows_at_once_when_something_changes(server: XServer, settings: Settings) -> None:
    source, sink, late_us = ScreenSource(settings), ListeningSink(), []
    with Painter(server.display) as painter:
        window = painter.window(WINDOW, COLORS[0])
        with running(source, sink):
            wait_until_seen(source, COLORS[0])
            for color in COLORS[1:]:
                time.sleep(0.15)
                painted_us = monotonic_us()
                painter.paint(window, color)
                wait_until_seen(source, color)
                frame = source._watch.ring._changes[-1]
                late_us.append(frame.time_us - painted_us)
        painter.hide(window)
    assert sorted(late_us)[len(late_us) // 2] < 30_000


def test_without_xdamage_the_screen_is_polled(settings: Settings) -> None:
    with XServer("640x480x24", ("-extension", "DAMAGE")) as server, Painter(server.display) as painter:
        window = painter.window(WINDOW, COLORS[0])
        sink = ListeningSink()
        source = ScreenSource(replace(settings, display=server.display))
        with running(source, sink):
            for number, color in enumerate(COLORS[:3]):
                painter.paint(window, color)
                wait_until_seen(source, color)
                source.heed(press())
                wait_for(lambda number=number: len(sink.events) == number + 1, "a screen event")
    assert colors_shown(sink) == COLORS[:3]


def test_a_screen_that_changes_its_size(settings: Settings) -> None:
    with XServer("640x480x24") as server, Painter(server.display) as painter:
        painter.window(WINDOW, COLORS[0])
        sink = ListeningSink()
        source = ScreenSource(replace(settings, display=server.display))
        mode = ["small", "31.5", "400", "420", "440", "460", "300", "310", "320", "330"]
        with running(source, sink):
            wait_for(lambda: len(sink.pictures) == 1, "the first picture")
            server.run("xrandr", "--newmode", *mode)
            server.run("xrandr", "--addmode", "screen", "small")
            source.heed(press())
            server.run("xrandr", "--output", "screen", "--mode", "small")
            wait_for(lambda: len(sink.pictures) == 2, "the picture of the new size")
    assert [(picture.width_px, picture.height_px) for picture in sink.pictures.values()] == [(640, 480), (400, 300)]
    assert sink.events[1].picture_change_ppm == 1_000_000
    assert colors_shown(sink) == [COLORS[0]] * 2


def test_a_server_that_ends_is_lost(settings: Settings) -> None:
    with XServer("640x480x24") as server:
        source, failed = ScreenSource(replace(settings, display=server.display)), []

        def run() -> None:
            try:
                source.run(ListeningSink())
            except SourceLostError as error:
                failed.append(error)

        source.open()
        thread = threading.Thread(target=run)
        thread.start()
        xvfb: Any = server._processes[0]
        end(xvfb)
        thread.join(20)
    assert len(failed) == 1


def test_what_is_missing_is_said_when_it_is_opened(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    with pytest.raises(SourceUnavailableError, match="--no-pictures"):
        ScreenSource(replace(settings, display="")).open()


class Monitors:
    """A screen of two monitors, as a `FrameGrabber` for tests: what is painted on it is told."""

    tells_changes, lag_us = True, 0

    def __init__(self) -> None:
        self.size_px = (320, 100)
        self.pixels = np.full((100, 320), 0xFF202020, np.uint32)
        self.pixels[:, 160:] = 0xFFE0E0E0
        self.damage: Rect | None = Rect(0, 0, 320, 100)
        self._news = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        return self._news

    def has_changed(self) -> bool:
        return self.damage is not None

    def take_changed(self) -> Rect | None:
        damage, self.damage = self.damage, None
        return damage

    def grab(self, area: Rect) -> np.ndarray:
        return self.pixels[area.y : area.y + area.height, area.x : area.x + area.width].copy()

    def close(self) -> None:
        os.close(self._news)


def test_another_grabber_may_be_given(settings: Settings) -> None:
    sink, monitors = ListeningSink(), Monitors()
    with running(ScreenSource(settings, None, monitors), sink):
        wait_for(lambda: len(sink.pictures) == 1, "the picture")
    [picture] = sink.pictures.values()
    assert (picture.width_px, picture.height_px) == (320, 100)
    assert union(None, monitors.damage) is None
