"""Processes of `taskreel …` that begin with everything imported, for tests that kill many of them.

Imports take most of the time of a small run, and a kill amid them meets nothing. A server (of `multiprocessing`) has
imported once; each process is a fork of it, and otherwise one of its own, which can be killed like any. Its environment
is that of the first start.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from multiprocessing.process import BaseProcess

from taskreel.__main__ import main

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        "taskreel.pipelines.launch",
        "taskreel.pipelines.compaction",
        "taskreel.pipelines.summary",
        "taskreel.pipelines.terminal",
        "taskreel.io.dataset",
        "pyarrow.dataset",
    ]
)


def start(*args: str) -> BaseProcess:
    """Start `taskreel ARGS`; what it prints is thrown away."""
    process = _CONTEXT.Process(target=_run, args=(args,), daemon=True)
    process.start()
    return process


def warm_up() -> None:
    """Have the server import; else the first process waits for it."""
    start("--help").join()


def lasts_s(*args: str) -> float:
    """Run `taskreel ARGS` to its end, which has to be a good one; how long that takes."""
    warm_up()
    began_s = time.monotonic()
    process = start(*args)
    process.join()
    assert process.exitcode == 0, args
    return time.monotonic() - began_s


def kill_after(limit_s: float, *args: str) -> bool:
    """Run `taskreel ARGS`, and kill it (SIGKILL) if it is not done by then; whether it was killed."""
    process = start(*args)
    process.join(limit_s)
    was_alive = process.exitcode is None
    process.kill()
    process.join()
    return was_alive


def _run(args: tuple[str, ...]) -> None:
    quiet = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(quiet, descriptor)
    main(list(args))
