"""A recorder that runs in a thread of a test, with sources that do what the test says."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripted_source import ScriptedSource
from x_server import wait_for

from taskreel.capture.recorder.control import ask
from taskreel.capture.recorder.recorder import Conditions, Ended, Recorder
from taskreel.capture.recorder.recording import Identity
from taskreel.capture.recorder.session import Plan
from taskreel.capture.settings import Settings

IDENTITY = Identity("p1", "laptop1", "c1", 1, "eu")


@dataclass
class Running:
    """A recorder in a thread."""

    spool: Path
    recorder: Recorder
    sources: list[ScriptedSource]
    pictures: list[ScriptedSource]
    statuses: list[dict[str, Any]]
    ended: list[Ended] = field(default_factory=list)

    @property
    def source(self) -> ScriptedSource:
        return self.sources[-1]

    def journaled(self) -> int:
        return int(ask(self.spool, "status")["account"]["journaled"])

    def wait_journaled(self, events: int) -> None:
        wait_for(lambda: self.journaled() >= events, f"{events} events in the journal")


@contextmanager
def recording(
    spool: Path,
    conditions: Conditions | None = None,
    *,
    segment_minutes: float = 5.0,
    with_pictures: bool = False,
    hotkey: Any = None,
) -> Iterator[Running]:
    sources: list[ScriptedSource] = []
    pictures: list[ScriptedSource] = []

    def make_sources() -> Sequence[ScriptedSource]:
        sources.append(ScriptedSource())
        return sources[-1:]

    def make_pictures() -> ScriptedSource | None:
        if with_pictures:
            pictures.append(ScriptedSource("screens"))
        return pictures[-1] if with_pictures else None

    statuses: list[dict[str, Any]] = []
    options = {"hotkey": hotkey} if hotkey else {}
    recorder = Recorder(
        Settings(spool, segment_minutes=segment_minutes),
        IDENTITY,
        Plan(make_sources, make_pictures),
        conditions,
        statuses.append,
        **options,
    )
    running = Running(spool, recorder, sources, pictures, statuses)
    thread = threading.Thread(target=lambda: running.ended.append(recorder.run()))
    thread.start()
    try:
        wait_for(lambda: statuses and statuses[-1]["state"] == "recording", "recording")
        yield running
    finally:
        recorder.stop()
        thread.join(60)
    assert running.ended, "the recorder did not end well"
