"""The commands `taskreel capture …`: what is wrong is said in one line, with the option or file."""

from __future__ import annotations

from pathlib import Path

import pytest
from spool_files import a_segment, spool_with
from typer.testing import CliRunner

import taskreel.capturing
from taskreel.app import app
from taskreel.capture.spool import Spool
from taskreel.io.consent import ConsentRecord

CONSENT = ("consent", "--participant", "p1", "--region", "eu", "--yes")


def run(spool: Path, *args: str, code: int = 0) -> tuple[str, str]:
    result = CliRunner().invoke(app, ["capture", *args, "--spool", str(spool)])
    assert result.exit_code == code, (result.exit_code, result.output, result.exception)
    return result.stdout, result.stderr


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    Spool(tmp_path).open().keep_consent(ConsentRecord("c1", "p1", regions=("eu",)))
    return tmp_path


@pytest.mark.parametrize("size", ["0", "-5", "9M", "inf", "nan", "much"])
def test_a_quota_that_holds_nothing_is_refused(size: str, spool: Path) -> None:
    _, said = run(spool, "start", "--quota", size, code=2)
    assert said == f"taskreel: --quota {size}: at least 10M are expected, such as 500M or 2G\n"


@pytest.mark.parametrize("option", ["--segment-minutes", "--pictures-per-s"])
def test_numbers_without_end_are_refused(option: str, spool: Path) -> None:
    _, said = run(spool, "start", option, "inf", code=2)
    assert option in said


def test_a_recording_without_a_source_of_input_is_refused(spool: Path) -> None:
    _, said = run(spool, "start", "--sources", "screens", code=2)
    assert said == "taskreel: --sources screens: none of them gives input: add x11 or evdev\n"


def test_a_consent_record_that_cannot_be_opened_is_named(spool: Path) -> None:
    path = spool / "consent" / "v1" / "c2.json"
    path.mkdir()
    _, said = run(spool, "start", code=2)
    assert said == f"taskreel: {path}: the consent record cannot be read: Is a directory\n"


@pytest.mark.parametrize("command", [("status",), ("stop",), ("pause",), ("mark", "x"), CONSENT])
def test_a_spool_that_is_no_folder_is_named(command: tuple[str, ...], tmp_path: Path) -> None:
    spool = tmp_path / "file"
    spool.touch()
    _, said = run(spool, *command, code=2)
    assert said.splitlines()[-1].startswith(f"taskreel: --spool {spool}: ")


def test_a_file_of_the_spool_that_cannot_be_used_is_named(spool: Path) -> None:
    (spool / "device").mkdir()
    _, said = run(spool, "start", "--sources", "evdev", code=2)
    assert said == f"taskreel: {spool / 'device'}: Is a directory\n"


@pytest.mark.parametrize("bad", [("--region", " "), ("--days", "99999999999")])
def test_consent_to_no_region_or_without_end_is_not_written(bad: tuple[str, str], tmp_path: Path) -> None:
    _, said = run(tmp_path, *CONSENT, *bad, code=2)
    assert bad[0] in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [(), (" ",), ("x", "--end"), ("x", "--outcome", "done"), ("x" * 2001,)])
def test_a_mark_begins_a_task_that_has_a_name_or_ends_it(words: tuple[str, ...], spool: Path) -> None:
    run(spool, "mark", *words, code=2)


def test_a_recorder_that_left_no_account_is_not_called_good(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taskreel.capturing, "_ask", lambda *_, **__: {"stopping": True})
    _, said = run(spool, "stop", code=1)
    assert "the next start seals what it left" in said


def test_what_waits_is_counted_in_the_spool_and_the_command_can_be_copied(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spool = spool_with(tmp_path / "my spool", 0, 1)
    spool.mark_sent(a_segment(0)[0])
    account = {"produced": 2, "journaled": 2, "in_gaps": 0, "gaps": {}, "withheld": {}, "imbalance": 0}
    facts = {"account": account, "segments": 2, "reason": "stopped", "faults": []}
    taskreel.capturing._tell_end(spool.root, facts, is_json=False)
    said = capsys.readouterr().out
    assert "segments: 2 sealed, 1 wait to be published (`taskreel publish --spool '" in said


def test_who_is_recorded_is_told_what_the_machine_cannot_leave_out() -> None:
    assert taskreel.capturing._unseen({"ibus": "it does not run", "logind": "it is not there"}) == []
    assert taskreel.capturing._unseen({"passwords": "no session bus"}) == ["password fields"]
    assert taskreel.capturing._unseen({"buses": "no library"}) == ["password fields", "a locked screen"]
