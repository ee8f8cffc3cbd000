"""Windows of one color on an X server, for tests of pictures: moved, painted anew, also when they are clicked."""

from __future__ import annotations

import select
import threading
import time
from types import TracebackType

import numpy as np
import xcffib
import xcffib.xproto

from taskreel.capture.sources.protocol import Rect, WindowView


class Painter:
    """A client with windows that no window manager moves. Each call returns when the server has done it."""

    def __init__(self, display: str) -> None:
        self._connection = xcffib.connect(display)
        self._screen = self._connection.get_setup().roots[0]

    def __enter__(self) -> Painter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.disconnect()

    def window(self, area: Rect, color: int, *, events: int = 0) -> int:
        """Show a window above all others; `color` is 0xRRGGBB. Returns its id."""
        window = self._connection.generate_id()
        mask = xcffib.xproto.CW.BackPixel | xcffib.xproto.CW.OverrideRedirect | xcffib.xproto.CW.EventMask
        visual = self._screen.root_visual
        place = (area.x, area.y, area.width, area.height, 0)
        core = self._connection.core
        core.CreateWindow(24, window, self._screen.root, *place, 1, visual, mask, [color, 1, events])
        core.MapWindow(window)
        self._sync()
        return window

    def paint(self, window: int, color: int) -> None:
        """Give a window another color."""
        self._connection.core.ChangeWindowAttributes(window, xcffib.xproto.CW.BackPixel, [color])
        self._connection.core.ClearArea(False, window, 0, 0, 0, 0)
        self._sync()

    def move(self, window: int, x: int, y: int) -> None:
        mask = xcffib.xproto.ConfigWindow.X | xcffib.xproto.ConfigWindow.Y
        self._connection.core.ConfigureWindow(window, mask, [x, y])
        self._sync()

    def hide(self, window: int) -> None:
        self._connection.core.UnmapWindow(window)
        self._sync()

    def paint_at_clicks(self, window: int, colors: list[int], until: threading.Event) -> list[int]:
        """Paint a window that was made with `ButtonPress` in the next color at each press, until there are no more.

        Returns the times of the presses by the server's clock, in ms.
        """
        times: list[int] = []
        while len(times) < len(colors) and not until.is_set():
            event = self._connection.poll_for_event()
            if isinstance(event, xcffib.xproto.ButtonPressEvent):
                self.paint(window, colors[len(times)])
                times.append(event.time)
            elif event is None:
                select.select([self._connection.get_file_descriptor()], [], [], 0.05)
        return times

    def _sync(self) -> None:
        self._connection.core.GetInputFocus().reply()


class OneExcludedWindow:
    """Says where one window is, as the X server knows it. Implements `WindowViews`.

    The answer comes so much later than it was true: as from a slow server, so that windows move between it and a grab.
    """

    def __init__(self, display: str, window: int, late_s: float = 0.0) -> None:
        self._connection, self._window, self._late_s = xcffib.connect(display), window, late_s

    def view(self) -> WindowView:
        found = self._connection.core.GetGeometry(self._window).reply()
        area = Rect(found.x, found.y, found.width, found.height)
        time.sleep(self._late_s)
        return WindowView(hash((area.x, area.y)), (area,))

    def close(self) -> None:
        self._connection.disconnect()


class Mover:
    """Moves a window about a screen `per_s` times a second in a thread, 40 px a step, until the end of the block."""

    def __init__(self, display: str, window: int, screen: tuple[int, int], size: tuple[int, int], per_s: float) -> None:
        self._display, self._window, self._per_s = display, window, per_s
        self._room = screen[0] - size[0], screen[1] - size[1]
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mover")
        self.moves = 0

    def __enter__(self) -> Mover:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join(10)

    def _run(self) -> None:
        with Painter(self._display) as painter:
            next_s = time.monotonic()
            while not self._end.is_set():
                self.moves += 1
                painter.move(self._window, *(_to_and_fro(40 * self.moves, room) for room in self._room))
                next_s = max(next_s + 1 / self._per_s, time.monotonic())
                self._end.wait(next_s - time.monotonic())


def shows(pixels: np.ndarray, color: int) -> bool:
    """Whether any pixel of a frame (`uint32`) has a color (0xRRGGBB)."""
    return bool(((pixels & 0xFFFFFF) == color).any())


def _to_and_fro(way: int, room: int) -> int:
    along = way % (2 * room)
    return min(along, 2 * room - along)
