"""Late: segments that a stream could not take up. A line each in `late/`; the next incremental run takes them up."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass

from taskreel.io.names import SegmentName
from taskreel.transforms.accounts import Account
from taskreel.transforms.changes import FileKey
from taskreel.transforms.taken import Taken

LATE_FOLDER = "late"


@dataclass(frozen=True, order=True)
class Late:
    """A segment that came after its span was forgotten, or that belongs to a span of which the dataset knows more."""

    participant: str
    file: str
    size_bytes: int
    reason: str

    @property
    def key(self) -> FileKey:
        """Which segment it is."""
        return self.participant, self.file

    @property
    def name(self) -> SegmentName:
        """The segment's name."""
        return SegmentName.from_file(self.participant, self.file)

    def account(self) -> Account:
        """What it adds to the run's numbers."""
        events = self.name.events
        return Account({"segments.read": 1, "segments.late": 1, "events.read": events, "events.late": events})

    def to_json(self) -> str:
        """One line with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, line: str | bytes) -> Late:
        """What `to_json` wrote."""
        return cls(**json.loads(line))


def late_of(groups: Iterable[Taken]) -> list[Late]:
    """All segments of some groups, as late ones: the next incremental run builds them with what is there."""
    return [
        Late(taken.participant, file, size_bytes, "committed_meanwhile")
        for taken in groups
        for file, size_bytes in taken.segments
    ]


def new_late(lines: Iterable[Late], known: Collection[FileKey]) -> list[Late]:
    """Late segments, each once, sorted, without those that are in the dataset or noted as late already."""
    by_key = {one.key: one for one in sorted(lines)}
    return [one for key, one in sorted(by_key.items()) if key not in known]
