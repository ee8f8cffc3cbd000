"""A sink that only listens, for tests of sources."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from taskreel.capture.sources.protocol import Event, Picture, Source, SourceFacts
from taskreel.io.events import Kind


class ListeningSink:
    """Keeps all that it is given, in the order in which it came."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.withheld: Counter[str] = Counter()
        self.lost: list[tuple[str, int, int]] = []
        self.pictures: dict[str, Picture] = {}

    def put(self, event: Event) -> None:
        self.events.append(event)

    def withhold(self, reason: str, events: int = 1) -> None:
        self.withheld[reason] += events

    def lose(self, reason: str, time_us: int, events: int = 0) -> None:
        self.lost.append((reason, time_us, events))

    def picture(self, key: str, picture: Picture) -> None:
        assert key not in self.pictures, "a picture was handed over twice"
        self.pictures[key] = picture

    def of(self, *kinds: Kind) -> list[Event]:
        """The events of some kinds."""
        return [event for event in self.events if event.kind in kinds]

    @property
    def accounted(self) -> int:
        """Events in all that was told: what a source has to have produced."""
        return len(self.events) + sum(self.withheld.values()) + sum(events for _, _, events in self.lost)


@contextmanager
def running(source: Source, sink: ListeningSink) -> Iterator[SourceFacts]:
    """A source that runs in a thread, and is stopped and joined at the end; what it said when it was opened."""
    facts = source.open()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            source.run(sink)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name=source.name)
    thread.start()
    try:
        yield facts
    finally:
        source.stop()
        thread.join(10)
        assert not thread.is_alive(), f"{source.name} did not stop"
    if failed:
        raise failed[0]
    assert source.produced == sink.accounted
