"""Segments: immutable Parquet files with some minutes of one recording. The unit of publishing.

The format is described in `docs/segment-format.md`. Three properties carry the pipeline:

- The name holds the sha256 of the content, so `read_segment` proves with one pass over the bytes that a segment
  is whole before anything of it is used; page checksums are for other readers.
- Rows with a picture lie in row groups of their own, behind the others.
- The pictures of a row group are one plain, uncompressed page, and `picture_bytes` says how long each is. So the
  place of a picture in the file follows from the footer and the event columns: the writer of shards fetches
  pictures with one range request and no Parquet decoding (0.2 ms instead of 0.9 ms for a 5-minute segment).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from taskreel.io.events import EVENT_SCHEMA, SEGMENT_SCHEMA
from taskreel.io.kinds import POSITION_UNITS_PER_PX, Kind, Screen, picture_hash
from taskreel.io.names import SHA_DIGITS, SegmentName, SegmentNameError, ceil_ms, floor_ms

__all__ = [
    "Screen",
    "Segment",
    "SegmentError",
    "SegmentFile",
    "SegmentHeader",
    "encode_segment",
    "picture_hash",
    "read_segment",
]

FORMAT_MAJOR = 1
FORMAT_MINOR = 1
HEADER_KEY = b"taskreel"
POSITIONS_PER_PX = (1, POSITION_UNITS_PER_PX)
PICTURE_GROUP_BYTES = 32 << 20

STORED_SCHEMA = EVENT_SCHEMA.append(pa.field("picture_bytes", pa.int32())).append(pa.field("picture", pa.binary()))
READ_SCHEMA = EVENT_SCHEMA.append(pa.field("picture_bytes", pa.int32())).append(pa.field("picture_offset", pa.int64()))
"""What `read_segment` gives: events, and where the bytes of each picture lie in the file."""

_DELTA_COLUMNS = ("seq", "time_us", "x", "y", "picture_dhash")
_RARE_COLUMNS = ("picture_change_ppm", "fingers")
"""Left out of a file in which they are all null."""
_ZSTD_COLUMNS = ("text", "title", "url")
"""What gains by compression. The other columns are encoded well already: zstd saves 0.1 % of a segment on them, and
takes 0.6 of 1.25 ms of its decoding (bench/results)."""
_EVENT_ROW_GROUP = 1 << 20
_MAX_PX = 1 << 31


class SegmentError(ValueError):
    """A segment that cannot be used. `code` is for counting, the message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[type[SegmentError], tuple[str, str]]:
        return SegmentError, (self.code, str(self))


@dataclass(frozen=True)
class SegmentHeader:
    """What is constant in a segment, kept as JSON in the Parquet footer.

    `clock_anchors` are pairs (device clock, UTC), both microseconds. `positions_per_px` says in which units x and
    y are stored: 1 for X11's whole pixels, 256 for macOS. `final` marks the last segment of its recording.
    """

    participant: str
    device: str
    recording: str
    consent_id: str
    consent_version: int = 1
    region: str = ""
    source: str = ""
    screen: Screen | None = None
    coordinate_space: str = "physical"
    positions_per_px: int = 1
    keyboard_layout: str = ""
    utc_offset_min: int = 0
    clock_anchors: tuple[tuple[int, int], ...] = ()
    final: bool = False
    first_seq: int = 0
    last_seq: int = -1
    first_us: int = 0
    last_us: int = 0
    version: str = field(default=f"{FORMAT_MAJOR}.{FORMAT_MINOR}")

    def to_json(self) -> bytes:
        """One JSON object with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes) -> SegmentHeader:
        """Parse a header; raises `SegmentError` with the code `version` or `header`."""
        try:
            values: dict[str, Any] = json.loads(data)
            version = str(values["version"])
            major = int(version.split(".")[0])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise SegmentError("header", f"the header has no readable version: {error!r}") from error
        if major != FORMAT_MAJOR:
            raise SegmentError("version", f"segment format {version} is not known here; update taskreel")
        try:
            screen = values.pop("screen", None)
            values["screen"] = None if screen is None else _screen(screen)
            values["clock_anchors"] = tuple((int(a), int(b)) for a, b in values.get("clock_anchors", ()))
            header = cls(**{key: values[key] for key in values if key in cls.__dataclass_fields__})
            _check_types(header)
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
            raise SegmentError("header", f"the header is not as the format says: {error}") from error
        return header


@dataclass(frozen=True)
class Segment:
    """A segment that was read and found whole: its header and its events (`READ_SCHEMA`), pictures apart.

    Rows come in the order of the file; positions are in 1/`POSITION_UNITS_PER_PX` px.
    """

    name: SegmentName
    header: SegmentHeader
    events: pa.Table


def encode_segment(header: SegmentHeader, events: pa.Table) -> tuple[SegmentName, bytes]:
    """The file for some events of one recording, and the name that its content gives it.

    `events` has `SEGMENT_SCHEMA`, at least one row, sorted by `seq`, positions in 1/256 px; the seq and time range
    of the header are filled in from them. Raises `ValueError` for events that do not fit the format.
    """
    if not events.num_rows:
        raise ValueError("a segment has at least one event")
    if header.positions_per_px not in POSITIONS_PER_PX:
        raise ValueError(f"positions_per_px={header.positions_per_px}: one of {POSITIONS_PER_PX} is expected")
    events = events.select(SEGMENT_SCHEMA.names).cast(SEGMENT_SCHEMA)
    _check_encodable(events)
    seq, time_us = _int64(events, "seq"), _int64(events, "time_us")
    if (np.diff(seq) <= 0).any() or (np.diff(time_us) < 0).any():
        raise ValueError(f"recording {header.recording}: seq has to rise and time_us must not fall")
    header = replace(
        header,
        first_seq=int(seq[0]),
        last_seq=int(seq[-1]),
        first_us=int(time_us[0]),
        last_us=int(time_us[-1]),
    )
    data = _write_parquet(header, _stored(events, header.positions_per_px))
    return _name(header, hashlib.sha256(data).hexdigest()), data


class SegmentFile:
    """The bytes of a segment, proved to be whole and to be of the recording and range that its name says.

    The constructor reads the footer and no event, so that consent can be decided on `header` first; `read` decodes
    the events. Both raise `SegmentError`.
    """

    def __init__(self, name: SegmentName, data: bytes) -> None:
        _check_bytes(name, data)
        self.name = name
        self._data = data
        with _parquet_errors():
            self._parquet = pq.ParquetFile(pa.BufferReader(data))
            self.header = _header(self._parquet)
        _check_header(name, self.header)

    def read(self) -> Segment:
        """The events, in the order of the file, positions in 1/`POSITION_UNITS_PER_PX` px."""
        with _parquet_errors():
            events = _read_events(self._parquet)
            _check_events(self.header, events)
            events = _with_offsets(events, self._parquet.metadata, self._data)
            return Segment(self.name, self.header, _in_memory_units(events, self.header.positions_per_px))


def read_segment(name: SegmentName, data: bytes) -> Segment:
    """Decode a whole segment and prove that it is what its name says; raises `SegmentError` if it is not."""
    return SegmentFile(name, data).read()


# ---------------------------------------------------------------------------------------------------- writing


def _check_encodable(events: pa.Table) -> None:
    """Raise `ValueError` for what no reader would take."""
    for column in EVENT_SCHEMA:
        if not column.nullable and events.column(column.name).null_count:
            raise ValueError(f"column {column.name} has nulls")
    for name in ("seq", "time_us"):
        if pc.min(events.column(name)).as_py() < 0:
            raise ValueError(f"column {name} has a negative number")
    kinds = events.column("kind").to_numpy()
    if kinds.min() < 1 or kinds.max() > max(Kind):
        raise ValueError("column kind has a number that is no event kind")
    pictures = events.filter(events.column("picture").is_valid())
    if not pc.all(pc.equal(pictures.column("kind"), int(Kind.SCREEN))).as_py() and pictures.num_rows:
        raise ValueError("column picture has a picture that is not of a screen event")
    for value, expected in zip(pictures.column("picture"), pictures.column("picture_hash").to_pylist(), strict=True):
        if picture_hash(value.as_py()) != expected:
            raise ValueError("column picture_hash is not the hash of its picture")


def _stored(events: pa.Table, positions_per_px: int) -> pa.Table:
    units = POSITION_UNITS_PER_PX // positions_per_px
    for column in ("x", "y"):
        position = events.column(column)
        coarse = pc.divide(position, pa.scalar(units, pa.int32()))
        if (
            not pc.all(pc.equal(pc.multiply(coarse, pa.scalar(units, pa.int32())), position)).as_py()
            and len(position) > position.null_count
        ):
            raise ValueError(f"column {column} has finer positions than positions_per_px={positions_per_px}")
        events = events.set_column(events.schema.get_field_index(column), EVENT_SCHEMA.field(column), coarse)
    sizes = pc.binary_length(events.column("picture"))
    unused = [name for name in _RARE_COLUMNS if events.column(name).null_count == events.num_rows]
    stored = events.append_column(STORED_SCHEMA.field("picture_bytes"), sizes)
    return stored.select([name for name in STORED_SCHEMA.names if name not in unused])


def _write_parquet(header: SegmentHeader, stored: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    others = [name for name in stored.schema.names if name != "picture"]
    plain_text = [name for name in others if name not in _DELTA_COLUMNS]
    writer = pq.ParquetWriter(
        sink,
        stored.schema,
        use_dictionary=plain_text,
        column_encoding=dict.fromkeys(_DELTA_COLUMNS, "DELTA_BINARY_PACKED") | {"picture": "PLAIN"},
        compression={name: "zstd" if name in _ZSTD_COLUMNS else "none" for name in STORED_SCHEMA.names},
        compression_level=dict.fromkeys(_ZSTD_COLUMNS, 19),
        write_statistics=["seq", "time_us", "kind"],
        write_page_checksum=True,
        data_page_size=1 << 30,
        store_schema=False,
    )
    has_picture = pc.is_valid(stored.column("picture"))
    for group in (stored.filter(pc.invert(has_picture)), *_picture_groups(stored.filter(has_picture))):
        if group.num_rows:
            writer.write_table(group, row_group_size=_EVENT_ROW_GROUP)
    writer.add_key_value_metadata({HEADER_KEY.decode(): header.to_json().decode()})
    writer.close()
    return sink.getvalue().to_pybytes()


def _picture_groups(rows: pa.Table) -> list[pa.Table]:
    """Row groups of at most `PICTURE_GROUP_BYTES` of pictures (one picture at least) and 1,000 rows: one page."""
    groups, start, total = [], 0, 0
    for row, size in enumerate(rows.column("picture_bytes").to_pylist()):
        if row > start and (total + size > PICTURE_GROUP_BYTES or row - start >= 1000):
            groups.append(rows.slice(start, row - start))
            start, total = row, 0
        total += size
    return [*groups, rows.slice(start)]


def _name(header: SegmentHeader, sha256: str) -> SegmentName:
    return SegmentName(
        header.participant,
        header.recording,
        header.first_seq,
        header.last_seq,
        floor_ms(header.first_us),
        ceil_ms(header.last_us),
        sha256[:SHA_DIGITS],
    )


# ---------------------------------------------------------------------------------------------------- reading


def _check_bytes(name: SegmentName, data: bytes) -> None:
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256.startswith(name.sha):
        return
    if not data:
        raise SegmentError("empty", "the file has no bytes; publish it again")
    if data[:4] != b"PAR1":
        raise SegmentError("foreign", "not a Parquet file, whatever its name says")
    if data[-4:] != b"PAR1":
        raise SegmentError("truncated", "the file has no Parquet footer: it was cut off; publish it again")
    raise SegmentError("altered", f"sha256 is {sha256[:SHA_DIGITS]}…, the name says {name.sha}…; publish it again")


@contextlib.contextmanager
def _parquet_errors() -> Iterator[None]:
    try:
        yield
    except SegmentError:
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError, UnicodeError) as error:
        raise SegmentError("parquet", f"cannot be decoded: {error}") from error


def _header(parquet: pq.ParquetFile) -> SegmentHeader:
    metadata: Mapping[bytes, bytes] = parquet.metadata.metadata or {}
    if HEADER_KEY not in metadata:
        raise SegmentError("foreign", "a Parquet file, but without the taskreel header in its footer")
    return SegmentHeader.from_json(metadata[HEADER_KEY])


def _check_header(name: SegmentName, header: SegmentHeader) -> None:
    try:
        claimed = _name(header, name.sha)
    except SegmentNameError as error:
        raise SegmentError("header", f"the header could have no name: {error}") from error
    for part in ("participant", "recording", "first_seq", "last_seq", "first_ms", "last_ms"):
        if getattr(claimed, part) != getattr(name, part):
            raise SegmentError(
                "name", f"the name says {part}={getattr(name, part)}, its header {getattr(claimed, part)}"
            )
    if header.positions_per_px not in POSITIONS_PER_PX:
        raise SegmentError("header", f"positions_per_px={header.positions_per_px}: 1 or 256 expected")


_TEXT_COLUMNS = [field.name for field in STORED_SCHEMA if field.type == pa.string()]
_EVENT_FIELDS = pa.schema([field for field in STORED_SCHEMA if field.name != "picture"])


def _read_events(parquet: pq.ParquetFile) -> pa.Table:
    """All columns but the pictures, as the format says; a minor version's missing nullable columns are null."""
    present = set(parquet.schema_arrow.names)
    missing = [field.name for field in _EVENT_FIELDS if not field.nullable and field.name not in present]
    if missing:
        raise SegmentError("columns", f"has no column {', '.join(missing)}")
    table = parquet.read(columns=[name for name in _EVENT_FIELDS.names if name in present], use_threads=False)
    if not table.schema.equals(_EVENT_FIELDS):
        table = _as_the_format_says(table)
    for name in _TEXT_COLUMNS:
        table.column(name).validate(full=True)  # that it is UTF-8
    for column in _EVENT_FIELDS:
        if not column.nullable and table.column(column.name).null_count:
            raise SegmentError("columns", f"column {column.name} has nulls")
    return table


def _as_the_format_says(table: pa.Table) -> pa.Table:
    arrays = [
        table.column(field.name).cast(field.type)
        if field.name in table.column_names
        else pa.nulls(table.num_rows, field.type)
        for field in _EVENT_FIELDS
    ]
    return pa.table(arrays, schema=_EVENT_FIELDS)


def _check_events(header: SegmentHeader, events: pa.Table) -> None:
    seq, time_us = _int64(events, "seq"), _int64(events, "time_us")
    if not len(seq):
        raise SegmentError("no_events", "the segment has no events")
    order = np.argsort(seq, kind="stable")
    seq, time_us = seq[order], time_us[order]
    if (np.diff(seq) == 0).any():
        raise SegmentError("seq", "one seq stands twice in it")
    if (np.diff(time_us) < 0).any():
        raise SegmentError("time_backwards", "times run backwards as seq rises")
    found = (int(seq[0]), int(seq[-1]), int(time_us[0]), int(time_us[-1]))
    if found != (header.first_seq, header.last_seq, header.first_us, header.last_us):
        raise SegmentError("header", "the header's seq and time range are not those of its events")
    kinds = events.column("kind").to_numpy()
    if kinds.min() < 1 or kinds.max() > max(Kind):
        raise SegmentError("kind", "an event kind that this format version does not have")


def _with_offsets(events: pa.Table, metadata: pq.FileMetaData, data: bytes) -> pa.Table:
    """Add `picture_offset`: the values of a plain page end where its column chunk ends."""
    sizes = events.column("picture_bytes")
    has_picture = sizes.is_valid().to_numpy()
    if (has_picture & events.column("picture_hash").is_null().to_numpy()).any():
        raise SegmentError("pictures", "a picture without its hash")
    sizes = pc.fill_null(sizes, 0).to_numpy().astype(np.int64)
    if (sizes < 0).any():
        raise SegmentError("pictures", "a picture of less than no bytes")
    offsets = np.full(len(sizes), -1, np.int64)
    first_row = 0
    for group in (metadata.row_group(number) for number in range(metadata.num_row_groups)):
        rows = first_row + np.flatnonzero(has_picture[first_row : first_row + group.num_rows])
        first_row += group.num_rows
        if len(rows):
            offsets[rows] = _picture_offsets(group, sizes[rows], data)
    column = pa.array(offsets, mask=~has_picture)
    return events.append_column(READ_SCHEMA.field("picture_offset"), column)


def _picture_offsets(group: pq.RowGroupMetaData, sizes: np.ndarray, data: bytes) -> np.ndarray:
    columns = (group.column(number) for number in range(group.num_columns))
    chunk = next((column for column in columns if column.path_in_schema == "picture"), None)
    if chunk is None:
        raise SegmentError("pictures", "has sizes of pictures, but no column picture")
    end = chunk.data_page_offset + chunk.total_compressed_size
    starts = end - np.cumsum(sizes[::-1] + 4)[::-1]
    for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
        if start < chunk.data_page_offset or int.from_bytes(data[start : start + 4], "little") != size:
            raise SegmentError("pictures", "the pictures are not one plain, uncompressed page a row group")
    return starts + 4


def _in_memory_units(events: pa.Table, positions_per_px: int) -> pa.Table:
    if positions_per_px == POSITION_UNITS_PER_PX:
        return events
    units = pa.scalar(POSITION_UNITS_PER_PX // positions_per_px, pa.int32())
    for column in ("x", "y"):
        index = events.schema.get_field_index(column)
        events = events.set_column(index, EVENT_SCHEMA.field(column), pc.multiply_checked(events.column(column), units))
    return events


def _int64(table: pa.Table, column: str) -> np.ndarray:
    return table.column(column).to_numpy()


def _screen(values: dict[str, Any]) -> Screen:
    monitors = tuple(tuple(int(edge) for edge in monitor) for monitor in values.get("monitors", ()))
    return Screen(int(values["width_px"]), int(values["height_px"]), float(values.get("scale", 1.0)), monitors)  # type: ignore[arg-type]


def _check_types(header: SegmentHeader) -> None:
    expected = (
        (str, ("participant", "device", "recording", "consent_id", "region", "source", "coordinate_space")),
        (str, ("keyboard_layout",)),
        (int, ("consent_version", "positions_per_px", "utc_offset_min")),
        (int, ("first_seq", "last_seq", "first_us", "last_us")),
        (bool, ("final",)),
    )
    for kind, names in expected:
        for name in names:
            if type(getattr(header, name)) is not kind:
                raise ValueError(f"{name} has to be {kind.__name__}")
    if header.screen and not (0 < header.screen.width_px < _MAX_PX and 0 < header.screen.height_px < _MAX_PX):
        raise ValueError("screen has to have a width and a height in pixels")
