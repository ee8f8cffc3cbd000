"""Shards: Parquet files of steps, with each picture stored once in its row group.

A row group has at most `max_rows` rows and `max_picture_bytes` of distinct pictures, and never splits a run of rows
that show one picture unless that run alone is over the limits. Pictures are the dictionary of `image.bytes`.

Only text that compresses is compressed: at 100 rows a row group, zstd costs 25 µs a column chunk, and saves less
than the delta and dictionary encodings have done already (figures in `bench/results/`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from taskreel.io.schemas import IMAGE, IMAGE_COLUMNS, STEP_SCHEMA, huggingface_metadata

_WRITTEN_IMAGE = pa.struct([pa.field("bytes", pa.dictionary(pa.int32(), pa.binary())), pa.field("path", pa.string())])
_WRITTEN_SCHEMA = pa.schema(
    [field.with_type(_WRITTEN_IMAGE) if field.type == IMAGE else field for field in STEP_SCHEMA]
)
_DICTIONARY_PAGE_LIMIT = 1 << 30
_ZSTD_COLUMNS = ("text", "title", "url")
_DELTA_TYPES = (pa.int32(), pa.int64())
_NO_STATISTICS = (*IMAGE_COLUMNS, "text")


@dataclass(frozen=True)
class RowGroupLimits:
    """How large a row group gets. The defaults are what `datasets` streams and shuffles well (docs/options.md)."""

    max_rows: int = 100
    max_picture_bytes: int = 32_000_000


def plan_row_groups(
    pictures: np.ndarray, more_pictures: np.ndarray, size_bytes: Callable[[int], int], limits: RowGroupLimits
) -> Iterator[tuple[int, int]]:
    """Cut rows into row groups: (first row, end row) of each, as soon as it is known.

    `pictures` and `more_pictures`, shape (rows,), are the numbers of the pictures of each row, -1 for none. Runs of
    rows with one value in `pictures` stay together unless one alone is over the limits. `size_bytes` is asked for a
    number when its row is reached: a group that was given needs no later one.
    """
    runs = np.append(np.flatnonzero(np.diff(pictures, prepend=pictures[:1] - 1)), len(pictures)).tolist()
    start, held = 0, _Held(size_bytes)
    for first, end in pairwise(runs):
        added = held.cost(pictures[first:end], more_pictures[first:end])
        if first > start and (end - start > limits.max_rows or held.bytes + added > limits.max_picture_bytes):
            yield start, first
            start, held = first, _Held(size_bytes)
        while end - start > limits.max_rows:
            yield start, start + limits.max_rows
            start, held = start + limits.max_rows, _Held(size_bytes)
        held.add(pictures[max(first, start) : end], more_pictures[max(first, start) : end])
    if len(pictures) > start:
        yield start, len(pictures)


class _Held:
    """The distinct pictures of a row group that is being filled."""

    def __init__(self, size_bytes: Callable[[int], int]) -> None:
        self.size_bytes = size_bytes
        self.pictures: set[int] = set()
        self.bytes = 0

    def _new(self, *pictures: np.ndarray) -> set[int]:
        return {p for column in pictures for p in np.unique(column).tolist() if p >= 0} - self.pictures

    def cost(self, *pictures: np.ndarray) -> int:
        return sum(self.size_bytes(p) for p in self._new(*pictures))

    def add(self, *pictures: np.ndarray) -> None:
        new = self._new(*pictures)
        self.pictures |= new
        self.bytes += sum(self.size_bytes(p) for p in new)


class ShardWriter:
    """Writes one shard to a local path. Use as a context manager; the file is whole when it ends."""

    def __init__(self, path: str) -> None:
        self._writer = pq.ParquetWriter(path, _WRITTEN_SCHEMA, **writer_options())
        self._writer.add_key_value_metadata(huggingface_metadata())

    def write(self, steps: pa.Table, images: Mapping[str, tuple[np.ndarray, Sequence[bytes | memoryview]]]) -> None:
        """Write one row group: steps without image columns, and per image column (row → picture or -1, pictures)."""
        columns = []
        for field in STEP_SCHEMA:
            columns.append(_image(*images[field.name]) if field.name in images else steps.column(field.name))
        rows = pa.table(columns, schema=_WRITTEN_SCHEMA)
        self._writer.write_table(rows, row_group_size=max(1, rows.num_rows))

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, *_: Any) -> None:
        self._writer.close()


def writer_options() -> dict[str, Any]:
    """The options of `pyarrow.parquet.ParquetWriter` with which every shard is written: same input, same bytes."""
    strings = [field.name for field in STEP_SCHEMA if field.type == pa.string() and field.name not in _ZSTD_COLUMNS]
    leaves = _leaves()
    return {
        "use_dictionary": ["image.bytes", "approach_image.bytes", "title", "url", *strings],
        "column_encoding": {f.name: "DELTA_BINARY_PACKED" for f in STEP_SCHEMA if f.type in _DELTA_TYPES},
        "compression": {leaf: "zstd" if leaf in _ZSTD_COLUMNS else "none" for leaf in leaves},
        "write_statistics": [leaf for leaf in leaves if not leaf.startswith(_NO_STATISTICS)],
        "write_page_index": True,
        "write_page_checksum": True,
        "dictionary_pagesize_limit": _DICTIONARY_PAGE_LIMIT,
        "store_schema": False,
    }


def _leaves() -> list[str]:
    leaves = []
    for field in STEP_SCHEMA:
        if field.type == IMAGE:
            leaves += [f"{field.name}.bytes", f"{field.name}.path"]
        elif pa.types.is_list(field.type) and pa.types.is_struct(field.type.value_type):
            leaves += [f"{field.name}.list.element.{part.name}" for part in field.type.value_type]
        elif pa.types.is_list(field.type):
            leaves.append(f"{field.name}.list.element")
        else:
            leaves.append(field.name)
    return leaves


def _image(pictures: np.ndarray, contents: Sequence[bytes | memoryview]) -> pa.StructArray:
    distinct, places = _distinct(contents)
    missing = pictures < 0
    indices = pa.array(np.append(places, 0)[pictures], pa.int32(), mask=missing)
    values = pa.DictionaryArray.from_arrays(indices, _binary(distinct))
    paths = pa.nulls(len(pictures), pa.string())
    return pa.StructArray.from_arrays(
        [values, paths], fields=[pa.field("bytes", values.type), pa.field("path", pa.string())], mask=pa.array(missing)
    )


def _distinct(contents: Sequence[bytes | memoryview]) -> tuple[list[bytes | memoryview], np.ndarray]:
    """Some contents, each once, and per content its index there: two people may have looked at the very same screen.

    pyarrow 25 makes a dictionary page as large as all values given, but writes equal ones once: the rest of the page is
    what lay in that memory before, so the file would differ from run to run, and tell of other data.
    """
    distinct: list[bytes | memoryview] = []
    of_length: dict[int, list[int]] = {}
    places = np.zeros(len(contents), np.int64)
    for number, content in enumerate(contents):
        alike = of_length.setdefault(len(content), [])
        place = next((index for index in alike if distinct[index] == content), len(distinct))
        if place == len(distinct):
            distinct.append(content)
            alike.append(place)
        places[number] = place
    return distinct, places


def _binary(contents: Sequence[bytes | memoryview]) -> pa.BinaryArray:
    """An array of some contents, copied once, into memory of Arrow's pool: it stays with the process."""
    offsets = np.zeros(len(contents) + 1, np.int32)
    np.cumsum([len(content) for content in contents], out=offsets[1:])
    values = pa.allocate_buffer(int(offsets[-1]))
    view = memoryview(values).cast("B")
    for start, content in zip(offsets.tolist(), contents, strict=False):
        view[start : start + len(content)] = content
    return pa.BinaryArray.from_buffers(pa.binary(), len(contents), [None, pa.py_buffer(offsets), values])


def shard_name(split: str, number: int, count: int, sha256: str) -> str:
    """A shard's file name, from its content."""
    return f"{split}-{number:05d}-of-{count:05d}-{sha256[:12]}.parquet"
