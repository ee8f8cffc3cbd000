"""Add: one DoFn on one key commits what an incremental run built, or what a stream built since the last commit.

The shell around `commit_changes`, which decides what comes in, what leaves, and whether there is anything to commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import apache_beam as beam

from taskreel.io.stores import open_store
from taskreel.io.times import iso_from_us
from taskreel.transforms import commit as committing
from taskreel.transforms.buffer import BufferOptions, BufferParts, Weighed
from taskreel.transforms.build import Parts
from taskreel.transforms.commit import ACCOUNT, DEAD, LATE, ROWS, TAKEN, ChangeOptions
from taskreel.transforms.metrics import commit_or_lose, counted_commit, observe
from taskreel.transforms.stream_time import StreamTime
from taskreel.transforms.taken import Taken

_ANY_BYTES = 1 << 62
"""No size at which a commit is due: rows are small."""


class AddChanges(beam.PTransform):
    """{ROWS, ACCOUNT, DEAD, TAKEN} → one element: the committed version, or None if there was nothing or a conflict."""

    def __init__(self, options: ChangeOptions) -> None:
        super().__init__()
        self.options = options

    def expand(self, inputs: dict[str, Any]) -> Any:
        """Bring everything to one key. Without any element nothing is done: there is nothing new."""
        parts = [part | f"Tag/{tag}" >> beam.Map(_tagged, tag) for tag, part in sorted(inputs.items())]
        together = parts | "Together" >> beam.Flatten()
        return together | "GroupForCommit" >> beam.GroupByKey() | "Commit" >> beam.ParDo(_AddDoFn(self.options))


def _tagged(element: bytes | str, tag: str) -> tuple[str, tuple[str, bytes]]:
    return "commit", (tag, element.encode() if isinstance(element, str) else element)


class _AddDoFn(beam.DoFn):
    def __init__(self, options: ChangeOptions) -> None:
        self._options = options

    def process(self, element: tuple[str, Iterable[tuple[str, bytes]]]) -> Iterator[int | None]:
        store, parts = open_store(self._options.output), _by_tag(element[1])
        yield commit_or_lose(lambda: committing.commit_changes(store, parts, self._options))


def _by_tag(tagged: Iterable[tuple[str, bytes]]) -> dict[str, list[bytes]]:
    parts: dict[str, list[bytes]] = {tag: [] for tag in (ROWS, ACCOUNT, DEAD, TAKEN, LATE)}
    for tag, data in tagged:
        parts[tag].append(data)
    return parts


class AddAgainAndAgain(beam.PTransform):
    """`Parts` of what a stream built, refused or found late → the committed versions. One committer for all.

    `after_s` is the pause between two commits, by the real clock. The commit says what time it was, by `time`.
    """

    def __init__(self, options: ChangeOptions, time: StreamTime, after_s: float) -> None:
        super().__init__()
        self.options = options
        self.time = time
        self.after_s = after_s

    def expand(self, parts: Any) -> Any:
        """Collect for a while on one key, then commit."""
        return (
            parts
            | "OneCommitter" >> beam.Map(_to_committer).with_output_types(tuple[str, Weighed])
            | "Collect" >> BufferParts(BufferOptions(_ANY_BYTES, self.after_s))
            | "Commit" >> beam.ParDo(_AddAgainDoFn(self.options, self.time))
        )


def _to_committer(parts: Parts) -> tuple[str, Weighed]:
    return "commit", (0, parts)


class _AddAgainDoFn(beam.DoFn):
    """A conflict is an error here: after some tries, or with a run by other options, the job has to start again."""

    def __init__(self, options: ChangeOptions, time: StreamTime) -> None:
        self._options = options
        self._time = time

    def process(self, element: tuple[str, Parts]) -> Iterator[int]:
        times = {"as_of": iso_from_us(self._time.now_us()), "watermark": iso_from_us(self._time.watermark_ms() * 1000)}
        options = replace(self._options, metadata=self._options.metadata | times)
        store, parts = open_store(options.output), _by_tag(element[1])
        version = counted_commit(lambda: committing.commit_changes(store, parts, options))
        if version is None:
            return
        newest_ms = newest_event_ms(parts[TAKEN])
        if newest_ms is not None:
            observe(commit_lag_ms=max(0, self._time.now_us() // 1000 - newest_ms))
        yield version


def newest_event_ms(taken: Iterable[bytes]) -> int | None:
    """When the newest event of what was built was recorded, by the names of its segments; None without any."""
    return max((name.last_ms for line in taken for name in Taken.from_json(line).names), default=None)
