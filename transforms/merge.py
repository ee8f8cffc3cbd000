"""Merge the segments of a span into one event table: in order, each event once, whatever the cut into files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taskreel.io.events import EVENT_SCHEMA
from taskreel.io.segments import READ_SCHEMA, Segment
from taskreel.transforms.clocks import Clock

MERGED_SCHEMA = pa.schema(
    [*READ_SCHEMA, pa.field("device", pa.int32()), pa.field("recording", pa.int32()), pa.field("segment", pa.int32())]
)
"""Events with the indices of their device, recording and segment in the sorted lists of `Merged`."""


@dataclass(frozen=True)
class Merged:
    """The events of a span (`MERGED_SCHEMA`), sorted by (time, device, recording, seq), and where they are from."""

    events: pa.Table
    segments: list[Segment]
    devices: list[str]
    recordings: list[str]
    duplicates: int
    """Events that were there more than once."""
    conflicts: int
    """Of these, events that were not the same; the one with the smaller content was kept."""
    gaps: int
    """Places where a recording's seq is not gapless inside the span."""
    is_unaligned: np.ndarray
    """Per device, whether its clock cannot be aligned with others."""


def merge_segments(segments: list[Segment], *, most_us: int = 0) -> Merged:
    """Merge at least one segment of one participant; the order of `segments` does not matter.

    Times are corrected by the clock anchors of each recording, by `most_us` at most (`clocks`).
    """
    segments = sorted(segments, key=lambda segment: segment.name.file)
    devices = sorted({segment.header.device for segment in segments})
    recordings = sorted({(s.header.device, s.header.recording) for s in segments})
    clocks = _clocks(segments, most_us)
    events = pa.concat_tables(
        _with_sources(segment, index, devices, recordings, clocks) for index, segment in enumerate(segments)
    )
    events, duplicates, conflicts = _each_once(events)
    order, gaps = _in_order(events)
    events = events.combine_chunks().take(pa.array(order))
    lost = {device for (device, _), clock in clocks.items() if not clock.is_aligned}
    is_unaligned = np.array([device in lost for device in devices], bool)
    names = [name for _, name in recordings]
    return Merged(events, segments, devices, names, duplicates, conflicts, gaps, is_unaligned)


def _clocks(segments: list[Segment], most_us: int) -> dict[tuple[str, str], Clock]:
    """The clock of each (device, recording), by the anchors of all its segments."""
    anchors: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for segment in sorted(segments, key=lambda segment: segment.header.first_seq):
        anchors.setdefault((segment.header.device, segment.header.recording), []).extend(segment.header.clock_anchors)
    return {key: Clock.of(pairs, most_us=most_us) for key, pairs in anchors.items()}


def _in_order(events: pa.Table) -> tuple[np.ndarray, int]:
    """The rows by (time, device, recording, seq), and how many times a recording's seq is not gapless.

    Recordings sort by device first, and rows in order of (recording, seq) need but a stable sort by time, which is
    all but done for a single recording.
    """
    time_us, recording, seq = (events.column(name).to_numpy() for name in ("time_us", "recording", "seq"))
    order = _by_recording_and_seq(recording, seq)
    gaps = int(((np.diff(recording[order]) == 0) & (np.diff(seq[order]) > 1)).sum())
    return order[np.argsort(time_us[order], kind="stable")], gaps


def _by_recording_and_seq(recording: np.ndarray, seq: np.ndarray) -> np.ndarray:
    if recording.min(initial=0) == recording.max(initial=0):
        return np.argsort(seq, kind="stable")
    return np.lexsort((seq, recording))


def _with_sources(
    segment: Segment,
    index: int,
    devices: list[str],
    recordings: list[tuple[str, str]],
    clocks: dict[tuple[str, str], Clock],
) -> pa.Table:
    header, rows = segment.header, segment.events.num_rows
    clock = clocks[header.device, header.recording]
    events = segment.events
    if clock.is_off:
        at = events.schema.get_field_index("time_us")
        events = events.set_column(at, events.schema.field(at), pa.array(clock.utc_us(events.column(at).to_numpy())))
    sources = (
        devices.index(header.device),
        recordings.index((header.device, header.recording)),
        index,
    )
    arrays = [pa.array(np.full(rows, value, np.int32)) for value in sources]
    return pa.table([*events.columns, *arrays], schema=MERGED_SCHEMA)


def _each_once(events: pa.Table) -> tuple[pa.Table, int, int]:
    """Drop repeated (recording, seq); rows come out in no particular order."""
    recording, seq = events.column("recording").to_numpy(), events.column("seq").to_numpy()
    order = _by_recording_and_seq(recording, seq)
    again = (np.diff(seq[order]) == 0) & (np.diff(recording[order]) == 0)
    if not again.any():
        return events, 0, 0
    repeated = np.zeros(len(seq), bool)
    repeated[order[1:][again]] = repeated[order[:-1][again]] = True
    chosen, conflicts = _smallest_content(events.filter(pa.array(repeated)))
    kept = pa.concat_tables([events.filter(pa.array(~repeated)), chosen])
    return kept, int(again.sum()), conflicts


def _smallest_content(rows: pa.Table) -> tuple[pa.Table, int]:
    """Of the rows with one (recording, seq), the first by content, then by segment: never by arrival."""
    content = [field.name for field in EVENT_SCHEMA if field.name != "seq"]
    keys = ["recording", "seq", *content, "segment"]
    rows = rows.take(pc.sort_indices(rows, sort_keys=[(key, "ascending") for key in keys])).combine_chunks()
    same_event = _equal_to_previous(rows, ["recording", "seq"])
    same_content = _equal_to_previous(rows, content)
    conflicts = int((same_event & ~same_content).sum())
    return rows.filter(pa.array(~same_event)), conflicts


def _equal_to_previous(rows: pa.Table, columns: list[str]) -> np.ndarray:
    """Per row, whether all of `columns` are as in the row before; nulls are equal to nulls. The first is not."""
    equal = np.ones(rows.num_rows, bool)
    equal[0] = False
    for name in columns:
        column = rows.column(name)
        before, after = column.slice(0, rows.num_rows - 1), column.slice(1)
        same = pc.fill_null(pc.equal(before, after), False).to_numpy()
        both_null = pc.and_(pc.is_null(before), pc.is_null(after)).to_numpy()
        equal[1:] &= same | both_null
    return equal
