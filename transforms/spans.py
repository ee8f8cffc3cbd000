"""Spans: the segments of one participant whose times touch, within a gap. What is read and built as one piece.

`spans` is all of the logic, a pure function of names: it never sees an event, only who and from when to when. Batch and
streaming runs apply it by `sessionize`, incremental ones by `plan`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from taskreel.io.names import SegmentName


@dataclass(frozen=True)
class Span:
    """Segments of one participant that are built together, sorted by name.

    An immutable value; two spans with the same segments are the same span.

    >>> from taskreel.io.names import SegmentName
    >>> first, second = (SegmentName("p", "r", i, i, i * 1000, i * 1000 + 900, "0" * 12) for i in (0, 1))
    >>> [len(span.segments) for span in spans([second, first], gap_ms=100)]
    [2]
    >>> [len(span.segments) for span in spans([second, first], gap_ms=99)]
    [1, 1]
    """

    participant: str
    segments: tuple[SegmentName, ...]

    @property
    def end_ms(self) -> int:
        """When the last of its segments ends, milliseconds UTC."""
        return max(name.last_ms for name in self.segments)

    @property
    def span_id(self) -> str:
        """The hash of the participant and the sorted names of the segments."""
        digest = hashlib.blake2b(self.participant.encode(), digest_size=12)
        for name in self.segments:
            digest.update(b"\0" + name.file.encode())
        return digest.hexdigest()


def spans(names: Iterable[SegmentName], *, gap_ms: int, longest_ms: int | None = None) -> list[Span]:
    """The connected components of segments whose times are at most `gap_ms` apart, in order of time.

    `names` are of one participant; duplicates count once. A component that lasts longer than `longest_ms` is cut
    on the UTC grid of that length by its segments' first times, so that the cut does not depend on what came first.
    A segment that alone claims to be longer is a span of its own: a name that lies must not cut its neighbors.
    """
    pieces = [piece for part in components(names, gap_ms, longest_ms) for piece in cut(part, longest_ms)]
    return [span_of(piece) for piece in sorted(pieces, key=lambda piece: piece[0].first_ms)]


def components(names: Iterable[SegmentName], gap_ms: int, longest_ms: int | None) -> list[list[SegmentName]]:
    """What touches; a segment that claims to be longer than `longest_ms` is alone."""
    components: list[list[SegmentName]] = []
    alone: list[list[SegmentName]] = []
    end_ms = 0
    for name in sorted(set(names), key=lambda name: (name.first_ms, name.last_ms, name.file)):
        if longest_ms is not None and name.duration_ms > longest_ms:
            alone.append([name])
        elif components and name.first_ms - end_ms <= gap_ms:
            components[-1].append(name)
            end_ms = max(end_ms, name.last_ms)
        else:
            components.append([name])
            end_ms = name.last_ms
    return components + alone


def cut(component: list[SegmentName], longest_ms: int | None) -> Iterator[list[SegmentName]]:
    """A component in pieces, if it lasts too long: by its segments' first times, on the grid."""
    lasts_ms = max(name.last_ms for name in component) - min(name.first_ms for name in component)
    if longest_ms is None or lasts_ms <= longest_ms or len(component) == 1:
        yield component
        return
    cells: dict[int, list[SegmentName]] = {}
    for name in component:
        cells.setdefault(name.first_ms // longest_ms, []).append(name)
    yield from cells.values()


def span_of(segments: Iterable[SegmentName]) -> Span:
    """The span of some segments."""
    segments = list(segments)
    return Span(segments[0].participant, tuple(sorted(segments, key=lambda name: name.file)))


@dataclass(frozen=True)
class SpanOptions:
    """How names become spans. `gap_ms`: the session gap + 2 x the largest clock correction."""

    gap_ms: int
    longest_ms: int | None = None

    def over_ms(self, names: Iterable[SegmentName]) -> int:
        """When nothing is expected to join a span of these names. One that claims to be too long is alone for good."""
        names = list(names)
        is_alone = self.longest_ms is not None and any(name.duration_ms > self.longest_ms for name in names)
        return (min(n.first_ms for n in names) if is_alone else max(n.last_ms for n in names)) + self.gap_ms
