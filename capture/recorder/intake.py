"""Where sources hand their events to: a bounded queue, from which the recorder takes what has come.

Events are small and pictures are not, so each has a bound of its own. A source that hands over an event to a full queue
waits: the X server and the kernel hold what comes meanwhile, and the kernel says so when it cannot (SYN_DROPPED). For
a full queue the disk must have stood still for minutes. Pictures were bounded by their source before: its encoder has a
queue of its own, and thins pictures out.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from taskreel.capture.sources.protocol import Event, Picture, Source
from taskreel.io.kinds import Kind

EVENTS_LIMIT = 200_000
"""About 200 bytes each: 40 MB, or 200 s of a machine that gives 1,000 a second."""
PICTURES_LIMIT = 16
_WAIT_S = 0.02


@dataclass
class Loss:
    """Something that is missing from a time on, for so many events of a source."""

    reason: str
    time_us: int
    events: int


@dataclass
class Taken:
    """What came since the last time."""

    events: list[Event] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    withheld: Counter[str] = field(default_factory=Counter)
    pictures: list[tuple[str, Picture]] = field(default_factory=list)


class Intake:
    """The queue between the sources' threads and the recorder's."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._losses: deque[Loss] = deque()
        self._pictures: deque[tuple[str, Picture]] = deque()
        self._withheld: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._is_open = True

    def sink(self, heeding: Sequence[Source]) -> SourceSink:
        """The sink of one source, whose events `heeding`, the other ones, hear of."""
        return SourceSink(self, heeding)

    def take(self) -> Taken:
        """All that has come. Called from one thread."""
        taken = Taken()
        for queue, into in (
            (self._events, taken.events),
            (self._losses, taken.losses),
            (self._pictures, taken.pictures),
        ):
            for _ in range(len(queue)):
                into.append(queue.popleft())  # type: ignore[attr-defined, arg-type]
        with self._lock:
            taken.withheld, self._withheld = self._withheld, Counter()
        return taken

    def close(self) -> None:
        """No source waits any longer: the recorder takes nothing more, and what comes then is only counted."""
        self._is_open = False

    def put(self, event: Event) -> None:
        """See `Sink.put`."""
        while len(self._events) >= EVENTS_LIMIT and self._is_open:
            threading.Event().wait(_WAIT_S)
        self._events.append(event)

    def withhold(self, reason: str, events: int) -> None:
        """See `Sink.withhold`."""
        with self._lock:
            self._withheld[reason] += events

    def lose(self, loss: Loss) -> None:
        """See `Sink.lose`."""
        self._losses.append(loss)

    def picture(self, key: str, picture: Picture) -> None:
        """See `Sink.picture`. Waits while the recorder has not written the ones before."""
        while len(self._pictures) >= PICTURES_LIMIT and self._is_open:
            threading.Event().wait(_WAIT_S)
        self._pictures.append((key, picture))


class SourceSink:
    """A `Sink` for one source."""

    def __init__(self, intake: Intake, heeding: Sequence[Source]) -> None:
        self._intake = intake
        self._heeding = [source.heed for source in heeding]

    def put(self, event: Event) -> None:
        """See `Sink`."""
        if event.kind is not Kind.SCREEN:
            for heed in self._heeding:
                heed(event)
        self._intake.put(event)

    def withhold(self, reason: str, events: int = 1) -> None:
        """See `Sink`."""
        self._intake.withhold(reason, events)

    def lose(self, reason: str, time_us: int, events: int = 0) -> None:
        """See `Sink`."""
        self._intake.lose(Loss(reason, time_us, events))

    def picture(self, key: str, picture: Picture) -> None:
        """See `Sink`."""
        self._intake.picture(key, picture)
