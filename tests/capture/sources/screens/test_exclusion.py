"""An excluded window that moves quickly over a real screen: nothing of it may be in any frame or picture."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from listening_sink import ListeningSink, running
from painted_windows import Mover, OneExcludedWindow, Painter, shows
from PIL import Image
from x_programs import Program
from x_server import XServer

from taskreel.capture.settings import Settings
from taskreel.capture.sources.protocol import Rect, WindowViews
from taskreel.capture.sources.screens.grab import XGrabber
from taskreel.capture.sources.screens.source import ScreenSource
from taskreel.capture.sources.screens.watch import ScreenWatch, Sight
from taskreel.capture.sources.x11.views import XWindowViews

SECRET = 0xFE01C7
SCREEN, SIZE = (1280, 800), (240, 180)
LATE_S = 0.003


Views = Callable[[str, int], WindowViews]


def late(display: str, window: int) -> WindowViews:
    """An answer that is some ms old, so that many grabs are given up."""
    return OneExcludedWindow(display, window, LATE_S)


def real(display: str, window: int) -> WindowViews:
    """As the recorder asks: by the program's name."""
    program = Program(display)
    program.put(window, "WM_CLASS", "vault\0Vault\0")
    program.close()
    return XWindowViews(Settings(Path("spool"), display=display, excluded_apps=("vault",)))


def frames_looked_at(for_s: float, views_of: Views, least_dropped: int = 0) -> tuple[int, int, int]:
    """Look as fast as can be while the window moves at 60 Hz: frames, those that were given up, and moves.

    On a busy machine it goes on for up to a minute more, until so many were given up, and some were not.
    """
    with XServer("1280x800x24") as server, Painter(server.display) as painter:
        server.run("xsetroot", "-solid", "#3584e4")
        window = painter.window(Rect(0, 0, *SIZE), SECRET)
        grabber, views = XGrabber(server.display), views_of(server.display, window)
        assert shows(_whole(grabber), SECRET), "the window can be seen"
        watch, frames, began_s = ScreenWatch(grabber, views, 60 << 20), 0, time.monotonic()

        def is_enough() -> bool:
            has_seen = frames >= 20 and watch.dropped_moving >= least_dropped
            return time.monotonic() - began_s > (for_s if has_seen else for_s + 60)

        with Mover(server.display, window, SCREEN, SIZE, per_s=60) as mover:
            while not is_enough():
                if watch.look() == Sight.NEW:
                    frame = watch.ring.frame_at(1 << 62)
                    assert frame is not None
                    assert not shows(frame.pixels, SECRET)
                    assert shows(frame.pixels, 0x000000)
                    frames += 1
        grabber.close()
        views.close()
    return frames, watch.dropped_moving, mover.moves


def test_in_no_frame_for_seconds() -> None:
    frames, dropped, moves = frames_looked_at(5, late, least_dropped=5)
    assert frames >= 20
    assert dropped >= 5, "the window moved during grabs, too"
    assert moves >= 100


def test_in_no_frame_for_seconds_as_the_recorder_asks() -> None:
    frames, _, moves = frames_looked_at(5, real)
    assert frames >= 20
    assert moves >= 100


@pytest.mark.soak
@pytest.mark.parametrize("views_of", [late, real])
def test_in_no_frame_for_a_minute(views_of: Views) -> None:
    frames, dropped, moves = frames_looked_at(60, views_of)
    print(f"{frames} frames, {dropped} given up, {moves} moves")
    assert frames >= 1000
    assert moves >= 3000


def test_in_no_picture_of_a_source(tmp_path: Path) -> None:
    with XServer("1280x800x24") as server, Painter(server.display) as painter:
        painter.window(Rect(300, 200, 500, 300), 0x3584E4)
        window = painter.window(Rect(0, 0, *SIZE), SECRET)
        settings = Settings(tmp_path, display=server.display, heartbeat_s=0.05, pictures_per_s=100)
        source, sink = ScreenSource(settings, OneExcludedWindow(server.display, window, LATE_S)), ListeningSink()
        with running(source, sink), Mover(server.display, window, SCREEN, SIZE, per_s=60):
            until_s = time.monotonic() + 3
            while time.monotonic() < until_s or len(sink.pictures) < 10:
                time.sleep(0.05)
    for picture in sink.pictures.values():
        image = np.asarray(Image.open(io.BytesIO(picture.data)).convert("RGB"))
        assert not (image == (SECRET >> 16, SECRET >> 8 & 255, SECRET & 255)).all(-1).any()


def _whole(grabber: XGrabber) -> np.ndarray:
    pixels = grabber.grab(Rect(0, 0, *grabber.size_px))
    assert pixels is not None
    return pixels
