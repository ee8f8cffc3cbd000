"""A recorder that runs for weeks, in minutes: millions of events from a real X server whose time wraps meanwhile."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
import xcffib
import xcffib.xproto
import xcffib.xtest
from x_server import XServer, end, wait_for

from taskreel.capture.recorder.control import ask
from taskreel.io.kinds import Kind
from taskreel.io.names import SegmentName
from taskreel.io.segments import read_segment

SCRIPT = Path(__file__).parents[1] / "support" / "wrapping_recorder.py"
BATCH, AHEAD = 500, 20_000
KEY_PRESS, KEY_RELEASE, BUTTON_PRESS, BUTTON_RELEASE, MOTION = 2, 3, 4, 5, 6
ROUND = [*[(MOTION, 1)] * 14, (KEY_PRESS, 38), (KEY_RELEASE, 38), (BUTTON_PRESS, 4), (BUTTON_RELEASE, 4)]
EVENTS_A_ROUND = len(ROUND) - 1
"""A wheel's press and release are one event."""


def acts() -> Iterator[tuple[int, int, int]]:
    turn = 0
    while True:
        step = 1 if turn % 40 < 20 else -1
        for kind, detail in ROUND:
            yield kind, detail, step
        turn += 1


def inject(x: XServer, spool: Path, process_id: int, rounds: int) -> list[tuple[float, int]]:
    """Make the input, never far ahead of the recorder; what that takes of memory (MB) and handles meanwhile."""
    connection = xcffib.connect(x.display)
    xtest, root = connection(xcffib.xtest.key), connection.get_setup().roots[0].root
    todo, sent, total = acts(), 0, rounds * len(ROUND)
    taken: list[tuple[float, int]] = []
    while sent < total:
        for kind, detail, step in islice(todo, min(BATCH * len(ROUND), total - sent)):
            xtest.FakeInput(kind, detail, 0, root, step, step, 0)
            sent += 1
        connection.core.GetInputFocus().reply()
        made = sent // len(ROUND) * EVENTS_A_ROUND
        wait_for(lambda: made - _produced(spool) < AHEAD, "the recorder to keep up", 120)  # noqa: B023
        taken.append((_memory_mb(process_id), len(os.listdir(f"/proc/{process_id}/fd"))))
    connection.disconnect()
    return taken


def _produced(spool: Path) -> int:
    return int(ask(spool, "status")["account"]["produced"])


def _memory_mb(process_id: int) -> float:
    status = Path(f"/proc/{process_id}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def record(folder: Path, events: int, wraps_after_s: float) -> tuple[list[tuple[float, int]], dict[str, int]]:
    spool = folder / "spool"
    with XServer() as x:
        taskreel = [sys.executable, str(SCRIPT), str(wraps_after_s), "capture"]
        asked = x.start(*taskreel, "consent", "--spool", str(spool), "--participant", "p1", "--region", "eu", "--yes")
        assert asked.wait(60) == 0
        recorder = x.start(*taskreel, "start", "--spool", str(spool), "--no-pictures")
        wait_for((spool / "control.sock").exists, "the recorder", 60)
        wait_for(lambda: ask(spool, "status")["state"] == "recording", "recording", 60)
        began = time.monotonic()
        taken = inject(x, spool, recorder.pid, -(-events // EVENTS_A_ROUND))
        assert time.monotonic() - began > wraps_after_s, "the server's time has wrapped"
        end(recorder, 120)
    facts = json.loads((spool / "ended.json").read_text())
    assert facts["faults"] == []
    check(spool, facts["account"])
    return taken, facts["account"]


def check(spool: Path, account: dict[str, int]) -> None:
    """Every event is there once, in order of time, however often the journal was closed and the clock wrapped."""
    rows, last_us = 0, 0
    by_seq = sorted((SegmentName.parse(str(path.relative_to(spool / "outbox"))), path) for path in outbox(spool))
    for name, path in by_seq:
        assert name.first_seq == rows, "no hole, nothing twice"
        events = read_segment(name, path.read_bytes()).events
        times = events.column("time_us").to_numpy()
        assert times[0] >= last_us
        assert (np.diff(times) >= 0).all()
        assert times[-1] - times[0] < 3600 * 1_000_000
        rows, last_us = rows + events.num_rows, int(times[-1])
        is_move = pc.equal(events.column("kind"), int(Kind.MOVE))
        assert pc.sum(is_move).as_py() > events.num_rows * 0.7
    assert rows == account["journaled"] + account["own"]


def outbox(spool: Path) -> list[Path]:
    return list((spool / "outbox").rglob("*.parquet"))


def assert_flat(taken: list[tuple[float, int]], mb: float) -> None:
    """After a third of the time nothing grows any more."""
    third = len(taken) // 3
    memory, handles = zip(*taken, strict=True)
    print(f"memory {memory[third]:.1f}, at most {max(memory[third:]):.1f}, {memory[-1]:.1f} MB; {handles[-1]} handles")
    assert max(memory[2 * third :]) - max(memory[third : 2 * third]) < mb
    assert max(handles[2 * third :]) <= max(handles[: 2 * third]) + 2, "a journal and a sealer's pipes come and go"


@pytest.mark.slow
def test_a_hundred_thousand_events_and_the_servers_time_wraps(tmp_path: Path) -> None:
    taken, account = record(tmp_path, 100_000, 2)
    assert_flat(taken, 8)
    assert account["produced"] == account["journaled"] >= 100_000


@pytest.mark.soak
def test_ten_million_events_take_no_more_than_some(tmp_path: Path) -> None:
    taken, account = record(tmp_path, 10_000_000, 100)
    assert_flat(taken, 4)
    assert account["produced"] == account["journaled"] >= 10_000_000
