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
AFTER_WRAP_S = 1.0
MOST_MB = 150
"""What a recorder may take (decision 0021)."""
MORE_HANDLES = 2
"""A journal and a sealer's pipes come and go."""
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


def inject(x: XServer, spool: Path, process_id: int, rounds: int, until_s: float) -> list[tuple[float, int]]:
    """Make so much input, and more until a time (monotonic), never far ahead of the recorder.

    What the recorder takes of memory (MB) and handles meanwhile.
    """
    connection = xcffib.connect(x.display)
    xtest, root = connection(xcffib.xtest.key), connection.get_setup().roots[0].root
    todo, sent, total = acts(), 0, rounds * len(ROUND)
    taken: list[tuple[float, int]] = []
    while sent < total or time.monotonic() < until_s:
        for kind, detail, step in islice(todo, BATCH * len(ROUND)):
            xtest.FakeInput(kind, detail, 0, root, step, step, 0)
            sent += 1
        connection.core.GetInputFocus().reply()
        made = sent // len(ROUND) * EVENTS_A_ROUND
        wait_for(lambda: made - _produced(spool) < AHEAD, "the recorder to keep up", 120)  # noqa: B023
        taken.append((_memory_mb(process_id), _handles(process_id)))
    connection.disconnect()
    return taken


def _produced(spool: Path) -> int:
    return int(ask(spool, "status")["account"]["produced"])


def _handles(process_id: int) -> int:
    return len(os.listdir(f"/proc/{process_id}/fd"))


def _memory_mb(process_id: int) -> float:
    status = Path(f"/proc/{process_id}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def record(
    folder: Path, events: int, wraps_after_s: float, segment_minutes: float
) -> tuple[list[tuple[float, int]], dict[str, int]]:
    spool = folder / "spool"
    with XServer() as x:
        taskreel = [sys.executable, str(SCRIPT), str(wraps_after_s), "capture"]
        asked = x.start(*taskreel, "consent", "--spool", str(spool), "--participant", "p1", "--region", "eu", "--yes")
        assert asked.wait(60) == 0
        wraps_at_s = time.monotonic() + wraps_after_s
        options = ("--spool", str(spool), "--no-pictures", "--segment-minutes", str(segment_minutes))
        recorder = x.start(*taskreel, "start", *options)
        wait_for((spool / "control.sock").exists, "the recorder", 60)
        wait_for(lambda: ask(spool, "status")["state"] == "recording", "recording", 60)
        taken = inject(x, spool, recorder.pid, -(-events // EVENTS_A_ROUND), wraps_at_s + AFTER_WRAP_S)
        at_first = max(handles for _, handles in taken[:3])
        wait_for(lambda: _handles(recorder.pid) <= at_first, "no more handles than at first", 60)
        end(recorder, 120)
    facts = json.loads((spool / "ended.json").read_text())
    assert facts["faults"] == []
    check(spool, facts["account"])
    return taken, facts["account"]


def check(spool: Path, account: dict[str, int]) -> None:
    """Every event is there once, in order of time, however often the journal was closed and the clock wrapped."""
    rows, last_us, moves = 0, 0, 0
    by_seq = sorted((SegmentName.parse(str(path.relative_to(spool / "outbox"))), path) for path in outbox(spool))
    for name, path in by_seq:
        assert name.first_seq == rows, "no hole, nothing twice"
        events = read_segment(name, path.read_bytes()).events
        times = events.column("time_us").to_numpy()
        assert times[0] >= last_us
        assert (np.diff(times) >= 0).all()
        assert times[-1] - times[0] < 3600 * 1_000_000
        rows, last_us = rows + events.num_rows, int(times[-1])
        moves += pc.sum(pc.equal(events.column("kind"), int(Kind.MOVE))).as_py()
    assert rows == account["journaled"] + account["own"]
    assert moves > rows * 0.7


def outbox(spool: Path) -> list[Path]:
    return list((spool / "outbox").rglob("*.parquet"))


def assert_flat(taken: list[tuple[float, int]], mb: float) -> None:
    """After a third of the time nothing grows any more. For long runs: a short one is all warm-up."""
    third = len(taken) // 3
    memory, handles = zip(*taken, strict=True)
    print(f"memory {memory[third]:.1f}, at most {max(memory[third:]):.1f}, {memory[-1]:.1f} MB; {handles[-1]} handles")
    assert max(memory[2 * third :]) - max(memory[third : 2 * third]) < mb
    assert max(handles[2 * third :]) <= max(handles[: 2 * third]) + MORE_HANDLES


@pytest.mark.slow
def test_a_hundred_thousand_events_and_the_servers_time_wraps(tmp_path: Path) -> None:
    taken, account = record(tmp_path, 100_000, 4, 0.05)
    assert max(memory_mb for memory_mb, _ in taken) < MOST_MB
    assert account["produced"] == account["journaled"] >= 100_000


@pytest.mark.soak
def test_ten_million_events_take_no_more_than_some(tmp_path: Path) -> None:
    taken, account = record(tmp_path, 10_000_000, 100, 5)
    assert_flat(taken, 4)
    assert account["produced"] == account["journaled"] >= 10_000_000
