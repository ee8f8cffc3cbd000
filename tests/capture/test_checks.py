"""What the doctor looks at, each by itself."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from x_server import XServer

from taskreel.capture import checks
from taskreel.capture.checks import LIMITED, MISSING, OK
from taskreel.capture.settings import Settings

SETTINGS = Settings(Path("nowhere"))


@pytest.mark.parametrize(
    ("environ", "display", "state", "said"),
    [
        ({"DISPLAY": ":1"}, "", OK, "X11"),
        ({}, ":1", OK, "X11"),
        ({"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0"}, "", LIMITED, "Wayland"),
        ({"XDG_SESSION_TYPE": "wayland"}, "", LIMITED, "Wayland"),
        ({"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0"}, ":1", OK, "X11"),
        ({"XDG_SESSION_TYPE": "tty"}, "", LIMITED, "console"),
    ],
)
def test_sessions(environ: dict[str, str], display: str, state: str, said: str) -> None:
    finding = checks.session(Settings(Path("nowhere"), display=display), environ)
    assert finding.state == state
    assert said in finding.sentence
    assert bool(finding.remedy) == (state != OK)


def test_versions_of_a_real_x_server() -> None:
    with XServer() as x:
        versions = checks.extension_versions(x.display)
        finding = checks.extensions(x.display)
    assert versions["XInput"] is not None
    assert versions["XInput"] >= (2, 2)
    assert versions["XKB"] == (1, 0)
    assert finding.state == OK
    assert "DAMAGE 1.1" in finding.sentence


def test_an_x_server_without_damage_is_limited() -> None:
    with XServer(extra=("-extension", "DAMAGE")) as x:
        finding = checks.extensions(x.display)
    assert finding.state == LIMITED
    assert "DAMAGE missing" in finding.sentence


def test_an_x_server_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    old = {"XInput": (2, 0), "XKB": (1, 0), "RANDR": (1, 5), "DAMAGE": (1, 1)}
    monkeypatch.setattr(checks, "extension_versions", lambda display: old)
    finding = checks.extensions(":0")
    assert finding.state == MISSING
    assert "XInput 2.2 or newer" in finding.sentence


def test_a_display_that_does_not_answer() -> None:
    with XServer() as x:
        display = x.display
    assert checks.extensions(display).state == MISSING


def test_devices_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        (tmp_path / f"event9{number}0").touch()
    finding = checks.devices(SETTINGS, tmp_path)
    assert finding.state == OK
    assert finding.sentence.startswith("all 10 input devices may be read: event900, event910")
    assert finding.sentence.endswith("…")
    monkeypatch.setattr(os, "access", lambda path, mode: path.name == "event900")
    assert checks.devices(SETTINGS, tmp_path).state == LIMITED
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    finding = checks.devices(SETTINGS, tmp_path)
    assert finding.state == MISSING
    assert "usermod -aG taskreel-input" in finding.remedy


def test_no_devices_and_streams_instead(tmp_path: Path) -> None:
    assert checks.devices(SETTINGS, tmp_path / "input").state == MISSING
    assert checks.devices(Settings(tmp_path, input_streams=("a",)), tmp_path / "input").state == OK


def test_layouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.layouts(Settings(tmp_path, layout="de"), {}).state == OK
    assert "klingon" in checks.layouts(Settings(tmp_path, layout="klingon"), {}).sentence
    without_data = checks.layouts(SETTINGS, {"XKB_CONFIG_ROOT": str(tmp_path)})
    assert (without_data.state, "xkb-data" in without_data.remedy) == (MISSING, True)
    monkeypatch.setitem(sys.modules, "xkbcommon", None)
    without_library = checks.layouts(SETTINGS, {})
    assert (without_library.state, "taskreel[capture]" in without_library.remedy) == (MISSING, True)


@pytest.mark.parametrize(("answer", "state"), [(0, OK), (5, LIMITED), (-1, LIMITED)])
def test_a_clock_that_is_kept_or_not(answer: int, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: SimpleNamespace(adjtimex=lambda _: answer))
    assert checks.clock().state == state


def test_this_machines_clock_can_be_asked() -> None:
    assert checks.clock().state in (OK, LIMITED)


def test_a_spool(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert checks.spool(Settings(tmp_path)).state == OK
    assert checks.spool(Settings(tmp_path / "not" / "yet")).state == OK
    assert not (tmp_path / "not").exists()
    assert checks.spool(Settings(tmp_path, quota_bytes=1 << 60)).state == LIMITED


def test_a_spool_that_others_may_read(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    finding = checks.spool(Settings(tmp_path))
    assert (finding.state, finding.remedy) == (LIMITED, f"chmod o-rwx {tmp_path}")


def test_a_spool_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    assert checks.spool(Settings(tmp_path / "file")).state == MISSING
    assert checks.spool(Settings(tmp_path / "file" / "below")).state == MISSING
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    finding = checks.spool(Settings(tmp_path))
    assert (finding.state, finding.remedy.startswith(f"chmod u+rwx {tmp_path}")) == (MISSING, True)
