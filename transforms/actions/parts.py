"""The parts that actions are made of, before there is a table."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from taskreel.io.events import Kind
from taskreel.transforms.actions.acts import Act
from taskreel.transforms.actions.moves import Rests
from taskreel.transforms.actions.ranges import expanded
from taskreel.transforms.actions.rules import Drop
from taskreel.transforms.actions.stream import Stream


@dataclass(frozen=True)
class Parts:
    """The parts of actions, as rows of events; arrays of shape (actions,).

    `act`: the class; `head`: the row by which it is in order; `start`, `end`: its first and last event, but for moves
    that lead to it; `first`: the first of those, or its first starter; `start_us`: when it began.
    """

    act: np.ndarray
    head: np.ndarray
    start: np.ndarray
    end: np.ndarray
    first: np.ndarray
    start_us: np.ndarray

    def led_by(self, first: np.ndarray) -> Parts:
        """The same with approaches that begin at some rows."""
        return replace(self, first=first)

    def and_rests(self, rests: Rests, owner: np.ndarray, stream: Stream) -> Parts:
        """With rests of the pointer, which from now on own their moves."""
        number, row = expanded(rests.first, rests.last + 1)
        mine = (stream.kind[row] == Kind.MOVE) & (owner[row] == Drop.MOVE)
        owner[row[mine]] = len(self.head) + number[mine]
        act = np.full(len(rests.first), Act.MOVE, np.int8)
        began_us = stream.time_us[rests.first]
        return self._and(Parts(act, rests.first, rests.first, rests.last, rests.first, began_us))

    def and_events(self, act: Act, rows: np.ndarray, since_us: np.ndarray, owner: np.ndarray) -> Parts:
        """With actions of one event each, which began at some times."""
        owner[rows] = len(self.head) + np.arange(len(rows))
        return self._and(Parts(np.full(len(rows), act, np.int8), rows, rows, rows, rows, since_us))

    def _and(self, more: Parts) -> Parts:
        if not len(more.head):
            return self
        return Parts(
            *(np.concatenate([getattr(self, field.name), getattr(more, field.name)]) for field in fields(Parts))
        )

    def in_order(self, owner: np.ndarray) -> tuple[Parts, np.ndarray, np.ndarray]:
        """By head; with the owners by their new numbers, and the new number of each action."""
        if (np.diff(self.head) > 0).all():
            return self, owner, np.arange(len(self.head))
        order = np.argsort(self.head, kind="stable")
        rank = np.empty(len(order), np.int32)
        rank[order] = np.arange(len(order))
        numbers = np.append(rank, np.arange(min(Drop), 0, dtype=np.int32))  # an owner below 0 counts from the end
        return Parts(*(getattr(self, field.name)[order] for field in fields(Parts))), numbers[owner], rank
