"""Known: what a dataset says of the names that a run meets, read from no more of it than they can touch.

A row of `episodes` lies in the part of the UTC day of its earliest segment (`io.parts.span_day`). So the days of some
names say which parts have to be read: `listing_days` to learn which of a day's names are committed, `reach_days` to
learn every committed span that a new name can change.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

from taskreel.io.names import MAX_MS, SegmentName, SegmentNameError
from taskreel.io.stores import open_store
from taskreel.io.tables import Commit, read_episodes
from taskreel.io.times import iso_from_us
from taskreel.transforms.dead import Dead
from taskreel.transforms.plan import CommittedSpan
from taskreel.transforms.spans import SpanOptions

PROVISIONAL = "provisional"
"""The flag of an episode whose span was cut short by a drain."""

_DAY_MS = 86_400_000

Spans = dict[str, list[CommittedSpan]]
"""Committed spans by participant."""


def listing_days(day: str, longest_ms: int) -> list[str]:
    """The parts in which the rows lie that can list a segment of a day: a span's first times lie within `longest_ms`.

    >>> listing_days("2026-03-01", 12 * 3_600_000)
    ['2026-02-28', '2026-03-01']
    """
    back = -(-longest_ms // _DAY_MS)
    last = date.fromisoformat(day)
    return [(last - timedelta(days=back - number)).isoformat() for number in range(back + 1)]


def near_days(name: SegmentName, options: SpanOptions) -> list[str]:
    """The parts in which every committed span lies that a segment touches, and enough beside to see how it is cut.

    A span that is touched ends at most a gap before the segment begins, and begins at most 2 x the longest span before
    that: a cell of the grid, and a segment as long as that. A segment that claims to be longer touches nothing.
    """
    longest_ms = longest_of(options)
    if name.duration_ms > longest_ms:
        return [name.day]
    return _days(name.first_ms - options.gap_ms - 2 * longest_ms, name.last_ms + options.gap_ms)


def reach_days(name: SegmentName, options: SpanOptions) -> list[str]:
    """The parts in which every committed span lies that a new name can change.

    A name can change the spans within 2 x the longest span + a gap of its times: what it is connected with is a span,
    or is longer and cut on the grid, and then the cells that change begin no further away than that. A row begins at
    most 2 x the longest span before a segment that is met. A segment that claims to be longer is alone in its span.
    """
    longest_ms = longest_of(options)
    if name.duration_ms > longest_ms:
        return [name.day]
    window_ms = 2 * longest_ms + options.gap_ms
    return _days(name.first_ms - window_ms - 2 * longest_ms, name.last_ms + window_ms)


def longest_of(options: SpanOptions) -> int:
    """The longest span, which an incremental run needs: without it, every name could reach everything."""
    if options.longest_ms is None:
        raise ValueError("an incremental run needs a longest span")
    return options.longest_ms


def _days(first_ms: int, last_ms: int) -> list[str]:
    """The days from one time to another, of those that a segment can have."""
    first, last = (min(max(time_ms, 0), MAX_MS) // _DAY_MS for time_ms in (first_ms, last_ms))
    return [iso_from_us(day * _DAY_MS * 1000)[:10] for day in range(first, last + 1)]


@dataclass(frozen=True)
class Base:
    """The version of a dataset that a run builds on; `version` None for a dataset that is not there yet."""

    output: str
    version: int | None = None
    dead_letter: str | None = None

    @classmethod
    def of(cls, output: str, commit: Commit | None) -> Base:
        """The version that a commit made."""
        return cls(output) if commit is None else cls(output, commit.version, commit.metadata.get("dead_letter"))

    def spans(self, days: Collection[str], participants: Collection[str] | None = None) -> Spans:
        """The committed spans whose rows lie in the parts of some days, by participant; of some of these only."""
        if self.version is None:
            return {}
        columns = ["participant", "span_id", "segments", "flags"]
        rows = read_episodes(open_store(self.output), self.version, columns, days=days)
        found: dict[str, dict[str, CommittedSpan]] = {}
        for row in rows.to_pylist():
            if participants is None or row["participant"] in participants:
                span = CommittedSpan(row["span_id"], tuple(row["segments"]), PROVISIONAL in row["flags"])
                found.setdefault(row["participant"], {})[span.span_id] = span
        return {participant: list(by_id.values()) for participant, by_id in found.items()}

    def dead(self) -> list[Dead]:
        """The dead letters of the version."""
        if self.dead_letter is None:
            return []
        lines = open_store(self.output).read(self.dead_letter).splitlines()
        return [Dead(**json.loads(line)) for line in lines]


def name_of(dead: Dead) -> SegmentName | None:
    """The name of a dead segment; None for a file that is none."""
    try:
        return SegmentName.parse(dead.segment)
    except SegmentNameError:
        return None


class KnownFiles:
    """What is not new in the listing of days: names in committed spans that are not provisional, and dead letters."""

    def __init__(self, base: Base, longest_ms: int) -> None:
        self._base = base
        self._longest_ms = longest_ms

    def of_days(self, days: Iterable[str]) -> set[tuple[str, str]]:
        """(participant, file) of the committed segments that the listings of some days can hold."""
        parts = {part for day in days for part in listing_days(day, self._longest_ms)}
        found = self._base.spans(parts) if parts else {}
        final = ((participant, s) for participant, spans in found.items() for s in spans if not s.provisional)
        return {(participant, file) for participant, span in final for file in span.files}

    @cached_property
    def dead(self) -> frozenset[str]:
        """The paths of the dead letters."""
        return frozenset(dead.segment for dead in self._base.dead())


def is_consumed(base: Base, names: Iterable[SegmentName], options: SpanOptions) -> bool:
    """Whether all names are committed or dead: whoever pointed to them may forget them."""
    files = KnownFiles(base, longest_of(options))
    others = [name for name in names if str(name) not in files.dead]
    return {(name.participant, name.file) for name in others} <= files.of_days({name.day for name in others})
