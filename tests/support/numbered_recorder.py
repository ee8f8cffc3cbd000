"""A recorder in a process of its own, to be killed: its source gives numbered moves and pictures.

    python numbered_recorder.py SPOOL LOG FIRST_NUMBER

The log gets a line a number, `number monotonic_us`, before the event is handed over.
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from taskreel.capture.recorder.recorder import Recorder
from taskreel.capture.recorder.recording import Identity
from taskreel.capture.recorder.session import Plan
from taskreel.capture.settings import Settings
from taskreel.capture.sources.protocol import Event, Picture, Sink, SourceFacts, monotonic_us
from taskreel.io.kinds import Kind, Screen

EVERY_S = 0.002
PICTURE_EVERY = 20


class NumberedSource:
    """Moves whose x is their number; with each `PICTURE_EVERY`th a screen event, whose picture says the number."""

    name = "numbered"

    def __init__(self, log: Path, first: int) -> None:
        self.produced = 0
        self._log, self._number = log, first
        self._stopped = threading.Event()

    def open(self) -> SourceFacts:
        return SourceFacts(screen=Screen(800, 600))

    def run(self, sink: Sink) -> None:
        with self._log.open("a", encoding="utf-8") as log:
            while not self._stopped.wait(EVERY_S):
                self._number += 1
                now_us = monotonic_us()
                log.write(f"{self._number} {now_us}\n")
                log.flush()
                self.produced += 1
                sink.put(Event(now_us, Kind.MOVE, x=256 * self._number, y=0))
                if self._number % PICTURE_EVERY == 0:
                    key = f"k{self._number}"
                    self.produced += 1
                    sink.put(Event(now_us, Kind.SCREEN, picture_key=key))
                    sink.picture(key, Picture(f"picture {self._number}".encode() * 50, 800, 600, self._number))

    def stop(self) -> None:
        self._stopped.set()

    def heed(self, event: Event) -> None:
        pass


def main(spool: str, log: str, first: str) -> None:
    settings = Settings(Path(spool), segment_minutes=0.01)
    source = NumberedSource(Path(log), int(first))
    recorder = Recorder(settings, Identity("p1", "d1", "c1", 1, "eu"), Plan(lambda: [source]))
    signal.signal(signal.SIGTERM, lambda *_: recorder.stop())
    recorder.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
