"""Screens of 1920 x 1080 for measurements: real windows under Xvfb, and what is drawn by NumPy."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

from x_server import XServer

from taskreel.capture.sources.protocol import Rect
from taskreel.capture.sources.screens.grab import XGrabber

WIDTH, HEIGHT = 1920, 1080
ARRIVES_S = 4.0
"""How long windows have to appear."""

GTK = """
import sys, gi
gi.require_version("Gtk", "3.0")
from gi.repository import GLib, Gtk
window = Gtk.Window(title="Form")
window.set_default_size(900, 700)
box = Gtk.Box(orientation=1, spacing=6)
window.add(box)
bar = Gtk.Box(spacing=4)
box.pack_start(bar, 0, 0, 0)
for name in ("Open", "Save", "Print", "Undo"):
    bar.pack_start(Gtk.Button(label=name), 0, 0, 0)
text = Gtk.TextView()
text.set_wrap_mode(2)
lines = "".join("The quick brown fox %d jumps over the lazy dog, and more.\\n" % n for n in range(30))
text.get_buffer().set_text(lines)
box.pack_start(text, 1, 1, 0)
window.show_all()
window.move(900, 100)
def type_():
    text.get_buffer().insert_at_cursor("word ")
    return True
if "type" in sys.argv:
    GLib.timeout_add(120, type_)
Gtk.main()
"""

QT = """
from PyQt5.QtWidgets import *
application = QApplication([])
window = QWidget()
window.resize(800, 600)
layout = QVBoxLayout(window)
table = QTableWidget(30, 8)
layout.addWidget(table)
for row in range(30):
    for column in range(8):
        table.setItem(row, column, QTableWidgetItem("cell %d %d" % (row, 37 * column)))
window.move(60, 60)
window.show()
application.exec_()
"""


def xterm(place: str, command: str, *options: str) -> tuple[str, ...]:
    """An xterm that shows what a command prints."""
    return ("xterm", "-geometry", place, *options, "-e", "sh", "-c", f"{command}; sleep 999")


SMOOTH = ("-fa", "DejaVu Sans Mono", "-fs", "11")
WINDOWS = {
    "xterm, bitmap font": [xterm("310x80+0+0", "ls -lR --color=always /usr/lib/python3* | head -400")],
    "xterms, smooth font": [
        xterm("150x50+0+0", "head -48 /usr/share/common-licenses/GPL-3", *SMOOTH),
        xterm("100x40+900+400", "ls -l --color=always /usr/bin | head -38", *SMOOTH, "-bg", "black", "-fg", "green"),
    ],
    "GTK": [("/usr/bin/python3", "-c", GTK)],
    "Qt": [("/usr/bin/python3", "-c", QT)],
    "GTK, Qt, xterm": [
        ("/usr/bin/python3", "-c", GTK),
        ("/usr/bin/python3", "-c", QT),
        xterm("150x50+0+500", "ls -l /usr/bin | head -48", *SMOOTH),
    ],
}


def scenes() -> Iterator[tuple[str, np.ndarray]]:
    """Names and pixels (`uint32`)."""
    shown = {}
    for name, commands in WINDOWS.items():
        shown[name] = _grab(commands)
        yield name, shown[name]
    windows, photo = shown["GTK, Qt, xterm"], words(_photo(2, 2.0))
    yield "photo", photo
    yield "photo, noisy", words(_photo(1, 6.0))
    yield "photo, no noise", words(_photo(3, 0.0))
    slope = np.linspace(20, 120, HEIGHT)[:, None] + np.linspace(0, 120, WIDTH)
    gradient = words((slope[..., None] * np.array([0.3, 0.6, 1.0])).astype(np.uint8))
    yield "gradient, vertical", np.ascontiguousarray(np.broadcast_to(gradient[:, :1], (HEIGHT, WIDTH)))
    yield "gradient, diagonal", gradient
    for percent in (5, 10, 20, 50):
        part = np.s_[: int(HEIGHT * (percent / 100) ** 0.5), : int(WIDTH * (percent / 100) ** 0.5)]
        mixed = windows.copy()
        mixed[part] = photo[part]
        yield f"windows, photo on {percent} %", mixed
    for name, wall in (("photo", photo), ("gradient", gradient)):
        mixed = wall.copy()
        mixed[100:800, 900:1800] = shown["GTK"][100:800, 900:1800]
        mixed[60:660, 60:860] = shown["Qt"][60:660, 60:860]
        yield f"windows on a {name}", mixed


def words(pixels: np.ndarray) -> np.ndarray:
    """RGB as an X server has it."""
    red, green, blue = (pixels[..., channel].astype(np.uint32) for channel in range(3))
    return 0xFF000000 | red << 16 | green << 8 | blue


def _photo(seed: int, noise: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    pixels = np.zeros((HEIGHT, WIDTH, 3))
    for grain_px, weight in ((200, 0.5), (50, 0.25), (12, 0.15), (4, 0.1)):
        rough = rng.integers(0, 255, (HEIGHT // grain_px + 3, WIDTH // grain_px + 3, 3), np.uint8)
        pixels += weight * np.asarray(Image.fromarray(rough).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    return np.clip(pixels + rng.normal(0, noise, pixels.shape), 0, 255).astype(np.uint8)


def _grab(commands: list[tuple[str, ...]]) -> np.ndarray:
    with XServer(f"{WIDTH}x{HEIGHT}x24") as server:
        server.window_manager()
        for command in commands:
            server.start(*command)
        time.sleep(ARRIVES_S)
        grabber = XGrabber(server.display)
        pixels = grabber.grab(Rect(0, 0, WIDTH, HEIGHT))
        grabber.close()
    assert pixels is not None
    return pixels
