"""The real DoFn of `SessionizeNames` in a stream that is played by hand: its state, its timer, restarts, a commit."""

from __future__ import annotations

from apache_beam.utils.timestamp import Timestamp

from taskreel.io.times import Clock
from taskreel.transforms.sessionize import Firing, Stream, _SessionizeDoFn, emitted_entry
from taskreel.transforms.spans import SpanOptions
from taskreel.transforms.stream_time import StreamTime

NEVER_DRAINED = StreamTime(".", 0, Clock(shown_us=10**15))


class Bag:
    """A BagState."""

    def __init__(self):
        self.held = []

    def add(self, value):
        self.held.append(value)

    def read(self):
        return list(self.held)

    def clear(self):
        self.held = []


class Value:
    """A ReadModifyWriteState, or with `set` a timer."""

    def __init__(self):
        self.held = None

    def read(self):
        return self.held

    def write(self, value):
        self.held = value

    set = write

    def clear(self):
        self.held = None


class SimulatedStream:
    """One participant's names in one job: `arrive`, then `advance` the watermark; `late` and `firings` come out."""

    def __init__(self, options: SpanOptions, lateness_ms, *, floor_ms=-1, begun_ms=0, seeds=()):
        self.dofn = _SessionizeDoFn(options, Stream(NEVER_DRAINED, lateness_ms, floor_ms, begun_ms))
        self.names, self.due_ms, self.closed_ms, self.round, self.timer = Bag(), Value(), Value(), Value(), Value()
        self.late, self.firings, self.fired = [], [], 0
        for files in seeds:
            self._process(emitted_entry(files))

    def arrive(self, name):
        """A name is listed."""
        self._process(name.file)

    def _process(self, entry):
        outputs = self.dofn.process(("p", entry), self.names, self.due_ms, self.closed_ms, self.timer)
        self.late += [output.value[1] for output in outputs]

    def advance(self, watermark_ms):
        """The timer fires as often as it is due."""
        while self.timer.held is not None and self.timer.held.micros // 1000 <= watermark_ms:
            now, self.timer.held = self.timer.held, None
            self.fired += 1
            states = (self.names, self.due_ms, self.closed_ms, self.round, self.timer)
            for _, line in self.dofn.close("p", Timestamp(micros=now.micros), *states):
                self.firings.append([frozenset(span) for span in Firing.from_json(line).spans])

    @property
    def is_empty(self):
        """Whether nothing is remembered but until when it is closed."""
        return not self.names.held and self.timer.held is None


def apply(standing, firing):
    """What stands after a firing: it replaces whatever it shares a segment with, and that has to be whole in it."""
    inside = frozenset().union(*firing)
    replaced = {span for span in standing if span & inside}
    assert all(span <= inside for span in replaced), "a part of a span would be gone"
    return (standing - replaced) | set(firing)
