"""The two Delta tables of a dataset, and the one way in which they change.

`episodes` is the authority; `steps` is its publication: its file list follows from `episodes` at a version, and the
version is recorded in its log as a transaction. A commit of `episodes` is one atomic step; a crash between the two
is repaired by the next run, or by `taskreel verify --repair`, which call `publish_steps` again.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from taskreel.io.parts import ORDER, by_day, decode_part, encode_parts, in_order, may_hold
from taskreel.io.schemas import EPISODE_SCHEMA, FORMAT_VERSION, SPLITS, STEP_SCHEMA
from taskreel.io.shards import ShardWriter, shard_name
from taskreel.io.stores import Store, StoreError

EPISODES, STEPS = "episodes", "steps"
METADATA_KEY = "taskreel"
_PUBLICATION = "taskreel.episodes"
_PUBLISH_TRIES = 5
_READ_AT_ONCE = 16
"""Parts that are read at once from a remote store, where a request costs 50 ms."""
_CONFIGURATION = {
    "delta.checkpointInterval": "100",
    "delta.enableExpiredLogCleanup": "false",
    "delta.setTransactionRetentionDuration": "interval 30 days",
}
"""Opening a table reads at most 100 log entries. Old versions need old ones: only `vacuum` removes them. Ids of runs go
after a month (a stream has one for each commit); the publication of `steps` has no time, and stays."""


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
        store.check_access(writes=False)  # says it in plain words, where it is the login, a right or the bucket
        reason = str(error).strip().splitlines()[0]
        raise StoreError(f"{store.url_of(name)}: the table cannot be opened ({reason}); is access granted?") from error


def current_version(store: Store) -> int | None:
    """The latest version of `episodes`, None for no dataset."""
    table = open_table(store, EPISODES)
    return None if table is None else table.version()


def committed_version(store: Store, run_id: str) -> int | None:
    """The version of `episodes` that a run has committed, None if it has committed none."""
    table = open_table(store, EPISODES)
    return None if table is None else table.transaction_version(run_id)


def commit_of(store: Store, version: int | None = None) -> Commit | None:
    """What was written with the commit of a version (the latest by default)."""
    table = open_table(store, EPISODES, version)
    if table is None:
        return None
    return Commit(table.version(), metadata_of(store, table.version()))


def metadata_of(store: Store, version: int) -> dict[str, Any]:
    """What was written with the commit of a version; nothing where its log entry is not there any more."""
    try:
        return metadata_in(log_entry(store, version))
    except FileNotFoundError:
        return {}


def log_entry(store: Store, version: int) -> list[dict[str, Any]]:
    """The actions of a commit of `episodes`, as Delta's protocol names them; raises `FileNotFoundError`.

    From the log itself: `DeltaTable.history` begins at the latest version, whichever was opened.
    """
    return [json.loads(line) for line in store.read(f"{EPISODES}/_delta_log/{version:020d}.json").splitlines()]


def metadata_in(entry: list[dict[str, Any]]) -> dict[str, Any]:
    """The metadata that stands in a log entry."""
    infos = (action.get("commitInfo", {}) for action in entry)
    found: dict[str, Any] = json.loads(next((info[METADATA_KEY] for info in infos if METADATA_KEY in info), "{}"))
    return found


def commit_properties(run_id: str, version: int, metadata: dict[str, Any]) -> CommitProperties:
    """With which a version of `episodes` is committed: its run, so that a retry is known, and the metadata."""
    return CommitProperties(
        custom_metadata={METADATA_KEY: json.dumps({"format": FORMAT_VERSION, **metadata}, sort_keys=True)},
        app_transactions=[Transaction(run_id, version, _now_ms())],
        max_commit_retries=0,
    )


def commit_episodes(
    store: Store,
    rows: pa.Table,
    *,
    replaces: Collection[str] | None = None,
    base_version: int | None,
    run_id: str,
    metadata: dict[str, Any],
) -> int:
    """Add `rows` (`EPISODE_SCHEMA`) to `episodes` in the place of some of its parts; the version of this commit.

    `replaces` are paths of parts, all of whose rows leave; None is all parts. What comes in and what leaves names whole
    shards: no part that stays names a shard that a part that leaves names, unless a row that comes in does, too.
    `totals` and `shards` of the metadata follow from it. Idempotent by `run_id`: a second call changes nothing. Raises
    `ConflictError` if the table is no longer at `base_version` by another's commit.
    """
    table = open_table(store, EPISODES)
    committed = None if table is None else table.transaction_version(run_id)
    if committed is not None:
        return int(committed)
    if (None if table is None else table.version()) != base_version:
        raise ConflictError(f"{store.url}: episodes is no longer at version {base_version}")
    present = {} if table is None else table_files(table)
    leaving = {path: present[path] for path in (present if replaces is None else replaces)}
    old = _read_parts(store, sorted(leaving), _SUMMARY_COLUMNS)
    facts = {
        **metadata,
        "totals": _totals_after(store, base_version if replaces is not None else None, rows, old),
        "shards": _shard_changes(rows, old),
    }
    files, merged = _write_parts(store, rows, [file for path, file in present.items() if path not in leaving])
    version = 0 if base_version is None else base_version + 1
    gone = {file.path: file for file in (*leaving.values(), *merged)}
    with lost_races(store, run_id):
        _commit(store, EPISODES, EPISODE_SCHEMA, table, files, gone, commit_properties(run_id, version, facts))
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
        published = published_by(steps)
        if published is not None and published >= episodes.version():
            return int(published)
        properties = CommitProperties(
            app_transactions=[Transaction(_PUBLICATION, episodes.version())], max_commit_retries=0
        )
        present = {} if steps is None else table_files(steps)
        files = _files_to_publish(store, present, published, episodes.version())
        try:
            _commit(store, STEPS, STEP_SCHEMA, steps, files, present, properties)
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
    return published_by(open_table(store, STEPS))


def published_by(steps: DeltaTable | None) -> int | None:
    """The version of `episodes` that the opened table `steps` publishes."""
    return None if steps is None else steps.transaction_version(_PUBLICATION)


_SHARD_COLUMNS = ["split", "shard", "shard_rows", "shard_bytes"]
_SUMMARY_COLUMNS = ["kind", "steps", *_SHARD_COLUMNS]


def step_files(store: Store, episodes: pa.Table) -> list[File]:
    """The shards that some episodes lie in, sorted, and for each split without steps a file without rows."""
    return _with_empty_splits(store, shards_of(episodes), {})


def totals(episodes: pa.Table) -> dict[str, int]:
    """How many `episodes`, `residues` and `steps` some rows of `episodes` are (columns `kind` and `steps`)."""
    kind = episodes.column("kind")
    return {
        "episodes": pc.sum(pc.equal(kind, "episode")).as_py() or 0,
        "residues": pc.sum(pc.equal(kind, "residue")).as_py() or 0,
        "steps": pc.sum(episodes.column("steps")).as_py() or 0,
    }


def totals_of(store: Store, commit: Commit) -> dict[str, int]:
    """The totals of a version: from its metadata, or from its rows where they do not say (format 1.1)."""
    known: dict[str, int] | None = commit.metadata.get("totals")
    return totals(read_episodes(store, commit.version, ["kind", "steps"])) if known is None else known


def read_episodes(
    store: Store,
    version: int | None = None,
    columns: list[str] | None = None,
    days: Collection[str] | None = None,
) -> pa.Table:
    """`episodes` at a version, sorted by participant, start and id; of some days (`span_day`) only, if given."""
    table = open_table(store, EPISODES, version)
    if table is None:
        raise FileNotFoundError(f"{store.url}: holds no dataset (no Delta table `episodes`)")
    names = EPISODE_SCHEMA.names if columns is None else columns
    paths = sorted(path for path in table_files(table) if may_hold(path, days))
    return in_order(_read_parts(store, paths, list(dict.fromkeys([*names, *ORDER])))).select(names)


def part_paths(store: Store, version: int | None, days: Collection[str] | None = None) -> list[str]:
    """The parts of `episodes` at a version that can hold rows of some days (None: all); none without a version."""
    table = None if version is None else open_table(store, EPISODES, version)
    return [] if table is None else sorted(path for path in table_files(table) if may_hold(path, days))


def read_parts(store: Store, paths: Collection[str]) -> dict[str, pa.Table]:
    """Some parts of `episodes`, by path, all columns."""
    return dict(zip(paths, _read_each(store, list(paths), EPISODE_SCHEMA.names), strict=True))


def table_files(table: DeltaTable) -> dict[str, File]:
    """The data files of a table at its version, by path."""
    actions = pa.table(table.get_add_actions(flatten=True))
    columns = ("path", "num_records", "size_bytes")
    rows = zip(*(actions.column(name).to_pylist() for name in columns), strict=True)
    return {path: File(path, records or 0, size) for path, records, size in rows}


def _read_parts(store: Store, paths: list[str], columns: list[str]) -> pa.Table:
    schema = pa.schema([EPISODE_SCHEMA.field(name) for name in columns])
    return pa.concat_tables([schema.empty_table(), *_read_each(store, paths, columns)])


def _read_each(store: Store, paths: list[str], columns: list[str]) -> list[pa.Table]:
    def read(path: str) -> pa.Table:
        return decode_part(store.read(f"{EPISODES}/{path}"), columns)

    if not store.is_remote or len(paths) < 2:
        return [read(path) for path in paths]
    with ThreadPoolExecutor(_READ_AT_ONCE) as pool:
        return list(pool.map(read, paths))


def _write_parts(store: Store, rows: pa.Table, stay: list[File]) -> tuple[list[File], list[File]]:
    """Write rows into parts of their days; the new parts, and those of the parts that `stay` which they took in.

    A day's new rows take in its parts that are not larger, smallest first: so however often something is added to a
    day, the number of its parts grows with the logarithm of its rows, and what is written with it.
    """
    written, merged = [], []
    for day, new in by_day(rows):
        for file in sorted((f for f in stay if f.path.startswith(f"{day}-")), key=lambda f: (f.rows, f.path)):
            if file.rows > new.num_rows:
                break
            new = in_order(pa.concat_tables([new, _read_parts(store, [file.path], EPISODE_SCHEMA.names)]))
            merged.append(file)
        for path, count, data in encode_parts(day, new):
            store.create(f"{EPISODES}/{path}", data)
            written.append(File(path, count, len(data)))
    return written, merged


def _totals_after(store: Store, base_version: int | None, rows: pa.Table, old: pa.Table) -> dict[str, int]:
    added = totals(rows)
    if base_version is None:
        return added
    before, removed = totals_of(store, Commit(base_version, metadata_of(store, base_version))), totals(old)
    return {name: before[name] + added[name] - removed[name] for name in added}


def _shard_changes(rows: pa.Table, old: pa.Table) -> dict[str, list[Any]]:
    new, gone = set(shards_of(rows)), set(shards_of(old))
    return {
        "added": [list(astuple(file)) for file in sorted(new - gone)],
        "removed": sorted(file.path for file in gone - new),
    }


def shards_of(episodes: pa.Table) -> list[File]:
    """The shards that some episodes lie in."""
    placed = episodes.select(_SHARD_COLUMNS).filter(episodes.column("shard").is_valid())
    rows = placed.group_by(_SHARD_COLUMNS).aggregate([]).to_pylist()
    return [File(row["shard"], row["shard_rows"], row["shard_bytes"]) for row in rows]


def _files_to_publish(store: Store, present: dict[str, File], published: int | None, version: int) -> list[File]:
    """The files of `steps` at a version: from what is published by the changes since, or from all of `episodes`."""
    since = [] if published is None else range(published + 1, version + 1)
    changes = [metadata_of(store, number).get("shards") for number in since]
    if published is None or not all(changes):
        return step_files(store, read_episodes(store, version, _SHARD_COLUMNS))
    files = {path: file for path, file in present.items() if file.rows}
    for change in filter(None, changes):
        for path in change["removed"]:
            files.pop(path, None)
        files |= {path: File(path, rows, size_bytes) for path, rows, size_bytes in change["added"]}
    return _with_empty_splits(store, files.values(), present)


def _with_empty_splits(store: Store, shards: Iterable[File], present: dict[str, File]) -> list[File]:
    """Shards, sorted, and for each split that has none a file without rows: one that is `present`, or a new one."""
    files = list(shards)
    for split in SPLITS:
        if not any(file.path.startswith(f"{split}-") for file in files):
            empty = (f for f in present.values() if f.path.startswith(f"{split}-") and not f.rows)
            files.append(next(empty, None) or _empty_shard(store, split))
    return sorted(files)


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
    replaced: dict[str, File],
    properties: CommitProperties,
) -> None:
    """One atomic commit that puts `files` into the place of others. What is in both stays as it is."""
    wanted = {file.path: file for file in files}
    delta_schema = Schema.from_arrow(schema)
    if table is None:
        create_table_with_add_actions(
            store.table_url(name),
            delta_schema,
            [_add(file) for file in wanted.values()],
            mode="error",
            name=name,
            configuration=_CONFIGURATION,
            storage_options=store.table_options(),
            commit_properties=properties,
        )
        return
    added = [_add(file) for path, file in wanted.items() if path not in replaced]
    removed = [_remove(file) for path, file in replaced.items() if path not in wanted]
    table.create_write_transaction(added + removed, "append", delta_schema, commit_properties=properties)


def _add(file: File) -> AddAction:
    stats = json.dumps({"numRecords": file.rows})
    return AddAction(file.path, file.size_bytes, {}, 0, data_change=True, stats=stats)


def _remove(file: File) -> RemoveAction:
    return RemoveAction(file.path, True, _now_ms(), size=file.size_bytes, partition_values={})


def _now_ms() -> int:
    """Tells `vacuum` how old a file is, and Delta how old a transaction is."""
    return time.time_ns() // 1_000_000


@contextlib.contextmanager
def lost_races(store: Store, run_id: str) -> Iterator[None]:
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
