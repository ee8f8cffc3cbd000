"""Add: one DoFn on one key commits what an incremental run built, or changes nothing.

The shell around `commit_changes`, which decides what comes in, what leaves, and whether there is anything to commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam

from taskreel.io.stores import open_store
from taskreel.io.tables import ConflictError
from taskreel.transforms import commit as committing
from taskreel.transforms.commit import ACCOUNT, DEAD, LATE, ROWS, TAKEN, ChangeOptions


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
        parts: dict[str, list[bytes]] = {tag: [] for tag in (ROWS, ACCOUNT, DEAD, TAKEN, LATE)}
        for tag, data in element[1]:
            parts[tag].append(data)
        try:
            yield committing.commit_changes(open_store(self._options.output), parts, self._options)
        except ConflictError:
            yield None  # a retry would find the same; the launcher sees that its run is not in the log, and exits 3
