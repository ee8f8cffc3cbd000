"""`make bench`: the pipeline against `cat`, a plain loop and a naive Beam pipeline; memory, sizes, a slow store.

Prints a table and writes it, with the command and the machine, to `bench/results/`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.mix import generate
from taskreel.io.stores import open_store

RESULTS = Path(__file__).parent / "results"
SERVER = "taskreel.rehearsal.gcs.server"
TWO_WORKERS = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")


@dataclass(frozen=True)
class Timed:
    """A finished process: seconds, its own peak of memory (the largest process), and what it printed."""

    wall_s: float
    peak_mb: float
    output: str


def timed(command: list[str], env: dict[str, str] | None = None) -> Timed:
    """Run a command to its end; raises if it fails."""
    with tempfile.TemporaryFile() as out:
        began_s = time.monotonic()
        process = subprocess.Popen(command, stdout=out, env={**os.environ, **(env or {})})
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall_s = time.monotonic() - began_s
        out.seek(0)
        output = out.read().decode()
    if process.returncode:
        raise RuntimeError(f"{command}: exit {process.returncode}")
    return Timed(wall_s, usage.ru_maxrss / 1024, output)


def way(name: str, source: str, target: str, *args: str, env: dict[str, str] | None = None, cores: str = "") -> Timed:
    """One of `bench.ways`, on some cores."""
    pin = ["taskset", "-c", cores] if cores else []
    return timed([*pin, sys.executable, "-m", "bench.ways", name, source, target, *args], env)


def size_bytes(folder: Path) -> int:
    """All files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


class Bench:
    """The measurements, each a row of the table."""

    def __init__(self, work: Path, mb: int, big_mb: int) -> None:
        self.work, self.mb, self.big_mb = work, mb, big_mb
        self.rows: list[dict[str, object]] = []

    def run(self) -> None:
        """All of them."""
        for actions in (1, 5, 15):
            self.side_by_side(actions)
        self.naive()
        self.memory()
        self.slow_store()

    def source(self, actions: int, mb: int) -> Path:
        """The input with so many actions a picture."""
        folder = self.work / f"in-{actions}-{mb}"
        if not folder.exists():
            generate(open_store(str(folder)), mb=mb, actions_a_picture=actions)
        return folder

    def target(self) -> Path:
        """An empty place for output."""
        shutil.rmtree(self.work / "out", ignore_errors=True)
        return self.work / "out"

    def row(self, what: str, in_bytes: int, result: Timed, **more: object) -> None:
        """Note and print a measurement; speed without the start of Python where the run told its own wall time."""
        said = json.loads(result.output) if result.output.startswith("{") else {}
        wall_s = said.get("wall_s", result.wall_s)
        speed = round(in_bytes / wall_s / 1e6, 1)
        row = {"what": what, "MB/s": speed, "wall s": round(wall_s, 2), "peak MB": round(result.peak_mb), **more}
        self.rows.append(row)
        print(row, flush=True)

    def side_by_side(self, actions: int) -> None:
        """`cat`, the floor, ours on one core and with two workers."""
        source = self.source(actions, self.mb)
        in_bytes = size_bytes(source)
        label = f"{actions} actions a picture"
        self.row(
            f"cat, {label}",
            in_bytes,
            timed(["sh", "-c", f"find {source} -name '*.parquet' | xargs cat | cat > /dev/null"]),
        )
        target = self.target()
        target.mkdir()
        self.row(f"floor, {label}", in_bytes, way("floor", str(source), str(target), cores="0"))
        for name, args, cores in (("ours, one core", (), "0"), ("ours, two workers", TWO_WORKERS, "")):
            target = self.target()
            result = way("ours", str(source), str(target), *args, cores=cores)
            self.row(f"{name}, {label}", in_bytes, result, **sizes(target, in_bytes, result))

    def naive(self) -> None:
        """On little input: it is slow and keeps all of it in memory."""
        source = self.source(5, 50)
        self.row(
            "naive Beam, 5 actions a picture, 50 MB",
            size_bytes(source),
            way("naive", str(source), str(self.target()), cores="0"),
        )

    def memory(self) -> None:
        """The peak for 0.5 GB and for much more; and two workers where there is enough for both."""
        for mb in (500, self.big_mb):
            source = self.source(5, mb)
            result = way("ours", str(source), str(self.target()))
            self.row(f"ours, one worker, {mb} MB", size_bytes(source), result)
            if mb == self.big_mb:  # more than 50 spans a person; the start of the workers weighs little
                result = way("ours", str(source), str(self.target()), *TWO_WORKERS)
                self.row(f"ours, two workers, {mb} MB", size_bytes(source), result)
            if mb != self.mb:
                shutil.rmtree(source)

    def slow_store(self) -> None:
        """`gs://` on a local server with 50 ms a request, against the same server with none and the folder."""
        from taskreel.rehearsal.gcs.server import client_env

        source = self.source(5, self.mb)
        root = self.work / "buckets"
        shutil.copytree(source, root / "lake" / "in", copy_function=os.link)
        env = client_env("http://127.0.0.1:9199")
        for delay_ms in (0, 50):
            server = subprocess.Popen(
                [sys.executable, "-m", SERVER, "--delay-ms", str(delay_ms), "--root", str(root)],
                stdout=subprocess.DEVNULL,
            )
            try:
                wait_for(9199)
                result = way("ours", "gs://lake/in", str(self.target()), env=env, cores="0")
                self.row(f"ours, gs:// with {delay_ms} ms a request, one core", size_bytes(source), result)
            finally:
                server.terminate()
                server.wait()


def wait_for(port: int) -> None:
    """Until a server listens."""
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.1)
    raise RuntimeError("the test server did not start")


def sizes(target: Path, in_bytes: int, result: Timed) -> dict[str, object]:
    """Output to input, and what crossed the shuffle."""
    from taskreel.io import dataset

    account = dataset.open(str(target)).report()["account"]
    out_bytes = size_bytes(target / "steps")
    shuffled = account["bytes.drafts"] + 3 * 90 * account["segments.read"]
    return {
        "out/in": round(out_bytes / in_bytes, 3),
        "shuffled %": round(100 * shuffled / in_bytes, 3),
        "bytes a step": round(account["bytes.drafts"] / max(1, account["steps"]), 1),
    }


def machine() -> str:
    """What it ran on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "?")
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"


def table(rows: list[dict[str, object]]) -> Table:
    """The rows for a terminal."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    page = Table(*names)
    for row in rows:
        page.add_row(*(str(row.get(name, "")) for name in names))
    return page


def markdown(rows: list[dict[str, object]]) -> str:
    """The rows for a page."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return "\n".join(lines + ["| " + " | ".join(str(row.get(name, "")) for name in names) + " |" for row in rows])


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mb", type=int, default=500)
    parser.add_argument("--big-mb", type=int, default=4000)
    parser.add_argument("--only", default="", help="one of the methods of Bench, e.g. memory")
    parser.add_argument("--work", default="/dev/shm" if shutil.disk_usage("/dev/shm").free > 12 << 30 else None)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.work, prefix="taskreel-bench-") as work:
        bench = Bench(Path(work), args.mb, args.big_mb)
        try:
            getattr(bench, args.only or "run")()
        finally:
            report(bench.rows, args)


def report(rows: list[dict[str, object]], args: argparse.Namespace) -> None:
    """Print the table and write it, also if a later measurement failed."""
    Console(width=160).print(table(rows))
    RESULTS.mkdir(exist_ok=True)
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    place = "tmpfs" if args.work else "disk"
    command = f"python -m bench --mb {args.mb} --big-mb {args.big_mb}" + (f" --only {args.only}" if args.only else "")
    text = f"# make bench, {day}\n\n`{command}`, files on {place}. {machine()}.\n\n"
    (RESULTS / f"{day}-{args.only or 'pipeline'}.md").write_text(text + markdown(rows) + "\n")


if __name__ == "__main__":
    main()
