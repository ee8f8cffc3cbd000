"""Watch: incremental runs in a loop on one machine, and what a person or a monitor wants to know of them.

Each run is a process of its own: its memory goes with it, and a run that dies takes nothing along.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count
from typing import IO, Any

from taskreel.io.times import iso_from_us
from taskreel.pipelines.freshness import State, state_of
from taskreel.pipelines.processes import started, wait

COMMITTED, NOTHING_NEW, LOST_RACE = "committed", "nothing_new", "lost_race"
FAILED, BAD_USE, STOPPED = "failed", "bad_use", "stopped"
"""How a run can end. A lost race is no error: another run has done the work, and the next cycle goes on from there."""

_GRACE_S = 10.0
_BEATS = 3
"""A watch is healthy if a run has ended well within so many times the time between runs."""


@dataclass(frozen=True)
class WatchOptions:
    """What is run, how often, and how many times (None: for good)."""

    input: str
    output: str
    every_s: float = 60.0
    cycles: int | None = None
    lateness_h: float = 48.0

    def __post_init__(self) -> None:
        if self.every_s <= 0:
            raise ValueError(f"every_s has to be more than 0, not {self.every_s}")


@dataclass(frozen=True)
class Cycle:
    """One run, how it ended, and what was found after it (None: it could not be looked at)."""

    outcome: str
    run_s: float
    error: str = ""
    state: State | None = None

    @property
    def is_good(self) -> bool:
        """Whether there is nothing to look after."""
        return self.outcome in (COMMITTED, NOTHING_NEW, LOST_RACE) and self.state is not None


class Health:
    """Whether cycles end well, and in time. Shared with the thread that answers to monitors."""

    def __init__(self, every_s: float) -> None:
        self._limit_s = _BEATS * every_s
        self._good_s: float | None = None
        self._error = "no run has ended yet"

    def ended(self, cycle: Cycle, now_s: float) -> None:
        """A cycle has ended at a time of the monotonic clock."""
        if cycle.is_good:
            self._good_s = now_s
        self._error = "" if cycle.is_good else f"{cycle.outcome}: {cycle.error}"

    def reason(self, now_s: float) -> str:
        """Why it is not healthy; empty if it is."""
        if self._good_s is not None and now_s - self._good_s > self._limit_s and not self._error:
            return f"no run has ended for {now_s - self._good_s:.0f} s"
        return self._error


def watch(
    command: Sequence[str],
    options: WatchOptions,
    stopped: threading.Event,
    observers: Sequence[Callable[[Cycle], None]],
) -> Cycle:
    """Run a command (`taskreel run --incremental --json …`) every so often, until stopped; the last cycle.

    A first run that is badly used is the last: all others would be, too. Later it may be the store that is away.
    """
    for number in count(1):
        began_s = time.monotonic()
        cycle = run_once(command, options, stopped)
        if cycle.outcome == STOPPED:
            return cycle
        for observe in observers:
            observe(cycle)
        is_last = number == options.cycles or (number == 1 and cycle.outcome == BAD_USE)
        if is_last or stopped.wait(max(0.0, began_s + options.every_s - time.monotonic())):
            return cycle if is_last else replace(cycle, outcome=STOPPED)
    raise AssertionError("numbers do not end")


def run_once(command: Sequence[str], options: WatchOptions, stopped: threading.Event) -> Cycle:
    """One run, as a process that is gone when this returns, and a look at what is there after it."""
    began_s = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with started(command, f"watch {uuid.uuid4().hex}", stdout=out, stderr=err) as process:
            code = wait(process, stopped, grace_s=_GRACE_S)
        outcome, error = _ending(code, out, err)
    cycle = Cycle(outcome, round(time.monotonic() - began_s, 3), error)
    if stopped.is_set():
        return replace(cycle, outcome=STOPPED)
    try:
        return replace(cycle, state=state_of(options.input, options.output, options.lateness_h))
    except Exception as error:  # whatever a store's library raises when the store is away: it must not end the watch
        return replace(cycle, error=cycle.error or f"cannot look at it: {error!r}")


def _ending(code: int, out: IO[bytes], err: IO[bytes]) -> tuple[str, str]:
    """(outcome, error), by the exit code and the last line of what was said."""
    if code == 0:
        return (COMMITTED if json.loads(_last_line(out))["new"] else NOTHING_NEW), ""
    said = _last_line(err) or (f"exit code {code}" if code > 0 else f"killed by signal {-code}")
    return {2: BAD_USE, 3: LOST_RACE}.get(code, FAILED), said.removeprefix("taskreel: ")


def _last_line(file: IO[bytes]) -> str:
    file.seek(0)
    lines = file.read().decode(errors="replace").split("\n")
    return next((text.strip() for text in reversed(lines) if text.strip()), "")


def facts(cycle: Cycle) -> dict[str, Any]:
    """A cycle as `--json` prints it, on one line."""
    values: dict[str, Any] = {"outcome": cycle.outcome, "run_s": cycle.run_s, "error": cycle.error}
    state = cycle.state
    if state is None:
        return values
    return values | {
        "time": iso_from_us(state.now_us),
        "version": state.version,
        "last_commit": None if state.committed_us is None else iso_from_us(state.committed_us),
        "newest_event": None if state.newest_event_us is None else iso_from_us(state.newest_event_us),
        "lag_s": state.lag_s,
        "backlog": asdict(state.backlog),
    }


def line(cycle: Cycle) -> str:
    """A cycle for people."""
    parts = [f"{cycle.outcome.replace('_', ' ')} in {cycle.run_s:.1f} s"]
    if state := cycle.state:
        parts.append(f"lag {_duration(state.lag_s)}")
        parts.append(f"backlog {state.backlog.segments} segments ({state.backlog.bytes / 1e6:.1f} MB)")
        is_there = state.version is not None
        parts.append(f"version {state.version}, {_duration(state.commit_age_s)} old" if is_there else "no commit yet")
    if cycle.error:
        parts.append(cycle.error)
    return "; ".join(parts)


def _duration(seconds: float | None) -> str:
    """
    >>> [_duration(seconds) for seconds in (None, 8.4, 95, 7300, 200_000)]
    ['unknown', '8 s', '1 min 35 s', '2 h 1 min', '2 d 7 h']
    """
    if seconds is None:
        return "unknown"
    rest, parts = int(seconds), []
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count or unit == "s":
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) if len(parts) > 1 and not parts[1].startswith("0 ") else parts[0]
