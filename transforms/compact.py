"""Compact: the episodes of a dataset in the shards in which one batch run would have put them.

Which shard an episode belongs to follows from its split, its id and the sizes of all segments taken up: the same rule
as in `assign`. Shards that are so already are not touched; the others are rewritten from what lies in `steps`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import pyarrow as pa

from taskreel.io.card import write_card
from taskreel.io.parts import by_day, encode_parts, in_order
from taskreel.io.schemas import EPISODE_SCHEMA
from taskreel.io.shards import RowGroupLimits
from taskreel.io.stores import Store, open_store
from taskreel.io.tables import commit_episodes, part_paths, publish_steps, read_parts
from taskreel.transforms.assign import ShardOptions, shard_count, shard_key, shard_of
from taskreel.transforms.metrics import commit_or_lose
from taskreel.transforms.progress import Progress
from taskreel.transforms.rewrite import placed, rewrite_shard
from taskreel.transforms.write import decode_rows, encode_table

_RESIDUES = "residues"


@dataclass(frozen=True)
class CompactOptions:
    """What a compaction needs to know. `listed_bytes` are the sizes of all segments taken up, by split.

    `base_version` was read at launch; `metadata` is stored with the commit.
    """

    output: str
    run_id: str
    base_version: int
    metadata: dict[str, Any]
    listed_bytes: dict[str, int]
    shards: ShardOptions = field(default_factory=ShardOptions)
    limits: RowGroupLimits = field(default_factory=RowGroupLimits)
    progress: str = ""


class CompactDataset(beam.PTransform):
    """A pipeline → one element: the committed version, or None if there was nothing to do or a conflict."""

    def __init__(self, options: CompactOptions) -> None:
        super().__init__()
        self.options = options

    def expand(self, pipeline: Any) -> Any:
        """Read the parts of `episodes` in workers, bring rows together by shard, rewrite, commit."""
        parts = (
            pipeline
            | "Version" >> beam.Create([self.options.base_version])
            | "ListParts" >> beam.FlatMap(_parts, self.options.output)
            | "SpreadParts" >> beam.Reshuffle()
        )
        read = parts | "ReadParts" >> beam.ParDo(_ReadDoFn(self.options)).with_outputs(_RESIDUES, main="rows")
        written = (
            read.rows | "GroupByShard" >> beam.GroupByKey() | "RewriteShard" >> beam.ParDo(_RewriteDoFn(self.options))
        )
        return (
            (written, read[_RESIDUES])
            | "Rows" >> beam.Flatten()
            | "ToOneKey" >> beam.Map(lambda rows: ("commit", rows)).with_output_types(tuple[str, bytes])
            | "GroupForCommit" >> beam.GroupByKey()
            | "Commit" >> beam.ParDo(_CommitDoFn(self.options))
        )


def _parts(version: int, output: str) -> list[str]:
    return part_paths(open_store(output), version)


class _ReadDoFn(beam.DoFn):
    def __init__(self, options: CompactOptions) -> None:
        self._options = options

    def setup(self) -> None:
        self._store = open_store(self._options.output)

    def process(self, path: str) -> Iterator[Any]:
        [rows] = read_parts(self._store, [path]).values()
        for key, mine in by_shard(rows, self._options.listed_bytes, self._options.shards):
            element = encode_table(mine)
            yield beam.pvalue.TaggedOutput(_RESIDUES, element) if key is None else (key, element)


class _RewriteDoFn(beam.DoFn):
    def __init__(self, options: CompactOptions) -> None:
        self._options = options

    def setup(self) -> None:
        self._store = open_store(self._options.output)
        self._progress = Progress(self._options.progress)

    def process(self, element: tuple[str, Iterable[bytes]]) -> Iterator[bytes]:
        key, parts = element
        yield encode_table(compact_shard(self._store, _table(parts), key, self._options.limits))
        self._progress.add(shards=1)

    def finish_bundle(self) -> None:
        self._progress.flush()


class _CommitDoFn(beam.DoFn):
    def __init__(self, options: CompactOptions) -> None:
        self._options = options

    def process(self, element: tuple[str, Iterable[bytes]]) -> Iterator[int | None]:
        store, rows = open_store(self._options.output), _table(element[1])
        yield commit_or_lose(lambda: commit_compacted(store, rows, self._options))


def _table(parts: Iterable[bytes]) -> pa.Table:
    return pa.Table.from_batches([decode_rows(part) for part in parts], schema=EPISODE_SCHEMA)


def by_shard(
    rows: pa.Table, listed_bytes: dict[str, int], options: ShardOptions
) -> Iterator[tuple[str | None, pa.Table]]:
    """Rows (`EPISODE_SCHEMA`) by the key of the shard that they belong to; None for those without steps."""
    counts = {split: shard_count(size, options) for split, size in listed_bytes.items()}
    found: defaultdict[str | None, list[int]] = defaultdict(list)
    columns = (rows.column(name).to_pylist() for name in ("shard", "split", "episode_id"))
    for row, (shard, split, episode_id) in enumerate(zip(*columns, strict=True)):
        count = counts.get(split, 1)
        found[shard and shard_key(split, shard_of(episode_id, count), count)].append(row)
    for key, mine in found.items():
        yield key, rows.take(pa.array(mine))


def compact_shard(store: Store, rows: pa.Table, key: str, limits: RowGroupLimits) -> pa.Table:
    """The rows of one canonical shard, where they lie then. Nothing is written if they lie in it already."""
    split, number, count = key.split("/")
    rows = in_order(rows)
    if _is_canonical(rows, f"{split}-{int(number):05d}-of-{int(count):05d}-"):
        return rows
    return rewrite_shard(store, rows, split=split, number=int(number), count=int(count), limits=limits)


def _is_canonical(rows: pa.Table, prefix: str) -> bool:
    """Whether one shard of the right name has these rows, in this order, and no others."""
    shard, size_bytes = (rows.column(name)[0].as_py() for name in ("shard", "shard_bytes"))
    return shard.startswith(prefix) and placed(rows, shard, size_bytes).equals(rows)


def commit_compacted(store: Store, rows: pa.Table, options: CompactOptions) -> int | None:
    """Make the rows the whole of `episodes`, publish `steps`, replace the card; None if they are what it has.

    Safe to repeat and to run at once. Raises `ConflictError` if another run has committed since `base_version`.
    """
    wanted = {path for day, mine in by_day(rows) for path, _, _ in encode_parts(day, mine)}
    if wanted == set(part_paths(store, options.base_version)):
        return None
    metadata = options.metadata | {"run_id": options.run_id}
    version = commit_episodes(store, rows, base_version=options.base_version, run_id=options.run_id, metadata=metadata)
    publish_steps(store)
    write_card(store)
    return version
