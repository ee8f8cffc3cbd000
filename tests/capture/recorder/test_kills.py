"""A recorder that is killed at random instants, of recording and of sealing, and started again."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest
from x_server import end, wait_for

from taskreel.capture.sources.protocol import monotonic_us
from taskreel.io.kinds import Kind
from taskreel.io.names import SegmentName
from taskreel.io.segments import read_segment

SCRIPT = Path(__file__).parents[2] / "support" / "numbered_recorder.py"
LOSS_BOUND_US = 250_000
SCHEDULING_US = 250_000
"""On top of the bound: on a machine that is loaded with other tests, no thread may get the processor for so long."""


def lines(log: Path) -> list[tuple[int, int]]:
    if not log.exists():
        return []
    whole = [line.split() for line in log.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
    return [(int(number), int(time_us)) for number, time_us in whole]


def play(tmp_path: Path, kills: int, seed: int) -> None:
    dice = random.Random(seed)
    tmp_path.mkdir(exist_ok=True)
    spool, log = tmp_path / "spool", tmp_path / "log"
    killed: list[tuple[int, int]] = []
    first = 0
    for number in range(kills + 1):
        process = subprocess.Popen([sys.executable, str(SCRIPT), str(spool), str(log), str(first)])
        try:
            wait_for(lambda: lines(log) and lines(log)[-1][0] > first, "the first event", 60)  # noqa: B023
            time.sleep(dice.uniform(0.05, 2.5))  # over the first cuts of segments, and their sealing
            if number == kills:
                process.terminate()
                assert process.wait(60) == 0
            else:
                process.kill()
                process.wait()
                killed.append((lines(log)[-1][0], monotonic_us()))
        finally:
            end(process)
        first = lines(log)[-1][0]
    check(spool, log, killed)


def check(spool: Path, log: Path, killed: list[tuple[int, int]]) -> None:
    paths = sorted((spool / "outbox").rglob("*.parquet"))
    tables, pictures = [], 0
    for path in paths:
        data = path.read_bytes()
        segment = read_segment(SegmentName.parse(str(path.relative_to(spool / "outbox"))), data)
        rows = segment.events
        recording = pa.array([segment.name.recording] * rows.num_rows)
        tables.append(rows.select(["seq", "time_us", "kind", "x", "text"]).append_column("recording", recording))
        for row in rows.to_pylist():
            if row["picture_offset"] is not None:
                content = data[row["picture_offset"] : row["picture_offset"] + row["picture_bytes"]]
                assert content == f"picture {row['picture_dhash']}".encode() * 50
                pictures += 1
    table = pa.concat_tables(tables)
    seqs: dict[str, list[int]] = {}
    for row in table.to_pylist():
        seqs.setdefault(row["recording"], []).append(row["seq"])
    for recording, numbers in seqs.items():
        assert sorted(numbers) == list(range(len(numbers))), f"{recording} has a hole or something twice"
    moved = sorted(
        x // 256 for x, kind in zip(*table.select(["x", "kind"]).to_pydict().values(), strict=True) if kind == Kind.MOVE
    )
    assert len(set(moved)) == len(moved), "an event is there twice"
    there = set(moved)
    for number, time_us in lines(log):
        if number not in there:
            at_us = next(at_us for last, at_us in killed if last >= number)
            assert at_us - time_us < LOSS_BOUND_US + SCHEDULING_US, f"event {number} was lost, {at_us - time_us} µs old"
    assert pictures, "no picture got through"
    assert not list((spool / "recordings").iterdir()), "what is sealed leaves nothing behind"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_five_kills_lose_nothing_older_than_the_bound(tmp_path: Path, seed: int) -> None:
    play(tmp_path, 5, seed)


@pytest.mark.soak
def test_two_hundred_kills_lose_nothing_older_than_the_bound(tmp_path: Path) -> None:
    for seed in range(10):
        play(tmp_path / str(seed), 20, 100 + seed)
