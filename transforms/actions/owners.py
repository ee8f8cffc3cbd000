"""To whom the events of presses belong: starters, their releases and repeats, and the modifiers that were held."""

from __future__ import annotations

import numpy as np

from taskreel.io.events import Kind
from taskreel.transforms.actions.acts import UNPAIRED, Act
from taskreel.transforms.actions.parts import Parts
from taskreel.transforms.actions.ranges import counts_before
from taskreel.transforms.actions.rules import Drop
from taskreel.transforms.actions.starters import Starters
from taskreel.transforms.actions.stream import Stream


def unowned(stream: Stream) -> np.ndarray:
    """The drop class that each event has if no action takes it; int32 of shape (rows,)."""
    by_kind = np.full(1 << 8, Drop.STATE, np.int32)
    by_kind[Kind.MOVE] = Drop.MOVE
    by_kind[Kind.SCREEN] = Drop.SCREEN
    by_kind[Kind.FOCUS] = Drop.FOCUS
    by_kind[Kind.SCROLL] = Drop.NO_TURN
    by_kind[[Kind.MARK_START, Kind.MARK_END]] = Drop.MARKER
    by_kind[Kind.BUTTON_UP] = Drop.BUTTON_UP_WITHOUT_DOWN
    by_kind[Kind.KEY_UP] = Drop.KEY_UP_WITHOUT_DOWN
    by_kind[Kind.KEY_DOWN] = Drop.MODIFIER
    return by_kind[stream.kind.view(np.uint8)]


def own_presses(stream: Stream, starters: Starters, owner: np.ndarray) -> Parts:
    """Give starters, their releases and repeats, and the modifiers held, to their actions."""
    owner[starters.row] = starters.action
    released = np.flatnonzero(starters.up >= 0)
    owner[starters.up[released]] = starters.action[released]
    owner[starters.follower] = owner[starters.leader]
    head = starters.row[starters.first]
    start, end = head.copy(), _ends(starters)
    np.maximum.at(end, owner[starters.follower], starters.follower)
    for rows, actions in _held_keys(stream, starters, owner):
        owner[rows] = np.where(actions >= 0, actions, Drop.MODIFIER)
        used = actions >= 0
        np.minimum.at(start, actions[used], rows[used])
        np.maximum.at(end, actions[used], rows[used])
    return Parts(starters.act[starters.last], head, start, end, head, stream.time_us[start])


def _ends(starters: Starters) -> np.ndarray:
    """The last starter or release of each action. Of letters typed fast, the last need not come up last."""
    end = np.maximum(starters.row[starters.last], starters.up[starters.last])
    if (starters.act[starters.last] == Act.TYPE).any():
        np.maximum(end, np.maximum.reduceat(starters.up, starters.first), out=end)
    return end


def _held_keys(
    stream: Stream, starters: Starters, owner: np.ndarray
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """The downs of modifiers and level shifts, and their releases, each with its action or -1.

    A down belongs to the first action with a starter between it and its key's next release, that release to the
    last one with a starter since the press began.
    """
    presses = starters.keys
    held = np.flatnonzero(~stream.keys.is_plain[presses.which])
    held = held[owner[presses.down[held]] < 0]
    if not len(held):
        return (held, held), (held, held)
    again = np.isin(presses.leader, held)
    downs = np.concatenate([presses.down[held], presses.repeat[again]])
    which = np.concatenate([presses.which[held], presses.which[presses.leader[again]]])
    paired = held[presses.up[held] != UNPAIRED]
    ups = presses.up[paired]
    release = _next_of_same(downs, which, ups, presses.which[paired], stream.rows)
    counts = counts_before(starters.row, stream.rows)
    first_after, _ = _starters_between(starters, counts, downs, release)
    _, last_before = _starters_between(starters, counts, presses.down[paired], ups)
    return (downs, first_after), (ups, last_before)


def _next_of_same(rows: np.ndarray, which: np.ndarray, ups: np.ndarray, of_what: np.ndarray, end: int) -> np.ndarray:
    """Per row, the next of `ups` of the same key, or `end`."""
    ups = np.sort(of_what.astype(np.int64) * end + ups)
    base = which.astype(np.int64) * end
    return np.minimum(np.append(ups, np.iinfo(np.int64).max)[np.searchsorted(ups, base + rows)] - base, end)


def _starters_between(
    starters: Starters, counts: np.ndarray, after: np.ndarray, before: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The actions of the first and the last starter between some rows, or -1. `counts`: of starters before a row."""
    first, last = counts[after + 1], counts[before] - 1
    action = np.append(starters.action, -1)
    some = first <= last
    return np.where(some, action[first], -1), np.where(some, action[last], -1)
