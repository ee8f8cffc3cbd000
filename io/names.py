"""The name of a segment: who, and from when to when.

Sessionizing works on names alone, so a name has to say all of this, and a reader compares it with the content:

    segments/v1/day=YYYY-MM-DD/participant=<p>/<recording>_<first_seq>_<last_seq>_<first_ms>_<last_ms>_<sha>.parquet
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

SEGMENTS_PREFIX = "segments/v1/"
SHA_DIGITS = 12
MAX_MS = 253_402_300_799_999
"""The last millisecond of the year 9999, where calendars in Python and Arrow end."""

_NAME = re.compile(
    r"(?P<prefix>.*/)?day=(?P<day>\d{4}-\d{2}-\d{2})/participant=(?P<participant>[a-z0-9]+)/"
    r"(?P<recording>[a-z0-9]+)_(?P<first_seq>\d+)_(?P<last_seq>\d+)_(?P<first_ms>\d+)_(?P<last_ms>\d+)"
    rf"_(?P<sha>[0-9a-f]{{{SHA_DIGITS}}})\.parquet",
    re.ASCII,
)
_ID = re.compile(r"[a-z0-9]+")


class SegmentNameError(ValueError):
    """A path that is not the name of a segment."""


@dataclass(frozen=True, order=True)
class SegmentName:
    """The facts in a segment's name. An immutable value: everything before `build` is a function of it.

    `first_ms` is the first event's time, floored, `last_ms` the last one's, ceiled, both milliseconds UTC;
    `first_seq` and `last_seq` are inclusive; `sha` is the start of the sha256 of the file.

    >>> name = SegmentName.parse(
    ...     "segments/v1/day=2026-01-05/participant=p1/r1_0_99_1767603600000_1767603660000_0123456789ab.parquet")
    >>> name.participant, name.last_seq, name.duration_ms
    ('p1', 99, 60000)
    """

    participant: str
    recording: str
    first_seq: int
    last_seq: int
    first_ms: int
    last_ms: int
    sha: str

    def __post_init__(self) -> None:
        for field in ("participant", "recording"):
            if not _ID.fullmatch(getattr(self, field)):
                raise SegmentNameError(f"{field} {getattr(self, field)!r} has to be lower-case letters and digits")
        if self.last_seq < self.first_seq or self.last_ms < self.first_ms:
            raise SegmentNameError(f"the segment of recording {self.recording} ends before it begins")
        if self.last_ms > MAX_MS:
            raise SegmentNameError(f"last_ms {self.last_ms} is past the year 9999")

    @classmethod
    def parse(cls, path: str) -> SegmentName:
        """The facts in a path, whatever stands before `day=`; raises `SegmentNameError` if it is no segment's name."""
        match = _NAME.fullmatch(path)
        if not match:
            raise SegmentNameError(
                "not a segment's name: expected day=YYYY-MM-DD/participant=<p>/"
                "<recording>_<first_seq>_<last_seq>_<first_ms>_<last_ms>_<sha256[:12]>.parquet"
            )
        first_seq, last_seq, first_ms, last_ms = (
            int(match[part]) for part in ("first_seq", "last_seq", "first_ms", "last_ms")
        )
        name = cls(match["participant"], match["recording"], first_seq, last_seq, first_ms, last_ms, match["sha"])
        if name.file != path.rpartition("/")[2]:
            raise SegmentNameError("its numbers are not written as the format says (leading zeros)")
        if name.day != match["day"]:
            raise SegmentNameError(f"its first event is of {name.day}, but it lies under day={match['day']}")
        return name

    @classmethod
    def from_file(cls, participant: str, file: str) -> SegmentName:
        """The facts in the last part of a path, for a participant who is already known."""
        parts = file.removesuffix(".parquet").split("_")
        if len(parts) != 6:
            raise SegmentNameError(f"{file}: not a segment's file name")
        return cls(participant, parts[0], int(parts[1]), int(parts[2]), int(parts[3]), int(parts[4]), parts[5])

    @property
    def file(self) -> str:
        """The last part of the path. With the participant it is the whole name, in fewer bytes."""
        return f"{self.recording}_{self.first_seq}_{self.last_seq}_{self.first_ms}_{self.last_ms}_{self.sha}.parquet"

    @cached_property
    def day(self) -> str:
        """The UTC day of the first event, YYYY-MM-DD."""
        return datetime.fromtimestamp(self.first_ms / 1000, UTC).strftime("%Y-%m-%d")

    @property
    def duration_ms(self) -> int:
        """From the first event to the last."""
        return self.last_ms - self.first_ms

    @property
    def events(self) -> int:
        """How many events it holds, if none is missing."""
        return self.last_seq - self.first_seq + 1

    def __str__(self) -> str:
        return f"{SEGMENTS_PREFIX}day={self.day}/participant={self.participant}/{self.file}"


def floor_ms(time_us: int) -> int:
    """Microseconds to milliseconds, downward: a segment's first time."""
    return time_us // 1000


def ceil_ms(time_us: int) -> int:
    """Microseconds to milliseconds, upward: a segment's last time."""
    return -(-time_us // 1000)
