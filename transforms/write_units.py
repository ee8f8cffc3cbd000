"""Write units: in a stream, a shard of what was built since the last one, and the rest of it on to the commit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam

from taskreel.transforms.assign import ShardOptions, shard_key, split_of
from taskreel.transforms.buffer import BufferOptions, BufferParts, Weighed
from taskreel.transforms.build import DRAFT, RESIDUE, Parts
from taskreel.transforms.commit import ROWS
from taskreel.transforms.steps import Draft
from taskreel.transforms.write import ShardDoFn, WriteOptions, encode_residue_row


@dataclass(frozen=True)
class PourOptions:
    """How many shards of a split are open at once, and when one is closed."""

    writers: int = 4
    after_s: float = 60.0


class WriteUnits(beam.PTransform):
    """(participant, `Parts` of what was built as one) → `Parts` for the commit: drafts have become rows."""

    def __init__(self, write: WriteOptions, shards: ShardOptions, pour: PourOptions) -> None:
        super().__init__()
        self.write = write
        self.shards = shards
        self.pour = pour

    def expand(self, units: Any) -> Any:
        """All of one participant goes to one shard, so that what changed together is committed together."""
        buffer = BufferOptions(self.shards.target_shard_bytes, self.pour.after_s)
        return (
            units
            | "ChooseShard" >> beam.Map(_open_shard, self.shards, self.pour).with_output_types(tuple[str, Weighed])
            | "Collect" >> BufferParts(buffer)
            | "WriteShard" >> beam.ParDo(_WriteUnitsDoFn(self.write, self.shards)).with_output_types(Parts)
        )


def _open_shard(unit: tuple[str, Parts], shards: ShardOptions, pour: PourOptions) -> tuple[str, Weighed]:
    participant, parts = unit
    digest = hashlib.blake2b(participant.encode(), digest_size=8).digest()
    key = shard_key(split_of(participant, shards), int.from_bytes(digest, "big") % pour.writers, pour.writers)
    return key, (sum(_weight_bytes(*part) for part in parts), parts)


def _weight_bytes(tag: str, data: bytes) -> int:
    """About how many bytes of a shard a part becomes: most are pictures."""
    pictures = Draft.from_bytes(data).pictures if tag == DRAFT else []
    return len(data) + sum(picture.size_bytes for picture in pictures)


class _WriteUnitsDoFn(ShardDoFn):
    def __init__(self, write: WriteOptions, shards: ShardOptions) -> None:
        super().__init__(write)
        self._shards = shards

    def process(self, element: tuple[str, Parts]) -> Iterator[Parts]:
        key, parts = element
        drafts = [data for tag, data in parts if tag == DRAFT]
        rows = [(ROWS, encode_residue_row(data, self._shards)) for tag, data in parts if tag == RESIDUE]
        if drafts:
            rows.append((ROWS, self.write(key, drafts)))
        yield [*rows, *(part for part in parts if part[0] not in (DRAFT, RESIDUE))]
