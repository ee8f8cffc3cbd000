"""Recordings that others made, from their own files to the steps of a dataset."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from real_recordings import SAMPLES, Sample
from typer.testing import CliRunner

from taskreel.__main__ import app
from taskreel.io import dataset as datasets
from taskreel.pipelines.summary import facts

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
GOLDEN = ROOT / "tests" / "transforms" / "golden"


def command(*args: str | Path) -> str:
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == 0, result.output
    return result.stdout


LIBINPUT = DATA / "libinput"
RECORDINGS = [*SAMPLES, *(Sample("libinput", path, path.stem) for path in sorted(LIBINPUT.glob("*.yml")))]
TEXTS = {"ducktrack": ["wikipedia", "transformer model"], "owamcap": ["test text"]}


@pytest.mark.parametrize("sample", RECORDINGS, ids=lambda sample: sample.name)
def test_import_run_inspect(sample: Sample, tmp_path: Path) -> None:
    source, segments, out = sample.path, tmp_path / "in", tmp_path / "out"
    said = json.loads(command("import", sample.format, source, "--out", segments, "--grant", "--json"))
    if not said["events"]:
        assert sample.name == "roccat-kone-mouse"
        assert not segments.exists()  # decision 0014
        return
    command("run", "--input", segments, "--output", out, "--as-of", "2027-01-01T00:00:00Z")
    dataset = datasets.open(str(out))
    values = facts(dataset)
    assert values["events"]["read"] == said["events"]
    assert values["imbalances"] == []
    steps = dataset.steps(["start_us", "action", "text", "image_age_us"]).sort_by("start_us").to_pylist()
    assert [step["text"] for step in steps if step["text"]] == TEXTS.get(sample.name, []) or sample.format == "libinput"
    golden = GOLDEN / f"{sample.name}.txt"
    if golden.exists():
        assert len(steps) == len(golden.read_text(encoding="utf-8").splitlines())
    ages = [step["image_age_us"] for step in steps]
    assert all(age > 0 for age in ages) if sample.name == "owamcap" else ages == [None] * len(ages)
    assert json.loads(command("inspect", out, "--json"))["events"]["read"] == said["events"]
    command("verify", out)


THINKPAD, MOUSE = (DATA / "evemu" / name for name in ("thinkpad-keyboard.events", "ps2-mouse.events"))


def refused(*args: str | Path) -> str:
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.strip().splitlines()
    return line


def test_one_record_covers_what_one_person_imports(tmp_path: Path) -> None:
    for source in (THINKPAD, MOUSE, THINKPAD):
        command("import", "evemu", source, "--out", tmp_path, "--participant", "p1", "--grant")
    assert len(list(tmp_path.glob("consent/v1/*"))) == 1
    assert len(list(tmp_path.glob("segments/**/*.parquet"))) == 2


def test_a_record_that_does_not_cover_a_recording_stops_its_import_before_anything_is_written(tmp_path: Path) -> None:
    command("import", "evemu", THINKPAD, "--out", tmp_path, "--participant", "p1", "--grant")
    before = sorted(tmp_path.rglob("*"))
    other = ("import", "evemu", MOUSE, "--out", tmp_path)
    assert "name another record by --consent" in refused(*other, "--participant", "p2", "--grant")
    assert "name another record by --consent" in refused(*other, "--participant", "p2")
    assert "region" in refused(*other, "--participant", "p1", "--region", "eu", "--grant")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("consent", ["../../escaped", "", "a b", ".", "a/b"])
def test_the_id_of_a_record_names_no_other_place(consent: str, tmp_path: Path) -> None:
    said = refused("import", "evemu", THINKPAD, "--out", tmp_path / "out", "--consent", consent, "--grant")
    assert "--consent" in said
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
