"""What the command says and how it ends when it cannot do what it was asked: one line, exit 2, nothing written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from inputs import AS_OF, command, copy_of, files, put, run_args, shas
from typer.testing import CliRunner

from taskreel.__main__ import app

EVEMU = Path(__file__).parents[1] / "data" / "evemu"


def _assert_refused(args: list[str], *words: str) -> None:
    result = CliRunner().invoke(app, args)
    lines = result.stderr.strip().splitlines()
    assert result.exit_code == 2, result.output
    assert len(lines) == 1, result.stderr
    assert all(word in lines[0] for word in words), lines[0]
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["--no-such-option=1"], ["--no-such-option"]),
        (["--direct_num_worker=2"], ["--direct_num_worker"]),
        (["stray"], ["stray"]),
        (["--as-of", "yesterday"], ["--as-of", "yesterday", "ISO 8601"]),
        (["--from", "9 o'clock"], ["--from"]),
        (["--until", "2026-13-01"], ["--until"]),
        (["--split-percent", "90,10"], ["--split-percent"]),
        (["--split-percent", "90,5,6"], ["100"]),
        (["--split-percent", "a,b,c"], ["--split-percent"]),
        (["--session-gap-s", "0"], ["session_gap_s"]),
        (["--target-shard-mb", "-1"], ["target_shard_mb"]),
        (["--target-shard-mb", "0.0000001"], ["target_shard"]),
        (["--row-group-rows", "0"], ["row_group_rows"]),
        (["--min-episode-steps", "0"], ["min_steps"]),
        (["--participants", "nobody"], ["no segments found"]),
        (["--from", "2030-01-01T00:00:00Z"], ["no segments found"]),
        (["--direct_num_workers=many"], ["--direct_num_workers"]),
    ],
)
def test_an_option_that_cannot_be_is_one_clear_line(
    people: Path, tmp_path: Path, extra: list[str], words: list[str]
) -> None:
    _assert_refused([*run_args(people, tmp_path / "out"), *extra], *words)
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_holds_something_else_is_left_as_it_is(people: Path, tmp_path: Path) -> None:
    put(tmp_path / "out", "thesis.txt", b"ten years of work")
    _assert_refused(run_args(people, tmp_path / "out"), "holds something else", "thesis.txt")
    assert list(files(tmp_path)) == ["out/thesis.txt"]


def test_an_output_that_is_the_input_is_refused(people: Path, tmp_path: Path) -> None:
    folder = copy_of(people, tmp_path / "in")
    before = sorted(files(folder))
    _assert_refused(run_args(folder, folder), "holds something else")
    assert sorted(files(folder)) == before


def test_an_output_that_is_a_file_is_refused(people: Path, tmp_path: Path) -> None:
    put(tmp_path, "out", b"a file")
    _assert_refused(run_args(people, tmp_path / "out"), "is a file")


def test_a_missing_input_is_refused(tmp_path: Path) -> None:
    _assert_refused(run_args(tmp_path / "nowhere", tmp_path / "out"), "there is no folder", "nowhere")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["notes.txt", "segments/v1/notes.txt", "segments/v1/day=2026-01-05/notes.txt"])
def test_an_input_without_segments_is_refused(tmp_path: Path, name: str) -> None:
    put(tmp_path / "in", name, b"hello")
    _assert_refused(run_args(tmp_path / "in", tmp_path / "out"), "no segments found")
    assert list(files(tmp_path)) == [f"in/{name}"]


@pytest.mark.parametrize("option", ["--input", "--output"])
def test_a_place_of_an_unknown_kind_is_refused(people: Path, tmp_path: Path, option: str) -> None:
    args = run_args(people, tmp_path / "out")
    args[args.index(option) + 1] = "s3://bucket/there"
    _assert_refused(args, "s3://bucket/there")
    assert list(tmp_path.iterdir()) == []


def test_the_command_ends_with_a_summary_and_what_to_type_next(people: Path, plain: Path, tmp_path: Path) -> None:
    done = command(*run_args(people, tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    for word in ("DirectRunner (FnApiRunner", "episodes", "steps", "MB/s", "click", f"verify {tmp_path}/out"):
        assert word in done.stdout.replace("\n", "")
    assert shas(tmp_path / "out") == shas(plain)


def test_the_command_prints_numbers_for_a_program(people: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [*run_args(people, tmp_path / "out"), "--json"])
    assert result.exit_code == 0, result.output
    values = json.loads(result.stdout)
    assert values["imbalances"] == []
    assert values["as_of"] == AS_OF
    assert values["segments"]["read"] == values["segments"]["written"] == 18


@pytest.mark.parametrize("command_name", ["verify", "inspect"])
def test_looking_at_what_is_no_dataset_is_one_clear_line(tmp_path: Path, command_name: str) -> None:
    _assert_refused([command_name, str(tmp_path / "nowhere")], "nowhere")


@pytest.mark.parametrize(
    "args",
    [
        ("run", "--input", "in", "--output", "out", "--session-gap-s", "nan"),
        ("run", "--input", "in", "--output", "out", "--target-shard-mb", "inf"),
        ("run", "--input", "in", "--output", "out", "--clock-correction-s", "inf"),
        ("simulate", "--out", "out", "--start", "junk"),
        ("inspect", "out", "--version", "-1"),
        ("verify", "out", "--version", "-1"),
        ("evaluate", "--truth", "in", "--dataset", "out", "--version", "-1"),
        ("evaluate", "--truth", "in", "--dataset", "out", "--min-f1", "nan"),
        ("evaluate", "--truth", "in", "--dataset", "out", "--min-actions", "-1"),
        ("evaluate", "--concat", "in", "in"),
        ("import", "evemu", str(EVEMU / "thinkpad-keyboard.events"), "--out", "out", "--segment-minutes", "inf"),
    ],
)
def test_numbers_that_make_no_sense_are_bad_use(
    args: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, list(args))
    assert result.exit_code == 2, (result.output, result.exception)
    option = next(arg for arg in reversed(args) if arg.startswith("--"))
    assert option in result.stderr or option.strip("-").replace("-", "_") in result.stderr
    assert not list(tmp_path.iterdir())
