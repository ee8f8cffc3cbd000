"""A plain model of `commit_changes`: reads all of `episodes`, writes all of it again, knows nothing of days.

What the incremental pipeline is tested with where the real one is not there yet; slow, and short enough to be read.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from taskreel.io.schemas import EPISODE_SCHEMA, IMAGE_COLUMNS
from taskreel.io.shards import ShardWriter, shard_name
from taskreel.io.stores import Store
from taskreel.io.tables import STEPS, commit_episodes, commit_of, read_episodes
from taskreel.transforms import commit as committing
from taskreel.transforms.accounts import Account
from taskreel.transforms.commit import CommitOptions
from taskreel.transforms.dead import Dead
from taskreel.transforms.taken import Taken
from taskreel.transforms.write import decode_rows

ROW_COLUMNS = ("previous_row", "next_row", "approach_image_row")
Row = dict[str, Any]
Names = set[tuple[str, str]]


def commit_changes(store: Store, parts: dict[str, list[bytes]], options: CommitOptions) -> int | None:
    """Add what was taken up, drop the committed spans that share a segment with it; None if nothing changes."""
    before = None if options.base_version is None else commit_of(store, options.base_version)
    old = read_episodes(store, before.version).to_pylist() if before else []
    old_lines = _old_dead_letters(store, before.metadata if before else {})
    groups = [Taken.from_json(line) for line in parts["taken"]]
    found, account = _missing([group for group in groups if group.missing], _names(old))
    lines = [*(data.decode() for data in parts["dead"]), *found]
    groups = [group for group in groups if not group.missing]
    if not groups and not lines:
        return None
    taken = {(group.participant, file) for group in groups for file in group.files}
    kept = [row for row in old if not _names([row]) & taken]
    new = [row for data in parts["rows"] for row in pa.Table.from_batches([decode_rows(data)]).to_pylist()]
    rows = [*_without(store, old, kept), *(row | {"revision": _revision(row, groups, old)} for row in new)]
    paths = {str(name) for group in groups for name in group.names}
    every_line = sorted({*lines, *(line for line in old_lines if json.loads(line)["segment"] not in paths)})
    dead = [Dead(**json.loads(line)).account().as_dict() for line in lines]
    total = Account.total([*(json.loads(data) for data in parts["account"]), account.as_dict(), *dead])
    metadata = options.metadata | {
        "run_id": options.run_id,
        "account": total.as_dict(),
        "dead_letter": committing.write_dead_letters(store, every_line),
        "imbalances": total.imbalances(),
    }
    order = [("participant", "ascending"), ("start_us", "ascending"), ("episode_id", "ascending")]
    table = pa.Table.from_pylist(rows, schema=EPISODE_SCHEMA).sort_by(order)
    version = commit_episodes(store, table, base_version=options.base_version, run_id=options.run_id, metadata=metadata)
    committing.publish_steps(store)
    committing.write_card(store)
    return version


def read_episodes_of_days(
    store: Store, version: int, columns: list[str] | None = None, days: Collection[str] | None = None
) -> pa.Table:
    """What `read_episodes(days=)` gives, by a filter over all of it."""
    rows = read_episodes(store, version, columns)
    if days is None:
        return rows
    return rows.filter(pa.array([_day(files) in days for files in rows["segments"].to_pylist()], pa.bool_()))


def _day(files: list[str]) -> str:
    first_ms = min(int(file.split("_")[3]) for file in files)
    return datetime.fromtimestamp(first_ms / 1000, UTC).strftime("%Y-%m-%d")


def _names(rows: list[Row]) -> Names:
    return {(row["participant"], file) for row in rows for file in row["segments"]}


def _old_dead_letters(store: Store, metadata: Row) -> list[str]:
    name = metadata.get("dead_letter")
    return store.read(name).decode().splitlines() if name else []


def _missing(groups: list[Taken], committed: Names) -> tuple[list[str], Account]:
    """Dead letters for what touches a committed span that cannot be read, and the account of it and of the rest."""
    lines, account = [], Account()
    for group in groups:
        new = [name for name in group.names if (name.participant, name.file) not in committed]
        account.add("segments.read", len(new))
        if len(new) == len(group.names):
            account.add("segments.waiting", len(new))
            account.add("events.read", sum(name.events for name in new))
            account.add("events.waiting", sum(name.events for name in new))
            continue
        sizes = dict(group.segments)
        gone = FileNotFoundError("it touches a span that is past its retention")
        for name in new:
            dead = Dead.of_error(
                str(name), "span_past_retention", gone, size_bytes=sizes[name.file], events=name.events
            )
            lines.append(dead.to_json())
    return lines, account


def _revision(row: Row, groups: list[Taken], old: list[Row]) -> int:
    group = next(g for g in groups if g.participant == row["participant"] and set(row["segments"]) <= g.files)
    mine = {(group.participant, file) for file in group.files}
    return max((other["revision"] + 1 for other in old if _names([other]) & mine), default=0)


def _without(store: Store, old: list[Row], kept: list[Row]) -> list[Row]:
    """The rows that stay, with the shards of those whose neighbors left written again."""
    stay = {row["episode_id"] for row in kept}
    changed = {row["shard"] for row in old if row["episode_id"] not in stay} - {None}
    rows = [row for row in kept if row["shard"] not in changed]
    for shard in sorted(changed):
        mine = [row for row in kept if row["shard"] == shard]
        rows += _rewritten(store, shard, sorted(mine, key=lambda row: row["first_row"])) if mine else []
    return rows


def _rewritten(store: Store, shard: str, rows: list[Row]) -> list[Row]:
    steps = pq.read_table(pa.BufferReader(store.read(f"{STEPS}/{shard}")))
    parts, places, first = [], [], 0
    for row in rows:
        part = steps.slice(row["first_row"], row["steps"])
        for name in ROW_COLUMNS:
            moved = pc.add(part[name], pa.scalar(first - row["first_row"], pa.int32()))
            part = part.set_column(part.schema.get_field_index(name), name, moved)
        parts.append(part)
        places.append(first)
        first += row["steps"]
    table = pa.concat_tables(parts)
    images = {name: _numbered(table[name]) for name in IMAGE_COLUMNS}
    split, number, _, count, _ = shard.split("-")
    with store.staged() as staged:
        with ShardWriter(staged.path) as writer:
            writer.write(table, images)
        path = shard_name(split, int(number), int(count), staged.sha256())
        staged.publish(f"{STEPS}/{path}")
        size_bytes = store.size_bytes(f"{STEPS}/{path}") or 0
    place = {"shard": path, "shard_rows": table.num_rows, "shard_bytes": size_bytes}
    return [row | place | {"first_row": first_row} for row, first_row in zip(rows, places, strict=True)]


def _numbered(images: pa.ChunkedArray) -> tuple[np.ndarray, list[bytes]]:
    contents = [image and image["bytes"] for image in images.to_pylist()]
    distinct = sorted({content for content in contents if content is not None})
    number = {content: index for index, content in enumerate(distinct)}
    return np.array([number.get(content, -1) for content in contents], np.int32), distinct
