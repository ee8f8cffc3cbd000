"""A password's field has the focus: what toolkits say over AT-SPI2.

Toolkits tell of each change of focus, and are asked for the role of the widget that has it. The answer decides: it
mostly comes within a few milliseconds, while events are held for `HOLD_US`, so nothing is withheld before it is known,
and the Tab key that left another field is kept. If it takes longer than `PATIENCE_S`, keys are withheld until it comes.

What it does not see: prompts in terminals; programs without accessibility; programs that look at the session's setting
only when they start and were started before the watcher switched it on (Qt 5, Chromium, Electron: start them after, or
keep it on for good); and the first keys in a program so busy that it tells of the focus 100 ms late.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping

from taskreel.capture.sources.guards import Guard
from taskreel.capture.sources.protocol import monotonic_us
from taskreel.capture.watchers import accessibles
from taskreel.capture.watchers.accessibles import Accessible
from taskreel.capture.watchers.buses import Bus, BusError, CallError, Signal
from taskreel.capture.watchers.watcher import NEVER_S, BusWatcher

PATIENCE_S = 0.05
"""How long the answer may take before keys are withheld: half of what events are held for."""

_SEARCH_S = 0.5
_SEARCHES, _SEARCH_AGAIN_S = 5, 1.0
"""Toolkits that learn only now that they shall tell need a moment until they can be asked."""

_OBJECT, _WINDOW = "org.a11y.atspi.Event.Object", "org.a11y.atspi.Event.Window"
_BUS = "org.freedesktop.DBus"


class PasswordWatcher(BusWatcher):
    """Switches a guard on while the widget with the focus is a password's field, or does not say what it is."""

    name = "passwords"

    def __init__(self, guard: Guard, environ: Mapping[str, str]) -> None:
        super().__init__()
        self._guard, self._environ = guard, environ
        self._toolkits = accessibles.ToolkitSwitch(environ)
        self.focused: Accessible | None = None
        """The widget that has the focus, as far as is known."""
        self._since_us = 0
        """When the news came that it has the focus."""
        self._is_asking = False
        self._searches_left = 0

    def connect(self) -> Bus:
        """The accessibility bus."""
        return accessibles.connect(self._environ)

    def begin(self, bus: Bus) -> str:
        """Have toolkits tell of the focus, and find out where it is."""
        bus.listen(interface=_OBJECT, member="StateChanged", arg0="focused")
        bus.listen(interface=_WINDOW, member="Deactivate")
        bus.listen(interface=_BUS, member="NameOwnerChanged")
        # Qt tells of windows that are left only to those who ask for windows that are entered, too.
        accessibles.register(bus, "object:state-changed:focused", "window:activate", "window:deactivate")
        self.focused = None
        with contextlib.suppress(BusError, CallError):  # without it GTK tells all the same
            self._toolkits.switch_on()
        self._searches_left = _SEARCHES
        self._search(bus)
        return ""

    def heard(self, bus: Bus, signal: Signal) -> None:
        """Follow the focus."""
        widget = Accessible(signal.sender, signal.path)
        match signal.member:
            case "StateChanged" if signal.body[1]:
                self._gained(bus, widget)
            case "StateChanged" if widget == self.focused:
                self._left()
            case "Deactivate" if self.focused and signal.sender == self.focused.program:
                self._left()  # Qt does not say that the widget lost the focus when another program's window gets it
            case "NameOwnerChanged" if self.focused and signal.body[0] == self.focused.program:
                self._left()

    def due(self, bus: Bus) -> None:
        """The answer takes too long; or it is time to search once more."""
        if self._is_asking:
            self._guard.switch(True, self._since_us)
        elif self._searches_left:
            self._search(bus)

    def end(self) -> None:
        """Put the setting of the toolkits back."""
        with contextlib.suppress(BusError, CallError):
            self._toolkits.put_back()

    def _search(self, bus: Bus) -> None:
        self._searches_left -= 1
        if widget := accessibles.find_focused(bus, _SEARCH_S):
            self._gained(bus, widget)
        elif self._searches_left:
            self.due_s = time.monotonic() + _SEARCH_AGAIN_S
        else:  # of a bus that was lost the guard may be on
            self._guard.switch(False, monotonic_us())

    def _gained(self, bus: Bus, widget: Accessible) -> None:
        if widget == self.focused:
            return  # GTK says it twice
        self.focused, self._since_us, self._is_asking = widget, monotonic_us(), True
        self._searches_left = 0
        self.due_s = time.monotonic() + PATIENCE_S
        bus.ask(widget.remote(), "GetRole", answered=lambda answer: self._answered(widget, answer))

    def _answered(self, widget: Accessible, answer: tuple[object, ...] | None) -> None:
        if widget == self.focused:
            self._is_asking, self.due_s = False, NEVER_S
            is_password = accessibles.is_password(answer)
            self._guard.switch(is_password, self._since_us if is_password else monotonic_us())

    def _left(self) -> None:
        self.focused, self._is_asking, self.due_s = None, False, NEVER_S
        self._guard.switch(False, monotonic_us())
