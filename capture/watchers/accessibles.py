"""The accessibility bus (AT-SPI2): its address, roles and states, and which widget has the focus.

Source: AT-SPI2's `atspi-constants.h` and its interfaces `org.a11y.atspi.Accessible` and `org.a11y.atspi.Registry`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from taskreel.capture.watchers.addresses import session_bus
from taskreel.capture.watchers.buses import Bus, BusError, CallError, Remote

ROLE_PASSWORD_TEXT = 40
_STATE_ACTIVE, _STATE_FOCUSED = 1, 12

_LAUNCHER = "org.a11y.Bus"
_ACCESSIBLE = "org.a11y.atspi.Accessible"
_REGISTRY = "org.a11y.atspi.Registry"
_ROOT_PATH = "/org/a11y/atspi/accessible/root"
_SEARCH_CALL_S = 0.1
_REMEDY = "install the package at-spi2-core, and start taskreel from the desktop"


class Accessible(NamedTuple):
    """A widget: its program's name on the bus and its path there."""

    program: str
    path: str

    def remote(self) -> Remote:
        """Its interface with role, states and children."""
        return Remote(self.program, self.path, _ACCESSIBLE)


def connect(environ: Mapping[str, str]) -> Bus:
    """A connection to the accessibility bus, which is started if need be. Raises `BusError`."""
    return Bus(environ.get("AT_SPI_BUS_ADDRESS") or _address(environ), "accessibility bus")


def register(bus: Bus, *events: str) -> None:
    """Have programs send these events. Raises `CallError` if there is no registry."""
    registry = Remote(_REGISTRY, "/org/a11y/atspi/registry", _REGISTRY)
    for event in events:
        bus.call(registry, "RegisterEvent", "sass", event, [], "", may_start=True)


def is_password(answer: tuple[object, ...] | None) -> bool:
    """Whether an answer to `GetRole` says that it is a password's field."""
    return bool(answer) and answer[0] == ROLE_PASSWORD_TEXT  # type: ignore[index]


def find_focused(bus: Bus, limit_s: float) -> Accessible | None:
    """The widget with the focus, searched in the windows that are active; None if it is not found in time.

    News of the focus (`StateChanged`) ends the search: they say more, and must not wait.
    """
    until_s = time.monotonic() + limit_s
    waiting: list[Accessible] = []
    for program in _children(bus, Accessible(_REGISTRY, _ROOT_PATH)):
        if time.monotonic() > until_s:
            return None
        waiting += [window for window in _children(bus, program) if _STATE_ACTIVE in _states(bus, window)]
    while waiting and time.monotonic() < until_s and not bus.has_heard("StateChanged"):
        widget = waiting.pop()
        if _STATE_FOCUSED in _states(bus, widget):
            return widget
        waiting += _children(bus, widget)
    return None


class ToolkitSwitch:
    """The session's setting `org.a11y.Status.IsEnabled`, switched on while it is needed, as screen readers do.

    Qt tells nothing without it, and Qt 5 looks at it only when a program starts (tried). It is the person's own setting
    and kept by the desktop: it is put back if it was off, unless a screen reader has come meanwhile. A recorder that
    was killed leaves it on, which costs programs a little work.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._was_off = False

    def switch_on(self) -> None:
        """Switch it on. Raises `BusError` or `CallError`."""
        with _Launcher(self._environ) as launcher:
            if not launcher.bus.property(launcher.status, "IsEnabled"):
                launcher.bus.set_property(launcher.status, "IsEnabled", "b", True)
                self._was_off = True

    def put_back(self) -> None:
        """Leave it as it was found. Raises `BusError` or `CallError`."""
        if self._was_off:
            self._was_off = False
            with _Launcher(self._environ) as launcher:
                if not launcher.bus.property(launcher.status, "ScreenReaderEnabled"):
                    launcher.bus.set_property(launcher.status, "IsEnabled", "b", False)


class _Launcher:
    """The program on the session bus that starts the accessibility bus."""

    status = Remote(_LAUNCHER, "/org/a11y/bus", "org.a11y.Status")

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.bus = Bus(session_bus(environ), "session bus")

    def __enter__(self) -> _Launcher:
        return self

    def __exit__(self, *_: object) -> None:
        self.bus.close()


def _address(environ: Mapping[str, str]) -> str:
    with _Launcher(environ) as launcher:
        try:
            bus = Remote(_LAUNCHER, "/org/a11y/bus", _LAUNCHER)
            (address,) = launcher.bus.call(bus, "GetAddress", may_start=True)
        except CallError as error:
            raise BusError(f"no accessibility bus ({error}): {_REMEDY}") from None
        return str(address)


def _children(bus: Bus, of: Accessible) -> Iterator[Accessible]:
    try:
        (children,) = bus.call(of.remote(), "GetChildren", limit_s=_SEARCH_CALL_S)
    except CallError:
        return
    yield from (Accessible(*child) for child in children)


def _states(bus: Bus, of: Accessible) -> set[int]:
    try:
        (words,) = bus.call(of.remote(), "GetState", limit_s=_SEARCH_CALL_S)
    except CallError:
        return set()
    return {32 * place + bit for place, word in enumerate(words) for bit in range(32) if word >> bit & 1}
