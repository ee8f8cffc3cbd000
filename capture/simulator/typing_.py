"""Typing: from texts to keys that go down and up, in a person's rhythm, for a whole recording at once.

What is pressed is a string in which control characters stand for keys without text (`KEYS`). Its characters are
*symbols*: ASCII by its code, and behind it some others, so that all tables here are small arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np

from taskreel.capture.simulator.people import Rhythm
from taskreel.capture.simulator.script import NEVER_US, Held, Strokes
from taskreel.io.events import Flag

_SHIFTED = dict(zip('!@#$%^&*()_+{}|:"<>?~', "1234567890-=[]\\;',./`", strict=True))
_NAMED = {
    "\x01": ("ctrlleft", 29),
    "\x02": ("altleft", 56),
    "\x03": ("shiftleft", 42),
    "\x04": ("winleft", 125),
    "\b": ("backspace", 14),
    "\t": ("tab", 15),
    "\n": ("enter", 28),
    "\x1b": ("esc", 1),
    "\x7f": ("delete", 111),
    "\x11": ("up", 103),
    "\x12": ("down", 108),
    "\x13": ("left", 105),
    "\x14": ("right", 106),
    "\x15": ("pageup", 104),
    "\x16": ("pagedown", 109),
    "\x17": ("home", 102),
    "\x18": ("end", 107),
    " ": ("space", 57),
    "\x05": ("dead_acute", 40),
    "\x06": ("dead_grave", 41),
    "\x07": ("compose", 127),
    "\x0e": ("altgr", 100),
}
_ROWS = {2: "1234567890-=", 16: "qwertyuiop[]", 30: "asdfghjkl;'`", 43: "\\zxcvbnm,./"}
"""Linux codes of the keys of a US keyboard that produce text: the code of each row's first key."""

_COMPOSED = {
    **{character: ("\x05", key) for character, key in zip("éáóí", "eaoi", strict=True)},
    **{character: ("\x06", key) for character, key in zip("èàù", "eau", strict=True)},
    **{character: ("\x07", key) for character, key in zip("😀🚀👍", "hry", strict=True)},
}
"""Characters that take two keys: the first says what becomes of the second."""
_BY_ALTGR = dict(zip("€üößñæ", "5ypsnz", strict=True))
"""Characters on the third level of the US international keyboard."""
_SPELLED = {**{character: keys[0] + character for character, keys in _COMPOSED.items()}, **{c: c for c in _BY_ALTGR}}
_FOREIGN = list(_SPELLED)

KEYS = {name: character for character, (name, _) in _NAMED.items()}
"""The character that stands for a key, by PyAutoGUI's name."""

REPEAT_DELAY_US = 660_000
REPEAT_INTERVAL_US = 40_000
"""The X server's own."""

_SHIFT, _ALTGR = ord("\x03"), ord("\x0e")
SHORTEST_INTERVAL_SHARE = 0.5
_SHIFT_LEAD_US = 60_000
_SAFE_US = 2_000
_FIRST_US = 70_000
_CORRECTION_US = 180_000
_BLOCK = 4096


@dataclass(frozen=True)
class KeyEvents:
    """Keys going down (`down`) and up. `key` indexes `key_names()` and codes; `text` is a symbol or -1."""

    time_us: np.ndarray
    down: np.ndarray
    key: np.ndarray
    text: np.ndarray
    action: np.ndarray
    flags: np.ndarray


class Intervals:
    """The times between a person's keys in the order typed: drawn once, so that acting knows how long a text takes."""

    def __init__(self, rhythm: Rhythm, rng: np.random.Generator) -> None:
        self.rhythm = rhythm
        self._rng = rng
        self._sums = [0]
        self._used = 0

    def take(self, keys: str) -> tuple[int, int]:
        """Where the intervals of these keys begin, and how long the keys take until the last one is up."""
        first, self._used = self._used, self._used + len(keys)
        while len(self._sums) <= self._used:
            self._draw()
        between = self._sums[self._used] - self._sums[first + 1]
        between += self.rhythm.word_pause_us * keys[:-1].count(" ") + _CORRECTION_US * _corrections(keys)
        return first, _FIRST_US + between + 2 * self.rhythm.hold_us

    def array(self) -> np.ndarray:
        """All intervals drawn so far, microseconds."""
        return np.diff(np.array(self._sums))

    def _draw(self) -> None:
        quick, slow = self._rng.random((2, _BLOCK))
        share = SHORTEST_INTERVAL_SHARE + 0.6 * quick + 0.8 * slow * slow * slow * slow
        sums = np.cumsum((self.rhythm.interval_us * share).astype(np.int64)) + self._sums[-1]
        self._sums.extend(sums.tolist())


def expand_strokes(
    strokes: Sequence[Strokes], held: Sequence[Held], intervals: Intervals, rng: np.random.Generator
) -> KeyEvents:
    """All key events of a recording, unsorted. Shift and AltGr go down before the key that needs them, up after it."""
    events = _held_events(held)
    if not strokes:
        return events
    key, action = _characters(strokes)
    first = _firsts(strokes, len(key))
    interval = _between(key, first, strokes, intervals)
    down_us = _downs(interval, first, strokes)
    shifted = np.flatnonzero(_LEVEL[key] >= 0)
    up_us = _ups(key, down_us, interval, first, intervals.rhythm, rng)
    lead_us = np.minimum(_SHIFT_LEAD_US, interval // 2)[shifted]
    none = np.full(len(shifted), -1)
    return _joined(
        events,
        _events(down_us, up_us, _UNSHIFTED[key], _TEXT[key], action),
        _events(down_us[shifted] - lead_us, up_us[shifted] + _SAFE_US, _LEVEL[key[shifted]], none, action[shifted]),
    )


def spelled(text: str) -> str:
    """The keys for a text, as symbols: some characters take two.

    >>> spelled("café")
    'caf\\x05é'

    Raises `KeyError` for a character that the keyboard does not have.
    """
    return text if text.isascii() else "".join(c if c.isascii() else _SPELLED[c] for c in text)


def needs_shift(symbol: str) -> bool:
    """Whether Shift is held for a symbol."""
    return symbol in _SHIFTED or (symbol.isupper() and symbol.isascii())


def symbols() -> list[str]:
    """All symbols, by their number."""
    return _ALL


def key_names() -> list[str | None]:
    """PyAutoGUI's name of each symbol's key; None where a symbol is no key of its own."""
    return [_NAMED[c][0] if c in _NAMED else c if 32 < ord(c) < 127 else None for c in _ALL]


def key_codes() -> np.ndarray:
    """The Linux code of each symbol's key; 0 where a symbol is no key of its own."""
    return _CODES


def _held_events(held: Sequence[Held]) -> KeyEvents:
    table = np.array([(*row[:2], ord(row.key), *row[3:]) for row in held], np.int64).reshape(-1, len(Held._fields))
    down_us, up_us, key, action, repeats, typed, flags = table.T
    text = np.where(typed, _TEXT[key], -1)
    pressed, released = down_us != NEVER_US, up_us != NEVER_US
    repeated = np.repeat(np.arange(len(table)), repeats)
    number = np.arange(len(repeated)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    parts = (
        (True, pressed, down_us[pressed], text, flags),
        (True, repeated, down_us[repeated] + REPEAT_DELAY_US + number * REPEAT_INTERVAL_US, text, Flag.AUTO_REPEAT),
        (False, released, up_us[released], np.full(len(table), -1), flags),
    )
    return _joined(
        *(
            KeyEvents(
                time_us, np.full(len(time_us), down), key[of], what[of], action[of], np.broadcast_to(flag, len(key))[of]
            )
            for down, of, time_us, what, flag in parts
        )
    )


def _characters(strokes: Sequence[Strokes]) -> tuple[np.ndarray, np.ndarray]:
    """The symbols pressed and the action of each."""
    key = np.frombuffer("".join(row.keys for row in strokes).encode("utf-32-le"), np.uint32).astype(np.int64)
    foreign = np.flatnonzero(key >= 128)
    key[foreign] = _FOREIGN_NUMBER[np.searchsorted(_FOREIGN_CODE, key[foreign])]
    return key, np.repeat(np.array([row.action for row in strokes]), [len(row.keys) for row in strokes])


def _firsts(strokes: Sequence[Strokes], total: int) -> np.ndarray:
    """Which keys begin a text."""
    lengths = np.array([len(row.keys) for row in strokes])
    first = np.zeros(total, bool)
    first[np.cumsum(lengths) - lengths] = True
    return first


def _between(key: np.ndarray, first: np.ndarray, strokes: Sequence[Strokes], intervals: Intervals) -> np.ndarray:
    """The time from each key's predecessor to it; for the first of a text, the time from the start of the act."""
    lengths = np.array([len(row.keys) for row in strokes])
    offset = np.array([row.first_interval for row in strokes]) - (np.cumsum(lengths) - lengths)
    interval = intervals.array()[np.arange(len(key)) + np.repeat(offset, lengths)]
    before = np.roll(key, 1)
    interval = interval + np.where(before == ord(" "), intervals.rhythm.word_pause_us, 0)
    interval += np.where((key == ord("\b")) & (before != ord("\b")), _CORRECTION_US, 0)
    return np.where(first, _FIRST_US, interval)


def _downs(interval: np.ndarray, first: np.ndarray, strokes: Sequence[Strokes]) -> np.ndarray:
    elapsed = np.cumsum(interval)
    starts = np.flatnonzero(first)
    base = np.array([row.start_us for row in strokes]) - (elapsed[starts] - interval[starts])
    return elapsed + base[np.cumsum(first) - 1]


def _ups(
    key: np.ndarray,
    down_us: np.ndarray,
    interval: np.ndarray,
    first: np.ndarray,
    rhythm: Rhythm,
    rng: np.random.Generator,
) -> np.ndarray:
    """When keys go up: some only after the next is down, but never one that is needed again, or with shift."""
    hold_us = (rhythm.hold_us * (0.7 + 0.6 * rng.random(len(key)))).astype(np.int64)
    rolls = rng.random(len(key)) < rhythm.roll_share
    following = np.roll(key, -1)
    rolls &= (_LEVEL[key] < 0) & (_UNSHIFTED[key] != _UNSHIFTED[following])
    next_us = np.where(np.roll(first, -1), np.iinfo(np.int64).max, np.roll(down_us, -1))
    lead_us = np.where(_LEVEL[following] >= 0, np.minimum(_SHIFT_LEAD_US, np.roll(interval, -1) // 2), 0)
    return np.where(rolls, down_us + hold_us, np.minimum(down_us + hold_us, next_us - lead_us - 2 * _SAFE_US))


def _events(down_us: np.ndarray, up_us: np.ndarray, key: np.ndarray, text: np.ndarray, action: np.ndarray) -> KeyEvents:
    down = np.repeat([True, False], len(key))
    text = np.concatenate([text, np.full(len(key), -1)])
    flags = np.zeros(2 * len(key), np.int64)
    return KeyEvents(np.concatenate([down_us, up_us]), down, np.tile(key, 2), text, np.tile(action, 2), flags)


def _joined(*parts: KeyEvents) -> KeyEvents:
    return KeyEvents(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(KeyEvents)))


def _corrections(keys: str) -> int:
    """How often a run of backspaces begins."""
    if "\b" not in keys:
        return 0
    return sum(b == "\b" and a != "\b" for a, b in pairwise(keys))


def _unshifted(character: str) -> int:
    key = _COMPOSED.get(character, (None, _BY_ALTGR.get(character)))[1]
    return ord(key or _SHIFTED.get(character, character.lower()))


def _code(character: str) -> int:
    if character in _NAMED:
        return _NAMED[character][1]
    for code, row in _ROWS.items():
        if character in row:
            return code + row.index(character)
    return 0


_ALL = [*map(chr, range(128)), *_FOREIGN]
_FOREIGN_CODE = np.array(sorted(map(ord, _FOREIGN)))
_FOREIGN_NUMBER = np.array([_ALL.index(chr(code)) for code in _FOREIGN_CODE])
_UNSHIFTED = np.array([_unshifted(character) for character in _ALL])
"""The key of each symbol, itself a symbol."""
_LEVEL = np.array([_SHIFT if needs_shift(c) else _ALTGR if c in _BY_ALTGR else -1 for c in _ALL])
"""The key that is held for each symbol, or -1."""
_TEXT = np.array([n if " " <= c < "\x7f" or n >= 128 else -1 for n, c in enumerate(_ALL)])
_CODES = np.array([_code(character) for character in _ALL], np.int32)
