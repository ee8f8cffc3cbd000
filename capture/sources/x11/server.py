"""A connection to an X server by xcffib, for what may vanish at any time: an error about a window is an answer, too.

Used from one thread.
"""

from __future__ import annotations

import functools
import os
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ParamSpec, TypeVar

from taskreel.capture.sources.protocol import SourceLostError, SourceUnavailableError

_LONGEST_PROPERTY = 1024
"""In units of 4 bytes: titles may be of any length, and no more of them is kept than this."""

P = ParamSpec("P")
R = TypeVar("R")


def tells_loss(method: Callable[P, R]) -> Callable[P, R]:
    """For what uses a `Server`: `SourceLostError` if the connection breaks."""

    @functools.wraps(method)
    def telling(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except Exception as error:
            import xcffib

            if isinstance(error, xcffib.ConnectionException):
                raise SourceLostError("the connection to the X server has ended") from error
            raise

    return telling


class Server:
    """A connection to a display, `$DISPLAY` if it is empty. Raises `SourceUnavailableError` if there is none.

    `core` makes requests; `answers` reads what comes back. `listeners` hear each event in `take_news`.

    `has_quiet`: what programs tell by properties of their windows comes over a second connection, for those that want
    to sleep through it: GTK's programs say with each key when they were last used.
    """

    def __init__(self, display: str = "", *, has_quiet: bool = False) -> None:
        try:
            import xcffib

            from taskreel.capture.sources.x11.connection import Refused, Requests
            from taskreel.capture.sources.x11.extensions import connect
        except ImportError as error:
            raise SourceUnavailableError("recording under X11 needs xcffib: pip install 'taskreel[capture]'") from error
        display = display or os.environ.get("DISPLAY", "")
        if not display:
            raise SourceUnavailableError("DISPLAY is not set: record inside an X11 session, or name a display")
        try:
            self.connection: Any = connect(display)
            self._quiet: Any = connect(display) if has_quiet else self.connection
        except xcffib.ConnectionException as error:
            raise SourceUnavailableError(
                f"cannot connect to the X server {display}: is it running, and may you use it (xauth)?"
            ) from error
        self._error = xcffib.Error
        self._refused = Refused
        self._requests = Requests(self.connection._conn)
        self._of_properties: int = xcffib.xproto.EventMask.PropertyChange
        setup = self.connection.get_setup()
        self.core: Any = self.connection.core
        self.root: int = setup.roots[self.connection.pref_screen].root
        self.listeners: list[Callable[[Any], None]] = []
        self._ids_of_a_client: int = setup.resource_id_mask
        self._selections = _Selections(self.core)
        self._quiet_selections = _Selections(self._quiet.core) if has_quiet else self._selections
        self._atoms: dict[str, int] = {}

    def close(self) -> None:
        """Let the connection go. Again does nothing."""
        self.listeners.clear()
        self.connection.disconnect()
        if self._quiet is not self.connection:
            self._quiet.disconnect()

    def fileno(self) -> int:
        """The descriptor to wait at. Events may have been read already, with an answer: `take_news` before."""
        return int(self.connection.get_file_descriptor())

    def quiet_fileno(self) -> int:
        """The same of the connection for properties."""
        return int(self._quiet.get_file_descriptor())

    def take_news(self, *, is_quiet_left: bool = False) -> bool:
        """Let the listeners hear all events that are there, without waiting. Whether there were some."""
        any_heard = self._take_news_of(self.connection)
        if self._quiet is not self.connection and not is_quiet_left:
            any_heard |= self._take_news_of(self._quiet)
        return any_heard

    def _take_news_of(self, connection: Any) -> bool:
        any_heard = False
        while True:
            try:
                event = connection.poll_for_event()
            except self._error:  # a request without an answer was about a window that is gone
                continue
            if event is None:
                return any_heard
            any_heard = True
            for listener in self.listeners:
                listener(event)

    def answers(self, cookies: Iterable[Any]) -> list[Any]:
        """The answers to requests that have been made; None where the server answered with an error."""
        return [self._answer(cookie) for cookie in list(cookies)]

    def answer(self, cookie: Any) -> Any:
        """The answer to one request; None for an error."""
        return self.answers([cookie])[0]

    def _answer(self, cookie: Any) -> Any:
        try:
            return cookie.reply()
        except self._error:
            return None

    def exchange(self, *requests: tuple[int, int, bytes]) -> list[bytes | None]:
        """The replies to requests (opcode, second byte, rest) as bytes; None for an error. Faster than xcffib's."""
        return [self._reply(sequence) for sequence in [self._requests.send(*request) for request in requests]]

    def _reply(self, sequence: int) -> bytes | None:
        try:
            return self._requests.reply(sequence)
        except self._refused:
            return None

    def atoms(self, *names: str) -> list[int]:
        """The numbers of names. Each is asked for once."""
        new = [name for name in names if name not in self._atoms]
        cookies = [self.core.InternAtom(False, len(name), name) for name in new]
        self._atoms.update((name, cookie.reply().atom) for name, cookie in zip(new, cookies, strict=True))
        return [self._atoms[name] for name in names]

    def ask_property(self, window: int, name: str) -> Any:
        """The request for a property; its answer has no value if the window does not have it."""
        if self._quiet_selections.are_pending and self._quiet is not self.connection:
            self._quiet_selections.are_pending = False
            self._answer(self._quiet.core.GetInputFocus())  # so that no change is missed between the two connections
        (atom,) = self.atoms(name)
        return self.core.GetProperty(False, window, atom, 0, 0, _LONGEST_PROPERTY)

    def extension(self, key: Any) -> Any:
        """The requests of an extension, by xcffib's key; None if the server does not have it."""
        name = key.name
        reply = self.answer(self.core.QueryExtension(len(name), name))
        # Asked before, because xcb closes the connection at a request of an extension that is not there.
        return self.connection(key) if reply is not None and reply.present else None

    def client_of(self, id_: int) -> int:
        """What the ids of all windows have in common that were made over one connection."""
        return id_ & ~self._ids_of_a_client

    def select(self, window: int, mask: int) -> None:
        """Hear these events of a window, too. Its program does not notice."""
        quiet = self._quiet_part(window, mask)
        self._selections.add(window, mask & ~quiet)
        self._quiet_selections.add(window, quiet)

    def deselect(self, window: int, mask: int) -> None:
        """No longer hear these events of a window."""
        quiet = self._quiet_part(window, mask)
        self._selections.remove(window, mask & ~quiet)
        self._quiet_selections.remove(window, quiet)

    def forget(self, window: int) -> None:
        """A window is gone: its id may come again as another's, of which no events are selected."""
        self._selections.forget(window)
        self._quiet_selections.forget(window)

    @property
    def selected(self) -> set[int]:
        """The windows of which any events are selected."""
        return self._selections.windows | self._quiet_selections.windows

    def _quiet_part(self, window: int, mask: int) -> int:
        """What of a selection is for the second connection. The root's properties say what is active: not them."""
        return mask & self._of_properties if window != self.root else 0


class _Selections:
    """Which events of which windows are selected on one connection. `are_pending`: some may not be in force yet."""

    def __init__(self, core: Any) -> None:
        from xcffib.xproto import CW

        self._core, self._event_mask = core, CW.EventMask
        self._masks: dict[int, int] = {}
        self.are_pending = False

    @property
    def windows(self) -> set[int]:
        return set(self._masks)

    def add(self, window: int, mask: int) -> None:
        self._choose(window, self._masks.get(window, 0) | mask)

    def remove(self, window: int, mask: int) -> None:
        self._choose(window, self._masks.get(window, 0) & ~mask)

    def forget(self, window: int) -> None:
        self._masks.pop(window, None)

    def _choose(self, window: int, mask: int) -> None:
        if mask == self._masks.get(window, 0):
            return
        self._core.ChangeWindowAttributes(window, self._event_mask, [mask])
        self.are_pending = True
        if mask:
            self._masks[window] = mask
        else:
            del self._masks[window]


def numbers(reply: Any) -> Sequence[int]:
    """The 32-bit values of a property; none if it is not there, or of another format."""
    if reply is None or reply.format != 32:
        return ()
    data = bytes(reply.value.buf())
    return struct.unpack(f"={len(data) // 4}I", data)


def text(reply: Any) -> bytes:
    """The bytes of a property; none if it is not there."""
    return bytes(reply.value.buf()) if reply is not None and reply.format == 8 else b""
