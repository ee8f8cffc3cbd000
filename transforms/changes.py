"""Changes: what a commit adds to a dataset and what leaves it. Pure functions of names, spans and lines.

What was built as one piece (`Taken`) replaces every span that shares a segment with it. Pieces are applied one after
the other, in the order of their rounds, as if each had been committed alone: so it does not matter which of them come
to one commit, or how often.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc

from taskreel.io.names import SegmentName
from taskreel.transforms.accounts import Account
from taskreel.transforms.dead import Dead
from taskreel.transforms.known import PROVISIONAL, name_of
from taskreel.transforms.spans import SpanOptions, spans
from taskreel.transforms.taken import Taken

SpanKey = tuple[str, str]
"""(participant, span id)."""
FileKey = tuple[str, str]
"""(participant, file of a segment)."""


@dataclass(frozen=True)
class BuiltSpan:
    """A span that has rows, committed or just built, with the files of the segments that it was built of."""

    participant: str
    span_id: str
    files: frozenset[str]
    revision: int = 0
    provisional: bool = False

    @property
    def key(self) -> SpanKey:
        """By which its rows are found."""
        return self.participant, self.span_id


@dataclass(frozen=True)
class Group:
    """What was built as one piece, and the spans that came of it."""

    taken: Taken
    spans: tuple[BuiltSpan, ...]

    @property
    def order(self) -> tuple[str, int, str]:
        """Of groups that share a segment, the later one counts."""
        return self.taken.participant, self.taken.round, self.taken.to_json()


@dataclass
class Resolution:
    """What a commit changes.

    `added` are the spans whose rows come in, `removed` the committed ones whose rows leave; a span that was provisional
    can be in both. `accepted` were taken up. `late` were not: another run has committed segments in the meantime that
    their spans belong together with, and that they do not know.
    """

    added: dict[SpanKey, BuiltSpan] = field(default_factory=dict)
    removed: set[SpanKey] = field(default_factory=set)
    accepted: list[Taken] = field(default_factory=list)
    late: list[Taken] = field(default_factory=list)
    built: set[FileKey] = field(default_factory=set)
    """The files of all spans that are there afterwards, of those that were given; `final` without the provisional."""
    final: set[FileKey] = field(default_factory=set)


def spans_of(rows: pa.Table, participants: Collection[str] | None = None) -> list[BuiltSpan]:
    """The spans of some rows of `episodes` (of some participants): files, largest revision, whether provisional."""
    if participants is not None:
        rows = rows.filter(pc.is_in(rows.column("participant"), pa.array(sorted(participants), pa.string())))
    found: dict[SpanKey, BuiltSpan] = {}
    for row in rows.select(["participant", "span_id", "segments", "revision", "flags"]).to_pylist():
        key = row["participant"], row["span_id"]
        revision = max(row["revision"], found[key].revision if key in found else 0)
        found[key] = BuiltSpan(*key, frozenset(row["segments"]), revision, PROVISIONAL in row["flags"])
    return list(found.values())


def groups_of(taken: Iterable[Taken], rows: pa.Table) -> list[Group]:
    """Each piece that was built, with its spans. Raises `ValueError` if rows of one of its spans are not there."""
    by_key = {span.key: replace(span, revision=0) for span in spans_of(rows)}
    groups = []
    for one in taken:
        keys = [(one.participant, span_id) for span_id in one.spans]
        if not all(key in by_key for key in keys):
            raise ValueError(f"participant {one.participant}: a span came to the commit without its rows")
        groups.append(Group(one, tuple(replace(by_key[key], provisional=one.provisional) for key in keys)))
    return groups


def resolve(
    committed: Iterable[BuiltSpan],
    groups: Iterable[Group],
    options: SpanOptions | None = None,
    dead: Collection[FileKey] = (),
) -> Resolution:
    """What groups of spans change in a dataset that holds `committed` spans.

    `committed` has to hold every span that shares a segment with a group. A span that is there already stays as it is,
    so a group that came before changes nothing. One that is provisional never replaces one that is final. A group that
    lacks a segment of a final span which it would replace knows less than the dataset: it changes nothing, and is
    `late`, so that nothing that was taken up once leaves the dataset. With `options` (of a stream, which does not see
    what others commit) so is one that would be cut otherwise with final spans of which it has no segment, and with what
    is `dead`: `committed` has to hold those that touch it.
    """
    before = {span.key: span for span in committed}
    held, found = _Held(before.values(), dead), Resolution()
    for group in sorted(groups, key=lambda group: group.order):
        touched = held.touching(group.taken)
        final = [span for span in touched if not span.provisional]
        if group.taken.provisional and final:
            continue
        knows_less = any(not span.files <= group.taken.files for span in final)
        if knows_less or (options is not None and held.is_cut_otherwise(group, options)):
            found.late.append(group.taken)
            continue
        found.accepted.append(group.taken)
        held.replace(touched, group.spans)
    found.added = {key: span for key, span in held.spans.items() if before.get(key) != span}
    found.removed = {key for key, span in before.items() if held.spans.get(key) != span}
    found.built = set(held.key_of_file)
    found.final = {file for file, key in held.key_of_file.items() if not held.spans[key].provisional}
    return found


class _Held:
    """The spans that are there while groups are applied, found by their files."""

    def __init__(self, spans: Iterable[BuiltSpan], dead: Collection[FileKey]) -> None:
        self.spans: dict[SpanKey, BuiltSpan] = {}
        self.key_of_file: dict[FileKey, SpanKey] = {}
        self.dead: dict[str, list[str]] = {}
        for participant, file in dead:
            self.dead.setdefault(participant, []).append(file)
        for span in spans:
            self._put(span)

    def touching(self, taken: Taken) -> list[BuiltSpan]:
        """The spans that share a segment with what was taken up."""
        keys = {self.key_of_file.get((taken.participant, file)) for file in taken.files}
        return [self.spans[key] for key in sorted(key for key in keys if key is not None)]

    def is_cut_otherwise(self, group: Group, options: SpanOptions) -> bool:
        """Whether, with the final spans of the participant that are there, what was built is not what is planned.

        So it is if they are one span with segments that were taken up, or if only together they last so long that they
        are cut, inside of one of these or of those.
        """
        participant, own = group.taken.participant, group.taken.files
        others = [
            span.files
            for span in self.spans.values()
            if span.participant == participant and not span.provisional and span.files.isdisjoint(own)
        ]
        files = own.union(*others, self.dead.get(participant, ()))
        names = (SegmentName.from_file(participant, file) for file in files)
        planned = spans(names, gap_ms=options.gap_ms, longest_ms=options.longest_ms)
        piece_of = {name.file: number for number, piece in enumerate(planned) for name in piece.segments}
        mine = {piece_of[file] for file in own}
        is_mixed = any(piece_of[file] in mine for span in others for file in span)
        whole = (*others, *(span.files for span in group.spans))
        return is_mixed or any(len({piece_of[file] for file in span}) > 1 for span in whole)

    def replace(self, old: list[BuiltSpan], new: Iterable[BuiltSpan]) -> None:
        """Put new spans in the place of old ones; what is in both stays as it is."""
        added = {span.key: span for span in new}
        replaced = [span for span in old if span.key not in added or span.provisional != added[span.key].provisional]
        stay = {span.key for span in old} - {span.key for span in replaced}
        for span in replaced:
            self._drop(span)
        for key, span in added.items():
            if key not in stay:
                revisions = [other.revision + 1 for other in replaced if other.files & span.files]
                self._put(replace(span, revision=max(revisions, default=0)))

    def _put(self, span: BuiltSpan) -> None:
        self.spans[span.key] = span
        self.key_of_file |= {(span.participant, file): span.key for file in span.files}

    def _drop(self, span: BuiltSpan) -> None:
        del self.spans[span.key]
        for file in span.files:
            del self.key_of_file[(span.participant, file)]


# ------------------------------------------------------------------------------------------------ dead letters


def dead_files(lines: Iterable[str]) -> set[FileKey]:
    """The segments that dead letters name; files that are no segments are left out."""
    names = (name_of(Dead(**json.loads(line))) for line in lines)
    return {(name.participant, name.file) for name in names if name is not None}


def merge_dead_letters(old: list[str], new: list[str], groups: list[Taken], found: Resolution) -> list[str]:
    """The dead letters of the next version, sorted: of what is not taken up now the old ones, and the new ones.

    `groups` is everything that was built. A line about a segment that was built and not accepted counts only if the
    segment was dead before; none is about a segment that is in a span.
    """
    before, now = _by_segment(old), _by_segment(new)
    accepted = {str(name) for taken in found.accepted for name in taken.names}
    tried = {str(name) for taken in groups for name in taken.names}
    in_spans = {
        str(SegmentName.from_file(taken.participant, file))
        for taken in groups
        for file in taken.files
        if (taken.participant, file) in found.built
    }
    lines = {segment: line for segment, line in before.items() if segment not in accepted}
    lines |= {s: line for s, line in now.items() if s in accepted or s in before or s not in tried}
    return sorted(line for segment, line in lines.items() if segment not in in_spans)


def _by_segment(lines: list[str]) -> dict[str, str]:
    return {json.loads(line)["segment"]: line for line in sorted(lines)}


def touches(taken: Taken, spans: Iterable[BuiltSpan]) -> bool:
    """Whether a segment that was taken up is in one of some spans."""
    return any(span.participant == taken.participant and span.files & taken.files for span in spans)


def past_retention(
    groups: Iterable[Taken], spans: Collection[BuiltSpan], dead: Collection[FileKey]
) -> tuple[list[str], Account]:
    """Of groups with segments that are in the store no more: dead letters, and the account beside them.

    A group that touches a span which is there cannot be built again, so what is new of it can never join: its segments
    are dead. The others wait: they are listed no more, or are there again next time.
    """
    known = {(span.participant, file) for span in spans for file in span.files} | set(dead)
    lines: set[str] = set()
    account = Account()
    for group in groups:
        new = [name for name in group.names if (name.participant, name.file) not in known]
        account.add("segments.read", len(new))
        if touches(group, spans):
            sizes = dict(group.segments)
            lines |= {_past_retention(name, sizes[name.file]).to_json() for name in new}
            continue
        events = sum(name.events for name in new)
        for counted, count in (("segments.waiting", len(new)), ("events.read", events), ("events.waiting", events)):
            account.add(counted, count)
    return sorted(lines), account


def _past_retention(name: SegmentName, size_bytes: int) -> Dead:
    error = FileNotFoundError(
        "it joins a span of the dataset that cannot be built again: segments of it are in the store no more"
    )
    return Dead.of_error(str(name), "span_past_retention", error, size_bytes=size_bytes, events=name.events)
