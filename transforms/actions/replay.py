"""Replay: from actions back to events that reduce to the same actions.

It proves that an action table says what the reducer knows, and gives whoever plays actions (a viewer, an agent's
environment) an order of events that means them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from taskreel.io.events import POSITION_UNITS_PER_PX, WHEEL_UNITS_PER_TICK, Flag, Kind
from taskreel.transforms.actions.rules import ActionFlag, ActionOptions
from taskreel.transforms.actions.stream import family_of
from taskreel.transforms.merge import MERGED_SCHEMA

Row = dict[str, Any]

_CLICKS = ("click", "doubleClick", "tripleClick", "rightClick", "middleClick")
_POINTED = (*_CLICKS, "dragTo", "scroll", "hscroll", "mouseDown", "mouseUp")
_HELD_OPEN = (*_CLICKS, "write", "press", "hotkey")
"""Whose press ends with the action, or never."""
_STARTERLESS = ("moveTo", "wait", "terminate")
_BUTTONS = {"left": 1, "middle": 2, "right": 3}
_COMMANDS = ("ctrl", "alt", "meta")
_ERASERS = ("backspace", "compose", "multi_key")
_BRIDGES = ("fn", "iso_level5_shift")
"""Level shifts, down in turn while an action goes on, so that it lasts as long as it should; they change nothing else."""
_EVENT_FLAGS = {
    ActionFlag.SYNTHETIC: Flag.SYNTHETIC,
    ActionFlag.RECORDER_CONTROL: Flag.RECORDER_CONTROL,
    ActionFlag.IME: Flag.IME,
    ActionFlag.UNKNOWN_LAYOUT: Flag.UNKNOWN_LAYOUT,
    ActionFlag.INFERRED: Flag.INFERRED,
    ActionFlag.ESTIMATED_POSITION: Flag.ESTIMATED,
    ActionFlag.ESTIMATED_COUNT: Flag.ESTIMATED,
}


def replay(actions: pa.Table, options: ActionOptions | None = None) -> pa.Table:
    """Events (`MERGED_SCHEMA`, in its order) that reduce, with the same options, to the same actions.

    `actions`: a whole session's, as `reduce_actions` gives them. All columns come back but `first_seq` and `last_seq`,
    and the flags that steps add. All starters of an action happen at its start, its last release at its end; a whole
    text is the text of one key; between is nothing but what the rules ask for.

    What it cannot give back:

    - a modifier whose release was lost, for actions without a press of their own (scrolls, drags, moves, waits),
      unless it stays down to the end; and one held while nothing was done that would tell a hold from a press of it;
    - an empty `write` without `resolve_edits`;
    - with several devices, runs that a marker between two quick clicks of another device would cut;
    - two recordings of one device at one microsecond, in another order than that of the recordings.
    """
    rules = options or ActionOptions()
    events: list[Row] = []
    rows = actions.to_pylist()
    for device in sorted({row["device"] for row in rows}):
        events += _Device([row for row in rows if row["device"] == device], rules).events()
    events.sort(key=lambda event: (event["time_us"], event["device"], event["recording"]))
    seqs: dict[int, Iterator[int]] = {}
    for event in events:
        event["seq"] = next(seqs.setdefault(event["recording"], itertools.count()))
    return pa.Table.from_pylist(events, MERGED_SCHEMA)


@dataclass
class _Doing:
    """An action on its way back: its row, when its starters happen, and the events so far (in order, for a time)."""

    row: Row
    at_us: int
    events: list[Row] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.row["action"])

    @property
    def end_us(self) -> int:
        return int(self.row["end_us"])

    @property
    def modifiers(self) -> list[str]:
        return (self.row["modifiers"] or "").split("+") if self.row["modifiers"] else []

    @property
    def key(self) -> str:
        """The key of a press, hotkey, keyDown or keyUp."""
        keys = str(self.row["keys"])
        return keys[len(self.row["modifiers"]) + 1 :] if self.name == "hotkey" else keys

    @property
    def place(self) -> Row:
        return _place(self.row["x"], self.row["y"])

    @property
    def led_from_us(self) -> int:
        """When its approach begins, or its starters happen."""
        is_led = self.row["approach_us"] < self.row["start_us"]
        return int(self.row["approach_us"]) if is_led else self.at_us

    def has(self, flag: ActionFlag) -> bool:
        return bool(self.row["flags"] & flag)

    def types(self) -> bool:
        """Whether its starters are typing, if only to become presses."""
        is_eraser = self.name == "press" and (self.key in _ERASERS or self.key.startswith("dead_"))
        return self.name == "write" or is_eraser

    def is_lone_modifier(self) -> bool:
        return self.name == "press" and family_of(self.key) is not None

    def acts(self) -> bool:
        """Whether it makes a modifier that is down meanwhile one that was held, and not pressed by itself."""
        return self.name not in (*_STARTERLESS, "mouseUp", "keyUp")

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

    def tap(self, key: str) -> Callable[[], None]:
        """A key goes down now; the result lets it up."""
        self.event(Kind.KEY_DOWN, key=key)
        return lambda: self.event(Kind.KEY_UP, key=key)


class _Device:
    """The actions of one device, one after the other."""

    def __init__(self, rows: list[Row], rules: ActionOptions) -> None:
        self.rules = rules
        self.doings = self._timed(rows)
        self.held_from, self.held_to, self.stuck = self._holds()

    # ------------------------------------------------------------------------------------------------ when

    def _timed(self, rows: list[Row]) -> list[_Doing]:
        """When the starters of each happen: at its start, unless what is before it needs the time."""
        doings: list[_Doing] = []
        downs = self._downs_of_holds(rows)
        unknown_us = max((row["approach_us"] for row in rows if row["cursor_x"] is None), default=0)
        for number, row in enumerate(rows):
            doing = _Doing(row, self._earliest_us(row))
            if doings:
                doing.at_us = max(doing.at_us, self._free_after(doings[-1], doing))
            if doing.name in _POINTED and doing.place:  # which tells the pointer's place for the first time
                doing.at_us = max(doing.at_us, unknown_us)
            if number in downs:
                doing.at_us = max(doing.at_us, doings[downs[number]].at_us + self.rules.hold_ms * 1000)
            following = [other["start_us"] for other in rows[number + 1 :] if other["action"] not in _STARTERLESS]
            if doing.name in _HELD_OPEN and following and doing.end_us > following[0]:  # or it would be a hold
                doing.at_us = max(doing.at_us, doing.end_us - self.rules.hold_ms * 1000 + 1)
            doings.append(doing)
        return doings

    def _downs_of_holds(self, rows: list[Row]) -> dict[int, int]:
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

    def _earliest_us(self, row: Row) -> int:
        if row["action"] == "wait":
            return int(row["end_us"])
        if row["action"] == "dragTo":  # its press is where the path begins; clicks come as late as they can
            clicks_ms = (row["clicks"] - 1) * self.rules.multi_click_ms
            return int(max(row["start_us"], row["start_us"] + row["path"][0]["us"] - clicks_ms * 1000))
        return int(row["start_us"])

    def _free_after(self, before: _Doing, doing: _Doing) -> int:
        """The first time at which something can happen after another action."""
        if before.name != "moveTo":
            return before.at_us
        is_hover = not self.rules.keep_moves and doing.name not in _STARTERLESS
        return before.end_us + (self.rules.hover_ms * 1000 + 1 if is_hover else 0)

    def _next_starter_us(self, number: int) -> int | None:
        later = [doing for doing in self.doings[number + 1 :] if doing.name not in _STARTERLESS]
        return later[0].at_us if later else None

    # ------------------------------------------------------------------------------------------------ modifiers

    def _holds(self) -> tuple[list[list[str]], list[list[str]], list[bool]]:
        """Before which action each modifier goes down and after which it comes up; and where one stays for good."""
        down: list[list[str]] = [[] for _ in self.doings]
        up: list[list[str]] = [[] for _ in self.doings]
        lost_from = self._all_unpaired_from()
        stuck = [False] * len(self.doings)
        for family in ("ctrl", "alt", "shift", "meta"):
            for first, last in self._times_of(family):
                down[first].append(family)
                if last < len(self.doings) - 1 or lost_from > last:
                    up[last].append(family)
                    continue
                if first < lost_from:
                    up[lost_from - 1].append(family)
                    down[lost_from].append(family)
                for number in range(max(first, lost_from), last + 1):
                    stuck[number] = True
        return down, up, stuck

    def _all_unpaired_from(self) -> int:
        """From which action on all are unpaired."""
        paired = [number for number, doing in enumerate(self.doings) if not doing.has(ActionFlag.UNPAIRED)]
        return paired[-1] + 1 if paired else 0

    def _times_of(self, family: str) -> list[tuple[int, int]]:
        """The first and the last action of each time that a modifier is held."""
        mine = [n for n, doing in enumerate(self.doings) if family in doing.modifiers and not self._by_press(n, family)]
        firsts = [number for number in mine if number - 1 not in mine]
        lasts = [number for number in mine if number + 1 not in mine]
        return list(zip(firsts, lasts, strict=True))

    def _by_press(self, number: int, family: str) -> bool:
        """Whether a modifier is down because it is pressed by itself meanwhile."""
        return any(
            before.is_lone_modifier() and family_of(before.key) == family and before.end_us > self.doings[number].at_us
            for before in self.doings[:number]
        )

    # ------------------------------------------------------------------------------------------------ events

    def events(self) -> list[Row]:
        """All events, by time."""
        if not self.doings:
            return []
        self._tell_repeats(self.doings[0])
        window: tuple[Any, ...] = (None, None, None)
        for number, doing in enumerate(self.doings):
            self._put_cursor(doing)
            if number and self._would_join(number):
                doing.event(Kind.MARK_START, doing.led_from_us)
            its_window = tuple(doing.row[name] for name in ("app", "title", "url"))
            if its_window != window or self._needs_a_focus(number):
                doing.event(Kind.FOCUS, **dict(zip(("app", "title", "url"), its_window, strict=True)))
            window = its_window
            self._put(number, doing)
        events = [event for doing in self.doings for event in doing.events]
        return sorted(events, key=lambda event: event["time_us"])

    def _tell_repeats(self, first: _Doing) -> None:
        """Let the keyboard tell repeats, so that none is computed; so early that it disturbs no wait."""
        begin_us = min(doing.row["approach_us"] for doing in self.doings) - self.rules.wait_ms * 1000 - 2
        for kind, flags in ((Kind.KEY_DOWN, 0), (Kind.KEY_DOWN, Flag.AUTO_REPEAT), (Kind.KEY_UP, 0)):
            first.event(kind, begin_us, key=_BRIDGES[0], flags=int(flags))

    def _before(self, number: int) -> _Doing | None:
        """The last action with starters before one."""
        before = [doing for doing in self.doings[:number] if doing.name not in _STARTERLESS]
        return before[-1] if before else None

    def _needs_a_focus(self, number: int) -> bool:
        """Whether an action would go on with the typing or scrolling before it; a window that takes focus parts them."""
        doing, before = self.doings[number], self._before(number)
        if before is None:
            return False
        return (doing.types() and before.types()) or ("scroll" in doing.name and "scroll" in before.name)

    def _put_cursor(self, doing: _Doing) -> None:
        """Where the pointer was before; told by an event that means nothing else."""
        if doing.row["cursor_x"] is not None:
            place = _place(doing.row["cursor_x"], doing.row["cursor_y"])
            doing.event(Kind.GEOMETRY, doing.row["approach_us"] - 1, **place)

    def _would_join(self, number: int) -> bool:
        """Whether an action or its approach would become part of the one before, where a marker parted them."""
        doing, last = self.doings[number], self.doings[number - 1]
        if last.name == "moveTo" and doing.name in (*_POINTED, "moveTo"):
            return doing.led_from_us - last.end_us <= self.rules.approach_pause_ms * 1000
        before = self._before(number)
        if (
            before is None
            or before.name not in _CLICKS
            or doing.name not in (*_CLICKS, "dragTo")
            or before.row["clicks"] == 3
        ):
            return False
        if before.row["button"] != doing.row["button"]:
            return False
        return self._is_quick_and_near(before, doing)

    def _is_quick_and_near(self, before: _Doing, after: _Doing) -> bool:
        if after.at_us - before.at_us > self.rules.multi_click_ms * 1000:
            return False
        one, two = before.place, after.place
        if not one or not two:
            return True
        distance2 = (one["x"] - two["x"]) ** 2 + (one["y"] - two["y"]) ** 2
        return bool(distance2 <= (self.rules.multi_click_px * POSITION_UNITS_PER_PX) ** 2)

    def _put(self, number: int, doing: _Doing) -> None:
        if doing.name in _STARTERLESS:
            for family in self.held_from[number]:
                doing.event(Kind.KEY_DOWN, key=family)
            self._put_starterless(doing)
            for family in self.held_to[number]:
                doing.event(Kind.KEY_UP, key=family)
            return
        self._put_approach(doing)
        for family in self.held_from[number]:
            doing.event(Kind.KEY_DOWN, key=family)
        levels = ["altgr"] if doing.name in ("write", "press") and set(doing.modifiers) & set(_COMMANDS) else []
        goes_on = self._goes_on(number, doing)
        is_bridged = doing.at_us > doing.row["start_us"] or (doing.end_us > doing.at_us and not goes_on)
        bridge = _BRIDGES[sum(before.name not in _STARTERLESS for before in self.doings[:number]) % len(_BRIDGES)]
        if is_bridged:
            doing.event(Kind.KEY_DOWN, doing.row["start_us"], key=bridge)
        for level in levels:
            doing.event(Kind.KEY_DOWN, key=level)
        marker = len(doing.events)
        release = self._start(number, doing)
        self._flag(doing, doing.events[marker])
        for key in (*levels, *self.held_to[number]):
            doing.event(Kind.KEY_UP, key=key)
        release(doing.end_us if goes_on else doing.at_us)
        if is_bridged:
            doing.event(Kind.KEY_UP, doing.at_us if goes_on else doing.end_us, key=bridge)

    def _goes_on(self, number: int, doing: _Doing) -> bool:
        """Whether its own press or repeats last to its end, because something else begins before."""
        if doing.is_lone_modifier():
            return True
        following_us = self._next_starter_us(number)
        return following_us is not None and following_us < doing.end_us

    def _flag(self, doing: _Doing, event: Row) -> None:
        for of_action, of_event in _EVENT_FLAGS.items():
            if doing.has(of_action):
                event["flags"] |= int(of_event)

    def _put_approach(self, doing: _Doing) -> None:
        """Moves from the start of the approach, just close enough together."""
        if doing.led_from_us < doing.at_us:
            self._put_moves(doing, doing.led_from_us, doing.at_us)

    def _put_moves(self, doing: _Doing, first_us: int, end_us: int) -> None:
        """Moves in a time, without a pause; the place is not told."""
        pause_us = max(1, self.rules.approach_pause_ms * 1000)
        for time_us in range(first_us, end_us, pause_us):
            doing.event(Kind.MOVE, time_us)

    # ------------------------------------------------------------------------------------------------ by class

    def _put_starterless(self, doing: _Doing) -> None:
        begun = len(doing.events)
        if doing.name == "wait":
            doing.event(Kind.SCREEN, picture_hash=f"{doing.row['device']}-{doing.at_us}")
        elif doing.name == "terminate":
            doing.event(Kind.MARK_START)
            begun += 1
            doing.event(Kind.MARK_END, key=doing.row["text"])
        elif doing.row["path"]:
            self._put_way(doing, doing.row["path"])
        else:
            self._put_moves(doing, doing.row["start_us"], doing.end_us)
            doing.event(Kind.MOVE, doing.end_us, **doing.place)
        self._flag(doing, doing.events[begun])

    def _put_way(self, doing: _Doing, path: list[Row]) -> None:
        """Moves along a path; the pointer waits at each of its points."""
        pause_us = max(1, self.rules.approach_pause_ms * 1000)
        begin_us = doing.row["start_us"]
        if path[0]["us"] > 0:
            self._put_moves(doing, begin_us, begin_us + path[0]["us"])
        ends_us = [point["us"] for point in path[1:]] + [doing.end_us - begin_us + 1]
        for point, until_us in zip(path, ends_us, strict=True):
            for us in range(point["us"], max(until_us, point["us"] + 1), pause_us):
                doing.event(Kind.MOVE, begin_us + us, **_place(point["x"], point["y"]))

    def _start(self, number: int, doing: _Doing) -> Callable[[int], None]:
        """The starters of an action; the result lets go of what is still down, at a time."""
        if doing.name in _CLICKS:
            return self._click(number, doing)
        if doing.name == "dragTo":
            return self._drag(number, doing)
        if doing.name in ("mouseDown", "mouseUp"):
            kind = Kind.BUTTON_DOWN if doing.name == "mouseDown" else Kind.BUTTON_UP
            doing.event(kind, code=_code(doing.row["button"]), **doing.place)
            return _nothing
        if doing.name in ("scroll", "hscroll"):
            ticks = {axis: round(doing.row[f"{axis}_ticks"] * WHEEL_UNITS_PER_TICK) for axis in ("wheel_x", "wheel_y")}
            doing.event(Kind.SCROLL, **ticks, **doing.place)
            return _nothing
        return self._press_keys(number, doing)

    def _stays_down(self, number: int, doing: _Doing) -> bool:
        return doing.has(ActionFlag.UNPAIRED) and not self.stuck[number]

    def _click(self, number: int, doing: _Doing) -> Callable[[int], None]:
        code = _code(doing.row["button"])
        for _ in range(doing.row["clicks"] - 1):
            doing.event(Kind.BUTTON_DOWN, code=code, **doing.place)
            doing.event(Kind.BUTTON_UP, code=code)
        doing.event(Kind.BUTTON_DOWN, code=code, **doing.place)
        if self._stays_down(number, doing):
            return _nothing
        return lambda time_us: doing.event(Kind.BUTTON_UP, time_us, code=code)

    def _drag(self, number: int, doing: _Doing) -> Callable[[int], None]:
        code, path = _code(doing.row["button"]), doing.row["path"]
        begin_us = doing.row["start_us"]
        click_us = begin_us + path[0]["us"] - self.rules.multi_click_ms * 1000
        for time_us in [doing.at_us, max(doing.at_us, click_us)][: doing.row["clicks"] - 1]:
            doing.event(Kind.BUTTON_DOWN, time_us, code=code, **doing.place)
            if not self._stays_down(number, doing):
                doing.event(Kind.BUTTON_UP, time_us, code=code)
        first, last = path[0], path[-1]
        start = _place(first["x"], first["y"])
        doing.event(Kind.BUTTON_DOWN, begin_us + first["us"], code=code, **start)
        far = start["x"] + self.rules.drag_px * POSITION_UNITS_PER_PX * (1 if start["x"] < 0 else -1)
        doing.event(Kind.GEOMETRY, begin_us + first["us"], x=far, y=start["y"])  # a path may leave out the farthest
        for point in path[1:-1]:
            doing.event(Kind.MOVE, begin_us + point["us"], **_place(point["x"], point["y"]))
        doing.event(Kind.BUTTON_UP, begin_us + last["us"], code=code, **_place(last["x"], last["y"]))
        return _nothing

    def _press_keys(self, number: int, doing: _Doing) -> Callable[[int], None]:
        if doing.name == "keyUp":
            doing.event(Kind.KEY_UP, key=doing.key)
            return _nothing
        key = doing.key
        if doing.name == "write":
            key = f"text{number}"
            self._write(doing, key)
        else:
            doing.event(Kind.KEY_DOWN, key=key)
            for _ in range((doing.row["count"] or 1) - 1):
                doing.event(Kind.KEY_DOWN, key=key, flags=int(Flag.AUTO_REPEAT))
        if doing.name == "keyDown":
            return lambda time_us: self._repeat_until(doing, time_us)
        if self._stays_down(number, doing):
            return _nothing
        return lambda time_us: doing.event(Kind.KEY_UP, time_us, key=key)

    def _repeat_until(self, doing: _Doing, time_us: int) -> None:
        if time_us > doing.at_us:
            doing.event(Kind.KEY_DOWN, time_us, key=doing.key, flags=int(Flag.AUTO_REPEAT))

    def _write(self, doing: _Doing, key: str) -> None:
        """Backspaces that have nothing to erase, and the rest as the text of one key."""
        text = doing.row["text"]
        letters = text.lstrip("\b")
        for _ in range(len(text) - len(letters)):
            doing.event(Kind.KEY_DOWN, key="backspace")
            doing.event(Kind.KEY_UP, key="backspace")
        doing.event(Kind.KEY_DOWN, key=key, text=letters or "x")
        if not letters:
            doing.event(Kind.KEY_DOWN, key="backspace")
            doing.event(Kind.KEY_UP, key="backspace")


def _nothing(time_us: int) -> None:
    """Nothing is down."""


def _place(x: float | None, y: float | None) -> Row:
    if x is None or y is None:
        return {}
    return {"x": round(x * POSITION_UNITS_PER_PX), "y": round(y * POSITION_UNITS_PER_PX)}


def _code(button: str) -> int:
    return _BUTTONS.get(button) or int(button.removeprefix("button"))
