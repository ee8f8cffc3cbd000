"""The table `episodes` by days, and its publication: commits of changes, one after the other, published or not."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from episode_rows import episode_row, episode_table, segment_file
from hypothesis import given, settings
from hypothesis import strategies as st

from taskreel.io import tables
from taskreel.io.card import CARD, write_card
from taskreel.io.parts import by_day, span_day
from taskreel.io.stores import LocalStore, Store, open_store
from taskreel.io.tables import (
    EPISODES,
    STEPS,
    ConflictError,
    File,
    commit_episodes,
    commit_of,
    committed_version,
    open_table,
    part_paths,
    publish_steps,
    published_version,
    read_episodes,
    read_parts,
    table_files,
)

Row = dict[str, Any]


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(str(tmp_path / "dataset"))


def put(store: Store, *rows: Row, base: int | None, replaces: list[str] | None = None, **more: Any) -> int:
    run_id = more.pop("run_id", f"run{base}")
    return commit_episodes(
        store, episode_table(*rows), replaces=replaces, base_version=base, run_id=run_id, metadata=more
    )


def ids(store: Store, **which: Any) -> list[str]:
    return read_episodes(store, columns=["episode_id"], **which).column("episode_id").to_pylist()


def shards(store: Store) -> list[str]:
    """The shards with rows that `steps` publishes."""
    table = open_table(store, STEPS)
    return sorted(file.path for file in table_files(table).values() if file.rows) if table is not None else []


# ------------------------------------------------------------------------------------------------ parts


def test_the_day_of_a_row_is_that_of_its_earliest_segment() -> None:
    before_midnight = 1_767_657_599_999
    files = [segment_file("p", before_midnight + 1), segment_file("p", before_midnight)]
    assert span_day(files) == "2026-01-05"
    assert span_day(files[:1]) == "2026-01-06"


def test_a_new_dataset_has_one_part_a_day(store: LocalStore) -> None:
    put(store, episode_row("b", 1), episode_row("a", 1), episode_row("a", 0), base=None)
    paths = part_paths(store, 0)
    assert [path[:16] for path in paths] == ["2026-01-05-00000", "2026-01-06-00000"]
    assert read_parts(store, paths[1:])[paths[1]].column("participant").to_pylist() == ["a", "b"]


def test_a_day_with_many_rows_has_several_parts(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskreel.io.parts.PART_ROWS", 2)
    put(store, *(episode_row(at_s=second) for second in range(5)), base=None)
    assert [path[:16] for path in part_paths(store, 0)] == [f"2026-01-05-0000{number}" for number in range(3)]
    assert len(ids(store)) == 5


def test_who_asks_for_some_days_reads_no_other_part(store: LocalStore) -> None:
    put(store, *(episode_row("a", day) for day in range(4)), base=None)
    for path in part_paths(store, 0, ["2026-01-05", "2026-01-07"]):
        (Path(store.root) / EPISODES / path).write_bytes(b"damaged")
    assert ids(store, days=["2026-01-06", "2026-01-08", "1999-01-01"]) == [
        episode_row("a", day)["episode_id"] for day in (1, 3)
    ]


def test_episodes_are_sorted_over_all_parts(store: LocalStore) -> None:
    rows = [episode_row(participant, day) for day in range(3) for participant in "cab"]
    put(store, *rows, base=None)
    expected = sorted(rows, key=lambda row: (row["participant"], row["start_us"], row["episode_id"]))
    assert ids(store) == [row["episode_id"] for row in expected]
    assert read_episodes(store, columns=["steps"]).column_names == ["steps"]


def test_a_dataset_without_rows_is_one(store: LocalStore) -> None:
    put(store, base=None)
    assert publish_steps(store) == 0
    write_card(store)
    assert ids(store) == []
    assert b"0 episodes and 0 steps" in store.read(CARD)


@given(rows=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.integers(0, 9)), unique=True))
def test_rows_are_by_day_each_once(rows: list[tuple[str, int, int]]) -> None:
    table = episode_table(*(episode_row(participant, day, second) for participant, day, second in rows))
    found = [(day, row) for day, part in by_day(table) for row in part.to_pylist()]
    assert sorted(row["episode_id"] for _, row in found) == sorted(table.column("episode_id").to_pylist())
    assert all(day == span_day(row["segments"]) for day, row in found)
    assert [day for day, _ in found] == sorted(day for day, _ in found)


# ------------------------------------------------------------------------------------------------ changes


def test_rows_that_are_added_leave_the_parts_of_other_days_as_they_are(store: LocalStore) -> None:
    put(store, episode_row("a", 0), episode_row("a", 1), base=None)
    before = part_paths(store, 0)
    assert put(store, episode_row("a", 2), base=0, replaces=[]) == 1
    assert part_paths(store, 1)[:2] == before
    assert len(ids(store)) == 3


def test_the_rows_of_a_part_that_is_replaced_leave(store: LocalStore) -> None:
    put(store, episode_row("a", 0), episode_row("a", 1), base=None)
    [first, _] = part_paths(store, 0)
    put(store, episode_row("b", 0), base=0, replaces=[first])
    assert ids(store) == [episode_row("a", 1)["episode_id"], episode_row("b", 0)["episode_id"]]
    assert ids(store, version=0) == [episode_row("a", 0)["episode_id"], episode_row("a", 1)["episode_id"]]


def test_however_often_a_day_grows_it_has_few_parts_and_little_is_written(store: LocalStore) -> None:
    put(store, base=None)
    written = 0
    for number in range(64):
        put(store, episode_row(at_s=number), base=number, replaces=[])
        table = open_table(store, EPISODES)
        assert table is not None
        assert len(part_paths(store, number + 1)) <= 7
        written += sum(file.rows for file in table_files(table).values() if file.path not in part_paths(store, number))
    assert len(ids(store)) == 64
    assert written <= 64 * 7


def test_what_is_written_again_as_it_was_stays_the_same_file(store: LocalStore) -> None:
    put(store, episode_row("a", 0), base=None)
    [path] = part_paths(store, 0)
    put(store, episode_row("a", 0), base=0, replaces=[path])
    assert part_paths(store, 1) == [path]


def test_the_metadata_says_what_changed(store: LocalStore) -> None:
    put(store, episode_row("a", 0, shard="train-a", steps=4), episode_row("a", 1), base=None, kind="batch")
    [first, second] = part_paths(store, 0)
    put(store, episode_row("b", 0, shard="train-b"), base=0, replaces=[first])
    put(store, base=1, replaces=[second])
    facts = [tables.metadata_of(store, version) for version in range(3)]
    assert facts[0]["kind"] == "batch"
    assert facts[0]["shards"] == {"added": [["train-a", 4, 100]], "removed": []}
    assert facts[1]["shards"] == {"added": [["train-b", 3, 100]], "removed": ["train-a"]}
    assert facts[2]["shards"] == {"added": [], "removed": []}
    assert [one["totals"] for one in facts] == [
        {"episodes": 1, "residues": 1, "steps": 4},
        {"episodes": 1, "residues": 1, "steps": 3},
        {"episodes": 1, "residues": 0, "steps": 3},
    ]


def test_a_commit_that_is_done_again_gives_its_version_also_after_others(store: LocalStore) -> None:
    assert put(store, episode_row("a"), base=None, run_id="one") == 0
    assert put(store, episode_row("b"), base=0, replaces=[], run_id="two") == 1
    assert put(store, episode_row("a"), base=None, run_id="one") == 0
    assert len(ids(store)) == 2


def test_a_commit_from_an_old_base_is_a_conflict(store: LocalStore) -> None:
    put(store, base=None)
    put(store, episode_row("a"), base=0, replaces=[])
    with pytest.raises(ConflictError):
        put(store, episode_row("b"), base=0, replaces=[], run_id="late")
    assert len(ids(store)) == 1


def test_ids_of_runs_are_forgotten_after_a_month_and_what_is_published_is_not(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        long_ago_ns = time.time_ns() - 31 * 86_400 * 10**9
        patch.setattr(tables.time, "time_ns", lambda: long_ago_ns)
        put(store, base=None, run_id="old")
        publish_steps(store)
    put(store, base=0, run_id="new")
    assert committed_version(store, "old") is None
    assert committed_version(store, "new") == 1
    assert published_version(store) == 0


# ------------------------------------------------------------------------------------------------ publication


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[list[int], list[int], bool]]:
    """Commits: days whose parts leave, days on which a shard comes, and whether steps is published after it."""
    days = st.lists(st.integers(0, 3), max_size=3, unique=True)
    return draw(st.lists(st.tuples(days, days, st.booleans()), min_size=1, max_size=7))


@settings(max_examples=40)
@given(history=histories())
def test_what_is_published_by_changes_is_what_all_of_episodes_says(
    history: list[tuple[list[int], list[int], bool]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = open_store(str(tmp_path_factory.mktemp("history")))
    put(store, base=None)
    publish_steps(store)
    for base, (leaving, coming, is_published) in enumerate(history):
        gone = {f"2026-01-0{5 + day}" for day in leaving}
        rows = [episode_row("p", day, base, shard=f"train-{base}-{day}") for day in coming]
        put(store, *rows, base=base, replaces=part_paths(store, base, gone))
        if is_published:
            publish_steps(store)
    publish_steps(store)
    assert published_version(store) == len(history)
    expected = tables.step_files(store, read_episodes(store))
    table = open_table(store, STEPS)
    assert table is not None
    assert sorted(table_files(table).values()) == expected
    commit = commit_of(store)
    assert commit is not None
    assert tables.totals_of(store, commit) == tables.totals(read_episodes(store))


def test_several_versions_are_published_at_once_without_reading_episodes(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, episode_row("a", 0, shard="train-a"), base=None)
    publish_steps(store)
    put(store, episode_row("b", 1, shard="validation-b"), base=0, replaces=[])
    put(store, episode_row("c", 0, shard="train-c"), base=1, replaces=part_paths(store, 1, ["2026-01-05"]))
    monkeypatch.setattr(tables, "read_episodes", None)
    assert publish_steps(store) == 2
    assert shards(store) == ["train-c", "validation-b"]


def test_where_a_commit_does_not_say_what_changed_all_of_episodes_does(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, base=None)
    publish_steps(store)
    put(store, episode_row("a", 0, shard="train-a"), base=0, replaces=[])
    put(store, episode_row("b", 1, shard="train-b"), base=1, replaces=[])
    said = tables.metadata_of
    monkeypatch.setattr(tables, "metadata_of", lambda s, version: {} if version == 1 else said(s, version))
    assert publish_steps(store) == 2
    assert shards(store) == ["train-a", "train-b"]


def test_a_split_without_steps_keeps_its_empty_file(store: LocalStore) -> None:
    put(store, base=None)
    publish_steps(store)
    first = open_table(store, STEPS)
    put(store, episode_row("a", 0, shard="train-a"), base=0, replaces=[])
    publish_steps(store)
    second = open_table(store, STEPS)
    assert first is not None
    assert second is not None
    empty = {path: file for path, file in table_files(first).items() if not path.startswith("train-")}
    assert table_files(second) == empty | {"train-a": File("train-a", 3, 100)}


def test_a_log_of_many_commits_is_opened_from_a_checkpoint_and_every_version_stays_readable(store: LocalStore) -> None:
    put(store, base=None)
    for number in range(205):
        put(store, episode_row(at_s=number, shard=f"train-{number}"), base=number, replaces=[])
    logs = store.root / EPISODES / "_delta_log"
    assert [path.name for path in sorted(logs.glob("*.checkpoint.parquet"))] == [
        f"{version:020d}.checkpoint.parquet" for version in (99, 199)
    ]
    for version in (0, 1, 99, 100, 150, 205):
        assert len(ids(store, version=version)) == version
    assert put(store, base=7, run_id="run7") == 8
    assert publish_steps(store) == 205
    assert len(shards(store)) == 205
