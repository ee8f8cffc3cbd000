"""Whether a program has the keyboard for itself: a password prompt, a locked screen, xterm's Secure Keyboard, a menu.

Input that is watched by XInput2 raw events arrives all the same, so it must be known to be withheld. A grab is seen in
two ways:

- The server tells the window with the focus that it loses it to a grab (FocusOut with mode NotifyGrab). Whoever selects
  FocusChange on exactly this window or, if no window has the focus, on the root hears it, too. So a grab is noticed
  that is over again before anybody asks. One that begins while the focus is None is told to nobody.
- The server answers AlreadyGrabbed to a request for a grab while another program has it, and looks at this first. So a
  grab is asked for that can never be given: on a window that is never mapped, for which the answer is GrabNotViewable
  otherwise. It is seen in all cases.

Every grab of another program counts, also of the toolkits' menus, and of a window manager while its hot key is down:
what is typed meanwhile is withheld, and counted. A grab of a single device below the master keyboard (XInput2) is not
seen, nor is one of a second master keyboard.
"""

from __future__ import annotations

import struct
from typing import Any

from taskreel.capture.sources.guards import Guard, Withholds
from taskreel.capture.sources.protocol import monotonic_us
from taskreel.capture.sources.x11.server import Server

_GRAB_KEYBOARD, _ASYNCHRONOUS, _ALREADY_GRABBED = 31, 1, 1
KEYBOARD_GRAB = "keyboard_grab"


class KeyboardGrabs:
    """Watches the keyboard's grabs and switches a guard."""

    def __init__(self, server: Server) -> None:
        from xcffib import xproto

        self._x: Any = xproto
        self._server = server
        self.guard = Guard(KEYBOARD_GRAB, Withholds.KEYS)
        self._watched = 0
        self._unmapped: int = server.connection.generate_id()
        server.core.CreateWindow(
            0, self._unmapped, server.root, -1, -1, 1, 1, 0, xproto.WindowClass.InputOnly, 0,
            xproto.CW.OverrideRedirect, [1],
        )  # fmt: skip
        server.select(server.root, xproto.EventMask.FocusChange)
        server.listeners.append(self._hear)

    def watch(self, focus: int) -> None:
        """The window that has the input focus now, as GetInputFocus says it (None and PointerRoot, too)."""
        if focus == self._watched:
            return
        if self._watched > 1 and self._watched != self._server.root:
            self._server.deselect(self._watched, self._x.EventMask.FocusChange)
        if focus > 1:
            self._server.select(focus, self._x.EventMask.FocusChange)
        self._watched = focus

    def ask(self) -> tuple[int, int, bytes]:
        """The request that says whether there is a grab; `learn` takes its reply. It never grabs: see above."""
        return _GRAB_KEYBOARD, 0, struct.pack("=IIBB2x", self._unmapped, 0, _ASYNCHRONOUS, _ASYNCHRONOUS)

    def learn(self, reply: bytes | None) -> bool:
        """Whether there is a grab now; switches the guard. No reply is taken for a grab."""
        is_held = reply is None or reply[1] == _ALREADY_GRABBED
        self.guard.switch(is_held, monotonic_us())
        return is_held

    def settle(self) -> None:
        """Ask if a grab that was noticed is over; the end of one may go unnoticed if its window is destroyed."""
        if self.guard.is_on:
            self.learn(*self._server.exchange(self.ask()))

    def _hear(self, event: Any) -> None:
        x = self._x
        if isinstance(event, x.FocusOutEvent | x.FocusInEvent) and event.mode == x.NotifyMode.Grab:
            self.guard.switch(True, monotonic_us())
        elif isinstance(event, x.DestroyNotifyEvent) and event.window == self._watched:
            self._watched = 0
