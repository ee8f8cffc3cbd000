"""Hypothesis strategies for event tables and segments, and short ways to make them by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from taskreel.io.events import SEGMENT_SCHEMA, Kind
from taskreel.io.names import SegmentName
from taskreel.io.segments import READ_SCHEMA, Screen, Segment, SegmentHeader

BEGIN_US = 1_767_603_600_000_000
"""2026-01-05T09:00:00Z, where made-up recordings begin."""

_KEYS = (
    ("a", "a"),
    ("b", "B"),
    ("é", "é"),
    ("日", "日本"),
    ("z", None),
    ("space", " "),
    ("backspace", None),
    ("enter", "\n"),
    ("tab", "\t"),
    ("esc", None),
    ("f5", None),
    ("shiftleft", None),
    ("shiftright", None),
    ("ctrlleft", None),
    ("ctrlright", None),
    ("altleft", None),
    ("altgr", None),
    ("winleft", None),
    ("capslock", None),
    (None, None),
)

ids = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=12)
words = st.one_of(st.none(), st.text(max_size=8), st.sampled_from(["firefox", "✏️ Notes", "a\0b", "عربي"]))
pauses_us = st.one_of(
    st.sampled_from([0, 1, 999, 1000, 199_999, 200_000, 200_001, 500_000, 1_000_000, 2_000_000, 700_000_000]),
    st.integers(0, 3_000_000),
)


def picture_hash_of(picture: bytes) -> str:
    """The hash that the format asks for, written down a second time."""
    return hashlib.sha256(picture).hexdigest()[:32]


@st.composite
def pictures(draw: st.DrawFn, max_bytes: int = 3000) -> bytes:
    """The bytes of a picture (of no real picture format), of any size from one byte."""
    size = draw(st.one_of(st.integers(1, 16), st.integers(1, max_bytes)))
    return (draw(st.binary(min_size=1, max_size=4)) * size)[:size]


@st.composite
def events(draw: st.DrawFn, *, whole_px: bool = False, shown: Any = None) -> dict[str, Any]:
    """One event without seq and time, as a dict by column; what it does not name is null."""
    kind = draw(st.sampled_from(list(Kind)))
    row: dict[str, Any] = {"kind": int(kind), "flags": draw(st.one_of(st.just(0), st.integers(0, 127)))}
    places = st.integers(-4000, 4000).map(lambda px: px * 256) if whole_px else st.integers(-1_000_000, 1_000_000)
    if kind in (Kind.BUTTON_DOWN, Kind.BUTTON_UP, Kind.MOVE, Kind.SCROLL) and draw(st.booleans()):
        row |= {"x": draw(places), "y": draw(places)}
    if kind in (Kind.BUTTON_DOWN, Kind.BUTTON_UP):
        row["code"] = draw(st.one_of(st.none(), st.integers(0, 9)))
    if kind == Kind.SCROLL:
        row |= {
            "wheel_x": draw(st.sampled_from([None, 0, 120, -30])),
            "wheel_y": draw(st.sampled_from([None, 0, -120])),
        }
    if kind in (Kind.KEY_DOWN, Kind.KEY_UP):
        key, text = draw(st.sampled_from(_KEYS))
        row |= {"key": key, "text": text if kind == Kind.KEY_DOWN else None, "code": draw(st.integers(0, 250))}
    if kind in (Kind.FOCUS, Kind.MARK_START, Kind.MARK_END):
        row |= {name: draw(words) for name in ("app", "title", "url", "text", "key")}
    if kind == Kind.SCREEN:
        picture = draw(st.one_of(st.none(), shown if shown is not None else pictures()))
        if picture is not None:
            row |= {
                "picture_hash": picture_hash_of(picture),
                "picture_dhash": draw(st.integers(-(2**63), 2**63 - 1)),
                "picture_width_px": 1920,
                "picture_height_px": 1080,
                "picture": picture if draw(st.booleans()) else None,
            }
    return row


@st.composite
def event_tables(
    draw: st.DrawFn, *, min_rows: int = 1, max_rows: int = 25, whole_px: bool = False, shown: Any = None
) -> pa.Table:
    """Events of one recording (`SEGMENT_SCHEMA`): seq rises, now and then with a gap, times do not fall."""
    rows = draw(st.lists(events(whole_px=whole_px, shown=shown), min_size=min_rows, max_size=max_rows))
    seq, time_us = draw(st.integers(0, 2**40)), BEGIN_US + draw(st.integers(0, 10**12))
    for row in rows:
        row |= {"seq": seq, "time_us": time_us}
        seq += draw(st.sampled_from([1, 1, 1, 1, 5]))
        time_us += draw(pauses_us)
    return table_of(rows)


@st.composite
def headers(draw: st.DrawFn, *, positions_per_px: int = 256) -> SegmentHeader:
    """A header with or without each thing that it may lack."""
    monitors = ((0, 0, 1920, 1080), (1920, 0, 1280, 1024))
    return SegmentHeader(
        participant=draw(ids),
        device=draw(st.text(max_size=8)),
        recording=draw(ids),
        consent_id=draw(st.text(max_size=8)),
        consent_version=draw(st.integers(1, 9)),
        region=draw(st.sampled_from(["", "EU", "日本"])),
        screen=draw(st.sampled_from([None, Screen(1920, 1080), Screen(3200, 1080, 1.5, monitors)])),
        positions_per_px=positions_per_px,
        clock_anchors=draw(st.sampled_from([(), ((1, BEGIN_US), (2, BEGIN_US + 1))])),
        final=draw(st.booleans()),
    )


def table_of(rows: Iterable[dict[str, Any]], schema: pa.Schema = SEGMENT_SCHEMA) -> pa.Table:
    """A table from rows as dicts; missing flags are 0, everything else that is missing is null."""
    return pa.Table.from_pylist([{"flags": 0} | row for row in rows], schema=schema)


def header_of(**fields: Any) -> SegmentHeader:
    """A header with something in each field that has no default."""
    known = {"participant": "p1", "device": "laptop", "recording": "r1", "consent_id": "c1", "positions_per_px": 256}
    return SegmentHeader(**(known | fields))


def segment_of(rows: list[dict[str, Any]], sha: str = "0" * 12, **fields: Any) -> Segment:
    """A segment as if it had been read, without a file; `fields` are the header's."""
    first, last = rows[0], rows[-1]
    header = header_of(
        first_seq=first["seq"],
        last_seq=last["seq"],
        first_us=min(row["time_us"] for row in rows),
        last_us=max(row["time_us"] for row in rows),
        **fields,
    )
    name = SegmentName(
        header.participant,
        header.recording,
        header.first_seq,
        header.last_seq,
        header.first_us // 1000,
        -(-header.last_us // 1000),
        sha,
    )
    return Segment(
        name, header, table_of(({k: v for k, v in row.items() if k != "picture"} for row in rows), READ_SCHEMA)
    )
