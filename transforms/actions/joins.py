"""Which starters join the one right before them, and which runs of typing are no text."""

from __future__ import annotations

import numpy as np

from taskreel.io.events import POSITION_UNITS_PER_PX
from taskreel.transforms.actions.acts import Act, is_one_of
from taskreel.transforms.actions.buttons import squared_distance
from taskreel.transforms.actions.keyboard import ANY_MODIFIER
from taskreel.transforms.actions.ranges import expanded
from taskreel.transforms.actions.rules import ActionOptions
from taskreel.transforms.actions.stream import Stream

_LONGEST_RUN_OF_CLICKS = 3
_ERASING_KEYS = ("backspace", "compose", "multi_key")


def joining(stream: Stream, row: np.ndarray, act: np.ndarray, rules: ActionOptions) -> np.ndarray:
    """Whether each starter joins the one before it. Arrays of shape (starters,): its row and class."""
    joins = np.zeros(len(row), bool)
    before, after = act[:-1], act[1:]
    alike = (before == after) | ((before == Act.CLICK) & (after == Act.DRAG))
    joins[1:] = alike & (np.diff(stream.time_us[row]) <= _longest_pauses_us(rules)[after])
    joins[np.searchsorted(row, stream.marks[stream.marks <= row[-1]]) if len(row) else []] = False
    _only_clicks_at_one_place(stream, joins, row, act, rules)
    _only_ticks_alike(stream, joins, row, act)
    _only_in_one_focus(stream, joins, row, act)
    _only_three_clicks(joins, act)
    return joins


def _longest_pauses_us(rules: ActionOptions) -> np.ndarray:
    """The longest pause between two starters of each class that join; -1 for classes that do not."""
    longest_us = np.full(len(Act), -1)
    longest_us[[Act.CLICK, Act.DRAG]] = rules.multi_click_ms * 1000
    longest_us[Act.SCROLL] = rules.scroll_gap_ms * 1000
    longest_us[Act.TYPE] = rules.typing_gap_ms * 1000 - 1
    return longest_us


def _only_clicks_at_one_place(
    stream: Stream, joins: np.ndarray, row: np.ndarray, act: np.ndarray, rules: ActionOptions
) -> None:
    """Of one button, too; an unknown distance counts as none."""
    pair = np.flatnonzero(joins & is_one_of(act, Act.CLICK, Act.DRAG))
    if not len(pair):
        return
    one, two = row[pair - 1], row[pair]
    x, y, known = stream.place(one)
    to_x, to_y, _ = stream.place(two)
    is_near = (squared_distance(x, y, to_x, to_y) <= (rules.multi_click_px * POSITION_UNITS_PER_PX) ** 2) | ~known
    code = stream.numbers("code")
    joins[pair] = is_near & (act[pair - 1] == Act.CLICK) & (code[one] == code[two])


def _only_ticks_alike(stream: Stream, joins: np.ndarray, row: np.ndarray, act: np.ndarray) -> None:
    """In one direction, with the same modifiers."""
    pair = np.flatnonzero(joins & (act == Act.SCROLL))
    if not len(pair):
        return
    before, after = row[pair - 1], row[pair]
    held = [stream.keys.held(rows) & ANY_MODIFIER for rows in (before, after)]
    joins[pair] = (_direction(stream, before) == _direction(stream, after)) & (held[0] == held[1])


def _direction(stream: Stream, rows: np.ndarray) -> np.ndarray:
    """The axis and sign of a tick, as one number."""
    wheel_x, wheel_y = stream.numbers("wheel_x")[rows], stream.numbers("wheel_y")[rows]
    return np.where(wheel_y != 0, np.sign(wheel_y), 2 * np.sign(wheel_x))


def _only_in_one_focus(stream: Stream, joins: np.ndarray, row: np.ndarray, act: np.ndarray) -> None:
    changed = np.searchsorted(row, stream.focus_changes)
    changed = changed[changed < len(row)]
    joins[changed[is_one_of(act[changed], Act.SCROLL, Act.TYPE)]] = False


def _only_three_clicks(joins: np.ndarray, act: np.ndarray) -> None:
    """A fourth quick press begins a new action, as it does in text editors."""
    first = np.flatnonzero(~joins)
    length = np.diff(first, append=len(joins))
    long = np.flatnonzero((length > _LONGEST_RUN_OF_CLICKS) & (act[first] == Act.CLICK))
    _, starter = expanded(first[long], first[long] + length[long])
    in_run = starter - np.repeat(first[long], length[long])
    joins[starter[in_run % _LONGEST_RUN_OF_CLICKS == 0]] = False


def without_text(stream: Stream, row: np.ndarray, act: np.ndarray, joins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The starters in runs of nothing but backspaces and dead keys, and the number of the run of each."""
    erases = stream.keys.are(lambda key: key in _ERASING_KEYS or key.startswith("dead_"))
    first = np.flatnonzero(~joins)
    end = np.append(first, len(joins))[1:]
    typing = act[first] == Act.TYPE
    first, end = first[typing], end[typing]
    begun = np.flatnonzero(erases[stream.keys.name[row[first]]]) if erases.any() else first[:0]
    run, starter = expanded(first[begun], end[begun])
    letters = np.bincount(run[~erases[stream.keys.name[row[starter]]]], minlength=len(begun)) if len(run) else run
    kept = letters[run] == 0
    return starter[kept], run[kept]
