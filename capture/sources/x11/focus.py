"""Which window has the focus: as the window manager says (EWMH), or as the server says where there is none."""

from __future__ import annotations

import struct
from typing import Any

from taskreel.capture.sources.x11.server import Server, numbers
from taskreel.capture.sources.x11.stacking import Stack, TopLevel

_ACTIVE, _CHECK = "_NET_ACTIVE_WINDOW", "_NET_SUPPORTING_WM_CHECK"
_POINTER_ROOT = 1
_GET_INPUT_FOCUS = 43


class Focus:
    """Asks for the window that is active and for the one that gets the keys. They differ where a popup has the keys."""

    def __init__(self, server: Server, stack: Stack) -> None:
        from xcffib import xproto

        self._x: Any = xproto
        self._server, self._stack = server, stack
        self._properties = frozenset(server.atoms(_ACTIVE, _CHECK))
        self.is_stale = True
        self.follows_pointer = False
        """Nobody says what is active, and the keys go where the pointer is: nothing tells when it changes."""
        self.changed_ms: int | None = None
        """When the window manager last said that another window is active, by the server's clock."""
        server.select(server.root, xproto.EventMask.PropertyChange)
        server.listeners.append(self._hear)

    @staticmethod
    def ask_input() -> tuple[int, int, bytes]:
        """The request for the window that has the input focus; `said` takes its reply."""
        return _GET_INPUT_FOCUS, 0, b""

    @staticmethod
    def said(reply: bytes | None) -> int:
        """The window that has the input focus; 0 if none has it."""
        return int(struct.unpack_from("=I", reply, 8)[0]) if reply is not None else 0

    def active(self, input_focus: int) -> TopLevel | None:
        """The window that a person works in; None if there is none, or it is not known."""
        self.is_stale = self.follows_pointer = False
        server = self._server
        active, check = server.answers(server.ask_property(server.root, name) for name in (_ACTIVE, _CHECK))
        manager = next(iter(numbers(check)), 0)
        # A window manager that has died leaves its properties on the root, but not on a window of its own.
        is_managed = manager and manager in numbers(server.answer(server.ask_property(manager, _CHECK)))
        if is_managed and numbers(active):
            return self._stack.find(numbers(active)[0])
        self.follows_pointer = input_focus == _POINTER_ROOT
        return self.of_keys(input_focus)

    def of_keys(self, input_focus: int) -> TopLevel | None:
        """The window that gets the keys."""
        if input_focus != _POINTER_ROOT:
            return self._stack.find(input_focus)
        pointer = self._server.answer(self._server.core.QueryPointer(self._server.root))
        return self._stack.find(pointer.child) if pointer is not None else None

    def _hear(self, event: Any) -> None:
        if isinstance(event, self._x.FocusInEvent | self._x.FocusOutEvent):
            self.is_stale = True
        elif (
            isinstance(event, self._x.PropertyNotifyEvent)
            and event.window == self._server.root
            and event.atom in self._properties
        ):
            self.is_stale = True
            self.changed_ms = event.time
