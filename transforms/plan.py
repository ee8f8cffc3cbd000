"""Plan: which spans of a participant an incremental run takes up, and which names wait. A pure function of names.

The rule that makes many runs equal to one batch run: a planned span is what `spans` gives over all names that are known
(built, dead, new). It is done if it holds nothing new and what came of it is committed; otherwise it is built, all of
it, once it is over. So whatever came when, in the end the planned spans of the batch run are the ones that are done.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass

from taskreel.io.names import SegmentName
from taskreel.transforms.spans import Span, SpanOptions, spans


@dataclass(frozen=True)
class CommittedSpan:
    """A span that has rows in `episodes`, with its segments' files. `provisional`: cut short, to be built again."""

    span_id: str
    files: tuple[str, ...]
    provisional: bool = False

    def names(self, participant: str) -> frozenset[SegmentName]:
        """The names of its segments."""
        return frozenset(SegmentName.from_file(participant, file) for file in self.files)

    def to_json(self) -> str:
        """One line."""
        return json.dumps(astuple(self))

    @classmethod
    def from_json(cls, line: str) -> CommittedSpan:
        """What `to_json` wrote."""
        span_id, files, provisional = json.loads(line)
        return cls(span_id, tuple(files), provisional)


@dataclass(frozen=True)
class Known:
    """What is known of a participant before a run: the committed spans in reach, and the names of dead letters."""

    spans: tuple[CommittedSpan, ...] = ()
    dead: frozenset[SegmentName] = frozenset()

    def built(self, participant: str) -> set[SegmentName]:
        """The names that lie in a committed span which is not provisional."""
        return {name for span in self.spans if not span.provisional for name in span.names(participant)}


@dataclass(frozen=True)
class Plan:
    """What a run does with a participant.

    `groups` are the spans to build; those of one group replace the same committed span, so they are one change.
    `waiting` are new names in spans that may still grow.
    """

    groups: list[list[Span]]
    waiting: list[SegmentName]


def plan(found: Iterable[SegmentName], known: Known, options: SpanOptions, *, watermark_ms: int | None) -> Plan:
    """The plan for one participant's `found` names, old and new; `watermark_ms` None means that everything is over.

    `known.spans` has to hold every committed span that a new name can reach (see `known.reach_days`), each whole.
    A span is over when it ended a gap before the watermark. Of spans that replace the same committed span, all are
    built as soon as one is over: else segments that are in the dataset would leave it for a while. Spans without a new
    name do not wait: nothing that comes would point to them again.
    """
    found = set(found)
    if not found:
        return Plan([], [])
    participant = next(iter(found)).participant
    built = known.built(participant)
    new = found | {name for span in known.spans if span.provisional for name in span.names(participant)}
    new -= built | known.dead
    final = {span.span_id for span in known.spans if not span.provisional}
    changed = [
        span
        for span in _touched(built | new | known.dead, new, options)
        if not new.isdisjoint(span.segments) or not _ids(built.intersection(span.segments), options) <= final
    ]
    groups, waiting = [], []
    for group in _groups(changed, [span.names(participant) for span in known.spans]):
        inside = new.intersection(name for span in group for name in span.segments)
        if not inside or any(is_over(span, options, watermark_ms) for span in group):
            groups.append(group)
        else:
            waiting += sorted(inside)
    return Plan(groups, waiting)


def is_over(span: Span, options: SpanOptions, watermark_ms: int | None) -> bool:
    """Whether nothing is expected to join a span."""
    return watermark_ms is None or options.over_ms(span.segments) <= watermark_ms


def _touched(names: set[SegmentName], new: set[SegmentName], options: SpanOptions) -> Iterator[Span]:
    """The planned spans of what is connected with a new name: how that is cut can change, and nothing else can.

    At the edge of what was loaded a component may not be whole; to judge one that no new name touches would be wrong.
    """
    longest_ms = options.longest_ms
    alone = {name for name in names if longest_ms is not None and name.duration_ms > longest_ms}
    components = [set(span.segments) for span in spans(names - alone, gap_ms=options.gap_ms)]
    for component in (*components, *({name} for name in sorted(alone))):
        if not new.isdisjoint(component):
            yield from spans(component, gap_ms=options.gap_ms, longest_ms=longest_ms)


def _ids(built: set[SegmentName], options: SpanOptions) -> set[str]:
    """The ids of the spans that come of a planned span whose segments `built` were admitted."""
    return {span.span_id for span in spans(built, gap_ms=options.gap_ms)}


def _groups(changed: list[Span], committed: list[frozenset[SegmentName]]) -> list[list[Span]]:
    """Spans that share a committed span, directly or over others, come together."""
    group_of = list(range(len(changed)))
    for names in committed:
        shared = {group_of[number] for number, span in enumerate(changed) if not names.isdisjoint(span.segments)}
        group_of = [min(shared) if group in shared else group for group in group_of]
    groups: dict[int, list[Span]] = {}
    for span, group in zip(changed, group_of, strict=True):
        groups.setdefault(group, []).append(span)
    return list(groups.values())
