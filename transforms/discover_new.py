"""Discover what is new: names that the dataset does not list, from three places, in workers.

From the listing of recent days and of a few older ones; from `late/`, where a streaming run put what came too late for
it; from the dead letters, where the reason may be gone: a consent record has changed, a future has come.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import apache_beam as beam

from taskreel.io.names import SegmentName
from taskreel.io.stores import Store, open_store
from taskreel.io.times import iso_from_us
from taskreel.transforms.admit import Consents
from taskreel.transforms.dead import FUTURE, REFUSED, Dead
from taskreel.transforms.discover import DEAD, Selection, named
from taskreel.transforms.known import Base, KnownFiles, name_of
from taskreel.transforms.metrics import count_dead
from taskreel.transforms.prefetch import prefetched

LATE_FOLDER = "late/"
STILL_DEAD = "still_dead"
_DAYS_AT_ONCE = 8
"""Opening a table reads its log: once for so many days."""


@dataclass(frozen=True)
class Days:
    """Which days are listed: those from `from_ms` on (None: all), and `rescan` older ones, others in each run.

    The older ones follow from the run's time, so that a run which is done again does the same.
    """

    from_ms: int | None = None
    rescan: int = 0
    as_of_us: int = 0

    def of(self, folders: list[str]) -> list[str]:
        """The folders to list, of those that there are; what is no day's folder is always listed."""
        if self.from_ms is None:
            return folders
        first = iso_from_us(max(self.from_ms, 0) * 1000)[:10]
        older = [folder for folder in folders if (day := day_of(folder)) and day < first]
        chosen = set(sorted(older, key=self._turn)[: self.rescan])
        return [folder for folder in folders if folder not in older or folder in chosen]

    def _turn(self, folder: str) -> bytes:
        return hashlib.blake2b(f"{self.as_of_us}:{folder}".encode(), digest_size=8).digest()


def day_of(folder: str) -> str | None:
    """The day of a listing prefix, None if it is not one that a segment can have."""
    day = folder.rstrip("/").rpartition("day=")[2]
    try:
        return day if date.fromisoformat(day) >= date(1970, 1, 1) and len(day) == len("YYYY-MM-DD") else None
    except ValueError:
        return None


@dataclass(frozen=True)
class NewsOptions:
    """What is looked at: the input, the dataset with its longest span, the days, and which dead letters.

    `retry_dead`: every one is looked at again.
    """

    selection: Selection
    base: Base
    longest_ms: int
    days: Days
    as_of_us: int
    retry_dead: bool = False
    prefetch: int = 16


@dataclass(frozen=True)
class News:
    """What `DiscoverNew` gives: (participant, file) of what may be new and of what is dead still, and dead letters."""

    names: Any
    still_dead: Any
    dead: Any


class DiscoverNew(beam.PTransform):
    """The names that are new to a dataset. Applied to a pipeline; returns `News`. The job graph does not grow."""

    def __init__(self, options: NewsOptions) -> None:
        super().__init__()
        self.options = options

    def expand(self, pipeline: Any) -> News:
        """List, take what came late, look at dead letters again."""
        start = pipeline | "Start" >> beam.Create([self.options.selection.root])
        listed = (
            start
            | "ChooseDays" >> beam.FlatMap(_list_days, self.options)
            | "SpreadDays" >> beam.Reshuffle()
            | "BatchDays" >> beam.BatchElements(min_batch_size=_DAYS_AT_ONCE, max_batch_size=_DAYS_AT_ONCE)
            | "ListDays" >> beam.ParDo(_ListNewDoFn(self.options)).with_outputs(DEAD, main="names")
        )
        late = start | "ReadLate" >> beam.FlatMap(_late, self.options)
        dead = start | "ReadDead" >> beam.ParDo(_DeadDoFn(self.options)).with_outputs(STILL_DEAD, main="again")
        names = (listed.names, late, dead.again) | "New" >> beam.Flatten()
        return News(names, dead[STILL_DEAD], listed[DEAD])


def _list_days(root: str, options: NewsOptions) -> list[str]:
    return options.days.of(options.selection.days(open_store(root)))


class _ListNewDoFn(beam.DoFn):
    """Compares the listings of days with what is committed of them right here: what is known is not shuffled."""

    def __init__(self, options: NewsOptions) -> None:
        self._options = options

    def start_bundle(self) -> None:
        self._known = KnownFiles(self._options.base, self._options.longest_ms)

    def process(self, folders: list[str]) -> Iterator[Any]:
        selection = self._options.selection
        known = self._known.of_days(day for folder in folders if (day := day_of(folder)))
        store = open_store(selection.root)
        for entry in (entry for folder in folders for entry in selection.entries(store, folder)):
            if entry.name in self._known.dead:
                continue
            found = named(entry)
            if isinstance(found, Dead):
                count_dead(found)
                yield beam.pvalue.TaggedOutput(DEAD, found.to_json())
            elif (found.participant, found.file) not in known:
                yield found.participant, found.file


def late_files(store: Store) -> dict[str, list[SegmentName]]:
    """The files in a dataset's `late/`, and the names in them."""
    return {
        entry.name: [
            SegmentName.from_file(line["participant"], line["file"])
            for line in map(json.loads, store.read(entry.name).splitlines())
        ]
        for entry in store.files(LATE_FOLDER)
    }


def _late(_: str, options: NewsOptions) -> Iterator[tuple[str, str]]:
    for names in late_files(open_store(options.base.output)).values():
        for name in names:
            if options.selection.selects(str(name)):
                yield name.participant, name.file


class _DeadDoFn(beam.DoFn):
    """Dead letters: those whose reason may be gone are as new, the others are known."""

    def __init__(self, options: NewsOptions) -> None:
        self._options = options

    def process(self, root: str) -> Iterator[Any]:
        letters = self._options.base.dead()
        changed = set() if self._options.retry_dead else self._changed_consents(open_store(root), letters)
        for dead in letters:
            name = name_of(dead)
            if name is None:
                continue
            element = name.participant, name.file
            is_over = dead.code == FUTURE and name.last_ms * 1000 <= self._options.as_of_us
            is_again = self._options.retry_dead or is_over or _consent(dead) in changed
            yield element if is_again else beam.pvalue.TaggedOutput(STILL_DEAD, element)

    def _changed_consents(self, store: Store, letters: Iterable[Dead]) -> set[tuple[str, str]]:
        """The (id, sha256) by which something was refused, and which are of the past."""
        seen = {_consent(dead) for dead in letters if dead.kind == REFUSED}
        consents = Consents(store)
        now = prefetched(
            sorted({consent_id for consent_id, _ in seen}),
            lambda consent_id: consents[consent_id].sha256,
            size_bytes=lambda consent_id: 1,
            threads=self._options.prefetch if store.is_remote else 0,
            budget_bytes=max(1, self._options.prefetch),
        )
        return seen - {(consent_id, sha256.result()) for consent_id, sha256 in now}


def _consent(dead: Dead) -> tuple[str, str]:
    return dead.consent_id, dead.consent_sha256
