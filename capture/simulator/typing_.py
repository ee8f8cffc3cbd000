"""Typing: from texts to keys that go down and up, in a person's rhythm, for a whole recording at once.

A text is a string of ASCII in which control characters stand for keys without text (`KEYS`), so that all tables
here are arrays of 128 entries, indexed by character.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from taskreel.capture.simulator.people import Rhythm
from taskreel.capture.simulator.script import Held, Strokes

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
}
_ROWS = {2: "1234567890-=", 16: "qwertyuiop[]", 30: "asdfghjkl;'`", 43: "\\zxcvbnm,./"}
"""Linux codes of the keys of a US keyboard that produce text: the code of each row's first key."""

KEYS = {name: character for character, (name, _) in _NAMED.items()}
"""The character that stands for a key, by PyAutoGUI's name."""

SHIFT = ord("\x03")
SHORTEST_INTERVAL_SHARE = 0.5
_SHIFT_LEAD_US = 60_000
_SAFE_US = 2_000
_FIRST_US = 70_000
_CORRECTION_US = 180_000
_BLOCK = 4096


@dataclass(frozen=True)
class KeyEvents:
    """Keys going down (`down`) and up. `key` indexes `key_names()` and codes; `text` is a character or -1."""

    time_us: np.ndarray
    down: np.ndarray
    key: np.ndarray
    text: np.ndarray
    action: np.ndarray


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
    """All key events of a recording, unsorted. Shift goes down before the key that needs it and up before the next."""
    events = _held_events(held)
    if not strokes:
        return events
    key, action = _characters(strokes)
    first = _firsts(strokes, len(key))
    interval = _between(key, first, strokes, intervals)
    down_us = _downs(interval, first, strokes)
    shifted = np.flatnonzero(_NEEDS_SHIFT[key])
    up_us = _ups(key, down_us, interval, first, intervals.rhythm, rng)
    lead_us = np.minimum(_SHIFT_LEAD_US, interval // 2)[shifted]
    none = np.full(len(shifted), -1)
    shift = np.full(len(shifted), SHIFT)
    return _joined(
        events,
        _events(down_us, up_us, _UNSHIFTED[key], _TEXT[key], action),
        _events(down_us[shifted] - lead_us, up_us[shifted] + _SAFE_US, shift, none, action[shifted]),
    )


def key_names() -> list[str | None]:
    """PyAutoGUI's name of each of the 128 characters' keys."""
    return [_NAMED[c][0] if c in _NAMED else c if 32 < ord(c) < 127 else None for c in map(chr, range(128))]


def key_codes() -> np.ndarray:
    """The Linux code of each of the 128 characters' keys; 0 where a character is no key."""
    return _CODES


def _held_events(held: Sequence[Held]) -> KeyEvents:
    down_us, up_us, action = (np.array([row[i] for row in held], np.int64) for i in (0, 1, 3))
    key = np.array([ord(row.key) for row in held], np.int64)
    return _events(down_us, up_us, key, np.full(len(held), -1), action)


def _characters(strokes: Sequence[Strokes]) -> tuple[np.ndarray, np.ndarray]:
    key = np.frombuffer("".join(row.keys for row in strokes).encode("ascii"), np.uint8).astype(np.int64)
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
    needs = _NEEDS_SHIFT[key]
    rolls &= ~needs & (_UNSHIFTED[key] != _UNSHIFTED[following])
    next_us = np.where(np.roll(first, -1), np.iinfo(np.int64).max, np.roll(down_us, -1))
    lead_us = np.where(_NEEDS_SHIFT[following], np.minimum(_SHIFT_LEAD_US, np.roll(interval, -1) // 2), 0)
    return np.where(rolls, down_us + hold_us, np.minimum(down_us + hold_us, next_us - lead_us - 2 * _SAFE_US))


def _events(down_us: np.ndarray, up_us: np.ndarray, key: np.ndarray, text: np.ndarray, action: np.ndarray) -> KeyEvents:
    down = np.repeat([True, False], len(key))
    text = np.concatenate([text, np.full(len(key), -1)])
    return KeyEvents(np.concatenate([down_us, up_us]), down, np.tile(key, 2), text, np.tile(action, 2))


def _joined(*parts: KeyEvents) -> KeyEvents:
    names = ("time_us", "down", "key", "text", "action")
    return KeyEvents(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _corrections(keys: str) -> int:
    """How often a run of backspaces begins."""
    if "\b" not in keys:
        return 0
    return sum(b == "\b" and a != "\b" for a, b in pairwise(keys))


def _unshifted(character: str) -> int:
    return ord(_SHIFTED.get(character, character.lower()))


def _code(character: str) -> int:
    if character in _NAMED:
        return _NAMED[character][1]
    for code, row in _ROWS.items():
        if character in row:
            return code + row.index(character)
    return 0


_ALL = [chr(code) for code in range(128)]
_UNSHIFTED = np.array([_unshifted(character) for character in _ALL])
_NEEDS_SHIFT = np.array([c in _SHIFTED or c.isupper() for c in _ALL])
_TEXT = np.array([ord(c) if 32 <= ord(c) < 127 else -1 for c in _ALL])
_CODES = np.array([_code(character) for character in _ALL], np.int32)
