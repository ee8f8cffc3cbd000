"""Commit: one DoFn on one key makes the run's result the dataset's next version, or changes nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import pyarrow as pa

from taskreel.io.card import write_card
from taskreel.io.schemas import EPISODE_SCHEMA
from taskreel.io.stores import Store, open_store
from taskreel.io.tables import ConflictError, commit_episodes, publish_steps
from taskreel.transforms.accounts import Account
from taskreel.transforms.dead import Dead, dead_letters
from taskreel.transforms.write import decode_rows

ROWS, ACCOUNT, DEAD, START = "rows", "account", "dead", "start"
DEAD_LETTER_FOLDER = "dead-letter"


@dataclass(frozen=True)
class CommitOptions:
    """What the commit needs to know. `base_version` was read at launch; `metadata` is stored with the commit."""

    output: str
    run_id: str
    base_version: int | None
    metadata: dict[str, Any] = field(default_factory=dict)


class CommitDataset(beam.PTransform):
    """{ROWS: rows of `episodes`, ACCOUNT: numbers, DEAD: lines} → one element: the committed version, or None."""

    def __init__(self, options: CommitOptions) -> None:
        super().__init__()
        self.options = options

    def expand(self, inputs: dict[str, Any]) -> Any:
        """Bring everything to one key; the start element sees to it that a run without episodes commits, too."""
        parts = [inputs[tag] | f"Tag/{tag}" >> beam.Map(_tagged, tag) for tag in (ROWS, ACCOUNT, DEAD)]
        start = inputs[ACCOUNT].pipeline | "Start" >> beam.Create([("commit", (START, b""))])
        together = (*parts, start) | "Together" >> beam.Flatten()
        return together | "GroupForCommit" >> beam.GroupByKey() | "Commit" >> beam.ParDo(_CommitDoFn(self.options))


def _tagged(element: bytes | str, tag: str) -> tuple[str, tuple[str, bytes]]:
    return "commit", (tag, element.encode() if isinstance(element, str) else element)


class _CommitDoFn(beam.DoFn):
    def __init__(self, options: CommitOptions) -> None:
        self._options = options

    def process(self, element: tuple[str, Iterable[tuple[str, bytes]]]) -> Iterator[int | None]:
        parts: dict[str, list[bytes]] = {ROWS: [], ACCOUNT: [], DEAD: [], START: []}
        for tag, data in element[1]:
            parts[tag].append(data)
        try:
            yield commit(open_store(self._options.output), parts, self._options)
        except ConflictError:
            yield None  # a retry would find the same; the launcher sees that its run is not in the log, and exits 3


def commit(store: Store, parts: dict[str, list[bytes]], options: CommitOptions) -> int:
    """Write the dead letters, commit `episodes`, publish `steps`, replace the card; the version of `episodes`.

    Safe to repeat and to run at once. Raises `ConflictError` if another run has committed since `base_version`.
    """
    batches = [decode_rows(data) for data in parts[ROWS]]
    rows = pa.Table.from_batches(batches, schema=EPISODE_SCHEMA).sort_by(
        [("participant", "ascending"), ("start_us", "ascending"), ("episode_id", "ascending")]
    )
    lines = [data.decode() for data in parts[DEAD]]
    total = Account.total(json.loads(data) for data in parts[ACCOUNT])
    total = Account.total([total.as_dict(), *(Dead(**json.loads(line)).account().as_dict() for line in lines)])
    metadata = {
        **options.metadata,
        "run_id": options.run_id,
        "account": total.as_dict(),
        "dead_letter": _write_dead_letters(store, lines),
        "imbalances": total.imbalances(),
    }
    version = commit_episodes(store, rows, base_version=options.base_version, run_id=options.run_id, metadata=metadata)
    publish_steps(store)
    write_card(store)
    return version


def _write_dead_letters(store: Store, lines: list[str]) -> str | None:
    """The run's dead letters, under a name made from their content; None if there are none."""
    if not lines:
        return None
    data = dead_letters(lines)
    name = f"{DEAD_LETTER_FOLDER}/{hashlib.sha256(data).hexdigest()[:12]}.jsonl"
    store.create(name, data)
    return name
