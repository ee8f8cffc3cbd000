"""A private message bus for tests, and small programs on it that play a desktop's.

with PrivateBus() as bus, Program(bus.address, "org.gnome.ScreenSaver") as locker:
    locker.answers["GetActive"] = ("b", (True,))
    locker.emit("/org/gnome/ScreenSaver", "org.gnome.ScreenSaver", "ActiveChanged", "b", True)
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from jeepney import (
    DBusAddress,
    DBusNameFlags,
    HeaderFields,
    MessageType,
    message_bus,
    new_error,
    new_method_return,
    new_signal,
)
from jeepney.io.blocking import open_dbus_connection
from x_server import end

_LIMIT_S = 20


class PrivateBus:
    """A `dbus-daemon` with its own home, which ends with all that it started."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = dict(os.environ if environ is None else environ)
        self.address = ""
        self.environ: dict[str, str] = {}

    def __enter__(self) -> PrivateBus:
        self._home = tempfile.TemporaryDirectory(prefix="bus")
        home = self._home.name
        variables = ("HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME")
        self.environ = self._environ | dict.fromkeys(variables, home)
        self.environ.pop("DBUS_SESSION_BUS_ADDRESS", None)
        reading, writing = os.pipe()
        self._process = subprocess.Popen(
            ["dbus-daemon", "--session", "--nofork", "--print-address", str(writing)],
            env=self.environ,
            pass_fds=(writing,),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(writing)
        try:
            self.address = _line(reading)
        finally:
            os.close(reading)
        self.environ["DBUS_SESSION_BUS_ADDRESS"] = self.address
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        with contextlib.suppress(OSError):  # what the bus started may still be writing there
            self._home.cleanup()

    def end(self) -> None:
        """End the bus."""
        end(self._process)

    @property
    def home(self) -> Path:
        return Path(self._home.name)


class Program:
    """A program that owns a name on a bus, answers calls by `answers` and notes them in `calls`.

    `answers` maps a method to (signature, values), or `Interface.property` to what `Properties.Get` returns. A method
    in `silent` is never answered.
    """

    def __init__(self, address: str, *names: str) -> None:
        self.answers: dict[str, tuple[str, tuple[Any, ...]]] = {}
        self.silent: set[str] = set()
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self._lock = threading.Lock()
        self._connection = open_dbus_connection(address)
        self.unique_name = self._connection.unique_name
        for name in names:
            self._connection.send_and_get_reply(_request(name), timeout=_LIMIT_S)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Program:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(_LIMIT_S)
        self._connection.close()

    def own(self, name: str) -> None:
        """Own one more name, soon."""
        self._send(_request(name))

    def emit(self, path: str, interface: str, member: str, signature: str, *values: Any) -> None:
        self._send(new_signal(DBusAddress(path, interface=interface), member, signature or None, values))

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                message = self._connection.receive()
                if message.header.message_type is MessageType.method_call:
                    self._answer(message)

    def _answer(self, call: Any) -> None:
        member = call.header.fields[HeaderFields.member]
        self.calls.append((member, call.body))
        key = f"{call.body[0]}.{call.body[1]}" if member in ("Get", "Set") else member
        if key in self.silent:
            return
        if key in self.answers:
            signature, values = self.answers[key]
            if member == "Get":
                signature, values = "v", ((signature, values[0]),)
            self._send(new_method_return(call, signature or None, values))
        else:
            self._send(new_error(call, "org.freedesktop.DBus.Error.UnknownMethod"))

    def _send(self, message: Any) -> None:
        with self._lock:
            self._connection.send(message)


def _request(name: str) -> Any:
    """Take a name, also from a program of an earlier test that is just going."""
    return message_bus.RequestName(name, DBusNameFlags.allow_replacement | DBusNameFlags.replace_existing)


def _line(descriptor: int) -> str:
    ready, _, _ = select.select([descriptor], [], [], _LIMIT_S)
    data = os.read(descriptor, 4096) if ready else b""
    if not data.endswith(b"\n"):
        raise RuntimeError("dbus-daemon did not start: is the package dbus installed?")
    return data.decode().strip()
