"""Rows of `episodes` that name shards which nobody wrote: enough for what looks at rows only."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from taskreel.io.names import SegmentName
from taskreel.io.schemas import EPISODE_SCHEMA

DAY_MS = 86_400_000
FIRST_DAY_MS = 1_767_571_200_000
"""2026-01-05, a midnight."""


def segment_file(participant: str, first_ms: int, last_ms: int | None = None) -> str:
    """The file of a segment of a minute, or of some other length."""
    return SegmentName(participant, "r", 0, 9, first_ms, last_ms or first_ms + 60_000, "0" * 12).file


def episode_row(
    participant: str = "p1", day: int = 0, at_s: int = 36_000, *, shard: str | None = None, steps: int = 3, **more: Any
) -> dict[str, Any]:
    """One episode whose span is one segment, on a day counted from the first, at a second of it."""
    first_ms = FIRST_DAY_MS + day * DAY_MS + at_s * 1000
    row = dict.fromkeys(EPISODE_SCHEMA.names, "") | {
        "episode_id": f"{participant}-{first_ms}",
        "kind": "episode" if shard else "residue",
        "participant": participant,
        "span_id": f"span-{participant}-{first_ms}",
        "segments": [segment_file(participant, first_ms)],
        "revision": 0,
        "split": "train",
        "shard": shard,
        "first_row": 0 if shard else None,
        "steps": steps if shard else 0,
        "shard_rows": steps if shard else None,
        "shard_bytes": 100 if shard else None,
        "start_us": first_ms * 1000,
        "end_us": first_ms * 1000 + 60_000_000,
        "confidence": 1.0,
        "apps": [],
        "actions": "{}",
        "pictures": 0,
        "flags": [],
        "quality": 1.0,
        "consent_version": 1,
    }
    return row | more


def episode_table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=EPISODE_SCHEMA)
