"""The reducer: to which action each event belongs, and from that the table of actions.

How it works, on arrays and not event by event:

1. Downs are paired with ups, per device and button or key (`presses`).
2. Events that can begin an action, *starters*, get a class, and each joins the one before it or begins a new action
   (`starters`). That is all there is to most actions: a run of joined starters.
3. Moves lead to an action, are a rest of the pointer, or belong to none (`moves`).
4. What happened by itself: waits, and the ends of tasks (`passive`).
5. Every event has an owner, an action or the named class of events that belong to none; the table follows (`table`).

Distances and times are compared as integers, so that no decision depends on how a processor rounds.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from taskreel.io.events import Kind
from taskreel.transforms.actions.moves import own_approaches, own_drags
from taskreel.transforms.actions.passive import ends_of_tasks, waits
from taskreel.transforms.actions.rules import ACTION_SCHEMA, ActionOptions, Drop, Reduction
from taskreel.transforms.actions.starters import Act, Starters, find_starters
from taskreel.transforms.actions.stream import Stream
from taskreel.transforms.actions.table import Parts, Table


def reduce_actions(events: pa.Table, options: ActionOptions | None = None) -> Reduction:
    """The actions in a session's events (`MERGED_SCHEMA`, in its order), on each device apart."""
    rules = options or ActionOptions()
    device, kind = events.column("device").to_numpy(), events.column("kind").to_numpy()
    is_mark = (kind == Kind.MARK_START) | (kind == Kind.MARK_END)
    epoch = np.cumsum(is_mark) if is_mark.any() else None
    ends = ends_of_tasks(kind, np.flatnonzero(is_mark))
    if not len(device) or device.min() == device.max():
        actions, _, owner = _reduce_device(events, epoch, ends, rules)
        return Reduction(actions, owner)

    owner = np.zeros(len(device), np.int32)
    tables, heads, parts = [], [], []
    for number in np.unique(device):
        rows = np.flatnonzero(device == number)
        its_ends = np.flatnonzero(np.isin(rows, ends))
        its_epoch = None if epoch is None else epoch[rows]
        actions, head, mine = _reduce_device(events.take(pa.array(rows)), its_epoch, its_ends, rules)
        parts.append((rows, mine, sum(map(len, heads))))
        tables.append(actions)
        heads.append(rows[head])
    order = np.argsort(np.concatenate(heads), kind="stable")
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order))
    for rows, mine, before in parts:
        owned = mine >= 0
        mine[owned] = rank[mine[owned] + before]
        owner[rows] = mine
    together = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
    return Reduction(together.take(pa.array(order)), owner)


def _reduce_device(
    events: pa.Table, epoch: np.ndarray | None, ends: np.ndarray, rules: ActionOptions
) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """The actions of one device, the row by which each is in order, and each event's owner."""
    stream = Stream(events, epoch)
    starters = find_starters(stream, rules)
    first = np.flatnonzero(np.diff(starters.action, prepend=-1))
    owner = _unowned(stream)
    parts = _own_presses(stream, starters, first, owner)
    own_drags(stream, starters, owner)
    begins, rests = own_approaches(stream, starters, first, owner, rules)
    parts = parts.led_by(begins)
    parts = parts.and_rests(rests, owner, stream).and_events(Act.TERMINATE, ends, stream.time_us[ends], owner)
    screens, since_us = waits(stream, parts, rules)
    parts = parts.and_events(Act.WAIT, screens, since_us, owner)
    parts, owner, rank = parts.in_order(owner)
    if not len(parts.head):
        return ACTION_SCHEMA.empty_table(), parts.head, owner
    return Table(stream, starters, parts, owner, rank, rules).build(), parts.head, owner


def _unowned(stream: Stream) -> np.ndarray:
    """The drop class that each event has if no action takes it."""
    by_kind = np.full(max(Kind) + 1, Drop.STATE, np.int32)
    by_kind[Kind.MOVE] = Drop.MOVE
    by_kind[Kind.SCREEN] = Drop.SCREEN
    by_kind[Kind.FOCUS] = Drop.FOCUS
    by_kind[Kind.SCROLL] = Drop.NO_TURN
    by_kind[[Kind.MARK_START, Kind.MARK_END]] = Drop.MARKER
    by_kind[Kind.BUTTON_UP] = Drop.BUTTON_UP_WITHOUT_DOWN
    by_kind[Kind.KEY_UP] = Drop.KEY_UP_WITHOUT_DOWN
    by_kind[Kind.KEY_DOWN] = Drop.MODIFIER
    return by_kind[stream.kind]


def _own_presses(stream: Stream, starters: Starters, first: np.ndarray, owner: np.ndarray) -> Parts:
    """Give starters, their releases and repeats, and the modifiers held, to their actions."""
    owner[starters.row] = starters.action
    released = starters.up >= 0
    owner[starters.up[released]] = starters.action[released]
    owner[starters.follower] = owner[starters.leader]
    head = starters.row[first]
    start = head.copy()
    end = np.maximum.reduceat(np.maximum(starters.row, starters.up), first) if len(first) else head.copy()
    np.maximum.at(end, owner[starters.follower], starters.follower)
    for rows, actions in _held_keys(stream, starters, owner):
        owner[rows] = np.where(actions >= 0, actions, Drop.MODIFIER)
        used = actions >= 0
        np.minimum.at(start, actions[used], rows[used])
        np.maximum.at(end, actions[used], rows[used])
    last = np.append(first[1:], len(starters.row)) - 1
    return Parts(starters.act[last], head, start, end, head, stream.time_us[start])


def _held_keys(
    stream: Stream, starters: Starters, owner: np.ndarray
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """The downs of modifiers and level shifts, and their releases, each with its action or -1.

    A down belongs to the first action with a starter between it and its key's next release, that release to the
    last one with a starter since.
    """
    keys = stream.keys
    downs, ups, first_used, last_used = [], [], [], []
    for number in np.flatnonzero(~keys.is_plain):
        mine = keys.name == number
        down, up = keys.rows[mine & keys.is_down], keys.rows[mine & ~keys.is_down]
        down = down[owner[down] < 0]
        if not len(down):
            continue
        after = np.searchsorted(up, down)
        release = np.append(up, stream.rows)[after]
        first = np.searchsorted(starters.row, down)
        last = np.searchsorted(starters.row, release) - 1
        used = first <= last
        downs.append(down)
        first_used.append(np.where(used, np.append(starters.action, -1)[first], -1))
        closed = np.flatnonzero(after < len(up))
        release, one = np.unique(release[closed], return_index=True)  # of downs before one release, the first
        ups.append(release)
        last_used.append(np.where(used[closed[one]], starters.action[last[closed[one]]], -1) if len(one) else one)
    empty = np.zeros(0, np.int64)
    return (
        (np.concatenate([empty, *downs]), np.concatenate([empty, *first_used])),
        (np.concatenate([empty, *ups]), np.concatenate([empty, *last_used])),
    )
