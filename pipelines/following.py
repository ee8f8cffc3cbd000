"""Follow a run while it goes: on this machine by files of the workers, in the cloud by the job's metrics.

For people to look at, and for nothing else: exact numbers are accounts.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from taskreel.pipelines.terminal import Show
from taskreel.transforms.metrics import NAMESPACE
from taskreel.transforms.progress import read_progress

_HERE_EVERY_S = 0.5
_CLOUD_EVERY_S = 30.0
"""Each look is a request to the service, and its metrics are some 20 s old."""
_PREFIX = "taskreel-progress-"


class Followed:
    """A run that is followed: where its workers write, and its result once there is one."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        """Where workers of this machine leave their totals; "" if they do not."""
        self.result: Any = None
        """Of the runner; in the cloud the totals are asked of it."""

    def totals(self) -> dict[str, int]:
        """What is done until now, by name."""
        if self.folder:
            return read_progress(Path(self.folder))
        return counted(self.result) if self.result is not None else {}


def counted(result: Any) -> dict[str, int]:
    """The counters of taskreel: a bundle that was tried again counts twice."""
    return {name: total for (namespace, name), total in counters_of(result).items() if namespace == NAMESPACE}


def counters_of(result: Any) -> dict[tuple[str, str], int]:
    """All counters of a job, over its steps, by namespace and name."""
    total: Counter[tuple[str, str]] = Counter()
    for counter in result.metrics().query()["counters"]:
        total[counter.key.metric.namespace, counter.key.metric.name] += counter.result or 0
    return dict(total)


@contextlib.contextmanager
def followed(show: Show | None, *, in_the_cloud: bool) -> Iterator[Followed]:
    """Follow what runs within it, in a thread, if there is somebody to show it to."""
    if show is None:
        yield Followed("")
        return
    with contextlib.nullcontext("") if in_the_cloud else _folder() as folder:
        run = Followed(folder)
        with _thread(run, show, _CLOUD_EVERY_S if in_the_cloud else _HERE_EVERY_S):
            yield run


@contextlib.contextmanager
def _thread(run: Followed, show: Show, every_s: float) -> Iterator[None]:
    done = threading.Event()
    began_s = time.monotonic()

    def watch() -> None:
        while not done.wait(every_s):
            try:
                show(run.totals(), time.monotonic() - began_s)
            except Exception:
                logging.getLogger(__name__).debug("progress", exc_info=True)

    thread = threading.Thread(target=watch, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextlib.contextmanager
def _folder() -> Iterator[str]:
    """A folder for the workers' totals."""
    _sweep()
    folder = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep() -> None:
    """Remove what runs that were killed left behind."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        process = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if not Path(f"/proc/{process}").exists():
            shutil.rmtree(folder, ignore_errors=True)
