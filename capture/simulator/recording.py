"""From the script of a recording to its events, in segments that can each be read alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import pairwise

import numpy as np
import pyarrow as pa

from taskreel.capture.simulator.acts import Desk
from taskreel.capture.simulator.options import SimulationOptions
from taskreel.capture.simulator.people import Person
from taskreel.capture.simulator.pointer import Samples, expand_paths
from taskreel.capture.simulator.screens import Picture
from taskreel.capture.simulator.script import Button, Ticks
from taskreel.capture.simulator.typing_ import expand_strokes, key_codes, key_names, symbols
from taskreel.io.events import (
    POSITION_UNITS_PER_PX,
    SEGMENT_SCHEMA,
    WHEEL_UNITS_PER_TICK,
    Flag,
    Kind,
)

_RESTATED_LEAD_US = 1_000


@dataclass(frozen=True)
class Events:
    """The events of one recording as equally long arrays, by `seq`, which counts them from 0.

    `rank` orders events of one time. `x`, `y`: pixels, -1 where null. `wheel_x`, `wheel_y`: 0 where null. `key`,
    `text`: symbols of `typing_`, -1 where null. `focus`, `mark`: indexes into the script's, `screen`: into the
    pictures, `action`: into the script's actions; -1 where it is none.
    """

    time_us: np.ndarray
    kind: np.ndarray
    rank: np.ndarray
    flags: np.ndarray
    x: np.ndarray
    y: np.ndarray
    button: np.ndarray
    wheel_x: np.ndarray
    wheel_y: np.ndarray
    key: np.ndarray
    text: np.ndarray
    focus: np.ndarray
    mark: np.ndarray
    screen: np.ndarray
    action: np.ndarray

    def __len__(self) -> int:
        return len(self.time_us)

    def take(self, rows: np.ndarray | slice) -> Events:
        """Some rows."""
        return Events(*(getattr(self, column.name)[rows] for column in fields(self)))


def expand(desk: Desk, options: SimulationOptions, rng: np.random.Generator, screens: np.ndarray) -> Events:
    """All events of a recording. `screens`: the index of the picture of each of its looks."""
    events = _in_order(_joined(*_parts(desk, options, rng, screens)))
    return _in_order(_joined(events, _restated(events, options)))


def segment_bounds(events: Events, options: SimulationOptions) -> np.ndarray:
    """Where segments begin, as indexes of events, with the number of events at the end."""
    starts = np.flatnonzero(np.diff(_pieces(events, options))) + 1
    return np.concatenate([[0], starts, [len(events)]])


def segment_tables(
    events: Events, bounds: np.ndarray, desk: Desk, person: Person, offset_us: int
) -> Iterator[tuple[pa.Table, np.ndarray]]:
    """The events of each segment in `SEGMENT_SCHEMA`, without pictures; and the index of the picture in each row.

    `offset_us` is added to all times, by a clock that is wrong.
    """
    table = _table(events, desk, person, offset_us)
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        yield table.slice(start, stop - start), events.screen[start:stop]


def with_pictures(
    table: pa.Table, screen: np.ndarray, pictures: dict[int, Picture], options: SimulationOptions
) -> pa.Table:
    """Fill in the columns of pictures; only the first event of a segment with a picture carries its bytes."""
    rows = np.flatnonzero(screen >= 0)
    shown = [pictures[number] for number in screen[rows].tolist()]
    seen: set[str] = set()
    data = [None if p.hash in seen or seen.add(p.hash) else p.data for p in shown]  # type: ignore[func-returns-value]
    place = np.full(len(screen), -1)
    place[rows] = np.arange(len(rows))
    index = pa.array(place, mask=place < 0)
    values = {
        "picture": pa.array(data, pa.binary()),
        "picture_hash": pa.array([p.hash for p in shown], pa.string()),
        "picture_dhash": pa.array([p.dhash for p in shown], pa.int64()),
        "picture_width_px": pa.array([options.width_px] * len(shown), pa.int32()),
        "picture_height_px": pa.array([options.height_px] * len(shown), pa.int32()),
        "picture_change_ppm": _changes(shown, restated=table.column("seq")[0].as_py() > 0, options=options),
    }
    for name, column in values.items():
        at = SEGMENT_SCHEMA.get_field_index(name)
        table = table.set_column(at, SEGMENT_SCHEMA.field(name), column.take(index))
    return table


def _changes(shown: list[Picture], restated: bool, options: SimulationOptions) -> pa.Array:
    """How much of the screen each picture changed; null where it was not looked at: at first, and in reuse."""
    if options.screens == "reuse" or not shown:
        return pa.nulls(len(shown), pa.int32())
    changes = [after.change_ppm(before) for before, after in pairwise(shown)]
    return pa.array([0 if restated else None, *changes], pa.int32())


# ---------------------------------------------------------------------------------------------------- events


def _parts(desk: Desk, options: SimulationOptions, rng: np.random.Generator, screens: np.ndarray) -> Iterator[Events]:
    """The events of each source, each with its columns; not in order."""
    script = desk.script
    focus_us = np.array([focus.time_us for focus in script.focuses], np.int64)
    flags = np.zeros(len(focus_us), np.int32)
    flags[0] = Flag.RESTATED
    yield _part(focus_us, Kind.FOCUS, rank=0, focus=np.arange(len(focus_us)), flags=flags)
    looks = np.array([(look.time_us, look.action) for look in script.looks], np.int64)
    yield _part(looks[:, 0], Kind.SCREEN, rank=1, screen=screens, action=looks[:, 1])
    marks = np.array([(mark.time_us, mark.kind, mark.action) for mark in script.marks], np.int64).reshape(-1, 3)
    yield _part(marks[:, 0], marks[:, 1], mark=np.arange(len(marks)), action=marks[:, 2])
    samples = expand_paths(script.paths, rng, options.width_px, options.height_px)
    yield _part(samples.time_us, Kind.MOVE, x=samples.x, y=samples.y, action=samples.action)
    yield _button_part(desk, samples)
    yield _tick_part(desk, samples, rng)
    keys = expand_strokes(script.strokes, script.held, desk.intervals, rng)
    kinds = np.where(keys.down, Kind.KEY_DOWN, Kind.KEY_UP)
    yield _part(keys.time_us, kinds, key=keys.key, text=keys.text, action=keys.action, flags=keys.flags)


def _button_part(desk: Desk, samples: Samples) -> Events:
    time_us, down, code, action = np.array(desk.script.buttons, np.int64).reshape(-1, len(Button._fields)).T
    x, y = _pointer_at(time_us, samples, desk)
    kinds = np.where(down, Kind.BUTTON_DOWN, Kind.BUTTON_UP)
    return _part(time_us, kinds, x=x, y=y, button=code, action=action)


def _tick_part(desk: Desk, samples: Samples, rng: np.random.Generator) -> Events:
    """A tick a step; each is late by up to a quarter of a step, as fingers are."""
    ticks = np.array(desk.script.ticks, np.int64).reshape(-1, len(Ticks._fields))
    start_us, count, step_us, wheel_x, wheel_y, action = ticks.T
    scroll = np.repeat(np.arange(len(ticks)), count)
    number = np.arange(len(scroll)) - np.repeat(np.cumsum(count) - count, count)
    late_us = rng.integers(0, 1000, len(scroll)) * step_us[scroll] // 4000
    time_us = start_us[scroll] + number * step_us[scroll] + late_us
    x, y = _pointer_at(time_us, samples, desk)
    wheels = {"wheel_x": wheel_x[scroll] * WHEEL_UNITS_PER_TICK, "wheel_y": wheel_y[scroll] * WHEEL_UNITS_PER_TICK}
    return _part(time_us, Kind.SCROLL, x=x, y=y, action=action[scroll], **wheels)


def _pointer_at(time_us: np.ndarray, samples: Samples, desk: Desk) -> tuple[np.ndarray, np.ndarray]:
    """Where the pointer is: at the last sample, or where it was when the recording began."""
    before = np.searchsorted(samples.time_us, time_us, side="right")
    x, y = (desk.script.paths[0].x, desk.script.paths[0].y) if desk.script.paths else (desk.x, desk.y)
    return np.append(x, samples.x)[before], np.append(y, samples.y)[before]


def _part(time_us: np.ndarray, kind: Kind | np.ndarray, **columns: np.ndarray | int) -> Events:
    """Events with some columns; others are null."""
    absent = {column.name: -1 for column in fields(Events)} | {"rank": 2, "flags": 0, "wheel_x": 0, "wheel_y": 0}
    values = absent | {"kind": kind} | columns
    arrays = {name: np.broadcast_to(np.asarray(value, np.int32), len(time_us)) for name, value in values.items()}
    return Events(**(arrays | {"time_us": time_us}))


def _joined(*parts: Events) -> Events:
    return Events(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(Events)))


def _in_order(events: Events) -> Events:
    return events.take(np.lexsort((events.rank, events.time_us)))


def _pieces(events: Events, options: SimulationOptions) -> np.ndarray:
    """In which stretch of `segment_minutes` each event lies."""
    return (events.time_us - options.start_us) // round(options.segment_minutes * 60_000_000)


def _restated(events: Events, options: SimulationOptions) -> Events:
    """The window in focus and the last picture again, right before the first event of each later segment."""
    piece = _pieces(events, options)
    firsts = np.flatnonzero(np.diff(piece)) + 1
    segment_us = round(options.segment_minutes * 60_000_000)
    boundary_us = options.start_us + piece[firsts] * segment_us
    time_us = np.maximum(boundary_us, events.time_us[firsts] - _RESTATED_LEAD_US)
    parts = []
    for column, kind, rank in (("focus", Kind.FOCUS, 0), ("screen", Kind.SCREEN, 1)):
        values = getattr(events, column)
        last = np.maximum.accumulate(np.where(values >= 0, np.arange(len(values)), 0))
        part = _part(time_us, kind, rank=rank - 2, flags=Flag.RESTATED)
        parts.append(replace(part, **{column: values[last[firsts - 1]]}))
    return _joined(*parts)


# ---------------------------------------------------------------------------------------------------- tables


def _table(events: Events, desk: Desk, person: Person, offset_us: int) -> pa.Table:
    code = np.where(events.key >= 0, key_codes()[events.key], events.button)
    columns = {
        "seq": np.arange(len(events)),
        "time_us": events.time_us + offset_us,
        "kind": events.kind,
        "flags": events.flags,
        "x": _nullable(events.x, events.x >= 0, POSITION_UNITS_PER_PX),
        "y": _nullable(events.y, events.y >= 0, POSITION_UNITS_PER_PX),
        "code": _nullable(code, code >= 0),
        "wheel_x": _nullable(events.wheel_x, events.wheel_x != 0),
        "wheel_y": _nullable(events.wheel_y, events.wheel_y != 0),
    }
    columns |= _text_columns(events, desk, person)
    arrays = [
        pa.array(columns[field.name]).cast(field.type) if field.name in columns else pa.nulls(len(events), field.type)
        for field in SEGMENT_SCHEMA
    ]
    return pa.table(arrays, schema=SEGMENT_SCHEMA)


def _text_columns(events: Events, desk: Desk, person: Person) -> dict[str, pa.Array]:
    """The columns of text. A mark's description is in `text` and its outcome in `key`, where keys have theirs."""
    script, characters = desk.script, symbols()
    marked = np.where(events.mark >= 0, events.mark + len(characters), -1)
    focuses = script.focuses
    return {
        "key": _looked_up([*key_names(), *(mark.outcome for mark in script.marks)], np.maximum(events.key, marked)),
        "text": _looked_up(
            [*characters, *(mark.description for mark in script.marks)], np.maximum(events.text, marked)
        ),
        "app": _looked_up([person.applications[focus.application].name for focus in focuses], events.focus),
        "title": _looked_up([focus.title for focus in focuses], events.focus),
        "url": _looked_up([focus.url for focus in focuses], events.focus),
    }


def _looked_up(values: list[str | None], index: np.ndarray) -> pa.Array:
    return pa.array(values, pa.string()).take(pa.array(index, mask=index < 0))


def _nullable(values: np.ndarray, valid: np.ndarray, times: int = 1) -> pa.Array:
    return pa.array((values * times).astype(np.int32), mask=~valid)
