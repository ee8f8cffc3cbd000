"""The icon in the desktop's tray on X11: what the recorder does at a glance, and a click that pauses it.

Where no tray runs, the icon appears as soon as one does. Plasma shows such icons by a bridge of its own; GNOME has no
tray. Sources: the System Tray Protocol Specification and the XEmbed protocol (freedesktop.org).
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any

import xcffib
from xcffib import xproto

from taskreel.capture.indicators.icon import Icon, Look
from taskreel.capture.indicators.state import Phase
from taskreel.capture.sources.x11.extensions import connect

_ATOMS = ("MANAGER", "UTF8_STRING", "_NET_WM_NAME", "_NET_WM_PID", "_XEMBED_INFO")
_TRAY_ATOMS = ("_NET_SYSTEM_TRAY_OPCODE", "_NET_SYSTEM_TRAY_VISUAL")
_REQUEST_DOCK = 0
_CLIENT_MESSAGE = 33
_LEFT_BUTTON = 1
_STOP_S = 1.0
NO_TRAY = "no tray runs on this display"


class TrayIcon:
    """The icon, in a thread of its own. `absence` says why there is none now; it is empty while there is one."""

    def __init__(self, display: str, on_toggle: Callable[[], None]) -> None:
        """`display` as in `$DISPLAY`, which is used if it is empty; `on_toggle` is called in the icon's thread."""
        self.absence = NO_TRAY
        self._display, self._on_toggle = display, on_toggle
        self._phase = Phase.STOPPED
        self._is_closing = False
        self._waking, self._wake = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="taskreel-tray", daemon=True)
        self._thread.start()

    def show(self, phase: Phase) -> None:
        """Show what the recorder does. Returns at once."""
        if phase is not self._phase and not self._is_closing:
            self._phase = phase
            self._wake.send(b"p")

    def close(self) -> None:
        """Take the icon away. More than once if need be."""
        if not self._is_closing:
            self._is_closing = True
            self._wake.send(b"c")
            self._thread.join(_STOP_S)

    def _run(self) -> None:
        try:
            self._watch()
        except xcffib.ConnectionException:
            self.absence = f"no X server at {self._display or os.environ.get('DISPLAY') or 'any display'}"
        except Exception as error:  # an icon that cannot be shown must not end a recording
            self.absence = f"the tray's icon failed: {type(error).__name__}"

    def _watch(self) -> None:
        connection = connect(self._display)
        try:
            dock = _Dock(connection, self._on_toggle)
            shown = None
            while not self._is_closing:
                if self._phase is not shown:
                    dock.show(shown := self._phase)
                dock.handle_events()
                self.absence = "" if dock.is_docked else NO_TRAY
                connection.flush()
                ready, _, _ = select.select([connection.get_file_descriptor(), self._waking], [], [])
                if self._waking in ready:
                    self._waking.recv(64)
        finally:
            connection.disconnect()


class _Dock:
    """Where the icon is: in the tray of the screen, if there is one."""

    def __init__(self, connection: Any, on_toggle: Callable[[], None]) -> None:
        self._connection, self._core, self._on_toggle = connection, connection.core, on_toggle
        self._screen = connection.get_setup().roots[connection.pref_screen]
        self._selection_name = f"_NET_SYSTEM_TRAY_S{connection.pref_screen}"
        self._atoms = {name: self._atom(name) for name in (*_ATOMS, *_TRAY_ATOMS, self._selection_name)}
        self._phase = Phase.STOPPED
        self._tray = 0
        self._icon: Icon | None = None
        self.is_docked = False
        self._select_events(self._screen.root)
        self._find_tray()

    def show(self, phase: Phase) -> None:
        self._phase = phase
        if self._icon:
            self._icon.name(phase)
            self._icon.draw(phase)

    def handle_events(self) -> None:
        """Handle all that has come. Raises `ConnectionException` if the server is gone."""
        while True:
            try:
                event = self._connection.poll_for_event()
            except xcffib.Error:
                continue  # the tray ended between two requests: news of that follows
            if event is None:
                return
            self._handle(event)

    def _handle(self, event: Any) -> None:
        match event:
            case xproto.ClientMessageEvent() if event.type == self._atoms["MANAGER"]:
                if event.data.data32[1] == self._atoms[self._selection_name]:
                    self._find_tray()
            case xproto.DestroyNotifyEvent() if event.window == self._tray:
                self._find_tray()
            case _ if not self._icon or getattr(event, "window", getattr(event, "event", 0)) != self._icon.window:
                pass
            case xproto.ReparentNotifyEvent():
                self.is_docked = event.parent != self._screen.root
                if not self.is_docked:  # left behind by a tray that ends: no window of its own on the desktop
                    self._remove_icon()
            case xproto.DestroyNotifyEvent():
                self._icon, self.is_docked = None, False
            case xproto.ConfigureNotifyEvent():
                self._icon.resize(event.width, event.height)
            case xproto.ExposeEvent() if event.count == 0:
                self._icon.draw(self._phase)
            case xproto.ButtonReleaseEvent() if event.detail == _LEFT_BUTTON:
                with contextlib.suppress(Exception):  # what the recorder does about it is not the icon's end
                    self._on_toggle()

    def _find_tray(self) -> None:
        self._remove_icon()
        self._tray = self._core.GetSelectionOwner(self._atoms[self._selection_name]).reply().owner
        if self._tray:
            self._select_events(self._tray)
            self._icon = Icon(self._connection, self._screen.root, self._look(), self._atoms)
            self._icon.name(self._phase)
            self._request_dock(self._icon.window)

    def _request_dock(self, window: int) -> None:
        opcode = self._atoms["_NET_SYSTEM_TRAY_OPCODE"]
        data = (xproto.Time.CurrentTime, _REQUEST_DOCK, window, 0, 0)
        message = struct.pack("=BBHII5I", _CLIENT_MESSAGE, 32, 0, self._tray, opcode, *data)
        self._core.SendEvent(False, self._tray, xproto.EventMask.NoEvent, message)

    def _remove_icon(self) -> None:
        if self._icon:
            self._icon.destroy()
        self._icon, self.is_docked = None, False

    def _look(self) -> Look:
        """The visual that the tray asks for, or the screen's."""
        atom = self._atoms["_NET_SYSTEM_TRAY_VISUAL"]
        said = self._core.GetProperty(False, self._tray, atom, xproto.Atom.VISUALID, 0, 1).reply()
        visual = said.value.to_atoms()[0] if said.value_len else self._screen.root_visual
        for depth in self._screen.allowed_depths:
            if visual != self._screen.root_visual and visual in [one.visual_id for one in depth.visuals]:
                colormap = self._connection.generate_id()
                self._core.CreateColormap(xproto.ColormapAlloc._None, colormap, self._screen.root, visual)
                return Look(visual, depth.depth, colormap)
        return Look(self._screen.root_visual, self._screen.root_depth, self._screen.default_colormap)

    def _select_events(self, window: int) -> None:
        self._core.ChangeWindowAttributes(window, xproto.CW.EventMask, [xproto.EventMask.StructureNotify])

    def _atom(self, name: str) -> int:
        return int(self._core.InternAtom(False, len(name), name).reply().atom)
