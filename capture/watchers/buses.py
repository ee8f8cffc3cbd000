"""A connection to a message bus for one thread: signals in their order, calls that wait and questions that do not."""

from __future__ import annotations

import contextlib
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jeepney import (
    AuthenticationError,
    DBusAddress,
    HeaderFields,
    Message,
    MessageFlag,
    MessageType,
    message_bus,
    new_method_call,
)
from jeepney.io.blocking import open_dbus_connection

CALL_LIMIT_S = 2.0
"""How long a call waits for its answer."""


class BusError(RuntimeError):
    """The bus is not there, or is gone. The message says which and what to do."""


class CallError(RuntimeError):
    """A call was refused, or not answered in time."""


@dataclass(frozen=True)
class Remote:
    """An interface of an object of a program on the bus."""

    name: str
    path: str
    interface: str


@dataclass(frozen=True)
class Signal:
    """A signal that was heard."""

    sender: str
    path: str
    interface: str
    member: str
    body: tuple[Any, ...]


Answered = Callable[[tuple[Any, ...] | None], None]
"""Called with the answer's values, or None if there is none: the program refused, or is gone."""


class Bus:
    """A connection to a bus. Only `hang_up` may be called from another thread. Raises `BusError` if the bus is lost."""

    def __init__(self, address: str, what: str) -> None:
        """Connect; `what` names the bus in errors."""
        self._what = what
        self._signals: deque[Signal] = deque()
        self._waiting: dict[int, Answered] = {}
        if not address:
            raise BusError(f"no {what}: nothing in the environment says where it is")
        try:
            self._connection = open_dbus_connection(address)
        except (OSError, RuntimeError, ValueError, AuthenticationError) as error:
            raise BusError(f"no {what} at {address}: {error}") from None

    def listen(self, **rule: str) -> None:
        """Hear the signals that a match rule selects (`interface`, `member`, `path`, `arg0`)."""
        terms = ["type='signal'", *(f"{key}='{value}'" for key, value in rule.items())]
        self._send(message_bus.AddMatch(",".join(terms)), lambda _: None)

    def call(
        self,
        to: Remote,
        method: str,
        signature: str = "",
        *body: Any,
        limit_s: float = CALL_LIMIT_S,
        may_start: bool = False,
    ) -> Any:
        """The values that a method returns; signals that come meanwhile are kept. Raises `CallError`.

        Only with `may_start` the bus starts the program that is called, if it does not run.
        """
        answers: list[tuple[Any, ...] | None] = []
        self._send(_call(to, method, signature, body, may_start), answers.append)
        until_s = time.monotonic() + limit_s
        while not answers:
            if time.monotonic() > until_s:
                raise CallError(f"{to.name} did not answer {method} in {limit_s:g} s")
            self._take_message(until_s)
        if answers[0] is None:
            raise CallError(f"{to.name} does not run, or refused {method}")
        return answers[0]

    def ask(self, to: Remote, method: str, *, answered: Answered) -> None:
        """Call a method without waiting: `answered` is called while something is received."""
        self._send(_call(to, method, "", (), False), answered)

    def property(self, of: Remote, name: str) -> Any:
        """The value of a property. Raises `CallError`."""
        properties = Remote(of.name, of.path, "org.freedesktop.DBus.Properties")
        (_, value), *_ = self.call(properties, "Get", "ss", of.interface, name)
        return value

    def set_property(self, of: Remote, name: str, signature: str, value: Any) -> None:
        """Set a property. Raises `CallError`."""
        properties = Remote(of.name, of.path, "org.freedesktop.DBus.Properties")
        self.call(properties, "Set", "ssv", of.interface, name, (signature, value))

    def receive(self, until_s: float) -> Signal | None:
        """The next signal; None if none comes before a time (`time.monotonic`, may be infinite)."""
        while not self._signals:
            if not self._take_message(until_s):
                return None
        return self._signals.popleft()

    def has_heard(self, member: str) -> bool:
        """Whether a signal with this name waits to be received."""
        return any(signal.member == member for signal in self._signals)

    def hang_up(self) -> None:
        """Make whoever waits on this bus fail with `BusError` at once. From any thread."""
        with contextlib.suppress(OSError):
            self._connection.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let the connection go."""
        self._connection.close()

    def _send(self, message: Message, answered: Answered) -> None:
        serial = next(self._connection.outgoing_serial)
        self._waiting[serial] = answered
        try:
            self._connection.send(message, serial)
        except OSError as error:
            raise self._lost(error) from None

    def _take_message(self, until_s: float) -> bool:
        """Wait for a message and sort it; False if none came in time."""
        left_s = None if until_s == float("inf") else max(0.0, until_s - time.monotonic())
        try:
            message = self._connection.receive(timeout=left_s)
        except TimeoutError:
            return False
        except OSError as error:
            raise self._lost(error) from None
        fields = message.header.fields
        if message.header.message_type is MessageType.signal:
            self._signals.append(
                Signal(
                    fields.get(HeaderFields.sender, ""),
                    fields[HeaderFields.path],
                    fields[HeaderFields.interface],
                    fields[HeaderFields.member],
                    message.body,
                )
            )
        elif answered := self._waiting.pop(fields.get(HeaderFields.reply_serial, 0), None):
            answered(message.body if message.header.message_type is MessageType.method_return else None)
        return True

    def _lost(self, error: OSError) -> BusError:
        return BusError(f"the {self._what} is gone: {error.strerror or error}")


def _call(to: Remote, method: str, signature: str, body: tuple[Any, ...], may_start: bool) -> Message:
    message = new_method_call(DBusAddress(to.path, to.name, to.interface), method, signature or None, body)
    if not may_start:
        message.header.flags |= MessageFlag.no_auto_start
    return message
