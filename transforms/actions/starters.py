"""Starters: the events that can begin an action, each with its class, and the action that each belongs to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from taskreel.transforms.actions.acts import APART, NONE, UNPAIRED, Act, Board, is_one_of
from taskreel.transforms.actions.buttons import put_buttons, put_ticks
from taskreel.transforms.actions.joins import joining, without_text
from taskreel.transforms.actions.keyboard import key_presses, put_keys
from taskreel.transforms.actions.presses import Presses
from taskreel.transforms.actions.rules import ActionOptions
from taskreel.transforms.actions.stream import Stream


@dataclass(frozen=True)
class Starters:
    """The starters of a stream, in order; arrays of shape (starters,).

    `row`: of the event; `act`: its class; `up`: the row of the release that belongs to it, `UNPAIRED` or `APART`;
    `action`: the number of its action, rising.
    `first`, `last`, of shape (actions,): the first and the last starter of each action.
    `follower`, `leader`, of shape (repeats,): rows of repeats that are no starters, and the row that each repeats.
    `keys`: the presses of all keys.
    """

    row: np.ndarray
    act: np.ndarray
    up: np.ndarray
    action: np.ndarray
    first: np.ndarray
    last: np.ndarray
    follower: np.ndarray
    leader: np.ndarray
    keys: Presses

    @property
    def is_unpaired(self) -> np.ndarray:
        """Whether the release never came."""
        return self.up == UNPAIRED


def find_starters(stream: Stream, rules: ActionOptions) -> Starters:
    """The starters of a stream and the action that each belongs to."""
    board = Board(stream.rows)
    others = put_buttons(stream, rules, board), put_ticks(stream, board)
    presses = key_presses(stream, rules)
    put_keys(stream, presses, others, rules, board)
    row = np.flatnonzero(board.act != NONE)
    act = board.act[row]
    joins = joining(stream, row, act, rules)
    follower, leader = _followers(presses, board)
    empty, run = without_text(stream, row, act, joins)
    if len(empty):
        joins[empty] = False
        more, their = _make_presses(presses, row[empty], run, board)
        follower, leader = np.append(follower, more), np.append(leader, their)
        kept = board.act[row] != NONE
        row, joins = row[kept], joins[kept]
        act = board.act[row]
    first = np.flatnonzero(~joins)
    last = np.append(first, len(joins))[1:] - 1
    action = np.cumsum(~joins, dtype=np.int32) - np.int32(1)
    return Starters(row, act, board.up[row], action, first, last, follower, leader, presses)


def _followers(presses: Presses, board: Board) -> tuple[np.ndarray, np.ndarray]:
    """The repeats of keys that do not type, and the first down of each."""
    first = presses.down[presses.leader]
    mine = is_one_of(board.act[first], Act.HOTKEY, Act.PRESS, Act.KEY_DOWN)
    return presses.repeat[mine], first[mine]


def _make_presses(presses: Presses, row: np.ndarray, run: np.ndarray, board: Board) -> tuple[np.ndarray, np.ndarray]:
    """Make the typed rows of runs without text presses; the rows that repeat one of them, and which."""
    press = np.searchsorted(presses.down, row)
    by_row = np.argsort(presses.repeat, kind="stable")
    repeat = presses.repeat[by_row]
    at = np.searchsorted(repeat, row)
    is_repeat = np.append(repeat, APART)[at] == row
    press = np.where(is_repeat, np.append(presses.leader[by_row], 0)[at], press)
    leader = row[_first_of_each(run, press)]
    up = board.up[row]
    board.put(row, np.where(leader == row, np.int8(Act.PRESS), np.int8(NONE)), APART)
    ends = up != APART
    board.up[leader[ends]] = up[ends]
    follows = leader != row
    return row[follows], leader[follows]


def _first_of_each(run: np.ndarray, press: np.ndarray) -> np.ndarray:
    """Per starter, the index of the first one of the same press in the same run."""
    _, first, group = np.unique(np.stack([run, press]), axis=1, return_index=True, return_inverse=True)
    return first[group.ravel()]
