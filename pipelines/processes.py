"""Child processes of commands that run for long: started with all that belongs to them, and ended without a rest.

Whatever a job starts (Prism, workers) inherits its environment, so a mark there finds the whole family again: after
the child has died, after the parent was killed, and when process numbers have been used anew.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

MARK = "TASKREEL_STARTED_BY"
_POLL_S = 0.1


@contextlib.contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set, instead of ending this process. For the main thread."""
    stopped = threading.Event()
    handled = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda *_: stopped.set()) for number in handled]
    try:
        yield stopped
    finally:
        for number, handler in zip(handled, before, strict=True):
            signal.signal(number, handler)


@contextlib.contextmanager
def started(
    command: Sequence[str], mark: str, *, stdout: IO[bytes] | int | None = None, stderr: IO[bytes] | int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A child in a session of its own, so that a terminal's Ctrl-C is not its own; nothing of it is there afterwards.

    Raises `OSError` if there is no such program.
    """
    process = subprocess.Popen(
        command, env=os.environ | {MARK: mark}, start_new_session=True, stdout=stdout, stderr=stderr
    )
    try:
        yield process
    finally:
        sweep(mark)
        process.wait()


def wait(process: subprocess.Popen[bytes], stopped: threading.Event, *, grace_s: float) -> int:
    """The exit code of a child. When `stopped` is set, its group is asked to end, and has `grace_s` for that."""
    while process.poll() is None and not stopped.wait(_POLL_S):
        pass
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace_s)
    if process.poll() is None:
        process.kill()
    return process.wait()


def family(mark: str) -> list[int]:
    """The living processes that carry a mark, of those that this user may look at."""
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if _is_marked(path, mark)]


def sweep(mark: str) -> int:
    """Kill whatever carries a mark, again until nothing does (it may be starting others); how many there were."""
    ended: set[int] = set()
    while found := family(mark):
        for number in found:
            _kill(number, mark)
        ended.update(found)
        time.sleep(_POLL_S / 10)
    return len(ended)


def _kill(number: int, mark: str) -> None:
    """By a handle that is opened first: the number may be another's at any time, the handle cannot."""
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(number)
        try:
            if _is_marked(Path(f"/proc/{number}"), mark):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)


def _is_marked(process: Path, mark: str) -> bool:
    """A process that has died but is not waited for has no environment any more."""
    try:
        return f"{MARK}={mark}".encode() in (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return False
