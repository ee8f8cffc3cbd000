"""Separate recordings, joined as if one person had made them at one desk: where they meet, a task ends.

Nothing but the work itself may give a joint away. So all is one recording of one device, in which seq and time rise;
markers are taken out, and so are the recorder's own controls. A key or button that a recording leaves down goes up with
its last event, or it would be held through the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taskreel.io.events import Flag, Kind
from taskreel.io.names import SegmentName, ceil_ms, floor_ms
from taskreel.io.segments import Segment

DEVICE = RECORDING = "joined"
PAUSE_OCTAVES_S = (2, 8)
"""Pauses are from 2² up to 2⁸ s: an octave by chance, and any millisecond of it."""

_MARKERS = (Kind.MARK_START, Kind.MARK_END)
_RELEASES = {Kind.KEY_DOWN: Kind.KEY_UP, Kind.BUTTON_DOWN: Kind.BUTTON_UP}


@dataclass(frozen=True)
class Joined:
    """The segments of some recordings one after another, and the first seq of each: `first_seq` of shape (parts,)."""

    segments: list[Segment]
    first_seq: np.ndarray

    def part_of(self, seq: np.ndarray) -> np.ndarray:
        """Which part, in the order in which they were joined, each seq is from."""
        return np.searchsorted(self.first_seq, seq, side="right") - 1


def draw(rng: np.random.Generator, parts: int) -> tuple[list[int], list[int]]:
    """A random order of so many parts, and the pauses (µs) between them: from 4 s to less than 256 s, half below 32 s.

    As many pauses fall into each octave: those of people are spread over orders of magnitude. All are longer than what
    joins two actions to one (`docs/actions.md`: 2 s), and shorter than the session gap.
    """
    order = rng.permutation(parts).tolist()
    octaves = rng.integers(*PAUSE_OCTAVES_S, size=parts - 1)
    pauses_ms = rng.integers(1000 << octaves, 2000 << octaves)
    return order, (pauses_ms * 1000).tolist()


def join(recordings: Sequence[Sequence[Segment]], pauses_us: Sequence[int], *, participant: str) -> Joined:
    """Join recordings (each its segments) in their order, with a pause between the last event of one and the next.

    The first keeps its times. A recording without events that count is left out, with the pause before it.
    """
    segments: list[Segment] = []
    first_seqs: list[int] = []
    next_seq, next_us = 0, None
    for recording, pause_us in zip(recordings, [0, *pauses_us], strict=True):
        work = [_work(segment) for segment in sorted(recording, key=lambda segment: segment.name)]
        work = _ended([segment for segment in work if segment.events.num_rows])
        if not work:
            first_seqs.append(next_seq)
            continue
        first_us, last_us = _range(work, "time_us")
        first_seq, last_seq = _range(work, "seq")
        shift_us = 0 if next_us is None else next_us + pause_us - first_us
        segments += [_moved(segment, next_seq - first_seq, shift_us, participant) for segment in work]
        first_seqs.append(next_seq)
        next_seq, next_us = next_seq + last_seq - first_seq + 1, last_us + shift_us
    return Joined(segments, np.array(first_seqs, np.int64))


def _work(segment: Segment) -> Segment:
    """A segment without markers and the recorder's own controls."""
    events = segment.events
    is_marker = pc.is_in(events.column("kind"), value_set=pa.array(_MARKERS, pa.int8()))
    is_control = pc.not_equal(pc.bit_wise_and(events.column("flags"), int(Flag.RECORDER_CONTROL)), 0)
    return replace(segment, events=events.filter(pc.invert(pc.or_(is_marker, is_control))))


def _ended(work: list[Segment]) -> list[Segment]:
    """The same, with what ends with a recording: keys and buttons are up, no window has the focus.

    An up for each that is down, and a focus without a window, at the time of the last event.
    """
    if not work:
        return work
    held: dict[tuple[int, str], dict[str, object]] = {}
    for segment in work:
        kinds = pc.is_in(
            segment.events.column("kind"), value_set=pa.array([*_RELEASES, *_RELEASES.values()], pa.int8())
        )
        for event in segment.events.filter(kinds).sort_by("seq").to_pylist():
            up = _RELEASES.get(event["kind"], event["kind"])
            name = str(event["code"]) if up == Kind.BUTTON_UP else event["key"] or f"key{event['code']}"
            held.pop((up, name), None)
            if up != event["kind"]:
                held[up, name] = {**event, "kind": int(up), "text": None}
    last_us, last_seq = _range(work, "time_us")[1], _range(work, "seq")[1]
    ends: list[dict[str, object]] = [*held.values(), {"kind": int(Kind.FOCUS), "flags": 0}]
    rows = [{**end, "time_us": last_us, "seq": last_seq + number} for number, end in enumerate(ends, 1)]
    events = pa.concat_tables([work[-1].events, pa.Table.from_pylist(rows, schema=work[-1].events.schema)])
    return [*work[:-1], replace(work[-1], events=events)]


def _moved(segment: Segment, seqs: int, shift_us: int, participant: str) -> Segment:
    """A segment of the joined recording: later by `shift_us`, its seq higher by `seqs`."""
    events = segment.events
    for column, change in (("seq", seqs), ("time_us", shift_us)):
        index = events.schema.get_field_index(column)
        values = pc.add(events.column(column), pa.scalar(change, pa.int64()))
        events = events.set_column(index, events.schema.field(index), values)
    moved = [replace(segment, events=events)]
    (first_us, last_us), (first_seq, last_seq) = _range(moved, "time_us"), _range(moved, "seq")
    name = SegmentName(
        participant, RECORDING, first_seq, last_seq, floor_ms(first_us), ceil_ms(last_us), segment.name.sha
    )
    header = replace(
        segment.header,
        participant=participant,
        device=DEVICE,
        recording=RECORDING,
        clock_anchors=(),
        first_seq=first_seq,
        last_seq=last_seq,
        first_us=first_us,
        last_us=last_us,
    )
    return Segment(name, header, events)


def _range(segments: Sequence[Segment], column: str) -> tuple[int, int]:
    """The smallest and the largest value of a column."""
    ends = [pc.min_max(segment.events.column(column)).as_py() for segment in segments]
    return min(end["min"] for end in ends), max(end["max"] for end in ends)
