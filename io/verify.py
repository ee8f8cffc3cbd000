"""Verify a dataset: that its files are what the tables say, and its rows what the format promises."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taskreel.io.card import CARD, card
from taskreel.io.dataset import Dataset
from taskreel.io.schemas import EPISODE_SCHEMA, IMAGE_COLUMNS, STEP_SCHEMA
from taskreel.io.segments import picture_hash
from taskreel.io.tables import STEPS, File, open_table, published_version, table_files, totals, totals_of

_PICTURE_COLUMNS = [name for column in IMAGE_COLUMNS for name in (column, f"{column}_hash")]


def faults(dataset: Dataset) -> Iterator[str]:
    """What is wrong with a dataset, a sentence each; nothing if all is well."""
    yield from _tables(dataset)
    episodes = dataset.episodes()
    yield from _episodes(episodes)
    if totals_of(dataset.store, dataset.commit) != totals(episodes):
        yield "the totals in the commit are not those of its rows"
    for file in dataset.shards():
        here = episodes.filter(pc.fill_null(pc.equal(episodes.column("shard"), file.path), False))
        yield from (f"{file.path}: {fault}" for fault in _shard(dataset, file, here))


def _tables(dataset: Dataset) -> Iterator[str]:
    for imbalance in dataset.report().get("imbalances", ()):
        yield f"the run's account does not balance: {imbalance}"
    published = published_version(dataset.store)
    latest = open_table(dataset.store, "episodes")
    if latest is None or latest.version() != dataset.version:
        return
    if published != dataset.version:
        yield f"steps publishes version {published}, episodes is at {dataset.version}; run `taskreel verify --repair`"
        return
    try:
        if dataset.store.read(CARD).decode(errors="replace") != card(dataset.store, dataset.commit):
            yield f"{CARD}: the card is not that of version {dataset.version}; run `taskreel verify --repair`"
    except FileNotFoundError:
        yield f"{CARD}: the card is not there; run `taskreel verify --repair`"
    steps = open_table(dataset.store, STEPS)
    listed = set(table_files(steps).values()) if steps is not None else set()
    for file in sorted(listed ^ set(dataset.shards())):
        yield f"{file.path}: the tables steps and episodes do not agree on it"


def _episodes(episodes: pa.Table) -> Iterator[str]:
    if not episodes.schema.equals(EPISODE_SCHEMA):
        yield "the table episodes has another schema than the format says"
    ids = episodes.column("episode_id")
    if len(ids.unique()) != len(ids):
        yield "an episode id stands twice in episodes"
    splits = episodes.group_by("participant").aggregate([("split", "count_distinct")])
    for participant in splits.filter(pc.greater(splits.column("split_count_distinct"), 1)).column("participant"):
        yield f"participant {participant} is in more than one split"


def _shard(dataset: Dataset, file: File, episodes: pa.Table) -> Iterator[str]:
    name = f"{STEPS}/{file.path}"
    try:
        data = dataset.store.read(name)
    except FileNotFoundError:
        yield "is not there"
        return
    if len(data) != file.size_bytes:
        yield f"has {len(data)} bytes, the tables say {file.size_bytes}"
    if hashlib.sha256(data).hexdigest()[:12] != file.path.removesuffix(".parquet").rpartition("-")[2]:
        yield "its sha256 is not the one in its name: the file was altered"
        return
    shard = dataset.open_shard(file)
    if not shard.schema_arrow.equals(STEP_SCHEMA):
        yield "has another schema than the format says"
        return
    plain = [field.name for field in STEP_SCHEMA if field.name not in IMAGE_COLUMNS]
    yield from _rows(shard.read(columns=plain), file, episodes)
    for group in range(shard.num_row_groups):
        yield from _pictures(shard.read_row_group(group, columns=_PICTURE_COLUMNS), group)


def _rows(steps: pa.Table, file: File, episodes: pa.Table) -> Iterator[str]:
    if steps.num_rows != file.rows:
        yield f"has {steps.num_rows} rows, the tables say {file.rows}"
        return
    ends = 0
    for row in sorted(episodes.to_pylist(), key=lambda row: row["first_row"]):
        if row["first_row"] != ends:
            yield f"episode {row['episode_id']} does not begin at row {ends}, where the one before it ends"
            return
        ends += row["steps"]
        mine = steps.slice(row["first_row"], row["steps"])
        yield from (
            f"episode {row['episode_id']}: {fault}" for fault in _whole(mine, row["episode_id"], row["first_row"])
        )
    if ends != steps.num_rows:
        yield f"rows from {ends} on belong to no episode"


def _whole(steps: pa.Table, episode_id: str, first_row: int) -> Iterator[str]:
    rows = np.arange(steps.num_rows)
    if steps.column("episode_id").unique().to_pylist() != [episode_id]:
        yield "its rows are not its own"
    if not np.array_equal(steps.column("step").to_numpy(), rows):
        yield "its steps are not numbered from 0 in order"
    if steps.column("next_row").to_pylist() != [*(rows[1:] + first_row).tolist(), None]:
        yield "next_row does not lead from step to step"
    if (steps.column("end_us").to_numpy() < steps.column("start_us").to_numpy()).any():
        yield "a step ends before it starts"
    seen = pc.min(steps.column("image_age_us")).as_py()
    if seen is not None and seen <= 0:
        yield "an observation is not strictly before its action"


def _pictures(rows: pa.Table, group: int) -> Iterator[str]:
    checked: set[tuple[str, int]] = set()
    for column in IMAGE_COLUMNS:
        contents = pc.struct_field(rows.column(column), "bytes").to_pylist()
        for content, expected in zip(contents, rows.column(f"{column}_hash").to_pylist(), strict=True):
            if content is None:
                if column == "image" and expected is not None:
                    yield f"row group {group}: the hash of a picture without the picture"
            elif expected is None:
                yield f"row group {group}: a picture without its hash"
            elif (key := (expected, len(content))) not in checked:
                checked.add(key)
                if picture_hash(content) != expected:
                    yield f"row group {group}: a picture is not what its hash says"
