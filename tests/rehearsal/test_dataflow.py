"""A whole rehearsal of `taskreel run`, and what cannot be rehearsed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from shipped import project_copy

from taskreel.io import dataset as datasets
from taskreel.io.verify import faults
from taskreel.rehearsal.places import write


def taskreel(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "taskreel", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)


def rehearsed(*arguments: str) -> tuple[int, dict[str, Any]]:
    done = taskreel("rehearse", "dataflow", "--json", *arguments)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def simulated(folder: Path, **options: object) -> Path:
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    assert taskreel("simulate", "--out", str(folder), *words).returncode == 0
    return folder


@pytest.mark.prism
@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_stream_is_stopped_and_goes_on_where_it_was(tmp_path: Path, prism_options: list[str]) -> None:
    start = (datetime.now(UTC) - timedelta(hours=3)).isoformat()
    people = simulated(tmp_path / "people", participants=2, minutes=10, start=start, screens="reuse")
    code, report = rehearsed(
        *("--input", str(people), "--output", str(tmp_path / "out")),
        f"--setup_file={project_copy(tmp_path / 'project')}",
        prism_options[1].replace("prism_location", "prism"),
        *("--streaming", "--poll-every=1s", "--close-every=2s", "--commit-every=1s"),
    )
    assert report["faults"] == []
    assert code == 0
    names = [part["name"] for part in report["parts"]]
    assert [name for name in names if name.startswith("run")] == ["run, life 1", "run, life 2"]
    segments = len(list(people.glob("segments/v1/**/*.parquet")))
    dataset = datasets.open(str(tmp_path / "out"))
    assert list(faults(dataset)) == []
    taken = {name for row in dataset.episodes().column("segments").to_pylist() for name in row}
    assert len(taken) == segments >= 4
    assert f"holds {segments} of {segments} segments" in report["dataset"]
    assert dataset.report()["runner"] == "DataflowRunner"


@pytest.mark.prism
@pytest.mark.slow
def test_a_part_of_a_folder_is_the_input_and_a_dataset_may_be_there(
    people: Path, plain: Path, tmp_path: Path, prism_options: list[str]
) -> None:
    output = tmp_path / "out"
    shutil.copytree(plain, output)
    before = {path: path.stat().st_mtime_ns for path in output.glob("episodes/**/*") if path.is_file()}
    (day,) = sorted(people.glob("segments/v1/day=2026-01-06*"))
    code, report = rehearsed(
        *("--input", str(day), "--output", str(output)),
        f"--setup_file={project_copy(tmp_path / 'project')}",
        prism_options[1].replace("prism_location", "prism"),
    )
    assert (code, report["faults"]) == (0, [])
    assert {path: path.stat().st_mtime_ns for path in before} == before
    dataset = datasets.open(str(output))
    assert dataset.version == datasets.open(str(plain)).version + 1
    taken = {name for row in dataset.episodes().column("segments").to_pylist() for name in row}
    assert taken == {path.name for path in day.rglob("*.parquet")}


@pytest.mark.prism
@pytest.mark.slow
def test_the_places_and_options_of_the_real_launch_can_be_rehearsed(tmp_path: Path, prism_options: list[str]) -> None:
    people = simulated(tmp_path / "people", participants=1, minutes=3, screens="reuse")
    code, report = rehearsed(
        *("--sample", str(people), "--input", "gs://lake/people", "--output", "gs://lake/out"),
        *("--project=office", "--region=us-east1", "--temp_location=gs://other/temp", "--job_name=nightly"),
        *("--machine_type=n2-standard-2", "--max_num_workers=2", "--labels=team=data"),
        f"--setup_file={project_copy(tmp_path / 'project')}",
        prism_options[1].replace("prism_location", "prism"),
    )
    assert (code, report["faults"]) == (0, [])
    assert "of 1 segments" in report["dataset"]


def test_what_cannot_be_rehearsed_is_said_in_a_line(tmp_path: Path) -> None:
    people = tmp_path / "people"
    people.mkdir()
    places = ("--input", str(people), "--output", str(tmp_path / "out"))
    prism = f"--prism={shutil.which('sh')}"
    for arguments, words in (
        ((*places, prism, "--dataflow_endpoint=http://localhost:7"), "is the rehearsal's own"),
        ((*places, prism, "--sdk_container_image=lake/taskreel:1"), "cannot look into an image"),
        ((*places, prism, "--streaming", "--update"), "--update: there is no job here that runs"),
        ((*places, "--prism", str(tmp_path / "none")), "make prism"),
        (("--input", str(tmp_path / "none"), "--output", "x", prism), "there is no such folder"),
        (("--input", "gs://lake/people", "--output", "gs://lake/out", prism), "give --sample"),
        ((*places, prism, "--patience", "soon"), "--patience soon"),
        (("--main", str(tmp_path / "none.py"), prism), "there is no such file"),
        ((prism,), "--input and --output"),
        ((*places, prism, "--sample", str(people)), "is for an --input in gs://"),
        ((*places, prism, "--streaming"), "at least two segments"),
        (("--input", str(people), "--output", __file__, prism), "is a file, not a folder"),
        (("--input", __file__, "--output", "x", prism), "is a file, not a folder"),
        (("--input", str(people), "--output", str(Path(__file__).parent), prism), "holds something else"),
    ):
        done = taskreel("rehearse", "dataflow", *arguments)
        assert done.returncode == 2, arguments
        assert done.stderr.startswith("taskreel: ")
        assert words in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_prism_that_is_none_is_said_in_a_line(tmp_path: Path) -> None:
    sound = shutil.copytree(Path(__file__).parent / "broken" / "sound", tmp_path / "sound")
    launch = ("--main", str(sound / "launch.py"), f"--setup_file={sound / 'setup.py'}")
    done = taskreel("rehearse", "dataflow", *launch, f"--prism={shutil.which('sh')}", "--json")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("taskreel: Prism, which stands in for the service, does not start")
    assert "--prism" in line


def test_the_folders_that_were_given_are_named_not_where_their_files_are_put(tmp_path: Path) -> None:
    people = tmp_path / "people"
    people.mkdir()
    code, report = rehearsed(
        *("--input", str(people), "--output", str(tmp_path / "out"), f"--prism={shutil.which('sh')}"),
        f"--setup_file={project_copy(tmp_path / 'project')}",
    )
    assert code == 1
    assert report["faults"][0].startswith(f"taskreel: --input {people}: no segments found")
    assert report["parts"][0]["faults"] == report["faults"]


def test_a_program_that_ends_without_a_word_is_said_to(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("raise SystemExit(3)\n")
    code, report = rehearsed("--main", str(program), f"--prism={shutil.which('sh')}")
    assert (code, report["faults"]) == (1, ["the launcher ended with exit code 3, and no word"])


def test_what_came_into_the_output_during_a_rehearsal_stays(tmp_path: Path) -> None:
    (tmp_path / "deleted").write_bytes(b"1")
    (tmp_path / "changed").write_bytes(b"1")
    (tmp_path / "came").write_bytes(b"1")
    write({"changed": b"2", "new/one": b"2"}, [tmp_path / "deleted"], tmp_path)
    files = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"changed": b"2", "came": b"1", "new/one": b"2"}


def test_a_program_of_ones_own_is_given_its_input_and_output(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import sys\nraise ValueError(' '.join(sys.argv[1:4]))\n")
    words = ("--input", "gs://lake/in", "--output=gs://lake/out", "--level=3")
    _, report = rehearsed("--main", str(program), f"--prism={shutil.which('sh')}", *words)
    assert report["faults"] == ["ValueError: --level=3 --input=gs://lake/in --output=gs://lake/out"]


def test_a_cache_that_cannot_be_written_is_said_before_anything_is_launched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "program.py"
    program.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(program))
    done = taskreel("rehearse", "dataflow", "--main", str(program), f"--prism={shutil.which('sh')}")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "set XDG_CACHE_HOME" in done.stderr
