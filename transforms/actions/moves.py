"""What becomes of moves: parts of drags, approaches of pointer actions, hovers; the rest belongs to no action."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from taskreel.io.events import Kind
from taskreel.transforms.actions.ranges import expanded
from taskreel.transforms.actions.rules import ActionOptions, Drop
from taskreel.transforms.actions.starters import POINTED, Act, Starters
from taskreel.transforms.actions.stream import Stream


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
    moves = np.flatnonzero((stream.kind == Kind.MOVE) & (owner == Drop.MOVE))
    if not len(moves) or not len(first):
        return begins, _all_rests(stream, starters, moves, rules) if rules.keep_moves else Rests(begins[:0], begins[:0])
    time_us = stream.time_us[moves]
    paused = np.append(False, _cut(stream, moves, rules))
    run_start = np.maximum.accumulate(np.where(paused, np.arange(len(moves)), 0))
    start_us = stream.time_us[begins]
    low = np.searchsorted(moves, np.where(first > 0, starters.row[first - 1], -1))
    end = np.searchsorted(moves, begins)
    leads = _leads(stream, starters.row[first], starters.act[first], moves, low, end, rules)
    earliest = np.searchsorted(time_us, start_us - rules.approach_longest_ms * 1000)
    begin = np.where(leads, np.minimum(np.maximum(np.maximum(run_start[end - 1], earliest), low), end), end)
    action, index = expanded(begin, end)
    owner[moves[index]] = starters.action[first][action]
    led = begin < end
    begins[led] = moves[begin[led]]
    if rules.keep_moves:
        return begins, _all_rests(stream, starters, moves[owner[moves] == Drop.MOVE], rules)
    last = begin - 1
    hovers = np.flatnonzero(last >= low)
    rested_us = stream.time_us[begins[hovers]] - time_us[last[hovers]]
    hovers = hovers[rested_us > rules.hover_ms * 1000]
    begun = np.maximum(run_start[last[hovers]], low[hovers])
    return begins, Rests(moves[begun], moves[last[hovers]])


def _leads(
    stream: Stream,
    row: np.ndarray,
    act: np.ndarray,
    moves: np.ndarray,
    low: np.ndarray,
    end: np.ndarray,
    rules: ActionOptions,
) -> np.ndarray:
    """Whether the last of the moves `low` to `end` before each action's first starter leads to it, without a pause."""
    last = moves[end - 1]
    leads = np.isin(act, POINTED) & (end > low)
    leads &= stream.time_us[row] - stream.time_us[last] <= rules.approach_pause_ms * 1000
    return leads if stream.epoch is None else leads & (stream.epoch[row] == stream.epoch[last])


def _cut(stream: Stream, moves: np.ndarray, rules: ActionOptions) -> np.ndarray:
    """Whether runs are cut before each of some moves but the first, by a pause or a marker."""
    paused = np.diff(stream.time_us[moves]) > rules.approach_pause_ms * 1000
    return paused if stream.epoch is None else paused | (np.diff(stream.epoch[moves]) > 0)


def _all_rests(stream: Stream, starters: Starters, moves: np.ndarray, rules: ActionOptions) -> Rests:
    """Every run of the moves that remain, cut at pauses and at starters."""
    if not len(moves):
        return Rests(moves, moves)
    before = np.searchsorted(starters.row, moves)
    begins = np.concatenate([[0], np.flatnonzero(_cut(stream, moves, rules) | (np.diff(before) > 0)) + 1])
    return Rests(moves[begins], moves[np.append(begins[1:], len(moves)) - 1])
