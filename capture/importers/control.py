"""Tag the recorder's own control keys: a foreign recording ends with the keys that stopped it still down.

What the samples show: evemu's keyboard ends with Ctrl down, 0.16 s later C down, and nothing; OWAMcap's with Ctrl and
0.05 s later C. The releases came when nobody recorded any more. A click on the recorder's own menu, as at the end of
the DuckTrack sample, cannot be told from any other click and is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from taskreel.io.events import Flag, Kind

CONTROL_US = 2_000_000
"""How long before the end of the recording its stop keys can have gone down: nobody holds a chord longer."""

_FOR_TYPING = ("shift", "altgr", "capslock", "numlock", "iso_level", "compose", "dead_")
_MODIFIERS = ("ctrl", "alt", "option", "win", "command", "cmd", "super", "meta", "shift")


@dataclass
class _Press:
    """A press of a key: its rows (the down, repeats, and the up if there is one)."""

    name: str
    types: bool
    rows: list[int] = field(default_factory=list)
    is_open: bool = True


def tag_recorder_control(events: pa.Table) -> pa.Table:
    """`events` (`SEGMENT_SCHEMA`, in order of time) with `Flag.RECORDER_CONTROL` on the keys that ended the recording.

    These are the keys that went down in the last `CONTROL_US` and never came up. If only modifiers are left of a chord,
    the one key that was pressed and released under them belongs to it. Left alone is what a recording also ends with
    that was cut off while somebody worked: keys that only type (a letter, Shift and a letter), and modifiers under
    which several keys were pressed.
    """
    rows = control_rows(events)
    if not len(rows):
        return events
    flags = events.column("flags").to_numpy().copy()
    flags[rows] |= int(Flag.RECORDER_CONTROL)
    index = events.schema.get_field_index("flags")
    return events.set_column(index, events.schema.field(index), pa.array(flags, events.schema.field(index).type))


def control_rows(events: pa.Table) -> np.ndarray:
    """The rows of the keys that ended the recording, rising."""
    presses = _last_presses(events)
    left = [press for press in presses if press.is_open]
    if all(press.types for press in left):
        return np.array([], np.int64)
    chord = left
    if all(press.name.startswith(_MODIFIERS) for press in left):
        under = [press for press in presses if not press.is_open and press.rows[0] > min(p.rows[0] for p in left)]
        plain = [press for press in under if not press.name.startswith(_MODIFIERS)]
        chord = left + plain if len(plain) <= 1 else []
    return np.sort(np.array([row for press in chord for row in press.rows], np.int64))


def _last_presses(events: pa.Table) -> list[_Press]:
    """The presses that began in the last `CONTROL_US`, in the order of their downs."""
    kind, time_us = events.column("kind").to_numpy(), events.column("time_us").to_numpy()
    keys = np.flatnonzero((kind == Kind.KEY_DOWN) | (kind == Kind.KEY_UP))
    first = int(np.searchsorted(time_us[keys], time_us[-1] - CONTROL_US)) if len(keys) else 0
    held = _held(events, keys[:first])
    tail = keys[first:]
    presses: list[_Press] = []
    for row, key in zip(tail.tolist(), _keys(events, tail), strict=True):
        press = next((press for press in presses if press.is_open and press.name == key[0]), None)
        if kind[row] == Kind.KEY_DOWN and press is None and key[0] not in held:
            press = _Press(key[0], types=key[1] or key[0].startswith(_FOR_TYPING))
            presses.append(press)
        if kind[row] == Kind.KEY_UP:
            held.discard(key[0])
        if press:
            press.rows.append(row)
            press.is_open = kind[row] == Kind.KEY_DOWN
    return presses


def _held(events: pa.Table, rows: np.ndarray) -> set[str]:
    """The keys that are down after these rows: what begins as a repeat of one of them is no new press."""
    last = dict(
        zip((name for name, _ in _keys(events, rows)), events.column("kind").take(rows).to_pylist(), strict=True)
    )
    return {name for name, kind in last.items() if kind == Kind.KEY_DOWN}


def _keys(events: pa.Table, rows: np.ndarray) -> Iterable[tuple[str, bool]]:
    """The name of each key, and whether it wrote something."""
    some = events.select(["key", "code", "text"]).take(rows)
    columns = (some.column(name).to_pylist() for name in some.column_names)
    return [
        (key or f"key{code or 0}", bool(text and text.isprintable())) for key, code, text in zip(*columns, strict=True)
    ]
