"""What `taskreel run --streaming` refuses before anything runs: one clear line, exit 2, nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest
from inputs import AS_OF, TARGET_SHARD_MB, copy_of, files, put
from typer.testing import CliRunner

from taskreel.__main__ import app

CLOCK = "2026-02-01T09:00:00Z@2026-11-25T12:00:00Z*600"
STILL = CLOCK.replace("*600", "*0.000001")
"""Shows one time whenever the tests run; `CLOCK` is years ahead soon after its real time."""
SAME = ["--target-shard-mb", str(TARGET_SHARD_MB)]
PRISM = ["--streaming", "--runner=PrismRunner", "--prism_location=/nowhere/prism"]
"""Prism is not there: nothing that is refused may get as far as to it."""


def refused(input_: Path, output: Path, *args: str) -> str:
    result = CliRunner().invoke(app, ["run", "--input", str(input_), "--output", str(output), *args])
    assert result.exit_code == 2, (result.output, result.exception)
    [line] = result.stderr.strip().splitlines()
    assert result.stdout == ""
    return line


@pytest.mark.parametrize(
    "runner",
    [
        [],
        ["--runner=DirectRunner"],
        ["--runner=FnApiRunner"],
        ["--runner=apache_beam.runners.direct.direct_runner.BundleBasedDirectRunner"],
    ],
)
def test_a_runner_that_ends_a_polled_source_early_is_refused(people: Path, tmp_path: Path, runner: list[str]) -> None:
    line = refused(people, tmp_path / "out", "--streaming", *runner)
    assert all(word in line for word in ("--streaming", "PrismRunner", "taskreel watch"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["--incremental"], ["--incremental", "--streaming"]),
        (["--final"], ["--final", "--incremental"]),
        (["--rescan"], ["--rescan", "--incremental"]),
        (["--retry-dead"], ["--retry-dead", "--incremental"]),
        (["--as-of", AS_OF], ["--as-of", "store's time"]),
        (["--clock", "now"], ["--clock", "now", "SHOWN@REAL*RATE"]),
        (["--clock", "2026-02-01T09:00:00Z"], ["--clock", "SHOWN@REAL*RATE"]),
        (["--clock", CLOCK.replace("*600", "*0")], ["--clock", "SHOWN@REAL*RATE"]),
        (["--clock", CLOCK.replace("*600", "*nan")], ["--clock", "SHOWN@REAL*RATE"]),
        (["--clock", CLOCK.replace("*600", "*inf")], ["--clock", "SHOWN@REAL*RATE"]),
        (["--clock", CLOCK.replace("*600", "*fast")], ["--clock", "fast"]),
        (["--clock", CLOCK.replace("*600", "*-1")], ["--clock", "SHOWN@REAL*RATE"]),
        (["--clock", CLOCK.replace("2026-11-25", "today")], ["--clock", "today"]),
        (["--clock", CLOCK.replace("2026-02-01", "then")], ["--clock", "then"]),
        (["--poll-every", "0s"], ["poll_every_s"]),
        (["--close-every", "-5"], ["--close-every"]),
        (["--commit-every", "often"], ["--commit-every", "often"]),
        (["--reconcile-every", "0"], ["reconcile_every_s"]),
        (["--writers", "0"], ["--writers"]),
        (["--lateness-h", "-1"], ["lateness_h"]),
        (["--lateness-h", "inf"], ["lateness_h"]),
        (["--rescan-days", "-1"], ["rescan_days"]),
        (["--no-such-option"], ["--no-such-option"]),
    ],
)
def test_an_option_that_a_stream_cannot_follow_is_refused(
    people: Path, tmp_path: Path, extra: list[str], words: list[str]
) -> None:
    result = CliRunner().invoke(app, ["run", "--input", str(people), "--output", str(tmp_path / "out"), *PRISM, *extra])
    assert result.exit_code == 2, (result.output, result.exception)
    assert all(word in result.stderr for word in words), result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "extra",
    [
        ["--poll-every", "5s"],
        ["--close-every", "5s"],
        ["--commit-every", "1s"],
        ["--reconcile-every", "5m"],
        ["--writers", "2"],
        ["--clock", CLOCK],
    ],
)
@pytest.mark.parametrize("way", [[], ["--incremental"]])
def test_an_option_of_a_stream_is_refused_where_it_has_no_effect(
    people: Path, tmp_path: Path, way: list[str], extra: list[str]
) -> None:
    line = refused(people, tmp_path / "out", *way, *extra)
    assert extra[0] in line
    assert "--streaming" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["--target-shard-mb", "7"], ["target_shard_mb", "7", "Give the same options"]),
        ([*SAME, "--session-gap-s", "300"], ["session_gap_s", "600", "300"]),
        ([*SAME, "--participants", "p1"], ["participants"]),
        ([*SAME, "--clock", STILL.replace("2026-02", "2026-01")], [AS_OF]),
    ],
)
def test_a_dataset_that_was_made_otherwise_is_not_gone_on_from(
    people: Path, plain: Path, tmp_path: Path, extra: list[str], words: list[str]
) -> None:
    output = copy_of(plain, tmp_path / "out")
    before = {name: (output / name).read_bytes() for name in files(output)}
    line = refused(people, output, *PRISM, "--clock", STILL, *extra)
    assert all(word in line for word in words), line
    assert {name: (output / name).read_bytes() for name in files(output)} == before


def test_a_dataset_of_another_input_is_not_gone_on_from(people: Path, plain: Path, tmp_path: Path) -> None:
    line = refused(copy_of(people, tmp_path / "in"), plain, *PRISM, "--clock", CLOCK, *SAME)
    assert str(people) in line
    assert str(tmp_path / "in") in line


def test_an_input_that_is_not_there_and_an_output_of_something_else_are_refused(people: Path, tmp_path: Path) -> None:
    assert "there is no folder" in refused(tmp_path / "nowhere", tmp_path / "out", *PRISM)
    put(tmp_path / "out", "thesis.txt", b"ten years of work")
    assert "holds something else" in refused(people, tmp_path / "out", *PRISM)
    assert list(files(tmp_path)) == ["out/thesis.txt"]
