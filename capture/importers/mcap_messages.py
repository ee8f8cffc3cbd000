"""The messages of an MCAP file, as far as it is whole: a damaged chunk or a missing end costs what was in it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import zstandard
from mcap.exceptions import McapError
from mcap.reader import SeekingReader
from mcap.records import Channel, Chunk, McapRecord, Message, Schema
from mcap.stream_reader import CRCValidationError, StreamReader, breakup_chunk

from taskreel.capture.importers.foreign import BadLine, ForeignRecordingError

_MAGIC = b"\x89MCAP0\r\n"
_FAULTS = (
    CRCValidationError,
    KeyError,
    McapError,
    MemoryError,
    RuntimeError,
    ValueError,
    struct.error,
    zstandard.ZstdError,
)
"""What the library raises for damaged bytes: it checks little itself. `MemoryError`: for a size that is damaged."""


@dataclass(frozen=True)
class McapMessage:
    """A message with its number in the file (from 1) and the name of its schema."""

    number: int
    schema: str
    publish_ns: int
    data: bytes


def read_messages(path: Path, bad: list[BadLine]) -> Iterator[McapMessage]:
    """The messages in the order of the file. What cannot be read is put into `bad`, by the number of the next message:
    those in a damaged chunk are not counted.

    Raises `ForeignRecordingError` for a file that is no MCAP.
    """
    with open(path, "rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise ForeignRecordingError(f"{path}: not an MCAP file; OWAMcap recordings are")
    schemas, channels = _of_summary(path)
    number = 0

    def fault(reason: str) -> None:
        bad.append(BadLine(path.name, number + 1, reason))

    for record in _records(path, fault):
        if isinstance(record, Schema):
            schemas[record.id] = record
        elif isinstance(record, Channel):
            channels[record.id] = record
        elif isinstance(record, Message):
            number += 1
            channel = channels.get(record.channel_id)
            if channel is None or channel.message_encoding != "json":
                bad.append(BadLine(path.name, number, "a message whose channel is missing or not JSON"))
            else:
                yield McapMessage(number, _name(schemas, channel), record.publish_time, record.data)


def _of_summary(path: Path) -> tuple[dict[int, Schema], dict[int, Channel]]:
    """Schemas and channels as the end of the file repeats them: the chunk that has them first may be damaged."""
    try:
        with open(path, "rb") as file:
            summary = SeekingReader(file, record_size_limit=path.stat().st_size).get_summary()
    except (*_FAULTS, OSError):
        return {}, {}
    return (dict(summary.schemas), dict(summary.channels)) if summary else ({}, {})


def _name(schemas: dict[int, Schema], channel: Channel) -> str:
    schema = schemas.get(channel.schema_id)
    return schema.name if schema else ""


def _records(path: Path, fault: Callable[[str], None]) -> Iterator[McapRecord]:
    """Schemas, channels and messages, in chunks or not, up to where the file can be followed."""
    with open(path, "rb") as file:
        records = StreamReader(file, emit_chunks=True, record_size_limit=path.stat().st_size).records
        while True:
            try:
                record = next(records, None)
            except _FAULTS:
                fault("the file is damaged or cut off from here on")
                return
            if record is None:
                return
            if isinstance(record, Chunk):
                yield from _of_chunk(record, fault)
            else:
                yield record


def _of_chunk(chunk: Chunk, fault: Callable[[str], None]) -> list[McapRecord]:
    try:
        return breakup_chunk(chunk, validate_crc=True)
    except _FAULTS:
        fault("a chunk of messages is damaged")
        return []
