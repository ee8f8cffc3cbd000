"""What a person sees of what was recorded."""

from __future__ import annotations

import json
import time
from pathlib import Path

from running_recorder import recording
from scripted_source import typed
from typer.testing import CliRunner

from taskreel.__main__ import app
from taskreel.capture.showing import recorded, sentences
from taskreel.capture.sources.protocol import Event, Picture, monotonic_us
from taskreel.io.kinds import Kind


def test_all_is_shown_while_it_is_recorded_and_once_it_is_sealed(tmp_path: Path) -> None:
    with recording(tmp_path, with_pictures=True) as running:
        now_us = monotonic_us()
        running.source.put(Event(now_us, Kind.FOCUS, app="XTerm", title="notes"))
        running.source.put(*typed("hi", now_us + 1), Event(now_us + 9000, Kind.KEY_DOWN, code=28, key="enter"))
        running.source.put(*(Event(now_us + 9001 + n, Kind.MOVE, x=256 * n, y=0) for n in range(3)))
        running.source.put(Event(now_us + 9010, Kind.BUTTON_DOWN, code=1, x=512, y=256))
        running.source.show("k", Picture(b"webp", 8, 6, 1), now_us + 9020)
        running.wait_journaled(11)
        during = recorded(tmp_path, 0)
    after = recorded(tmp_path, 0)
    assert [row["time_us"] for row in after] == [row["time_us"] for row in during]
    expected = ["in XTerm: notes", "typed hi<enter>", "the pointer moved (3 events)", "button 1 down at 2, 1", "screen"]
    assert [line[10:] for line in sentences(after)] == expected
    assert [line[10:] for line in sentences(during)] == expected

    shown = CliRunner().invoke(
        app, ["capture", "show", "--spool", str(tmp_path), "--json", "--pictures", str(tmp_path / "seen")]
    )
    assert shown.exit_code == 0
    assert len([json.loads(line) for line in shown.stdout.splitlines()]) == len(after)
    assert [path.read_bytes() for path in (tmp_path / "seen").iterdir()] == [b"webp"]


def test_there_may_be_nothing(tmp_path: Path) -> None:
    assert recorded(tmp_path, time.time_ns() // 1000) == []
    shown = CliRunner().invoke(app, ["capture", "show", "--spool", str(tmp_path)])
    assert (shown.exit_code, shown.stdout) == (1, "")
    assert "nothing was recorded in the last 10m" in shown.stderr
    assert CliRunner().invoke(app, ["capture", "show", "--spool", str(tmp_path), "--last", "soon"]).exit_code == 2
