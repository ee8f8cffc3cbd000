"""Discover: list the segments of an input, day by day, in workers. The job graph does not grow with the input."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import apache_beam as beam

from taskreel.io.names import SEGMENTS_PREFIX, SegmentName, SegmentNameError
from taskreel.io.stores import Entry, Store, open_store
from taskreel.io.times import iso_from_us
from taskreel.transforms.dead import Dead
from taskreel.transforms.metrics import count_dead

DEAD = "dead"


@dataclass(frozen=True)
class Selection:
    """Which segments of a store are the input: all below `root/segments/v1/`, or some.

    `pattern` is a glob on the path below the root, or on a folder there. `from_ms` (inclusive) and `until_ms`
    (exclusive) select by the time of a segment's first event, so that adjoining ranges share no segment;
    `participants` by pseudonym.
    """

    root: str
    pattern: str = ""
    from_ms: int | None = None
    until_ms: int | None = None
    participants: tuple[str, ...] = ()

    @classmethod
    def of_input(cls, url: str, **limits: Any) -> Selection:
        """The selection that `--input` names: a root, a place below `segments/v1/`, or a glob there."""
        root, found, below = url.rstrip("/").partition(SEGMENTS_PREFIX.rstrip("/"))
        below = below.strip("/")
        if not found:
            return cls(url.rstrip("/"), **limits)
        root = root.rstrip("/") or ("." if not url.startswith("/") else "/")
        if not below:
            return cls(root, **limits)
        return cls(root, SEGMENTS_PREFIX + below, **limits)

    def days(self, store: Store) -> list[str]:
        """The prefixes to list, one a day; what lies beside the days is listed with them."""
        return [folder for folder in store.folders(SEGMENTS_PREFIX) if self._may_hold(folder)]

    def entries(self, store: Store, day: str) -> Iterator[Entry]:
        """The files below a day's prefix that are selected."""
        for entry in store.files(day):
            if self.selects(entry.name):
                yield entry

    def selects(self, path: str) -> bool:
        """Whether a file is of the input. A file whose name cannot be read is, unless the limits need its name."""
        patterns = (self.pattern, f"{self.pattern}/*")  # a glob may name files or folders
        if self.pattern and not any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns):
            return False
        if self.from_ms is None and self.until_ms is None and not self.participants:
            return True
        try:
            name = SegmentName.parse(path)
        except SegmentNameError:
            return False
        return (
            (self.from_ms is None or name.first_ms >= self.from_ms)
            and (self.until_ms is None or name.first_ms < self.until_ms)
            and (not self.participants or name.participant in self.participants)
        )

    def _may_hold(self, folder: str) -> bool:
        day = folder.rstrip("/").rpartition("day=")[2]
        too_early = self.from_ms is not None and day < iso_from_us(self.from_ms * 1000)[:10]
        too_late = self.until_ms is not None and day > iso_from_us(self.until_ms * 1000)[:10]
        return not (too_early or too_late)


@dataclass(frozen=True)
class Found:
    """What `DiscoverSegments` gives: (participant, (file, size)), and dead letters for what is no segment's name."""

    names: Any
    dead: Any


class DiscoverSegments(beam.PTransform):
    """The names of an input's segments. Applied to a pipeline; returns `Found`."""

    def __init__(self, selection: Selection) -> None:
        super().__init__()
        self.selection = selection

    def expand(self, pipeline: Any) -> Found:
        """List the days, spread them, list each."""
        listed = (
            pipeline
            | "Input" >> beam.Create([asdict(self.selection)["root"]])
            | "ListDays" >> beam.FlatMap(_list_days, self.selection)
            | "SpreadDays" >> beam.Reshuffle()
            | "ListDay" >> beam.ParDo(_ListDay(self.selection)).with_outputs(DEAD, main="names")
        )
        return Found(listed.names, listed[DEAD])


def _list_days(root: str, selection: Selection) -> list[str]:
    return selection.days(open_store(root))


class _ListDay(beam.DoFn):
    def __init__(self, selection: Selection) -> None:
        self.selection = selection

    def process(self, day: str) -> Iterator[Any]:
        for entry in self.selection.entries(open_store(self.selection.root), day):
            found = named(entry)
            if isinstance(found, Dead):
                count_dead(found)
                yield beam.pvalue.TaggedOutput(DEAD, found.to_json())
            else:
                yield found.participant, (found.file, entry.size_bytes)


def named(entry: Entry) -> SegmentName | Dead:
    """The name of a listed file; a dead letter for a file that is no segment."""
    try:
        return SegmentName.parse(entry.name)
    except SegmentNameError as error:
        return Dead.of_error(entry.name, "name", error, size_bytes=entry.size_bytes)
