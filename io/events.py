"""The event table: one row for one thing that happened at the computer.

Everything upstream of a dataset speaks this table: capture clients and importers fill it, segments store it,
the transforms read it. Times are `int64` microseconds UTC. Kinds, flags and units are in `taskreel.io.kinds`.
"""

from __future__ import annotations

import pyarrow as pa

from taskreel.io.kinds import POSITION_UNITS_PER_PX, WHEEL_UNITS_PER_TICK, Flag, Kind

__all__ = [
    "EVENT_SCHEMA",
    "POSITION_UNITS_PER_PX",
    "SEGMENT_SCHEMA",
    "WHEEL_UNITS_PER_TICK",
    "Flag",
    "Kind",
    "event_table",
]

EVENT_SCHEMA = pa.schema(
    [
        pa.field("seq", pa.int64(), nullable=False),
        pa.field("time_us", pa.int64(), nullable=False),
        pa.field("kind", pa.int8(), nullable=False),
        pa.field("flags", pa.int32(), nullable=False),
        pa.field("x", pa.int32()),
        pa.field("y", pa.int32()),
        pa.field("code", pa.int32()),
        pa.field("wheel_x", pa.int32()),
        pa.field("wheel_y", pa.int32()),
        pa.field("key", pa.string()),
        pa.field("text", pa.string()),
        pa.field("app", pa.string()),
        pa.field("title", pa.string()),
        pa.field("url", pa.string()),
        pa.field("picture_hash", pa.string()),
        pa.field("picture_dhash", pa.int64()),
        pa.field("picture_width_px", pa.int32()),
        pa.field("picture_height_px", pa.int32()),
        pa.field("picture_change_ppm", pa.int32()),
        pa.field("fingers", pa.int8()),
    ]
)
"""The columns of an event without its picture.

- `x`, `y`: of the pointer, null where it is not known (input by evdev under Wayland).
- `code`: a Linux key code for keys, the X11 number for buttons (1 left, 2 middle, 3 right, 8 back, 9 forward).
- `key`: the key's name, PyAutoGUI's where it has one ("a", "enter", "ctrlleft"); `text`: what the press produced.
- `wheel_x`, `wheel_y`: positive is right and up, in 1/`WHEEL_UNITS_PER_TICK` tick.
- `app`, `title`, `url`: of the window that took focus. On markers, `text` is the description, `key` the outcome.
- `picture_hash`: the first 32 hex digits of the picture's sha256. A screen event without picture bytes shows the
  picture with the same hash in the same segment. `picture_dhash`: a 64-bit difference hash, for likeness.
- `picture_change_ppm`: how much of the screen had visibly changed since the screen event before it, in pixels a
  million, as measured where the pixels were; null where it was not. `fingers`: on a touchpad at a button's press.
"""

SEGMENT_SCHEMA = EVENT_SCHEMA.append(pa.field("picture", pa.binary()))
"""What a capture client hands over: events, and the encoded pictures (WebP, PNG, JPEG) of screen events."""


def event_table(columns: dict[str, object], *, schema: pa.Schema = SEGMENT_SCHEMA) -> pa.Table:
    """A table of `schema` from some of its columns; what is not named is null (`flags`: 0).

    Columns are sequences, NumPy arrays or Arrow arrays of one length; raises `ValueError` for an unknown column.
    """
    unknown = set(columns) - set(schema.names)
    if unknown:
        raise ValueError(f"not columns of the event table: {', '.join(sorted(unknown))}")
    rows = len(next(iter(columns.values())))  # type: ignore[arg-type]
    arrays = []
    for field in schema:
        if field.name in columns:
            arrays.append(pa.array(columns[field.name], field.type, from_pandas=True))
        elif field.name == "flags":
            arrays.append(pa.array([0] * rows, field.type))
        else:
            arrays.append(pa.nulls(rows, field.type))
    return pa.table(arrays, schema=schema)
