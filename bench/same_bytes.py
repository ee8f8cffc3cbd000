"""One input through every runner of this machine: the datasets have to be the same, byte for byte.

    make same-bytes    (.venv/bin/python -m bench.same_bytes [--json] [--once])

The input has several shards, all splits, two devices of one person, a damaged segment, and a late one that revises an
episode: so each runner runs twice, before and after these two came. Every run is `taskreel run` as a process of its
own, or `taskreel rehearse dataflow`; where workers are apart, they are processes of a worker pool. Exit code 1 if a
dataset differs, lacks what the comparison is about, or a run fails.

Prism is used if `TASKREEL_PRISM` names it (`make prism`); Flink and Spark if `TASKREEL_FLINK` and `TASKREEL_SPARK` name
their job servers (host:port).
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "pipelines"))

import inputs
import shipped
from rich.console import Console
from rich.table import Table

from taskreel.io import dataset as datasets
from taskreel.pipelines.summary import facts

PATIENCE_S = 300.0
_START_S, _END_S = 60.0, 30.0
_POOL, _JOBS = "apache_beam.runners.worker.worker_pool_main", "apache_beam.runners.portability.local_job_service_main"


@dataclass(frozen=True)
class Runner:
    """How a runner is named in the table, its options (`{pool}`, `{jobs}`: ports, `{setup}`: a file), the command."""

    name: str
    options: tuple[str, ...] = ()
    command: tuple[str, ...] = ("run",)


@dataclass(frozen=True)
class Result:
    """What became of the runs of one runner; `sha256` is empty if one failed, and `fault` says how."""

    runner: str
    wall_s: float
    shards: int = 0
    sha256: str = ""
    fault: str = ""


def runners() -> list[Runner]:
    """Those that this machine has."""
    apart = ("--environment_type=EXTERNAL", "--environment_config=localhost:{pool}")
    threads = "--direct_running_mode=multi_threading"
    found = [
        Runner("DirectRunner, in memory"),
        Runner("DirectRunner, 2 processes", ("--direct_running_mode=multi_processing", "--direct_num_workers=2")),
        Runner("DirectRunner, 2 threads", (threads, "--direct_num_workers=2")),
        # It cuts what a stage reads into as many bundles as there are workers: there is no other way to say their size.
        Runner("FnApiRunner, small bundles", ("--runner=FnApiRunner", threads, "--direct_num_workers=16")),
        Runner("job service, workers apart", ("--runner=PortableRunner", "--job_endpoint=localhost:{jobs}", *apart)),
    ]
    if prism := os.environ.get("TASKREEL_PRISM"):
        on_prism = ("--runner=PrismRunner", f"--prism_location={prism}")
        found += [
            Runner("Prism, worker in the launcher", (*on_prism, "--environment_type=LOOPBACK")),
            Runner("Prism, worker apart", (*on_prism, *apart)),
            # Prism starts a process an environment, however many are asked for; the rehearsal makes environments.
            Runner(
                "Dataflow, rehearsed on Prism, 3 workers",
                (f"--prism={prism}", "--setup_file={setup}", "--worker-processes=3"),
                ("rehearse", "dataflow"),
            ),
        ]
    for engine in ("Flink", "Spark"):
        if server := os.environ.get(f"TASKREEL_{engine.upper()}"):
            found.append(Runner(engine, ("--runner=PortableRunner", f"--job_endpoint={server}", *apart)))
    return found


def compare(folder: Path, *, once: bool = False) -> list[Result]:
    """Run all, in `folder`: twice, before and after the late ones came; or `once`, when all is there."""
    early, late = folder / "early", folder / "late"
    make_input(early, late)
    come = [(late, [])] if once else [(early, ["--incremental"]), (late, ["--incremental", "--final"])]
    setup = str(shipped.project_copy(folder / "project"))
    with _servers() as ports:
        places = {name: str(port) for name, port in ports.items()} | {"setup": setup}
        return [measure(runner, come, folder / str(n), places) for n, runner in enumerate(runners())]


def make_input(early: Path, late: Path) -> None:
    """The input as it is at the first run, and at the second: with a segment in the middle of a span, and a bad one."""
    names = inputs.publish_all(late)
    shutil.copytree(late, early)
    middle = sorted(str(name) for name in names if name.recording == "ben")[1]
    (early / middle).unlink()
    whole = next(str(name) for name in names if name.recording == "tom")
    bad = whole.replace("tom", "tomcopy")
    inputs.put(late, bad, (late / whole).read_bytes()[:-100])


def measure(runner: Runner, come: list[tuple[Path, list[str]]], folder: Path, places: dict[str, str]) -> Result:
    """The runs of one runner: each with what has come until then."""
    begin = time.monotonic()
    input_, output = folder / "in", folder / "out"
    options = [option.format(**places) for option in runner.options]
    for files, more in come:
        shutil.copytree(files, input_, dirs_exist_ok=True)
        _, *arguments = inputs.run_args(input_, output)
        fault = _run([*runner.command, *arguments, *more, *options])
        if fault:
            return Result(runner.name, time.monotonic() - begin, fault=fault)
    wall_s = time.monotonic() - begin
    fault = _lacks(output, revised=len(come) > 1)
    return Result(runner.name, wall_s, len(datasets.open(str(output)).shards()), sha256_of(output), fault)


def _lacks(output: Path, *, revised: bool) -> str:
    """What the comparison is about, and a dataset does not have."""
    dataset = datasets.open(str(output))
    rows = dataset.episodes()
    there = {
        "three shards": len(dataset.shards()) >= 3,
        "all splits": set(rows.column("split").to_pylist()) == {"train", "validation", "test"},
        "a dead segment": bool(facts(dataset)["segments"]["dead"]),
        "a revision": not revised or max(rows.column("revision").to_pylist()) > 0,
    }
    missing = [name for name, is_there in there.items() if not is_there]
    return f"the dataset lacks {', '.join(missing)}" if missing else ""


def sha256_of(output: Path) -> str:
    """Of the shards' bytes and of all that is said of the episodes."""
    what = [inputs.shas(output), inputs.episodes(output)]
    return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()


def _run(arguments: list[str]) -> str:
    try:
        done = inputs.command(*arguments, timeout_s=PATIENCE_S)
    except subprocess.TimeoutExpired:
        return f"not done after {PATIENCE_S:.0f} s"
    said = (done.stdout + done.stderr).strip().splitlines()
    return "" if done.returncode == 0 else f"exit code {done.returncode}: {said[-1] if said else ''}"


@contextlib.contextmanager
def _servers() -> Iterator[dict[str, int]]:
    """A pool of SDK workers and a job service, on loopback, for as long as they are needed."""
    ports = {"pool": _free_port(), "jobs": _free_port()}
    commands = ((_POOL, f"--service_port={ports['pool']}"), (_JOBS, f"--port={ports['jobs']}"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"  # the pool starts `python`
    started = [
        subprocess.Popen(
            [sys.executable, "-m", *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PATH": path},
        )
        for command in commands
    ]
    try:
        for port in ports.values():
            _wait_for(port)
        yield ports
    finally:
        for process in started:
            process.terminate()
        for process in started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_END_S)
            process.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    until = time.monotonic() + _START_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("localhost", port), 1):
            return
        if time.monotonic() > until:
            raise TimeoutError(f"nothing listens on port {port} after {_START_S:.0f} s")
        time.sleep(0.1)


def faults(results: list[Result]) -> list[str]:
    """What is not as it should be."""
    failed = [f"{result.runner}: {result.fault}" for result in results if result.fault]
    first = results[0]
    differing = [r.runner for r in results if not r.fault and r.sha256 != first.sha256]
    return failed + [f"{name}: the dataset is not that of {first.runner}" for name in differing]


def main() -> int:
    """Compare, print, and say by the exit code how it went."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--once", action="store_true", help="one batch run each, when all has come")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = compare(Path(folder), once=arguments.once)
    if arguments.json:
        print(json.dumps([asdict(result) for result in results]))
    else:
        table = Table("runner", "wall s", "shards", "sha256 of the dataset")
        for result in results:
            table.add_row(result.runner, f"{result.wall_s:.1f}", str(result.shards), result.fault or result.sha256)
        Console(width=140).print(table)
    for fault in faults(results):
        print(fault, file=sys.stderr)
    return 1 if faults(results) else 0


if __name__ == "__main__":
    sys.exit(main())
