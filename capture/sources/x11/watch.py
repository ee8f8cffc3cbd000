"""An X server while it is watched: waits for what it tells, and hands it over, or says why not.

The first motion waits for company (`COMPANY_US`), and no input that comes meanwhile wakes us: waking costs more than an
event does. That windows or the focus change does wake us, and then all is read. One query of the pointer places all:
what was sent before the answer is placed by it, going back along the motions, so a click is where the pointer was,
wherever it went since. While no motion waits, all is read at once.
"""

from __future__ import annotations

import math
import select
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice
from typing import Any

from taskreel.capture.sources.protocol import (
    Event,
    Sink,
    SourceFacts,
    SourceLostError,
    SourceUnavailableError,
    monotonic_us,
)
from taskreel.capture.sources.x11 import raw
from taskreel.capture.sources.x11.clock import ServerClock
from taskreel.capture.sources.x11.connection import Connection, Refused
from taskreel.capture.sources.x11.desktop import Desktop
from taskreel.capture.sources.x11.devices import Devices, Motion
from taskreel.capture.sources.x11.held import Held
from taskreel.capture.sources.x11.keys import SERVER_TICK_US, Keys
from taskreel.capture.sources.x11.queries import Server
from taskreel.capture.sources.x11.trail import Trail
from taskreel.io.kinds import POSITION_UNITS_PER_PX, WHEEL_UNITS_PER_TICK, Flag, Kind

COMPANY_US = 50_000
"""How long a motion waits for others. At 1,000 mixed events a second the recorder took 9.2 % of a core with 30 ms, 7.6
with 50 (`python -m bench.capture_client`). Nothing is late for it: events are held for 100 ms anyway."""

_AT_ONCE = 500
"""Events that are taken before anything else gets its turn, such as to stop."""
_SYNTHETIC = int(Flag.SYNTHETIC)  # an int takes part in `|` ten times faster than a flag
_WHEEL = {4: (0, 1), 5: (0, -1), 6: (-1, 0), 7: (1, 0)}
"""Buttons that are turns of a wheel, and the ticks that they are, right and up."""


def before(news: Iterable[Event], time_us: int) -> list[Event]:
    """What was found out at a press, which it is about, with its time at the latest."""
    return [replace(event, time_us=min(event.time_us, time_us)) for event in news]


def _poll(*descriptors: int) -> select.poll:
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return poll


class Watch:
    """What is open while a server is watched. Raises `SourceUnavailableError` if it cannot be.

    `count` is called for each event when it is read.
    """

    def __init__(self, display: str, desktop: Desktop, count: Callable[[], None]) -> None:
        self._connection, self._desktop, self._count = Connection(display), desktop, count
        try:
            self.facts = self._open()
        except BaseException as error:
            self.close()
            if isinstance(error, Refused | SourceLostError):
                raise SourceUnavailableError(f"the X server cannot be recorded: {error}") from error
            raise

    def _open(self) -> SourceFacts:
        connection = self._connection
        self._server = server = Server(connection)
        screen = self._desktop.open()
        server_ms = server.time_ms()
        self._clock = ServerClock() if server_ms is None else ServerClock.set_by(server_ms, monotonic_us())
        self._now_us = monotonic_us()
        server.select_input()  # before anything is asked that it tells the changes of
        self._screen_px = (connection.width_px, connection.height_px)
        self._devices = Devices(server.devices(), self._screen_px)
        self._mapping = server.button_mapping()
        self._keys = Keys(
            server,
            connection.handle,
            self._desktop,
            put=self._pass_on,
            withhold=lambda reason: self._sink.withhold(reason),
            count=self._count,
        )
        self._buttons, self._trail = Held(), Trail()
        self._told_us = 0
        self._settle_us: int | None = None
        self._has_moved = False
        self._take_by_type: dict[type, Callable[[Any], None]] = {
            raw.RawKey: self._take_key,
            raw.RawButton: self._take_button,
            raw.RawMotion: self._take_motion,
            raw.ModifierState: self._keys.follow,
            raw.KeymapChanged: self._keys.outdate,
            raw.ControlsChanged: self._keys.ask_controls,
            raw.MappingChanged: self._take_mapping,
            raw.DevicesChanged: self._take_devices,
            raw.Resized: self._take_size,
        }
        self._guards = self._desktop.guards()
        return SourceFacts(screen, server.layout(), "physical", self._guards)

    def close(self) -> None:
        """Let all connections go."""
        self._connection.close()
        self._desktop.close()

    def run(self, sink: Sink, ear: int) -> None:
        """Hand over what happens until `ear`, a descriptor, can be read."""
        self._sink = sink
        news = self._desktop.fileno()
        ready = _poll(ear, news, self._connection.fileno())
        urgent = self._desktop.urgent_fileno()
        deaf = _poll(ear, urgent)  # while a motion waits for company, which does not wake us
        heard: set[int] = set()
        try:
            self._tell_news()
            while ear not in heard:
                is_more = self._read()  # first: a press asks for the news itself, since it may be what made them
                if not heard.isdisjoint((news, urgent)):
                    self._tell_news()
                waker = deaf if self._may_wait() else ready
                heard = {descriptor for descriptor, _ in waker.poll(0 if is_more else self._patience_ms())}
            self._read()
            self._settle()
        except SourceLostError:
            if waiting := self._trail.drop():
                sink.lose("device_lost", monotonic_us(), waiting)
            raise

    def _may_wait(self) -> bool:
        """Not while a key may mean something else in a moment, nor while keys are withheld, until news of the end."""
        is_withholding = any(guard.is_on for guard in self._guards)
        return self._settle_us is not None and not self._keys.is_remapping(self._now_us) and not is_withholding

    def _patience_ms(self) -> int | None:
        """How long there is nothing to do if nobody tells anything."""
        due = [time_us for time_us in (self._settle_us, self._keys.due_us) if time_us is not None]
        return max(0, math.ceil((min(due) - monotonic_us()) / 1000)) if due else None

    def _read(self) -> bool:
        """Take what is there and do what is due. Whether there is more to take at once."""
        self._now_us, taken = monotonic_us(), 0
        for data in islice(self._connection.events(), _AT_ONCE):
            self._take(data)
            taken += 1
        while self._keys.refresh(self._now_us) or self._keys.repeat(self._now_us) or self._settle_in_time():
            self._take_queued()
        return taken == _AT_ONCE

    def _take_queued(self) -> None:
        """Take what came with an answer of the server: nothing else would wake us for it."""
        for data in self._connection.queued():
            self._take(data)

    def _take(self, data: bytes) -> None:
        event = raw.decode(data, self._server.opcodes)
        if event is not None:
            self._take_by_type[type(event)](event)

    def _time_us(self, server_ms: int) -> int:
        return self._clock.monotonic_us(server_ms, self._now_us)

    def _flags(self, source: int) -> int:
        return _SYNTHETIC if self._devices.is_synthetic(source) else 0

    # What the server tells of itself

    def _take_mapping(self, _: raw.MappingChanged) -> None:
        self._mapping = self._server.button_mapping()

    def _take_devices(self, _: raw.DevicesChanged) -> None:
        self._devices.update(self._server.devices())

    def _take_size(self, resized: raw.Resized) -> None:
        if resized.window == self._connection.root:
            self._screen_px = self._devices.screen_px = (resized.width_px, resized.height_px)

    # Input

    def _take_key(self, key: raw.RawKey) -> None:
        time_us = self._time_us(key.time_ms)
        if key.is_press and self._told_us < time_us + SERVER_TICK_US:
            self._tell_news()
        self._keys.take(key, time_us, self._flags(key.source))

    def _take_button(self, button: raw.RawButton) -> None:
        number = self._mapping[button.button - 1] if 0 < button.button <= len(self._mapping) else button.button
        if button.is_emulated or not number:
            return
        time_us, flags = self._time_us(button.time_ms), self._flags(button.source)
        if number in _WHEEL:
            if button.is_press:
                right, up = (ticks * WHEEL_UNITS_PER_TICK for ticks in _WHEEL[number])
                self._place(Event(time_us, Kind.SCROLL, flags, wheel_x=right, wheel_y=up))
        else:
            kind = Kind.BUTTON_DOWN if button.is_press else Kind.BUTTON_UP
            self._place(Event(time_us, kind, flags, code=number), is_urgent=True)

    def _take_motion(self, motion: raw.RawMotion) -> None:
        read = self._devices.read(motion)
        time_us, flags = self._time_us(motion.time_ms), self._flags(motion.source)
        if read.is_move:
            self._has_moved = True
            self._place(Event(time_us, Kind.MOVE, flags), read)
        if read.wheel_x or read.wheel_y:
            self._place(Event(time_us, Kind.SCROLL, flags, wheel_x=read.wheel_x, wheel_y=read.wheel_y))

    def _place(self, event: Event, motion: Motion | None = None, *, is_urgent: bool = False) -> None:
        """Have an event wait for its place."""
        self._count()
        self._trail.add(event, motion)
        if is_urgent:
            self._settle_us = 0
        elif self._settle_us is None:
            self._settle_us = self._now_us + COMPANY_US

    def _settle_in_time(self) -> bool:
        is_due = self._settle_us is not None and self._settle_us <= self._now_us
        if is_due:
            self._settle()
        return is_due

    def _settle(self) -> None:
        """Ask where the pointer is, and hand over all that waits for it. Where there was motion, more is to come."""
        has_moved, self._has_moved = self._has_moved, False
        if not self._trail:
            self._settle_us = None
            return
        x_px, y_px, sequence = self._connection.query_pointer()
        later: list[bytes] = []
        for data in self._connection.queued():
            if later or not raw.precedes(data, sequence):
                later.append(data)
            else:
                self._take(data)
        self._settle_us = self._now_us + COMPANY_US if has_moved else None
        for event in self._trail.settle(x_px, y_px, self._screen_px):
            self._hand_over(event)
        for data in later:
            self._take(data)

    def _hand_over(self, event: Event) -> None:
        if event.x is None or event.y is None:
            self._sink.put(event)
            return
        x_px, y_px = event.x // POSITION_UNITS_PER_PX, event.y // POSITION_UNITS_PER_PX
        if event.kind == Kind.BUTTON_DOWN:
            self._tell(before(self._desktop.at_press(x_px, y_px), event.time_us))
        reason = self._desktop.pointer_reason(x_px, y_px)
        if event.kind == Kind.BUTTON_DOWN:
            self._buttons.press(event.code or 0, reason)
        elif event.kind == Kind.BUTTON_UP:
            reason = self._buttons.release(event.code or 0, reason)
        if reason is None:
            self._sink.put(event)
        else:
            self._sink.withhold(reason)

    # Handing over

    def _pass_on(self, event: Event) -> None:
        """Hand an event over that has all it needs, after those that wait."""
        if self._trail:
            self._trail.add_placeless(event)
        else:
            self._sink.put(event)

    def _tell_news(self) -> None:
        self._told_us = monotonic_us()
        for event in self._desktop.update():
            self._count()
            self._pass_on(event)

    def _tell(self, news: Iterable[Event]) -> None:
        for event in news:
            self._count()
            self._sink.put(event)
