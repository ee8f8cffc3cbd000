"""The classes of starters and actions, and the board on which each event that begins something gets its class."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


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


NONE = -1
"""The class of an event that begins nothing."""
UNPAIRED, APART = -1, -2
"""In the place of the row of a release: it never came; there is none, or it belongs to another starter."""


def is_one_of(act: np.ndarray, *acts: Act) -> np.ndarray:
    """Whether each class is one of some."""
    table = np.zeros(len(Act) + 1, bool)  # the last is for NONE
    table[list(acts)] = True
    return table[act]


class Board:
    """What is known so far of each row of a stream: its class as a starter, and the release that belongs to it."""

    def __init__(self, rows: int) -> None:
        self.act = np.full(rows, NONE, np.int8)
        self.up = np.full(rows, APART, np.int32)

    def put(self, rows: np.ndarray, act: Act | np.ndarray, up: np.ndarray | int = APART) -> None:
        """Give rows their class and release."""
        self.act[rows] = act
        self.up[rows] = up
