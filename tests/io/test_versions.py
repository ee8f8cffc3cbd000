"""Versions of a dataset: listed, gone back to, and what may be removed."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from episode_rows import episode_row, episode_table

from taskreel.io import versions as versioning
from taskreel.io.card import CARD
from taskreel.io.stores import LocalStore, Store, open_store
from taskreel.io.tables import (
    EPISODES,
    ConflictError,
    commit_episodes,
    commit_of,
    current_version,
    open_table,
    part_paths,
    publish_steps,
    published_version,
    read_episodes,
    step_files,
)
from taskreel.io.versions import NoVersionError, history, rollback, vacuum

DAY_S = 86_400


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(str(tmp_path / "dataset"))


def put(store: Store, number: int, *, publish: bool = True) -> int:
    """The version `number`: one episode in a shard and a dead-letter file of its own, and nothing else."""
    shard, letter = f"train-{number}", f"dead-letter/{number}.jsonl"
    store.create(f"steps/{shard}", b"x" * 100)
    store.create(letter, b"%d" % number)
    rows = episode_table(episode_row("a", number, shard=shard))
    facts = {"kind": "batch", "as_of": f"2026-02-0{number + 1}T00:00:00Z", "dead_letter": letter}
    base = number - 1 if number else None
    version = commit_episodes(store, rows, base_version=base, run_id=f"run{number}", metadata=facts)
    if publish:
        publish_steps(store)
    return version


def names(store: Store) -> set[str]:
    """All files but logs, the card and the empty shards."""
    found = {entry.name for entry in store.files() if "_delta_log" not in entry.name and entry.name != CARD}
    return {name for name in found if "-00000-of-00001-" not in name}


def of_version(store: Store, version: int) -> set[str]:
    parts = {f"{EPISODES}/{path}" for path in part_paths(store, version)}
    return parts | {f"steps/train-{version}", f"dead-letter/{version}.jsonl"}


def age(store: LocalStore, days: float, *, files: bool = True, logs: bool = False) -> None:
    """Make everything that is there older."""
    for path in store.root.rglob("*"):
        if path.is_file() and (logs if "_delta_log" in path.parts else files):
            then = path.stat().st_mtime - days * DAY_S
            os.utime(path, (then, then))


# ------------------------------------------------------------------------------------------------ history, rollback


def test_the_history_has_every_version_the_newest_first(store: LocalStore) -> None:
    began_us = time.time_ns() // 1000 - 1000
    for number in range(3):
        put(store, number)
    found = list(history(store))
    assert [version.version for version in found] == [2, 1, 0]
    assert all(began_us <= version.time_us <= time.time_ns() // 1000 for version in found)
    assert [version.metadata for version in found] == [
        commit.metadata for number in (2, 1, 0) if (commit := commit_of(store, number)) is not None
    ]


def test_a_rollback_is_a_new_version_with_what_the_old_one_had(store: LocalStore) -> None:
    for number in range(3):
        put(store, number)
    assert rollback(store, 0, run_id="back") == 3
    commit = commit_of(store)
    assert commit is not None
    assert commit.metadata["kind"] == "rollback"
    assert commit.metadata["restored"] == 0
    assert commit.metadata["as_of"] == "2026-02-01T00:00:00Z"
    assert read_episodes(store) == read_episodes(store, 0)
    assert published_version(store) == 3
    assert b"Version 3" in store.read(CARD)
    assert read_episodes(store, 2).column("participant").to_pylist() == ["a"]


def test_a_rollback_can_be_undone_and_gone_on_from(store: LocalStore) -> None:
    for number in range(2):
        put(store, number)
    rollback(store, 0, run_id="back")
    assert rollback(store, 1, run_id="forth") == 3
    assert read_episodes(store) == read_episodes(store, 1)
    assert put(store, 4) == 4
    assert {file.path for file in step_files(store, read_episodes(store)) if file.rows} == {"train-4"}


@pytest.mark.parametrize(("version", "reason"), [(7, "has no version 7"), (1, "is the latest")])
def test_a_version_that_cannot_be_gone_back_to_is_an_error(store: LocalStore, version: int, reason: str) -> None:
    for number in range(2):
        put(store, number)
    with pytest.raises(NoVersionError, match=reason):
        rollback(store, version, run_id="back")
    assert current_version(store) == 1


@pytest.mark.parametrize("name", ["steps/train-0", "dead-letter/0.jsonl", "part"])
def test_a_version_of_which_a_file_was_removed_is_not_gone_back_to(store: LocalStore, name: str) -> None:
    for number in range(2):
        put(store, number)
    store.delete(f"{EPISODES}/{part_paths(store, 0)[0]}" if name == "part" else name)
    with pytest.raises(NoVersionError, match="removed by vacuum"):
        rollback(store, 0, run_id="back")
    assert current_version(store) == 1


def test_a_rollback_that_another_run_overtook_changes_nothing(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        put(store, number)
    once = versioning.commit_properties

    def overtaken(*args: Any) -> Any:
        put(store, 2)
        return once(*args)

    monkeypatch.setattr(versioning, "commit_properties", overtaken)
    with pytest.raises(ConflictError):
        rollback(store, 0, run_id="back")
    assert current_version(store) == 2


def test_what_is_not_a_dataset_has_no_versions(store: LocalStore) -> None:
    for call in (
        lambda: list(history(store)),
        lambda: rollback(store, 0, run_id="x"),
        lambda: vacuum(store, keep_hours=1),
    ):
        with pytest.raises(FileNotFoundError, match="holds no dataset"):
            call()


# ------------------------------------------------------------------------------------------------ vacuum


def test_files_of_versions_that_are_old_enough_are_removed_and_no_others(store: LocalStore) -> None:
    for number in range(3):
        put(store, number)
    gone, kept = of_version(store, 0) | of_version(store, 1), of_version(store, 2)
    age(store, 10)
    time.sleep(0.01)
    assert set(vacuum(store, keep_hours=0)) == gone
    assert names(store) == kept


def test_a_dry_run_says_the_same_and_removes_nothing(store: LocalStore) -> None:
    for number in range(2):
        put(store, number)
    age(store, 10)
    before = names(store)
    time.sleep(0.01)
    said = vacuum(store, keep_hours=0, dry_run=True)
    assert names(store) == before
    assert vacuum(store, keep_hours=0) == said == sorted(of_version(store, 0))


def test_versions_that_were_current_within_the_time_stay_whole(store: LocalStore) -> None:
    """Their files are older than that, and so may a version be that was current when it began."""
    for number in range(3):
        put(store, number)
    age(store, 10)
    assert vacuum(store, keep_hours=24) == []
    assert names(store) == set().union(*(of_version(store, number) for number in range(3)))


def test_the_version_that_was_current_when_the_time_began_stays(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        put(store, number)
    age(store, 10)
    between_us = next(history(store)).time_us
    time.sleep(0.005)
    put(store, 2)
    monkeypatch.setattr(store, "now_us", lambda: between_us)
    assert set(vacuum(store, keep_hours=0)) == of_version(store, 0)
    assert names(store) == of_version(store, 1) | of_version(store, 2)


def test_the_shards_of_a_version_that_was_never_published_stay_as_long_as_it(store: LocalStore) -> None:
    put(store, 0)
    put(store, 1, publish=False)
    put(store, 2)
    age(store, 10)
    assert vacuum(store, keep_hours=24) == []
    assert of_version(store, 1) <= names(store)


def test_what_a_killed_run_left_is_removed_once_it_is_old(store: LocalStore) -> None:
    put(store, 0)
    left = {"steps/train-x", "episodes/2026-01-01-00000-abc.parquet", "dead-letter/x.jsonl"}
    for name in left:
        store.create(name, b"left")
    assert vacuum(store, keep_hours=24) == []
    age(store, 2)
    assert set(vacuum(store, keep_hours=24)) == left


def test_what_a_run_in_progress_wrote_stays_also_if_a_killed_one_had_left_the_same(store: LocalStore) -> None:
    put(store, 0)
    store.create("steps/train-x", b"the same")
    age(store, 10)
    assert store.create("steps/train-x", b"the same") is False
    assert vacuum(store, keep_hours=24) == []


def test_what_a_run_in_progress_wrote_stays_also_if_an_old_version_had_the_same(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        put(store, number)
    age(store, 10)
    time.sleep(0.01)
    monkeypatch.setattr(store, "now_us", lambda: time.time_ns() // 1000 - 5000)  # before the file is written
    store.create("steps/train-0", b"x" * 100)
    removed = vacuum(store, keep_hours=0, dry_run=True)
    assert "steps/train-0" not in removed


def test_the_card_late_segments_and_foreign_files_stay(store: LocalStore) -> None:
    put(store, 0)
    for name in (CARD, "late/abc.jsonl", "notes.txt"):
        store.create(name, b"mine")
    age(store, 100)
    vacuum(store, keep_hours=0)
    assert all(store.size_bytes(name) for name in (CARD, "late/abc.jsonl", "notes.txt"))


def test_log_entries_go_after_a_month_and_what_is_left_is_whole(store: LocalStore) -> None:
    for number in range(103):
        put(store, number, publish=False)
    publish_steps(store)
    log = store.root / EPISODES / "_delta_log"
    age(store, 40, logs=True)
    before = sorted(path.name for path in log.iterdir())
    vacuum(store, keep_hours=60 * 24)
    assert sorted(path.name for path in log.iterdir()) == before
    vacuum(store, keep_hours=24)
    assert min(path.name for path in log.iterdir()) == f"{99:020d}.checkpoint.parquet"
    assert [version.version for version in history(store)] == [102, 101, 100, 99]
    for version in range(99, 103):
        assert read_episodes(store, version).num_rows == 1
    with pytest.raises(NoVersionError, match="has no version 5"):
        rollback(store, 5, run_id="back")
    assert put(store, 103) == 103


def test_on_a_bucket_it_is_the_same(gcs: Any) -> None:
    store = open_store("gs://lake/dataset")
    for number in range(2):
        put(store, number)
    store.create("steps/train-x", b"left")
    assert vacuum(store, keep_hours=24) == []
    time.sleep(1.1)  # the store's time is in whole seconds
    assert set(vacuum(store, keep_hours=0)) == of_version(store, 0) | {"steps/train-x"}
    assert rollback_of_removed(store) == "removed by vacuum"
    assert open_table(store, EPISODES) is not None


def rollback_of_removed(store: Store) -> str:
    with pytest.raises(NoVersionError) as error:
        rollback(store, 0, run_id="back")
    return str(error.value)[-len("removed by vacuum") :]
