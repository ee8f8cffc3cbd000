"""The units of a session: runs of actions that no cut divides, and what is known about the places between them.

A session may be cut where the document changes, before the action that changes it, after a pause, and after an action
that completes something. All other places are worse than one of these.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taskreel.transforms.episodes.contexts import UNKNOWN, contexts

_SHORTEST_PAUSE_US = 5_000_000
"""A place within a run of actions is worth trying if nothing was done for this long."""
_COMPLETIONS = pa.array(
    [f"{modifier}+{key}" for modifier in ("ctrl", "meta") for key in ("s", "shift+s", "enter", "return", "w", "q")]
    + ["alt+s", "alt+f4", "ctrl+f4", "ctrl+d"]
)
"""Hotkeys that save, send, commit or close in most programs. What a click does cannot be known."""


@dataclass(frozen=True)
class Units:
    """All of shape (units,), int64, but `first`, of shape (units + 1,): the first action of each, and their number.

    `weight`: how many visits of `document` a unit counts for; long ones count for more, but not in proportion.
    `start_us` of the first action, `last_us` when the last action starts, `end_us` of all until its end.
    `idle_us`: nothing was done so long before it.
    `completes`: whether the action before it completes something.
    `is_blind`: fewer than half of the session's actions tell of their window.
    """

    first: np.ndarray
    document: np.ndarray
    program: np.ndarray
    weight: np.ndarray
    start_us: np.ndarray
    last_us: np.ndarray
    end_us: np.ndarray
    idle_us: np.ndarray
    completes: np.ndarray
    is_blind: bool

    def __len__(self) -> int:
        return len(self.document)


def units_of(actions: pa.Table) -> Units:
    """The units of a session's actions (`ACTION_SCHEMA`, at least one row).

    While somebody waits nothing is done: a `wait` is part of the idle time, and hides no completion before it.
    """
    start_us = np.maximum.accumulate(actions.column("start_us").to_numpy())
    is_wait = pc.equal(actions.column("action").cast(pa.string()), "wait").to_numpy()
    end_us = np.maximum.accumulate(np.where(is_wait, start_us, actions.column("end_us").to_numpy()))
    idle_us = np.zeros_like(start_us)
    idle_us[1:] = np.maximum(start_us[1:] - end_us[:-1], 0)
    completes = completing(actions)[np.maximum.accumulate(np.where(is_wait, 0, np.arange(len(is_wait))))]
    known = contexts(actions)
    document = _carried(known.document)
    leaves, weight = _visits(actions.column("device").to_numpy(), document, completes)
    weight[document == UNKNOWN] = 0
    document = np.maximum(document, 0)
    is_place = leaves | (idle_us >= _SHORTEST_PAUSE_US) | (np.diff(document, prepend=document[0]) != 0)
    is_place[1:] |= completes[:-1]
    is_place[0] = True
    first = np.flatnonzero(is_place)
    end = np.append(first[1:], len(start_us))
    return Units(
        np.append(first, len(start_us)),
        document[first],
        np.maximum(_carried(known.program), 0)[first],
        np.add.reduceat(weight, first),
        start_us[first],
        start_us[end - 1],
        end_us[end - 1],
        idle_us[first],
        np.append(False, completes[:-1])[first],
        bool(2 * (known.document != UNKNOWN).sum() < len(known.document)),
    )


def completing(actions: pa.Table) -> np.ndarray:
    """Whether each action saves, sends, commits or closes something, bool of shape (actions,)."""
    is_hotkey = pc.equal(actions.column("action").cast(pa.string()), "hotkey")
    is_one = pc.is_in(actions.column("keys").cast(pa.string()), value_set=_COMPLETIONS)
    return pc.and_(is_hotkey, is_one).to_numpy()


def _carried(number: np.ndarray) -> np.ndarray:
    """What is not known is as before; before anything is known, as what is known first."""
    known = np.flatnonzero(number != UNKNOWN)
    if not len(known):
        return number
    return number[known[np.maximum(np.searchsorted(known, np.arange(len(number)), side="right") - 1, 0)]]


def _visits(device: np.ndarray, document: np.ndarray, completes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether each action leaves its document for another one of its device; and for how many visits it counts.

    The action that leaves belongs to where it leads as much as to where it is, so it counts for none, unless it
    completes something. Of the others, the 1st, 2nd, 4th, 8th ... of a visit count for one each: long typing in one
    window counts for more than a glance, and does not drown all else.
    """
    order = np.lexsort((np.arange(len(device)), device))
    here, on = document[order], device[order]
    begins = (np.diff(here, prepend=here[0]) != 0) | (np.diff(on, prepend=on[0]) != 0)
    begins[0] = True
    leaves = np.zeros(len(device), bool)
    leaves[:-1] = (here[1:] != here[:-1]) & (on[1:] == on[:-1])
    leaves &= ~completes[order]
    start = np.flatnonzero(begins)
    place = np.arange(len(device)) - np.repeat(start, np.diff(np.append(start, len(device)))) + 1
    counts = (place & (place - 1) == 0) & ~leaves
    result = np.empty_like(leaves), np.empty(len(device), np.int64)
    result[0][order], result[1][order] = leaves, counts
    return result
