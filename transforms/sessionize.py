"""Sessionize: names become spans by state and timer. One transform for what is all there and for what still comes.

In a bounded run the timer fires once, at the end of the input. In a stream it fires when the watermark says that a span
is over; a segment that comes later joins its span, which comes out again, until its lateness has passed as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import apache_beam as beam
from apache_beam.coders import StrUtf8Coder, VarIntCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.utils.timestamp import Timestamp

from taskreel.io.names import SegmentName
from taskreel.transforms.spans import Span, SpanOptions, components, cut, span_of, spans
from taskreel.transforms.stream_time import StreamTime

LATE = "late"
"""The output of `SessionizeNames` for segments that came after their span was closed for good."""

_EMITTED = "="
"""Prefix of a span that was emitted: its files, with spaces between. No segment's name begins so or has a space."""
_CLOCK_TOLERANCE_MS = 2_000
"""A timer that fires so much before its time was not fired by a drain: stores tell the time to the second."""

Names = frozenset[SegmentName]


@dataclass(frozen=True)
class Stream:
    """What a stream adds to the options of spans.

    `lateness_ms`: how long after it is over a span takes in late segments. What began at or before `floor_ms` is late:
    of what lies there the stream knows nothing. `begun_ms` is the watermark at launch: what was over then is closed by
    the first firing, in the place of one after the other.
    """

    time: StreamTime
    lateness_ms: int
    floor_ms: int = -1
    begun_ms: int = 0


@dataclass(frozen=True)
class Firing:
    """All spans of a participant that changed at once in a stream, as lists of files: one change, one commit.

    `round` counts the firings of the participant. `provisional`: a drain cut the spans short.
    """

    round: int
    spans: tuple[tuple[str, ...], ...]
    provisional: bool = False

    def to_json(self) -> str:
        """One line with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, line: str) -> Firing:
        """What `to_json` wrote."""
        values = json.loads(line)
        return cls(values["round"], tuple(tuple(span) for span in values["spans"]), values["provisional"])


def emitted_entry(files: Iterable[str]) -> str:
    """What stands for a span that was emitted before: it is whole, and not to be emitted again."""
    return _EMITTED + " ".join(sorted(files))


class SessionizeNames(beam.PTransform):
    """(participant, name of a segment) → spans, and the output `LATE` of (participant, name).

    Names are a segment's `file`, or an `emitted_entry`. In a bounded run an element is (participant, sorted names of a
    span), in a `stream` it is (participant, `Firing` as JSON).
    """

    def __init__(self, options: SpanOptions, stream: Stream | None = None) -> None:
        super().__init__()
        self.options = options
        self.stream = stream

    def expand(self, names: Any) -> Any:
        """Apply the stateful DoFn; elements in the global window."""
        kind = tuple[str, list[str]] if self.stream is None else tuple[str, str]
        sessionize = beam.ParDo(_SessionizeDoFn(self.options, self.stream)).with_output_types(kind)
        return names | "Sessionize" >> sessionize.with_outputs(LATE, main="spans")


@beam.typehints.with_input_types(tuple[str, str])
class _SessionizeDoFn(beam.DoFn):
    """State per participant: the names, as plain strings (no pickles: job updates), two times and a count.

    `due_ms` is the earliest end of a span that was not emitted, plus the gap: set to the last one, the timer starves
    behind new work. `process` is O(1); the names are read only when the timer fires.
    """

    NAMES = BagStateSpec("names", StrUtf8Coder())
    DUE_MS = ReadModifyWriteStateSpec("due_ms", VarIntCoder())
    CLOSED_MS = ReadModifyWriteStateSpec("closed_ms", VarIntCoder())
    ROUND = ReadModifyWriteStateSpec("round", VarIntCoder())
    DUE = TimerSpec("due", TimeDomain.WATERMARK)

    def __init__(self, options: SpanOptions, stream: Stream | None) -> None:
        self._options = options
        self._stream = stream
        self._floor_ms = -1 if stream is None else stream.floor_ms
        self._watermark_ms = 0 if stream is None else stream.begun_ms

    def process(
        self,
        element: tuple[str, str],
        names: Any = beam.DoFn.StateParam(NAMES),
        due_ms: Any = beam.DoFn.StateParam(DUE_MS),
        closed_ms: Any = beam.DoFn.StateParam(CLOSED_MS),
        due: Any = beam.DoFn.TimerParam(DUE),
    ) -> Iterator[Any]:
        participant, entry = element
        came = _names_of(participant, entry)
        if not entry.startswith(_EMITTED) and came[0].first_ms <= max(closed_ms.read() or -1, self._floor_ms):
            yield beam.pvalue.TaggedOutput(LATE, element)
            return
        names.add(entry)
        over_ms = self._options.over_ms(came)
        earliest_ms = due_ms.read()
        if earliest_ms is None or over_ms < earliest_ms:
            due_ms.write(over_ms)
            due.set(Timestamp(micros=over_ms * 1000))

    @on_timer(DUE)
    def close(
        self,
        participant: str = beam.DoFn.KeyParam,
        now: Timestamp = beam.DoFn.TimestampParam,
        names: Any = beam.DoFn.StateParam(NAMES),
        due_ms: Any = beam.DoFn.StateParam(DUE_MS),
        closed_ms: Any = beam.DoFn.StateParam(CLOSED_MS),
        round_: Any = beam.DoFn.StateParam(ROUND),
        due: Any = beam.DoFn.TimerParam(DUE),
    ) -> Iterator[tuple[str, list[str] | str]]:
        """Emit the spans that are over, keep the others and set the timer for the next of them."""
        entries = set(names.read())
        names.clear()
        if self._stream is None:
            for span in _all_spans(participant, entries, self._options):
                yield participant, [name.file for name in span.segments]
            return
        now_ms = max(now.micros // 1000, self._stream.begun_ms)
        closing = close(participant, entries, self._options, lateness_ms=self._stream.lateness_ms, now_ms=now_ms)
        for entry in closing.keep:
            names.add(entry)
        if closing.closed_ms > (closed_ms.read() or 0):
            closed_ms.write(closing.closed_ms)
        if closing.due_ms is None:
            due_ms.clear()
        else:
            due_ms.write(closing.due_ms)
            due.set(Timestamp(micros=closing.due_ms * 1000))
        if closing.emit:
            number = (round_.read() or 0) + 1
            round_.write(number)
            files = tuple(tuple(name.file for name in span.segments) for span in closing.emit)
            yield participant, Firing(number, files, self._is_before_its_time(self._stream, now_ms)).to_json()

    def _is_before_its_time(self, stream: Stream, now_ms: int) -> bool:
        """Whether a drain took the watermark to where time has not come yet."""
        if now_ms > self._watermark_ms:
            self._watermark_ms = stream.time.watermark_ms() + _CLOCK_TOLERANCE_MS
        return now_ms > self._watermark_ms


def _names_of(participant: str, entry: str) -> list[SegmentName]:
    """The name that an entry of the state is, or the names of the emitted span."""
    return [SegmentName.from_file(participant, file) for file in entry.removeprefix(_EMITTED).split(" ")]


def _all_spans(participant: str, entries: Iterable[str], options: SpanOptions) -> list[Span]:
    names = [SegmentName.from_file(participant, file) for file in entries]
    return spans(names, gap_ms=options.gap_ms, longest_ms=options.longest_ms)


# --------------------------------------------------------------------------------------- one firing of a stream


@dataclass
class Closing:
    """What a firing does: spans to emit, state to keep, the next time to fire, what is closed for good."""

    emit: list[Span] = field(default_factory=list)
    keep: list[str] = field(default_factory=list)
    due_ms: int | None = None
    closed_ms: int = 0

    def again_at(self, time_ms: int) -> None:
        """Fire then at the latest."""
        self.due_ms = time_ms if self.due_ms is None else min(self.due_ms, time_ms)


def close(participant: str, entries: Iterable[str], options: SpanOptions, *, lateness_ms: int, now_ms: int) -> Closing:
    """The pure part of a firing at `now_ms`, by the `entries` of the state.

    What touches is kept until all of it is over: a part that was forgotten would change how the rest is cut.
    """
    held = {entry: frozenset(_names_of(participant, entry)) for entry in entries}
    emitted = {name: span for entry, span in held.items() if entry.startswith(_EMITTED) for name in span}
    closing = Closing()
    for touching in components(Names().union(*held.values()), options.gap_ms, options.longest_ms):
        standing = _emit(touching, emitted, options, now_ms, closing)
        over_ms = options.over_ms(touching)
        if over_ms + lateness_ms > now_ms:
            closing.keep += [emitted_entry(name.file for name in span) for span in standing]
            closing.again_at(over_ms + lateness_ms)
        elif not _is_alone(touching, options):
            closing.closed_ms = max(closing.closed_ms, over_ms)
    closing.emit.sort(key=lambda span: (min(name.first_ms for name in span.segments), span.segments))
    closing.keep.sort()
    return closing


def _is_alone(touching: list[SegmentName], options: SpanOptions) -> bool:
    """Whether it is a segment that claims to be too long: it must not close what its neighbors may still say."""
    return options.longest_ms is not None and touching[0].duration_ms > options.longest_ms


def _emit(
    touching: list[SegmentName], emitted: dict[SegmentName, Names], options: SpanOptions, now_ms: int, closing: Closing
) -> set[Names]:
    """Emit what is over of a component, keep what waits; the spans of it that then stand as emitted.

    Pieces that replace the same emitted span come out together, as soon as one is over: else a part of what was there
    would be gone for a while.
    """
    pieces = [frozenset(piece) for piece in cut(touching, options.longest_ms)]
    standing = {piece for piece in pieces if all(emitted.get(name) == piece for name in piece)}
    for group in _groups([piece for piece in pieces if piece not in standing], emitted):
        inside = Names().union(*group)
        over_ms = min(options.over_ms(piece) for piece in group)
        if over_ms <= now_ms:
            closing.emit += [span_of(piece) for piece in group]
            standing.update(group)
        else:
            closing.again_at(over_ms)
            closing.keep += [name.file for name in inside - emitted.keys()]
            standing |= {emitted[name] for name in inside & emitted.keys()}
    return standing


def _groups(pieces: list[Names], emitted: dict[SegmentName, Names]) -> list[list[Names]]:
    """Pieces that share an emitted span, directly or over others, come together."""
    groups: list[tuple[Names, list[Names]]] = []
    for piece in pieces:
        reach: Names = piece.union(*(emitted.get(name, Names()) for name in piece))
        met = [group for group in groups if not group[0].isdisjoint(reach)]
        groups = [group for group in groups if group not in met]
        groups.append((reach.union(*(group[0] for group in met)), [p for g in met for p in g[1]] + [piece]))
    return [group for _, group in groups]
