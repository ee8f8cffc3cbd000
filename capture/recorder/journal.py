"""A journal: some minutes of a recording in progress, on the disk before anything else is done with them.

A file of frames, one a flush: four bytes with its length, then a zstd frame with checksum and known size (level 3: the
journal lives for minutes, and the segment is compressed anew). A cut tail loses the frame that was being written, a
flipped bit one frame. The first frame is the header; each other one is an entry:

    {"row": n, "events": [[time_us, kind, flags, x, y, …], …]}  rows from n on, by `COLUMNS`, without nulls at the end
    {"retracted": [row, …]}  rows of this journal that are not to be published
    {"end": true}  the recording ended here as it should
"""

from __future__ import annotations

import json
import os
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

from taskreel.capture.sources.protocol import Event

COLUMNS = (
    "time_us",
    "kind",
    "flags",
    "x",
    "y",
    "code",
    "wheel_x",
    "wheel_y",
    "key",
    "text",
    "app",
    "title",
    "url",
    "picture_key",
    "picture_change_ppm",
    "fingers",
)

_LENGTH_BYTES = 4
_FRAME_MAGIC = b"\x28\xb5\x2f\xfd"
_LEVEL = 3
_LONGEST_FRAME_BYTES = 1 << 28


class JournalWriter:
    """A new journal; raises `FileExistsError` for one that is there."""

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self.path = path
        self.rows = 0
        """Rows of events so far: the next event is this row."""
        self.size_bytes = 0
        self._closing = threading.Lock()
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True, write_content_size=True)
        self._write(header)

    def append(self, events: Iterable[list[Any]] = (), **others: Any) -> None:
        """Write one frame: rows of events (`row`), and other entries by their names."""
        rows = list(events)
        self._write(({"row": self.rows, "events": rows} if rows else {}) | others)
        self.rows += len(rows)

    def sync(self) -> None:
        """Have the disk keep what was written; does nothing once closed. From any thread."""
        with self._closing:
            if self._descriptor >= 0:
                os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Sync and close."""
        self.sync()
        with self._closing:
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, entry: dict[str, Any]) -> None:
        frame = self._compressor.compress(json.dumps(entry, separators=(",", ":")).encode())
        data = memoryview(len(frame).to_bytes(_LENGTH_BYTES, "little") + frame)
        begin = self.size_bytes
        try:
            while data:
                written = os.write(self._descriptor, data)
                self.size_bytes += written
                data = data[written:]
        except OSError:
            os.ftruncate(self._descriptor, begin)  # the disk is full: no part of a frame stays
            self.size_bytes = begin
            raise


def row(event: Event, time_us: int) -> list[Any]:
    """An event as a row of a journal, at a time UTC."""
    values = [
        time_us,
        int(event.kind),
        int(event.flags),
        event.x,
        event.y,
        event.code,
        event.wheel_x,
        event.wheel_y,
        event.key,
        event.text,
        event.app,
        event.title,
        event.url,
        event.picture_key,
        event.picture_change_ppm,
        event.fingers,
    ]
    while values[-1] is None:
        values.pop()
    return values


@dataclass
class Journal:
    """What a journal holds, by seq, without what was retracted.

    `damaged_frames`: stretches that could not be read, so that seqs are missing. A frame at the end that was being
    written when the recorder was killed is not one of them.
    """

    header: dict[str, Any]
    rows: dict[int, list[Any]] = field(default_factory=dict)
    has_end: bool = False
    damaged_frames: int = 0


def read_journal(data: bytes) -> Journal | None:
    """A journal from its bytes; None if not even its header was written. Raises `ValueError` if only that is bad."""
    frames = list(_frames(data))
    if frames and frames[-1] is None:
        frames.pop()
    if not frames:
        return None
    if frames[0] is None:
        raise ValueError("the header of the journal is damaged")
    journal = Journal(frames[0], damaged_frames=frames.count(None))
    rows: dict[int, list[Any]] = {}
    retracted: set[int] = set()
    for frame in frames[1:]:
        if frame is not None:
            rows |= enumerate(frame.get("events", ()), frame.get("row", 0))
            retracted.update(frame.get("retracted", ()))
            journal.has_end |= bool(frame.get("end"))
    seq = int(journal.header["first_seq"])
    gone = sorted(retracted)
    for number in sorted(rows.keys() - retracted):
        journal.rows[seq + number - bisect_left(gone, number)] = rows[number]
    return journal


def _frames(data: bytes) -> Iterator[dict[str, Any] | None]:
    """The frames' contents; None for each damaged stretch, after which the next whole frame is looked for."""
    decompressor = zstandard.ZstdDecompressor()
    offset = 0
    while offset < len(data):
        end, content = _frame(decompressor, data, offset)
        if content is None:
            yield None
            end = _next_frame(decompressor, data, offset + 1)
        else:
            yield content
        offset = end


def _frame(decompressor: Any, data: bytes, offset: int) -> tuple[int, dict[str, Any] | None]:
    """Where the frame at an offset ends, and its content; None if there is no whole one."""
    begin = offset + _LENGTH_BYTES
    length = int.from_bytes(data[offset:begin], "little")
    end = begin + length
    if length > _LONGEST_FRAME_BYTES or end > len(data) or data[begin : begin + 4] != _FRAME_MAGIC:
        return offset, None
    try:
        reading = decompressor.decompressobj()
        content = reading.decompress(data[begin:end])
        if not reading.eof or reading.unused_data:
            return offset, None  # the length is damaged: it takes in a part of the next frame
        return end, json.loads(content)
    except (zstandard.ZstdError, ValueError):
        return offset, None


def _next_frame(decompressor: Any, data: bytes, offset: int) -> int:
    """Where the next whole frame begins; the end of the data if there is none."""
    while (magic := data.find(_FRAME_MAGIC, offset + _LENGTH_BYTES)) >= 0:
        if _frame(decompressor, data, magic - _LENGTH_BYTES)[1] is not None:
            return magic - _LENGTH_BYTES
        offset = magic - _LENGTH_BYTES + 1
    return len(data)
