"""The classes of the keyboard's starters: typing, hotkeys, presses, keys held while something else is done."""

from __future__ import annotations

import numpy as np

from taskreel.io.events import Flag
from taskreel.transforms.actions.acts import APART, NONE, UNPAIRED, Act, Board
from taskreel.transforms.actions.presses import Presses, find_presses
from taskreel.transforms.actions.rules import MODIFIERS, ActionOptions
from taskreel.transforms.actions.stream import ALTGR, OPTION, Keys, Stream

CTRL, ALT, SHIFT, META = (1 << number for number in range(len(MODIFIERS)))
ANY_MODIFIER = CTRL | ALT | SHIFT | META

_Counted = tuple[np.ndarray, np.ndarray]
"""Sorted rows, and how many of them count up to and with each."""
_TYPED_KEYS = ("space", "backspace", "compose", "multi_key")
_NEVER_TEXT = ("enter", "return", "numpadenter", "tab", "esc", "escape", "delete")


def key_presses(stream: Stream, rules: ActionOptions) -> Presses:
    """The presses of all keys; `which` are numbers of names."""

    def can_repeat(row: np.ndarray, before: np.ndarray) -> np.ndarray:
        told = stream.flags[row] & Flag.AUTO_REPEAT != 0
        return told | (stream.time_us[row] - stream.time_us[before] <= rules.repeat_gap_ms * 1000)

    keys = stream.keys
    return find_presses(
        None if len(keys.rows) == stream.rows else keys.rows,
        keys.of_keys(keys.name),
        keys.of_keys(keys.is_down),
        can_repeat,
    )


def put_keys(
    stream: Stream, presses: Presses, others: tuple[np.ndarray, ...], rules: ActionOptions, board: Board
) -> None:
    """Put the starters of the keyboard on the board. `others`: the sorted rows of downs of buttons and of ticks."""
    if not len(presses.down):
        return
    keys = stream.keys
    is_plain = keys.is_plain[presses.which]
    act = np.where(is_plain, _purpose(stream, presses), np.int8(NONE))
    acting = [
        (presses.down, np.cumsum(is_plain, dtype=np.int32)),
        *((rows, np.arange(1, len(rows) + 1)) for rows in others),
    ]
    long = np.flatnonzero(presses.lasts(stream.time_us, rules.hold_ms) & is_plain)
    held = long[_any_between(presses.down[long], presses.up[long], acting)]
    act[held] = Act.KEY_DOWN
    board.put(presses.down, act, presses.up)
    board.up[presses.down[held]] = APART
    board.put(presses.up[held], Act.KEY_UP)
    _put_repeats(presses, act, board)
    _put_lone_modifiers(stream, presses, acting, board)


def _put_lone_modifiers(stream: Stream, presses: Presses, acting: list[_Counted], board: Board) -> None:
    """Put the presses of modifiers with which nothing is done, nor another modifier is pressed."""
    modifiers = np.flatnonzero(stream.keys.is_modifier[presses.which])
    paired = modifiers[presses.up[modifiers] != UNPAIRED]
    down, up = presses.down[paired], presses.up[paired]
    others = presses.down[modifiers], np.arange(1, len(modifiers) + 1)
    alone = ~_any_between(down, up, [*acting, others])
    board.put(down[alone], Act.PRESS, up[alone])


def _put_repeats(presses: Presses, act: np.ndarray, board: Board) -> None:
    """A repeat of a letter is typed, too; the release belongs to the last of them."""
    types = act[presses.leader] == Act.TYPE
    row, leader = presses.repeat[types], presses.leader[types]
    is_last = np.diff(leader, append=-1) != 0
    board.put(row, Act.TYPE, np.where(is_last, presses.up[leader], APART))
    board.up[presses.down[leader]] = APART


def _any_between(down: np.ndarray, up: np.ndarray, counted: list[_Counted]) -> np.ndarray:
    """Whether between each down and up lies any of some rows."""
    found = np.zeros(len(down), bool)
    for rows, counts in counted:
        counts = np.append(counts, 0)  # the last is for "none so far"
        before_up, before_down = np.searchsorted(rows, up) - 1, np.searchsorted(rows, down, side="right") - 1
        found |= counts[before_up] > counts[before_down]
    return found


_PURPOSE = np.array([Act.PRESS, Act.TYPE, Act.TYPE, Act.TYPE, Act.PRESS, Act.PRESS], np.int8)
"""What a key is for by itself: by its kind (see below), without and with a printable text."""


def _kinds_of_keys(keys: Keys) -> np.ndarray:
    """Per name: 0 for a key that types if its text says so, 1 for one that always does, 2 for one that never does."""
    never = keys.are(lambda name: name in _NEVER_TEXT)
    return np.where(never, np.int8(2), typed_keys(keys).astype(np.int8))


def typed_keys(keys: Keys) -> np.ndarray:
    """Per name, whether the key types whatever its text is."""
    return keys.are(lambda name: name in _TYPED_KEYS or name.startswith("dead_"))


def _purpose(stream: Stream, presses: Presses) -> np.ndarray:
    """What each press is for, if its key is plain: typing, a hotkey or a press."""
    keys = stream.keys
    text = keys.text[presses.down]
    printed = printable_texts(keys)[text]
    act = _PURPOSE[2 * _kinds_of_keys(keys)[presses.which] + printed]
    held = keys.held(presses.down)
    commanded = np.flatnonzero(held & (CTRL | ALT | META))
    if len(commanded):
        mask, name, text = held[commanded], presses.which[commanded], text[commanded]
        chosen = np.where(mask & ALTGR != 0, act[commanded], np.int8(Act.HOTKEY))
        chosen[_made_by_option(keys, text, mask) | _made_by_ctrl_alt(keys, name, text, mask)] = Act.TYPE
        act[commanded] = chosen
    return act


def printable_texts(keys: Keys) -> np.ndarray:
    """Per text, whether it is something that is shown."""
    return np.array([_printable(text) for text in keys.texts], bool)


def _printable(text: str) -> bool:
    return bool(text) and text[0] >= " " and text[0] != "\x7f"


def _made_by_option(keys: Keys, text: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """macOS makes letters with Option."""
    is_foreign = np.array([not value.isascii() for value in keys.texts], bool)
    return (mask & OPTION != 0) & (mask & (CTRL | META) == 0) & is_foreign[text]


def _made_by_ctrl_alt(keys: Keys, name: np.ndarray, text: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Windows reports AltGr as Ctrl and Alt."""
    both = np.flatnonzero((mask & CTRL != 0) & (mask & ALT != 0) & (mask & META == 0))
    result = np.zeros(len(mask), bool)
    pairs = zip(name[both].tolist(), text[both].tolist(), strict=True)
    result[both] = [_is_letter_of(keys.names[n], keys.texts[t]) for n, t in pairs]
    return result


def _is_letter_of(name: str, text: str) -> bool:
    """Whether a text is what a key does not say by itself."""
    return _printable(text) and text != " " and text.lower() != name.lower()
