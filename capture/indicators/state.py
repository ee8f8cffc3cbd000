"""What a recorder does now, for the person: a small file in the spool that anyone may read at any moment."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path

from taskreel.capture.settings import OWN_NAME

STATE_FILE = "state.json"


class Phase(StrEnum):
    """What the recorder does."""

    RECORDING = "recording"
    PAUSED = "paused"
    """By the person; nothing is kept."""
    LOCKED = "locked"
    """The screen is locked, another user has it, or the computer sleeps; nothing is kept."""
    QUOTA = "quota"
    """The spool is full: nothing is kept until segments are published."""
    STOPPED = "stopped"


@dataclass(frozen=True)
class Status:
    """What a recorder does, since when, and what it has so far. Times are microseconds UTC."""

    pid: int
    phase: Phase
    since_us: int
    """When this phase began."""
    participant: str = ""
    recording: str = ""
    """The recording's id; empty if there is none now."""
    started_us: int = 0
    """When the recorder was started."""
    events: int = 0
    pictures: int = 0
    withheld: Mapping[str, int] = field(default_factory=dict)
    """Events that were not kept, by reason."""
    segments_sealed: int = 0
    """All that were sealed since the start."""
    segments_unsent: int = 0
    """Sealed, and not published yet."""
    spool_bytes: int = 0

    def to_json(self) -> str:
        """As a line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Status:
        """Of what `to_json` gave; fields that are not known are passed over. Raises `ValueError` for anything else."""
        try:
            values = json.loads(text)
            known = {field.name: values[field.name] for field in fields(cls) if field.name in values}
            return cls(**known | {"phase": Phase(known["phase"])})
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a state of a recorder: {error}") from None


def write_state(spool: Path, status: Status) -> None:
    """Replace the state file: a reader sees the one before or this one, whole. Raises `OSError`.

    It is not synced to the disk: after a loss of power nobody asks what a recorder did.
    """
    file = spool / STATE_FILE
    beside = file.with_suffix(".new")
    beside.write_text(status.to_json() + "\n", encoding="utf-8")
    beside.replace(file)


def read_state(spool: Path) -> Status | None:
    """What the recorder of a spool does; None if none ever ran. A recorder that is gone counts as stopped.

    Raises `ValueError` for a file that no recorder wrote.
    """
    try:
        status = Status.from_json((spool / STATE_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    if status.phase is Phase.STOPPED or _is_recorder(status.pid):
        return status
    return Status(**vars(status) | {"phase": Phase.STOPPED})


def _is_recorder(pid: int) -> bool:
    """Whether a process lives and is a recorder: the number of one that crashed may be another program's by now."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return False
    return name == OWN_NAME or pid == os.getpid()
