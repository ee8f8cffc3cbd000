"""A source that hands over what a test tells it to, in a thread of its own like any other."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from taskreel.capture.sources.protocol import Event, Picture, Sink, SourceFacts, SourceLostError, monotonic_us
from taskreel.io.kinds import Kind, Screen


class ScriptedSource:
    """Waits for calls; each is done in the caller's thread by the sink that the recorder gave."""

    def __init__(self, name: str = "scripted", facts: SourceFacts | None = None) -> None:
        self.name, self.produced = name, 0
        self._facts = facts or SourceFacts(screen=Screen(800, 600))
        self._stopped, self._lost = threading.Event(), ""
        self._ready = threading.Event()
        self.is_open = False
        self.heard: list[Event] = []

    def open(self) -> SourceFacts:
        self.is_open = True
        return self._facts

    def run(self, sink: Sink) -> None:
        self.sink = sink
        self._ready.set()
        self._stopped.wait()
        self.is_open = False
        if self._lost:
            raise SourceLostError(self._lost)

    def stop(self) -> None:
        self._stopped.set()

    def heed(self, event: Event) -> None:
        self.heard.append(event)

    def lose_all(self, why: str) -> None:
        """What it watches is gone."""
        self._lost = why
        self._stopped.set()

    def put(self, *events: Event) -> None:
        assert self._ready.wait(10)
        for event in events:
            self.produced += 1
            self.sink.put(event)

    def withhold(self, reason: str, events: int = 1) -> None:
        assert self._ready.wait(10)
        self.produced += events
        self.sink.withhold(reason, events)

    def lose(self, reason: str, events: int = 0) -> None:
        assert self._ready.wait(10)
        self.produced += events
        self.sink.lose(reason, monotonic_us(), events)

    def show(self, key: str, picture: Picture | None, time_us: int | None = None) -> None:
        """A screen event, and its picture if it is given now."""
        self.put(Event(time_us or monotonic_us(), Kind.SCREEN, picture_key=key))
        if picture:
            self.sink.picture(key, picture)


def typed(text: str, time_us: int, step_us: int = 1000) -> Iterable[Event]:
    """Presses and releases of letter keys, named by themselves."""
    for letter in text:
        yield Event(time_us, Kind.KEY_DOWN, code=ord(letter), key=letter, text=letter)
        yield Event(time_us + step_us // 2, Kind.KEY_UP, code=ord(letter), key=letter)
        time_us += step_us
