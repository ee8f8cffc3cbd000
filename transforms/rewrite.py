"""Rewrite: one shard from the shards in which its episodes lie now. Segments are not needed, pictures are copied.

The bytes are those that `write_shard` gives for the same episodes from drafts: both lay their rows out by `lay_out`.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from taskreel.io.parts import in_order
from taskreel.io.row_groups import RowGroupFiles
from taskreel.io.schemas import EPISODE_SCHEMA, IMAGE_COLUMNS
from taskreel.io.shards import RowGroupLimits, plan_row_groups
from taskreel.io.stores import Store, StoreError
from taskreel.io.tables import STEPS
from taskreel.transforms.layout import OWN_SCHEMA, Contents, Layout, lay_out, publish_shard, write_layout

_HELD_BYTES = 128_000_000
"""Pictures that were read and may be needed again. A row group has 32 MB; where shards interleave, several are open."""
_OPEN_AT_ONCE = 16


def rewrite_shard(
    store: Store, rows: pa.Table, *, split: str, number: int, count: int, limits: RowGroupLimits
) -> pa.Table:
    """Write one shard into `steps/` from the shards of some `rows` (`EPISODE_SCHEMA`, all with steps).

    Returns the rows in the shard's order (participant, start, id) with their new places. Memory: all columns but the
    pictures, and `_HELD_BYTES` of pictures. Raises `StoreError` if a shard does not hold what the rows say,
    `FileNotFoundError` if it is not there.
    """
    rows = in_order(rows)
    dictionaries = [f"{name}.bytes" for name in IMAGE_COLUMNS]
    with RowGroupFiles(store, open_at_once=_OPEN_AT_ONCE, read_dictionary=dictionaries) as files:
        old = _OldShards(files, rows)
        layout = lay_out(old.steps(), rows.column("steps").to_numpy())
        pictures = _Pictures(old, layout)
        name, size_bytes = publish_shard(
            store,
            lambda path: write_layout(layout, path, _filled(layout, pictures, limits)),
            split=split,
            number=number,
            count=count,
        )
    return placed(rows, name, size_bytes)


def placed(rows: pa.Table, shard: str, size_bytes: int) -> pa.Table:
    """The rows of a shard, in its order, with their places in it."""
    lengths = rows.column("steps").to_numpy()
    places = {
        "shard": pa.array([shard] * len(lengths), pa.string()),
        "first_row": pa.array(np.cumsum(lengths) - lengths, pa.int64()),
        "shard_rows": pa.array(np.full(len(lengths), lengths.sum()), pa.int64()),
        "shard_bytes": pa.array(np.full(len(lengths), size_bytes), pa.int64()),
    }
    return pa.table([places.get(name, rows.column(name)) for name in EPISODE_SCHEMA.names], schema=EPISODE_SCHEMA)


def _filled(layout: Layout, pictures: _Pictures, limits: RowGroupLimits) -> Iterator[tuple[tuple[int, int], Contents]]:
    """The row groups with their pictures. They are read as they are planned: their sizes are known by then only."""
    for first, end in plan_row_groups(layout.image, layout.approach_image, pictures.size_bytes, limits):
        yield (first, end), {number: pictures.content(number) for number in layout.used(first, end)}


@dataclass(frozen=True)
class _Place:
    """A cell of an old shard, by its number: `row` counts from the start of the row group."""

    shard: int
    row_group: int
    row: int
    column: str


class _OldShards:
    """Where the rows of the new shard lie now. Arrays of shape (rows,)."""

    def __init__(self, files: RowGroupFiles, episodes: pa.Table) -> None:
        self._files = files
        self._episodes = episodes
        lengths = episodes.column("steps").to_numpy()
        shards = episodes.column("shard").combine_chunks().dictionary_encode()
        self._shards: list[str] = shards.dictionary.to_pylist()
        sizes = zip(*(episodes.column(name).to_pylist() for name in ("shard", "shard_bytes")), strict=True)
        self._size_bytes: dict[str, int] = dict(sizes)
        self._shard = np.repeat(shards.indices.to_numpy(), lengths)
        """Index into the list of shards."""
        moved = episodes.column("first_row").to_numpy() - (np.cumsum(lengths) - lengths)
        self._row = np.arange(lengths.sum()) + np.repeat(moved, lengths)
        """The row of that shard."""

    def open(self, number: int) -> pq.ParquetFile:
        """A shard by its number: of it, the row groups in which some of the rows lie."""

        def needed(metadata: pq.FileMetaData) -> list[int]:
            groups, _ = self._row_groups(number, metadata, self._row[self._shard == number])
            return np.unique(groups).tolist()

        shard = self._shards[number]
        return self._files.open(f"{STEPS}/{shard}", self._size_bytes[shard], needed)

    def steps(self) -> pa.Table:
        """The steps of all rows, in order (`OWN_SCHEMA`)."""
        parts, rows = [], []
        for number in range(len(self._shards)):
            mine = np.flatnonzero(self._shard == number)
            parts.append(self._read(number, self._row[mine]))
            rows.append(mine)
        steps = pa.concat_tables(parts).take(pa.array(np.argsort(np.concatenate(rows))))
        self._check(steps)
        return steps

    def places(self, rows: np.ndarray, columns: list[str]) -> list[_Place]:
        """Where some rows lie in the old shards; `columns` are those that are meant."""
        found = np.zeros((len(rows), 2), np.int64)
        for number in np.unique(self._shard[rows]).tolist():
            mine = self._shard[rows] == number
            groups = self._row_groups(number, self.open(number).metadata, self._row[rows[mine]])
            found[mine] = np.stack(groups, axis=1)
        parts = zip(self._shard[rows].tolist(), found.tolist(), columns, strict=True)
        return [_Place(number, group, row, column) for number, (group, row), column in parts]

    def _read(self, number: int, rows: np.ndarray) -> pa.Table:
        """Rows of one shard, in one piece: rows that share a row group with them are not kept."""
        file = self.open(number)
        groups, places = self._row_groups(number, file.metadata, rows)
        needed, index = np.unique(groups, return_inverse=True)
        table = file.read_row_groups(needed.tolist(), columns=OWN_SCHEMA.names)
        first_rows = np.cumsum([0, *(file.metadata.row_group(group).num_rows for group in needed.tolist())])
        return table.take(pa.array(first_rows[index] + places)).cast(OWN_SCHEMA).combine_chunks()

    def _row_groups(self, number: int, metadata: pq.FileMetaData, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of rows of a shard, the row groups in which they lie, and their places in these."""
        counts = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        first_rows = np.cumsum([0, *counts])
        if rows.max() >= first_rows[-1]:
            raise StoreError(f"{self._name(number)}: has {first_rows[-1]} rows, and `episodes` names row {rows.max()}")
        groups = np.searchsorted(first_rows, rows, side="right") - 1
        return groups, rows - first_rows[groups]

    def _check(self, steps: pa.Table) -> None:
        """Whether each row is of the episode that is said to lie there."""
        index = pa.array(np.repeat(np.arange(self._episodes.num_rows), self._episodes.column("steps").to_numpy()))
        expected = self._episodes.column("episode_id").take(index)
        wrong = np.flatnonzero(pc.not_equal(steps.column("episode_id"), expected).to_numpy())
        if len(wrong):
            row = int(wrong[0])
            place = f"{self._name(int(self._shard[row]))}: row {self._row[row]}"
            raise StoreError(f"{place} is not of the episode {expected[row]}, as `episodes` says; run taskreel verify")

    def _name(self, number: int) -> str:
        return f"{STEPS}/{self._shards[number]}"


class _Pictures:
    """The contents of a layout's pictures, by number. Read by row group of the old shards; some are held."""

    def __init__(self, old: _OldShards, layout: Layout) -> None:
        rows, columns = np.divmod(layout.first_stored, 2)
        self._old = old
        self._places = old.places(rows, [IMAGE_COLUMNS[column] for column in columns.tolist()])
        self._together: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        for number, place in enumerate(self._places):
            self._together[place.shard, place.row_group].append(number)
        self._sizes_bytes: dict[int, int] = {}
        self._held: OrderedDict[int, bytes] = OrderedDict()
        self._held_bytes = 0

    def size_bytes(self, number: int) -> int:
        """The size of a picture."""
        if number not in self._sizes_bytes:
            self._sizes_bytes[number] = len(self.content(number))
        return self._sizes_bytes[number]

    def content(self, number: int) -> bytes:
        """The bytes of a picture."""
        if number not in self._held:
            self._hold(self._read(self._places[number]))
        self._held.move_to_end(number)
        return self._held[number]

    def _read(self, place: _Place) -> dict[int, bytes]:
        """Those pictures of the place's row group that are needed and not held."""
        numbers = [n for n in self._together[place.shard, place.row_group] if n not in self._held]
        columns = sorted({self._places[n].column for n in numbers})
        file = self._old.open(place.shard)
        table = file.read_row_group(place.row_group, columns=[f"{column}.bytes" for column in columns])
        return {n: table.column(self._places[n].column)[self._places[n].row]["bytes"].as_py() for n in numbers}

    def _hold(self, contents: dict[int, bytes]) -> None:
        """Keep some, and let go of those that were used longest ago; what comes in now stays, however large."""
        self._held_bytes += sum(len(content) for content in contents.values())
        while self._held and self._held_bytes > _HELD_BYTES:
            _, content = self._held.popitem(last=False)
            self._held_bytes -= len(content)
        self._held |= contents
