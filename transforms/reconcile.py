"""Reconcile: what came for days that a stream polls no longer, such as from a laptop that returns after a week.

A few old days at a time are listed and compared with what is committed. What the dataset does not know goes to `late/`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam
from apache_beam.coders import StrUtf8Coder
from apache_beam.io.watch import PollFn, PollResult, Watch
from apache_beam.utils.timestamp import Timestamp

from taskreel.io.names import SegmentName
from taskreel.io.stores import open_store
from taskreel.io.tables import commit_of
from taskreel.transforms.discover import named
from taskreel.transforms.discover_new import Days, day_of, late_files
from taskreel.transforms.known import Base, KnownFiles
from taskreel.transforms.late import Late
from taskreel.transforms.watching import WatchOptions

_DAY_MS = 86_400_000


@dataclass(frozen=True)
class ReconcileOptions:
    """The dataset that is compared with, how many days at a time, how often. `longest_ms` is that of a span."""

    watch: WatchOptions
    output: str
    longest_ms: int
    days: int = 10
    every_s: float = 3600.0


class Reconcile(beam.PTransform):
    """Applied to a pipeline: lines of `Late`."""

    def __init__(self, options: ReconcileOptions) -> None:
        super().__init__()
        self.options = options

    def expand(self, pipeline: Any) -> Any:
        """Look again and again. What is found twice is harmless: the commit knows what lies in `late/`."""
        interval = self.options.watch.time.real_s(self.options.every_s)
        return (
            pipeline
            | "Input" >> beam.Create([self.options.watch.selection.root])
            | "WatchOldDays" >> Watch(_OldDays(self.options), interval, timestamp_cursor=True)
            | "Late" >> beam.Values().with_output_types(str)
        )


class _OldDays(PollFn):
    """What is found is forgotten at the next poll, since the time moves on: so it need not be remembered for good."""

    def __init__(self, options: ReconcileOptions) -> None:
        self._options = options

    def __call__(self, root: str) -> PollResult[str]:
        time = self._options.watch.time
        now = Timestamp(micros=time.watermark_ms() * 1000)
        lines = [late.to_json() for late in unknown(self._options, time.now_us(), time.watermark_ms())]
        return PollResult.incomplete(lines, now).with_watermark(now)

    def default_output_coder(self) -> Any:
        return StrUtf8Coder()


def unknown(options: ReconcileOptions, now_us: int, watermark_ms: int) -> Iterator[Late]:
    """Segments of some old days that are not in the dataset, not dead and not noted as late."""
    selection, output = options.watch.selection, open_store(options.output)
    store = open_store(selection.root)
    folders = _old(options, selection.days(store), now_us, watermark_ms)
    if not folders:
        return
    commit = commit_of(output)
    base = Base.of(options.output, commit)
    known = KnownFiles(base, options.longest_ms)
    seen = known.of_days(str(day_of(folder)) for folder in folders)
    seen |= {(name.participant, name.file) for names in late_files(output).values() for name in names}
    for entry in (entry for folder in folders for entry in selection.entries(store, folder)):
        name = None if entry.name in known.dead else named(entry)
        if isinstance(name, SegmentName) and (name.participant, name.file) not in seen:
            yield Late(name.participant, name.file, entry.size_bytes, "day_closed")


def _old(options: ReconcileOptions, folders: list[str], now_us: int, watermark_ms: int) -> list[str]:
    """Of the days that are polled no longer, some, others each time. One that was closed just now is left in peace:
    spans of it may be on their way.
    """
    rest = replace(options.watch, first_ms=0, closed_after_ms=options.watch.closed_after_ms + options.longest_ms)
    old = [f for f in folders if (day := day_of(f)) and not rest.is_polled(day, watermark_ms)]
    return Days(from_ms=watermark_ms + _DAY_MS, rescan=options.days, as_of_us=now_us).of(old)
