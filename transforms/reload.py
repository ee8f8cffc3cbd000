"""Reload: a stream that starts again has no state. What it needs to know of the dataset goes in where names go in.

A committed span enters as one that was emitted, so it is not built again unless something joins it. So does what is
dead: it is in no span, but with it a span may be so long that it is cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam

from taskreel.io.times import iso_from_us
from taskreel.transforms.known import Base, longest_of, name_of
from taskreel.transforms.sessionize import emitted_entry
from taskreel.transforms.spans import SpanOptions

_DAY_MS = 86_400_000


class ReloadSpans(beam.PTransform):
    """The committed spans of some days, and the dead segments. Applied to a pipeline: (participant, `emitted_entry`).

    A dead segment that begins at `listed_ms` or later enters as its name, as if it was listed: it is looked at again.
    """

    def __init__(self, base: Base, days: list[str], listed_ms: int) -> None:
        super().__init__()
        self.base = base
        self.days = days
        self.listed_ms = listed_ms

    def expand(self, pipeline: Any) -> Any:
        """Read each day's part, and the dead letters, in workers."""
        committed = (
            pipeline
            | "DaysInReach" >> beam.Create(self.days)
            | "SpreadDays" >> beam.Reshuffle()
            | "ReadSpans" >> beam.FlatMap(_entries, self.base).with_output_types(tuple[str, str])
        )
        dead = (
            pipeline
            | "Start" >> beam.Create([self.listed_ms])
            | "ReadDead" >> beam.FlatMap(_dead, self.base, frozenset(self.days)).with_output_types(tuple[str, str])
        )
        return (committed, dead) | "Known" >> beam.Flatten()


def reloaded_days(floor_ms: int, watermark_ms: int, options: SpanOptions) -> list[str]:
    """The parts of `episodes` with every span that a segment can change which begins after `floor_ms`.

    A span that is touched ended at most a gap before, and it, or the cells that it was cut into, began at most 2 x the
    longest span before that. A day more for segments whose clocks are ahead.
    """
    first_ms = max(floor_ms - options.gap_ms - 2 * longest_of(options), 0)
    return [
        iso_from_us(day * _DAY_MS * 1000)[:10]
        for day in range(first_ms // _DAY_MS, max(watermark_ms, first_ms) // _DAY_MS + 2)
    ]


def _entries(day: str, base: Base) -> Iterator[tuple[str, str]]:
    for participant, spans in sorted(base.spans([day]).items()):
        for span in spans:
            if not span.provisional:
                yield participant, emitted_entry(span.files)


def _dead(listed_ms: int, base: Base, days: frozenset[str]) -> Iterator[tuple[str, str]]:
    for name in filter(None, map(name_of, base.dead())):
        if name.day in days:
            yield name.participant, name.file if name.first_ms >= listed_ms else emitted_entry([name.file])
