"""Grabs of a real X server."""

from __future__ import annotations

import select
import subprocess
from collections.abc import Iterator

import numpy as np
import pytest
from painted_windows import Painter
from x_server import XServer, end, wait_for

from taskreel.capture.sources.protocol import Rect, SourceLostError, SourceUnavailableError
from taskreel.capture.sources.screens.grab import XGrabber

SIZE = (640, 480)
RED, GREEN = 0xC01C28, 0x2EC27E


@pytest.fixture
def server() -> Iterator[XServer]:
    with XServer("640x480x24") as server:
        yield server


@pytest.fixture
def grabber(server: XServer) -> Iterator[XGrabber]:
    grabber = XGrabber(server.display)
    yield grabber
    grabber.close()


def whole(grabber: XGrabber) -> np.ndarray:
    pixels = grabber.grab(Rect(0, 0, *grabber.size_px))
    assert pixels is not None
    return pixels


def test_pixels_are_those_on_the_screen(server: XServer, grabber: XGrabber) -> None:
    assert grabber.size_px == SIZE
    with Painter(server.display) as painter:
        painter.window(Rect(10, 20, 30, 40), RED)
        pixels = whole(grabber)
        assert pixels.shape == (480, 640)
        assert (pixels[20:60, 10:40] == 0xFF000000 | RED).all()
        assert np.count_nonzero(pixels == 0xFF000000 | RED) == 30 * 40
        assert (pixels >> 24 == 0xFF).all()
        part = grabber.grab(Rect(35, 55, 10, 10))
        assert part is not None
        assert part.tolist() == pixels[55:65, 35:45].tolist()
        part[:] = 0  # they are the caller's


def test_the_area_of_changes_is_told_once(server: XServer, grabber: XGrabber) -> None:
    assert grabber.tells_changes
    with Painter(server.display) as painter:
        window = painter.window(Rect(100, 200, 30, 40), RED)
        wait_for(grabber.has_changed, "damage")
        grabber.take_changed()
        assert not grabber.has_changed()
        assert grabber.take_changed() is None
        painter.paint(window, GREEN)
        ready, _, _ = select.select([grabber.fileno()], [], [], 20)
        assert ready
        assert grabber.has_changed()
        assert grabber.take_changed() == Rect(100, 200, 30, 40)
        painter.move(window, 120, 210)
        wait_for(grabber.has_changed, "damage")
        assert grabber.take_changed() == Rect(100, 200, 50, 50)


def test_a_screen_may_change_its_size(server: XServer, grabber: XGrabber) -> None:
    mode = ["small", "31.5", "320", "340", "360", "380", "240", "250", "260", "270"]
    for command in (["--newmode", *mode], ["--addmode", "screen", "small"], ["--output", "screen", "--mode", "small"]):
        server.run("xrandr", *command)
    wait_for(lambda: grabber.has_changed() and grabber.size_px == (320, 240), "the new size")
    assert whole(grabber).shape == (240, 320)
    server.run("xrandr", "-s", "640x480")
    assert grabber.grab(Rect(0, 0, 640, 480)) is None or grabber.size_px == SIZE, "asked before it was heard"
    wait_for(lambda: grabber.has_changed() and grabber.size_px == SIZE, "the old size")
    assert whole(grabber).shape == (480, 640)


def test_a_server_without_damage_is_polled() -> None:
    with XServer("640x480x24", ("-extension", "DAMAGE")) as server:
        grabber = XGrabber(server.display)
        assert not grabber.tells_changes
        assert grabber.has_changed()
        assert grabber.take_changed() == grabber.take_changed() == Rect(0, 0, *SIZE)
        grabber.close()


def test_no_shared_memory_is_no_problem() -> None:
    with XServer("640x480x24", ("-extension", "MIT-SHM")) as server, Painter(server.display) as painter:
        grabber = XGrabber(server.display)
        painter.window(Rect(10, 20, 30, 40), RED)
        assert np.count_nonzero(whole(grabber) == 0xFF000000 | RED) == 30 * 40
        grabber.close()


def test_a_server_that_ends_is_lost() -> None:
    with XServer("640x480x24") as server:
        grabber = XGrabber(server.display)
        grabber.take_changed()
        xvfb: subprocess.Popen[bytes] = server._processes[0]
        end(xvfb)
        with pytest.raises(SourceLostError, match="ended"):
            grabber.has_changed()
        with pytest.raises(SourceLostError, match="ended"):
            whole(grabber)
        with pytest.raises(SourceLostError, match="ended"):
            grabber.take_changed()
        grabber.close()


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "there is no X display"),
        ({"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0"}, "on Wayland .* --no-pictures"),
        ({"DISPLAY": ":987"}, "X display :987 cannot be reached"),
    ],
)
def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SourceUnavailableError, match=message):
        XGrabber()


def test_xwayland_is_refused(server: XServer, monkeypatch: pytest.MonkeyPatch) -> None:
    has = XGrabber._has_extension
    monkeypatch.setattr(XGrabber, "_has_extension", lambda self, name: name == "XWAYLAND" or has(self, name))
    with pytest.raises(SourceUnavailableError, match=r"on Wayland .* --no-pictures"):
        XGrabber(server.display)
