"""Exchange: the rows that come into `episodes` and the parts that leave for them, so that a commit names whole shards.

A row that leaves would leave its steps behind in its shard, and so would a new row that does not come in. The rows that
are left of such a shard are written again, into a shard of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taskreel.io.parts import in_order
from taskreel.io.schemas import EPISODE_SCHEMA
from taskreel.transforms.changes import BuiltSpan, Resolution, SpanKey
from taskreel.transforms.known import PROVISIONAL

Parts = Mapping[str, pa.Table]
"""Rows of `episodes` by the path of their part."""


@dataclass(frozen=True)
class Exchange:
    """`rows` come in, all rows of the parts `replaces` leave. Rows that stay of such a part are among `rows`."""

    rows: pa.Table
    replaces: list[str]


def exchange(
    new: pa.Table,
    parts: Parts,
    found: Resolution,
    *,
    others: Callable[[], Iterable[Parts]],
    rewrite: Callable[[pa.Table], pa.Table],
) -> Exchange:
    """The rows of the spans that are added in the place of those of the spans that are removed.

    `new` are rows as they were built, `parts` hold all rows that leave. `others` gives the parts that are not in
    `parts`, some at a time: asked only if a shard that loses rows has more of them than `parts` hold. `rewrite` takes
    the rows that are left of one shard, in order, and gives them the place of a new one.
    """
    chosen = _chosen(new, found.added)
    gone = pa.array(sorted(span_id for _, span_id in found.removed), pa.string())
    shards = _broken(pa.concat_tables(part.filter(_is_of(part, gone)) for part in _or_empty(parts)))
    parts = {**parts, **_holding(shards, parts, gone, others)}
    touched = [path for path in sorted(parts) if _has(parts[path], gone, shards)]
    staying = pa.concat_tables(
        part.filter(pc.invert(_is_of(part, gone))) for part in _or_empty({path: parts[path] for path in touched})
    )
    rows = [*_whole(chosen, _broken(chosen), rewrite), *_whole(staying, shards, rewrite)]
    return Exchange(pa.concat_tables(rows), touched)


def _or_empty(parts: Parts) -> list[pa.Table]:
    return [EPISODE_SCHEMA.empty_table(), *parts.values()]


def _is_of(rows: pa.Table, span_ids: pa.Array) -> pa.ChunkedArray:
    return pc.is_in(rows.column("span_id"), span_ids)


def _lies_in(rows: pa.Table, shards: Iterable[str]) -> pa.ChunkedArray:
    return pc.is_in(rows.column("shard"), pa.array(sorted(shards), pa.string()))


def _has(part: pa.Table, gone: pa.Array, shards: Collection[str]) -> bool:
    return bool(pc.any(pc.or_(_is_of(part, gone), _lies_in(part, shards))).as_py())


def _chosen(new: pa.Table, added: Mapping[SpanKey, BuiltSpan]) -> pa.Table:
    """The new rows of the spans that are added, each once, with the revision of their span, and marked if provisional.

    A bundle that was tried again may have put an episode into two shards: the first by name counts.
    """
    rows = new.filter(_is_of(new, pa.array(sorted(span_id for _, span_id in added), pa.string())))
    rows = rows.sort_by([("episode_id", "ascending"), ("shard", "ascending"), ("first_row", "ascending")])
    _, first = np.unique(np.array(rows.column("episode_id").to_pylist(), dtype=object), return_index=True)
    rows = rows.take(pa.array(first, pa.int64()))
    spans = [added[key] for key in zip(*(rows.column(c).to_pylist() for c in ("participant", "span_id")), strict=True)]
    flags = [
        sorted({*flags, PROVISIONAL} if span.provisional else {*flags} - {PROVISIONAL})
        for flags, span in zip(rows.column("flags").to_pylist(), spans, strict=True)
    ]
    return _with(_with(rows, "revision", [span.revision for span in spans]), "flags", flags)


def _with(rows: pa.Table, name: str, values: Sequence[object]) -> pa.Table:
    field = EPISODE_SCHEMA.field(name)
    return rows.set_column(EPISODE_SCHEMA.get_field_index(name), field, pa.array(values, field.type))


def _broken(rows: pa.Table) -> dict[str, int]:
    """The shards of which some rows hold a part of the steps only, and how many steps the others hold."""
    placed = rows.filter(rows.column("shard").is_valid())
    sums = placed.group_by(["shard", "shard_rows"]).aggregate([("steps", "sum")]).to_pylist()
    return {row["shard"]: row["shard_rows"] - row["steps_sum"] for row in sums if row["shard_rows"] != row["steps_sum"]}


def _holding(
    shards: dict[str, int], parts: Parts, gone: pa.Array, others: Callable[[], Iterable[Parts]]
) -> dict[str, pa.Table]:
    """The other parts that hold rows of some shards, which stay."""
    stay = pa.concat_tables(part.filter(pc.invert(_is_of(part, gone))) for part in _or_empty(parts))
    held = pc.sum(stay.filter(_lies_in(stay, shards)).column("steps")).as_py() or 0
    if held == sum(shards.values()):
        return {}
    return {path: part for some in others() for path, part in some.items() if _has(part, gone, shards)}


def _whole(rows: pa.Table, broken: Iterable[str], rewrite: Callable[[pa.Table], pa.Table]) -> list[pa.Table]:
    """Rows, those of broken shards in new ones."""
    is_moved = pc.fill_null(_lies_in(rows, broken), False)
    moved = rows.filter(is_moved)
    return [
        rows.filter(pc.invert(is_moved)),
        *(rewrite(in_order(moved.filter(_lies_in(moved, [shard])))) for shard in sorted(broken)),
    ]
