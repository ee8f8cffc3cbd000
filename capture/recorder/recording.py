"""One recording: what the sieve lets through becomes rows of a journal, and every event is in the account.

The newest journal is written to; when it is old or large enough it is closed, and given to be sealed once the
pictures that it shows have come from the encoder.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from taskreel.capture.recorder.clock import RecordingClock
from taskreel.capture.recorder.intake import Loss
from taskreel.capture.recorder.journal import JournalWriter, row
from taskreel.capture.recorder.pictures import PictureFolder
from taskreel.capture.recorder.sealing import JOURNAL, PICTURES
from taskreel.capture.recorder.sieve import OWN_KINDS
from taskreel.capture.sources.protocol import Event, Picture, SourceFacts, monotonic_us
from taskreel.io.kinds import Flag, Kind, Screen

LARGEST_PICTURES_BYTES = 32 << 20
"""A journal is closed at so many bytes of pictures: sealing holds them in memory."""
LARGEST_ROWS = 500_000
PICTURE_PATIENCE_US = 10_000_000
"""How long a closed journal waits for the pictures that it shows; what has not come then is a gap."""
_RECENT_KEYS = 64


@dataclass(frozen=True)
class Identity:
    """Who records under which consent, for the segments' headers."""

    participant: str
    device: str
    consent_id: str
    consent_version: int
    region: str
    utc_offset_min: int = 0


@dataclass
class Account:
    """Where the events of a recording are. It balances: `produced` = `journaled` + `in_gaps` + withheld ones.

    `own` are rows of `OWN_KINDS`, and state that is repeated at the start of a segment.
    """

    produced: int = 0
    journaled: int = 0
    in_gaps: int = 0
    own: int = 0
    withheld: Counter[str] = field(default_factory=Counter)
    gaps: Counter[str] = field(default_factory=Counter)

    @property
    def imbalance(self) -> int:
        """Events that are nowhere; 0 is right."""
        return self.produced - self.journaled - self.in_gaps - sum(self.withheld.values())

    def to_dict(self) -> dict[str, Any]:
        """For a program."""
        counts = {name: getattr(self, name) for name in ("produced", "journaled", "in_gaps", "own", "imbalance")}
        return counts | {"withheld": dict(self.withheld), "gaps": dict(self.gaps)}


@dataclass(frozen=True)
class ClosedJournal:
    """A journal to be sealed, not before its pictures are there."""

    path: Path
    waits_for: frozenset[str]
    since_us: int


class Recording:
    """A recording in progress, in a folder of its own. Used by one thread."""

    def __init__(
        self, folder: Path, identity: Identity, facts: SourceFacts, clock: RecordingClock, *, source: str
    ) -> None:
        folder.mkdir(parents=True, mode=0o700)
        self.folder, self.id = folder, folder.name
        self.account = Account()
        self.clock = clock
        self.pictures = 0
        self._identity, self._source = identity, source
        self._screen, self._facts = facts.screen, facts
        self._folder_of_pictures = PictureFolder(folder / PICTURES)
        self._part, self._first_seq = 0, 0
        self._rows_since_sync = False
        self._retracted = 0
        self._pictures_bytes = 0
        self._focus: Event | None = None
        self._recent_keys: deque[tuple[Event, int]] = deque(maxlen=_RECENT_KEYS)
        self._waiting: set[str] = set()
        self._closed: list[ClosedJournal] = []
        self._unwritten: list[list[Event]] = []
        self._last_us = -(1 << 62)
        self._begin_part()

    # -------------------------------------------------------------------------------------------- writing

    def write(self, events: Iterable[Event], losses: Iterable[Loss] = ()) -> None:
        """Write what may be kept, at once.

        Raises `OSError`: the disk is full. What was not written is kept for the next call.
        """
        gaps = []
        for loss in losses:
            self.account.gaps[loss.reason] += 1
            self.account.in_gaps += loss.events
            gaps.append(Event(loss.time_us, Kind.GAP, text=loss.reason))
        self._unwritten += _at_geometry([*gaps, *events])
        while self._unwritten:
            piece = self._unwritten[0]
            if piece[0].kind is Kind.GEOMETRY and not piece[0].flags & Flag.RESTATED:
                self._screen = _screen(piece[0]) or self._screen
                self.rotate()
            self._append(piece)
            del self._unwritten[0]
            own = sum(event.kind in OWN_KINDS for event in piece)
            self.account.own += own
            self.account.journaled += len(piece) - own

    def give_up(self) -> int:
        """Count what could not be written as lost; how many events that are."""
        lost = sum(event.kind not in OWN_KINDS for piece in self._unwritten for event in piece)
        self._unwritten.clear()
        if lost:
            self.account.in_gaps += lost
            self.account.gaps["disk_failed"] += 1
        return lost

    def retract(self, events: Iterable[Event]) -> int:
        """Take back rows that were written: keys of the recorder's own. How many could be taken back."""
        own = {id(event) for event in events}
        rows = [number for event, number in self._recent_keys if id(event) in own]
        if rows:
            kept = [one for one in self._recent_keys if id(one[0]) not in own]
            self._recent_keys = deque(kept, maxlen=_RECENT_KEYS)
            self._journal.append(retracted=rows)
            self._retracted += len(rows)
            self.account.journaled -= len(rows)
            self.account.withheld["recorder_control"] += len(rows)
        return len(rows)

    def keep_picture(self, key: str, picture: Picture) -> bool:
        """Keep a picture, if an event that was written shows it; whether one does.

        Raises `OSError`; then its events become gaps.
        """
        if key not in self._waiting:
            return False
        self._pictures_bytes += self._folder_of_pictures.write(key, picture)
        self._waiting.discard(key)
        self.pictures += 1
        return True

    def sync(self) -> None:
        """Have the disk keep what was written."""
        if self._rows_since_sync:
            self._rows_since_sync = False
            self._journal.sync()
        self._folder_of_pictures.sync()

    # -------------------------------------------------------------------------------------------- journals

    def is_due(self, now_us: int, minutes: float) -> bool:
        """Whether the journal is old or large enough to become a segment."""
        return self._journal.rows > 0 and (
            now_us - self._begin_us > minutes * 60_000_000
            or self._pictures_bytes > LARGEST_PICTURES_BYTES
            or self._journal.rows > LARGEST_ROWS
        )

    def rotate(self) -> None:
        """Close the journal and begin the next one. One without rows is replaced."""
        before, shown, rows = self._journal, self._shown, self._journal.rows - self._retracted
        self._first_seq += rows
        try:
            self._begin_part()
        except OSError:
            self._first_seq -= rows
            raise
        self._close(before, shown)

    def end(self) -> None:
        """Close the last journal: the recording ended as it should."""
        self._journal.append(end=True)
        self._close(self._journal, self._shown)

    def ready(self, now_us: int) -> list[Path]:
        """Closed journals that can be sealed now, in order; each is given once."""
        ready = []
        while self._closed:
            first = self._closed[0]
            has_pictures = not (first.waits_for & self._waiting)
            if not has_pictures and now_us - first.since_us < PICTURE_PATIENCE_US:
                break
            ready.append(self._closed.pop(0).path)
        return ready

    def _begin_part(self) -> None:
        header = asdict(self._identity) | {
            "recording": self.id,
            "source": self._source,
            "coordinate_space": self._facts.coordinate_space or "physical",
            "keyboard_layout": self._facts.keyboard_layout,
            "clock_anchors": self.clock.anchors(),
            "first_seq": self._first_seq,
        }
        if self._screen:
            header["screen"] = asdict(self._screen)
        self._journal = JournalWriter(self.folder / JOURNAL.format(self._part), header)
        self._part += 1
        self._retracted = self._pictures_bytes = 0
        self._recent_keys.clear()
        self._begin_us = monotonic_us()
        self._shown: set[str] = set()
        if self._focus:
            self.account.own += 1
            self._append([replace(self._focus, time_us=self._last_us, flags=self._focus.flags | Flag.RESTATED)])

    def _close(self, journal: JournalWriter, shown: set[str]) -> None:
        journal.close()
        self._closed.append(ClosedJournal(journal.path, frozenset(shown & self._waiting), monotonic_us()))

    def _append(self, events: list[Event]) -> None:
        rows = []
        for number, event in enumerate(events, self._journal.rows):
            self._last_us = max(self._last_us, event.time_us)
            rows.append(row(event, self.clock.utc_us(self._last_us)))
            if event.kind in (Kind.KEY_DOWN, Kind.KEY_UP):
                self._recent_keys.append((event, number))
            elif event.kind is Kind.FOCUS:
                self._focus = event
            elif event.picture_key:
                self._shown.add(event.picture_key)
                if not self._folder_of_pictures.has(event.picture_key):
                    self._waiting.add(event.picture_key)
        self._journal.append(rows)
        self._rows_since_sync = True


def _at_geometry(events: list[Event]) -> Iterator[list[Event]]:
    """Pieces of events, by rising time, of which each but the first begins where the screen's geometry changed."""
    piece: list[Event] = []
    for event in sorted(events, key=lambda event: event.time_us):
        if event.kind is Kind.GEOMETRY and piece:
            yield piece
            piece = []
        piece.append(event)
    if piece:
        yield piece


def _screen(geometry: Event) -> Screen | None:
    """What a geometry event says (JSON in `text`)."""
    try:
        values = json.loads(geometry.text or "")
        monitors = tuple(tuple(int(edge) for edge in monitor) for monitor in values.get("monitors", ()))
        return Screen(int(values["width_px"]), int(values["height_px"]), float(values.get("scale", 1.0)), monitors)  # type: ignore[arg-type]
    except (ValueError, KeyError, TypeError):
        return None
