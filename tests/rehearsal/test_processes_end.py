"""What a rehearsal starts ends with it, with what that has started, and leaves no files."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from taskreel.rehearsal import environment
from taskreel.rehearsal.launcher import launcher

PARENT = """
import pathlib, subprocess, sys, tempfile, time
child = subprocess.Popen(["sleep", "300"])
pathlib.Path(tempfile.mkdtemp(), "left").touch()
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
time.sleep(300)
"""


def is_alive(number: int) -> bool:
    """A process that is dead but not waited for by its new parent has no command line any more."""
    try:
        return bool(Path(f"/proc/{number}/cmdline").read_bytes())
    except FileNotFoundError:
        return False


def ends(number: int) -> bool:
    until_s = time.monotonic() + 10
    while is_alive(number) and time.monotonic() < until_s:
        time.sleep(0.05)
    return not is_alive(number)


def test_a_launcher_ends_with_its_children_and_its_temporary_files_are_below_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere, mine, noted = tmp_path / "elsewhere", tmp_path / "mine", tmp_path / "child"
    elsewhere.mkdir()
    mine.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    monkeypatch.setenv("TMPDIR", str(elsewhere))
    with launcher([sys.executable, "-c", PARENT, str(noted)], {}, mine / "log"):
        until_s = time.monotonic() + 30
        while not (noted.exists() and noted.read_text()) and time.monotonic() < until_s:
            time.sleep(0.05)
        child = int(noted.read_text())
        assert is_alive(child)
    assert ends(child)
    assert len(list(mine.rglob("left"))) == 1
    assert not list(elsewhere.rglob("left"))


def test_an_installation_that_takes_too_long_ends_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "_PATIENCE_S", 3.0)
    noted = tmp_path / "child"
    with pytest.raises(environment.InstallError, match="more than 3 s"):
        environment._run([sys.executable, "-c", PARENT, str(noted)], TMPDIR=str(tmp_path))
    assert ends(int(noted.read_text()))
