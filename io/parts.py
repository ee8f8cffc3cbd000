"""Parts: the data files of `episodes`. Each holds rows of one UTC day, so who asks for some days reads no others.

A part is `<day>-<number>-<sha256[:12]>.parquet`. The day of a row is that of the earliest segment of its span, so all
rows of a span lie in parts of one day.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from taskreel.io.names import SHA_DIGITS
from taskreel.io.schemas import EPISODE_SCHEMA

PART_ROWS = 100_000
"""Most rows of a part."""
ORDER = ("participant", "start_us", "episode_id")
"""The columns by which rows of `episodes` are sorted."""
_DAY = re.compile(r"(\d{4}-\d{2}-\d{2})-\d{5}-")


def span_day(segments: Iterable[str]) -> str:
    """The UTC day (YYYY-MM-DD) of a row whose span has these segments (files): that of the earliest event.

    >>> span_day(["r1_0_9_1767603600000_1767603660000_0123456789ab.parquet"])
    '2026-01-05'
    """
    first_ms = min(int(file.split("_")[3]) for file in segments)
    return datetime.fromtimestamp(first_ms / 1000, UTC).strftime("%Y-%m-%d")


def may_hold(path: str, days: Collection[str] | None) -> bool:
    """Whether a part can hold rows of some days (None: of any). A part of format 1.1 does not say of which it is."""
    found = _DAY.match(path)
    return days is None or found is None or found[1] in days


def in_order(rows: pa.Table) -> pa.Table:
    """Rows sorted by participant, start and id."""
    return rows.sort_by([(name, "ascending") for name in ORDER])


def by_day(rows: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Rows (`EPISODE_SCHEMA`) by their day, sorted."""
    spans = pc.dictionary_encode(rows.column("span_id").combine_chunks())
    numbers, first_row = np.unique(spans.indices.to_numpy(), return_index=True)
    day_of_span = {
        int(number): span_day(segments)
        for number, segments in zip(numbers, rows.column("segments").take(pa.array(first_row)).to_pylist(), strict=True)
    }
    day_of_row = np.array([day_of_span[int(number)] for number in spans.indices.to_numpy()])
    for day in sorted(set(day_of_span.values())):
        yield day, in_order(rows.filter(pa.array(day_of_row == day)))


def encode_parts(day: str, rows: pa.Table) -> Iterator[tuple[str, int, bytes]]:
    """(path, rows, content) of the parts that hold a day's rows, in their order."""
    for number, first in enumerate(range(0, rows.num_rows, PART_ROWS)):
        part = rows.slice(first, PART_ROWS)
        sink = pa.BufferOutputStream()
        pq.write_table(part, sink, compression="zstd", store_schema=False, write_page_checksum=True)
        data = sink.getvalue().to_pybytes()
        yield f"{day}-{number:05d}-{hashlib.sha256(data).hexdigest()[:SHA_DIGITS]}.parquet", part.num_rows, data


def decode_part(data: bytes, columns: list[str]) -> pa.Table:
    """Some columns of a part."""
    schema = pa.schema([EPISODE_SCHEMA.field(name) for name in columns])
    return pq.read_table(pa.BufferReader(data), columns=columns).select(columns).cast(schema)
