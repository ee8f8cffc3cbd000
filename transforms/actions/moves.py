"""What becomes of moves: parts of drags, approaches of pointer actions, hovers; the rest belongs to no action."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from taskreel.io.events import Kind
from taskreel.transforms.actions.acts import Act, is_one_of
from taskreel.transforms.actions.ranges import expanded
from taskreel.transforms.actions.rules import ActionOptions, Drop
from taskreel.transforms.actions.starters import Starters
from taskreel.transforms.actions.stream import Stream

POINTED = (Act.CLICK, Act.DRAG, Act.MOUSE_DOWN, Act.MOUSE_UP, Act.SCROLL)
"""The classes of actions that have a place and are approached."""


@dataclass(frozen=True)
class Rests:
    """Runs of moves that are actions: rows of the first and the last move of each, shape (rests,)."""

    first: np.ndarray
    last: np.ndarray


def own_drags(stream: Stream, starters: Starters, owner: np.ndarray) -> None:
    """Moves between a drag's press and its release belong to it."""
    drags = np.flatnonzero(starters.act == Act.DRAG)
    drag, row = expanded(starters.row[drags], starters.up[drags])
    moves = stream.kind[row] == Kind.MOVE
    owner[row[moves]] = starters.action[drags[drag[moves]]]


def own_approaches(
    stream: Stream, starters: Starters, owner: np.ndarray, rules: ActionOptions
) -> tuple[np.ndarray, Rests]:
    """Give approaches to their actions.

    Returns the row of the first move of each action's approach, or of its first starter; and the rests, which are
    owned by no action yet.
    """
    first = starters.first
    begins = starters.row[first]
    moves = _free_moves(stream, owner) if len(first) or rules.keep_moves else begins[:0]
    if not len(moves):
        return begins, Rests(moves, moves)
    low = np.searchsorted(moves, np.append(-1, starters.row)[first])  # after the starter before
    end = np.searchsorted(moves, begins)
    runs = _Runs(stream, moves, rules)
    earliest = np.searchsorted(stream.time_us[moves], stream.time_us[begins] - rules.approach_longest_ms * 1000)
    begin = np.minimum(np.maximum(np.maximum(runs.starts_of(end - 1), earliest), low), end)
    leads = _leads(stream, starters, moves[end - 1], rules) & (low < end)
    begin = np.where(leads, begin, end)
    action, index = expanded(begin, end)
    owner[moves[index]] = action
    led = begin < end
    begins[led] = moves[begin[led]]
    if rules.keep_moves:
        return begins, _all_rests(stream, starters, _free_moves(stream, owner), rules)
    return begins, _hovers(stream, begins, moves, runs, low, begin - 1, rules)


def _free_moves(stream: Stream, owner: np.ndarray) -> np.ndarray:
    moves = stream.of_kind(Kind.MOVE)
    return moves[owner[moves] == Drop.MOVE]


class _Runs:
    """Runs of some moves, given by their rows: where each begins, as indices of the moves."""

    def __init__(self, stream: Stream, moves: np.ndarray, rules: ActionOptions) -> None:
        cut = np.ones(len(moves), bool)
        cut[1:] = np.diff(stream.time_us[moves]) > rules.approach_pause_ms * 1000
        marked = np.searchsorted(moves, stream.marks)
        cut[marked[marked < len(moves)]] = True
        self.is_start = cut
        self._starts = np.flatnonzero(cut)

    def starts_of(self, moves: np.ndarray) -> np.ndarray:
        """The index at which the run of each of some moves begins."""
        return self._starts[np.searchsorted(self._starts, moves, side="right") - 1]


def _leads(stream: Stream, starters: Starters, last: np.ndarray, rules: ActionOptions) -> np.ndarray:
    """Whether from the row of a last move to each action's first starter there is neither a pause nor a marker."""
    row = starters.row[starters.first]
    leads = is_one_of(starters.act[starters.first], *POINTED)
    leads &= stream.time_us[row] - stream.time_us[last] <= rules.approach_pause_ms * 1000
    if not len(stream.marks):
        return leads
    marks = [np.searchsorted(stream.marks, rows, side="right") for rows in (last, row)]
    return leads & (marks[0] == marks[1])


def _hovers(
    stream: Stream,
    begins: np.ndarray,
    moves: np.ndarray,
    runs: _Runs,
    low: np.ndarray,
    last: np.ndarray,
    rules: ActionOptions,
) -> Rests:
    """The last run of the moves `low` to `last` before each action, where the pointer rested until it began."""
    some = np.flatnonzero(last >= low)
    rested_us = stream.time_us[begins[some]] - stream.time_us[moves[last[some]]]
    hovers = some[rested_us > rules.hover_ms * 1000]
    low, last = low[hovers], last[hovers]
    return Rests(moves[np.maximum(runs.starts_of(last), low)], moves[last])


def _all_rests(stream: Stream, starters: Starters, moves: np.ndarray, rules: ActionOptions) -> Rests:
    """Every run of the moves that remain, cut at starters, too."""
    if not len(moves):
        return Rests(moves, moves)
    is_start = _Runs(stream, moves, rules).is_start
    after = np.searchsorted(moves, starters.row)
    is_start[after[after < len(moves)]] = True
    begins = np.flatnonzero(is_start)
    return Rests(moves[begins], moves[np.append(begins[1:], len(moves)) - 1])
