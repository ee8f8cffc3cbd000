"""A stream beside incremental runs, killed and started again: whatever came when, it ends as one batch run.

By names only, with the real parts: the watch says which days are polled, `reload` what is read at a start, `close` what
a firing does, `resolve` what a commit changes and `known` which parts it reads.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import event, given, settings
from hypothesis import strategies as st
from span_oracle import components_by_pairs, pieces_by_pairs

from taskreel.io.names import SegmentName
from taskreel.io.parts import span_day
from taskreel.io.times import us_from_iso
from taskreel.transforms.changes import BuiltSpan, Group, resolve
from taskreel.transforms.discover import Selection
from taskreel.transforms.known import near_days
from taskreel.transforms.plan import CommittedSpan, Known, plan
from taskreel.transforms.reload import reloaded_days
from taskreel.transforms.sessionize import close, emitted_entry
from taskreel.transforms.spans import Span, SpanOptions
from taskreel.transforms.stream_time import StreamTime
from taskreel.transforms.taken import Taken
from taskreel.transforms.watching import WatchOptions, first_polled_ms

HOUR_MS = 3_600_000
BEGIN_MS = us_from_iso("2026-01-05T00:00:00Z") // 1000
Names = frozenset[SegmentName]


def name_of(first_h: float, lasts_h: float, recording: str = "r") -> SegmentName:
    first_ms = BEGIN_MS + int(first_h * HOUR_MS)
    last_ms = first_ms + int(lasts_h * HOUR_MS)
    return SegmentName("p", recording, int(first_h * 60), int(first_h * 60), first_ms, last_ms, "0" * 12)


def names_of(files: Names | frozenset[str]) -> Names:
    return frozenset(SegmentName.from_file("p", file) for file in files)


def built_of(piece: Names, bad: Names, gap_ms: int) -> set[Names]:
    """The spans that come out of what was planned as one, some of its segments being dead."""
    return {frozenset(group) for group in components_by_pairs(piece - bad, gap_ms)}


def batch(names: Names, bad: Names, options: SpanOptions) -> set[Names]:
    return {
        built
        for piece in pieces_by_pairs(names, options.gap_ms, options.longest_ms)
        for built in built_of(piece, bad, options.gap_ms)
    }


@dataclass
class Dataset:
    """A participant's part of a dataset; the parts that a commit reads are those of the real one."""

    options: SpanOptions
    bad: Names
    spans: list[BuiltSpan] = field(default_factory=list)
    dead: set[SegmentName] = field(default_factory=set)
    late: set[SegmentName] = field(default_factory=set)

    def final(self) -> set[SegmentName]:
        return {name for span in self.spans if not span.provisional for name in names_of(span.files)}

    def of_days(self, days: set[str]) -> list[BuiltSpan]:
        return [span for span in self.spans if span_day(span.files) in days]

    def group(self, pieces: list[Names], round_: int = 0, provisional: bool = False) -> Group:
        """What is built of some planned spans, as one change."""
        built = [b for piece in pieces for b in sorted(built_of(piece, self.bad, self.options.gap_ms), key=sorted)]
        made = [
            BuiltSpan("p", _id(names), frozenset(n.file for n in names), provisional=provisional) for names in built
        ]
        segments = tuple(sorted((name.file, 1) for piece in pieces for name in piece))
        return Group(Taken("p", segments, tuple(one.span_id for one in made), round_, provisional), tuple(made))

    def commit(self, groups: list[Group], *, rebase: bool) -> None:
        names = [name for group in groups for name in group.taken.names]
        days = {day for name in names for day in near_days(name, self.options)} if rebase else None
        read = self.spans if days is None else self.of_days(days)
        dead = {("p", name.file) for name in self.dead}
        found = resolve(read, groups, self.options if rebase else None, dead)
        self.spans = [span for span in self.spans if span.key not in found.removed] + list(found.added.values())
        for taken in found.accepted:
            self.dead = (self.dead - {*taken.names}) | ({*taken.names} & self.bad)
        new_late = {name for taken in found.late for name in taken.names} - self.final() - self.dead
        if found.late:
            event("a group was late")
        self.late |= new_late
        self.check()

    def check(self) -> None:
        files = [file for span in self.spans for file in span.files]
        assert len(files) == len(set(files)), "a segment lies in two spans"

    def run(self, found: Names, watermark_ms: int | None) -> None:
        """An incremental run."""
        spans = tuple(CommittedSpan(span.span_id, tuple(sorted(span.files)), span.provisional) for span in self.spans)
        known = Known(spans, frozenset(self.dead))
        planned = plan(found | self.late, known, self.options, watermark_ms=watermark_ms)
        self.commit([self.group([frozenset(s.segments) for s in group]) for group in planned.groups], rebase=False)
        self.late -= self.final() | self.dead


def _id(names: Names) -> str:
    return Span("p", tuple(sorted(names, key=lambda name: name.file))).span_id


@dataclass
class Stream:
    """One job: what it holds, and what it has built that is not committed yet."""

    dataset: Dataset
    lateness_ms: int
    begun_ms: int
    entries: set[str] = field(default_factory=set)
    seen: set[SegmentName] = field(default_factory=set)
    built: list[Group] = field(default_factory=list)
    too_late: set[SegmentName] = field(default_factory=set)
    closed_ms: int = -1
    due_ms: int | None = None
    round: int = 0

    def __post_init__(self) -> None:
        options = self.dataset.options
        closed_after_ms = options.gap_ms + self.lateness_ms
        first_ms = first_polled_ms(self.begun_ms, closed_after_ms)
        self.watch = WatchOptions(Selection("in"), StreamTime("in", 0), first_ms, closed_after_ms)
        self.floor_ms = first_ms - 1
        days = set(reloaded_days(first_ms, self.begun_ms, options))
        for span in self.dataset.of_days(days):
            if not span.provisional:
                self._add(emitted_entry(span.files), names_of(span.files))
        for name in self.dataset.dead:
            if name.day in days:
                entry = name.file if name.first_ms >= first_ms else emitted_entry([name.file])
                self._add(entry, frozenset([name]))

    def poll(self, published: Names, watermark_ms: int) -> None:
        for name in sorted(published - self.seen):
            if not self.watch.is_polled(name.day, watermark_ms):
                continue
            self.seen.add(name)
            if name.first_ms <= max(self.closed_ms, self.floor_ms):
                self.too_late.add(name)
            else:
                self._add(name.file, frozenset([name]))

    def _add(self, entry: str, names: Names) -> None:
        self.entries.add(entry)
        over_ms = self.dataset.options.over_ms(names)
        self.due_ms = over_ms if self.due_ms is None else min(self.due_ms, over_ms)

    def fire(self, watermark_ms: int, provisional: bool = False) -> None:
        """All timers that are due at a watermark, one after the other."""
        while self.due_ms is not None and self.due_ms <= watermark_ms:
            now_ms = max(self.due_ms, self.begun_ms)
            closing = close("p", self.entries, self.dataset.options, lateness_ms=self.lateness_ms, now_ms=now_ms)
            self.entries, self.due_ms = set(closing.keep), closing.due_ms
            self.closed_ms = max(self.closed_ms, closing.closed_ms)
            if closing.emit:
                self.round += 1
                pieces = [frozenset(span.segments) for span in closing.emit]
                self.built.append(self.dataset.group(pieces, self.round, provisional))

    def commit(self, count: int) -> None:
        groups, self.built = self.built[:count], self.built[count:]
        self.dataset.commit(groups, rebase=True)
        self.dataset.late |= self.too_late - self.dataset.final() - self.dataset.dead
        self.too_late = set()

    def drain(self, watermark_ms: int) -> None:
        """The watermark goes to the end of time; everything is committed."""
        self.fire(watermark_ms)
        self.fire(1 << 60, provisional=True)
        self.commit(len(self.built))


# ------------------------------------------------------------------------------------------------ any history

COMMIT, ADD, KILL, DRAIN = "commit", "add", "kill", "drain"


@dataclass(frozen=True)
class History:
    """Segments with the hour at which each is published, which are bad, and what happens."""

    options: SpanOptions
    lateness_ms: int
    published: dict[SegmentName, int]
    bad: Names
    happens: list[tuple[int, str]]


@st.composite
def histories(draw: st.DrawFn) -> History:
    options = SpanOptions(HOUR_MS, draw(st.sampled_from([2, 5, 8, 12, 20, 24, 30])) * HOUR_MS)
    longest_h = draw(st.sampled_from([0.25, 2.0, 12.0]))
    dense = draw(st.booleans())  # so that spans are cut
    published: dict[SegmentName, int] = {}
    at_h = float(draw(st.integers(0, 30)))
    for number in range(draw(st.integers(1, 14))):
        lasts_h = draw(st.sampled_from([0.0, 0.1, longest_h / 2, longest_h]))
        published[name_of(at_h, lasts_h, f"r{number}")] = int(at_h + lasts_h) + draw(
            st.sampled_from([1, 1, 1, 2, 3, 8, 30])
        )
        at_h += draw(st.sampled_from([0.25, 0.5, 1.0, 1.5] if dense else [0.5, 1.0, 2.5, 4.0, 9.0]))
        at_h += lasts_h if draw(st.booleans()) else 0.0
    names = sorted(published)
    bad = frozenset(name for name in names if draw(st.integers(0, 7)) == 0)
    kinds = st.sampled_from([COMMIT, COMMIT, ADD, ADD, KILL, DRAIN])
    happens = draw(st.lists(st.tuples(st.integers(0, 9), kinds), min_size=4, max_size=16))
    return History(options, draw(st.sampled_from([0, 4, 30])) * HOUR_MS, published, bad, happens)


def live(history: History) -> Dataset:
    """Let it happen. Deadline to publish: an hour, so some come late."""
    dataset = Dataset(history.options, history.bad)
    now_h = 0

    def watermark_ms() -> int:
        return BEGIN_MS + (now_h - 1) * HOUR_MS

    def published() -> Names:
        return frozenset(name for name, at_h in history.published.items() if at_h <= now_h)

    stream = Stream(dataset, history.lateness_ms, watermark_ms())
    for wait_h, kind in history.happens:
        for _ in range(wait_h):
            now_h += 1
            stream.poll(published(), watermark_ms())
            stream.fire(watermark_ms())
        if kind == COMMIT:
            stream.commit(len(stream.built))
        elif kind == ADD:
            dataset.run(published(), watermark_ms())
        elif kind == DRAIN:
            stream.poll(published(), watermark_ms())
            stream.drain(watermark_ms())
        if kind in (KILL, DRAIN):
            stream = Stream(dataset, history.lateness_ms, watermark_ms())
    stream.commit(len(stream.built))
    return dataset


@settings(max_examples=400)
@given(histories())
def test_any_history_of_a_stream_and_incremental_runs_ends_as_one_batch_run(history: History) -> None:
    dataset = live(history)
    names = frozenset(history.published)
    dataset.run(names, None)
    assert {names_of(span.files) for span in dataset.spans} == batch(names, history.bad, history.options)
    assert not any(span.provisional for span in dataset.spans)
    assert dataset.dead == history.bad
    assert not dataset.late
