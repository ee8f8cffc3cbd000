"""The commands on versions of a dataset: what they print, and how they end."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from inputs import AS_OF, BEN, assert_good, copy_of, episodes, run, shas
from typer.testing import CliRunner

from taskreel.__main__ import app
from taskreel.io import versions as versioning
from taskreel.io.tables import ConflictError


@pytest.fixture
def grown(people: Path, plain: Path, tmp_path: Path) -> Path:
    """A dataset whose version 0 has everybody and version 1 one person."""
    output = copy_of(plain, tmp_path / "out")
    run(people, output, participants=(BEN,))
    return output


def invoke(*args: str) -> Any:
    return CliRunner().invoke(app, args)


def test_versions_lists_what_is_in_each_the_newest_first(grown: Path) -> None:
    result = invoke("versions", str(grown), "--json")
    assert result.exit_code == 0, result.output
    newest, oldest = json.loads(result.stdout)
    assert (newest["version"], oldest["version"]) == (1, 0)
    assert (newest["kind"], newest["as_of"]) == ("batch", AS_OF)
    assert newest["episodes"] + newest["residues"] == len(episodes(grown)) < oldest["episodes"] + oldest["residues"]
    [row] = invoke("versions", str(grown), "--last", "1").stdout.splitlines()[1:]
    assert row.split()[0] == "1"
    assert f"{newest['steps']}" in row


def test_rollback_makes_an_old_version_the_dataset_again(grown: Path, plain: Path) -> None:
    result = invoke("rollback", str(grown), "0", "--json")
    assert json.loads(result.stdout) == {"version": 2, "restored": 0}
    assert assert_good(grown).version == 2
    assert shas(grown) == shas(plain)
    assert episodes(grown) == episodes(plain)
    assert "version 3 is what version 1 was" in invoke("rollback", str(grown), "1").stdout


def test_a_run_goes_on_after_a_rollback(people: Path, grown: Path, plain: Path) -> None:
    invoke("rollback", str(grown), "0")
    invoke("rollback", str(grown), "1")
    assert run(people, grown).version == 4
    assert assert_good(grown).version == 4
    assert shas(grown) == shas(plain)


def test_rollback_exits_3_if_another_run_was_faster(grown: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def overtaken(*_: Any, **__: Any) -> int:
        raise ConflictError("another run has committed in the meantime")

    monkeypatch.setattr(versioning, "rollback", overtaken)
    result = invoke("rollback", str(grown), "0")
    assert result.exit_code == 3
    assert "another run has committed" in result.stderr


def test_vacuum_removes_what_no_kept_version_needs(grown: Path) -> None:
    assert json.loads(invoke("vacuum", str(grown), "--json").stdout) == {"removed": [], "would_remove": []}
    time.sleep(0.01)
    said = json.loads(invoke("vacuum", str(grown), "--keep", "0h", "--dry-run", "--json").stdout)["would_remove"]
    assert any(name.startswith("steps/") for name in said)
    assert all((grown / name).exists() for name in said)
    result = invoke("vacuum", str(grown), "--keep", "0h")
    assert result.stdout.splitlines()[:-1] == said
    assert not any((grown / name).exists() for name in said)
    assert assert_good(grown).version == 1
    back = invoke("rollback", str(grown), "0")
    assert back.exit_code == 2
    assert "was removed by vacuum" in back.stderr


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["versions", "nowhere"], "holds no dataset"),
        (["rollback", "nowhere", "0"], "holds no dataset"),
        (["vacuum", "nowhere"], "holds no dataset"),
        (["vacuum", "nowhere", "--keep", "soon"], "--keep soon: a number of days or hours is expected"),
        (["vacuum", "nowhere", "--keep", "-1d"], "--keep -1d: a number of days or hours is expected"),
    ],
)
def test_bad_use_exits_2_with_one_clear_line(
    args: list[str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke(*args)
    assert result.exit_code == 2
    assert reason in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["versions", "rollback", "vacuum"])
def test_help_has_an_example(command: str) -> None:
    assert f"taskreel {command} out/dataset" in invoke(command, "--help").stdout
