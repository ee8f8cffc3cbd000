"""An excluded window that moves quickly over a real screen: nothing of it may be in any frame or picture."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pytest
from listening_sink import ListeningSink, running
from painted_windows import Mover, OneExcludedWindow, Painter, shows
from PIL import Image
from x_server import XServer

from taskreel.capture.settings import Settings
from taskreel.capture.sources.protocol import Rect
from taskreel.capture.sources.screens.grab import XGrabber
from taskreel.capture.sources.screens.source import ScreenSource
from taskreel.capture.sources.screens.watch import ScreenWatch, Sight

SECRET = 0xFE01C7
SCREEN, SIZE = (1280, 800), (240, 180)
LATE_S = 0.003


def frames_looked_at(for_s: float) -> tuple[int, int, int]:
    """Look as fast as can be while the window moves at 60 Hz: frames, those that were given up, and moves."""
    with XServer("1280x800x24") as server, Painter(server.display) as painter:
        painter.window(Rect(300, 200, 500, 300), 0x3584E4)
        window = painter.window(Rect(0, 0, *SIZE), SECRET)
        grabber, views = XGrabber(server.display), OneExcludedWindow(server.display, window, LATE_S)
        assert shows(_whole(grabber), SECRET), "the window can be seen"
        watch, frames, until_s = ScreenWatch(grabber, views, 60 << 20), 0, time.monotonic() + for_s
        with Mover(server.display, window, SCREEN, SIZE, per_s=60) as mover:
            while time.monotonic() < until_s:
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
    frames, dropped, moves = frames_looked_at(5)
    assert frames >= 20
    assert dropped >= 5, "the window moved during grabs, too"
    assert moves >= 100


@pytest.mark.soak
def test_in_no_frame_for_a_minute() -> None:
    frames, dropped, moves = frames_looked_at(60)
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
