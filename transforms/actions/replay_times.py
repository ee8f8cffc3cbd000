"""When replayed actions happen: an action on its way back to events, and the time of its starters."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from taskreel.io.events import POSITION_UNITS_PER_PX, Kind
from taskreel.transforms.actions.rules import ActionFlag, ActionOptions
from taskreel.transforms.actions.stream import family_of

Row = dict[str, Any]

CLICKS = ("click", "doubleClick", "tripleClick", "rightClick", "middleClick")
POINTED = (*CLICKS, "dragTo", "scroll", "hscroll", "mouseDown", "mouseUp")
_HELD_OPEN = (*CLICKS, "write", "press", "hotkey")
"""Whose press ends with the action, or never."""
STARTERLESS = ("moveTo", "wait", "terminate")
_ERASERS = ("backspace", "compose", "multi_key")


@dataclass
class Doing:
    """An action on its way back: its row, when its starters happen, and the events so far (in order, for a time)."""

    row: Row
    at_us: int
    events: list[Row] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Of the action."""
        return str(self.row["action"])

    @property
    def end_us(self) -> int:
        """When its last event happens."""
        return int(self.row["end_us"])

    @property
    def modifiers(self) -> list[str]:
        """The modifiers held."""
        return self.row["modifiers"].split("+") if self.row["modifiers"] else []

    @property
    def key(self) -> str:
        """The key of a press, hotkey, keyDown or keyUp."""
        keys = str(self.row["keys"])
        return keys[len(self.row["modifiers"]) + 1 :] if self.name == "hotkey" else keys

    @property
    def place(self) -> Row:
        """Where it begins, as columns of an event."""
        return place_of(self.row["x"], self.row["y"])

    @property
    def led_from_us(self) -> int:
        """When its approach begins, or its starters happen."""
        is_led = self.row["approach_us"] < self.row["start_us"]
        return int(self.row["approach_us"]) if is_led else self.at_us

    def has(self, flag: ActionFlag) -> bool:
        """Whether it has a flag."""
        return bool(self.row["flags"] & flag)

    def types(self) -> bool:
        """Whether its starters are typing, if only to become presses."""
        is_eraser = self.name == "press" and (self.key in _ERASERS or self.key.startswith("dead_"))
        return self.name == "write" or is_eraser

    def is_lone_modifier(self) -> bool:
        """Whether it is the press of a modifier by itself."""
        return self.name == "press" and family_of(self.key) is not None

    def acts(self) -> bool:
        """Whether it makes a modifier that is down meanwhile one that was held, and not pressed by itself."""
        return self.name not in (*STARTERLESS, "mouseUp", "keyUp")

    def event(self, kind: Kind, time_us: int | None = None, **fields: Any) -> None:
        """An event of it, at its starters' time unless another is given."""
        self.events.append(
            {
                "time_us": self.at_us if time_us is None else time_us,
                "kind": int(kind),
                "flags": 0,
                **{name: self.row[name] for name in ("device", "recording", "segment")},
                **fields,
            }
        )


def timed(rows: list[Row], rules: ActionOptions) -> list[Doing]:
    """When the starters of each action happen: at its start, unless what is before it needs the time."""
    doings: list[Doing] = []
    devices = {row["device"] for row in rows}
    clocks = {device: _Clock([row for row in rows if row["device"] == device], rules) for device in devices}
    for row in rows:
        doing = Doing(row, 0)
        not_before_us = doings[-1].at_us + (row["device"] < doings[-1].row["device"]) if doings else None
        doing.at_us = clocks[row["device"]].next(doing, not_before_us)
        doings.append(doing)
    return doings


class _Clock:
    """The time on one device, action by action."""

    def __init__(self, rows: list[Row], rules: ActionOptions) -> None:
        self.rules = rules
        self.downs = _downs_of_holds(rows)
        self.unknown_us = max((row["approach_us"] for row in rows if row["cursor_x"] is None), default=0)
        self.following_us = _following_us(rows)
        self.done: list[Doing] = []

    def next(self, doing: Doing, not_before_us: int | None) -> int:
        """When the starters of the next action of the device happen."""
        number, rules = len(self.done), self.rules
        times_us = [self._earliest_us(doing.row)]
        if not_before_us is not None:
            times_us.append(not_before_us)
        if self.done:
            times_us.append(self._free_after(self.done[-1], doing))
        if doing.name in POINTED and doing.place:  # which tells the pointer's place, maybe for the first time
            times_us.append(self.unknown_us)
        if number in self.downs:
            times_us.append(self.done[self.downs[number]].at_us + rules.hold_ms * 1000)
        if doing.name in _HELD_OPEN and doing.end_us > self.following_us[number]:  # or it would be a hold
            times_us.append(doing.end_us - rules.hold_ms * 1000 + 1)
        self.done.append(doing)
        return max(times_us)

    def _earliest_us(self, row: Row) -> int:
        if row["action"] == "wait":
            return int(row["end_us"])
        if row["action"] == "dragTo":  # its press is where the path begins; clicks come as late as they can
            clicks_ms = (row["clicks"] - 1) * self.rules.multi_click_ms
            return int(max(row["start_us"], row["start_us"] + row["path"][0]["us"] - clicks_ms * 1000))
        return int(row["start_us"])

    def _free_after(self, before: Doing, doing: Doing) -> int:
        """The first time at which something can happen after another action."""
        if before.name != "moveTo":
            return before.at_us
        is_hover = not self.rules.keep_moves and doing.name not in STARTERLESS
        return before.end_us + (self.rules.hover_ms * 1000 + 1 if is_hover else 0)


def _following_us(rows: list[Row]) -> list[float]:
    """When after each action the next one with starters begins."""
    following: list[float] = []
    next_us = math.inf
    for row in reversed(rows):
        following.append(next_us)
        next_us = next_us if row["action"] in STARTERLESS else row["start_us"]
    return following[::-1]


def _downs_of_holds(rows: list[Row]) -> dict[int, int]:
    """Of each keyUp, and each mouseUp that is none of a chord, the number of its down."""
    pairs: dict[int, int] = {}
    down: dict[tuple[str, str], int] = {}
    for number, row in enumerate(rows):
        if row["action"] in ("keyDown", "mouseDown"):
            down[row["action"][:-4], row["keys"] or row["button"]] = number
        if row["action"] in ("keyUp", "mouseUp"):
            pairs[number] = down[row["action"][:-2], row["keys"] or row["button"]]
    buttons = {up: pairs[up] for up in pairs if rows[up]["action"] == "mouseUp"}
    chords = [up for up in buttons if any(o != up and buttons[o] < up and buttons[up] < o for o in buttons)]
    return {up: number for up, number in pairs.items() if up not in chords}


def place_of(x: float | None, y: float | None) -> Row:
    """A place in px as columns of an event; none if it is unknown."""
    if x is None or y is None:
        return {}
    return {"x": round(x * POSITION_UNITS_PER_PX), "y": round(y * POSITION_UNITS_PER_PX)}
