"""The classes of the pointer's starters: clicks, drags, holds and chords of buttons, ticks of the wheel."""

from __future__ import annotations

import numpy as np

from taskreel.io.events import POSITION_UNITS_PER_PX, Kind
from taskreel.transforms.actions.acts import APART, Act, Board
from taskreel.transforms.actions.presses import Presses, find_presses
from taskreel.transforms.actions.ranges import expanded
from taskreel.transforms.actions.rules import ActionOptions
from taskreel.transforms.actions.stream import Stream


def put_buttons(stream: Stream, rules: ActionOptions, board: Board) -> np.ndarray:
    """Put the starters of buttons on the board; returns the rows of all their downs."""
    presses = _button_presses(stream)
    if not len(presses.down):
        return presses.down
    is_drag = _goes_far(stream, presses, rules)
    is_hold = (presses.lasts(stream.time_us, rules.hold_ms) & ~is_drag) | _overlaps(presses)
    board.put(presses.down, np.where(is_drag, np.int8(Act.DRAG), np.int8(Act.CLICK)), presses.up)
    board.put(presses.down[is_hold], Act.MOUSE_DOWN, APART)
    board.put(presses.up[is_hold], Act.MOUSE_UP)
    return presses.down


def put_ticks(stream: Stream, board: Board) -> np.ndarray:
    """Put the ticks that turn an axis on the board; returns their rows."""
    rows = stream.of_kind(Kind.SCROLL)
    if len(rows):
        rows = rows[(stream.numbers("wheel_x")[rows] != 0) | (stream.numbers("wheel_y")[rows] != 0)]
        board.put(rows, Act.SCROLL)
    return rows


def squared_distance(x: np.ndarray, y: np.ndarray, to_x: np.ndarray, to_y: np.ndarray) -> np.ndarray:
    """Squared distances, all in units: floats, which hold whole numbers exactly up to the largest threshold."""
    dx, dy = np.subtract(to_x, x, dtype=np.float64), np.subtract(to_y, y, dtype=np.float64)
    return dx * dx + dy * dy


def _button_presses(stream: Stream) -> Presses:
    rows = stream.of_kind(Kind.BUTTON_DOWN, Kind.BUTTON_UP)
    code, is_down = stream.numbers("code"), stream.kind == Kind.BUTTON_DOWN
    if len(rows) == stream.rows:
        return find_presses(None, _small(code), is_down)
    return find_presses(rows, _small(code[rows]), is_down[rows])


def _small(code: np.ndarray) -> np.ndarray:
    """Codes in one byte, if that holds them: they are compared and sorted faster."""
    return code.astype(np.uint8) if len(code) and code.min() >= 0 and code.max() < 1 << 8 else code


def _overlaps(presses: Presses) -> np.ndarray:
    """Whether another button was down in the meantime. Presses of one button never overlap."""
    if (presses.down[1:] > presses.up[:-1]).all():  # one after the other; an up that never came is before all
        return np.zeros(len(presses.down), bool)
    paired = np.flatnonzero(presses.is_paired)
    down, up = presses.down[paired], presses.up[paired]
    together = np.zeros(len(paired), bool)
    together[:-1] = down[1:] < up[:-1]
    together[1:] |= np.maximum.accumulate(up)[:-1] > down[1:]
    result = np.zeros(len(presses.down), bool)
    result[paired] = together
    return result


def _goes_far(stream: Stream, presses: Presses, rules: ActionOptions) -> np.ndarray:
    """Whether the pointer was ever `drag_px` or more away from a paired press, up to and with its release."""
    far2 = (rules.drag_px * POSITION_UNITS_PER_PX) ** 2
    x, y, known = stream.place(presses.down)
    to_x, to_y, _ = stream.place(np.maximum(presses.up, 0))
    is_far = np.zeros(len(x), bool)
    moved = np.flatnonzero((to_x != x) | (to_y != y) | (far2 == 0))
    is_far[moved] = squared_distance(x[moved], y[moved], to_x[moved], to_y[moved]) >= far2
    crossed = np.flatnonzero(presses.up > presses.down + 1)
    press, row = expanded(presses.down[crossed] + 1, presses.up[crossed])
    to_x, to_y, _ = stream.place(row)
    mine = crossed[press]
    is_far[mine[squared_distance(x[mine], y[mine], to_x, to_y) >= far2]] = True
    return is_far & known & presses.is_paired
