"""Seals journals beside the recording: one process at a time, again after a while if it failed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from taskreel.capture.recorder.sealing import DAMAGED, alone, finish_moves, journals, sealed

_AGAIN_S = 10.0


@dataclass(frozen=True)
class _Task:
    """A journal to be sealed, or, without one, a recording that is over and whose folder can go."""

    recording: Path
    journal: Path | None = None
    is_last: bool = False


class Sealer:
    """A thread that works off closed journals in order."""

    def __init__(self, outbox: Path, *, again_s: float = _AGAIN_S) -> None:
        self._outbox, self._again_s = outbox, again_s
        self._tasks: deque[_Task] = deque()
        self._news = threading.Condition()
        self._is_closing = False
        self.sealed = 0
        """Segments so far."""
        self.lost_pictures = 0
        self.fault = ""
        """Why the last try failed; empty when it went well."""
        self._thread = threading.Thread(target=self._work, name="sealer", daemon=True)
        self._thread.start()

    def seal(self, journal: Path) -> None:
        """Seal a closed journal, some time soon."""
        self._add(_Task(journal.parent, journal))

    def finish(self, recording: Path) -> None:
        """The recording is over: when all of its journals are sealed, remove its folder."""
        self._add(_Task(recording))

    def recover(self, recording: Path) -> None:
        """Seal all that a killed recorder left of a recording."""
        left = journals(recording)
        for journal in left:
            self._add(_Task(recording, journal, is_last=journal == left[-1]))
        self._add(_Task(recording))

    def close(self, patience_s: float = 120.0) -> bool:
        """Work off what waits, if it goes well; whether all was done. What is left is sealed at the next start."""
        with self._news:
            self._is_closing = True
            self._news.notify_all()
        self._thread.join(patience_s)
        return not self._tasks

    @property
    def waiting(self) -> int:
        """Journals that are not sealed yet."""
        return sum(task.journal is not None for task in tuple(self._tasks))

    def _add(self, task: _Task) -> None:
        with self._news:
            self._tasks.append(task)
            self._news.notify_all()

    def _work(self) -> None:
        while True:
            with self._news:
                while not self._tasks:
                    if self._is_closing:
                        return
                    self._news.wait()
                task = self._tasks[0]
            self.fault = self._do(task)
            with self._news:
                if not self.fault:
                    self._tasks.popleft()
                elif self._is_closing:
                    return
                else:
                    self._news.wait(self._again_s)

    def _do(self, task: _Task) -> str:
        if task.journal is None:
            return self._remove(task.recording)
        if not task.journal.exists():
            return ""
        command = [sys.executable, "-m", "taskreel.capture.recorder.sealing", str(task.journal), str(self._outbox)]
        done = subprocess.run(
            command + ["last"] * task.is_last, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )
        if done.returncode:
            return f"{task.journal.name} could not be sealed: {_last_line(done.stderr)}"
        facts = json.loads(done.stdout)
        self.sealed += facts["name"] is not None
        self.lost_pictures += facts["lost_pictures"]
        return ""

    def _remove(self, recording: Path) -> str:
        """Remove the folder of a recording of which everything is in the outbox."""
        try:
            with alone(recording) as is_there:
                return self._clear(recording) if is_there else ""
        except OSError as error:
            return f"{recording.name} could not be removed: {error.strerror}"

    def _clear(self, recording: Path) -> str:
        finish_moves(recording, self._outbox)
        if journals(recording) or sealed(recording):
            return ""  # of a journal that could not be sealed; the next start tries again
        if not any(recording.glob(f"*{DAMAGED}")):  # such a one is kept for a person
            shutil.rmtree(recording)
        return ""


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no reason was given"
