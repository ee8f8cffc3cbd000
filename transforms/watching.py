"""Watch: the names of segments as they are published, day by day. Only their names: nothing is opened.

A day is an element of its own, which is polled until its lateness has passed. What a poll remembers of it are the names
that came in the last hour, by the time since when the store has them: so it does not grow with the day, nor with the
stream. A name that a store shows an hour after it was there would be missed, and found by `reconcile`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.coders import StrUtf8Coder, TupleCoder, VarIntCoder
from apache_beam.io.watch import PollFn, PollResult, Watch
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Duration, Timestamp

from taskreel.io.stores import Entry, open_store
from taskreel.io.times import us_from_iso
from taskreel.transforms.dead import Dead
from taskreel.transforms.discover import DEAD, Selection, named
from taskreel.transforms.discover_new import day_of
from taskreel.transforms.metrics import count_dead
from taskreel.transforms.stream_time import StreamTime

_DAY_MS = 86_400_000
_REMEMBERED = Duration(seconds=3600)
"""For stores whose clock is set back, or which show a file late."""


@dataclass(frozen=True)
class WatchOptions:
    """What is watched and how often. A day is polled from `first_ms` on, and until `closed_after_ms` after its end."""

    selection: Selection
    time: StreamTime
    first_ms: int
    closed_after_ms: int
    every_s: float = 30.0

    @property
    def interval(self) -> Duration:
        """Between two polls."""
        return Duration(micros=int(self.time.real_s(self.every_s) * 1_000_000))

    def is_polled(self, day: str, watermark_ms: int) -> bool:
        """Whether segments of a day are still expected, at a watermark."""
        starts_ms = us_from_iso(day) // 1000
        return starts_ms >= self.first_ms and watermark_ms < starts_ms + _DAY_MS + self.closed_after_ms


def first_polled_ms(watermark_ms: int, closed_after_ms: int) -> int:
    """Where the first day begins that a stream polls which starts at a watermark."""
    return max(watermark_ms - closed_after_ms, 0) // _DAY_MS * _DAY_MS


class WatchNames(beam.PTransform):
    """The names that are published. Applied to a pipeline: (participant, file), and the output `DEAD` of lines."""

    def __init__(self, options: WatchOptions) -> None:
        super().__init__()
        self.options = options

    def expand(self, pipeline: Any) -> Any:
        """Watch for days, watch each day for names."""
        options = self.options
        interval = options.interval
        days = (
            pipeline
            | "Input" >> beam.Create([options.selection.root])
            | "WatchDays" >> Watch(_Days(options), interval)
            | "Days" >> beam.Values().with_output_types(str)
        )
        return (
            days
            | "SpreadDays" >> beam.Reshuffle()
            | "WatchNames"
            >> Watch(
                _NamesOfDay(options),
                interval,
                output_key_fn=_path,
                output_key_coder=StrUtf8Coder(),
                timestamp_cursor=True,
                allowed_lateness=_REMEMBERED,
            )
            | "Names" >> beam.FlatMap(_named).with_output_types(tuple[str, str]).with_outputs(DEAD, main="names")
        )


class _Days(PollFn):
    """The folders of the days that are polled, each stamped with its begin: that holds the watermark until the first
    poll of its names.
    """

    def __init__(self, options: WatchOptions) -> None:
        self._options = options

    def __call__(self, root: str) -> PollResult[str]:
        watermark_ms = self._options.time.watermark_ms()
        folders = self._options.selection.days(open_store(root))
        days = {day: folder for folder in folders if (day := day_of(folder))}
        polled = [
            TimestampedValue(days[day], _timestamp(us_from_iso(day) // 1000))
            for day in sorted(days)
            if self._options.is_polled(day, watermark_ms)
        ]
        return PollResult.incomplete(polled).with_watermark(_timestamp(watermark_ms))

    def default_output_coder(self) -> Any:
        return StrUtf8Coder()


class _NamesOfDay(PollFn):
    """The files of one day with their sizes, stamped by the time since when the store has them; the last time when the
    day's lateness has passed.
    """

    def __init__(self, options: WatchOptions) -> None:
        self._options = options

    def __call__(self, folder: str) -> PollResult[tuple[str, int]]:
        watermark_ms = self._options.time.watermark_ms()
        selection = self._options.selection
        entries = selection.entries(open_store(selection.root), folder)
        found = [TimestampedValue((e.name, e.size_bytes), Timestamp(micros=e.created_us)) for e in entries]
        if not self._options.is_polled(str(day_of(folder)), watermark_ms):
            return PollResult.complete(found)
        return PollResult.incomplete(found).with_watermark(_timestamp(watermark_ms))

    def default_output_coder(self) -> Any:
        return TupleCoder([StrUtf8Coder(), VarIntCoder()])


def _path(listed: tuple[str, int]) -> str:
    return listed[0]


def _timestamp(time_ms: int) -> Timestamp:
    return Timestamp(micros=time_ms * 1000)


def _named(element: tuple[str, tuple[str, int]]) -> Iterator[Any]:
    found = named(Entry(*element[1]))
    if isinstance(found, Dead):
        count_dead(found)
        yield beam.pvalue.TaggedOutput(DEAD, found.to_json())
    else:
        yield found.participant, found.file
