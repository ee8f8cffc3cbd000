"""Replay: from actions back to events that reduce to the same actions.

It proves that an action table says what the reducer knows, and gives whoever plays actions (a viewer, an agent's
environment) an order of events that means them.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from taskreel.io.events import POSITION_UNITS_PER_PX, WHEEL_UNITS_PER_TICK, Flag, Kind
from taskreel.transforms.actions.replay_times import CLICKS, POINTED, STARTERLESS, Doing, Row, place_of, timed
from taskreel.transforms.actions.rules import ActionFlag, ActionOptions
from taskreel.transforms.actions.stream import family_of
from taskreel.transforms.merge import MERGED_SCHEMA

_BUTTONS = {"left": 1, "middle": 2, "right": 3}
_COMMANDS = ("ctrl", "alt", "meta")
_BRIDGES = ("fn", "iso_level5_shift")
"""Level shifts, down in turn while an action goes on, so that it lasts as long as it should; they do nothing else."""
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
      unless it stays down to the end; one that went down in the middle of an action; and one held while nothing was
      done that would tell a hold from a press of it;
    - an empty `write` without `resolve_edits`;
    - with several devices, runs that a marker between two quick clicks of another device would cut;
    - two recordings of one device at one microsecond, in another order than that of the recordings.
    """
    rules = options or ActionOptions()
    events: list[Row] = []
    doings = timed(actions.to_pylist(), rules)
    for device in sorted({doing.row["device"] for doing in doings}):
        events += _Device([doing for doing in doings if doing.row["device"] == device], rules).events()
    events.sort(key=lambda event: (event["time_us"], event["device"], event["recording"]))
    seqs: dict[int, Iterator[int]] = {}
    for event in events:
        event["seq"] = next(seqs.setdefault(event["recording"], itertools.count()))
    return pa.Table.from_pylist(events, MERGED_SCHEMA)


class _Device:
    """The actions of one device, one after the other."""

    def __init__(self, doings: list[Doing], rules: ActionOptions) -> None:
        self.doings, self.rules = doings, rules
        self.starting = [number for number, doing in enumerate(doings) if doing.name not in STARTERLESS]
        self.lone = [doing for doing in doings if doing.is_lone_modifier()]
        self.held_from, self.held_to, self.stuck = self._holds()

    def _next_starter_us(self, number: int) -> int | None:
        following = self.starting[bisect.bisect_right(self.starting, number) :][:1]
        return self.doings[following[0]].at_us if following else None

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
        held = (number for number, doing in enumerate(self.doings) if family in doing.modifiers)
        mine = [number for number in held if not self._by_press(self.doings[number], family)]
        inside = set(mine)
        firsts = [number for number in mine if number - 1 not in inside]
        lasts = [number for number in mine if number + 1 not in inside]
        return list(zip(firsts, lasts, strict=True))

    def _by_press(self, doing: Doing, family: str) -> bool:
        """Whether a modifier is down because it is pressed by itself meanwhile."""
        begun = self.lone[: bisect.bisect_right(self.lone, doing.at_us, key=lambda press: press.at_us)]
        return any(
            press.end_us > doing.at_us and family_of(press.key) == family and press is not doing for press in begun[-4:]
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

    def _tell_repeats(self, first: Doing) -> None:
        """Let the keyboard tell repeats, so that none is computed; so early that it disturbs no wait."""
        begin_us = min(doing.row["approach_us"] for doing in self.doings) - self.rules.wait_ms * 1000 - 2
        for kind, flags in ((Kind.KEY_DOWN, 0), (Kind.KEY_DOWN, Flag.AUTO_REPEAT), (Kind.KEY_UP, 0)):
            first.event(kind, begin_us, key=_BRIDGES[0], flags=int(flags))

    def _before(self, number: int) -> Doing | None:
        """The last action with starters before one."""
        place = bisect.bisect_left(self.starting, number)
        return self.doings[self.starting[place - 1]] if place else None

    def _needs_a_focus(self, number: int) -> bool:
        """Whether an action would go on with the typing or scrolling before it; a window taking focus parts them."""
        doing, before = self.doings[number], self._before(number)
        if before is None:
            return False
        return (doing.types() and before.types()) or ("scroll" in doing.name and "scroll" in before.name)

    def _put_cursor(self, doing: Doing) -> None:
        """Where the pointer was before; told by an event that means nothing else."""
        if doing.row["cursor_x"] is not None:
            place = place_of(doing.row["cursor_x"], doing.row["cursor_y"])
            doing.event(Kind.GEOMETRY, doing.row["approach_us"] - 1, **place)

    def _would_join(self, number: int) -> bool:
        """Whether an action or its approach would become part of the one before, where a marker parted them."""
        doing, last = self.doings[number], self.doings[number - 1]
        if last.name == "moveTo" and doing.name in (*POINTED, "moveTo"):
            return doing.led_from_us - last.end_us <= self.rules.approach_pause_ms * 1000
        before = self._before(number)
        if (
            before is None
            or before.name not in CLICKS
            or doing.name not in (*CLICKS, "dragTo")
            or before.row["clicks"] == 3
        ):
            return False
        if before.row["button"] != doing.row["button"]:
            return False
        return self._is_quick_and_near(before, doing)

    def _is_quick_and_near(self, before: Doing, after: Doing) -> bool:
        if after.at_us - before.at_us > self.rules.multi_click_ms * 1000:
            return False
        one, two = before.place, after.place
        if not one or not two:
            return True
        distance2 = (one["x"] - two["x"]) ** 2 + (one["y"] - two["y"]) ** 2
        return bool(distance2 <= (self.rules.multi_click_px * POSITION_UNITS_PER_PX) ** 2)

    def _put(self, number: int, doing: Doing) -> None:
        if doing.name in STARTERLESS:
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
        bridge = _BRIDGES[bisect.bisect_left(self.starting, number) % len(_BRIDGES)]
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

    def _goes_on(self, number: int, doing: Doing) -> bool:
        """Whether its own press or repeats last to its end, because something else begins before."""
        if doing.is_lone_modifier():
            return True
        following_us = self._next_starter_us(number)
        return following_us is not None and following_us < doing.end_us

    def _flag(self, doing: Doing, event: Row) -> None:
        for of_action, of_event in _EVENT_FLAGS.items():
            if doing.has(of_action):
                event["flags"] |= int(of_event)

    def _put_approach(self, doing: Doing) -> None:
        """Moves from the start of the approach, just close enough together."""
        if doing.led_from_us < doing.at_us:
            self._put_moves(doing, doing.led_from_us, doing.at_us)

    def _put_moves(self, doing: Doing, first_us: int, end_us: int) -> None:
        """Moves in a time, without a pause; the place is not told."""
        pause_us = max(1, self.rules.approach_pause_ms * 1000)
        for time_us in range(first_us, end_us, pause_us):
            doing.event(Kind.MOVE, time_us)

    # ------------------------------------------------------------------------------------------------ by class

    def _put_starterless(self, doing: Doing) -> None:
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

    def _put_way(self, doing: Doing, path: list[Row]) -> None:
        """Moves along a path; the pointer waits at each of its points."""
        pause_us = max(1, self.rules.approach_pause_ms * 1000)
        begin_us = doing.row["start_us"]
        if path[0]["us"] > 0:
            self._put_moves(doing, begin_us, begin_us + path[0]["us"])
        ends_us = [point["us"] for point in path[1:]] + [doing.end_us - begin_us + 1]
        for point, until_us in zip(path, ends_us, strict=True):
            for us in range(point["us"], max(until_us, point["us"] + 1), pause_us):
                doing.event(Kind.MOVE, begin_us + us, **place_of(point["x"], point["y"]))

    def _start(self, number: int, doing: Doing) -> Callable[[int], None]:
        """The starters of an action; the result lets go of what is still down, at a time."""
        if doing.name in CLICKS:
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

    def _stays_down(self, number: int, doing: Doing) -> bool:
        return doing.has(ActionFlag.UNPAIRED) and not self.stuck[number]

    def _click(self, number: int, doing: Doing) -> Callable[[int], None]:
        code = _code(doing.row["button"])
        for _ in range(doing.row["clicks"] - 1):
            doing.event(Kind.BUTTON_DOWN, code=code, **doing.place)
            doing.event(Kind.BUTTON_UP, code=code)
        doing.event(Kind.BUTTON_DOWN, code=code, **doing.place)
        if self._stays_down(number, doing):
            return _nothing
        return lambda time_us: doing.event(Kind.BUTTON_UP, time_us, code=code)

    def _drag(self, number: int, doing: Doing) -> Callable[[int], None]:
        code, path = _code(doing.row["button"]), doing.row["path"]
        begin_us = doing.row["start_us"]
        click_us = begin_us + path[0]["us"] - self.rules.multi_click_ms * 1000
        for time_us in [doing.at_us, max(doing.at_us, click_us)][: doing.row["clicks"] - 1]:
            doing.event(Kind.BUTTON_DOWN, time_us, code=code, **doing.place)
            if not self._stays_down(number, doing):
                doing.event(Kind.BUTTON_UP, time_us, code=code)
        first, last = path[0], path[-1]
        start = place_of(first["x"], first["y"])
        doing.event(Kind.BUTTON_DOWN, begin_us + first["us"], code=code, **start)
        far = start["x"] + self.rules.drag_px * POSITION_UNITS_PER_PX * (1 if start["x"] < 0 else -1)
        doing.event(Kind.GEOMETRY, begin_us + first["us"], x=far, y=start["y"])  # a path may leave out the farthest
        for point in path[1:-1]:
            doing.event(Kind.MOVE, begin_us + point["us"], **place_of(point["x"], point["y"]))
        doing.event(Kind.BUTTON_UP, begin_us + last["us"], code=code, **place_of(last["x"], last["y"]))
        return _nothing

    def _press_keys(self, number: int, doing: Doing) -> Callable[[int], None]:
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

    def _repeat_until(self, doing: Doing, time_us: int) -> None:
        if time_us > doing.at_us:
            doing.event(Kind.KEY_DOWN, time_us, key=doing.key, flags=int(Flag.AUTO_REPEAT))

    def _write(self, doing: Doing, key: str) -> None:
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


def _code(button: str) -> int:
    return _BUTTONS.get(button) or int(button.removeprefix("button"))
