"""What every reader of a foreign format takes and gives.

A reader is one function, `read(sources, options) -> Imported`. `sources` are the files and folders of *one* session, as
they were named on the command line: a reader merges them into one recording, its events in order of time. The formats
are listed in `formats.py`.

What a reader promises:

- A file that is not of the format is one `ForeignRecordingError`.
- A line or message that does not parse is a `BadLine`, and never stops the rest.
- A session without events is an `Imported` whose table has no rows.
- Nothing that was recorded (keys, text, titles, addresses) gets into an error or a reason.
- The recorder's own keys are *not* tagged by the reader: `formats.import_recording` does it for all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from taskreel.io.events import POSITION_UNITS_PER_PX, SEGMENT_SCHEMA, Kind
from taskreel.io.segments import SegmentHeader


class ForeignRecordingError(ValueError):
    """A recording that is not of the format, or a use of it that makes no sense.

    The message names the file, the field and the remedy. It holds nothing that was recorded.
    """


@dataclass(frozen=True)
class BadLine:
    """A line (or message) of a file that is no event, by its number from 1.

    `reason` is the kind of fault and the name of the field: never a value, since values are what a person did.
    """

    file: str
    line: int
    reason: str


@dataclass(frozen=True)
class ImportOptions:
    """How to import, whatever the format.

    `layout` is the keyboard layout to assume where a format has bare key codes, in the names of XKB ("us",
    "de(nodeadkeys)"). Without one, the text is that of a US keyboard and flagged `UNKNOWN_LAYOUT`.
    """

    consent_id: str = "imported"
    participant: str = "guest"
    region: str = "us"
    layout: str | None = None


@dataclass(frozen=True)
class Alignment:
    """How pictures of a video were put on the clock of the events.

    `offset_us` is when the video began, µs UTC. What remains between the video's time with that offset and the times
    that the recorder noted has the median `median_error_us` and the maximum `max_error_us`, both absolute; None where
    the recorder noted nothing to compare with.
    """

    pictures: int
    offset_us: int
    median_error_us: int | None
    max_error_us: int | None


@dataclass(frozen=True)
class Imported:
    """A recording as a header and events, and all that had to be assumed about it.

    `events` has `SEGMENT_SCHEMA`: sorted by time (stable: equal times keep the order of the file), `seq` from 0 with no
    gap, positions in 1/256 px. `coordinate_space`, `clock` and `keymap` are sentences for the person who imports;
    `notes` are more of them. `missing_media` names the videos and pictures that the recording speaks of and that are
    not there.
    """

    header: SegmentHeader
    events: pa.Table
    coordinate_space: str
    clock: str
    keymap: str
    bad_lines: tuple[BadLine, ...] = ()
    missing_media: tuple[str, ...] = ()
    alignment: Alignment | None = None
    notes: tuple[str, ...] = ()

    def counts(self) -> dict[str, int]:
        """How many events there are of each kind, by the kind's name in lower case; kinds without any are left out."""
        totals = np.bincount(self.events.column("kind").to_numpy(), minlength=max(Kind) + 1)
        return {kind.name.lower(): int(totals[kind]) for kind in Kind if totals[kind]}


Reader = Callable[[Sequence[Path], ImportOptions], Imported]


def ordered_events(rows: Iterable[dict[str, object]]) -> pa.Table:
    """Rows with columns of `SEGMENT_SCHEMA` as its table: sorted by `time_us`, stably, and `seq` counted from 0."""
    table = pa.Table.from_pylist([{"flags": 0, "seq": 0} | row for row in rows], schema=SEGMENT_SCHEMA)
    table = table.take(np.argsort(table.column("time_us").to_numpy(), kind="stable"))
    seq = pa.array(np.arange(table.num_rows), pa.int64())
    return table.set_column(0, SEGMENT_SCHEMA.field("seq"), seq)


def recording_header(source: str, files: Iterable[Path], options: ImportOptions) -> SegmentHeader:
    """The header of a session of the format `source`, as far as it is the same for all formats.

    Recording and device are named by the content of the files: a second import makes the same segments.
    """
    content = content_id(files)
    return SegmentHeader(
        participant=options.participant,
        device=f"{source}{content[:8]}",
        recording=content[:16],
        consent_id=options.consent_id,
        region=options.region,
        source=source,
        positions_per_px=POSITION_UNITS_PER_PX,
        final=True,
    )


def content_id(files: Iterable[Path]) -> str:
    """32 hex digits that follow from the content of the files, in whatever order they are named."""
    digests = sorted(_sha256(path) for path in files)
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:32]


def session_files(sources: Sequence[Path], suffixes: Sequence[str]) -> list[Path]:
    """The files of a session, each once: the sources that are files, and the files in folders with one of the suffixes.

    Raises `ForeignRecordingError` for a source that is not there, and for a folder without such a file.
    """
    return list({path.resolve(): path for source in sources for path in _files_of(source, suffixes)}.values())


def _files_of(source: Path, suffixes: Sequence[str]) -> Iterator[Path]:
    if source.is_file():
        yield source
        return
    if not source.is_dir():
        raise ForeignRecordingError(f"{source}: not there; name a file or a folder of a recording")
    found = sorted(path for path in source.iterdir() if path.is_file() and path.name.endswith(tuple(suffixes)))
    if not found:
        raise ForeignRecordingError(f"{source}: no file of this folder ends in {' or '.join(suffixes)}")
    yield from found


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
