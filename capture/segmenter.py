"""Cut a recording into segments of some minutes, and put them into a store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa

from taskreel.io.names import SegmentName
from taskreel.io.segments import SegmentHeader, encode_segment
from taskreel.io.stores import Store


def segments(header: SegmentHeader, events: pa.Table, *, minutes: float = 5.0) -> Iterator[tuple[SegmentName, bytes]]:
    """The segments of a whole recording (events in order of seq), cut at multiples of `minutes` from its start.

    A recording without events has none: a segment's name says from when to when, and that would be nothing.
    """
    if not events.num_rows:
        return
    time_us = events.column("time_us").to_numpy()
    piece = (time_us - time_us[0]) // int(minutes * 60_000_000)
    cuts = [0, *np.flatnonzero(np.diff(piece)) + 1, len(time_us)]
    for first, end in pairwise(cuts):
        is_last = bool(end == len(time_us))
        yield encode_segment(replace(header, final=header.final and is_last), events.slice(first, end - first))


def publish(store: Store, pieces: Iterator[tuple[SegmentName, bytes]]) -> list[SegmentName]:
    """Create each segment in the store; one that is there already is left as it is."""
    names = []
    for name, data in pieces:
        store.create(str(name), data)
        names.append(name)
    return names
