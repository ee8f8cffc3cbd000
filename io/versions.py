"""Versions: what a dataset was, going back to it, and removing what no version needs. Thin over what Delta does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from taskreel.io.card import write_card
from taskreel.io.stores import Store
from taskreel.io.tables import (
    EPISODES,
    STEPS,
    Commit,
    commit_of,
    commit_properties,
    current_version,
    log_entry,
    lost_races,
    metadata_in,
    open_table,
    part_paths,
    publish_steps,
    read_episodes,
    shards_of,
)

DEAD_LETTERS = "dead-letter/"
_HOUR_US = 3_600_000_000
_LOG_HOURS = 30 * 24
"""Delta's default of `delta.logRetentionDuration`, by which it removes old entries of a log."""


class NoVersionError(LookupError):
    """A version that is not there, or of which files were removed; the message says what can be done."""


@dataclass(frozen=True)
class Version:
    """A commit of `episodes`: when it was made (µs UTC, by the clock of who committed), and the parts that it added."""

    version: int
    time_us: int
    metadata: dict[str, Any]
    added: tuple[str, ...]


def history(store: Store) -> Iterator[Version]:
    """The versions whose log entries are there, the newest first; raises `FileNotFoundError` without a dataset."""
    latest = current_version(store)
    if latest is None:
        raise FileNotFoundError(f"{store.url}: holds no dataset (no Delta table `episodes`)")
    for number in range(latest, -1, -1):
        try:
            entry = log_entry(store, number)
        except FileNotFoundError:
            return
        time_ms = next(action["commitInfo"]["timestamp"] for action in entry if "commitInfo" in action)
        added = tuple(action["add"]["path"] for action in entry if "add" in action)
        yield Version(number, time_ms * 1000, metadata_in(entry), added)


def rollback(store: Store, version: int, *, run_id: str) -> int:
    """Make a version the dataset again, as a new version; the number of that one.

    What was committed since stays readable. Raises `NoVersionError` if the version, or a file of it, is not there,
    and `ConflictError` if another run commits meanwhile: then nothing has changed.
    """
    base = current_version(store)
    if base is None:
        raise FileNotFoundError(f"{store.url}: holds no dataset (no Delta table `episodes`)")
    if version == base:
        raise NoVersionError(f"{store.url}: version {version} is the latest; there is nothing to go back to")
    old = _whole(store, version)
    facts = {**old.metadata, "kind": "rollback", "run_id": run_id, "restored": version, "shards": None}
    table = open_table(store, EPISODES, base)
    with lost_races(store, run_id):
        if table is not None:
            table.restore(version, commit_properties=commit_properties(run_id, base + 1, facts))
    publish_steps(store)
    write_card(store)
    return base + 1


def _whole(store: Store, version: int) -> Commit:
    """A version of which every file is there."""
    commit = None
    with contextlib.suppress(DeltaError):
        commit = commit_of(store, version)
    if commit is None:
        raise NoVersionError(f"{store.url}: has no version {version}; `taskreel versions` lists those that are there")
    for name in _names_of(store, commit):
        if store.size_bytes(name) is None:
            raise NoVersionError(f"{store.url}: version {version} cannot be restored: {name} was removed by vacuum")
    return commit


def _names_of(store: Store, commit: Commit) -> Iterator[str]:
    """The files of a version: parts, shards, dead letters."""
    yield from (f"{EPISODES}/{path}" for path in part_paths(store, commit.version))
    rows = read_episodes(store, commit.version, ["split", "shard", "shard_rows", "shard_bytes"])
    yield from (f"{STEPS}/{file.path}" for file in shards_of(rows))
    if commit.metadata.get("dead_letter"):
        yield commit.metadata["dead_letter"]


def vacuum(store: Store, *, keep_hours: int, dry_run: bool = False) -> list[str]:
    """Remove the files that no version needs which was current within `keep_hours`, and that are older; their names.

    A run in progress is safe if it takes less than that. Log entries go after 30 days, if versions are not kept longer.
    """
    since_us = store.now_us() - keep_hours * _HOUR_US
    kept = _kept(store, since_us)
    tables = {name: table for name in (EPISODES, STEPS) if (table := open_table(store, name)) is not None}
    unused = [f"{name}/{path}" for name, table in tables.items() for path in _unused(table, keep_hours)]
    unused += [entry.name for entry in store.files(DEAD_LETTERS)]
    removed = [name for name in sorted({*unused} - kept) if _is_older(store, name, since_us)]
    if not dry_run:
        for name in removed:
            store.delete(name)
        for table in tables.values() if keep_hours <= _LOG_HOURS else ():
            table.cleanup_metadata()
    return removed


def _unused(table: DeltaTable, keep_hours: int) -> list[str]:
    """What Delta would remove: files that left so long ago, and files so old that its log does not name."""
    return table.vacuum(keep_hours, dry_run=True, enforce_retention_duration=False, full=True)


def _is_older(store: Store, name: str, since_us: int) -> bool:
    """Whether nobody has written a file since: a run may be about to commit what an old version had, too."""
    modified_us = store.modified_us(name)
    return modified_us is not None and modified_us < since_us


def _kept(store: Store, since_us: int) -> set[str]:
    """The files of the versions that were current at a time or after it.

    By their commits, not by Delta's tombstones: a checkpoint forgets these, and the log of `steps` knows nothing of a
    version that was not published before the next one came.
    """
    kept: set[str] = set()
    last = None
    for last in history(store):
        kept |= _came_with(store, last)
        if last.time_us <= since_us:
            break
    return kept if last is None else kept | set(_names_of(store, Commit(last.version, last.metadata)))


def _came_with(store: Store, version: Version) -> set[str]:
    """The files that a version adds to those of the one before; all of its files where it does not say that."""
    changes = version.metadata.get("shards")
    if not changes:
        return set(_names_of(store, Commit(version.version, version.metadata)))
    letter = version.metadata.get("dead_letter")
    shards = {f"{STEPS}/{path}" for path, _, _ in changes["added"]}
    return {f"{EPISODES}/{path}" for path in version.added} | shards | ({letter} if letter else set())
