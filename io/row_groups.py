"""Row groups of many Parquet files, read at random. A few files are open at once; of a remote one, parts are copied.

A request costs 50 ms, and a row group of a shard is many reads. So what is needed of a remote file comes here in few
large requests, into one unnamed file of this machine, at the offsets where it lies there: the file has holes between,
and takes no more disk than what was fetched.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from taskreel.io.stores import Store

_OPEN_AT_ONCE = 16
_REQUESTS_AT_ONCE = 16
_REQUEST_BYTES = 8 << 20
_TAIL_BYTES = 64 << 10
"""Most footers are not longer."""
_END_BYTES = 8
"""At the end of a Parquet file: the length of the footer before it, four bytes, and the magic number."""


class RowGroupFiles:
    """Parquet files of a store. Use as a context manager: it ends with what was copied."""

    def __init__(self, store: Store, *, open_at_once: int = _OPEN_AT_ONCE, **options: Any) -> None:
        """`options` are those of `pyarrow.parquet.ParquetFile`."""
        self._store = store
        self._options = options
        self._open_at_once = open_at_once
        self._open: OrderedDict[str, pq.ParquetFile] = OrderedDict()
        self._copies: dict[str, _Window] = {}
        self._copied = tempfile.TemporaryFile() if store.is_remote else None  # noqa: SIM115

    def __enter__(self) -> RowGroupFiles:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.clear()
        if self._copied is not None:
            self._copied.close()

    def open(self, name: str, size_bytes: int, needed: Callable[[pq.FileMetaData], Iterable[int]]) -> pq.ParquetFile:
        """A file of this size; of a remote one, the row groups that are `needed` can be read. `FileNotFoundError`."""
        if name not in self._open:
            self._open[name] = pq.ParquetFile(self._source(name, size_bytes, needed), **self._options)
            if len(self._open) > self._open_at_once:
                self._open.popitem(last=False)
        self._open.move_to_end(name)
        return self._open[name]

    def _source(self, name: str, size_bytes: int, needed: Callable[[pq.FileMetaData], Iterable[int]]) -> Any:
        if self._copied is None:
            return self._store.url_of(name)
        if name not in self._copies:
            self._copies[name] = self._copy(self._copied, name, size_bytes, needed)
        return pa.PythonFile(self._copies[name], mode="r")

    def _copy(
        self, copied: IO[bytes], name: str, size_bytes: int, needed: Callable[[pq.FileMetaData], Iterable[int]]
    ) -> _Window:
        copy = _Window(copied.fileno(), sum(copy.size_bytes for copy in self._copies.values()), size_bytes)
        footer = self._footer(name, size_bytes)
        copy.put(size_bytes - len(footer), footer)
        metadata = pq.read_metadata(pa.BufferReader(footer))
        requests = list(_requests(_range(metadata.row_group(group)) for group in sorted(needed(metadata))))
        with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
            for _ in pool.map(lambda r: copy.put(r[0], self._store.read_range(name, r[0], r[1] - r[0])), requests):
                pass
        return copy

    def _footer(self, name: str, size_bytes: int) -> bytes:
        length = min(size_bytes, _TAIL_BYTES)
        tail = self._store.read_range(name, size_bytes - length, length)
        footer_bytes = int.from_bytes(tail[-_END_BYTES:-4], "little") + _END_BYTES
        if footer_bytes <= length:
            return tail
        return self._store.read_range(name, max(0, size_bytes - footer_bytes), min(size_bytes, footer_bytes))


class _Window(io.RawIOBase):
    """A file that lies in another one, from a byte on."""

    def __init__(self, descriptor: int, start: int, size_bytes: int) -> None:
        super().__init__()
        self.size_bytes = size_bytes
        self._descriptor = descriptor
        self._start = start
        self._at = 0

    def put(self, offset: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._descriptor, view, self._start + offset)
            view, offset = view[written:], offset + written

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size_bytes}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")[: max(0, self.size_bytes - self._at)]
        count = os.preadv(self._descriptor, [view], self._start + self._at)
        self._at += count
        return count


def _range(group: pq.RowGroupMetaData) -> tuple[int, int]:
    """The first byte of a row group and the one after its last."""
    columns = [group.column(number) for number in range(group.num_columns)]
    starts = [column.dictionary_page_offset or column.data_page_offset for column in columns]
    return min(starts), max(start + c.total_compressed_size for start, c in zip(starts, columns, strict=True))


def _requests(ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Rising ranges of bytes as requests: what is adjacent comes together, and nothing is longer than a request."""
    first, end = 0, 0
    for start, stop in ranges:
        if start != end:
            yield from _pieces(first, end)
            first = start
        end = stop
    yield from _pieces(first, end)


def _pieces(first: int, end: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + _REQUEST_BYTES, end)) for start in range(first, end, _REQUEST_BYTES))
