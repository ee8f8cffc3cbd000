"""What the input source asks of the windows: who has the focus, and what must not be kept."""

from __future__ import annotations

import os
import select
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from taskreel.capture.settings import Settings
from taskreel.capture.sources.guards import Guard, Withholds
from taskreel.capture.sources.protocol import Event, monotonic_us
from taskreel.capture.sources.x11.exclusion import EXCLUDED, Exclusion
from taskreel.capture.sources.x11.focus import Focus
from taskreel.capture.sources.x11.grabs import KEYBOARD_GRAB, KeyboardGrabs
from taskreel.capture.sources.x11.monitors import Monitors, as_text
from taskreel.capture.sources.x11.popups import owner
from taskreel.capture.sources.x11.server import Server, tells_loss
from taskreel.capture.sources.x11.stacking import Stack, TopLevel
from taskreel.io.kinds import Flag, Kind, Screen

_SETTLES_US = 200_000
"""A window that was clicked gets the focus within this time, or it does not want it, as a panel."""
_SAME_CLOCK_US = 1_000_000
"""A server whose time differs more from ours is on another machine."""
_MOST_ROUNDS = 8


@dataclass(frozen=True, slots=True)
class _Told:
    """What a focus event says of a window: nothing, if it is not known or must not be kept."""

    window: int = 0
    app: str | None = None
    title: str | None = None


class Windows:
    """The windows and monitors of an X server, watched on a connection of its own. Implements `Desktop`.

    Used from one thread. Windows may vanish at any time; nothing is remembered of them then. `SourceLostError` once the
    server has ended.

    The guard `excluded` withholds keys from before the news that an excluded window has the focus until the news that
    another has it: so keys that are read late are judged by the window that they went to.
    """

    def __init__(self, settings: Settings) -> None:
        self._display = settings.display
        self._exclusion = Exclusion(settings.excluded_apps, settings.excluded_titles)
        self._guard = Guard(EXCLUDED, Withholds.KEYS)
        self._reasons: dict[int, str] = {}
        self._judged = -1  # the stack's generation that `_reasons` is of
        self._kept_out: list[TopLevel] = []  # the windows that have a reason
        self._placed = (-1, -1)  # what those are of
        self._active = 0  # the client that has the focus,
        self._present = _Told()  # as it would be told,
        self._told: _Told | None = None  # and what was told last,
        self._told_us = 0  # as of when
        self._before_press = _Told()
        self._settled_us = 0
        self._screen: Screen | None = None
        self._server: Server | None = None
        self._handles = ExitStack()

    def open(self) -> Screen:
        """Connect; the geometry. Raises `SourceUnavailableError`."""
        server = self._server = Server(self._display, has_quiet=True)
        self._handles.callback(server.close)
        self._stack = Stack(server)
        self._focus = Focus(server, self._stack)
        self._grabs = KeyboardGrabs(server)
        self._monitors = Monitors(server)
        # An answer brings events with it that leave the connection's descriptor silent: then `_wake` is written to.
        self._wake = os.eventfd(1, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._handles.callback(os.close, self._wake)
        self._urgent = self._waiting(self._wake, server.fileno())
        self._any = self._waiting(self._wake, server.fileno(), server.quiet_fileno())
        return self._monitors.screen()

    def fileno(self) -> int:
        """To wait for news: readable until `update` has taken them."""
        return self._any.fileno()

    def urgent_fileno(self) -> int:
        """The same, but programs may tell anything of themselves, such as their titles, without it being readable."""
        return self._urgent.fileno()

    def _waiting(self, *descriptors: int) -> select.epoll:
        """Readable when one of some descriptors is."""
        waiting = self._handles.enter_context(select.epoll())
        for descriptor in descriptors:
            waiting.register(descriptor, select.EPOLLIN)
        return waiting

    @tells_loss
    def update(self) -> list[Event]:
        """Take the news that is there, without blocking; focus and geometry events that follow from it.

        The first call states the geometry and the focus, flagged `Flag.RESTATED`.
        """
        self._sleep()
        restated = Flag.RESTATED if self._told is None else Flag(0)
        events: list[Event] = []
        for _ in range(_MOST_ROUNDS):
            events += self._catch_up()
            if not self._connected.take_news():
                break
        else:
            self._stay_awake()
        for event in events:
            event.flags |= restated
        return events

    @tells_loss
    def key_reason(self) -> str | None:
        """Why keys must not be kept now; asked at each key, after `update`. It asks the server, once (60 µs).

        `excluded` and `own`: by the window that is active and the one that gets the keys. `keyboard_grab`: another
        program has the keyboard for itself.
        """
        grab, focus = self._connected.exchange(self._grabs.ask(), self._focus.ask_input())
        is_grabbed = self._grabs.learn(grab)
        self._look_again()
        reason = self._reason_of_focus(self._focus.said(focus))
        self._look_again()
        return reason or (KEYBOARD_GRAB if is_grabbed else None)

    @tells_loss
    def pointer_reason(self, x_px: int, y_px: int) -> str | None:
        """Why pointer events at a place must not be kept (`excluded`, `own`): by the topmost window there.

        Asks the server only if there is a window at this place that must not be kept.
        """
        if not self._is_in_reach(x_px, y_px):
            return None
        top = self._stack.at(x_px, y_px)
        self._judge()
        self._look_again()
        return self._reasons.get(top.client.id) if top is not None else None

    @tells_loss
    def at_press(self, x_px: int, y_px: int) -> list[Event]:
        """The news, and what to put before a press of a button at a place: another window is there than was told last.

        The caller gives all of it the time of the press, if that is earlier: a press often makes the news. A popup
        stands for the window to which it belongs. If the window does not take the focus, `update` tells the one that
        has it, 200 ms later or more.
        """
        events = self.update()
        top = self._stack.at(x_px, y_px)
        self._judge()
        told = self._pressed(top)
        self._look_again()
        if told is None or told == self._told:
            return events
        self._before_press, self._settled_us = self._present, monotonic_us() + _SETTLES_US
        return [*events, self._tell(told, monotonic_us())]

    def guards(self) -> Sequence[Guard]:
        """The guards that it switches: `keyboard_grab` and `excluded`. Known once it is open."""
        return (self._grabs.guard, self._guard)

    def close(self) -> None:
        """Let the connection go. Again does nothing."""
        self._handles.close()
        self._server = None

    @property
    def _connected(self) -> Server:
        assert self._server is not None, "not open"
        return self._server

    def _catch_up(self) -> list[Event]:
        """Take what is there; what is to be told of it."""
        self._connected.take_news()
        events = []
        if self._monitors.is_stale or self._screen is None:
            events += self._geometry()
        if not self._stack.refresh(is_asked=self._told is None):
            self._stay_awake()
        self._judge()
        if self._focus.is_stale or self._focus.follows_pointer:
            self._see_focus()
        self._grabs.settle()
        return events + self._focus_events()

    def _judge(self) -> None:
        if self._judged != self._stack.generation:
            self._judged = self._stack.generation
            self._reasons = self._exclusion.reasons(self._stack.clients)
            self._focus.is_stale = True

    def _geometry(self) -> list[Event]:
        screen = self._monitors.screen()
        if screen == self._screen:
            return []
        self._screen = screen
        return [Event(monotonic_us(), Kind.GEOMETRY, text=as_text(screen))]

    def _see_focus(self) -> None:
        focus = self._focus.said(*self._connected.exchange(self._focus.ask_input()))
        self._grabs.watch(focus)
        active = self._focus.active(focus)
        self._present = self._said(active)
        self._active = active.client.id if active is not None else 0
        self._guard.switch(self._reason_of_focus(focus) == EXCLUDED, monotonic_us())

    def _reason_of_focus(self, input_focus: int) -> str | None:
        of_keys = self._focus.of_keys(input_focus)
        reasons = {self._reasons.get(self._active), self._reasons.get(of_keys.client.id if of_keys is not None else 0)}
        return EXCLUDED if EXCLUDED in reasons else next((reason for reason in reasons if reason), None)

    def _focus_events(self) -> list[Event]:
        """The focus, if it is another than was told; not while a window that was clicked may still take it."""
        changed_us = self._changed_us()
        is_settling = self._present == self._before_press and monotonic_us() < self._settled_us
        if self._present == self._told or (is_settling and self._told is not None):
            return []
        return [self._tell(self._present, changed_us)]

    def _tell(self, told: _Told, time_us: int) -> Event:
        self._told, self._told_us = told, max(time_us, self._told_us)
        return Event(self._told_us, Kind.FOCUS, app=told.app, title=told.title)

    def _changed_us(self) -> int:
        """When the focus changed: as the window manager says, in whole ms, if the server has our clock; else now."""
        now_us, changed_ms = monotonic_us(), self._focus.changed_ms
        self._focus.changed_ms = None
        if changed_ms is None:
            return now_us
        ago_us = (now_us // 1000 - changed_ms) % (1 << 32) * 1000
        return now_us // 1000 * 1000 - ago_us if ago_us < _SAME_CLOCK_US else now_us

    def _said(self, top: TopLevel | None) -> _Told:
        if top is None or top.client.id in self._reasons:
            return _Told()
        return _Told(top.client.id, top.client.app, top.client.title or None)

    def _pressed(self, top: TopLevel | None) -> _Told | None:
        """What to tell of a place; None if there is a popup that may be anybody's."""
        if top is None or top.client.id in self._reasons:
            return _Told()
        window = owner(top.client, self._stack.clients, self._active)
        if window is None:
            return _Told(top.client.id, top.client.app) if top.client.app else None
        return self._said(self._stack.find(window.id))

    def _is_in_reach(self, x_px: int, y_px: int) -> bool:
        """Whether a window that must not be kept is at a place, above or below others."""
        as_of = (self._judged, self._stack.generation)
        if self._placed != as_of:
            self._placed = as_of
            self._kept_out = [top for top in self._stack.tops if top.client.id in self._reasons and top.is_mapped]
        return any(self._holds(top, x_px, y_px) for top in self._kept_out)

    @staticmethod
    def _holds(top: TopLevel, x_px: int, y_px: int) -> bool:
        x, y = x_px - top.rect.x, y_px - top.rect.y
        return 0 <= x < top.rect.width and 0 <= y < top.rect.height

    def _look_again(self) -> None:
        """An answer was waited for: events that came with it are heard, and are told by the next `update`."""
        if self._connected.take_news(is_quiet_left=True):
            self._stay_awake()

    def _stay_awake(self) -> None:
        os.eventfd_write(self._wake, 1)

    def _sleep(self) -> None:
        try:
            os.eventfd_read(self._wake)
        except BlockingIOError:
            return
