"""Which devices may be read, and the commands that are named if none may."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from taskreel.capture.sources.evdev.access import examine_access


def test_devices_that_may_be_read(tmp_path: Path) -> None:
    for name in ("event10", "event2", "mouse0"):
        (tmp_path / name).touch()
    access = examine_access(tmp_path)
    assert [path.name for path in access.readable] == ["event2", "event10"]
    assert (access.problem, access.remedy) == ("", "")


def test_devices_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setenv("LOGNAME", "anna")
    (tmp_path / "event0").touch()
    access = examine_access(tmp_path)
    assert "may be read by anna" in access.problem
    assert "taskreel-input" in access.problem
    rules = access.remedy.split("install -m 644 ")[1].split(" ")[0]
    assert Path(rules).is_file()
    assert "udevadm control --reload" in access.remedy
    assert "usermod -aG taskreel-input anna" in access.remedy


@pytest.mark.parametrize(("folder", "said"), [(".", "has no device"), ("input", "is not there")])
def test_no_devices(tmp_path: Path, folder: str, said: str) -> None:
    access = examine_access(tmp_path / folder)
    assert said in access.problem
    assert "--input PATH" in access.remedy
