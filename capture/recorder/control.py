"""Commands to a running recorder, by a UNIX socket in its spool: one JSON object a line, one for the answer.

Only the same user may speak: the socket has mode 0600, and the kernel says who is at the other end (SO_PEERCRED).
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import selectors
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SOCKET = "control.sock"
_LONGEST_REQUEST_BYTES = 1 << 16
_PATIENCE_S = 30.0


class NotRunningError(Exception):
    """No recorder runs in this spool."""


@dataclass
class Request:
    """A command that waits for its answer."""

    command: str
    arguments: dict[str, Any]
    _answered: threading.Event = field(default_factory=threading.Event)
    _answer: dict[str, Any] = field(default_factory=dict)

    def answer(self, **answer: Any) -> None:
        """Answer it, once."""
        self._answer = answer
        self._answered.set()

    def wait(self) -> dict[str, Any]:
        """The answer; an error if none comes."""
        if not self._answered.wait(_PATIENCE_S):
            return {"error": "the recorder did not answer"}
        return self._answer


class ControlServer:
    """Listens in a thread; requests wait in `requests` for the recorder's own thread."""

    def __init__(self, spool: Path) -> None:
        self.requests: queue.Queue[Request] = queue.Queue()
        self._path = spool / SOCKET
        self._socket = socket.socket(socket.AF_UNIX)
        silent = self._path.with_suffix(".new")  # until it listens
        silent.unlink(missing_ok=True)
        with _address(silent) as address:
            self._socket.bind(address)
        os.chmod(silent, 0o600)
        self._socket.listen(8)
        silent.replace(self._path)
        self._waker, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening and remove the socket."""
        self._waker.close()
        self._thread.join(5)
        self._path.unlink(missing_ok=True)

    def _serve(self) -> None:
        with self._socket, self._woken, selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if self._woken in ready:
                    return
                with contextlib.suppress(OSError):
                    connection, _ = self._socket.accept()
                    threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            connection.settimeout(_PATIENCE_S)
            if _uid_of(connection) not in (os.getuid(), 0):
                return
            values = json.loads(_line(connection))
            request = Request(str(values.pop("command")), values)
            self.requests.put(request)
            connection.sendall(json.dumps(request.wait()).encode() + b"\n")


def ask(spool: Path, command: str, **arguments: Any) -> dict[str, Any]:
    """Send a command to the recorder of a spool; its answer. Raises `NotRunningError`."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_PATIENCE_S + 5)
            with _address(spool / SOCKET) as address:
                connection.connect(address)
            connection.sendall(json.dumps({"command": command} | arguments).encode() + b"\n")
            return dict(json.loads(_line(connection)))
    except (FileNotFoundError, ConnectionError) as error:
        raise NotRunningError(f"no recorder runs in {spool}: start one by `taskreel capture start`") from error
    except (TimeoutError, ValueError) as error:
        raise NotRunningError(f"the recorder in {spool} does not answer") from error


def _line(connection: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n") and len(data) < _LONGEST_REQUEST_BYTES:
        part = connection.recv(4096)
        if not part:
            break
        data += part
    return data


def _uid_of(connection: socket.socket) -> int:
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(uid)


@contextlib.contextmanager
def _address(path: Path) -> Iterator[str]:
    """The path in few characters: a socket's may have 107."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
