"""Take: from what is new to the spans that a run builds. Reads of the dataset only what the new names can touch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam

from taskreel.io.names import SegmentName
from taskreel.transforms.accounts import Account
from taskreel.transforms.known import Base, reach_days
from taskreel.transforms.plan import CommittedSpan, Known, plan
from taskreel.transforms.progress import Progress
from taskreel.transforms.spans import SpanOptions

ACCOUNT = "account"
_PARTS_AT_ONCE = 8
"""Opening a table reads its log: once for so many parts."""


@dataclass(frozen=True)
class TakeOptions:
    """The dataset, how names become spans, and what is over; `watermark_ms` None means everything."""

    base: Base
    spans: SpanOptions
    watermark_ms: int | None
    progress: str = ""


class TakeSpans(beam.PTransform):
    """{names, still_dead} → (participant, lists of names of spans to build), and the output `ACCOUNT` of what waits."""

    def __init__(self, options: TakeOptions) -> None:
        super().__init__()
        self.options = options

    def expand(self, news: dict[str, Any]) -> Any:
        """Read the parts of `episodes` in reach, bring together what is known of each participant, plan."""
        known = (
            news["names"]
            | "DaysInReach" >> beam.ParDo(_DaysDoFn(self.options.spans))
            | "GroupByDay" >> beam.GroupByKey()
            | "BatchParts" >> beam.BatchElements(min_batch_size=_PARTS_AT_ONCE, max_batch_size=_PARTS_AT_ONCE)
            | "ReadParts" >> beam.FlatMap(_read_parts, self.options.base)
        )
        return (
            {"found": news["names"], "spans": known, "dead": news["still_dead"]}
            | "GroupByParticipant" >> beam.CoGroupByKey()
            | "Plan" >> beam.ParDo(_PlanDoFn(self.options)).with_outputs(ACCOUNT, main="spans")
        )


@beam.typehints.with_output_types(tuple[str, str])
class _DaysDoFn(beam.DoFn):
    """(participant, file) → (day of a part, participant), once a bundle."""

    def __init__(self, options: SpanOptions) -> None:
        self._options = options

    def start_bundle(self) -> None:
        self._seen: set[tuple[str, str]] = set()

    def process(self, element: tuple[str, str]) -> Iterator[tuple[str, str]]:
        participant, file = element
        for day in reach_days(SegmentName.from_file(participant, file), self._options):
            if (day, participant) not in self._seen:
                self._seen.add((day, participant))
                yield day, participant


def _read_parts(days: list[tuple[str, Iterable[str]]], base: Base) -> Iterator[tuple[str, str]]:
    """A participant's spans of some more days do no harm: what no new name touches is not judged."""
    wanted = {participant for _, participants in days for participant in participants}
    for participant, found in base.spans({day for day, _ in days}, wanted).items():
        for span in found:
            yield participant, span.to_json()


class _PlanDoFn(beam.DoFn):
    def __init__(self, options: TakeOptions) -> None:
        self._options = options

    def setup(self) -> None:
        self._progress = Progress(self._options.progress)

    def process(self, element: tuple[str, dict[str, Iterable[str]]]) -> Iterator[Any]:
        participant, parts = element
        found, dead = ({SegmentName.from_file(participant, file) for file in parts[tag]} for tag in ("found", "dead"))
        spans = tuple(CommittedSpan.from_json(line) for line in sorted(set(parts["spans"])))
        options = self._options
        planned = plan(found, Known(spans, frozenset(dead)), options.spans, watermark_ms=options.watermark_ms)
        for group in planned.groups:
            yield participant, [[name.file for name in span.segments] for span in group]
        if planned.waiting:
            yield beam.pvalue.TaggedOutput(ACCOUNT, json.dumps(_waiting(planned.waiting).as_dict()))
            self._progress.add(waiting=len(planned.waiting))

    def finish_bundle(self) -> None:
        self._progress.flush()


def _waiting(names: list[SegmentName]) -> Account:
    events = sum(name.events for name in names)
    counts = {"segments.read": len(names), "segments.waiting": len(names)}
    return Account(counts | {"events.read": events, "events.waiting": events})
