"""What became of a segment, and of a round over the outbox."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

GOOD, FAULTS, BAD_USE = 0, 1, 2
"""Exit codes, as of every command."""


class Fate(StrEnum):
    """What became of a segment."""

    SENT = "sent"
    PRESENT = "present"
    """The store had the same content already, perhaps since an upload whose answer was lost."""
    CONFLICT = "conflict"
    """The store has another content under this name; the segment was set aside for a person."""
    DAMAGED = "damaged"
    """The file is not what its name says; it was set aside for a person."""
    WITHHELD = "withheld"
    """The consent was withdrawn; the segment stays in the outbox."""
    FAILED = "failed"
    """It stays in the outbox for the next round."""


CONFIRMED = (Fate.SENT, Fate.PRESENT)
_FAULTS = (Fate.CONFLICT, Fate.DAMAGED)


@dataclass(frozen=True)
class Outcome:
    """What became of one segment. `reason` is for a person, and empty if all went well."""

    segment: str
    fate: Fate
    size_bytes: int
    wall_s: float
    reason: str = ""

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        facts = {"segment": self.segment, "outcome": str(self.fate), "bytes": self.size_bytes}
        facts["wall_s"] = round(self.wall_s, 3)
        return facts | ({"reason": self.reason} if self.reason else {})


@dataclass(frozen=True)
class Sending:
    """So many more bytes are on their way; those that are sent again count again."""

    size_bytes: int


@dataclass(frozen=True)
class Notice:
    """Something that a person who looks on should know, such as a pause."""

    text: str


Progress = Outcome | Sending | Notice


@dataclass
class Summary:
    """What became of a round. `left` are segments that it should have sent, and did not."""

    fates: Counter[Fate] = field(default_factory=Counter)
    sent_bytes: int = 0
    left: int = 0
    set_aside: int = 0
    """Files in `conflicts`, of this and earlier rounds."""
    problem: str = ""
    """Why the round ended early."""
    is_refused: bool = False
    """Nothing can be sent until a person changes something."""
    was_stopped: bool = False
    retry_after_s: float = 0.0
    wall_s: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """Count one segment."""
        self.fates[outcome.fate] += 1
        if outcome.fate == Fate.SENT:
            self.sent_bytes += outcome.size_bytes

    @property
    def has_trouble(self) -> bool:
        """Whether the store is better left alone for a while: the round ended early, or nothing arrived."""
        arrived = sum(self.fates[fate] for fate in CONFIRMED)
        return bool(self.problem or (self.left and not arrived)) and not self.was_stopped

    @property
    def exit_code(self) -> int:
        """As of the command: bad use if nothing can be sent, faults if something was not."""
        if self.is_refused:
            return BAD_USE
        return FAULTS if self.problem or self.left or any(self.fates[fate] for fate in _FAULTS) else GOOD

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **{str(fate): self.fates[fate] for fate in Fate},
            "sent_bytes": self.sent_bytes,
            "left": self.left,
            "set_aside": self.set_aside,
            "problem": self.problem,
            "stopped": self.was_stopped,
            "wall_s": round(self.wall_s, 3),
        }

    def line(self) -> str:
        """For a person."""
        sent, present = self.fates[Fate.SENT], self.fates[Fate.PRESENT]
        parts = [f"{sent} segments sent ({self.sent_bytes / 1e6:.1f} MB) in {self.wall_s:.1f} s"]
        parts += [f"{present} were there already"] if present else []
        parts += [f"{self.left} are left in the outbox"] if self.left else []
        withheld = self.fates[Fate.WITHHELD]
        parts += [f"{withheld} are not sent, as consent was withdrawn"] if withheld else []
        parts += [f"{self.set_aside} wait in conflicts/ for a person"] if self.set_aside else []
        return "; ".join(parts)
