"""The window of the tray's icon: what it is called and how it looks.

Sources: EWMH (`_NET_WM_NAME`, `_NET_WM_PID`), ICCCM (`WM_CLASS`), the XEmbed protocol (`_XEMBED_INFO`).
"""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass
from typing import Any

import xcffib.xproto
from xcffib.xproto import CW, GC, Atom, EventMask, PropMode, WindowClass

from taskreel.capture.indicators.state import Phase
from taskreel.capture.settings import OWN_NAME

_ARC: Any = xcffib.xproto.ARC
_RECTANGLE: Any = xcffib.xproto.RECTANGLE

_SIZE_PX = 24
_XEMBED_MAPPED = 1
_OPAQUE = 0xFF000000
_RED, _YELLOW, _ORANGE, _GRAY, _DARK = 0xE01B24, 0xF6D32D, 0xFF7800, 0x9A9996, 0x303030
_COLORS = {
    Phase.RECORDING: _RED,
    Phase.PAUSED: _YELLOW,
    Phase.LOCKED: _GRAY,
    Phase.QUOTA: _ORANGE,
    Phase.STOPPED: _GRAY,
}


@dataclass(frozen=True)
class Look:
    """A visual, its depth and a colormap of it."""

    visual: int
    depth: int
    colormap: int


class Icon:
    """An icon: a red dot while recording, bars while paused (yellow) or locked (gray), a square when stopped.

    `core` is the connection's. Requests are not flushed, and their errors come with the connection's events.
    """

    def __init__(self, connection: Any, root: int, look: Look, atoms: dict[str, int]) -> None:
        self._core, self._atoms = connection.core, atoms
        self._width_px = self._height_px = _SIZE_PX
        self._colors: dict[int, int] = {}
        self._look = look
        self.window = connection.generate_id()
        background = 0 if look.depth == 32 else self._pixel(_DARK)
        events = EventMask.Exposure | EventMask.StructureNotify | EventMask.ButtonPress | EventMask.ButtonRelease
        self._core.CreateWindow(
            *(look.depth, self.window, root, 0, 0, _SIZE_PX, _SIZE_PX, 0, WindowClass.InputOutput, look.visual),
            *(CW.BackPixel | CW.BorderPixel | CW.EventMask | CW.Colormap, [background, 0, events, look.colormap]),
        )
        self._gc = connection.generate_id()
        self._core.CreateGC(self._gc, self.window, 0, [])
        self._introduce()

    def destroy(self) -> None:
        """Take it away."""
        self._core.DestroyWindow(self.window)
        self._core.FreeGC(self._gc)

    def resize(self, width_px: int, height_px: int) -> None:
        """Its size is another."""
        self._width_px, self._height_px = width_px, height_px

    def name(self, phase: Phase) -> None:
        """Say in the window's name what the recorder does."""
        name = f"{OWN_NAME}: {phase}".encode()
        self._set(Atom.WM_NAME, Atom.STRING, 8, name)
        self._set(self._atoms["_NET_WM_NAME"], self._atoms["UTF8_STRING"], 8, name)

    def draw(self, phase: Phase) -> None:
        """Draw it anew."""
        side = max(4, min(self._width_px, self._height_px) * 2 // 3)
        left, top = (self._width_px - side) // 2, (self._height_px - side) // 2
        self._core.ClearArea(False, self.window, 0, 0, 0, 0)
        self._core.ChangeGC(self._gc, GC.Foreground, [self._pixel(_COLORS[phase])])
        if phase is Phase.RECORDING:
            self._core.PolyFillArc(self.window, self._gc, 1, [_ARC.synthetic(left, top, side, side, 0, 360 * 64)])
            return
        bar = side // 3
        is_square = phase in (Phase.QUOTA, Phase.STOPPED)
        places = [(left, side)] if is_square else [(left, bar), (left + side - bar, bar)]
        bars = [_RECTANGLE.synthetic(x, top, width, side) for x, width in places]
        self._core.PolyFillRectangle(self.window, self._gc, len(bars), bars)

    def _introduce(self) -> None:
        own_class = f"{OWN_NAME}\0{OWN_NAME}\0".encode()
        self._set(Atom.WM_CLASS, Atom.STRING, 8, own_class)
        self._set(Atom.WM_CLIENT_MACHINE, Atom.STRING, 8, socket.gethostname().encode())
        self._set(self._atoms["_NET_WM_PID"], Atom.CARDINAL, 32, struct.pack("=I", os.getpid()))
        info = self._atoms["_XEMBED_INFO"]
        self._set(info, info, 32, struct.pack("=II", 0, _XEMBED_MAPPED))

    def _set(self, name: int, kind: int, bits: int, data: bytes) -> None:
        self._core.ChangeProperty(PropMode.Replace, self.window, name, kind, bits, len(data) * 8 // bits, data)

    def _pixel(self, rgb: int) -> int:
        if rgb not in self._colors:
            channels = [(rgb >> shift & 0xFF) * 257 for shift in (16, 8, 0)]
            pixel = self._core.AllocColor(self._look.colormap, *channels).reply().pixel
            self._colors[rgb] = pixel | (_OPAQUE if self._look.depth == 32 else 0)
        return self._colors[rgb]
