"""The events of one device as arrays, and what holds at each of them: the pointer's place, keys held, the focus."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taskreel.io.events import Kind
from taskreel.transforms.actions.rules import MODIFIERS
from taskreel.transforms.looks import focus_changes

ALTGR, OPTION = 1 << len(MODIFIERS), 2 << len(MODIFIERS)
"""Bits of a mask of held keys, above those of `MODIFIERS`."""

_MODIFIER_OF_KEY = {
    f"{name}{side}": modifier
    for modifier, names in {
        "ctrl": ("ctrl",),
        "alt": ("alt", "option"),
        "shift": ("shift",),
        "meta": ("meta", "win", "command", "cmd", "super"),
    }.items()
    for name in names
    for side in ("", "left", "right")
}
_ALTGR_KEYS = ("altgr", "iso_level3_shift")
_LEVEL_SHIFTS = (*_ALTGR_KEYS, "iso_level5_shift", "capslock", "numlock", "scrolllock", "fn")


def last_at_or_before(marks: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Per row of `rows`, the index of the last of `marks` at or before it, or -1. Both are sorted rows."""
    if len(marks) > len(rows):
        return np.searchsorted(marks, rows, side="right") - 1
    edges = np.concatenate([[0], np.searchsorted(rows, marks, side="left"), [len(rows)]])
    return np.repeat(np.arange(-1, len(marks)), np.diff(edges))


class Stream:
    """The events of one device, in order. Arrays have the shape (rows,) unless they say otherwise.

    `epoch` counts the markers of all devices before each event, or is None if there are none.
    """

    def __init__(self, events: pa.Table, epoch: np.ndarray | None) -> None:
        self.events = events
        self.rows = events.num_rows
        self.epoch = epoch
        self._numbers: dict[str, np.ndarray] = {}
        self.time_us = events.column("time_us").to_numpy()
        self.kind = events.column("kind").to_numpy()
        self.flags = events.column("flags").to_numpy()
        self.keys = Keys(self)
        self._placed = self._rows_with_a_place()
        self._focus_rows = focus_changes(events, self.of_kind(Kind.FOCUS))

    def numbers(self, column: str, rows: np.ndarray | None = None) -> np.ndarray:
        """A column of whole numbers at some rows, or at all; null as 0."""
        if column not in self._numbers:
            values = self.events.column(column)
            self._numbers[column] = (pc.fill_null(values, 0) if values.null_count else values).to_numpy()
        return self._numbers[column] if rows is None else self._numbers[column][rows]

    def of_kind(self, *kinds: Kind) -> np.ndarray:
        """The rows of some kinds."""
        found = self.kind == kinds[0]
        for kind in kinds[1:]:
            found |= self.kind == kind
        return np.flatnonzero(found)

    def _rows_with_a_place(self) -> np.ndarray | None:
        """The rows at which the pointer's place is told; None for all."""
        x, y = self.events.column("x"), self.events.column("y")
        if not x.null_count and not y.null_count:
            return None
        return np.flatnonzero(pc.and_(x.is_valid(), y.is_valid()).to_numpy())

    def place(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, y (int64, 1/256 px) as last told at or before sorted rows, and whether they were; else 0."""
        known = np.ones(len(rows), bool)
        if self._placed is not None:
            index = last_at_or_before(self._placed, rows)
            known = index >= 0
            rows = np.append(self._placed, 0)[index]
        x, y = (self.numbers(axis, rows).astype(np.int64) for axis in ("x", "y"))
        return (x, y, known) if known.all() else (np.where(known, x, 0), np.where(known, y, 0), known)

    def place_in_any_order(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`place` for rows that are not sorted."""
        if (np.diff(rows) >= 0).all():
            return self.place(rows)
        order = np.argsort(rows, kind="stable")
        back = np.empty(len(rows), np.int64)
        back[order] = np.arange(len(rows))
        x, y, known = self.place(rows[order])
        return x[back], y[back], known[back]

    def focus(self, rows: np.ndarray) -> np.ndarray:
        """The number of the focus that holds at each of some sorted rows, -1 for none."""
        return last_at_or_before(self._focus_rows, rows)

    def of_focus(self, column: str, focus: np.ndarray) -> pa.DictionaryArray:
        """A column of the windows in focus, by the numbers that `focus` gives."""
        values = self.events.column(column).take(pa.array(self._focus_rows)).combine_chunks()
        words = _dictionary(values)
        indices = words.indices.take(pa.array(focus, mask=focus < 0))
        return pa.DictionaryArray.from_arrays(indices.cast(pa.int32()), words.dictionary)


class Keys:
    """The key events of a stream; arrays have the shape (key events,).

    `name` indexes `names`, `text` indexes `texts`, of which the last is none at all.
    """

    def __init__(self, stream: Stream) -> None:
        self.rows = stream.of_kind(Kind.KEY_DOWN, Kind.KEY_UP)
        self.is_down = stream.kind[self.rows] == Kind.KEY_DOWN
        self._stream_rows = stream.rows
        every = len(self.rows) == stream.rows
        events = stream.events.select(["key", "text", "code"])
        events = events if every else events.take(pa.array(self.rows))
        words = _names(events)
        self.names: list[str] = words.dictionary.to_pylist()
        small = np.uint8 if len(self.names) <= 1 << 8 else np.uint16 if len(self.names) <= 1 << 16 else np.int64
        self.name = words.indices.to_numpy().astype(small)
        texts = _dictionary(events.column("text").combine_chunks())
        self.texts: list[str] = [*texts.dictionary.to_pylist(), ""]
        self.text = pc.fill_null(texts.indices, len(self.texts) - 1).to_numpy()
        self.bit = np.array([_bits(name) for name in self.names], np.uint8)
        """Per name, its bits in a mask of held keys; 0 for keys that are none of those."""
        self.is_level_shift = np.array([name in _LEVEL_SHIFTS for name in self.names], bool)
        self.is_modifier = np.array([name in _MODIFIER_OF_KEY for name in self.names], bool)
        self.is_plain = ~(self.is_modifier | self.is_level_shift)
        self._holding = [
            (bit, self.rows[mine], self.is_down[mine])
            for number, bit in enumerate(self.bit.tolist())
            if bit and len(mine := np.flatnonzero(self.name == number))
        ]

    def name_at(self, rows: np.ndarray) -> np.ndarray:
        """The name numbers at some rows, which are of key events."""
        return self.name[self._index(rows)]

    def text_at(self, rows: np.ndarray) -> np.ndarray:
        """The text numbers at some rows, which are of key events."""
        return self.text[self._index(rows)]

    def _index(self, rows: np.ndarray) -> np.ndarray:
        return rows if len(self.rows) == self._stream_rows else np.searchsorted(self.rows, rows)

    def held(self, rows: np.ndarray) -> np.ndarray:
        """The mask of the keys that are held at each of some sorted rows, uint8: the last event of each is a down."""
        mask = np.zeros(len(rows), np.uint8)
        for bit, mine, is_down in self._holding:
            is_held = np.append(is_down, False)[last_at_or_before(mine, rows)]
            mask |= np.where(is_held, np.uint8(bit), np.uint8(0))
        return mask

    def table(self, true_of: Callable[[str], bool]) -> np.ndarray:
        """Per name, whether a predicate holds."""
        return np.array([true_of(name) for name in self.names], bool)


def _bits(name: str) -> int:
    modifier = _MODIFIER_OF_KEY.get(name)
    bits = 1 << MODIFIERS.index(modifier) if modifier else ALTGR if name in _ALTGR_KEYS else 0
    return bits | OPTION if name.startswith("option") and modifier else bits


def _names(events: pa.Table) -> pa.DictionaryArray:
    """The names of keys; one without is called by its code."""
    words = _dictionary(events.column("key"))
    if not words.null_count and "" not in words.dictionary.to_pylist():
        return words
    names = words.cast(pa.string())
    codes = pc.fill_null(events.column("code"), 0).combine_chunks().cast(pa.string())
    by_code = pc.binary_join_element_wise("key", codes, "")
    is_named = pc.fill_null(pc.not_equal(names, ""), False)
    return pc.if_else(is_named, names, by_code).dictionary_encode()


def _dictionary(values: pa.Array) -> pa.DictionaryArray:
    values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return values if isinstance(values, pa.DictionaryArray) else values.dictionary_encode()
