"""Taken: what was taken up and built as one piece, so that the commit knows what is new and what it replaces."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from taskreel.io.names import SegmentName


@dataclass(frozen=True)
class Taken:
    """The segments of one participant that were built together: one planned span, or several that changed together.

    `segments` are (file, size in bytes), sorted, of everything taken up, what came out dead or refused too. `spans` are
    the ids of the spans that came out with rows. `round` orders what one job emits of one participant: of two that
    share a segment, the later one counts. `provisional`: cut short by a drain; whatever comes later replaces it.
    `missing` are segments that are in the store no more: then nothing was built of the others.
    """

    participant: str
    segments: tuple[tuple[str, int], ...]
    spans: tuple[str, ...] = ()
    round: int = 0
    provisional: bool = False
    missing: tuple[str, ...] = ()

    @property
    def files(self) -> frozenset[str]:
        """The files of its segments."""
        return frozenset(file for file, _ in self.segments)

    @property
    def names(self) -> list[SegmentName]:
        """The names of its segments."""
        return [SegmentName.from_file(self.participant, file) for file, _ in self.segments]

    def to_json(self) -> str:
        """One line with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, line: str | bytes) -> Taken:
        """What `to_json` wrote."""
        values = json.loads(line)
        segments = tuple((file, size) for file, size in values.pop("segments"))
        spans, missing = tuple(values.pop("spans")), tuple(values.pop("missing"))
        return cls(segments=segments, spans=spans, missing=missing, **values)
