"""What may be kept, in order of time: between what sources hand over and what is written.

Events are held for `HOLD_US`, so that those of several threads can be put in order, and so that news that come late
(a password field has the focus) still find the keys that they are about. An event that comes later than that is written
with the time of the last one that was written: times never go back. What a guard withholds is counted by its reason and
gone; where a run of withheld events begins, a gap says so, without a number, since the number of keys of a password
is something about it. What is so since then (the focus, the geometry) is told before the next event that is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from taskreel.capture.sources.guards import HOLD_US, Guard, Withholds
from taskreel.capture.sources.protocol import Event
from taskreel.io.kinds import Flag, Kind

WITHHELD = "withheld"
OWN_KINDS = frozenset({Kind.GAP, Kind.PAUSE, Kind.RESUME, Kind.MARK_START, Kind.MARK_END})
"""What no source produces and no guard withholds."""
_AUTO_REPEAT = int(Flag.AUTO_REPEAT)  # an int takes part in `&` ten times faster than a flag
_STATES = (Kind.FOCUS, Kind.GEOMETRY)
"""Events that say how things are from then on."""
_KEYS = (Kind.KEY_DOWN, Kind.KEY_UP)


class Sieve:
    """Holds events, and lets go of those that may be kept."""

    def __init__(self, guards: Sequence[Guard] = (), *, hold_us: int = HOLD_US) -> None:
        self._guards = list(guards)
        self._hold_us = hold_us
        self._awake: list[Guard] = []
        self._held: list[Event] = []
        self._last_us = -(1 << 62)
        self._running: str | None = None
        self._missed: dict[Kind, tuple[Event, str]] = {}
        self._downs: dict[int | None, str | None] = {}
        self.withheld: Counter[str] = Counter()
        """Events that were withheld here, by reason."""

    def add_guards(self, guards: Iterable[Guard]) -> None:
        """More guards, from now on."""
        self._guards += guards

    def add(self, events: Iterable[Event]) -> None:
        """Events that came, in any order."""
        self._held += events

    def retract(self, events: Iterable[Event]) -> list[Event]:
        """Take held events away, as not to be kept; those of `events` that are not held any more."""
        held = {id(event) for event in self._held}
        gone = {id(event) for event in events if id(event) in held}
        self._held = [event for event in self._held if id(event) not in gone]
        self.withheld["recorder_control"] += len(gone)
        return [event for event in events if id(event) not in gone]

    def release(self, now_us: int) -> list[Event]:
        """What is old enough and may be kept, by rising time, equal times in the order in which they came."""
        if not self._held:
            return []
        self._held.sort(key=lambda event: event.time_us)  # nearly sorted: a few comparisons an event
        until_us = now_us - self._hold_us
        count = next((n for n, event in enumerate(self._held) if event.time_us > until_us), len(self._held))
        ready, self._held = self._held[:count], self._held[count:]
        if ready:  # most of the time no guard has anything to say: 3 µs an event that need not be asked
            self._awake = [guard for guard in self._guards if not guard.is_off_since(ready[0].time_us)]
        return [kept for event in ready for kept in self._judge(event)]

    def flush(self) -> list[Event]:
        """All that is held: the recording ends."""
        kept = self.release(1 << 62)
        self.withheld.update(reason for _, reason in self._missed.values())
        self._missed.clear()
        return kept

    def _judge(self, event: Event) -> list[Event]:
        reason = None if event.kind in OWN_KINDS else self._reason(event)
        if reason:
            self._withhold(event, reason)
            begins, self._running = reason != self._running, reason
            if not begins:
                return []
            return [self._in_order(Event(event.time_us, Kind.GAP, text=f"{WITHHELD}:{reason}"))]
        if event.kind in _KEYS:
            self._running = None
            if event.text and self._is_on(Withholds.TEXT, event.time_us):
                event = replace(event, flags=event.flags | Flag.IME)
        missed = self._told_again(event) if self._missed and event.kind not in OWN_KINDS else ()
        return [self._in_order(one) for one in (*missed, event)]

    def _withhold(self, event: Event, reason: str) -> None:
        """Count it. Of what is so from then on, the last one waits: it is kept once anything may be."""
        if event.kind in _STATES:
            before = self._missed.get(event.kind)
            self._missed[event.kind] = (event, reason)
            if before is None:
                return
            reason = before[1]
        self.withheld[reason] += 1

    def _told_again(self, event: Event) -> Iterator[Event]:
        """What is so before an event that is kept, as of its time."""
        missed, self._missed = self._missed, {}
        for kind, (state, reason) in missed.items():
            if kind is event.kind:
                self.withheld[reason] += 1  # it is not so any more
            else:
                restated = Flag.RESTATED if kind is Kind.FOCUS else 0
                yield replace(state, time_us=event.time_us, flags=state.flags | restated)

    def _reason(self, event: Event) -> str | None:
        """Why it must not be kept. A release goes with its press, so that neither is left without the other."""
        code = event.code
        if event.kind is Kind.KEY_UP and code in self._downs:
            return self._downs.pop(code)
        reason = next((guard.reason for guard in self._awake if self._withholds(guard, event)), None)
        if event.kind is Kind.KEY_DOWN and not event.flags & _AUTO_REPEAT:
            self._downs[code] = reason
        return reason

    def _withholds(self, guard: Guard, event: Event) -> bool:
        is_meant = guard.withholds is Withholds.ALL or (guard.withholds is Withholds.KEYS and event.kind in _KEYS)
        return is_meant and guard.is_on_at(event.time_us)

    def _is_on(self, withholds: Withholds, time_us: int) -> bool:
        return any(guard.withholds is withholds and guard.is_on_at(time_us) for guard in self._awake)

    def _in_order(self, event: Event) -> Event:
        if event.time_us < self._last_us:
            return replace(event, time_us=self._last_us)
        self._last_us = event.time_us
        return event
