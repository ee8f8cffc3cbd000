"""The messages of an MCAP file, as far as it is whole: a damaged chunk or a missing end costs what was in it.

The library checks little of what it reads. Damaged bytes make it raise anything: its own errors, those of zstd, lz4 and
`struct`, and `MemoryError` and `OverflowError` for sizes. So all that it raises is a fault of the file here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mcap.reader import SeekingReader
from mcap.records import Channel, Chunk, McapRecord, Message, Schema
from mcap.stream_reader import StreamReader, breakup_chunk

from taskreel.capture.importers.foreign import BadLine, ForeignRecordingError

_MAGIC = b"\x89MCAP0\r\n"


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
    except Exception:  # see the module
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
            except Exception:  # see the module
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
    except Exception:  # see the module
        fault("a chunk of messages is damaged")
        return []
