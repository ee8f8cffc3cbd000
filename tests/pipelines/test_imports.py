"""Recordings that others made, from their own files to the steps of a dataset."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from taskreel.__main__ import app
from taskreel.io import dataset as datasets
from taskreel.pipelines.summary import facts

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"


def command(*args: str | Path) -> str:
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize(
    ("name", "source", "texts"),
    [
        ("ducktrack", ROOT / "examples" / "ducktrack", ["wikipedia", "transformer model"]),
        ("owamcap", DATA / "owamcap", ["test text"]),
        ("evemu", DATA / "evemu" / "thinkpad-keyboard.events", []),
        ("libinput", DATA / "libinput" / "keyboard-and-mouse.yml", None),
    ],
)
def test_import_run_inspect(name: str, source: Path, texts: list[str] | None, tmp_path: Path) -> None:
    said = json.loads(command("import", name, source, "--out", tmp_path / "in", "--grant", "--json"))
    command("run", "--input", tmp_path / "in", "--output", tmp_path / "out", "--as-of", "2027-01-01T00:00:00Z")
    dataset = datasets.open(str(tmp_path / "out"))
    values = facts(dataset)
    assert values["events"]["read"] == said["events"]
    assert values["imbalances"] == []
    steps = dataset.steps(["start_us", "text", "image_age_us"]).sort_by("start_us").to_pylist()
    assert texts is None or [step["text"] for step in steps if step["text"]] == texts
    ages = [step["image_age_us"] for step in steps]
    assert all(age > 0 for age in ages) if name == "owamcap" else ages == [None] * len(ages)
    assert str(said["events"]) in command("inspect", tmp_path / "out", "--json")
