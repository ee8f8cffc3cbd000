"""Retries, races and crashes around the commit: there is one dataset, and it is whole."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from inputs import (
    AS_OF,
    BEN,
    ROOT,
    TOM,
    VERA,
    assert_good,
    at_once,
    copy_of,
    episodes,
    files,
    options,
    places,
    publish_people,
    run,
    run_args,
    shas,
    steps,
    taskreel,
)
from typer.testing import CliRunner

from taskreel.__main__ import app
from taskreel.io import dataset as datasets
from taskreel.io import tables
from taskreel.io.stores import LocalStore
from taskreel.io.tables import ConflictError, current_version, published_version
from taskreel.pipelines import launch as launching
from taskreel.pipelines.launch import LostRaceError, launch
from taskreel.transforms import commit as committing
from taskreel.transforms import write as writing
from taskreel.transforms.commit import CommitOptions, commit

Parts = dict[str, list[bytes]]


def _contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files(folder)}


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Parts, CommitOptions]]:
    """What is handed to the commit, kept so that it can be done again."""
    seen: list[tuple[Parts, CommitOptions]] = []
    once = committing.commit

    def noted(store: Any, parts: Parts, chosen: CommitOptions) -> int:
        seen.append((parts, chosen))
        return once(store, parts, chosen)

    monkeypatch.setattr(committing, "commit", noted)
    return seen


@pytest.fixture
def shards(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, tuple[str, list[bytes]]]]:
    """What is handed to the writer of shards."""
    seen: list[tuple[Any, tuple[str, list[bytes]]]] = []
    once = writing._WriteDoFn.process

    def noted(writer: Any, element: Any) -> Any:
        kept = element[0], list(element[1])
        seen.append((writer, kept))
        return once(writer, kept)

    monkeypatch.setattr(writing._WriteDoFn, "process", noted)
    return seen


def test_a_commit_that_is_done_again_changes_nothing(people: Path, tmp_path: Path, commits: Any) -> None:
    outcome = run(people, tmp_path / "out")
    before = _contents(tmp_path / "out")
    [(parts, chosen)] = commits
    for _ in range(3):
        assert commit(LocalStore(str(tmp_path / "out")), parts, chosen) == outcome.version
    assert _contents(tmp_path / "out") == before


def test_a_commit_that_is_done_many_times_at_once_gives_one_dataset(
    people: Path, plain: Path, tmp_path: Path, commits: Any
) -> None:
    run(people, tmp_path / "scratch")
    [(parts, chosen)] = commits
    output = tmp_path / "out"
    for name in shas(plain):
        LocalStore(str(output)).create(f"steps/{name}", (plain / "steps" / name).read_bytes())
    found = at_once([lambda: commit(LocalStore(str(output)), parts, chosen)] * 8)
    assert found == [0] * 8
    assert current_version(LocalStore(str(output))) == 0
    assert shas(output) == shas(plain)
    assert episodes(output) == episodes(plain)
    assert_good(output)


def test_runs_that_commit_at_once_from_one_base_give_one_winner(
    people: Path, plain: Path, tmp_path: Path, commits: Any
) -> None:
    output = copy_of(plain, tmp_path / "out")
    run(people, tmp_path / "scratch")
    [(parts, _)] = commits
    metadata = {"as_of": AS_OF}
    tasks = [
        lambda n=number: commit(LocalStore(str(output)), parts, CommitOptions(str(output), f"run{n}", 0, metadata))
        for number in range(6)
    ]
    found = at_once(tasks)
    assert [result for result in found if not isinstance(result, Exception)] == [1]
    assert all(isinstance(result, ConflictError) for result in found if result != 1)
    assert published_version(LocalStore(str(output))) == 1
    assert_good(output)


def test_shards_that_are_written_again_and_at_once_are_the_same_files(
    people: Path, tmp_path: Path, shards: Any
) -> None:
    run(people, tmp_path / "out")
    before = _contents(tmp_path / "out")
    written = list(shards)
    tasks = [lambda w=w, e=e: list(w.process(e)) for w, e in written for _ in range(4)]
    found = at_once(tasks)
    assert [found[number : number + 4] for number in range(0, len(found), 4)] == [
        [rows] * 4 for rows in found[::4] if isinstance(rows, list)
    ]
    assert _contents(tmp_path / "out") == before


def test_a_commit_from_an_old_base_changes_nothing(people: Path, plain: Path, tmp_path: Path, commits: Any) -> None:
    output = copy_of(plain, tmp_path / "out")
    run(people, output)
    [(parts, chosen)] = commits
    before = _contents(output)
    late = CommitOptions(str(output), "late", 0, chosen.metadata)
    with pytest.raises(ConflictError):
        commit(LocalStore(str(output)), parts, late)
    assert _contents(output) == before


def _overtaken(monkeypatch: pytest.MonkeyPatch, people: Path, output: Path) -> None:
    """While the run that follows is under way, another one commits."""
    once, done = launching.episodes_pipeline, []

    def overtaken(*args: Any) -> Any:
        if not done:
            done.append(True)
            run(people, output, participants=(BEN, VERA))
        return once(*args)

    monkeypatch.setattr(launching, "episodes_pipeline", overtaken)


@pytest.mark.parametrize("is_new", [True, False])
def test_a_run_that_was_overtaken_says_so_and_the_other_ones_dataset_stays(
    people: Path, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_new: bool
) -> None:
    output = tmp_path / "out" if is_new else copy_of(plain, tmp_path / "out")
    _overtaken(monkeypatch, people, output)
    with pytest.raises(LostRaceError, match="another run has committed"):
        launch(places(people, output), options(), [])
    assert {row["participant"] for row in episodes(output)} == {BEN, VERA}
    assert assert_good(output).version == (0 if is_new else 1)


def test_a_run_that_was_overtaken_exits_3_with_one_line(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _overtaken(monkeypatch, people, tmp_path / "out")
    result = CliRunner().invoke(app, run_args(people, tmp_path / "out"))
    assert result.exit_code == 3, result.output
    assert "another run has committed" in result.stderr.strip().splitlines()[-1]
    assert assert_good(tmp_path / "out").version == 0


@pytest.mark.parametrize("is_new", [True, False])
def test_two_commands_at_once_onto_one_output_leave_one_good_dataset(
    people: Path, plain: Path, tmp_path: Path, is_new: bool
) -> None:
    output = tmp_path / "out" if is_new else copy_of(plain, tmp_path / "out")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT}
    both = [subprocess.Popen(taskreel(*run_args(people, output)), **quiet) for _ in range(2)]  # type: ignore[call-overload]
    errors = [process.communicate(timeout=120)[1] for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes in ([0, 3], [0, 0]), errors
    assert shas(output) == shas(plain)
    assert assert_good(output).version == (0 if is_new else 1) + codes.count(0) - 1


def test_a_run_that_is_run_again_gives_the_same_shards_as_a_new_version(people: Path, tmp_path: Path) -> None:
    first, second = (run(people, tmp_path / "out") for _ in range(2))
    assert (first.version, second.version) == (0, 1)
    assert shas(tmp_path / "out", 0) == shas(tmp_path / "out", 1)
    assert len([name for name in files(tmp_path / "out/steps") if name.endswith(".parquet")]) == len(
        shas(tmp_path / "out")
    )


def test_old_versions_stay_readable(people: Path, plain: Path, tmp_path: Path) -> None:
    output = copy_of(plain, tmp_path / "out")
    run(people, output, participants=(TOM,))
    assert {row["participant"] for row in episodes(output)} == {TOM}
    old = assert_good(output, 0)
    assert old.version == 0
    assert old.episodes() == datasets.open(str(plain)).episodes()
    assert old.steps() == datasets.open(str(plain)).steps()


def test_a_new_version_does_not_change_what_an_open_dataset_reads(people: Path, plain: Path, tmp_path: Path) -> None:
    output = copy_of(plain, tmp_path / "out")
    opened = datasets.open(str(output))
    run(people, output, participants=(TOM,))
    assert opened.episodes() == datasets.open(str(plain)).episodes()
    assert opened.steps() == datasets.open(str(plain)).steps()


@pytest.mark.parametrize("is_new", [True, False])
def test_a_crash_between_the_two_tables_is_repaired_by_the_next_run(
    people: Path, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_new: bool
) -> None:
    output = tmp_path / "out" if is_new else copy_of(plain, tmp_path / "out")
    monkeypatch.setattr(committing, "publish_steps", _crash)
    with pytest.raises(Exception, match="pulled the plug"):
        launch(places(people, output, participants=(BEN,)), options(), [])
    monkeypatch.undo()
    committed = current_version(LocalStore(str(output)))
    assert committed == (0 if is_new else 1)
    assert published_version(LocalStore(str(output))) != committed
    published: list[int | None] = []
    publish = launching.publish_steps
    monkeypatch.setattr(launching, "publish_steps", lambda store: published.append(publish(store)))
    run(people, output)
    assert published == [committed]
    assert shas(output) == shas(plain)
    assert assert_good(output).version == committed + 1


def _crash(*_: Any) -> None:
    raise KeyError("somebody pulled the plug")


def test_a_bundle_that_fails_once_after_its_commit_is_retried_to_the_same_dataset(
    people: Path, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once, tries = committing.commit, []

    def interrupted(*args: Any) -> int:
        version = once(*args)
        tries.append(version)
        return once(*args) if len(tries) == 1 else version

    monkeypatch.setattr(committing, "commit", interrupted)
    run(people, tmp_path / "out")
    assert tries == [0]
    assert shas(tmp_path / "out") == shas(plain)


def test_an_empty_folder_and_the_rests_of_a_killed_run_are_places_for_a_dataset(
    people: Path, plain: Path, tmp_path: Path
) -> None:
    for name, content in _contents(plain).items():
        if "_delta_log" not in name and name != "README.md":
            LocalStore(str(tmp_path / "out")).create(name, content)
    run(people, tmp_path / "out")
    assert _contents(tmp_path / "out").keys() == _contents(plain).keys()
    (tmp_path / "empty").mkdir()
    run(people, tmp_path / "empty")
    assert shas(tmp_path / "empty") == shas(plain)


def test_a_later_segment_makes_a_version_with_it(people: Path, tmp_path: Path) -> None:
    folder = copy_of(people, tmp_path / "in")
    taken = sorted(path for path in folder.rglob("*.parquet") if "annalater" in path.name)
    kept = {path: path.read_bytes() for path in taken}
    for path in taken:
        path.unlink()
    run(folder, tmp_path / "out")
    before = steps(tmp_path / "out")
    for path, data in kept.items():
        path.write_bytes(data)
    run(folder, tmp_path / "out")
    after = steps(tmp_path / "out")
    assert len(after) > len(before)
    assert [row for row in after if row["recording"] != "annalater"] == before


def test_the_commit_says_what_was_run(people: Path, plain: Path) -> None:
    report = datasets.open(str(plain)).report()
    assert report["as_of"] == AS_OF
    assert report["options"]["target_shard_mb"] == options().target_shard_mb
    assert json.loads(json.dumps(report)) == report
    assert tables.commit_of(LocalStore(str(plain))).metadata == report  # type: ignore[union-attr]


def test_publishing_the_input_twice_changes_nothing(tmp_path: Path) -> None:
    first = publish_people(tmp_path)
    before = _contents(tmp_path)
    assert publish_people(tmp_path) == first
    assert _contents(tmp_path) == before
