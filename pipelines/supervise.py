"""Supervise: keep a job alive on one machine. Prism does not retry: any failure ends its job, so it is started again.

A job that fails again and again is given up, so that somebody looks at it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from taskreel.io.times import iso_from_us
from taskreel.pipelines.processes import started, stop_signals, sweep, wait

Report = Callable[[dict[str, Any]], None]

_GOOD, _GIVEN_UP, _BAD_USE = 0, 1, 2
"""Exit codes, of the job and of the supervisor; those of the command line."""


class AlreadySupervisedError(RuntimeError):
    """Another supervisor holds the state file."""


@dataclass(frozen=True)
class RestartOptions:
    """When a job that failed is started again.

    The n-th pause in a row is at most `backoff_s` x 2^(n-1), and never longer than `longest_backoff_s`; it is drawn
    from the upper half of that, so that jobs which failed together do not come back together. A job that ran for
    `healthy_s` begins again with the first pause. `max_failures` within `window_s` are the end.
    """

    max_failures: int = 10
    window_s: float = 3600.0
    backoff_s: float = 1.0
    longest_backoff_s: float = 60.0
    healthy_s: float = 60.0
    grace_s: float = 30.0

    def __post_init__(self) -> None:
        if self.max_failures < 1:
            raise ValueError(f"max_failures has to be 1 or more, not {self.max_failures}")


class Restarts:
    """The failures so far, and what follows from one more. Pure but for the dice."""

    def __init__(self, options: RestartOptions, dice: random.Random) -> None:
        self._options = options
        self._dice = dice
        self._failed_s: list[float] = []
        self._in_row = 0

    def pause_s(self, now_s: float, ran_s: float) -> float | None:
        """A job that ran so long has failed: the pause before it is started again, or None to give up."""
        options = self._options
        self._failed_s = [*(when_s for when_s in self._failed_s if now_s - when_s < options.window_s), now_s]
        if len(self._failed_s) >= options.max_failures:
            return None
        self._in_row = 1 if ran_s >= options.healthy_s else self._in_row + 1
        most_s = min(options.longest_backoff_s, options.backoff_s * 2.0 ** min(self._in_row - 1, 60))
        return self._dice.uniform(most_s / 2, most_s)


def supervise(command: Sequence[str], options: RestartOptions, state: Path, report: Report, **stdio: Any) -> int:
    """Run a command until it ends well, is badly used, fails too often, or a signal stops it; the exit code of this.

    `report` gets what happens, one object each; the same goes to the file `state`, as JSON lines. Raises
    `AlreadySupervisedError` if another supervisor has this file.
    """
    with _state_file(state) as file, stop_signals() as stopped:
        job = _Job(command, options, str(state.resolve()), _reports(file, report), stopped, stdio)
        return job.run()


@dataclass
class _Job:
    command: Sequence[str]
    options: RestartOptions
    mark: str
    report: Report
    stopped: threading.Event
    stdio: dict[str, Any]

    def run(self) -> int:
        if orphans := sweep(self.mark):
            self.report({"event": "swept", "processes": orphans})
        restarts = Restarts(self.options, random.Random())
        while True:
            began_s = time.monotonic()
            code = self._once()
            ran_s = time.monotonic() - began_s
            ended = {"exit_code": code, "ran_s": round(ran_s, 3)}
            if self.stopped.is_set():
                self.report({"event": "stopped", **ended})
                return _GOOD
            if code in (_GOOD, _BAD_USE):
                self.report({"event": "ended", **ended})
                return code
            pause_s = restarts.pause_s(time.monotonic(), ran_s)
            if pause_s is None:
                self.report({"event": "given_up", **ended, "failures": self.options.max_failures})
                return _GIVEN_UP
            self.report({"event": "failed", **ended, "pause_s": round(pause_s, 3)})
            if self.stopped.wait(pause_s):
                self.report({"event": "stopped"})
                return _GOOD

    def _once(self) -> int:
        with started(self.command, self.mark, **self.stdio) as process:
            self.report({"event": "started", "pid": process.pid})
            return wait(process, self.stopped, grace_s=self.options.grace_s)


def line(event: dict[str, Any], options: RestartOptions) -> str:
    """An event for people."""
    match event["event"]:
        case "swept":
            return f"ended {event['processes']} processes that an earlier supervisor had left"
        case "started":
            return f"started the job (process {event['pid']})"
        case "failed":
            return f"the job ended after {event['ran_s']:.0f} s ({_ending(event)}); again in {event['pause_s']:.1f} s"
        case "given_up":
            return (
                f"the job ended after {event['ran_s']:.0f} s ({_ending(event)}), failure {event['failures']} within "
                f"{options.window_s:.0f} s: given up. Look at its last lines above, mend it, and start again"
            )
        case "ended":
            return f"the job ended after {event['ran_s']:.0f} s ({_ending(event)})"
    return "stopped, with all that the job had started"


def _ending(event: dict[str, Any]) -> str:
    code = event["exit_code"]
    return f"exit code {code}" if code >= 0 else f"killed by {_signal_name(-code)}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


@contextlib.contextmanager
def _state_file(path: Path) -> Iterator[IO[str]]:
    """The file, emptied and locked. The system gives the lock back when this process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadySupervisedError(f"{path}: another supervisor is at work on this; stop it first") from None
        file.truncate(0)
        yield file


def _reports(file: IO[str], report: Report) -> Report:
    def both(event: dict[str, Any]) -> None:
        stamped = {"time": iso_from_us(time.time_ns() // 1000), **event}
        print(json.dumps(stamped), file=file, flush=True)
        report(stamped)

    return both
