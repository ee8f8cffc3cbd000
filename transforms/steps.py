"""Steps: an observation (the screen just before) and an action. And the small form in which they are shuffled.

A step crosses the shuffle without its picture: a `Draft` holds an episode's steps (`DRAFT_SCHEMA`), the places of its
pictures, and what is the same for all steps, once. `Shard.columns` in `write` makes the published columns of it again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import zstandard

from taskreel.io.events import Kind
from taskreel.io.schemas import STEP_SCHEMA
from taskreel.transforms.actions import ACTION_SCHEMA
from taskreel.transforms.merge import Merged

_COPIED = [name for name in ACTION_SCHEMA.names if name in STEP_SCHEMA.names and name not in ("recording",)]
_RELATIVE = ("end_us", "last_seq")

DRAFT_SCHEMA = pa.schema(
    [
        *(ACTION_SCHEMA.field(name) for name in _COPIED if name not in _RELATIVE),
        pa.field("duration_us", pa.int64()),
        pa.field("seqs", pa.int32()),
        pa.field("source", pa.int32()),
        pa.field("picture", pa.int32()),
        pa.field("image_age_us", pa.int64()),
        pa.field("approach_picture", pa.int32()),
        pa.field("approach_image_age_us", pa.int64()),
        pa.field("screen_changed", pa.bool_()),
        pa.field("flags", pa.int32()),
    ]
)
"""Actions, with `end_us`, `last_seq` and the pictures' times as differences to the start: smaller numbers."""

STEP_FLAGS = ("unpaired", "no_picture", "picture_missing", "estimated_position", "synthetic")
"""The bits of a draft's `flags`, lowest first; names in the published list."""


@dataclass(frozen=True)
class Picture:
    """Where a picture lies: the participant's segment file, the place of its bytes, and what it is."""

    file: str
    offset: int
    size_bytes: int
    hash: str
    width_px: int | None
    height_px: int | None


@dataclass(frozen=True)
class Source:
    """What is constant in a segment and published with each of its steps."""

    recording: str
    consent_id: str
    coordinate_space: str
    layout: str
    screen_width_px: int | None
    screen_height_px: int | None
    screen_scale: float | None


@dataclass(frozen=True)
class Draft:
    """An episode on its way to its shard: the facts of its row, sources, pictures, and steps (`DRAFT_SCHEMA`)."""

    episode: dict[str, Any]
    sources: list[Source]
    pictures: list[Picture]
    steps: pa.RecordBatch = field(repr=False)

    def to_bytes(self) -> bytes:
        """One zstd frame around everything: constants and nulls cost next to nothing."""
        facts = {
            "episode": self.episode,
            "sources": [list(vars(source).values()) for source in self.sources],
            "pictures": [list(vars(picture).values()) for picture in self.pictures],
        }
        head = json.dumps(facts, separators=(",", ":"), sort_keys=True).encode()
        body = self.steps.serialize().to_pybytes()
        return zstandard.compress(len(head).to_bytes(4, "little") + head + body, 3)

    @classmethod
    def from_bytes(cls, data: bytes) -> Draft:
        """What `to_bytes` wrote."""
        plain = zstandard.decompress(data)
        size = int.from_bytes(plain[:4], "little")
        facts = json.loads(plain[4 : 4 + size])
        batch = pa.ipc.read_record_batch(pa.py_buffer(plain)[4 + size :], DRAFT_SCHEMA)
        return cls(
            facts["episode"],
            [Source(*values) for values in facts["sources"]],
            [Picture(*values) for values in facts["pictures"]],
            batch,
        )


@dataclass(frozen=True)
class Observations:
    """What was on the screen at some actions; arrays of shape (actions,). Rows are of the session's events, or -1."""

    row: np.ndarray
    """The screen event that shows the last distinct screen strictly before the press."""
    approach_row: np.ndarray
    """The same for the start of the approach."""
    changed: np.ndarray
    """Whether the screen was another before the next action began."""


def observe(events: pa.Table, actions: pa.Table) -> Observations:
    """Find the screens of a session's actions, each on the device that acted."""
    rows = np.flatnonzero(events.column("kind").to_numpy() == Kind.SCREEN)
    start_us, approach_us = (actions.column(name).to_numpy() for name in ("start_us", "approach_us"))
    device = actions.column("device").to_numpy()
    hashes = pc.fill_null(events.column("picture_hash").take(pa.array(rows)), "").combine_chunks().dictionary_encode()
    looks = hashes.indices.to_numpy()
    screen_us = events.column("time_us").to_numpy()[rows]
    screen_device = events.column("device").to_numpy()[rows]

    found, approach, after = (np.full(len(start_us), -1) for _ in range(3))
    for number in np.unique(device):
        acts, screens = np.flatnonzero(device == number), np.flatnonzero(screen_device == number)
        if not len(screens):
            continue
        next_us = np.append(start_us[acts][1:], np.iinfo(np.int64).max)
        for result, until_us in ((found, start_us[acts]), (approach, approach_us[acts]), (after, next_us)):
            index = np.searchsorted(screen_us[screens], until_us) - 1
            result[acts] = np.where(index >= 0, screens[np.maximum(index, 0)], -1)
    distinct = _first_of_run(looks, screen_device)
    changed = (found >= 0) & (looks[found] != looks[after]) if len(looks) else np.zeros(len(start_us), bool)
    return Observations(
        np.where(found >= 0, _at(rows, distinct, found), -1),
        np.where(approach >= 0, _at(rows, distinct, approach), -1),
        changed,
    )


def _first_of_run(looks: np.ndarray, device: np.ndarray) -> np.ndarray:
    """Per screen event, the first of its device since which the screen has looked the same."""
    first = np.arange(len(looks))
    for number in np.unique(device):
        mine = np.flatnonzero(device == number)
        same = np.diff(looks[mine], prepend=-1) == 0
        first[mine] = mine[np.maximum.accumulate(np.where(same, 0, np.arange(len(mine))))]
    return first


def _at(rows: np.ndarray, distinct: np.ndarray, index: np.ndarray) -> np.ndarray:
    return rows[distinct[index]] if len(rows) else index


def find_pictures(merged: Merged) -> dict[str, Picture]:
    """Where each picture of a span lies, by hash: of several places the first by segment and offset."""
    events = merged.events
    stored = events.filter(pc.is_valid(events.column("picture_bytes")))
    columns = ("picture_hash", "segment", "picture_offset", "picture_bytes", "picture_width_px", "picture_height_px")
    found: dict[str, Picture] = {}
    order = pc.sort_indices(stored, sort_keys=[("segment", "ascending"), ("picture_offset", "ascending")])
    values = stored.select(columns).take(order).to_pydict()
    for picture_hash, segment, offset, size, width, height in zip(*(values[name] for name in columns), strict=True):
        file = merged.segments[segment].name.file
        found.setdefault(picture_hash, Picture(file, offset, size, picture_hash, width, height))
    return found
