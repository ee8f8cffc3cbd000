"""The two Delta tables of a dataset, and the one way in which they change.

`episodes` is the authority; `steps` is its publication: its file list follows from `episodes` at a version, and the
version is recorded in its log as a transaction. A commit of `episodes` is one atomic step; a crash between the two
is repaired by the next run, or by `taskreel verify --repair`, which call `publish_steps` again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from taskreel.io.schemas import EPISODE_SCHEMA, FORMAT_VERSION, SPLITS, STEP_SCHEMA
from taskreel.io.shards import ShardWriter, shard_name
from taskreel.io.stores import Store, StoreError

EPISODES, STEPS = "episodes", "steps"
METADATA_KEY = "taskreel"
_PUBLICATION = "taskreel.episodes"
_EPISODES_PER_FILE = 100_000
_PUBLISH_TRIES = 5


class ConflictError(RuntimeError):
    """Another run has committed since the version that this one began from; nothing was changed."""


@dataclass(frozen=True, order=True)
class File:
    """A data file of a table: its path below the table, its rows and its size."""

    path: str
    rows: int
    size_bytes: int


@dataclass(frozen=True)
class Commit:
    """A commit of `episodes`: its version and the metadata (run id, as-of, options, report) written with it."""

    version: int
    metadata: dict[str, Any]


def open_table(store: Store, name: str, version: int | None = None) -> DeltaTable | None:
    """A table, at a version or the latest; None where there is no table."""
    try:
        return DeltaTable(store.table_url(name), version=version, storage_options=store.table_options())
    except TableNotFoundError:
        return None
    except OSError as error:
        reason = str(error).strip().splitlines()[0]
        raise StoreError(f"{store.url_of(name)}: the table cannot be opened ({reason}); is access granted?") from error


def current_version(store: Store) -> int | None:
    """The latest version of `episodes`, None for no dataset."""
    table = open_table(store, EPISODES)
    return None if table is None else table.version()


def commit_of(store: Store, version: int | None = None) -> Commit | None:
    """What was written with the commit of a version (the latest by default)."""
    table = open_table(store, EPISODES, version)
    if table is None:
        return None
    return Commit(table.version(), _metadata_of(store, table.version()))


def _metadata_of(store: Store, version: int) -> dict[str, Any]:
    """From the log itself: `DeltaTable.history` begins at the latest version, whichever was opened."""
    try:
        log = store.read(f"{EPISODES}/_delta_log/{version:020d}.json")
    except FileNotFoundError:  # older than the log's retention
        return {}
    entries = (json.loads(line).get("commitInfo", {}) for line in log.splitlines())
    found: dict[str, Any] = json.loads(next((e[METADATA_KEY] for e in entries if METADATA_KEY in e), "{}"))
    return found


def commit_episodes(
    store: Store, rows: pa.Table, *, base_version: int | None, run_id: str, metadata: dict[str, Any]
) -> int:
    """Make `rows` (`EPISODE_SCHEMA`, sorted) the whole of `episodes`; the version that this run committed.

    Idempotent by `run_id`: a second call changes nothing. Raises `ConflictError` if the table is no longer at
    `base_version` by another's commit.
    """
    table = open_table(store, EPISODES)
    if table is not None and table.transaction_version(run_id) is not None:
        return table.version()
    if (None if table is None else table.version()) != base_version:
        raise ConflictError(f"{store.url}: episodes is no longer at version {base_version}")
    files = list(_write_episodes(store, rows))
    properties = CommitProperties(
        custom_metadata={METADATA_KEY: json.dumps({"format": FORMAT_VERSION, **metadata}, sort_keys=True)},
        app_transactions=[Transaction(run_id, 1)],
        max_commit_retries=0,
    )
    with _conflicts(store, run_id):
        _commit(store, EPISODES, EPISODE_SCHEMA, table, files, properties)
    version = current_version(store)
    if version is None:
        raise DeltaError(f"{store.url}: the table episodes vanished after the commit")
    return version


def publish_steps(store: Store) -> int | None:
    """Bring `steps` to what `episodes` says now. Idempotent; None where there is no dataset.

    Safe to call at once from several places: the transaction in its log says which version is published.
    """
    for _ in range(_PUBLISH_TRIES):
        episodes = open_table(store, EPISODES)
        if episodes is None:
            return None
        steps = open_table(store, STEPS)
        published = None if steps is None else steps.transaction_version(_PUBLICATION)
        if published is not None and published >= episodes.version():
            return int(published)
        properties = CommitProperties(
            app_transactions=[Transaction(_PUBLICATION, episodes.version())], max_commit_retries=0
        )
        files = step_files(store, read_episodes(store, episodes.version(), columns=_SHARD_COLUMNS))
        try:
            _commit(store, STEPS, STEP_SCHEMA, steps, files, properties)
        except DeltaError as error:
            if not _is_lost_race(error):
                raise
        except OSError:  # perhaps an answer that was lost: the next try sees
            continue
        else:
            return episodes.version()
    raise StoreError(f"{store.url}: steps could not be published in {_PUBLISH_TRIES} tries; run again")


def published_version(store: Store) -> int | None:
    """The version of `episodes` that `steps` publishes."""
    steps = open_table(store, STEPS)
    return None if steps is None else steps.transaction_version(_PUBLICATION)


_SHARD_COLUMNS = ["split", "shard", "shard_rows", "shard_bytes"]


def step_files(store: Store, episodes: pa.Table) -> list[File]:
    """The shards that some episodes lie in, sorted, and for each split without steps a file without rows."""
    shards = episodes.select(_SHARD_COLUMNS).filter(episodes.column("shard").is_valid()).group_by(_SHARD_COLUMNS)
    rows = shards.aggregate([]).to_pylist()
    files = [File(row["shard"], row["shard_rows"], row["shard_bytes"]) for row in rows]
    missing = [split for split in SPLITS if split not in {row["split"] for row in rows}]
    return sorted(files + [_empty_shard(store, split) for split in missing])


def read_episodes(store: Store, version: int | None = None, columns: list[str] | None = None) -> pa.Table:
    """`episodes` at a version, in the order in which they were committed (participant, time, id)."""
    table = open_table(store, EPISODES, version)
    if table is None:
        raise FileNotFoundError(f"{store.url}: holds no dataset (no Delta table `episodes`)")
    schema = EPISODE_SCHEMA if columns is None else pa.schema([EPISODE_SCHEMA.field(name) for name in columns])
    parts = [
        pq.read_table(pa.BufferReader(store.read(f"{EPISODES}/{path}")), columns=schema.names).cast(schema)
        for path in sorted(table_files(table))
    ]
    return pa.concat_tables(parts) if parts else schema.empty_table()


def table_files(table: DeltaTable) -> dict[str, File]:
    """The data files of a table at its version, by path."""
    actions = pa.table(table.get_add_actions(flatten=True))
    columns = ("path", "num_records", "size_bytes")
    rows = zip(*(actions.column(name).to_pylist() for name in columns), strict=True)
    return {path: File(path, records or 0, size) for path, records, size in rows}


def _write_episodes(store: Store, rows: pa.Table) -> Iterator[File]:
    """Data files of `episodes`, named by their content; numbered so that their order is that of the rows."""
    for number, first in enumerate(range(0, max(rows.num_rows, 1), _EPISODES_PER_FILE)):
        part = rows.slice(first, _EPISODES_PER_FILE)
        sink = pa.BufferOutputStream()
        pq.write_table(part, sink, compression="zstd", store_schema=False, write_page_checksum=True)
        data = sink.getvalue().to_pybytes()
        path = f"part-{number:05d}-{hashlib.sha256(data).hexdigest()[:12]}.parquet"
        store.create(f"{EPISODES}/{path}", data)
        yield File(path, part.num_rows, len(data))


def _empty_shard(store: Store, split: str) -> File:
    with store.staged() as staged:
        with ShardWriter(staged.path):
            pass
        path = shard_name(split, 0, 1, staged.sha256())
        staged.publish(f"{STEPS}/{path}")
        size_bytes = store.size_bytes(f"{STEPS}/{path}") or 0
    return File(path, 0, size_bytes)


def _commit(
    store: Store,
    name: str,
    schema: pa.Schema,
    table: DeltaTable | None,
    files: Iterable[File],
    properties: CommitProperties,
) -> None:
    """One atomic commit that makes `files` the whole of the table."""
    wanted = {file.path: file for file in files}
    delta_schema = Schema.from_arrow(schema)
    if table is None:
        create_table_with_add_actions(
            store.table_url(name),
            delta_schema,
            [_add(file) for file in wanted.values()],
            mode="error",
            name=name,
            storage_options=store.table_options(),
            commit_properties=properties,
        )
        return
    present = table_files(table)
    added = [_add(file) for path, file in wanted.items() if path not in present]
    removed = [_remove(file) for path, file in present.items() if path not in wanted]
    table.create_write_transaction(added + removed, "append", delta_schema, commit_properties=properties)


def _add(file: File) -> AddAction:
    stats = json.dumps({"numRecords": file.rows})
    return AddAction(file.path, file.size_bytes, {}, 0, data_change=True, stats=stats)


def _remove(file: File) -> RemoveAction:
    deleted_ms = time.time_ns() // 1_000_000  # tells `vacuum` how old the file is
    return RemoveAction(file.path, True, deleted_ms, size=file.size_bytes, partition_values={})


@contextlib.contextmanager
def _conflicts(store: Store, run_id: str) -> Iterator[None]:
    """A commit that another won: own id there after all means that it was a retry of this run."""
    try:
        yield
    except (DeltaError, OSError) as error:
        table = open_table(store, EPISODES)
        if table is not None and table.transaction_version(run_id) is not None:
            return
        if isinstance(error, DeltaError) and _is_lost_race(error):
            raise ConflictError(f"{store.url}: another run has committed in the meantime") from error
        raise


def _is_lost_race(error: DeltaError) -> bool:
    """Whether another committed first; two that create a table at once get a plain `DeltaError`."""
    return isinstance(error, CommitFailedError) or "exists" in str(error)
