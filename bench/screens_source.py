"""What pictures of the screen cost: `python -m bench.screens_source`. Processor and memory of a process that records
only them, two a second of 1920 x 1080, while windows under Xvfb change.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from bench.__main__ import RESULTS, machine

SHOWS = {
    "nothing changes": [],
    "xterm, all of the screen scrolls 5 times a second": ["xterm"],
    "GTK, somebody types": ["gtk"],
}
ENDLESS = "while :; do ls -l --color=always /usr/bin | shuf -n 70; sleep 0.2; done"


class Counts:
    """A sink that keeps only figures."""

    def __init__(self) -> None:
        self.events = self.pictures = self.bytes = 0
        self.late_ms: list[float] = []

    def put(self, event: object) -> None:
        self.events += 1

    def withhold(self, reason: str, events: int = 1) -> None: ...

    def lose(self, reason: str, time_us: int, events: int = 0) -> None: ...

    def picture(self, key: str, picture: object) -> None:
        self.pictures += 1
        self.bytes += len(picture.data)  # type: ignore[attr-defined]


def record(display: str, seconds: float) -> None:
    """In a process of its own: record, and print the figures as JSON."""
    from taskreel.capture.settings import Settings
    from taskreel.capture.sources.screens.source import ScreenSource

    source, sink = ScreenSource(Settings(Path(), display=display, heartbeat_s=0.5)), Counts()
    source.open()
    before_mb = _memory_mb()["VmRSS"]
    thread = threading.Thread(target=source.run, args=(sink,))
    thread.start()
    time.sleep(3)
    began_s, spent_s, pictures, sizes, resident = time.monotonic(), time.process_time(), sink.pictures, sink.bytes, []
    while time.monotonic() < began_s + seconds:
        time.sleep(0.25)
        resident.append(_memory_mb()["VmRSS"])
    wall_s, busy_s = time.monotonic() - began_s, time.process_time() - spent_s
    made, kb = sink.pictures - pictures, (sink.bytes - sizes) / 1000
    ring_mb = source._watch.ring.held_bytes / 1e6
    source.stop()
    thread.join()
    figures = {
        "pictures/s": made / wall_s,
        "KB a picture": kb / max(made, 1),
        "% of a core": 100 * busy_s / wall_s,
        "MB before": before_mb,
        "MB mean": sum(resident) / len(resident),
        "MB peak": _memory_mb()["VmHWM"],
        "ring MB": ring_mb,
    }
    print(json.dumps(figures))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--record", default="", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.record:
        record(args.record, args.seconds)
        return
    rows = [(name, _show(commands, args.seconds)) for name, commands in SHOWS.items()]
    lines = [f"# python -m bench.screens_source --seconds {args.seconds:g}\n\n{machine()}.\n"]
    lines += ["| screen | " + " | ".join(rows[0][1]) + " |", "|---" * (len(rows[0][1]) + 1) + "|"]
    lines += [
        f"| {name} | " + " | ".join(f"{value:.1f}" for value in figures.values()) + " |" for name, figures in rows
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    (RESULTS / "screens-source.md").write_text(text)


def _show(programs: list[str], seconds: float) -> dict[str, float]:
    from bench.screens_scenes import ARRIVES_S, GTK, HEIGHT, SMOOTH, WIDTH, XServer, xterm

    commands = {
        "xterm": xterm("210x60+0+0", ENDLESS, *SMOOTH),
        "gtk": ("/usr/bin/python3", "-c", GTK, "type"),
    }
    with XServer(f"{WIDTH}x{HEIGHT}x24") as server:
        server.window_manager()
        server.start(*xterm("60x20+0+0", "date", *SMOOTH))
        for program in programs:
            server.start(*commands[program])
        time.sleep(ARRIVES_S)
        command = [sys.executable, "-m", "bench.screens_source", "--record", server.display, "--seconds", str(seconds)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _memory_mb() -> dict[str, float]:
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return {words[0][:-1]: int(words[1]) / 1024 for words in lines if words[0] in ("VmRSS:", "VmHWM:")}


if __name__ == "__main__":
    main()
