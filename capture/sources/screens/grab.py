"""Pixels of an X server, and where they changed: `mss` grabs, XDamage says where and when."""

from __future__ import annotations

import contextlib
import os
from typing import Any, Protocol

import numpy as np

from taskreel.capture.sources.protocol import Rect, SourceLostError, SourceUnavailableError
from taskreel.capture.sources.screens.tiles import OPAQUE

NO_WAYLAND = (
    "on Wayland pictures need the ScreenCast portal, which taskreel does not have yet; "
    "record without pictures by --no-pictures"
)


class FrameGrabber(Protocol):
    """Who has the pixels of a screen. Used by one thread."""

    size_px: tuple[int, int]
    """Width and height, as of the last `has_changed`. All monitors are one screen."""
    tells_changes: bool
    """Whether `has_changed` is known. If not, it always says yes."""
    lag_us: int
    """How long a window's pixels may still be seen where the window no longer is (a compositor draws them later)."""

    def fileno(self) -> int:
        """A descriptor that can be read when there may be news."""

    def has_changed(self) -> bool:
        """Whether anything changed since `take_changed` was called last."""

    def take_changed(self) -> Rect | None:
        """The area that holds all changes since the last call; None: nothing changed."""

    def grab(self, area: Rect) -> np.ndarray | None:
        """The pixels of an area now: `uint32`, height x width, for the caller to keep. None: the screen is changing
        its size, ask again. Raises `SourceLostError` if the screen is gone."""

    def close(self) -> None:
        """Let the connections go."""


class XGrabber:
    """Grabs from an X server, on two connections of its own. Implements `FrameGrabber`."""

    def __init__(self, display: str = "") -> None:
        try:
            import mss
            import xcffib

            from taskreel.capture.sources.x11.extensions import connect
        except ImportError as error:
            raise SourceUnavailableError(f"{error.name} is missing: pip install 'taskreel[capture]'") from error
        self._mss, self._xcffib, self._connect_to = mss, xcffib, connect
        self._display = display or os.environ.get("DISPLAY", "")
        self._connection = self._connect(is_asked_for=bool(display))
        try:
            self._root = self._connection.get_setup().roots[self._connection.pref_screen].root
            self._check_not_wayland()
            self._shot = self._open_shot()
            self._watch_root()
            self.lag_us = _COMPOSITOR_LAG_US if self._has_compositor() else 0
        except BaseException:
            self._connection.disconnect()
            raise

    def fileno(self) -> int:
        """The descriptor of the connection that hears of changes."""
        return int(self._connection.get_file_descriptor())

    def has_changed(self) -> bool:
        """Whether anything changed since `take_changed` was called last, or the size did."""
        try:
            while (event := self._connection.poll_for_event()) is not None:
                self._is_damaged |= isinstance(event, self._xcffib.damage.NotifyEvent)
                if isinstance(event, self._xcffib.xproto.ConfigureNotifyEvent) and event.window == self._root:
                    self._resize(event.width, event.height)
        except self._xcffib.ConnectionException as error:
            raise SourceLostError("the X server ended") from error
        return self._is_damaged or not self.tells_changes

    def take_changed(self) -> Rect | None:
        """The box around all changes since the last call."""
        if not self.has_changed():
            return None
        self._is_damaged = False
        if not self.tells_changes:
            return Rect(0, 0, *self.size_px)
        try:
            self._damage.Subtract(self._watched, 0, self._region)
            found = self._fixes.FetchRegion(self._region).reply().extents
        except self._xcffib.ConnectionException as error:
            raise SourceLostError("the X server ended") from error
        area = Rect(found.x, found.y, found.width, found.height)
        return area if area.width and area.height else None

    def grab(self, area: Rect) -> np.ndarray | None:
        """The pixels of an area now: one request to the server, so all of one moment."""
        box = {"left": area.x, "top": area.y, "width": area.width, "height": area.height}
        try:
            shot = self._shot.grab(box)
        except (self._mss.ScreenShotError, AssertionError):  # mss asserts that the server still answers
            self._refresh()
            return None
        pixels = np.frombuffer(shot.raw, np.uint32).reshape(area.height, area.width)
        pixels |= OPAQUE  # what is there means nothing, and differs between windows of depth 24 and 32
        return pixels

    def close(self) -> None:
        """Let both connections go."""
        self._close_shot()
        self._connection.disconnect()

    def _connect(self, *, is_asked_for: bool) -> Any:
        if not is_asked_for and os.environ.get("WAYLAND_DISPLAY"):
            raise SourceUnavailableError(NO_WAYLAND)
        if not self._display:
            raise SourceUnavailableError("there is no X display for pictures of the screen: set DISPLAY")
        try:
            return self._connect_to(self._display)
        except self._xcffib.ConnectionException as error:
            raise SourceUnavailableError(
                f"the X display {self._display} cannot be reached: is DISPLAY right, and XAUTHORITY?"
            ) from error

    def _check_not_wayland(self) -> None:
        """XWayland answers, too, but knows only its own programs' windows."""
        if self._has_extension("XWAYLAND"):
            raise SourceUnavailableError(NO_WAYLAND)

    def _has_extension(self, name: str) -> bool:
        return bool(self._connection.core.QueryExtension(len(name), name).reply().present)

    def _has_compositor(self) -> bool:
        name = f"_NET_WM_CM_S{self._connection.pref_screen}"
        atom = self._connection.core.InternAtom(False, len(name), name).reply().atom
        return bool(self._connection.core.GetSelectionOwner(atom).reply().owner)

    def _watch_root(self) -> None:
        masks = [self._xcffib.xproto.EventMask.StructureNotify]
        self._connection.core.ChangeWindowAttributes(self._root, self._xcffib.xproto.CW.EventMask, masks)
        found = self._connection.core.GetGeometry(self._root).reply()
        self.size_px = found.width, found.height
        self._is_damaged = True
        self.tells_changes = self._has_extension("DAMAGE") and self._has_extension("XFIXES")
        if self.tells_changes:
            self._watch_damage()

    def _watch_damage(self) -> None:
        self._damage = self._connection(self._xcffib.damage.key)
        self._fixes = self._connection(self._xcffib.xfixes.key)
        self._damage.QueryVersion(1, 1).reply()
        self._fixes.QueryVersion(2, 0).reply()
        self._watched, self._region = self._connection.generate_id(), self._connection.generate_id()
        self._damage.Create(self._watched, self._root, self._xcffib.damage.ReportLevel.NonEmpty)
        self._fixes.CreateRegion(self._region, 0, [])
        self._connection.flush()

    def _open_shot(self) -> Any:
        try:
            return self._mss.MSS(display=self._display)
        except self._mss.ScreenShotError as error:
            raise SourceUnavailableError(f"no pictures can be taken of the X display {self._display}") from error

    def _close_shot(self) -> None:
        with contextlib.suppress(self._mss.ScreenShotError):  # the server is gone
            self._shot.close()

    def _resize(self, width_px: int, height_px: int) -> None:
        if (width_px, height_px) != self.size_px:
            self.size_px, self._is_damaged = (width_px, height_px), True
            self._close_shot()  # its shared memory has the size of the screen as it was
            try:
                self._shot = self._mss.MSS(display=self._display)
            except self._mss.ScreenShotError as error:
                raise SourceLostError("the X server ended") from error

    def _refresh(self) -> None:
        try:
            found = self._connection.core.GetGeometry(self._root).reply()
            self._resize(found.width, found.height)
        except self._xcffib.ConnectionException as error:
            raise SourceLostError("the X server ended") from error


_COMPOSITOR_LAG_US = 100_000
"""A compositor draws a window at its new place within a frame or two (17 to 33 ms at 60 Hz): three times that."""
