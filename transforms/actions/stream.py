"""The events of one device as arrays, and what holds at each of them: the pointer's place, keys held, the focus."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

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
    def _is_placed(self) -> bool | np.ndarray:
        """Whether the pointer's place is told: at all rows or at none, or per row."""
        x, y = self.events.column("x"), self.events.column("y")
        if self.rows in (x.null_count, y.null_count):
            return False
        return not x.null_count + y.null_count or pc.and_(x.is_valid(), y.is_valid()).to_numpy()

    @cached_property
    def _last_placed(self) -> np.ndarray:
        """Per row, the last one at or before at which the pointer's place is told, or -1."""
        is_told = self._is_placed
        return np.maximum.accumulate(np.where(is_told, np.arange(self.rows, dtype=np.int32), np.int32(-1)))

    def place(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, y (int32, 1/256 px) as last told at or before some rows, and whether they were; else anything."""
        if self._is_placed is False:
            nowhere = np.zeros(len(rows), np.int32)
            return nowhere, nowhere, np.zeros(len(rows), bool)
        last = rows if self._is_placed is True else self._last_placed[rows]
        return self.numbers("x")[last], self.numbers("y")[last], last >= 0

    @cached_property
    def focus_changes(self) -> np.ndarray:
        """The rows at which another window took focus."""
        return focus_changes(self.events, self.of_kind(Kind.FOCUS))

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

    `name` indexes `names`, `text` indexes `texts`; no text is an empty one.
    """

    def __init__(self, stream: Stream) -> None:
        self.rows = stream.of_kind(Kind.KEY_DOWN, Kind.KEY_UP)
        self.is_down = stream.kind == Kind.KEY_DOWN
        self.name, self.names = _key_names(stream.events, self.rows)
        self.text, self.texts = _numbered(stream.events.column("text"), self.rows)
        self.bit = np.array([_bits(name) for name in self.names], np.uint8)
        """Per name, its bits in a mask of held keys; 0 for keys that are none of those."""
        self.is_modifier = self.are(lambda name: name in _MODIFIER_OF_KEY)
        self.is_plain = ~self.is_modifier & ~self.are(lambda name: name in _LEVEL_SHIFTS)

    def of_keys(self, values: np.ndarray) -> np.ndarray:
        """Of an array of shape (rows,), what is at the rows of keys."""
        return values if len(self.rows) == len(values) else values[self.rows]

    def are(self, true_of: Callable[[str], bool]) -> np.ndarray:
        """Per name, whether something is true of it."""
        return np.array([true_of(name) for name in self.names], bool)

    def held(self, rows: np.ndarray) -> np.ndarray:
        """The mask of the keys that are held at each of some rows, uint8: the last event of each is a down."""
        return np.zeros(len(rows), np.uint8) if self._mask is None else self._mask[rows]

    @cached_property
    def _mask(self) -> np.ndarray | None:
        """The mask of the keys that are held at each row; None if none ever is."""
        if not self.bit.any():
            return None
        name, is_turn = self.of_keys(self.name), np.zeros(len(self.rows), bool)
        for number in np.flatnonzero(self.bit).tolist():
            is_turn |= name == number
        turns = self.rows[np.flatnonzero(is_turn)]
        name, is_down = self.name[turns], self.is_down[turns]
        masks = np.zeros(len(name) + 1, np.uint8)  # before all turns, and after each
        for number in np.unique(name):
            own = np.flatnonzero(name == number)
            is_held = np.append(is_down[own], False)[last_at_or_before(own, np.arange(len(name)))]
            masks[1:] |= np.where(is_held, self.bit[number], np.uint8(0))
        edges = np.concatenate([[0], turns, [len(self.is_down)]])
        return np.repeat(masks, np.diff(edges))


def _bits(name: str) -> int:
    modifier = _MODIFIER_OF_KEY.get(name)
    bits = 1 << MODIFIERS.index(modifier) if modifier else ALTGR if name in _ALTGR_KEYS else 0
    return bits | OPTION if name.startswith("option") and modifier else bits


def _key_names(events: pa.Table, rows: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """The names of keys; one without is called by its code."""
    number, names = _numbered(events.column("key"), rows)
    if "" not in names or not (number[rows] == names.index("")).any():
        return number, names
    keys = events.select(["key", "code"]).take(pa.array(rows)).combine_chunks()
    named = [row["key"] or f"key{row['code'] or 0}" for row in keys.to_pylist()]
    names = sorted(set(named))
    place = {name: index for index, name in enumerate(names)}
    number = np.zeros(events.num_rows, np.int64)
    number[rows] = [place[name] for name in named]
    return number, names


def _numbered(values: pa.ChunkedArray, rows: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Strings as numbers in as few bytes as hold them, and what the numbers mean; null is as empty.

    `rows`: where it counts; if this is nowhere, there is nothing to do.
    """
    if not len(rows):
        return np.zeros(len(values), np.uint8), []
    words = values.combine_chunks()
    if not isinstance(words, pa.DictionaryArray):
        words = words.dictionary_encode(null_encoding="encode")
    texts = [text or "" for text in words.dictionary.to_pylist()]
    number = words.indices
    if number.null_count:
        number = pc.fill_null(number.cast(pa.int32()), len(texts))
        texts.append("")
    small = np.uint8 if len(texts) <= 1 << 8 else np.uint16 if len(texts) <= 1 << 16 else np.int64
    return _without_twins(number.to_numpy().astype(small), texts)


def _without_twins(number: np.ndarray, texts: list[str]) -> tuple[np.ndarray, list[str]]:
    """The same with each text once: null and empty are two words and one text."""
    if texts.count("") < 2:
        return number, texts
    first = np.array([texts.index(text) for text in texts], number.dtype)
    return first[number], texts


def dictionary(values: pa.Array | pa.ChunkedArray) -> pa.DictionaryArray:
    """A column of strings with its dictionary, in one piece."""
    values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return values if isinstance(values, pa.DictionaryArray) else values.dictionary_encode()
