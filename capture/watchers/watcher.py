"""What all watchers do: listen on one bus in a thread of their own, come back when the bus does, end when told to."""

from __future__ import annotations

import contextlib
import threading
import time
from abc import ABC, abstractmethod

from taskreel.capture.watchers.buses import Bus, BusError, CallError, Signal

RETRY_S = 5.0
"""How long after a bus was lost, or was not there, it is tried again."""

NEVER_S = float("inf")


class BusWatcher(ABC):
    """Watches one thing on one bus. All hooks are called in the watcher's own thread.

    `absence` says why nothing is watched now, for a person; it is empty while all is well.
    """

    name: str
    """Short and stable, such as `logind`."""

    def __init__(self) -> None:
        self.absence = "not started"
        self.due_s = NEVER_S
        """When `due` is to be called if nothing is heard before (`time.monotonic`)."""
        self._bus: Bus | None = None
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._tried = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"taskreel-{self.name}", daemon=True)

    @abstractmethod
    def connect(self) -> Bus:
        """A new connection to the bus. Raises `BusError`."""

    @abstractmethod
    def begin(self, bus: Bus) -> str:
        """Say what is to be heard, and ask how things are; what cannot be watched and why, empty if all can.

        Raises `BusError` or `CallError` if nothing can.
        """

    def heard(self, bus: Bus, signal: Signal) -> None:  # noqa: B027
        """A signal: one of those that `begin` asked for, or one that the bus sends to each (`NameAcquired`)."""

    def due(self, bus: Bus) -> None:  # noqa: B027
        """`due_s` has come."""

    def end(self) -> None:  # noqa: B027
        """The watcher was stopped: put back what was changed. Must take less than 100 ms."""

    def start(self) -> None:
        """Begin to watch. Returns at once."""
        self._thread.start()

    def wait(self, limit_s: float) -> None:
        """Wait until it is known whether there is something to watch."""
        if not self._tried.wait(limit_s):
            self.absence = f"no answer after {limit_s:g} s"

    def stop(self) -> None:
        """Make the thread end soon. From any thread, more than once."""
        self._stopping.set()
        with self._lock:
            if self._bus:
                self._bus.hang_up()

    def join(self, limit_s: float) -> None:
        """Wait until the thread has ended."""
        if self._thread.ident is not None:
            self._thread.join(limit_s)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._watch()
            except (BusError, CallError) as error:
                self.absence = str(error)
            except Exception as error:  # an answer of a form that nobody foresaw must not end the watch for good
                self.absence = f"not understood ({type(error).__name__})"
            self._tried.set()
            self._stopping.wait(RETRY_S)
        self.end()

    def _watch(self) -> None:
        bus = self.connect()
        try:
            with self._lock:
                if self._stopping.is_set():
                    return
                self._bus = bus
            self.due_s = NEVER_S
            self.absence = self.begin(bus)
            self._tried.set()
            self._listen(bus)
        finally:
            with self._lock:
                self._bus = None
            bus.close()

    def _listen(self, bus: Bus) -> None:
        while not self._stopping.is_set():
            signal = bus.receive(self.due_s)
            if time.monotonic() >= self.due_s:
                self.due_s = NEVER_S
                self.due(bus)
            if signal:
                self._hear(bus, signal)

    def _hear(self, bus: Bus, signal: Signal) -> None:
        # Anyone may send a signal of any form: that must not end the watch.
        with contextlib.suppress(LookupError, TypeError, ValueError, AttributeError):
            self.heard(bus, signal)
