"""The recorder: one process that records while it may, and does what it is told.

States: `recording`, `paused` (by the person), `locked` (the screen is locked or another user is at it: the recording is
closed, and another begins after), `stopped`. A pause outlasts all of it: only the person ends it. The loop takes what
the sources have handed over every `TICK_S`; with the time for which events are held, an event is in the journal within
`HOLD_US` + `TICK_S` + the time of the write. Every `SYNC_S` the disk is told to keep it. A kill loses at most the last
250 ms, a power cut that and the last second.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from taskreel.capture.disk import sync_folder
from taskreel.capture.recorder.control import ControlServer, Request
from taskreel.capture.recorder.recording import Account, Identity
from taskreel.capture.recorder.sealer import Sealer
from taskreel.capture.recorder.session import Hotkey, Plan, Session, no_hotkey
from taskreel.capture.settings import Settings
from taskreel.capture.sources.guards import Guard
from taskreel.capture.sources.protocol import monotonic_us

TICK_S = 0.08
SYNC_S = 1.0
QUOTA_S = 10.0
LONGEST_RECORDING_S = 12 * 3600
"""A recording of somebody who never locks the screen ends at some time, so that nothing in it grows without end."""
RESERVE_BYTES = 1 << 20
"""Kept free for the end of a recording: the last events and the closing of the journal, when the disk is full."""
RECORDINGS, RESERVE, LOCK, ENDED = "recordings", "reserve", "recorder.lock", "ended.json"


class AlreadyRunningError(Exception):
    """Another recorder uses this spool. The message names its process."""


@dataclass
class Ended:
    """How it ended: why, the account of all recordings, and what could not be sealed yet."""

    reason: str
    account: Account
    recordings: int
    segments: int
    unsealed: int
    faults: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """For a program."""
        return vars(self) | {"account": self.account.to_dict()}


@dataclass(frozen=True)
class Conditions:
    """What the recorder asks of the machine now and then; each can be replaced in tests.

    `away`: why nobody may be recorded now (`locked`, `user_switched`, `suspending`), or None. `has_room`: whether the
    spool is within its quota, after old segments that were sent have been removed. `refused`: why the consent does not
    hold any more, or None; then recording ends.
    """

    guards: Sequence[Guard] = ()
    away: Callable[[], str | None] = lambda: None
    has_room: Callable[[], bool] = lambda: True
    refused: Callable[[], str | None] = lambda: None


class Recorder:
    """Made for one run; `run` returns when it was stopped."""

    def __init__(
        self,
        settings: Settings,
        identity: Identity,
        plan: Plan,
        conditions: Conditions | None = None,
        on_status: Callable[[dict[str, Any]], None] = lambda status: None,
        hotkey: Hotkey = no_hotkey,
    ) -> None:
        self._settings, self._identity, self._plan = settings, identity, plan
        self._conditions = conditions or Conditions()
        self._on_status = on_status
        self._hotkey = hotkey
        self._session: Session | None = None
        self._total = Account()
        self._recordings = 0
        self._stop_reason = ""
        self._state = "starting"
        self._toggles = 0
        self._is_paused = False
        self._pictures = 0
        self._faults: list[str] = []
        self._task: str | None = None

    def stop(self, reason: str = "stopped") -> None:
        """Have `run` end soon. From any thread or a signal's handler."""
        self._stop_reason = self._stop_reason or reason

    def toggle_pause(self) -> None:
        """Pause or resume soon. From any thread: the tray's icon."""
        self._toggles += 1

    def run(self) -> Ended:
        """Record until stopped. Raises `AlreadyRunningError`, and `SourceUnavailableError` if it cannot begin."""
        spool = self._settings.spool
        spool.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _only_one(spool):
            (spool / ENDED).unlink(missing_ok=True)  # of the run before: nobody takes it for this one's
            self._sealer = Sealer(spool / "outbox")
            self._control = ControlServer(spool)
            try:
                self._recover(spool / RECORDINGS)
                _reserve(spool)
                while not self._stop_reason:
                    self._record()
                    self._be_away()
            finally:
                self._control.close()
                done = self._sealer.close()
                if not done:
                    self._faults.append(
                        self._sealer.fault or "segments were not sealed in time: the next start does it"
                    )
                self._state = "stopped"
                self._tell()
            ended = Ended(
                self._stop_reason,
                self._total,
                self._recordings,
                self._sealer.sealed,
                self._sealer.waiting,
                self._faults,
            )
            with contextlib.suppress(OSError):  # the disk may be full
                (spool / ENDED).write_text(json.dumps(ended.to_dict()) + "\n", encoding="utf-8")
            return ended

    # -------------------------------------------------------------------------------------------- one recording

    def _record(self) -> None:
        """One recording, from its start to its end."""
        folder = self._settings.spool / RECORDINGS / f"{int(time.time()):x}{secrets.token_hex(4)}"
        session = self._session = Session(
            folder,
            self._plan,
            self._identity,
            self._conditions.guards,
            hotkey=self._hotkey,
            is_paused=self._is_paused,
        )
        self._recordings += 1
        self._state = "paused" if self._is_paused else "recording"
        self._tell()
        with _syncing(session):
            try:
                why = self._watch(session)
                self._end(session)
            except OSError as error:
                why = self._end_without_room(session, error)
        self._session = None
        if why in ("source_lost", "disk_full", "quota", "consent_ended"):
            self.stop(why)

    def _watch(self, session: Session) -> str:
        """Tick until the recording has to end; why."""
        next_second = time.monotonic()
        ends = time.monotonic() + LONGEST_RECORDING_S
        while not self._stop_reason:
            time.sleep(TICK_S)
            if session.tick():
                self.toggle_pause()
            self._do_toggles(session)
            self._answer(session)
            if session.lost_source:
                self._faults.append(f"{session.lost_source}: the recording ended")
                return "source_lost"
            if time.monotonic() >= next_second:
                next_second = time.monotonic() + 1.0
                why = self._each_second(session)
                if why:
                    return why
            if time.monotonic() > ends:
                return "long_enough"
        return self._stop_reason

    def _each_second(self, session: Session) -> str | None:
        now_us = monotonic_us()
        if session.recording.is_due(now_us, self._settings.segment_minutes):
            session.recording.rotate()
        for journal in session.recording.ready(now_us):
            self._sealer.seal(journal)
        self._tell()
        if refused := self._conditions.refused():
            self._faults.append(f"{refused}: recording stopped. Nothing is recorded without a valid consent record")
            return "consent_ended"
        if not self._conditions.has_room():
            self._faults.append(
                "the spool has reached its quota with segments that are not published yet: recording stopped. Publish "
                "them (`taskreel publish`), or start with a larger --quota"
            )
            return "quota"
        return self._conditions.away() or session.recording.clock.broken()

    def _end(self, session: Session) -> None:
        session.end()
        for journal in session.recording.ready(monotonic_us()) + session.recording.ready(1 << 62):
            self._sealer.seal(journal)
        self._close_account(session)

    def _close_account(self, session: Session) -> None:
        self._sealer.finish(session.recording.folder)
        self._total = _sum(self._total, session.account)
        self._pictures += session.recording.pictures

    def _end_without_room(self, session: Session, error: OSError) -> str:
        """The disk is full or failed. The reserve is given up for the end of the recording."""
        (self._settings.spool / RESERVE).unlink(missing_ok=True)
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        what = "the disk is full" if is_full else f"the disk failed ({error.strerror})"
        self._faults.append(f"{self._settings.spool}: {what}: recording stopped. Make room, then start again")
        try:
            self._end(session)
        except OSError:
            session.abandon()
            self._close_account(session)
        return "disk_full"

    def _be_away(self) -> None:
        """Wait while nobody may be recorded."""
        while not self._stop_reason and (away := self._conditions.away()):
            if self._state != away:
                self._state = away
                self._tell()
            time.sleep(TICK_S)
            self._answer(None)

    # -------------------------------------------------------------------------------------------- commands

    def _do_toggles(self, session: Session) -> None:
        while self._toggles:
            self._toggles -= 1
            self._pause(session, not session.is_paused)

    def _pause(self, session: Session, wanted: bool) -> None:
        session.pause() if wanted else session.resume()
        self._is_paused = wanted
        self._state = "paused" if session.is_paused else "recording"
        self._tell()

    def _answer(self, session: Session | None) -> None:
        while not self._control.requests.empty():
            request = self._control.requests.get()
            try:
                request.answer(**self._do(request, session))
            except (RuntimeError, OSError) as error:
                request.answer(error=str(error))

    def _do(self, request: Request, session: Session | None) -> dict[str, Any]:
        if request.command == "status":
            return self._status()
        if request.command == "stop":
            self.stop()
            return {"stopping": True}
        if session is None and request.command in ("pause", "resume"):
            self._is_paused = request.command == "pause"  # as of the next recording
            return self._status()
        if session is None:
            return {"error": f"nothing is recorded now: {self._state}"}
        if request.command in ("pause", "resume"):
            self._pause(session, request.command == "pause")
            return self._status()
        if request.command == "mark":
            return self._mark(session, request.arguments)
        return {"error": f"{request.command}: not a command"}

    def _mark(self, session: Session, arguments: dict[str, Any]) -> dict[str, Any]:
        if session.is_paused:
            return {"error": "recording is paused: resume first"}
        if arguments.get("end"):
            if self._task is None:
                return {"error": 'no task was begun: `taskreel capture mark "what you do"` begins one'}
            session.mark_end(arguments.get("outcome"))
            ended, self._task = self._task, None
            return {"ended": ended}
        self._task = str(arguments["description"])
        session.mark(self._task)
        return {"began": self._task}

    # -------------------------------------------------------------------------------------------- telling

    def _tell(self) -> None:
        self._on_status(self._status())

    def _status(self) -> dict[str, Any]:
        account = self._total if self._session is None else _sum(self._total, self._session.account)
        return {
            "state": self._state,
            "is_paused": self._is_paused,
            "pid": os.getpid(),
            "participant": self._identity.participant,
            "consent_id": self._identity.consent_id,
            "recording": self._session.recording.id if self._session else None,
            "pictures": self._pictures + (self._session.recording.pictures if self._session else 0),
            "is_task_marked": self._task is not None,
            "segments": self._sealer.sealed,
            "unsealed": self._sealer.waiting,
            "account": account.to_dict(),
            "faults": [*self._faults, *([self._sealer.fault] if self._sealer.fault else [])],
        }

    def _recover(self, recordings: Path) -> None:
        """Seal what recorders that were killed left behind."""
        for folder in sorted(recordings.glob("*")) if recordings.is_dir() else ():
            if folder.is_dir():
                self._sealer.recover(folder)


def _sum(total: Account, account: Account) -> Account:
    return Account(
        total.produced + account.produced,
        total.journaled + account.journaled,
        total.in_gaps + account.in_gaps,
        total.own + account.own,
        total.withheld + account.withheld,
        total.gaps + account.gaps,
    )


@contextlib.contextmanager
def _syncing(session: Session) -> Iterator[None]:
    """Have the disk keep what was written, each second, in a thread of its own: a slow disk delays nobody."""
    ended = threading.Event()

    def sync() -> None:
        while not ended.wait(SYNC_S):
            with contextlib.suppress(OSError):
                session.recording.sync()

    thread = threading.Thread(target=sync, name="sync", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def _only_one(spool: Path) -> Iterator[None]:
    """One recorder a spool. The lock goes with the process, however that ends."""
    with open(spool / LOCK, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise AlreadyRunningError(
                f"a recorder runs in {spool} already (process {file.read().strip() or 'unknown'}); "
                "`taskreel capture status` tells more"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _reserve(spool: Path) -> None:
    """Take room on the disk for the end of a recording. A disk that has no room for it is full."""
    path = spool / RESERVE
    if path.exists() and path.stat().st_size == RESERVE_BYTES:
        return
    path.write_bytes(secrets.token_bytes(RESERVE_BYTES))
    sync_folder(spool)


def is_running(spool: Path) -> bool:
    """Whether a recorder uses this spool."""
    try:
        with open(spool / LOCK, encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
