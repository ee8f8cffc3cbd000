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
from taskreel.transforms.actions.acts import Act
from taskreel.transforms.actions.moves import own_approaches, own_drags
from taskreel.transforms.actions.owners import own_presses, unowned
from taskreel.transforms.actions.passive import ends_of_tasks, waits
from taskreel.transforms.actions.rules import ACTION_SCHEMA, ActionOptions, Reduction
from taskreel.transforms.actions.starters import find_starters
from taskreel.transforms.actions.stream import Stream
from taskreel.transforms.actions.table import Table


def reduce_actions(events: pa.Table, options: ActionOptions | None = None) -> Reduction:
    """The actions in a session's events (`MERGED_SCHEMA`, in its order), on each device apart."""
    rules = options or ActionOptions()
    device, kind = events.column("device").to_numpy(), events.column("kind").to_numpy()
    marks = np.flatnonzero((kind == Kind.MARK_START) | (kind == Kind.MARK_END))
    ends = ends_of_tasks(kind, marks)
    if not len(device) or device.min() == device.max():
        actions, _, owner = _reduce_device(events, marks, ends, rules)
        return Reduction(actions, owner)

    owner = np.zeros(len(device), np.int32)
    tables, heads, parts = [], [], []
    for number in np.unique(device):
        rows = np.flatnonzero(device == number)
        its_ends, its_marks = np.flatnonzero(np.isin(rows, ends)), np.searchsorted(rows, marks)
        actions, head, mine = _reduce_device(events.take(pa.array(rows)), its_marks, its_ends, rules)
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
    events: pa.Table, marks: np.ndarray, ends: np.ndarray, rules: ActionOptions
) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """The actions of one device, the row by which each is in order, and each event's owner."""
    stream = Stream(events, marks)
    starters = find_starters(stream, rules)
    owner = unowned(stream)
    parts = own_presses(stream, starters, owner)
    own_drags(stream, starters, owner)
    begins, rests = own_approaches(stream, starters, owner, rules)
    parts = parts.led_by(begins)
    parts = parts.and_rests(rests, owner, stream).and_events(Act.TERMINATE, ends, stream.time_us[ends], owner)
    screens, since_us = waits(stream, parts, rules)
    parts = parts.and_events(Act.WAIT, screens, since_us, owner)
    parts, owner, rank = parts.in_order(owner)
    if not len(parts.head):
        return ACTION_SCHEMA.empty_table(), parts.head, owner
    return Table(stream, starters, parts, owner, rank, rules).build(), parts.head, owner
