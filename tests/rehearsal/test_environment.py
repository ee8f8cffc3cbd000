"""Why a package cannot be installed on a worker, and what is made anew after a kill."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from taskreel.rehearsal import environment
from taskreel.rehearsal.environment import InstallError, WorkerEnvironment, base_environment


def _without_installing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_make", lambda folder, *, with_pip: folder.mkdir())
    monkeypatch.setattr(environment, "_pip", lambda *arguments, what: None)


@pytest.mark.slow
def test_an_index_that_does_not_answer_is_no_release_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://localhost:1/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(InstallError, match="Beam: no package index answers") as raised:
        base_environment("2.77.0", tmp_path)
    assert "No matching distribution" not in str(raised.value)


def test_an_installation_that_takes_too_long_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_PATIENCE_S", 0.01)
    with pytest.raises(InstallError, match="takes more than"):
        base_environment("2.77.0", tmp_path)


def test_a_base_that_was_not_completed_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without_installing(monkeypatch)
    base = base_environment("2.77.0", tmp_path)
    (base / "left").touch()
    assert base_environment("2.77.0", tmp_path) == base
    assert (base / "left").exists()
    (base / "complete").unlink()
    base_environment("2.77.0", tmp_path)
    assert not (base / "left").exists()
    assert (base / "complete").exists()


def test_bases_of_two_pythons_are_not_locked_by_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without_installing(monkeypatch)
    base_environment("2.77.0", tmp_path)
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    assert (tmp_path / f"worker-beam-2.77.0-{python}.lock").exists()


def test_a_version_of_what_is_not_there_is_empty(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    python.symlink_to(sys.executable)
    versions = WorkerEnvironment(tmp_path, tmp_path).versions("pip", "no-such-thing")
    assert versions["no-such-thing"] == ""
    python.unlink()
    python.write_text("#!/bin/sh\nexit 1")
    python.chmod(0o700)
    assert WorkerEnvironment(tmp_path, tmp_path).versions("pip") == {"pip": ""}
