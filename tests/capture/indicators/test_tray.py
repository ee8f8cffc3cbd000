"""The icon in a real tray (tint2): it is docked, shows the phase, is clicked, and comes and goes with the tray."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import xcffib
import xcffib.xproto
from x_server import Injector, XServer, end, wait_for

from taskreel.capture.indicators.state import Phase
from taskreel.capture.indicators.tray import NO_TRAY, TrayIcon

RED, YELLOW, ORANGE, GRAY = (0xE0, 0x1B, 0x24), (0xF6, 0xD3, 0x2D), (0xFF, 0x78, 0x00), (0x9A, 0x99, 0x96)


class Eye:
    """What a person, or a program, sees on the display."""

    def __init__(self, display: str) -> None:
        self.connection = xcffib.connect(display)
        self.core = self.connection.core
        self.root = self.connection.get_setup().roots[0].root

    def atom(self, name: str) -> int:
        return int(self.core.InternAtom(False, len(name), name).reply().atom)

    def text(self, window: int, name: str) -> bytes:
        reply = self.core.GetProperty(False, window, self.atom(name), xcffib.xproto.Atom.Any, 0, 100).reply()
        return b"".join(reply.value)

    def number(self, window: int, name: str) -> int:
        reply = self.core.GetProperty(False, window, self.atom(name), xcffib.xproto.Atom.Any, 0, 1).reply()
        return int(reply.value.to_atoms()[0])

    def icons(self) -> list[tuple[int, int]]:
        """All windows of taskreel, each with its parent."""
        found = []
        waiting = [self.root]
        while waiting:
            parent = waiting.pop()
            try:
                children = list(self.core.QueryTree(parent).reply().children)
                found += [(one, parent) for one in children if self.text(one, "WM_CLASS") == b"taskreel\0taskreel\0"]
            except xcffib.Error:
                continue  # a window that is just going
            waiting += children
        return found

    def colors(self, window: int) -> list[list[tuple[int, ...]]]:
        """Its pixels by rows; empty while it is not to be seen."""
        try:
            size = self.core.GetGeometry(window).reply()
            reply = self.core.GetImage(2, window, 0, 0, size.width, size.height, 0xFFFFFFFF).reply()
        except xcffib.Error:
            return []
        data = bytes(reply.data.buf())
        pixels = [tuple(data[place : place + 3][::-1]) for place in range(0, len(data), 4)]
        return [pixels[start : start + size.width] for start in range(0, len(pixels), size.width)]


@pytest.fixture
def x() -> Iterator[XServer]:
    with XServer() as x:
        x.window_manager()
        yield x


@pytest.fixture
def eye(x: XServer) -> Iterator[Eye]:
    eye = Eye(x.display)
    yield eye
    eye.connection.disconnect()


def start_tray(x: XServer, folder: Path) -> subprocess.Popen[bytes]:
    config = folder / "tint2rc"
    config.write_text("panel_items = S\npanel_size = 100% 30\nsystray_icon_size = 24\n")
    return x.start("tint2", "-c", str(config), env={"HOME": str(folder), "XDG_CACHE_HOME": str(folder)})


def docked(eye: Eye) -> int:
    """The icon's window, once it is in the tray."""
    wait_for(lambda: [window for window, parent in eye.icons() if parent != eye.root], "the icon in the tray")
    return eye.icons()[0][0]


def middle(eye: Eye, window: int) -> tuple[int, ...] | None:
    rows = eye.colors(window)
    return rows[len(rows) // 2][len(rows[0]) // 2] if rows else None


def runs(eye: Eye, window: int, color: tuple[int, ...]) -> int:
    """How many separate pieces of a color the middle row has."""
    rows = eye.colors(window)
    row = rows[len(rows) // 2] if rows else []
    return sum(here == color and before != color for here, before in zip(row, [None, *row], strict=False))


def test_the_icon_is_in_the_tray_and_shows_the_phase(x: XServer, eye: Eye, tmp_path: Path) -> None:
    start_tray(x, tmp_path)
    icon = TrayIcon(x.display, lambda: None)
    icon.show(Phase.RECORDING)
    window = docked(eye)
    wait_for(lambda: not icon.absence, "the icon to know")
    assert eye.number(window, "_NET_WM_PID") == os.getpid()
    for phase, color, pieces in (
        (Phase.RECORDING, RED, 1),
        (Phase.PAUSED, YELLOW, 2),
        (Phase.LOCKED, GRAY, 2),
        (Phase.QUOTA, ORANGE, 1),
        (Phase.STOPPED, GRAY, 1),
        (Phase.RECORDING, RED, 1),
    ):
        icon.show(phase)
        wait_for(
            lambda color=color, pieces=pieces: runs(eye, window, color) == pieces, f"{pieces} of {color} for {phase}"
        )
        assert eye.text(window, "_NET_WM_NAME") == f"taskreel: {phase}".encode()
    corner = eye.colors(window)[0][0]
    assert corner != RED, "a dot, not a square"
    icon.close()
    icon.close()
    wait_for(lambda: not eye.icons(), "the end of the icon")


def test_a_click_calls_on_toggle_even_after_one_that_failed(x: XServer, eye: Eye, tmp_path: Path) -> None:
    start_tray(x, tmp_path)
    clicks: list[str] = []

    def toggle() -> None:
        clicks.append(threading.current_thread().name)
        if len(clicks) == 1:
            raise RuntimeError("the recorder is busy")

    icon = TrayIcon(x.display, toggle)
    icon.show(Phase.RECORDING)
    window = docked(eye)
    wait_for(lambda: middle(eye, window) == RED, "the icon's dot")
    place = eye.core.TranslateCoordinates(window, eye.root, 8, 8).reply()
    injector = Injector(x.display)
    injector.move(place.dst_x, place.dst_y)
    for number in (1, 2):
        injector.click()
        wait_for(lambda number=number: len(clicks) == number, "the click")
    injector.click(2)
    injector.click()
    wait_for(lambda: len(clicks) == 3, "the click after that of another button")
    assert set(clicks) == {"taskreel-tray"}
    injector.close()
    icon.close()


def test_the_icon_comes_and_goes_with_the_tray(x: XServer, eye: Eye, tmp_path: Path) -> None:
    icon = TrayIcon(x.display, lambda: None)
    icon.show(Phase.PAUSED)
    for _ in range(2):
        wait_for(lambda: icon.absence == NO_TRAY, "no tray")
        wait_for(lambda: not eye.icons(), "no window of its own on the desktop")
        tray = start_tray(x, tmp_path)
        window = docked(eye)
        wait_for(lambda window=window: runs(eye, window, YELLOW) == 2, "the bars")
        wait_for(lambda: not icon.absence, "the icon to know")
        end(tray)
    wait_for(lambda: not eye.icons(), "no window of its own on the desktop")
    icon.close()


class ArgbTray:
    """A tray that wants icons with transparency, as those of composited desktops do, on a black window."""

    def __init__(self, display: str) -> None:
        self.eye = Eye(display)
        core, root = self.eye.core, self.eye.root
        screen = self.eye.connection.get_setup().roots[0]
        self.visual = next(depth.visuals[0].visual_id for depth in screen.allowed_depths if depth.depth == 32)
        colormap, self.window = self.eye.connection.generate_id(), self.eye.connection.generate_id()
        core.CreateColormap(0, colormap, root, self.visual)
        cw = xcffib.xproto.CW
        mask = cw.BackPixel | cw.BorderPixel | cw.OverrideRedirect | cw.Colormap
        core.CreateWindow(32, self.window, root, 0, 0, 40, 40, 0, 1, self.visual, mask, [0, 0, 1, colormap])
        core.MapWindow(self.window)
        visual = self.eye.atom("_NET_SYSTEM_TRAY_VISUAL")
        core.ChangeProperty(0, self.window, visual, xcffib.xproto.Atom.VISUALID, 32, 1, [self.visual])
        core.SetSelectionOwner(self.window, self.eye.atom("_NET_SYSTEM_TRAY_S0"), 0)
        self.eye.connection.flush()

    def dock(self) -> int:
        """Take the icon that asks for it; its window."""
        event: Any = self.eye.connection.wait_for_event()
        assert event.type == self.eye.atom("_NET_SYSTEM_TRAY_OPCODE")
        window = int(event.data.data32[2])
        self.eye.core.ReparentWindow(window, self.window, 4, 4)
        self.eye.core.ConfigureWindow(window, 12, [32, 32])  # 12: width and height
        self.eye.core.MapWindow(window)
        self.eye.connection.flush()
        return window


def test_in_a_tray_with_transparency_the_icon_has_it_and_fits_the_size(x: XServer) -> None:
    tray = ArgbTray(x.display)
    icon = TrayIcon(x.display, lambda: None)
    icon.show(Phase.RECORDING)
    window = tray.dock()
    wait_for(lambda: middle(tray.eye, window) == RED, "the dot")
    assert tray.eye.core.GetGeometry(window).reply().depth == 32
    wait_for(lambda: tray.eye.colors(window)[16].count(RED) in range(19, 23), "a dot of two thirds of 32 px")
    assert tray.eye.colors(window)[0][0] == (0, 0, 0)
    data = tray.eye.core.GetImage(2, window, 0, 0, 32, 32, 0xFFFFFFFF).reply().data.buf()
    assert (data[3], data[4 * (16 * 32 + 16) + 3]) == (0, 255), "transparent at the corner, opaque in the middle"
    icon.close()
    tray.eye.connection.disconnect()


def test_an_icon_that_the_tray_puts_out_is_no_window_on_the_desktop(x: XServer, eye: Eye) -> None:
    tray = ArgbTray(x.display)
    icon = TrayIcon(x.display, lambda: None)
    window = tray.dock()
    wait_for(lambda: not icon.absence, "the icon to know")
    tray.eye.core.ReparentWindow(window, eye.root, 0, 0)
    tray.eye.connection.flush()
    wait_for(lambda: not eye.icons(), "the end of the icon")
    wait_for(lambda: icon.absence == NO_TRAY, "the icon to know")
    icon.close()
    tray.eye.connection.disconnect()


def test_without_a_display_the_reason_is_said() -> None:
    icon = TrayIcon(":4095", lambda: None)
    wait_for(lambda: "no X server at :4095" in icon.absence, "the reason")
    icon.show(Phase.PAUSED)
    icon.close()


def test_a_display_that_ends_takes_the_icon_along(tmp_path: Path) -> None:
    with XServer() as x:
        icon = TrayIcon(x.display, lambda: None)
        wait_for(lambda: icon.absence == NO_TRAY, "the icon's thread")
        icon.show(Phase.PAUSED)
    wait_for(lambda: "no X server" in icon.absence, "the reason")
    icon.close()
