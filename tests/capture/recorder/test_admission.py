"""Whether the consent still holds, by the record in the spool."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from taskreel.__main__ import app
from taskreel.capture.recorder.admission import NotPermittedError, admitted, still_admitted
from taskreel.capture.recorder.recording import Identity
from taskreel.capture.spool import Spool
from taskreel.io.consent import ConsentRecord

NOW_US = 1_000_000
RECORD = ConsentRecord("c1", "p1", purposes=("coding",), regions=("eu",), valid_from_us=0, valid_until_us=2 * NOW_US)
IDENTITY = Identity("p1", "laptop", "c1", RECORD.version, "eu")


def test_it_holds_as_long_as_the_record_says(tmp_path: Path) -> None:
    Spool(tmp_path).open().keep_consent(RECORD)
    assert admitted(tmp_path, "", "", now_us=NOW_US) == RECORD
    assert still_admitted(tmp_path, IDENTITY, now_us=NOW_US) is None
    assert "ended" in (still_admitted(tmp_path, IDENTITY, now_us=2 * NOW_US) or "")


def test_withdrawn_removed_or_damaged_is_the_end(tmp_path: Path) -> None:
    spool = Spool(tmp_path).open()
    path = spool.keep_consent(replace(RECORD, withdrawn_at_us=NOW_US - 1))
    assert "withdrawn" in (still_admitted(tmp_path, IDENTITY, now_us=NOW_US) or "")
    path.write_text("{}")
    assert str(path) in (still_admitted(tmp_path, IDENTITY, now_us=NOW_US) or "")
    path.unlink()
    assert "not in" in (still_admitted(tmp_path, IDENTITY, now_us=NOW_US) or "")
    with pytest.raises(NotPermittedError):
        admitted(tmp_path, "", "", now_us=NOW_US)


def test_another_record_does_not_end_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path).open()
    spool.keep_consent(RECORD)
    spool.keep_consent(replace(RECORD, consent_id="c2"))
    assert still_admitted(tmp_path, IDENTITY, now_us=NOW_US) is None


def test_withdrawing_by_the_command_is_the_end(tmp_path: Path) -> None:
    spool = Spool(tmp_path).open()
    spool.keep_consent(RECORD)
    spool.keep_consent(replace(RECORD, consent_id="c2", participant="p2"))
    withdraw = ["capture", "withdraw", "--spool", str(tmp_path)]
    assert CliRunner().invoke(app, [*withdraw, "--yes"]).exit_code == 2, "whose?"
    assert CliRunner().invoke(app, [*withdraw, "--participant", "p1"], input="n\n").exit_code == 1
    assert still_admitted(tmp_path, IDENTITY, now_us=NOW_US) is None
    done = CliRunner().invoke(app, [*withdraw, "--participant", "p1", "--yes"])
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / RECORD.path}\n")
    record = ConsentRecord.from_json((tmp_path / RECORD.path).read_bytes())
    assert record.withdrawn_at_us
    assert replace(record, withdrawn_at_us=None) == RECORD
    assert CliRunner().invoke(app, [*withdraw, "--participant", "p1", "--yes"]).exit_code == 1, "again"
    assert ConsentRecord.from_json((tmp_path / "consent/v1/c2.json").read_bytes()).withdrawn_at_us is None
