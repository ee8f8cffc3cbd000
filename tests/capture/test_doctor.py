"""What a machine can record: looked at on a real X server, without one, and without the libraries."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from x_server import XServer

from taskreel.capture.doctor import LIBRARIES, MISSING, OK, examine
from taskreel.capture.settings import Settings
from taskreel.capture.spool import Spool
from taskreel.io.consent import ConsentRecord


def states(spool: Path, environ: dict[str, str]) -> dict[str, str]:
    return {finding.name: finding.state for finding in examine(Settings(spool), environ).findings}


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    Spool(tmp_path).open().keep_consent(ConsentRecord("c1", "p1", regions=("eu",)))
    return tmp_path


def test_an_x_server_can_be_recorded(spool: Path) -> None:
    with XServer() as x:
        report = examine(Settings(spool), x.env())
        command = [sys.executable, "-m", "taskreel", "capture", "doctor", "--spool", str(spool), "--json"]
        done = subprocess.run(command, env=x.env(), capture_output=True, text=True, timeout=60, check=False)
    assert report.can_record
    assert "pictures" in report.summary
    assert done.returncode == 0
    assert json.loads(done.stdout)["can_record"]


def test_without_a_display_it_says_so(spool: Path) -> None:
    report = examine(Settings(spool), {})
    (x11,) = (finding for finding in report.findings if finding.name == "x11")
    assert x11.state == MISSING
    assert "DISPLAY" in x11.remedy


def test_a_display_that_does_not_answer_is_not_mended_by_an_installation(spool: Path) -> None:
    report = examine(Settings(spool, display=":4242"), {})
    (x11,) = (finding for finding in report.findings if finding.name == "x11")
    assert x11.state == MISSING
    assert ":4242" in x11.sentence
    assert "install" not in x11.remedy


def test_a_bus_that_is_not_there_is_told_in_words(spool: Path) -> None:
    (passwords,) = (finding for finding in examine(Settings(spool), {}).findings if finding.name == "passwords")
    assert passwords.sentence == "not watched: no session bus: nothing in the environment says where it is"


def test_an_input_method_that_does_not_run_is_not_to_be_installed(spool: Path) -> None:
    (ibus,) = (finding for finding in examine(Settings(spool), {}).findings if finding.name == "ibus")
    assert "does not matter" in ibus.sentence
    assert not ibus.remedy


def test_a_wayland_session_needs_evdev(spool: Path) -> None:
    assert states(spool, {"WAYLAND_DISPLAY": "wayland-0", "DISPLAY": ":0"})["x11"] == MISSING


def test_missing_libraries_are_named_with_the_extra(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mss", None)
    report = examine(Settings(spool), {})
    assert not report.can_record
    (libraries,) = (finding for finding in report.findings if finding.name == "libraries")
    assert "mss" in libraries.sentence
    assert "taskreel[capture]" in libraries.remedy


def test_without_consent_nothing_is_recorded(tmp_path: Path) -> None:
    with XServer() as x:
        report = examine(Settings(tmp_path / "new"), x.env())
        command = [sys.executable, "-m", "taskreel", "capture", "doctor", "--spool", str(tmp_path / "new")]
        done = subprocess.run(command, env=x.env(), capture_output=True, text=True, timeout=60, check=False)
    assert not report.can_record
    assert done.returncode == 1
    assert "capture consent" in done.stdout
    assert {finding.name: finding.state for finding in report.findings}["x11"] == OK


HIDDEN = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {libraries!r}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Hidden())
sys.argv = ["taskreel", "capture", "doctor", "--spool", {spool!r}, "--json"]
from taskreel.__main__ import main
main()
"""


def test_it_runs_without_any_of_the_libraries(spool: Path) -> None:
    with XServer() as x:
        command = [sys.executable, "-c", HIDDEN.format(libraries=LIBRARIES, spool=str(spool))]
        done = subprocess.run(command, env=x.env(), capture_output=True, text=True, timeout=60, check=False)
    told = json.loads(done.stdout)
    findings = {finding["name"]: finding for finding in told["findings"]}
    assert (done.returncode, told["can_record"]) == (1, False)
    assert findings["libraries"]["sentence"] == f"not installed: {', '.join(LIBRARIES)}"
    assert {name for name, finding in findings.items() if finding["state"] == MISSING} >= {
        "extensions",
        "x11",
        "layouts",
    }
    assert findings["session"]["state"] == OK


def test_input_devices_alone_are_told_with_what_they_lack(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = examine(Settings(spool, input_streams=("keyboard",), layout="de"), {"WAYLAND_DISPLAY": "wayland-0"})
    assert report.summary == (
        "Can record: keys with text, pointer motion (evdev). Cannot: windows, pictures, where the pointer is."
    )


def test_every_lack_has_a_remedy(tmp_path: Path) -> None:
    report = examine(Settings(tmp_path), {})
    assert all(finding.remedy for finding in report.findings if finding.state == MISSING)
    assert all(finding.sentence and not finding.remedy for finding in report.findings if finding.state == OK)
