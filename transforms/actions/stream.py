"""The events of one device as arrays, and what holds at each of them: the pointer's place, keys held, the focus."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taskreel.io.events import Flag, Kind
from taskreel.transforms.actions.rules import MODIFIERS

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
    return _repeated(np.arange(-1, len(marks)), marks, rows)


def _repeated(values: np.ndarray, marks: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Per row of `rows`, the value that holds there: the first before all of `marks`, the others from one mark each."""
    edges = np.concatenate([[0], np.searchsorted(rows, marks), [len(rows)]])
    return np.repeat(values, np.diff(edges))


class Stream:
    """The events of one device, in order. Arrays have the shape (rows,) unless they say otherwise.

    `marks`: the rows, sorted, before or at which a marker of any device lies.
    """

    def __init__(self, events: pa.Table, marks: np.ndarray) -> None:
        self.events = events
        self.rows = events.num_rows
        self.marks = marks
        self.time_us = events.column("time_us").to_numpy()
        self.kind = events.column("kind").to_numpy()
        self.flags = events.column("flags").to_numpy()
        self._numbers: dict[str, np.ndarray] = {}

    def numbers(self, column: str) -> np.ndarray:
        """A column of whole numbers, null as 0."""
        if column not in self._numbers:
            values = self.events.column(column)
            self._numbers[column] = (pc.fill_null(values, 0) if values.null_count else values).to_numpy()
        return self._numbers[column]

    def of_kind(self, *kinds: Kind) -> np.ndarray:
        """The rows of some kinds."""
        found = self.kind == kinds[0]
        for kind in kinds[1:]:
            found |= self.kind == kind
        return np.flatnonzero(found)

    @cached_property
    def keys(self) -> Keys:
        """The keyboard's part."""
        return Keys(self)

    @cached_property
    def _placed(self) -> np.ndarray | None:
        """The rows at which the pointer's place is told; None for all."""
        x, y = self.events.column("x"), self.events.column("y")
        if not x.null_count and not y.null_count:
            return None
        return np.flatnonzero(pc.and_(x.is_valid(), y.is_valid()).to_numpy())

    def place(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, y (whole numbers of 1/256 px, float64) as last told at or before sorted rows, and whether they were."""
        known = np.ones(len(rows), bool)
        if self._placed is not None:
            index = last_at_or_before(self._placed, rows)
            known = index >= 0
            rows = np.append(self._placed, 0)[index]
        x, y = (self.numbers(axis)[rows].astype(np.float64) for axis in ("x", "y"))
        return x, y, known

    def place_in_any_order(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`place` for rows that are not sorted."""
        if self._placed is None or (rows[1:] >= rows[:-1]).all():
            return self.place(rows)
        order = np.argsort(rows, kind="stable")
        back = np.empty(len(rows), np.int64)
        back[order] = np.arange(len(rows))
        x, y, known = self.place(rows[order])
        return x[back], y[back], known[back]

    @cached_property
    def focus_changes(self) -> np.ndarray:
        """The rows at which a window took focus. What a segment states again is no change, unless it differs."""
        rows = self.of_kind(Kind.FOCUS)
        restated = self.flags[rows] & Flag.RESTATED != 0
        if not restated.any():
            return rows
        windows = self.events.select(["app", "title", "url"]).take(pa.array(rows)).to_pylist()
        again = [number > 0 and windows[number] == windows[number - 1] for number in range(len(windows))]
        return rows[~(restated & np.array(again))]

    def windows(self, rows: np.ndarray) -> dict[str, pa.Array]:
        """Application, title and URL of the window that has the focus at each of some sorted rows."""
        changes = self.focus_changes
        focus = last_at_or_before(changes, rows).astype(np.int32)
        number = pa.array(focus, mask=focus < 0) if len(focus) and focus[0] < 0 else pa.array(focus)
        columns = {}
        for name in ("app", "title", "url"):
            words = dictionary(self.events.column(name).take(pa.array(changes)))
            indices = words.indices.cast(pa.int32()).take(number)
            columns[name] = pa.DictionaryArray.from_arrays(indices, words.dictionary)
        return columns


class Keys:
    """The keys of a stream. Arrays have the shape (rows,), and mean nothing at rows of other events.

    `name` indexes `names`, `text` indexes `texts`, of which the last is none at all.
    """

    def __init__(self, stream: Stream) -> None:
        self.rows = stream.of_kind(Kind.KEY_DOWN, Kind.KEY_UP)
        self.is_down = stream.kind == Kind.KEY_DOWN
        self.name, self.names = _indices(_names(stream.events, self.rows))
        self.text, self.texts = _indices(stream.events.column("text") if len(self.rows) else pa.nulls(0, pa.string()))
        self.bit = np.array([_bits(name) for name in self.names], np.uint8)
        """Per name, its bits in a mask of held keys; 0 for keys that are none of those."""
        self.is_modifier = self.are(lambda name: name in _MODIFIER_OF_KEY)
        self.is_plain = ~self.is_modifier & ~self.are(lambda name: name in _LEVEL_SHIFTS)
        self._turns = self.rows[(self.bit != 0)[self.of_keys(self.name)]] if self.bit.any() else self.rows[:0]
        self._masks = self._masks_after_turns()

    def of_keys(self, values: np.ndarray) -> np.ndarray:
        """Of an array of shape (rows,), what is at the rows of keys."""
        return values if len(self.rows) == len(values) else values[self.rows]

    def are(self, true_of: Callable[[str], bool]) -> np.ndarray:
        """Per name, whether something is true of it."""
        return np.array([true_of(name) for name in self.names], bool)

    def held(self, rows: np.ndarray) -> np.ndarray:
        """The mask of the keys that are held at each of some sorted rows, uint8: the last event of each is a down."""
        if len(self._turns) > len(rows):
            return self._masks[np.searchsorted(self._turns, rows, side="right")]
        return _repeated(self._masks, self._turns, rows)

    def _masks_after_turns(self) -> np.ndarray:
        """The mask before all turns (events of keys that are in masks), and after each."""
        name, is_down = self.name[self._turns], self.is_down[self._turns]
        masks = np.zeros(len(name) + 1, np.uint8)
        for number in np.unique(name):
            own = np.flatnonzero(name == number)
            is_held = np.append(is_down[own], False)[last_at_or_before(own, np.arange(len(name)))]
            masks[1:] |= np.where(is_held, self.bit[number], np.uint8(0))
        return masks


def _bits(name: str) -> int:
    modifier = _MODIFIER_OF_KEY.get(name)
    bits = 1 << MODIFIERS.index(modifier) if modifier else ALTGR if name in _ALTGR_KEYS else 0
    return bits | OPTION if name.startswith("option") and modifier else bits


def _names(events: pa.Table, rows: np.ndarray) -> pa.DictionaryArray:
    """The names of keys; one without is called by its code."""
    if not len(rows):
        return pa.nulls(0, pa.string())
    words = dictionary(events.column("key"))
    named = words.null_count == len(words) - len(rows) and "" not in words.dictionary.to_pylist()
    if named and words.is_valid().to_numpy(zero_copy_only=False)[rows].all():
        return words
    names = words.cast(pa.string())
    codes = pc.fill_null(events.column("code"), 0).combine_chunks().cast(pa.string())
    by_code = pc.binary_join_element_wise("key", codes, "")
    is_named = pc.fill_null(pc.not_equal(names, ""), False)
    return pc.if_else(is_named, names, by_code)


def _indices(values: pa.Array | pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    """Strings as numbers in as few bytes as hold them, and what the numbers mean; the last is for null, and empty."""
    words = dictionary(values)
    none = len(words.dictionary)
    small = pa.uint8() if none < 1 << 8 else pa.uint16() if none < 1 << 16 else pa.int64()
    indices = pc.fill_null(words.indices.cast(small), pa.scalar(none, small))
    return indices.to_numpy(zero_copy_only=False), [*words.dictionary.to_pylist(), ""]


def dictionary(values: pa.Array | pa.ChunkedArray) -> pa.DictionaryArray:
    """A column of strings with its dictionary, in one piece."""
    values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return values if isinstance(values, pa.DictionaryArray) else values.dictionary_encode()
