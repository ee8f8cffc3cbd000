"""Starters: the events that can begin an action, each with its class; and which of them join the one before."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from taskreel.io.events import POSITION_UNITS_PER_PX, Flag, Kind
from taskreel.transforms.actions.presses import Presses, find_presses
from taskreel.transforms.actions.ranges import expanded, maximum_of_runs
from taskreel.transforms.actions.rules import MODIFIERS, ActionOptions
from taskreel.transforms.actions.stream import ALTGR, OPTION, Keys, Stream

CTRL, ALT, SHIFT, META = (1 << number for number in range(len(MODIFIERS)))
ANY_MODIFIER = CTRL | ALT | SHIFT | META

_ERASING_KEYS = ("backspace", "compose", "multi_key")
_TYPED_KEYS = ("space", *_ERASING_KEYS)
_NEVER_TEXT = ("enter", "return", "numpadenter", "tab", "esc", "escape", "delete")


class Act(IntEnum):
    """The class of a starter, and of the actions that have none."""

    CLICK = 0
    DRAG = 1
    MOUSE_DOWN = 2
    MOUSE_UP = 3
    SCROLL = 4
    TYPE = 5
    HOTKEY = 6
    PRESS = 7
    KEY_DOWN = 8
    KEY_UP = 9
    MOVE = 10
    WAIT = 11
    TERMINATE = 12


POINTED = (Act.CLICK, Act.DRAG, Act.MOUSE_DOWN, Act.MOUSE_UP, Act.SCROLL)


def printable(text: str) -> bool:
    """Whether a text is something that is shown."""
    return bool(text) and text[0] >= " " and text[0] != "\x7f"


@dataclass(frozen=True)
class Starters:
    """The starters of a stream, in order; arrays of shape (starters,).

    `row`: of the event; `act`: its class; `up`: the row of the release that belongs to it, or -1; `unpaired`: a
    press without a release; `held`: the mask of the keys held; `action`: the number of its action, rising.
    `first`, `last`, of shape (actions,): the first and the last starter of each action.
    `follower`, `leader`, of shape (repeats,): rows of repeats that are no starters, and the starter that each repeats.
    `keys`: the presses of all keys.
    """

    row: np.ndarray
    act: np.ndarray
    up: np.ndarray
    unpaired: np.ndarray
    held: np.ndarray
    action: np.ndarray
    follower: np.ndarray
    leader: np.ndarray
    first: np.ndarray
    last: np.ndarray
    keys: Presses


def find_starters(stream: Stream, rules: ActionOptions) -> Starters:
    """The starters of a stream and the action that each belongs to."""
    buttons, keys = _buttons(stream), _keys(stream, rules)
    ticks = _turning(stream)
    board = _Board(stream.rows)
    _class_buttons(stream, buttons, rules, board)
    board.put(ticks, Act.SCROLL)
    _class_keys(stream, keys, np.sort(np.concatenate([buttons.down, ticks]), kind="stable"), rules, board)
    row, act = board.starters()
    held = stream.keys.held(row)
    joins = _joins(stream, row, act, held, rules)
    follower, leader = _followers(keys, board)
    empty, run = _empty_texts(stream, act, row, joins)
    if len(empty):
        joins[empty] = False
        more, their = _settle_empty_texts(keys, row[empty], run, board)
        follower, leader = np.append(follower, more), np.append(leader, their)
        kept = ~np.isin(row, more)
        row, held, joins, act = row[kept], held[kept], joins[kept], board.act[row[kept]]
    first = np.flatnonzero(~joins)
    last = np.append(first, len(joins))[1:] - 1
    action = np.cumsum(~joins) - 1
    return Starters(
        row,
        act,
        board.up[row],
        board.unpaired[row],
        held,
        action,
        follower,
        leader,
        first,
        last,
        keys,
    )


class _Board:
    """What is known so far of each row of a stream."""

    def __init__(self, rows: int) -> None:
        self.act = np.full(rows, -1, np.int8)
        self.up = np.full(rows, -1)
        self.unpaired = np.zeros(rows, bool)

    def put(self, rows: np.ndarray, act: Act | np.ndarray) -> None:
        self.act[rows] = act

    def starters(self) -> tuple[np.ndarray, np.ndarray]:
        rows = np.flatnonzero(self.act >= 0)
        return rows, self.act[rows]


# ---------------------------------------------------------------------------------------------------- presses


def _buttons(stream: Stream) -> Presses:
    rows = stream.of_kind(Kind.BUTTON_DOWN, Kind.BUTTON_UP)
    code = stream.numbers("code", rows)
    if len(code) and code.min() >= 0 and code.max() < 1 << 8:
        code = code.astype(np.uint8)  # sorted by radix
    return find_presses(rows, code, stream.kind[rows] == Kind.BUTTON_DOWN)


def _keys(stream: Stream, rules: ActionOptions) -> Presses:
    def can_repeat(row: np.ndarray, before: np.ndarray) -> np.ndarray:
        told = stream.flags[row] & Flag.AUTO_REPEAT != 0
        return told | (stream.time_us[row] - stream.time_us[before] <= rules.repeat_gap_ms * 1000)

    keys = stream.keys
    return find_presses(keys.rows, keys.name, keys.is_down, can_repeat)


def _turning(stream: Stream) -> np.ndarray:
    rows = stream.of_kind(Kind.SCROLL)
    return rows[(stream.numbers("wheel_x", rows) != 0) | (stream.numbers("wheel_y", rows) != 0)]


# ---------------------------------------------------------------------------------------------------- classes


def _class_buttons(stream: Stream, presses: Presses, rules: ActionOptions, board: _Board) -> None:
    if not len(presses.down):
        return
    paired = presses.is_paired
    is_drag = paired & _goes_far(stream, presses, rules)
    is_long = paired & ~is_drag & (presses.duration_us(stream.time_us) >= rules.hold_ms * 1000)
    is_hold = is_long | _overlaps(presses)
    board.put(presses.down, np.where(is_hold, Act.MOUSE_DOWN, np.where(is_drag, Act.DRAG, Act.CLICK)))
    board.put(presses.up[is_hold], Act.MOUSE_UP)
    board.up[presses.down] = np.where(is_hold, -1, presses.up)
    board.unpaired[presses.down] = ~paired


def _overlaps(presses: Presses) -> np.ndarray:
    """Whether another button was down in the meantime. Presses of one button never overlap."""
    paired = np.flatnonzero(presses.is_paired)
    down, up = presses.down[paired], presses.up[paired]
    together = np.zeros(len(paired), bool)
    together[:-1] = down[1:] < up[:-1]
    together[1:] |= np.maximum.accumulate(up)[:-1] > down[1:]
    result = np.zeros(len(presses.down), bool)
    result[paired] = together
    return result


def _goes_far(stream: Stream, presses: Presses, rules: ActionOptions) -> np.ndarray:
    """Whether the pointer was ever `drag_px` or more away from the press, up to and with the release."""
    far2 = (rules.drag_px * POSITION_UNITS_PER_PX) ** 2
    x, y, known = stream.place(presses.down)
    is_far = np.zeros(len(presses.down), bool)
    adjacent = presses.up == presses.down + 1
    for which, first in ((np.flatnonzero(adjacent), presses.up), (np.flatnonzero(~adjacent), presses.down)):
        end = presses.up[which] + 1
        press, row = expanded(first[which], end) if len(which) else (which, which)
        to_x, to_y, _ = stream.place_in_any_order(row)
        mine = which[press]
        distance2 = _squared(to_x - x[mine], to_y - y[mine])
        is_far[mine[(distance2 >= far2) & known[mine]]] = True
    return is_far


def _squared(dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """Squared distances, in floats that hold whole numbers exactly up to the largest threshold."""
    x, y = dx.astype(np.float64), dy.astype(np.float64)
    return x * x + y * y


def _class_keys(stream: Stream, presses: Presses, others: np.ndarray, rules: ActionOptions, board: _Board) -> None:
    """Put the starters of the keyboard; `others` are the sorted rows of button downs and ticks."""
    if not len(presses.down):
        return
    keys = stream.keys
    plain = np.flatnonzero(keys.is_plain[presses.which])
    acting = _merged(presses.down[plain], others)
    act = _purpose(stream, presses.down[plain])
    is_chord = _holds_while(stream, presses, plain, acting, rules)
    board.put(presses.down[plain], np.where(is_chord, Act.KEY_DOWN, act))
    board.put(presses.up[plain[is_chord]], Act.KEY_UP)
    types = np.zeros(len(presses.down), bool)
    types[plain] = (act == Act.TYPE) & ~is_chord
    board.put(presses.repeat[types[presses.repeat_press]], Act.TYPE)
    ends = np.where(types, presses.last_down, presses.down)[plain]
    board.up[ends] = np.where(is_chord, -1, presses.up[plain])
    board.unpaired[ends] = presses.up[plain] < 0

    modifiers = np.flatnonzero(keys.is_modifier[presses.which] & presses.is_paired)
    if len(modifiers):
        every = _merged(acting, presses.down[keys.is_modifier[presses.which]])
        down, up = presses.down[modifiers], presses.up[modifiers]
        alone = np.searchsorted(every, up) == np.searchsorted(every, down, side="right")
        board.put(down[alone], Act.PRESS)
        board.up[down[alone]] = up[alone]


def _merged(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.sort(np.concatenate([one, other]), kind="stable") if len(one) and len(other) else np.append(one, other)


def _holds_while(
    stream: Stream, presses: Presses, plain: np.ndarray, acting: np.ndarray, rules: ActionOptions
) -> np.ndarray:
    """Whether each plain key was held, long, while something else was done."""
    is_long = presses.duration_us(stream.time_us)[plain] >= rules.hold_ms * 1000
    long = np.flatnonzero(is_long & presses.is_paired[plain])
    down, up = presses.down[plain[long]], presses.up[plain[long]]
    result = np.zeros(len(plain), bool)
    result[long] = np.searchsorted(acting, up) > np.searchsorted(acting, down, side="right")
    return result


def _purpose(stream: Stream, rows: np.ndarray) -> np.ndarray:
    """What plain keys are pressed for, at the rows of their first downs: typing, a hotkey or a press."""
    keys = stream.keys
    name, text = keys.name_at(rows), keys.text_at(rows)
    is_printable = np.array([printable(value) for value in keys.texts], bool)
    is_typed = keys.table(lambda key: key in _TYPED_KEYS or key.startswith("dead_"))
    never = keys.table(lambda key: key in _NEVER_TEXT)
    types = (is_printable[text] | is_typed[name]) & ~never[name]
    act = np.where(types, np.int8(Act.TYPE), np.int8(Act.PRESS))
    held = keys.held(rows)
    commanded = np.flatnonzero(held & (CTRL | ALT | META) != 0)
    if len(commanded):
        mask, name, text = held[commanded], name[commanded], text[commanded]
        chosen = np.where(mask & ALTGR != 0, act[commanded], np.int8(Act.HOTKEY))
        chosen[_made_by_option(keys.texts, text, mask) | _made_by_ctrl_alt(keys, name, text, mask)] = Act.TYPE
        act[commanded] = chosen
    return act


def _made_by_option(texts: list[str], text: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """macOS makes letters with Option."""
    is_foreign = np.array([not value.isascii() for value in texts], bool)
    return (mask & OPTION != 0) & (mask & (CTRL | META) == 0) & is_foreign[text]


def _made_by_ctrl_alt(keys: Keys, name: np.ndarray, text: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Windows reports AltGr as Ctrl and Alt."""
    both = np.flatnonzero((mask & CTRL != 0) & (mask & ALT != 0) & (mask & META == 0))
    result = np.zeros(len(mask), bool)
    names, texts = keys.names, keys.texts
    pairs = zip(name[both].tolist(), text[both].tolist(), strict=True)
    result[both] = [_is_letter_of(names[n], texts[t]) for n, t in pairs]
    return result


def _is_letter_of(name: str, text: str) -> bool:
    """Whether a text is what a key does not say by itself."""
    return printable(text) and text != " " and text.lower() != name.lower()


def _followers(presses: Presses, board: _Board) -> tuple[np.ndarray, np.ndarray]:
    """The repeats of keys that do not type, and the first down of each."""
    first = presses.down[presses.repeat_press]
    mine = np.isin(board.act[first], (Act.HOTKEY, Act.PRESS, Act.KEY_DOWN))
    return presses.repeat[mine], first[mine]


def _settle_empty_texts(
    presses: Presses, row: np.ndarray, run: np.ndarray, board: _Board
) -> tuple[np.ndarray, np.ndarray]:
    """Make the rows of texts that are none presses; the rows that repeat one of them, and which."""
    press = np.searchsorted(presses.down, row)
    repeats = np.argsort(presses.repeat, kind="stable")
    if len(repeats):
        place = np.minimum(np.searchsorted(presses.repeat[repeats], row), len(repeats) - 1)
        is_repeat = presses.repeat[repeats[place]] == row
        press = np.where(is_repeat, presses.repeat_press[repeats[place]], press)
    leader = row[_first_of_each(run, press)]
    board.put(row, Act.PRESS)
    ends = presses.last_down[press] == row
    board.up[leader[ends]] = presses.up[press[ends]]
    board.unpaired[leader[ends]] = presses.up[press[ends]] < 0
    follows = leader != row
    board.act[row[follows]] = -1
    return row[follows], leader[follows]


# ---------------------------------------------------------------------------------------------------- joins


def _joins(stream: Stream, row: np.ndarray, act: np.ndarray, held: np.ndarray, rules: ActionOptions) -> np.ndarray:
    """Whether each starter continues the one before it."""
    joins = np.zeros(len(row), bool)
    alike = act[1:] == act[:-1]
    elapsed_us = np.diff(stream.time_us[row])
    is_press = (act[:-1] == Act.CLICK) & (alike | (act[1:] == Act.DRAG)) & (elapsed_us <= rules.multi_click_ms * 1000)
    is_tick = alike & (act[1:] == Act.SCROLL) & (elapsed_us <= rules.scroll_gap_ms * 1000)
    is_letter = alike & (act[1:] == Act.TYPE) & (elapsed_us < rules.typing_gap_ms * 1000)
    pair = np.flatnonzero(is_press)
    joins[pair[_near(stream, row[pair], row[pair + 1], rules)] + 1] = True
    pair = np.flatnonzero(is_tick)
    same = (held[pair] & ANY_MODIFIER) == (held[pair + 1] & ANY_MODIFIER)
    joins[pair[same & (_direction(stream, row[pair]) == _direction(stream, row[pair + 1]))] + 1] = True
    joins[1:] |= is_letter
    in_focus = np.flatnonzero(joins & np.isin(act, (Act.SCROLL, Act.TYPE)))
    if len(in_focus):
        joins[in_focus] = stream.focus(row[in_focus]) == stream.focus(row[in_focus - 1])
    if stream.epoch is not None:
        joins[1:] &= np.diff(stream.epoch[row]) == 0
    return _at_most_three_presses(joins, act)


def _near(stream: Stream, before: np.ndarray, after: np.ndarray, rules: ActionOptions) -> np.ndarray:
    """Whether two presses are of one button and at one place; an unknown distance counts as none."""
    x, y, known = stream.place(before)
    to_x, to_y, _ = stream.place(after)
    is_near = (_squared(to_x - x, to_y - y) <= (rules.multi_click_px * POSITION_UNITS_PER_PX) ** 2) | ~known
    return is_near & (stream.numbers("code", before) == stream.numbers("code", after))


def _direction(stream: Stream, rows: np.ndarray) -> np.ndarray:
    """The axis and sign of a tick, as one number."""
    wheel_x, wheel_y = stream.numbers("wheel_x", rows), stream.numbers("wheel_y", rows)
    return np.where(wheel_y != 0, np.sign(wheel_y), 2 * np.sign(wheel_x))


def _at_most_three_presses(joins: np.ndarray, act: np.ndarray) -> np.ndarray:
    """A fourth quick press begins a new action, as it does in text editors."""
    pressed = np.isin(act, (Act.CLICK, Act.DRAG))
    if not (joins & pressed).any():
        return joins
    number = np.arange(len(joins))
    in_run = number - np.maximum.accumulate(np.where(joins, 0, number))
    return joins & ~(pressed & (in_run % 3 == 0))


def _empty_texts(stream: Stream, act: np.ndarray, row: np.ndarray, joins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The starters in runs of nothing but backspaces and dead keys, and the number of the run of each."""
    keys = stream.keys
    erases = keys.table(lambda key: key in _ERASING_KEYS or key.startswith("dead_"))
    typed = np.flatnonzero(act == Act.TYPE) if erases.any() else np.zeros(0, np.int64)
    if not len(typed):
        return typed, typed
    is_letter = ~erases[keys.name_at(row[typed])]
    run = np.cumsum(~joins[typed]) - 1
    is_empty = ~maximum_of_runs(is_letter, np.flatnonzero(~joins[typed]))[run]
    return typed[is_empty], run[is_empty]


def _first_of_each(run: np.ndarray, press: np.ndarray) -> np.ndarray:
    """Per starter, the index of the first one of the same press in the same run."""
    _, first, group = np.unique(np.stack([run, press]), axis=1, return_index=True, return_inverse=True)
    return first[group.ravel()]
