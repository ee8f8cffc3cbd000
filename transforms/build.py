"""Build: from the segments of a span to the drafts of its episodes.

`build_span` is the pure function, with no Beam and no files; `BuildSpans` reads segments for it.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taskreel.io.events import Kind
from taskreel.io.names import SegmentName
from taskreel.io.segments import Segment, SegmentHeader
from taskreel.io.stores import open_store
from taskreel.transforms import metrics
from taskreel.transforms.accounts import Account
from taskreel.transforms.actions import REDUCER_VERSION, ActionFlag, ActionOptions, Drop, reduce_actions
from taskreel.transforms.admit import Admission, Consents
from taskreel.transforms.dead import UNREADABLE, Dead
from taskreel.transforms.episodes import Episode, EpisodeOptions, Task, cut_episodes
from taskreel.transforms.merge import Merged, merge_segments
from taskreel.transforms.prefetch import prefetched
from taskreel.transforms.progress import Progress
from taskreel.transforms.sessionize import Firing
from taskreel.transforms.sessions import OUTSIDE, assign_sessions
from taskreel.transforms.spans import Span, spans
from taskreel.transforms.steps import DRAFT_SCHEMA, Draft, Picture, Source, find_pictures, observe
from taskreel.transforms.stream_time import StreamTime
from taskreel.transforms.taken import Taken

_ID_BYTES = 10
_SPANS_AT_ONCE = 16


@dataclass(frozen=True)
class BuildOptions:
    """How a span becomes episodes.

    `session_gap_s`: a longer pause in activity ends a session. `clock_correction_s`: by how much the times of a device
    may be corrected by its clock anchors; what needs more is left as it is and flagged.
    """

    session_gap_s: float = 600.0
    clock_correction_s: float = 60.0
    actions: ActionOptions = field(default_factory=ActionOptions)
    episodes: EpisodeOptions = field(default_factory=EpisodeOptions)


@dataclass(frozen=True)
class Built:
    """The drafts of a span's episodes and residues, in order of time, and where its events went."""

    drafts: list[Draft]
    account: Account


def build_span(segments: list[Segment], options: BuildOptions) -> Built:
    """Merge the segments of one span, split them into sessions, reduce each to actions and cut these into episodes.

    Every segment of the span is listed with each of its episodes; a span without actions gives one residue.
    """
    merged = merge_segments(segments, most_us=int(options.clock_correction_s * 1_000_000))
    span = Span(segments[0].header.participant, tuple(segment.name for segment in merged.segments))
    pictures = find_pictures(merged)
    counts: Counter[str] = Counter({Drop.DUPLICATE.name.lower(): merged.duplicates})
    session = assign_sessions(
        merged.events.column("time_us").to_numpy(),
        merged.events.column("kind").to_numpy(),
        gap_us=int(options.session_gap_s * 1_000_000),
    )
    drafts: list[Draft] = []
    bounds = _runs(session)
    for number in range(session.max(initial=OUTSIDE) + 1):
        first, end = bounds[number]
        inside = merged.events.slice(first, end - first)
        if (session[first:end] == OUTSIDE).any():
            inside = inside.filter(pa.array(session[first:end] == number))
        drafts += _build_session(inside, merged, span, pictures, options, counts)
    counts[Drop.OUTSIDE_SESSION.name.lower()] += int((session == OUTSIDE).sum())
    if not drafts:
        drafts = [_empty_draft(merged, span)]
    return Built(drafts, _account(merged, drafts, counts))


def _runs(session: np.ndarray) -> dict[int, tuple[int, int]]:
    """First and end row of each session; events outside of any may lie between."""
    numbers = np.arange(session.max(initial=OUTSIDE) + 1)
    is_inside = np.flatnonzero(session != OUTSIDE)
    first = np.searchsorted(session[is_inside], numbers, side="left")
    last = np.searchsorted(session[is_inside], numbers, side="right") - 1
    return {int(n): (int(is_inside[a]), int(is_inside[b]) + 1) for n, a, b in zip(numbers, first, last, strict=True)}


def _build_session(
    events: pa.Table,
    merged: Merged,
    span: Span,
    pictures: dict[str, Picture],
    options: BuildOptions,
    counts: Counter[str],
) -> list[Draft]:
    reduction = reduce_actions(events, options.actions)
    for drop, count in zip(*np.unique(reduction.owner[reduction.owner < 0], return_counts=True), strict=True):
        counts[Drop(drop).name.lower()] += int(count)
    counts["in_steps"] += int((reduction.owner >= 0).sum())
    actions = reduction.actions
    if not actions.num_rows:
        return []
    steps = _draft_steps(events, actions, merged, pictures, options.actions)
    tasks = _tasks(events)
    session_id = _id(span.participant, "session", *_first_event(events, merged))
    return [
        _draft(episode, steps, actions, merged, span, session_id)
        for episode in cut_episodes(actions, tasks, options.episodes)
    ]


@dataclass(frozen=True)
class _Steps:
    batch: pa.Table
    sources: list[Source]
    pictures: list[Picture]


def _draft_steps(
    events: pa.Table, actions: pa.Table, merged: Merged, pictures: dict[str, Picture], rules: ActionOptions
) -> _Steps:
    seen = observe(events, actions, same_screen_ppm=rules.same_screen_ppm)
    places = list(pictures.values())
    number = {picture.hash: index for index, picture in enumerate(places)}
    picture, has_screen = _picture_numbers(events, seen.row, number)
    approach, _ = _picture_numbers(events, seen.approach_row, number)
    start_us = actions.column("start_us").to_numpy()
    time_us = events.column("time_us").to_numpy()
    extra = {
        "duration_us": actions.column("end_us").to_numpy() - start_us,
        "seqs": (actions.column("last_seq").to_numpy() - actions.column("first_seq").to_numpy()).astype(np.int32),
        "source": actions.column("segment"),
        "picture": pa.array(picture, pa.int32(), mask=picture < 0),
        "image_age_us": pa.array(start_us - time_us[seen.row], mask=picture < 0),
        "approach_picture": pa.array(approach, pa.int32(), mask=approach < 0),
        "approach_image_age_us": pa.array(start_us - time_us[seen.approach_row], mask=approach < 0),
        "focus_changed": pa.array(seen.focus_changed, mask=~has_screen),
        "screen_changed": pa.array(seen.changed, mask=~has_screen),
        "screen_change_ppm": pa.array(seen.change_ppm, mask=~has_screen | (seen.change_ppm < 0)),
        "flags": actions.column("flags").to_numpy()
        | _bit(ActionFlag.NO_PICTURE, ~has_screen)
        | _bit(ActionFlag.PICTURE_MISSING, has_screen & (picture < 0))
        | _bit(ActionFlag.CLOCK_UNALIGNED, _is_unaligned(events, actions, merged)),
    }
    columns = [extra[f.name] if f.name in extra else actions.column(f.name).cast(f.type) for f in DRAFT_SCHEMA]
    return _Steps(pa.table(columns, schema=DRAFT_SCHEMA), _sources(merged), places)


def _is_unaligned(events: pa.Table, actions: pa.Table, merged: Merged) -> np.ndarray:
    """Whether the clock of an action's device cannot be aligned with that of another one in the session."""
    used = np.unique(events.column("device").to_numpy())
    device = actions.column("device").to_numpy()
    return merged.is_unaligned[device] if len(used) > 1 else np.zeros(len(device), bool)


def _picture_numbers(events: pa.Table, rows: np.ndarray, number: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """The number of the picture that each screen event shows, -1 for none, and whether there was such an event."""
    hashes = events.column("picture_hash").take(pa.array(rows, mask=rows < 0)).to_pylist()
    return np.array([number.get(value, -1) for value in hashes], np.int32), rows >= 0


def _bit(flag: ActionFlag, where: np.ndarray) -> np.ndarray:
    return np.where(where, np.int32(flag), np.int32(0))


def _sources(merged: Merged) -> list[Source]:
    sources = []
    for segment in merged.segments:
        header, screen = segment.header, segment.header.screen
        sources.append(
            Source(
                header.recording,
                header.consent_id,
                header.coordinate_space,
                header.keyboard_layout,
                screen.width_px if screen else None,
                screen.height_px if screen else None,
                screen.scale if screen else None,
            )
        )
    return sources


def _tasks(events: pa.Table) -> list[Task]:
    """The tasks that the person marked. A new start ends the task before it; an end without a start is nothing."""
    kinds = events.column("kind")
    is_mark = pc.is_in(kinds, value_set=pa.array([Kind.MARK_START, Kind.MARK_END], pa.int8()))
    tasks: list[Task] = []
    is_open = False
    for mark in events.filter(is_mark).select(["kind", "time_us", "text", "key"]).to_pylist():
        time_us = mark["time_us"]
        if is_open:
            begun = tasks[-1]
            outcome = mark["key"] if mark["kind"] == Kind.MARK_END else None
            tasks[-1] = Task(begun.start_us, time_us, begun.description, outcome)
        is_open = mark["kind"] == Kind.MARK_START
        if is_open:
            tasks.append(Task(time_us, None, mark["text"], None))
    return tasks


def _draft(episode: Episode, steps: _Steps, actions: pa.Table, merged: Merged, span: Span, session_id: str) -> Draft:
    mine = steps.batch.slice(episode.first, episode.end - episode.first)
    acts = actions.slice(episode.first, episode.end - episode.first)
    sources, mine = _renumbered(mine, ["source"], steps.sources)
    pictures, mine = _renumbered(mine, ["picture", "approach_picture"], steps.pictures)
    head = acts.slice(0, 1).to_pylist()[0]
    header = merged.segments[head["segment"]].header
    identity = (merged.devices[head["device"]], merged.recordings[head["recording"]], head["first_seq"])
    facts = {
        "episode_id": _id(span.participant, "episode", *identity),
        "kind": episode.kind,
        "session_id": session_id,
        "start_us": pc.min(acts.column("start_us")).as_py(),
        "end_us": int(pc.max(acts.column("end_us")).as_py()),
        "description": episode.task.description if episode.task else None,
        "outcome": episode.task.outcome if episode.task else None,
        "cut_reason": episode.cut_reason,
        "confidence": episode.confidence,
        "apps": sorted({app for app in acts.column("app").unique().to_pylist() if app}),
        "actions": _action_counts(acts),
        "flags": _episode_flags(merged),
        "quality": _quality(mine),
        **_consent(header),
        **_of_span(merged, span),
    }
    return Draft(facts, sources, pictures, mine.combine_chunks().to_batches()[0])


def _renumbered(table: pa.Table, columns: list[str], things: list[Any]) -> tuple[list[Any], pa.Table]:
    """Keep of `things` what `columns` refer to, in order of first use, and number the columns anew."""
    numbers = [pc.fill_null(table.column(name), -1).to_numpy() for name in columns]
    together = np.stack(numbers, axis=1).ravel()
    used, first = np.unique(together[together >= 0], return_index=True)
    used = used[np.argsort(first, kind="stable")]
    new = np.full(len(things) + 1, -1, np.int32)
    new[used] = np.arange(len(used))
    for name, old in zip(columns, numbers, strict=True):
        renumbered = new[old]
        column = pa.array(renumbered, pa.int32(), mask=renumbered < 0)
        table = table.set_column(table.schema.get_field_index(name), DRAFT_SCHEMA.field(name), column)
    return [things[index] for index in used.tolist()], table


def _empty_draft(merged: Merged, span: Span) -> Draft:
    """The residue that stands for a span in which nothing was done: its segments must be listed somewhere."""
    first = merged.segments[0].header
    facts = {
        "episode_id": _id(span.participant, "empty", first.device, first.recording, first.first_seq),
        "kind": "residue",
        "session_id": _id(span.participant, "session", first.device, first.recording, first.first_seq),
        "start_us": min(segment.header.first_us for segment in merged.segments),
        "end_us": max(segment.header.last_us for segment in merged.segments),
        "description": None,
        "outcome": None,
        "cut_reason": "no_actions",
        "confidence": 1.0,
        "apps": [],
        "actions": {},
        "flags": _episode_flags(merged),
        "quality": 0.0,
        **_consent(first),
        **_of_span(merged, span),
    }
    return Draft(facts, [], [], pa.RecordBatch.from_pylist([], schema=DRAFT_SCHEMA))


def _consent(header: SegmentHeader) -> dict[str, object]:
    return {
        "consent_id": header.consent_id,
        "consent_version": header.consent_version,
        "region": header.region,
        "reducer_version": REDUCER_VERSION,
    }


def _of_span(merged: Merged, span: Span) -> dict[str, object]:
    return {
        "participant": span.participant,
        "span_id": span.span_id,
        "segments": [segment.name.file for segment in merged.segments],
        "revision": 0,
    }


def _action_counts(actions: pa.Table) -> dict[str, int]:
    counts = actions.column("action").value_counts().to_pylist()
    return {row["values"]: row["counts"] for row in sorted(counts, key=lambda row: row["values"])}


def _episode_flags(merged: Merged) -> list[str]:
    flags = {"seq_gap": merged.gaps, "duplicates": merged.duplicates, "conflicts": merged.conflicts}
    return [name for name, count in flags.items() if count]


def _quality(steps: pa.Table) -> float:
    """The share of steps that have a picture, in whole percents: the measure that exists today."""
    seen = steps.num_rows - steps.column("picture").null_count
    return (100 * seen // steps.num_rows) / 100


def _first_event(events: pa.Table, merged: Merged) -> tuple[str, str, int]:
    first = events.slice(0, 1).select(["device", "recording", "seq"]).to_pylist()[0]
    return merged.devices[first["device"]], merged.recordings[first["recording"]], first["seq"]


def _id(*parts: object) -> str:
    """A stable id; it depends on events and not on how they were cut into segments."""
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=_ID_BYTES).hexdigest()


def _account(merged: Merged, drafts: list[Draft], counts: Counter[str]) -> Account:
    account = Account()
    account.add("segments.built", len(merged.segments))
    account.add("events.read", merged.events.num_rows + merged.duplicates)
    account.add("events.in_steps", counts.pop("in_steps", 0))
    for name, count in counts.items():
        account.add(f"events.dropped.{name}", count)
    account.add("events.conflicts", merged.conflicts)
    account.add("events.gaps", merged.gaps)
    account.add(
        "pictures.read",
        merged.events.column("picture_bytes").length() - merged.events.column("picture_bytes").null_count,
    )
    for draft in drafts:
        account.add(f"{draft.episode['kind']}s", 1)
        account.add("steps", draft.steps.num_rows)
        for action, count in draft.episode["actions"].items():
            account.add(f"actions.{action}", count)
    return account


# ------------------------------------------------------------------------------------------------ in a pipeline

DRAFT, DEAD, ACCOUNT, RESIDUE, TAKEN = "drafts", "dead", "account", "residue", "taken"


@dataclass(frozen=True)
class ReadOptions:
    """How workers read: the root of the segments, the time of the run, and how much is read ahead.

    `keep_committed`: the dataset may hold what is in the store no more; if a segment is not there, nothing of its span
    is built, so that what was committed of it stays. Otherwise such a segment is a dead letter.
    """

    root: str
    as_of_us: int
    span_gap_ms: int
    prefetch: int = 16
    progress: str = ""
    keep_committed: bool = False
    time: StreamTime | None = None
    """In a stream "now" is when a bundle begins."""

    def now_us(self) -> int:
        """As of when consent and times in the future are decided, microseconds UTC."""
        return self.as_of_us if self.time is None else self.time.now_us()


class BuildSpans(beam.PTransform):
    """(participant, names of a span) → (participant, episode id, draft bytes).

    In the place of the names may be several lists of names: spans that are one change, taken up together or not at all.
    Further outputs: `RESIDUE`, drafts without steps; `DEAD`, lines for the dead-letter file; `ACCOUNT`, numbers;
    `TAKEN`, a line of `Taken` for each element. Elements come in batches, so that the next one's reads are under way
    while one is built.
    """

    def __init__(self, read: ReadOptions, build: BuildOptions) -> None:
        super().__init__()
        self.read = read
        self.build = build

    def expand(self, spans: Any) -> Any:
        """Apply; the result has the outputs as attributes and items."""
        outputs = beam.ParDo(_BuildDoFn(self.read, self.build)).with_outputs(DEAD, ACCOUNT, RESIDUE, TAKEN, main=DRAFT)
        return _batched(spans) | "Build" >> outputs


Parts = list[tuple[str, bytes]]
"""What belongs together on its way to the commit: (tag, bytes)."""


class BuildUnits(beam.PTransform):
    """(participant, `Firing` as JSON) → (participant, everything that came of it as `Parts`).

    The outputs of `BuildSpans` in one element: what changed together stays together until it is committed.
    """

    def __init__(self, read: ReadOptions, build: BuildOptions) -> None:
        super().__init__()
        self.read = read
        self.build = build

    def expand(self, firings: Any) -> Any:
        """Apply."""
        build = beam.ParDo(_UnitDoFn(self.read, self.build)).with_output_types(tuple[str, Parts])
        return _batched(firings) | "Build" >> build


def _batched(spans: Any) -> Any:
    return spans | "BatchSpans" >> beam.BatchElements(min_batch_size=_SPANS_AT_ONCE, max_batch_size=_SPANS_AT_ONCE)


class _BuildDoFn(beam.DoFn):
    def __init__(self, read: ReadOptions, build: BuildOptions) -> None:
        self._read = read
        self._build = build

    def setup(self) -> None:
        self._store = open_store(self._read.root)
        self._progress = Progress(self._read.progress)

    def start_bundle(self) -> None:
        self._admission = Admission(Consents(self._store), self._read.now_us())

    def process(self, batch: list[tuple[str, list[str] | list[list[str]]]]) -> Iterator[Any]:
        for piece, spans_ in self._fetched([_Piece.of_names(*element) for element in batch]):
            for tag, value in self._together(piece, spans_):
                yield value if tag == DRAFT else beam.pvalue.TaggedOutput(tag, value)

    def finish_bundle(self) -> None:
        self._progress.flush()

    def _fetched(self, pieces: list[_Piece]) -> Iterator[tuple[_Piece, list[list[_Admitted]]]]:
        """Some pieces with their segments, read ahead."""
        fetched = prefetched(
            [name for piece in pieces for span in piece.spans for name in span],
            lambda name: self._store.read(str(name)),
            size_bytes=lambda name: 1,
            threads=self._read.prefetch if self._store.is_remote else 0,
            budget_bytes=max(1, self._read.prefetch),
        )
        for piece in pieces:
            yield piece, [[self._admit(*next(fetched)) for _ in span] for span in piece.spans]

    def _admit(self, name: SegmentName, data: Future[bytes]) -> _Admitted:
        return _Admitted(name, self._admission.admit(name, data), 0 if data.exception() else len(data.result()))

    def _without_bridges(self, segments: list[Segment]) -> list[list[Segment]]:
        """The spans of what was admitted: segments that only a dead one held together come out apart."""
        by_name = {segment.name: segment for segment in segments}
        return [[by_name[name] for name in span.segments] for span in spans(by_name, gap_ms=self._read.span_gap_ms)]

    def _together(self, piece: _Piece, planned: list[list[_Admitted]]) -> Iterator[tuple[str, Any]]:
        """Everything that comes of spans that are one change, tagged."""
        everything = [one for span in planned for one in span]
        taken = piece.taken(everything)
        if self._read.keep_committed and taken.missing:
            yield TAKEN, taken.to_json()
            return
        yield from ((DEAD, dead.to_json()) for dead in _dead(everything))
        account, span_ids = Account(), []
        for span in planned:
            for together in self._without_bridges([s.result for s in span if isinstance(s.result, Segment)]):
                began_s = time.monotonic()
                built = build_span(together, self._build)
                metrics.observe(span_build_ms=metrics.since_ms(began_s))
                account = Account.total([account.as_dict(), built.account.as_dict()])
                span_ids.append(built.drafts[0].episode["span_id"])
                for draft in built.drafts:
                    element = draft.episode["participant"], draft.episode["episode_id"], draft.to_bytes()
                    account.add("bytes.drafts", len(element[2]))
                    yield DRAFT if draft.steps.num_rows else RESIDUE, element
        read_bytes = sum(one.size_bytes for one in everything)
        account.add("segments.read", len(everything))
        account.add("bytes.read", read_bytes)
        yield ACCOUNT, json.dumps(account.as_dict())
        yield TAKEN, replace(taken, spans=tuple(span_ids)).to_json()
        self._tell(everything, account)

    def _tell(self, everything: list[_Admitted], account: Account) -> None:
        """What came of it, to the metrics and to the progress of a local run."""
        metrics.count_built(account)
        for dead in _dead(everything):
            metrics.count_dead(dead)
        for one in everything:
            metrics.observe(segment_bytes=one.size_bytes)
        read_bytes = account["bytes.read"]
        self._progress.add(segments=len(everything), read_bytes=read_bytes, episodes=account["episodes"])


class _UnitDoFn(_BuildDoFn):
    def process(self, batch: list[tuple[str, str]]) -> Iterator[tuple[str, Parts]]:  # type: ignore[override]
        for piece, spans_ in self._fetched([_Piece.of_firing(*element) for element in batch]):
            yield piece.participant, [(tag, _as_bytes(value)) for tag, value in self._together(piece, spans_)]


def _as_bytes(value: str | tuple[str, str, bytes]) -> bytes:
    return value.encode() if isinstance(value, str) else value[2]


@dataclass(frozen=True)
class _Admitted:
    """A segment that was read, or why it is not used; and how many bytes were read of it."""

    name: SegmentName
    result: Segment | Dead
    size_bytes: int


def _dead(everything: Iterable[_Admitted]) -> list[Dead]:
    """Those of them that are not used."""
    return [one.result for one in everything if isinstance(one.result, Dead)]


@dataclass(frozen=True)
class _Piece:
    """Spans that are one change."""

    participant: str
    spans: list[list[SegmentName]]
    round: int = 0
    provisional: bool = False

    @classmethod
    def of_names(cls, participant: str, names: list[str] | list[list[str]]) -> _Piece:
        files = [names] if isinstance(names[0], str) else names
        return cls(participant, [[SegmentName.from_file(participant, file) for file in span] for span in files])

    @classmethod
    def of_firing(cls, participant: str, line: str) -> _Piece:
        firing = Firing.from_json(line)
        piece = cls.of_names(participant, [list(span) for span in firing.spans])
        return replace(piece, round=firing.round, provisional=firing.provisional)

    def taken(self, everything: list[_Admitted]) -> Taken:
        is_missing = [isinstance(one.result, Dead) and one.result.code == UNREADABLE for one in everything]
        return Taken(
            self.participant,
            tuple(sorted((one.name.file, one.size_bytes) for one in everything)),
            round=self.round,
            provisional=self.provisional,
            missing=tuple(sorted(one.name.file for one, gone in zip(everything, is_missing, strict=True) if gone)),
        )
