"""A connection to an X server by the handles of xcffib: bytes of events and replies, and nothing that is decoded.

Used from one thread at a time. `SourceLostError` once the server has ended.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Any

from taskreel.capture.sources.protocol import SourceLostError, SourceUnavailableError
from taskreel.capture.sources.x11.raw import EVENT_BYTES, GENERIC_EVENT

try:
    import xcffib
    from cffi import FFI

    from taskreel.capture.sources.x11.extensions import connect
except ImportError as error:
    raise SourceUnavailableError("recording under X11 needs xcffib: pip install 'taskreel[capture]'") from error

_REPLY_BYTES = 32
_QUERY_EXTENSION, _QUERY_POINTER = 98, 38

_library: Any = xcffib
_xcb, _c = _library.lib, _library.c_lib
_ffi = FFI()
_ffi.include(_library.ffi)
_ffi.cdef("xcb_generic_event_t *xcb_poll_for_queued_event(xcb_connection_t *c);")
_CHECKED = _xcb.XCB_REQUEST_CHECKED
_more = _ffi.dlopen(_library.soname)


class Refused(RuntimeError):
    """The server answered a request with an error."""


class Requests:
    """Requests and replies as bytes, at the handle of a connection."""

    def __init__(self, handle: Any) -> None:
        self.handle: Any = handle
        self._error = _ffi.new("xcb_generic_error_t **")
        self._parts = _ffi.new("struct iovec[4]")  # xcb writes before the two that it is given
        self._form = _ffi.new("xcb_protocol_request_t *", {"count": 2})

    def send(self, opcode: int, minor: int, body: bytes, *, has_reply: bool = True) -> int:
        """Send a request, `minor` being its second byte; its number, by which `reply` waits for the reply."""
        request = struct.pack("=BB2x", opcode, minor) + body  # xcb fills in the length
        data = _ffi.new("char[]", request)
        parts, form = self._parts, self._form
        parts[2].iov_base, parts[2].iov_len = data, len(request)
        parts[3].iov_base, parts[3].iov_len = _ffi.NULL, -len(request) & 3
        form.opcode, form.isvoid = opcode, not has_reply
        sequence = int(_xcb.xcb_send_request(self.handle, _CHECKED, parts + 2, form))
        self._check()
        return sequence

    def reply(self, sequence: int) -> bytes:
        """The reply to a request. Raises `Refused` for an error."""
        reply = _xcb.xcb_wait_for_reply(self.handle, sequence, self._error)
        if reply:
            words = _ffi.cast("xcb_generic_reply_t *", reply).length
            data = bytes(_ffi.buffer(reply, _REPLY_BYTES + 4 * words))
            _c.free(reply)
            return data
        if self._error[0]:
            _refuse(self._error[0])
        raise _lost()

    def _check(self) -> None:
        if _xcb.xcb_connection_has_error(self.handle):
            raise _lost()


class Connection(Requests):
    """A connection to a display, `$DISPLAY` if it is empty. Raises `SourceUnavailableError` if there is none."""

    def __init__(self, display: str = "") -> None:
        display = display or os.environ.get("DISPLAY", "")
        if not display:
            raise SourceUnavailableError("DISPLAY is not set: record inside an X11 session, or name a display")
        try:
            self._xcffib: Any = connect(display)
        except xcffib.ConnectionException as error:
            raise SourceUnavailableError(
                f"cannot connect to the X server {display}: is it running, and may you use it (xauth)?"
            ) from error
        super().__init__(self._xcffib._conn)
        screen = self._xcffib.get_setup().roots[self._xcffib.pref_screen]
        self.root: int = screen.root
        self.width_px: int = screen.width_in_pixels
        self.height_px: int = screen.height_in_pixels

    def close(self) -> None:
        """Let the connection go. Again does nothing."""
        self._xcffib.disconnect()
        self.handle = None

    def fileno(self) -> int:
        """The descriptor to wait at. Events may have been read already: look at `events` before."""
        return int(_xcb.xcb_get_file_descriptor(self.handle))

    def events(self) -> Iterator[bytes]:
        """The events that are there, without waiting."""
        while event := _xcb.xcb_poll_for_event(self.handle):
            yield _bytes_of(event)
            yield from self.queued()
        self._check()

    def queued(self) -> Iterator[bytes]:
        """The events that came with the last reply or before it; reads nothing from the server."""
        while event := _more.xcb_poll_for_queued_event(self.handle):
            yield _bytes_of(event)

    def ask(self, opcode: int, minor: int = 0, body: bytes = b"") -> bytes:
        """The reply to a request, as the protocol has it. Raises `Refused` for an error."""
        return self.reply(self.send(opcode, minor, body))

    def tell(self, opcode: int, minor: int = 0, body: bytes = b"") -> None:
        """A request that has no reply, and is done when this returns. Raises `Refused` for an error."""
        cookie = _ffi.new("xcb_void_cookie_t *", {"sequence": self.send(opcode, minor, body, has_reply=False)})
        error = _xcb.xcb_request_check(self.handle, cookie[0])
        if error:
            _refuse(error)
        self._check()

    def query_pointer(self) -> tuple[int, int, int]:
        """Where the pointer is on the root window, px, and the number of the request (`raw.precedes`)."""
        sequence = self.send(_QUERY_POINTER, 0, struct.pack("=I", self.root))
        x, y = struct.unpack_from("=hh", self.reply(sequence), 16)
        return x, y, sequence

    def extension(self, name: str) -> tuple[int, int] | None:
        """The opcode and the number of the first event of an extension; None if the server does not have it."""
        body = struct.pack("=H2x", len(name)) + name.encode()
        is_there, opcode, event = struct.unpack_from("=BBB", self.ask(_QUERY_EXTENSION, 0, body), 8)
        return (opcode, event) if is_there else None


def _bytes_of(event: Any) -> bytes:
    more = 4 * event.pad[0] if event.response_type & 0x7F == GENERIC_EVENT else 0
    data = bytes(_ffi.buffer(event, EVENT_BYTES + more))
    _c.free(event)
    return data


def _refuse(error: Any) -> None:
    code, opcode, minor = error.error_code, error.major_code, error.minor_code
    _c.free(error)
    raise Refused(f"the X server answered request {opcode}.{minor} with error {code}")


def _lost() -> SourceLostError:
    return SourceLostError("the connection to the X server has ended")
