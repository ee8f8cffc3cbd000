"""The reducer a second time: `docs/actions.md` read one event after the other, in plain Python.

It shares nothing with `taskreel.transforms.actions` but the words in `rules`. It may take quadratic time; what counts
is that each rule can be laid beside the page. Integers have no size here, so nothing overflows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from taskreel.io.events import Flag, Kind
from taskreel.transforms.actions.rules import ActionFlag, ActionOptions, Drop

Row = dict[str, Any]
Place = tuple[int, int] | None

UNITS_PER_PX = 256
LARGEST_COUNT = 2**31 - 1

# ------------------------------------------------------------------------------------------------- names of keys

SIDES = ("", "left", "right")
FAMILY = {f"{name}{side}": name for name in ("ctrl", "alt", "shift", "meta") for side in SIDES}
FAMILY |= {f"option{side}": "alt" for side in SIDES}
FAMILY |= {f"{name}{side}": "meta" for name in ("win", "command", "cmd", "super") for side in SIDES}
FAMILIES = ("ctrl", "alt", "shift", "meta")
OPTION = {f"option{side}" for side in SIDES}
LEVEL_SHIFTS = {"altgr", "capslock", "numlock", "scrolllock", "fn", "iso_level3_shift", "iso_level5_shift"}
THIRD_LEVEL = {"altgr", "iso_level3_shift"}
NEVER_TEXT = {"enter", "return", "numpadenter", "tab", "esc", "escape", "delete"}
BUTTON_NAMES = {1: "left", 2: "middle", 3: "right"}
POINTER_CLASSES = ("click", "drag", "scroll", "mouseDown", "mouseUp")

INPUT = {
    Kind.KEY_DOWN,
    Kind.KEY_UP,
    Kind.BUTTON_DOWN,
    Kind.BUTTON_UP,
    Kind.MOVE,
    Kind.SCROLL,
}
MARKS = (Kind.MARK_START, Kind.MARK_END)

EVENT_FLAGS = {
    Flag.SYNTHETIC: ActionFlag.SYNTHETIC,
    Flag.RECORDER_CONTROL: ActionFlag.RECORDER_CONTROL,
    Flag.IME: ActionFlag.IME,
    Flag.UNKNOWN_LAYOUT: ActionFlag.UNKNOWN_LAYOUT,
    Flag.INFERRED: ActionFlag.INFERRED,
}


def key_name(row: Row) -> str:
    return row["key"] or f"key{row['code'] or 0}"


def is_modifier(name: str) -> bool:
    return name in FAMILY


def is_plain(name: str) -> bool:
    return name not in FAMILY and name not in LEVEL_SHIFTS


def is_printable(text: str | None) -> bool:
    return bool(text) and text[0] >= " " and text[0] != "\x7f"


def composes(name: str) -> bool:
    """Whether a key makes text only together with the next one."""
    return name in ("compose", "multi_key") or name.startswith("dead_")


def button_name(code: int | None) -> str:
    return BUTTON_NAMES.get(code or 0, f"button{code or 0}")


def turns(row: Row) -> bool:
    return row["kind"] == Kind.SCROLL and bool(row["wheel_x"] or row["wheel_y"])


def direction(row: Row) -> str:
    if row["wheel_y"]:
        return "up" if row["wheel_y"] > 0 else "down"
    return "right" if row["wheel_x"] > 0 else "left"


# ------------------------------------------------------------------------------------------------- what is found


@dataclass(eq=False)
class Press:
    """A button's or a key's: the rows of its downs, and of its up if it had one."""

    what: tuple[str, int | str]
    downs: list[int]
    up: int | None = None

    @property
    def first(self) -> int:
        return self.downs[0]

    @property
    def name(self) -> str:
        return str(self.what[1])


@dataclass(eq=False)
class Starter:
    at: int
    kind: str
    press: Press | None = None


@dataclass(eq=False)
class Act:
    """An action: the starters or other events it is made of, and the event by which it counts."""

    kind: str
    at: int
    starters: list[Starter] = field(default_factory=list)
    moves: list[int] = field(default_factory=list)
    approach: list[int] = field(default_factory=list)
    start_us: int | None = None
    events: list[int] = field(default_factory=list)


def reduce_by_hand(rows: list[Row], options: ActionOptions | None = None) -> tuple[list[Row], list[int]]:
    """The actions (as dicts with the columns of `ACTION_SCHEMA`) and each event's owner, of a session's events."""
    options = options or ActionOptions()
    found: list[tuple[int, Row, Act, Device]] = []
    owner: list[Any] = [None] * len(rows)
    for number in sorted({row["device"] for row in rows}):
        device = Device(rows, number, options)
        for act in device.acts:
            found.append((device.events[act.at]["row"], device.action(act), act, device))
        for event, owned_by in zip(device.events, device.owner, strict=True):
            owner[event["row"]] = owned_by
    found.sort(key=lambda item: item[0])
    number_of = {id(act): number for number, (_, _, act, _) in enumerate(found)}
    owner = [number_of[id(item)] if isinstance(item, Act) else int(item) for item in owner]
    return [action for _, action, _, _ in found], owner


class Device:
    """The reading of one device's events. Numbers of events are of this device alone; `row` is in the table."""

    def __init__(self, rows: list[Row], number: int, options: ActionOptions) -> None:
        self.options = options
        self.events = [dict(row, row=n) for n, row in enumerate(rows) if row["device"] == number]
        self.marks = [n for n, row in enumerate(rows) if row["kind"] in MARKS]
        self.kind_of_row = [row["kind"] for row in rows]
        self.owner: list[Act | Drop | None] = [None] * len(self.events)
        self.read_states()
        self.read_presses()
        self.starters = sorted(self.find_starters(), key=lambda starter: starter.at)
        self.acts = self.join()
        self.by_starter = {starter: act for act in self.acts for starter in act.starters}
        self.give_presses()
        self.give_modifiers()
        self.give_moves()
        self.find_ends_of_tasks()
        self.find_waits()
        self.drop_the_rest()

    def us(self, i: int) -> int:
        return self.events[i]["time_us"]

    def within(self, i: int, j: int, ms: int) -> bool:
        """Whether from event i to event j it is at most so long."""
        return self.us(j) - self.us(i) <= ms * 1000

    def rows_of(self, *kinds: Kind) -> list[int]:
        return [i for i, event in enumerate(self.events) if event["kind"] in kinds]

    # --------------------------------------------------------------------------------- states: place, focus, keys

    def read_states(self) -> None:
        place: Place = None
        window: Row | None = None
        focus = 0
        held: tuple[str, ...] = ()
        self.place: list[Place] = []
        self.window: list[Row | None] = []
        self.focus: list[int] = []
        self.held: list[tuple[str, ...]] = []
        for event in self.events:
            if event["x"] is not None and event["y"] is not None:
                place = event["x"], event["y"]
            if event["kind"] == Kind.FOCUS:
                names = ("app", "title", "url")
                same = window is not None and all(window[name] == event[name] for name in names)
                if not (event["flags"] & Flag.RESTATED and same):
                    focus += 1
                window = event
            if event["kind"] == Kind.KEY_DOWN and key_name(event) not in held:
                held = (*held, key_name(event))
            if event["kind"] == Kind.KEY_UP:
                held = tuple(name for name in held if name != key_name(event))
            self.place.append(place)
            self.window.append(window)
            self.focus.append(focus)
            self.held.append(held)

    def modifiers(self, i: int, but: str = "") -> list[str]:
        """The modifiers that are held at an event, in order, without the one that `but` is a key of."""
        families = {FAMILY[name] for name in self.held[i] if name in FAMILY} - {FAMILY.get(but)}
        return [family for family in FAMILIES if family in families]

    def squared(self, i: int, j: int) -> int | None:
        """The squared distance between the pointer's places at two events, in units; None if one is unknown."""
        one, two = self.place[i], self.place[j]
        if one is None or two is None:
            return None
        return (one[0] - two[0]) ** 2 + (one[1] - two[1]) ** 2

    def marker_between(self, i: int, j: int) -> bool:
        return any(self.events[i]["row"] < mark < self.events[j]["row"] for mark in self.marks)

    # ------------------------------------------------------------------------------------------------ 1. presses

    def read_presses(self) -> None:
        self.presses: list[Press] = []
        self.press_at: dict[int, Press] = {}
        open_press: dict[tuple[str, int | str], Press] = {}
        for i, event in enumerate(self.events):
            is_key = event["kind"] in (Kind.KEY_DOWN, Kind.KEY_UP)
            what = ("key", key_name(event)) if is_key else ("button", event["code"] or 0)
            if event["kind"] in (Kind.KEY_DOWN, Kind.BUTTON_DOWN):
                press = open_press.get(what)
                if press is None or not self.is_repeat(press, i):
                    press = open_press[what] = Press(what, [])
                    self.presses.append(press)
                press.downs.append(i)
                self.press_at[i] = press
            if event["kind"] in (Kind.KEY_UP, Kind.BUTTON_UP):
                press = open_press.pop(what, None)
                if press is not None:
                    press.up = i
                    self.press_at[i] = press
                else:
                    self.owner[i] = Drop.KEY_UP_WITHOUT_DOWN if is_key else Drop.BUTTON_UP_WITHOUT_DOWN

    def is_repeat(self, press: Press, i: int) -> bool:
        if press.what[0] == "button":
            return False
        return bool(self.events[i]["flags"] & Flag.AUTO_REPEAT) or self.within(
            press.downs[-1], i, self.options.repeat_gap_ms
        )

    def is_first(self, i: int) -> bool:
        return self.press_at[i].first == i

    def between(self, press: Press) -> range:
        return range(press.first + 1, len(self.events) if press.up is None else press.up)

    def held_at_least(self, press: Press, ms: int) -> bool:
        return press.up is not None and self.us(press.up) - self.us(press.first) >= ms * 1000

    # ----------------------------------------------------------------------------------------------- 2. starters

    def find_starters(self) -> Iterable[Starter]:
        for i, event in enumerate(self.events):
            if turns(event):
                yield Starter(i, "scroll")
        for press in self.presses:
            if press.what[0] == "button":
                yield from self.starters_of_button(press)
            elif is_plain(press.name):
                yield from self.starters_of_plain_key(press)
            elif is_modifier(press.name) and self.is_alone(press):
                yield Starter(press.first, "press", press)

    def starters_of_button(self, press: Press) -> Iterable[Starter]:
        kind = self.class_of_button(press)
        yield Starter(press.first, kind, press)
        if kind == "mouseDown":
            yield Starter(press.up, "mouseUp", press)

    def class_of_button(self, press: Press) -> str:
        if any(self.overlap(press, other) for other in self.presses):
            return "mouseDown"
        if self.goes_far(press):
            return "drag"
        return "mouseDown" if self.held_at_least(press, self.options.hold_ms) else "click"

    def overlap(self, one: Press, two: Press) -> bool:
        both_are_buttons = one.what[0] == two.what[0] == "button" and one.what != two.what
        if not both_are_buttons or one.up is None or two.up is None:
            return False
        return one.first < two.up and two.first < one.up

    def goes_far(self, press: Press) -> bool:
        if press.up is None:
            return False
        far = (self.options.drag_px * UNITS_PER_PX) ** 2
        distances = [self.squared(press.first, i) for i in range(press.first, press.up + 1)]
        return any(distance is not None and distance >= far for distance in distances)

    def starters_of_plain_key(self, press: Press) -> Iterable[Starter]:
        if self.is_held_for_others(press):
            yield Starter(press.first, "keyDown", press)
            yield Starter(press.up, "keyUp", press)
            return
        kind = self.what_for(press.first)
        for i in press.downs if kind == "typing" else press.downs[:1]:
            yield Starter(i, kind, press)

    def is_held_for_others(self, press: Press) -> bool:
        if not self.held_at_least(press, self.options.hold_ms):
            return False
        return any(self.is_doing(i) and self.press_at.get(i) is not press for i in self.between(press))

    def is_doing(self, i: int) -> bool:
        """A down of a button, a turning tick, or the first down of a plain key."""
        event = self.events[i]
        if event["kind"] == Kind.KEY_DOWN:
            return self.is_first(i) and is_plain(key_name(event))
        return event["kind"] == Kind.BUTTON_DOWN or turns(event)

    def is_alone(self, press: Press) -> bool:
        """Whether a modifier is paired and nothing was done with it."""
        return press.up is not None and not any(
            self.is_doing(i)
            or (
                self.events[i]["kind"] == Kind.KEY_DOWN
                and self.is_first(i)
                and is_modifier(key_name(self.events[i]))
                and self.press_at[i].what != press.what
            )
            for i in self.between(press)
        )

    def what_for(self, i: int) -> str:
        """What a plain key is for: typing, hotkey or press."""
        name, text = key_name(self.events[i]), self.events[i]["text"] or ""
        held = self.modifiers(i)
        by_option = any(key in OPTION for key in self.held[i])
        if by_option and "ctrl" not in held and "meta" not in held and not text.isascii():
            return "typing"
        if "ctrl" in held and "alt" in held and "meta" not in held and self.makes_a_letter(name, text):
            return "typing"
        third_level = any(key in THIRD_LEVEL for key in self.held[i])
        if not third_level and any(family in held for family in ("ctrl", "alt", "meta")):
            return "hotkey"
        if name in NEVER_TEXT:
            return "press"
        types = is_printable(text) or name in ("space", "backspace") or composes(name)
        return "typing" if types else "press"

    def makes_a_letter(self, name: str, text: str) -> bool:
        """Whether Ctrl and Alt made something of a key that it does not say by itself."""
        return is_printable(text) and text != " " and text.lower() != name.lower()

    # ------------------------------------------------------------------------------------------- 3. what joins

    def join(self) -> list[Act]:
        runs: list[list[Starter]] = []
        for starter in self.starters:
            if runs and self.joins(runs[-1], starter):
                runs[-1].append(starter)
            else:
                runs.append([starter])
        acts = []
        for run in runs:
            if run[0].kind == "typing" and all(self.is_no_text(starter.press) for starter in run):
                acts += [self.without_text([s for s in run if s.press is press]) for press in presses_of(run)]
            else:
                acts.append(self.act(run[-1].kind, run))
        return acts

    def without_text(self, starters: list[Starter]) -> Act:
        """A press of the first starter; the others are its repeats, and no starters any more."""
        first, *repeats = starters
        self.starters = [starter for starter in self.starters if starter not in repeats]
        act = self.act("press", [first])
        for repeat in repeats:
            self.give(repeat.at, act)
        return act

    def act(self, kind: str, starters: list[Starter]) -> Act:
        return Act(kind, starters[0].at, starters)

    def is_no_text(self, press: Press) -> bool:
        return press.name == "backspace" or composes(press.name)

    def joins(self, run: list[Starter], after: Starter) -> bool:
        before = run[-1]
        i, j = before.at, after.at
        if self.marker_between(i, j):
            return False
        if before.kind == "click" and after.kind in ("click", "drag"):
            return len(run) < 3 and self.is_multi_click(before, after)
        if before.kind == after.kind == "scroll":
            same = self.focus[i] == self.focus[j] and self.modifiers(i) == self.modifiers(j)
            same = same and direction(self.events[i]) == direction(self.events[j])
            return same and self.within(i, j, self.options.scroll_gap_ms)
        if before.kind == after.kind == "typing":
            return self.focus[i] == self.focus[j] and self.us(j) - self.us(i) < self.options.typing_gap_ms * 1000
        return False

    def is_multi_click(self, before: Starter, after: Starter) -> bool:
        apart = self.squared(before.at, after.at)
        near = apart is None or apart <= (self.options.multi_click_px * UNITS_PER_PX) ** 2
        in_time = self.within(before.at, after.at, self.options.multi_click_ms)
        return before.press.what == after.press.what and near and in_time

    # ------------------------------------------------------------------------- 7. to whom presses belong

    def give(self, i: int, owner: Act | Drop) -> None:
        assert self.owner[i] is None, f"event {i} has two owners"
        self.owner[i] = owner

    def give_presses(self) -> None:
        for act in self.acts:
            for starter in act.starters:
                self.give(starter.at, act)
        for press in self.presses:
            mine = [starter for starter in self.starters if starter.press is press]
            if mine:
                first, last_down = self.by_starter[mine[0]], self.by_starter[mine[-1]]
                for i in press.downs:
                    if self.owner[i] is None:
                        self.give(i, first)
                if press.up is not None and self.owner[press.up] is None:
                    self.give(press.up, last_down)

    def give_modifiers(self) -> None:
        for press in self.presses:
            if press.what[0] == "button" or is_plain(press.name) or self.owner[press.first] is not None:
                continue
            for i in press.downs:
                during = self.acts_between(i, self.next_up(i))
                self.give(i, during[0] if during else Drop.MODIFIER)
            if press.up is not None:
                during = self.acts_between(press.first, press.up)
                self.give(press.up, during[-1] if during else Drop.MODIFIER)

    def next_up(self, i: int) -> int:
        """The next release of the key that goes down at event i, or the end."""
        name = key_name(self.events[i])
        ups = [j for j in self.rows_of(Kind.KEY_UP) if j > i and key_name(self.events[j]) == name]
        return ups[0] if ups else len(self.events)

    def acts_between(self, i: int, j: int) -> list[Act]:
        return [self.by_starter[starter] for starter in self.starters if i < starter.at < j]

    # ------------------------------------------------------------------------------------------------ 5. moves

    def give_moves(self) -> None:
        for act in self.acts:
            if act.kind == "drag":
                press = act.starters[-1].press
                act.moves = [i for i in self.between(press) if self.events[i]["kind"] == Kind.MOVE]
                for i in act.moves:
                    self.give(i, act)
        hovers = []
        for act in self.acts:
            if act.kind in POINTER_CLASSES:
                act.approach = self.approach(act)
                for i in act.approach:
                    self.give(i, act)
            hovers += self.hover(act)
        if self.options.keep_moves:
            hovers = self.runs(self.free_moves(-1, len(self.events)))
        for run in hovers:
            self.acts.append(Act("moveTo", run[0], moves=run))
            for i in run:
                self.give(i, self.acts[-1])

    def free_moves(self, after: int, before: int) -> list[int]:
        return [i for i in self.rows_of(Kind.MOVE) if after < i < before and self.owner[i] is None]

    def starter_before(self, i: int) -> int:
        return max((starter.at for starter in self.starters if starter.at < i), default=-1)

    def approach(self, act: Act) -> list[int]:
        found: list[int] = []
        later = act.at
        for i in reversed(self.free_moves(self.starter_before(act.at), act.at)):
            goes_on = self.within(i, later, self.options.approach_pause_ms) and not self.marker_between(i, later)
            if not goes_on or not self.within(i, act.at, self.options.approach_longest_ms):
                break
            found.insert(0, i)
            later = i
        return found

    def hover(self, act: Act) -> list[list[int]]:
        runs = self.runs(self.free_moves(self.starter_before(act.at), act.at))
        arrived = act.approach[0] if act.approach else act.at
        if runs and not self.within(runs[-1][-1], arrived, self.options.hover_ms):
            return [runs[-1]]
        return []

    def runs(self, moves: list[int]) -> list[list[int]]:
        """Moves, cut at pauses, starters and markers."""
        found: list[list[int]] = []
        for i in moves:
            if found and self.goes_on(found[-1][-1], i):
                found[-1].append(i)
            else:
                found.append([i])
        return found

    def goes_on(self, i: int, j: int) -> bool:
        is_cut = self.marker_between(i, j) or self.starter_before(j) > i
        return self.within(i, j, self.options.approach_pause_ms) and not is_cut

    # ------------------------------------------------------------------------------ 6. waits and ends of tasks

    def find_ends_of_tasks(self) -> None:
        for i in self.rows_of(Kind.MARK_END):
            before = [mark for mark in self.marks if mark < self.events[i]["row"]]
            if before and self.kind_of_row[before[-1]] == Kind.MARK_START:
                self.acts.append(Act("terminate", i))
                self.give(i, self.acts[-1])

    def find_waits(self) -> None:
        owned = {act: [i for i, owner in enumerate(self.owner) if owner is act] for act in self.acts}
        waits: dict[Act, Act] = {}
        for i in self.distinct_screens():
            begun = [act for act in self.acts if owned[act][0] < i]
            if (
                not begun
                or len(begun) == len(self.acts)
                or not self.came_by_itself(i)
                or any(owned[act][-1] > i for act in begun)
            ):
                continue
            after = max(begun, key=lambda act: owned[act][0])
            ended = max(owned[act][-1] for act in begun)
            waits[after] = Act("wait", i, start_us=self.us(ended))
        for wait in waits.values():
            self.acts.append(wait)
            self.give(wait.at, wait)

    def distinct_screens(self) -> list[int]:
        found = []
        before: Row | None = None
        for i in self.rows_of(Kind.SCREEN):
            event = self.events[i]
            same = before is not None and (before["picture_hash"] or "") == (event["picture_hash"] or "")
            change = event["picture_change_ppm"]
            if before is not None and change is not None and change <= self.options.same_screen_ppm:
                same = True
            if not same:
                found.append(i)
            before = event
        return found

    def came_by_itself(self, i: int) -> bool:
        inputs = [j for j in range(i) if self.events[j]["kind"] in INPUT]
        return not inputs or self.us(i) - self.us(inputs[-1]) >= self.options.wait_ms * 1000

    # ------------------------------------------------------------------------------------------ 7. all others

    def drop_the_rest(self) -> None:
        drops = {Kind.MOVE: Drop.MOVE, Kind.SCREEN: Drop.SCREEN, Kind.FOCUS: Drop.FOCUS, Kind.SCROLL: Drop.NO_TURN}
        drops |= {Kind.MARK_START: Drop.MARKER, Kind.MARK_END: Drop.MARKER}
        for i, event in enumerate(self.events):
            if self.owner[i] is None:
                self.give(i, drops.get(event["kind"], Drop.STATE))
        for act in self.acts:
            act.events = [i for i, owner in enumerate(self.owner) if owner is act]

    # ------------------------------------------------------------------------------------ 4. names and arguments

    def action(self, act: Act) -> Row:
        """The row of the action table."""
        head = self.events[act.at]
        timed = [i for i in act.events if i not in act.approach]
        seqs = [self.events[i]["seq"] for i in timed if self.events[i]["recording"] == head["recording"]]
        start_us = self.us(timed[0]) if act.start_us is None else act.start_us
        approach_us = min(start_us, self.us(act.events[0]))
        earlier = [i for i in range(len(self.events)) if self.us(i) < approach_us]
        window = self.window[act.at] or {}
        row = {
            "start_us": start_us,
            "end_us": self.us(timed[-1]),
            "approach_us": approach_us,
            "recording": head["recording"],
            "device": head["device"],
            "segment": head["segment"],
            "first_seq": min(seqs),
            "last_seq": max(seqs),
            "modifiers": "+".join(self.held_with(act)) or None,
            **px("cursor_", self.place[earlier[-1]] if earlier else None),
            **{name: window.get(name) for name in ("app", "title", "url")},
            **dict.fromkeys(("x", "y", "to_x", "to_y", "path", "button", "clicks", "wheel_x_ticks", "wheel_y_ticks")),
            **dict.fromkeys(("text", "keys", "count")),
        }
        row |= self.arguments(act)
        row["flags"] = self.flags(act)
        return row

    def arguments(self, act: Act) -> Row:
        of_class = {
            "click": self.click_arguments,
            "drag": self.drag_arguments,
            "scroll": self.scroll_arguments,
            "mouseDown": self.held_button_arguments,
            "mouseUp": self.held_button_arguments,
            "typing": self.typing_arguments,
            "press": self.press_arguments,
            "hotkey": self.hotkey_arguments,
            "keyDown": self.held_key_arguments,
            "keyUp": self.held_key_arguments,
            "moveTo": self.move_arguments,
            "wait": lambda _: {},
            "terminate": lambda _: {"text": self.events[act.at]["key"]},
        }
        return {"action": act.kind, **of_class[act.kind](act)}

    def key_of(self, act: Act) -> str:
        """The key of a press, hotkey, keyDown or keyUp."""
        return act.starters[0].press.name

    def held_with(self, act: Act) -> list[str]:
        is_key = act.kind in ("press", "hotkey", "keyDown", "keyUp")
        return self.modifiers(act.at, self.key_of(act) if is_key else "")

    def click_arguments(self, act: Act) -> Row:
        code = act.starters[0].press.what[1]
        number = len(act.starters)
        single = {2: "middleClick", 3: "rightClick"}.get(code, "click")
        name = {1: single, 2: "doubleClick", 3: "tripleClick"}[number]
        return {"action": name, "button": button_name(code), "clicks": number, **self.place_of(act)}

    def drag_arguments(self, act: Act) -> Row:
        press = act.starters[-1].press
        return {
            "action": "dragTo",
            "button": button_name(press.what[1]),
            "clicks": len(act.starters),
            **self.place_of(act),
            **px("to_", self.place[press.up]),
            "path": self.path(act, [press.first, *act.moves, press.up]),
        }

    def held_button_arguments(self, act: Act) -> Row:
        return {"button": button_name(act.starters[0].press.what[1]), **self.place_of(act)}

    def scroll_arguments(self, act: Act) -> Row:
        ticks = [self.events[starter.at] for starter in act.starters]
        return {
            "action": "scroll" if direction(ticks[0]) in ("up", "down") else "hscroll",
            "wheel_x_ticks": sum(tick["wheel_x"] or 0 for tick in ticks) / 120,
            "wheel_y_ticks": sum(tick["wheel_y"] or 0 for tick in ticks) / 120,
            **self.place_of(act),
        }

    def typing_arguments(self, act: Act) -> Row:
        text = "".join(self.typed(starter.at) for starter in act.starters)
        return {"action": "write", "text": with_backspaces_applied(text) if self.options.resolve_edits else text}

    def typed(self, i: int) -> str:
        name, text = key_name(self.events[i]), self.events[i]["text"]
        if name == "backspace":
            return "\b"
        if is_printable(text):
            return text
        return " " if name == "space" else ""

    def press_arguments(self, act: Act) -> Row:
        return {"action": "press", "keys": self.key_of(act), "count": self.count(act)[0]}

    def hotkey_arguments(self, act: Act) -> Row:
        chord = [*self.modifiers(act.at), self.key_of(act)]
        return {"action": "hotkey", "keys": "+".join(chord), "count": self.count(act)[0]}

    def count(self, act: Act) -> tuple[int, bool]:
        """How many times a key acted, and whether that is computed."""
        press = act.starters[0].press
        told = [i for i in press.downs if self.owner[i] is act]
        nobody_repeats = all(len(other.downs) == 1 for other in self.presses)
        if press.up is None or not nobody_repeats or is_modifier(press.name):
            return len(told), False
        longer_us = self.us(press.up) - self.us(press.first) - self.options.repeat_delay_ms * 1000
        if longer_us <= 0:
            return 1, False
        return min(2 + longer_us // (self.options.repeat_interval_ms * 1000), LARGEST_COUNT), True

    def held_key_arguments(self, act: Act) -> Row:
        return {"keys": self.key_of(act)}

    def move_arguments(self, act: Act) -> Row:
        path = self.path(act, act.moves) if self.options.keep_moves else None
        return {**px("", self.place[act.moves[-1]]), "path": path}

    def place_of(self, act: Act) -> Row:
        return px("", self.place[act.at])

    def path(self, act: Act, events: list[int]) -> list[Row] | None:
        zero_us = self.us(min(i for i in act.events if i not in act.approach))
        points = [(self.us(i) - zero_us, self.place[i]) for i in events if self.place[i] is not None]
        kept = simplified([place for _, place in points], self.options.path_tolerance_px * UNITS_PER_PX)
        return [{"us": points[n][0], **px("", points[n][1])} for n in kept] or None

    # ------------------------------------------------------------------------------------------------ 8. flags

    def flags(self, act: Act) -> int:
        bits = ActionFlag(0)
        for i in act.events:
            for flag, bit in EVENT_FLAGS.items():
                if self.events[i]["flags"] & flag:
                    bits |= bit
            if self.events[i]["flags"] & Flag.ESTIMATED:
                is_key = self.events[i]["kind"] in (Kind.KEY_DOWN, Kind.KEY_UP)
                bits |= ActionFlag.ESTIMATED_COUNT if is_key else ActionFlag.ESTIMATED_POSITION
        if self.lacks_a_release(act) or self.holds_unpaired(act):
            bits |= ActionFlag.UNPAIRED
        if act.kind in ("press", "hotkey") and self.count(act)[1]:
            bits |= ActionFlag.ESTIMATED_COUNT
        return int(bits)

    def lacks_a_release(self, act: Act) -> bool:
        """Whether a press of the action has none; for typing, the release would belong to the press's last down."""
        return any(s.press.up is None and s.at == self.last_starter(s.press).at for s in act.starters if s.press)

    def last_starter(self, press: Press) -> Starter:
        return [starter for starter in self.starters if starter.press is press][-1]

    def holds_unpaired(self, act: Act) -> bool:
        """Whether a key of a modifier counts as held that has no release."""
        for name in self.held[act.at]:
            downs = [i for i, press in self.press_at.items() if i <= act.at and press.what == ("key", name)]
            if is_modifier(name) and self.press_at[max(downs)].up is None:
                return True
        return False


def presses_of(run: list[Starter]) -> list[Press]:
    return list(dict.fromkeys(starter.press for starter in run if starter.press is not None))


def px(prefix: str, place: Place) -> Row:
    x, y = place or (None, None)
    return {
        f"{prefix}x": None if x is None else x / UNITS_PER_PX,
        f"{prefix}y": None if y is None else y / UNITS_PER_PX,
    }


def with_backspaces_applied(text: str) -> str:
    """Each backspace takes the character before it; one that has none before it stays."""
    while found := re.search("[^\b]\b", text):
        text = text[: found.start()] + text[found.end() :]
    return text


def simplified(points: list[tuple[int, int]], tolerance: int) -> list[int]:
    """Which points Ramer–Douglas–Peucker keeps."""
    if len(points) <= 2:
        return list(range(len(points)))
    (ax, ay), (bx, by) = points[0], points[-1]
    squared_length = (bx - ax) ** 2 + (by - ay) ** 2

    def squared_distance(point: tuple[int, int]) -> int:
        """From the line, times the squared length of the line; from the point, if the line is one."""
        x, y = point[0] - ax, point[1] - ay
        if not squared_length:
            return x**2 + y**2
        return (x * (by - ay) - y * (bx - ax)) ** 2

    inner = range(1, len(points) - 1)
    far = max(inner, key=lambda n: squared_distance(points[n]))
    if squared_distance(points[far]) < tolerance**2 * (squared_length or 1):
        return [0, len(points) - 1]
    return simplified(points[: far + 1], tolerance) + [far + n for n in simplified(points[far:], tolerance)[1:]]
