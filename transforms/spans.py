"""Spans: the segments of one participant whose times touch, within a gap. What is read and built as one piece.

`spans` is all of the logic, a pure function of names. `SessionizeNames` applies it by state and timer, the same in
batch, incremental and streaming runs: it never sees an event, only who and from when to when.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.coders import StrUtf8Coder, VarIntCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.utils.timestamp import Timestamp

from taskreel.io.names import SegmentName

LATE = "late"
"""The output of `SessionizeNames` for segments that came after their span was closed for good."""

_EMITTED = "="
"""Prefix of the state's entries that are ids of emitted spans; no segment's name begins so."""


@dataclass(frozen=True)
class Span:
    """Segments of one participant that are built together, sorted by name.

    An immutable value; two spans with the same segments are the same span.

    >>> from taskreel.io.names import SegmentName
    >>> first, second = (SegmentName("p", "r", i, i, i * 1000, i * 1000 + 900, "0" * 12) for i in (0, 1))
    >>> [len(span.segments) for span in spans([second, first], gap_ms=100)]
    [2]
    >>> [len(span.segments) for span in spans([second, first], gap_ms=99)]
    [1, 1]
    """

    participant: str
    segments: tuple[SegmentName, ...]

    @property
    def end_ms(self) -> int:
        """When the last of its segments ends, milliseconds UTC."""
        return max(name.last_ms for name in self.segments)

    @property
    def span_id(self) -> str:
        """The hash of the participant and the sorted names of the segments."""
        digest = hashlib.blake2b(self.participant.encode(), digest_size=12)
        for name in self.segments:
            digest.update(b"\0" + name.file.encode())
        return digest.hexdigest()


def spans(names: Iterable[SegmentName], *, gap_ms: int, longest_ms: int | None = None) -> list[Span]:
    """The connected components of segments whose times are at most `gap_ms` apart, in order of time.

    `names` are of one participant; duplicates count once. A component that lasts longer than `longest_ms` is cut
    on the UTC grid of that length by its segments' first times, so that the cut does not depend on what came first.
    A segment that alone claims to be longer is a span of its own: a name that lies must not cut its neighbors.
    """
    pieces = [piece for part in _components(names, gap_ms, longest_ms) for piece in _cut(part, longest_ms)]
    return [_span(piece) for piece in sorted(pieces, key=lambda piece: piece[0].first_ms)]


def _components(names: Iterable[SegmentName], gap_ms: int, longest_ms: int | None) -> list[list[SegmentName]]:
    components: list[list[SegmentName]] = []
    alone: list[list[SegmentName]] = []
    end_ms = 0
    for name in sorted(set(names), key=lambda name: (name.first_ms, name.last_ms, name.file)):
        if longest_ms is not None and name.duration_ms > longest_ms:
            alone.append([name])
        elif components and name.first_ms - end_ms <= gap_ms:
            components[-1].append(name)
            end_ms = max(end_ms, name.last_ms)
        else:
            components.append([name])
            end_ms = name.last_ms
    return components + alone


def _cut(component: list[SegmentName], longest_ms: int | None) -> Iterator[list[SegmentName]]:
    lasts_ms = max(name.last_ms for name in component) - min(name.first_ms for name in component)
    if longest_ms is None or lasts_ms <= longest_ms or len(component) == 1:
        yield component
        return
    cells: dict[int, list[SegmentName]] = {}
    for name in component:
        cells.setdefault(name.first_ms // longest_ms, []).append(name)
    yield from cells.values()


def _span(segments: list[SegmentName]) -> Span:
    return Span(segments[0].participant, tuple(sorted(segments, key=lambda name: name.file)))


@dataclass(frozen=True)
class SpanOptions:
    """How names become spans.

    `gap_ms`: the session gap + 2 x the largest clock correction. `bounded`: all input is there (batch), so at the
    first firing every span is closed. `lateness_ms`: how long after its close a span takes in late segments.
    """

    gap_ms: int
    longest_ms: int | None = None
    bounded: bool = True
    lateness_ms: int = 0


class SessionizeNames(beam.PTransform):
    """(participant, name of a segment) → (participant, sorted names of a span), and the output `LATE`.

    Names are a segment's `file`. A late segment joins its span and emits it again, as a revision.
    """

    def __init__(self, options: SpanOptions) -> None:
        super().__init__()
        self.options = options

    def expand(self, names: Any) -> Any:
        """Apply the stateful DoFn; elements in the global window."""
        return names | "Sessionize" >> beam.ParDo(_SessionizeDoFn(self.options)).with_outputs(LATE, main="spans")


@beam.typehints.with_input_types(tuple[str, str])
@beam.typehints.with_output_types(tuple[str, list[str]])
class _SessionizeDoFn(beam.DoFn):
    """State per participant: the names, as plain strings (no pickles: job updates), and two times.

    `due_ms` is the earliest end of a span that was not emitted, plus the gap: set to the last one, the timer starves
    behind new work. `process` is O(1); the names are read only when the timer fires.
    """

    NAMES = BagStateSpec("names", StrUtf8Coder())
    DUE_MS = ReadModifyWriteStateSpec("due_ms", VarIntCoder())
    CLOSED_MS = ReadModifyWriteStateSpec("closed_ms", VarIntCoder())
    DUE = TimerSpec("due", TimeDomain.WATERMARK)

    def __init__(self, options: SpanOptions) -> None:
        self.options = options

    def process(
        self,
        element: tuple[str, str],
        names: Any = beam.DoFn.StateParam(NAMES),
        due_ms: Any = beam.DoFn.StateParam(DUE_MS),
        closed_ms: Any = beam.DoFn.StateParam(CLOSED_MS),
        due: Any = beam.DoFn.TimerParam(DUE),
    ) -> Iterator[Any]:
        participant, file = element
        end_ms = SegmentName.from_file(participant, file).last_ms + self.options.gap_ms
        if end_ms <= (closed_ms.read() or 0):
            yield beam.pvalue.TaggedOutput(LATE, (participant, file))
            return
        names.add(file)
        earliest_ms = due_ms.read()
        if earliest_ms is None or end_ms < earliest_ms:
            due_ms.write(end_ms)
            due.set(Timestamp(micros=end_ms * 1000))

    @on_timer(DUE)
    def close(
        self,
        participant: str = beam.DoFn.KeyParam,
        now: Timestamp = beam.DoFn.TimestampParam,
        names: Any = beam.DoFn.StateParam(NAMES),
        due_ms: Any = beam.DoFn.StateParam(DUE_MS),
        closed_ms: Any = beam.DoFn.StateParam(CLOSED_MS),
        due: Any = beam.DoFn.TimerParam(DUE),
    ) -> Iterator[tuple[str, list[str]]]:
        """Emit the spans that are over, keep the others and set the timer for the next of them."""
        entries = set(names.read())
        emitted = {entry[1:] for entry in entries if entry.startswith(_EMITTED)}
        files = [entry for entry in entries if not entry.startswith(_EMITTED)]
        plan = _close(participant, files, emitted, self.options, now_ms=now.micros // 1000)
        names.clear()
        for entry in plan.keep:
            names.add(entry)
        if plan.closed_ms > (closed_ms.read() or 0):
            closed_ms.write(plan.closed_ms)
        if plan.due_ms is None:
            due_ms.clear()
        else:
            due_ms.write(plan.due_ms)
            due.set(Timestamp(micros=plan.due_ms * 1000))
        for span in plan.emit:
            yield participant, [name.file for name in span.segments]


@dataclass(frozen=True)
class _Closing:
    """What a firing does: spans to emit, state to keep, the next time to fire, what is closed for good."""

    emit: list[Span]
    keep: list[str]
    due_ms: int | None
    closed_ms: int


def _close(participant: str, files: Iterable[str], emitted: set[str], options: SpanOptions, *, now_ms: int) -> _Closing:
    """The pure part of a firing at `now_ms`.

    What touches is kept until all of it is over: a part that was forgotten would change how the rest is cut.
    """
    names = [SegmentName.from_file(participant, file) for file in files]
    if options.bounded:
        return _Closing(spans(names, gap_ms=options.gap_ms, longest_ms=options.longest_ms), [], None, 0)
    emit, keep, due_ms, closed_ms = [], [], [], 0
    for touching in _components(names, options.gap_ms, options.longest_ms):
        over_ms = max(name.last_ms for name in touching) + options.gap_ms
        pieces = [_span(piece) for piece in _cut(touching, options.longest_ms)]
        is_over = [piece.end_ms + options.gap_ms <= now_ms for piece in pieces]
        emit += [p for p, over in zip(pieces, is_over, strict=True) if over and p.span_id not in emitted]
        if over_ms + options.lateness_ms <= now_ms:
            closed_ms = max(closed_ms, over_ms)
            continue
        ends_ms = [p.end_ms + options.gap_ms for p, over in zip(pieces, is_over, strict=True) if not over]
        due_ms.append(min(ends_ms, default=over_ms + options.lateness_ms))
        keep += [name.file for name in touching]
        keep += [_EMITTED + p.span_id for p, over in zip(pieces, is_over, strict=True) if over]
    return _Closing(emit, keep, min(due_ms, default=None), closed_ms)
