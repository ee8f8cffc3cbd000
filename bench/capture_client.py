"""What the capture client costs: `python -m bench.capture_client [--seconds 60] [--pictures]`, on an Xvfb of its own.

Keys, motion and wheel by XTEST at 1,000 events a second while `taskreel capture start` records. Says what was lost, the
recorder's share of a core and its memory, the time from event to journal, and bytes against JSON lines.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from x_programs import GTK, start_manager
from x_server import Injector, XServer, end, wait_for

from taskreel.capture.recorder.control import ask
from taskreel.io.names import SegmentName
from taskreel.io.segments import read_segment

KEYS = range(38, 47)


class Latencies:
    """Follows the journal as it grows, from outside: how old events are when their frame is in the file, in ms."""

    def __init__(self, spool: Path) -> None:
        self._spool, self._ended = spool, threading.Event()
        self.ms: list[float] = []
        self._read_bytes: dict[Path, int] = {}
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _follow(self) -> None:
        self._look()
        self.ms.clear()  # what was there before is not timed
        while not self._ended.wait(0.005):
            self._look()

    def _look(self) -> None:
        for path in self._spool.glob("recordings/*/part-*.journal"):
            begin = self._read_bytes.get(path, 0)
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_size > begin:
                    now_us = time.time_ns() // 1000
                    self._read_bytes[path] = begin + self._take(path.read_bytes()[begin:], now_us)

    def _take(self, data: bytes, now_us: int) -> int:
        """Time the rows of the whole frames; how many bytes those are."""
        taken = 0
        while len(data) >= (end := taken + 4 + int.from_bytes(data[taken : taken + 4], "little")) and taken + 4 < end:
            entry = json.loads(zstandard.decompress(data[taken + 4 : end]))
            self.ms += [(now_us - row[0]) / 1000 for row in entry.get("events", ())]
            taken = end
        return taken


def inject(display: str, per_s: int, seconds: float) -> int:
    """Mixed input at a steady rate; the number of raw events that make one each.

    The pointer stays over the terminal: a wheel that is turned over openbox's desktop goes to another one.
    """
    injector, count, begin = Injector(display), 0, time.monotonic()
    injector.move(150, 150)
    while (passed := time.monotonic() - begin) < seconds:
        if count >= passed * per_s:
            time.sleep(0.0005)
            continue
        turn = count % 20
        if turn < 4:
            injector.key(KEYS[count // 20 % len(KEYS)], turn % 2 == 0)
        elif turn < 6:
            injector.click(4 + turn % 2)
        else:
            injector.move_by(3 if count // 200 % 2 else -3, 1 if count // 100 % 2 else -1)
        count += 1
    injector.close()
    return count


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mb(pid: int) -> float:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return int(status["VmHWM"].split()[0]) / 1024


class Client:
    """A desktop with a terminal and a GTK program, and `taskreel capture start` that records it."""

    def __init__(self, x: XServer, folder: Path, *options: str, print_each_s: float = 0.4) -> None:
        self.spool = folder / "spool"
        start_manager(x)
        x.start("xterm", "-geometry", "120x50+0+0", "-e", "sh", "-c", f"while :; do date; sleep {print_each_s}; done")
        x.start("/usr/bin/python3", "-c", GTK.format(name="pad", title="pad"))
        base = [sys.executable, "-m", "taskreel", "capture"]
        consent = [*base, "consent", "--spool", str(self.spool), "--participant", "p1", "--region", "eu", "--yes"]
        subprocess.run(consent, check=True, capture_output=True)
        self.process = x.start(*base, "start", "--spool", str(self.spool), *options)
        wait_for((self.spool / "control.sock").exists, "the recorder", 60)
        wait_for(lambda: ask(self.spool, "status")["state"] == "recording", "recording", 60)
        time.sleep(1)

    def end(self) -> dict[str, Any]:
        """Stop the recorder; what it says at the end."""
        end(self.process, 60)
        return dict(json.loads((self.spool / "ended.json").read_text()))


def measure(seconds: float, per_s: int, pictures: bool) -> dict[str, Any]:
    """Record a steady rate of input."""
    with tempfile.TemporaryDirectory() as folder, XServer("1920x1080x24") as x:
        client = Client(x, Path(folder), *([] if pictures else ["--no-pictures"]))
        latencies, pid = Latencies(client.spool), client.process.pid
        cpu, begin = cpu_s(pid), time.monotonic()
        with ProcessPoolExecutor(1, get_context("spawn")) as other:  # else it and the one who follows share a lock
            sent = other.submit(inject, x.display, per_s, seconds).result()
        cpu = (cpu_s(pid) - cpu) / (time.monotonic() - begin)
        time.sleep(0.5)
        latencies.stop()
        memory = peak_mb(pid)
        facts = client.end()
        return sizes(client.spool, seconds) | {
            "sent_per_s": round(sent / seconds),
            "sent": sent,
            "account": facts["account"],
            "cpu_percent_of_a_core": round(100 * cpu, 1),
            "peak_mb": round(memory),
            "to_journal_ms": {str(p): round(float(np.percentile(latencies.ms, p))) for p in (50, 99, 100)},
        }


def sizes(spool: Path, seconds: float) -> dict[str, Any]:
    """Bytes of the segments, events and pictures apart, against JSON lines."""
    lines = file_bytes = picture_bytes = pictures = rows = 0
    for path in (spool / "outbox").rglob("*.parquet"):
        segment = read_segment(SegmentName.parse(str(path.relative_to(spool / "outbox"))), path.read_bytes())
        file_bytes += path.stat().st_size
        for row in segment.events.drop_columns(["picture_offset", "picture_bytes"]).to_pylist():
            lines += len(json.dumps({name: value for name, value in row.items() if value is not None})) + 1
        kept = segment.events.column("picture_bytes").drop_null().to_pylist()
        picture_bytes += sum(kept)
        pictures += len(kept)
        rows += segment.events.num_rows
    event_bytes = file_bytes - picture_bytes
    return {
        "rows": rows,
        "event_bytes_per_minute": round(event_bytes * 60 / seconds),
        "json_lines_bytes": lines,
        "events_smaller_percent": round(100 * (1 - event_bytes / lines), 1) if lines else None,
        "pictures": pictures,
        "picture_bytes": picture_bytes,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--per-s", type=int, default=1000)
    parser.add_argument("--pictures", action="store_true")
    options = parser.parse_args()
    print(json.dumps(measure(options.seconds, options.per_s, options.pictures), indent=2))


if __name__ == "__main__":
    main()
