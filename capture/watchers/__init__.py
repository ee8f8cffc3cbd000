"""Watchers of what must never be kept: each switches a guard by what it hears on a message bus.

session         whether the person is at this session: the value that the recorder asks
locks           the screen is locked, another user has it, the computer sleeps (logind and screen lockers)
passwords       a password's field has the focus (AT-SPI2)
input_methods   an input method is active (IBus, Fcitx 5)
accessibles     the accessibility bus, its roles, states and tree
watcher         a thread that listens on one bus, and comes back when the bus does
buses           a connection to a bus
addresses       where the buses are
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from taskreel.capture.settings import Settings
from taskreel.capture.sources.guards import Guard, Withholds
from taskreel.capture.watchers.session import Causes, Session

if TYPE_CHECKING:
    from taskreel.capture.watchers.watcher import BusWatcher

_START_S, _STOP_S = 2.0, 0.2


class Watchers:
    """All watchers of a recorder, from `start` to `stop`; used once. Never raises when a bus or program is not there.

    `session` tells the recorder when to end a recording: the screen is locked, another user has it, the computer
    sleeps. It goes on to watch meanwhile, so that the recorder knows when to begin another one.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        changed: Callable[[], None] = lambda: None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """`changed` is called, from a watcher's thread, when `session` changed; `environ` says where the buses are."""
        self.session = Session(changed)
        self._passwords = Guard("password", Withholds.KEYS)
        self._input_methods = Causes(Guard("ime", Withholds.TEXT))
        self._settings, self._environ = settings, environ
        self._watchers: list[BusWatcher] = []
        self._missing = "not started"

    def start(self) -> list[Guard]:
        """Begin to watch; the guards, which are right once this returns (in 2 s at most)."""
        try:
            self._watchers, self._missing = self._make(), ""
        except ImportError:
            self._missing = "the library jeepney is missing: pip install 'taskreel[capture]'"
        for watcher in self._watchers:
            watcher.start()
        until_s = time.monotonic() + _START_S
        for watcher in self._watchers:
            watcher.wait(max(0.0, until_s - time.monotonic()))
        return [self.session.guard, self._passwords, self._input_methods.guard]

    @property
    def absent(self) -> dict[str, str]:
        """What is not watched now, and why."""
        if self._missing:
            return {"buses": self._missing}
        return {watcher.name: watcher.absence for watcher in self._watchers if watcher.absence}

    def stop(self) -> None:
        """End all watchers, within 200 ms. More than once if need be."""
        for watcher in self._watchers:
            watcher.stop()
        until_s = time.monotonic() + _STOP_S
        for watcher in self._watchers:
            watcher.join(max(0.0, until_s - time.monotonic()))

    def _make(self) -> list[BusWatcher]:
        from taskreel.capture.watchers.input_methods import FcitxWatcher, IbusWatcher
        from taskreel.capture.watchers.locks import LockerWatcher, LogindWatcher
        from taskreel.capture.watchers.passwords import PasswordWatcher

        return [
            LogindWatcher(self.session, self._environ),
            LockerWatcher(self.session, self._environ),
            PasswordWatcher(self._passwords, self._environ),
            IbusWatcher(self._input_methods, self._environ, self._settings.display),
            FcitxWatcher(self._input_methods, self._environ),
        ]
