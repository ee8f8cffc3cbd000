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
from taskreel.io.schemas import EPISODE_SCHEMA, SPLITS
from taskreel.io.stores import Store, open_store
from taskreel.io.tables import ConflictError, commit_episodes, publish_steps
from taskreel.transforms.accounts import Account
from taskreel.transforms.dead import Dead, dead_letters
from taskreel.transforms.write import decode_rows

ROWS, ACCOUNT, DEAD, START = "rows", "account", "dead", "start"
DEAD_LETTER_FOLDER = "dead-letter"
LISTED_BYTES = "listed_bytes."
"""Prefix of the account's numbers that are the sizes of the segments of a split."""


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


def listed_account(listed: tuple[str, int]) -> str:
    """(split, bytes of its segments) as an account, which is how it comes to the commit."""
    split, size_bytes = listed
    return json.dumps({LISTED_BYTES + split: size_bytes})


def commit(store: Store, parts: dict[str, list[bytes]], options: CommitOptions) -> int:
    """Write the dead letters, make the rows the whole of `episodes`, publish `steps`, replace the card; the version.

    Safe to repeat and to run at once. Raises `ConflictError` if another run has committed since `base_version`.
    """
    rows = pa.Table.from_batches([decode_rows(data) for data in parts[ROWS]], schema=EPISODE_SCHEMA)
    lines = [data.decode() for data in parts[DEAD]]
    total = account_of(parts[ACCOUNT], lines)
    listed = total.under(LISTED_BYTES)
    metadata = {
        **options.metadata,
        "run_id": options.run_id,
        "account": {name: count for name, count in total.as_dict().items() if not name.startswith(LISTED_BYTES)},
        "dead_letter": write_dead_letters(store, lines),
        "imbalances": total.imbalances(),
        "listed_bytes": {split: listed.get(split, 0) for split in SPLITS},
    }
    version = commit_episodes(store, rows, base_version=options.base_version, run_id=options.run_id, metadata=metadata)
    publish_steps(store)
    write_card(store)
    return version


def account_of(accounts: Iterable[bytes], dead: Iterable[str]) -> Account:
    """The sum of a run's accounts and of what its dead letters add."""
    numbers = [json.loads(data) for data in accounts]
    return Account.total([*numbers, *(Dead(**json.loads(line)).account().as_dict() for line in dead)])


def write_dead_letters(store: Store, lines: list[str]) -> str | None:
    """The run's dead letters, under a name made from their content; None if there are none."""
    if not lines:
        return None
    data = dead_letters(lines)
    name = f"{DEAD_LETTER_FOLDER}/{hashlib.sha256(data).hexdigest()[:12]}.jsonl"
    store.create(name, data)
    return name
