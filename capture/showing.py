"""What a spool holds, for the person who was recorded: every event of the last minutes, and the pictures.

Sealed segments are read whether they were sent or not, and the journals in progress as far as they are written. What
somebody deleted, or what made room for newer recordings, is not there any more.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from taskreel.capture.recorder.journal import COLUMNS, read_journal
from taskreel.capture.spool import OUTBOX, SENT, Spool
from taskreel.io.kinds import POSITION_UNITS_PER_PX, Kind
from taskreel.io.names import SegmentName

Row = dict[str, Any]
"""An event: the columns of `EVENT_SCHEMA` that it has."""

_RUNS = {Kind.KEY_DOWN: "typed", Kind.MOVE: "the pointer moved", Kind.SCROLL: "scrolled"}


def recorded(spool: Path, since_us: int) -> list[Row]:
    """All events since a time (UTC µs), by rising time. Raises `SegmentError` if a segment is damaged."""
    rows: dict[tuple[str, int], Row] = {}  # by recording and seq: a journal may be sealed while they are read
    for path in sorted(spool.glob("recordings/*/part-*.journal")):
        rows |= {(path.parent.name, seq): row for seq, row in _rows_in_progress(path)}
    for path, name in segments(spool, since_us):
        rows |= {(name.recording, row["seq"]): row for row in _rows_of(path, name)}
    return sorted((row for row in rows.values() if row["time_us"] >= since_us), key=lambda row: int(row["time_us"]))


def segments(spool: Path, since_us: int) -> Iterator[tuple[Path, SegmentName]]:
    """The sealed segments with events since a time, and their names."""
    there = Spool(spool)
    for part in (SENT, OUTBOX):
        for name in there.segments(part):
            if name.last_ms * 1000 >= since_us:
                yield there.path_of(part, name), name


def save_pictures(spool: Path, since_us: int, folder: Path) -> int:
    """Write the pictures of sealed segments as `<time>.webp`; how many."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for path, name in segments(spool, since_us):
        data = path.read_bytes()
        for row in _rows_of(path, name, data):
            if row.get("picture_offset") is not None and row["time_us"] >= since_us:
                begin = row["picture_offset"]
                target = folder / f"{row['time_us']}.webp"
                target.write_bytes(data[begin : begin + row["picture_bytes"]])
                count += 1
    return count


def sentences(rows: Iterable[Row]) -> Iterator[str]:
    """A line each, with the local time. Keys that follow on each other are one line, and so are moves."""
    seen = (row for row in rows if row["kind"] != Kind.KEY_UP)
    for kind, group in groupby(seen, key=lambda row: Kind(row["kind"])):
        run = list(group)
        for some in [run] if kind in _RUNS else [[row] for row in run]:
            yield f"{_clock(some[0]['time_us'])}  {_sentence(kind, some)}"


def _sentence(kind: Kind, rows: list[Row]) -> str:
    row = rows[0]
    place = f"at {_px(row.get('x'))}, {_px(row.get('y'))}"
    if kind is Kind.KEY_DOWN:
        return "typed " + "".join(_typed(row) for row in rows)
    if kind in _RUNS:
        return f"{_RUNS[kind]} ({len(rows)} events)"
    if kind in (Kind.BUTTON_DOWN, Kind.BUTTON_UP):
        return f"button {row.get('code')} {'down' if kind is Kind.BUTTON_DOWN else 'up'} {place}"
    if kind is Kind.FOCUS:
        return f"in {row['app']}: {row.get('title') or ''}" if row.get("app") else "in no window, or one not recorded"
    told = row.get("text") or row.get("key") or ""
    return f"{kind.name.lower().replace('_', ' ')} {told}".rstrip()


def _typed(row: Row) -> str:
    text = row.get("text") or ""
    return text if text.isprintable() and text else f"<{row.get('key') or row.get('code')}>"


def _px(units: int | None) -> str:
    return "?" if units is None else str(units // POSITION_UNITS_PER_PX)


def _clock(time_us: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(time_us / 1_000_000))


def _rows_of(path: Path, name: SegmentName, data: bytes | None = None) -> list[Row]:
    from taskreel.io.segments import read_segment

    events = read_segment(name, data or path.read_bytes()).events
    return [{key: value for key, value in row.items() if value is not None} for row in events.to_pylist()]


def _rows_in_progress(path: Path) -> Iterator[tuple[int, Row]]:
    try:
        journal = read_journal(path.read_bytes())
    except (FileNotFoundError, ValueError):  # sealed meanwhile, or damaged: the next start says so
        return
    for seq, values in journal.rows.items() if journal else ():
        yield seq, {key: value for key, value in zip(COLUMNS, values, strict=False) if value is not None}
