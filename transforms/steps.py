"""Steps: an observation (the screen just before) and an action. And the small form in which they are shuffled.

A step crosses the shuffle without its picture: a `Draft` holds an episode's steps (`DRAFT_SCHEMA`), the places of its
pictures, and what is the same for all steps, once. `Shard.columns` in `write` makes the published columns of it again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import zstandard

from taskreel.io.events import Kind
from taskreel.io.schemas import STEP_SCHEMA
from taskreel.transforms.actions import ACTION_SCHEMA, ActionFlag
from taskreel.transforms.looks import distinct_screens, focus_changes
from taskreel.transforms.merge import Merged

_COPIED = [name for name in ACTION_SCHEMA.names if name in STEP_SCHEMA.names and name not in ("recording",)]
_RELATIVE = ("end_us", "last_seq")


def _plain(field: pa.Field) -> pa.Field:
    """A batch's bytes carry no dictionaries."""
    return field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field


DRAFT_SCHEMA = pa.schema(
    [
        *(_plain(ACTION_SCHEMA.field(name)) for name in _COPIED if name not in _RELATIVE),
        pa.field("duration_us", pa.int64()),
        pa.field("seqs", pa.int32()),
        pa.field("source", pa.int32()),
        pa.field("picture", pa.int32()),
        pa.field("image_age_us", pa.int64()),
        pa.field("approach_picture", pa.int32()),
        pa.field("approach_image_age_us", pa.int64()),
        pa.field("focus_changed", pa.bool_()),
        pa.field("screen_changed", pa.bool_()),
        pa.field("screen_change_ppm", pa.int64()),
    ]
)
"""Actions, with `end_us`, `last_seq` and the pictures' times as differences to the start: smaller numbers."""

STEP_FLAGS = tuple(flag.name.lower() for flag in ActionFlag if flag.name)
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
    """The screen event that first showed the last distinct screen strictly before the press."""
    approach_row: np.ndarray
    """The same for the start of the approach."""
    focus_changed: np.ndarray
    """Whether another window took focus after that screen was last captured, and before the press."""
    changed: np.ndarray
    """Whether a distinct screen came before the next action began."""
    change_ppm: np.ndarray
    """How much of the screen these changed, in pixels a million, summed; -1 where it is not known of one of them."""


def observe(events: pa.Table, actions: pa.Table, *, same_screen_ppm: int = 0) -> Observations:
    """Find the screens of a session's actions, each on the device that acted."""
    kind, device = events.column("kind").to_numpy(), events.column("device").to_numpy()
    acting = actions.column("device").to_numpy()
    names = [field.name for field in fields(Observations)]
    found = {name: np.full(len(acting), -1) for name in names}
    for number in np.unique(acting):
        acts = np.flatnonzero(acting == number)
        screens = np.flatnonzero((kind == Kind.SCREEN) & (device == number))
        if len(screens):
            focuses = focus_changes(events, np.flatnonzero((kind == Kind.FOCUS) & (device == number)))
            mine = actions if len(acts) == len(acting) else actions.take(pa.array(acts))
            seen = _observed(events, mine, screens, focuses, same_screen_ppm)
            for name in names:
                found[name][acts] = getattr(seen, name)
    for name in ("focus_changed", "changed"):
        found[name] = found[name] > 0
    return Observations(**found)


def _observed(
    events: pa.Table, actions: pa.Table, screens: np.ndarray, focuses: np.ndarray, same_screen_ppm: int
) -> Observations:
    """The observations of one device: of its actions, its screens and its changes of focus, by their rows."""
    time_us = events.column("time_us").to_numpy()
    is_distinct = distinct_screens(events, screens, same_screen_ppm=same_screen_ppm)
    look = np.cumsum(is_distinct) - 1
    first_of_look = screens[is_distinct]
    start_us, approach_us = (actions.column(name).to_numpy() for name in ("start_us", "approach_us"))
    before = _last_before(time_us[screens], start_us)
    seen, seen_before_approach = (
        np.where(index >= 0, look[index], -1) for index in (before, _last_before(time_us[screens], approach_us))
    )
    until = _last_before(time_us[screens], _next_us(actions))
    later = np.where(until >= 0, look[until], -1)
    focus = _last_before(focuses, np.searchsorted(time_us, start_us))
    return Observations(
        np.where(seen >= 0, first_of_look[seen], -1),
        np.where(seen_before_approach >= 0, first_of_look[seen_before_approach], -1),
        (before >= 0) & (focus >= 0) & (np.append(focuses, -1)[focus] > screens[before]),
        (seen >= 0) & (later > seen),
        _sums(events.column("picture_change_ppm").take(pa.array(first_of_look)), seen, later),
    )


def _last_before(rising: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """The index of the last of some rising values below each limit, or -1."""
    return np.searchsorted(rising, limits) - 1


def _next_us(actions: pa.Table) -> np.ndarray:
    """When the next action of the device begins; a wait counts by the screen that it waited for."""
    is_wait = pc.equal(actions.column("action"), "wait").to_numpy(zero_copy_only=False)
    begins = np.where(is_wait, actions.column("end_us").to_numpy(), actions.column("start_us").to_numpy())
    return np.append(begins[1:], np.iinfo(np.int64).max)


def _sums(values: pa.ChunkedArray, after: np.ndarray, until: np.ndarray) -> np.ndarray:
    """The sums of the values `after` (exclusive) to `until` (inclusive); -1 where one of them is null."""
    total = np.concatenate([[0], np.cumsum(pc.fill_null(values.cast(pa.int64()), 0).to_numpy())])
    nulls = np.concatenate([[0], np.cumsum(values.is_null().to_numpy())])
    first, last = after + 1, np.maximum(until, after) + 1
    return np.where(nulls[last] == nulls[first], total[last] - total[first], -1)


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
