"""A session of the recorder: sources that run, and the recording that their events become.

It ends when the screen is locked, the machine sleeps, a clock jumps or a person stops it; another begins after.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from taskreel.capture.recorder.clock import RecordingClock
from taskreel.capture.recorder.intake import Intake, Taken
from taskreel.capture.recorder.recording import Account, Identity, Recording
from taskreel.capture.recorder.sieve import Sieve
from taskreel.capture.sources.guards import Guard, Withholds
from taskreel.capture.sources.protocol import (
    Event,
    Picture,
    Sink,
    Source,
    SourceFacts,
    SourceLostError,
    SourceUnavailableError,
    monotonic_us,
)
from taskreel.io.kinds import Kind

PICTURES = "screens"
_PICTURE_KEPT_US = 1_000_000
"""How long a picture waits for its event, which is held for a moment; that of a withheld event goes then."""
_STOP_PATIENCE_S = 10.0


Hotkey = Callable[[Event], tuple[bool, Sequence[Event]]]
"""Takes each key event; whether it completes the hotkey, and which events so far belong to the hotkey."""


def no_hotkey(event: Event) -> tuple[bool, Sequence[Event]]:
    """There is none."""
    return False, ()


@dataclass(frozen=True)
class Plan:
    """How sources are made: those of events, and the one of pictures, which is made anew after each pause."""

    make_sources: Callable[[], Sequence[Source]]
    make_pictures: Callable[[], Source | None] = lambda: None


class Session:
    """Sources and a recording. Everything here is called from one thread, but the sources run in their own."""

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        identity: Identity,
        guards: Sequence[Guard] = (),
        *,
        hotkey: Hotkey = no_hotkey,
        clock: RecordingClock | None = None,
        is_paused: bool = False,
    ) -> None:
        """Open the sources and start them. If it begins paused, nothing is kept until `resume`.

        Raises `SourceUnavailableError`, and then nothing is left behind.
        """
        self._plan, self._hotkey = plan, hotkey
        self._paused = Guard("paused", Withholds.ALL, lead_us=0)
        self._intake = Intake()
        self._sieve = Sieve([self._paused, *guards])
        self._running: list[_Running] = []
        self._pictures: list[tuple[str, Picture, int]] = []
        self._produced = 0
        self.lost_source = ""
        """What a source said that has lost what it watched."""
        if is_paused:
            self._begin_pause()
        sources, facts = _opened(plan, has_pictures=not is_paused)
        self._sieve.add_guards(facts.guards)
        self.recording = Recording(
            folder,
            identity,
            facts,
            clock or RecordingClock(),
            source="+".join(source.name for source in sources),
        )
        for source in sources:
            self._start(source, sources)

    @property
    def account(self) -> Account:
        """As of now: what is still on its way from the sources is produced and nowhere else."""
        self.recording.account.produced = self._produced + sum(running.source.produced for running in self._running)
        return self.recording.account

    @property
    def is_paused(self) -> bool:
        """Whether nothing is kept at the moment."""
        return self._paused.is_on

    def tick(self) -> bool:
        """Write what has come and is old enough; whether the pause hotkey was pressed.

        Raises `OSError`: the disk is full, and what was not written is kept for the next call.
        """
        taken = self._intake.take()
        self._sieve.add(taken.events)
        pressed = self._find_hotkey(taken.events)
        self._write(self._sieve.release(monotonic_us()), taken)
        return pressed

    def pause(self) -> None:
        """Keep nothing from now on. Pictures are not even taken; the other sources go on, since the hotkey ends it."""
        if not self.is_paused:
            self._begin_pause()
            self._stop([running for running in self._running if running.source.name == PICTURES])

    def _begin_pause(self) -> None:
        now_us = monotonic_us()
        self._paused.switch(True, now_us)
        self._sieve.add([Event(now_us, Kind.PAUSE)])

    def resume(self) -> None:
        """Keep events again."""
        if self.is_paused:
            now_us = monotonic_us()
            self._paused.switch(False, now_us)
            self._sieve.add([Event(now_us, Kind.RESUME)])
            pictures = self._plan.make_pictures()
            if pictures:
                pictures.open()
                self._start(pictures, [pictures, *(running.source for running in self._running)])

    def mark(self, description: str) -> None:
        """The person begins a task."""
        self._sieve.add([Event(monotonic_us(), Kind.MARK_START, text=description)])

    def mark_end(self, outcome: str | None = None) -> None:
        """The person has ended the task."""
        self._sieve.add([Event(monotonic_us(), Kind.MARK_END, key=outcome)])

    def end(self) -> None:
        """Stop all sources, write what they had, and close the recording. Raises `OSError` like `tick`."""
        self._stop(self._running)
        self._intake.close()
        taken = self._intake.take()
        self._sieve.add(taken.events)
        self._find_hotkey(taken.events)
        self._write(self._sieve.flush(), taken)
        self.recording.end()

    def abandon(self) -> None:
        """Stop all sources; what is not written is lost, and counted so."""
        self._intake.close()
        self._stop(self._running)
        self.recording.give_up()

    # -------------------------------------------------------------------------------------------- writing

    def _write(self, events: Sequence[Event], taken: Taken) -> None:
        self.recording.account.withheld += taken.withheld + self._sieve.withheld
        self._sieve.withheld.clear()
        self.recording.write(events, taken.losses)
        now_us = monotonic_us()
        self._pictures += [(key, picture, now_us + _PICTURE_KEPT_US) for key, picture in taken.pictures]
        self._pictures = [
            (key, picture, until_us)
            for key, picture, until_us in self._pictures
            if not self.recording.keep_picture(key, picture) and now_us < until_us
        ]

    def _find_hotkey(self, events: Sequence[Event]) -> bool:
        """Look for the pause hotkey in what came; its keys are taken out again, wherever they have got to."""
        is_pressed = False
        for event in events:
            if event.kind in (Kind.KEY_DOWN, Kind.KEY_UP):
                completes, own = self._hotkey(event)
                is_pressed ^= completes
                if own:
                    self.recording.retract(self._sieve.retract(own))
        return is_pressed

    # -------------------------------------------------------------------------------------------- sources

    def _start(self, source: Source, all_sources: Sequence[Source]) -> None:
        sink = self._intake.sink([other for other in all_sources if other is not source])
        running = _Running(source)
        running.thread = threading.Thread(target=self._run, args=(running, sink), name=source.name, daemon=True)
        self._running.append(running)
        running.thread.start()

    def _run(self, running: _Running, sink: Sink) -> None:
        try:
            running.source.run(sink)
        except SourceLostError as error:
            self.lost_source = f"{running.source.name}: {error}"
        except Exception as error:  # a defect of a source ends the recording in order, and is told
            self.lost_source = f"{running.source.name}: {type(error).__name__}"
            raise

    def _stop(self, stopping: Sequence[_Running]) -> None:
        for running in stopping:
            running.source.stop()
        for running in list(stopping):
            running.thread.join(_STOP_PATIENCE_S)
            self._produced += running.source.produced
            self._running.remove(running)


class _Running:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.thread = threading.Thread()


def _opened(plan: Plan, *, has_pictures: bool) -> tuple[list[Source], SourceFacts]:
    """All sources of a plan, open, and what they know. If one cannot be opened, the others are let go."""
    sources: list[Source] = []
    facts: list[SourceFacts] = []
    pictures = plan.make_pictures() if has_pictures else None
    try:
        for source in [*plan.make_sources(), *([pictures] if pictures else [])]:
            facts.append(source.open())
            sources.append(source)
    except SourceUnavailableError:
        for source in sources:
            source.stop()
            source.run(Intake().sink([]))  # stopped already: it lets its handles go
        raise
    return sources, _facts(facts)


def _facts(opened: Sequence[SourceFacts]) -> SourceFacts:
    """What all sources together know."""
    screens = [facts.screen for facts in opened if facts.screen]
    return SourceFacts(
        screen=screens[0] if screens else None,
        keyboard_layout=next((facts.keyboard_layout for facts in opened if facts.keyboard_layout), ""),
        coordinate_space=next((facts.coordinate_space for facts in opened if facts.coordinate_space), ""),
        guards=[guard for facts in opened for guard in facts.guards],
    )
