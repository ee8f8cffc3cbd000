from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import BEGIN_US, Hand, acts, by_devices, event_tables, segment_of

from taskreel.capture.importers.ducktrack import import_ducktrack
from taskreel.io.events import Kind
from taskreel.transforms.actions import ACTION_SCHEMA, ActionOptions, Drop, reduce_actions
from taskreel.transforms.merge import MERGED_SCHEMA, merge_segments

EXAMPLE = Path(__file__).parents[2] / "examples" / "ducktrack"
GOLDEN = Path(__file__).parent / "golden" / "ducktrack.txt"

# ------------------------------------------------------- the oracle: one event after the other, on a single device

MODIFIER = {"ctrlleft": "ctrl", "ctrlright": "ctrl", "altleft": "alt", "altright": "alt", "shiftleft": "shift"}
MODIFIER |= {"shiftright": "shift", "winleft": "meta"}
LEVEL = {"altgr", "capslock", "numlock"}
NEVER_TEXT = {"enter", "tab", "esc", "delete"}
OWNERLESS = {
    Kind.MOVE: "MOVE",
    Kind.SCREEN: "SCREEN",
    Kind.FOCUS: "FOCUS",
    Kind.MARK_START: "MARKER",
    Kind.MARK_END: "MARKER",
}


class Oracle:
    """The actions of one device by the rules of the design, and whose each event is."""

    def __init__(self, rows):
        self.rows = rows
        self.states()
        self.starters = [s for i in range(len(rows)) if (s := self.starter(i))]
        self.groups = self.grouped()
        self.owner = [None] * len(rows)
        self.own()
        self.actions = [self.action(number, group) for number, group in enumerate(self.groups)]

    def states(self):
        """What holds after each event: place, window, keys held."""
        place, window, held = None, {}, []
        self.place, self.window, self.held = [], [], []
        for row in self.rows:
            if row.get("x") is not None:
                place = row["x"], row["y"]
            if row["kind"] == Kind.FOCUS:
                window = row
            if row["kind"] == Kind.KEY_DOWN and row["key"] not in held:
                held = [*held, row["key"]]
            if row["kind"] == Kind.KEY_UP:
                held = [key for key in held if key != row["key"]]
            self.place.append(place)
            self.window.append(window)
            self.held.append(held)

    def chord(self, i):
        names = {MODIFIER[key] for key in self.held[i] if key in MODIFIER}
        return "+".join(name for name in ("ctrl", "alt", "shift", "meta") if name in names)

    def release(self, i):
        """The row at which what went down at row i comes up; None if it goes down again before."""
        down = self.rows[i]
        what, kinds = ("key", (2, 1)) if down["kind"] == Kind.KEY_DOWN else ("code", (4, 3))
        for j in range(i + 1, len(self.rows)):
            if self.rows[j]["kind"] in kinds and self.rows[j][what] == down[what]:
                return j if self.rows[j]["kind"] == kinds[0] else None
        return None

    def distance(self, i, j):
        (ax, ay), (bx, by) = self.place[i] or (0, 0), self.place[j] or (0, 0)
        return ((ax - bx) ** 2 + (ay - by) ** 2) / 256**2

    def starter(self, i):
        row, up = self.rows[i], None
        if row["kind"] == Kind.SCROLL:
            return i, "scroll", None
        if row["kind"] not in (Kind.BUTTON_DOWN, Kind.KEY_DOWN):
            return None
        up = self.release(i)
        if row["kind"] == Kind.BUTTON_DOWN:
            is_drag = up is not None and any(self.distance(i, j) >= 10**2 for j in range(i, up + 1))
            return i, "drag" if is_drag else "click", up
        key, text = row["key"], row.get("text")
        if key in LEVEL:
            return None
        if key in MODIFIER:
            between = [r["kind"] for r in self.rows[i + 1 : up]]
            return None if Kind.KEY_DOWN in between or Kind.BUTTON_DOWN in between else (i, "press", up)
        if self.chord(i) not in ("", "shift") and "altgr" not in self.held[i]:
            return i, "hotkey", up
        is_text = (text or key in ("space", "backspace")) and key not in NEVER_TEXT
        return i, "write" if is_text else "press", up

    def grouped(self):
        groups = []
        for starter in self.starters:
            if groups and self.joins(groups[-1], starter):
                groups[-1].append(starter)
            else:
                groups.append([starter])
        settled = []
        for group in groups:
            if group[0][1] == "write" and all(self.rows[i]["key"] == "backspace" for i, _, _ in group):
                settled += [[(i, "press", up)] for i, _, up in group]
            else:
                settled.append(group)
        return settled

    def joins(self, group, starter):
        (i, before, _), (j, after, _) = group[-1], starter
        if before != after:
            return False
        one, two = self.rows[i], self.rows[j]
        apart_us = two["time_us"] - one["time_us"]
        if after == "click":
            near = apart_us <= 500_000 and self.distance(i, j) <= 5**2
            return one["code"] == two["code"] and near and len(group) < 3
        if self.window[i] is not self.window[j]:
            return False
        if after == "write":
            return apart_us < 1_000_000
        if after == "scroll":
            sign = [np.sign([row["wheel_x"], row["wheel_y"]]).tolist() for row in (one, two)]
            return apart_us <= 2_000_000 and sign[0] == sign[1]
        return False

    def own(self):
        for number, group in enumerate(self.groups):
            for i, kind, up in group:
                self.owner[i] = number
                if up is not None:
                    self.owner[up] = number
                    if kind in ("click", "drag"):
                        for j in range(i, up):
                            if self.rows[j]["kind"] == Kind.MOVE:
                                self.owner[j] = number
        self.own_modifiers()
        self.own_approaches()
        for i, row in enumerate(self.rows):
            if self.owner[i] is None:
                self.owner[i] = OWNERLESS.get(row["kind"], "STATE")

    def own_modifiers(self):
        for i, row in enumerate(self.rows):
            if row["kind"] == Kind.KEY_DOWN and row["key"] in MODIFIER.keys() | LEVEL and self.owner[i] is None:
                up = self.release(i)
                during = [n for n, group in enumerate(self.groups) for s, _, _ in group if i < s < up]
                self.owner[i], self.owner[up] = (during[0], during[-1]) if during else ("MODIFIER", "MODIFIER")

    def own_approaches(self):
        order = [s for s, _, _ in self.starters]
        for number, group in enumerate(self.groups):
            begin, kind, _ = group[0]
            if kind not in ("click", "drag", "scroll"):
                continue
            before = order[order.index(begin) - 1] if order.index(begin) else -1
            next_us = begin_us = self.rows[begin]["time_us"]
            for j in range(begin - 1, before, -1):
                row = self.rows[j]
                if row["kind"] != Kind.MOVE or self.owner[j] is not None:
                    continue
                if next_us - row["time_us"] > 200_000 or begin_us - row["time_us"] > 2_000_000:
                    break
                self.owner[j] = number
                next_us = row["time_us"]

    def action(self, number, group):
        head, kind, up = group[0]
        row, last = self.rows[head], group[-1]
        mine = [i for i, owner in enumerate(self.owner) if owner == number]
        acts = [i for i in mine if i > head or self.rows[i]["kind"] != Kind.MOVE]
        approach_us = self.rows[mine[0]]["time_us"]
        pointed = kind in ("click", "drag", "scroll")
        earlier = [place for place, r in zip(self.place, self.rows, strict=True) if r["time_us"] < approach_us]
        found = {
            "action": self.name(kind, group),
            "start_us": self.rows[acts[0]]["time_us"],
            "end_us": self.rows[acts[-1]]["time_us"],
            "approach_us": approach_us,
            "first_seq": acts[0],
            "last_seq": acts[-1],
            **px("", self.place[head] if pointed else None),
            **px("to_", self.place[last[2]] if kind == "drag" else None),
            **px("cursor_", earlier[-1] if earlier else None),
            "button": {1: "left", 2: "middle", 3: "right"}.get(row.get("code"), f"button{row.get('code')}")
            if kind in ("click", "drag")
            else None,
            "wheel_x_ticks": None,
            "wheel_y_ticks": None,
            "text": None,
            "keys": None,
            "app": self.window[head].get("app"),
            "title": self.window[head].get("title"),
            "url": self.window[head].get("url"),
            "unpaired": kind in ("click", "drag") and up is None,
        }
        if pointed or kind == "hotkey":
            found["modifiers"] = self.chord(head) or None
        if kind == "scroll":
            for axis in ("wheel_x", "wheel_y"):
                found[f"{axis}_ticks"] = sum(self.rows[i][axis] for i, _, _ in group) / 120
        if kind == "write":
            typed = [(self.rows[i]["key"], self.rows[i]["text"]) for i, _, _ in group]
            found["text"] = "".join("\b" if key == "backspace" else text for key, text in typed)
        if kind in ("press", "hotkey"):
            found["keys"] = row["key"] if kind == "press" else f"{self.chord(head)}+{row['key']}"
        return found

    def name(self, kind, group):
        row = self.rows[group[0][0]]
        if kind == "click" and len(group) == 1:
            return {2: "middleClick", 3: "rightClick"}.get(row["code"], "click")
        if kind == "scroll":
            return "scroll" if row["wheel_y"] else "hscroll"
        if kind == "click":
            return ("doubleClick", "tripleClick")[len(group) - 2]
        return "dragTo" if kind == "drag" else kind


def px(prefix, place):
    x, y = place or (None, None)
    return {f"{prefix}x": None if x is None else x / 256, f"{prefix}y": None if y is None else y / 256}


def owners(reduction):
    return [owner if owner >= 0 else Drop(owner).name for owner in reduction.owner.tolist()]


@given(acts())
@settings(max_examples=400, deadline=None)
def test_actions_are_those_that_a_plain_reading_of_the_events_gives(rows):
    oracle = Oracle(rows)
    actions = reduce_actions(by_devices(rows)).actions.to_pylist()
    expected = oracle.actions
    assert [a["action"] for a in actions] == [a["action"] for a in expected]
    assert [{name: a[name] for name in e} for a, e in zip(actions, expected, strict=True)] == expected


@given(acts())
@settings(max_examples=400, deadline=None)
def test_every_event_is_owned_as_a_plain_reading_says(rows):
    assert owners(reduce_actions(by_devices(rows))) == Oracle(rows).owner


@given(acts(max_acts=7), acts(max_acts=7), st.integers(-3000, 3000))
@settings(max_examples=200, deadline=None)
def test_two_devices_at_once_give_the_actions_of_each_alone(one, two, apart_ms):
    two = [row | {"time_us": row["time_us"] + apart_ms * 1000} for row in two]
    together = reduce_actions(by_devices(one, two))
    for device, rows in enumerate((one, two)):
        alone = reduce_actions(by_devices(rows))
        mine = [action for action in together.actions.to_pylist() if action["device"] == device]
        elsewhere = {"device": device, "recording": device, "segment": device}
        assert mine == [action | elsewhere for action in alone.actions.to_pylist()]


@given(acts(max_acts=7), acts(max_acts=7), st.integers(-3000, 3000))
@settings(max_examples=200, deadline=None)
def test_every_event_of_an_action_is_of_the_actions_device(one, two, apart_ms):
    events = by_devices(one, [row | {"time_us": row["time_us"] + apart_ms * 1000} for row in two])
    reduction = reduce_actions(events)
    devices = reduction.actions.column("device").to_pylist()
    for owner, device in zip(reduction.owner.tolist(), events.column("device").to_pylist(), strict=True):
        assert owner < 0 or devices[owner] == device


# ---------------------------------------------------------------------------------------------- any events at all


@given(st.lists(event_tables(max_rows=20), min_size=1, max_size=3))
@settings(max_examples=300, deadline=None)
def test_any_events_at_all_are_reduced_and_each_is_accounted_for(tables):
    reduction = reduce_actions(merged(tables))
    check(merged(tables), reduction)


def merged(tables):
    parts = [
        segment_of(table.to_pylist(), device=f"d{n % 2}", recording=f"r{n}", sha=f"{n:012}")
        for n, table in enumerate(tables)
    ]
    return merge_segments(parts).events


def check(events, reduction):
    actions, owner = reduction.actions, reduction.owner
    assert actions.schema.equals(ACTION_SCHEMA)
    actions.validate(full=True)
    assert owner.dtype == np.int32
    assert len(owner) == events.num_rows
    drops = {drop.value for drop in Drop} - {Drop.OUTSIDE_SESSION, Drop.DUPLICATE}
    assert set(owner.tolist()) <= set(range(actions.num_rows)) | drops
    times, kinds = events.column("time_us").to_pylist(), events.column("kind").to_pylist()
    for action in actions.to_pylist():
        assert action["approach_us"] <= action["start_us"] <= action["end_us"]
        assert action["first_seq"] <= action["last_seq"]
    first = [owner.tolist().index(number) for number in range(actions.num_rows)]
    for number, row in enumerate(first):
        action = actions.slice(number, 1).to_pylist()[0]
        mine = [times[i] for i in range(len(owner)) if owner[i] == number]
        assert (mine[0], mine[-1]) == (action["approach_us"], max(mine))
        assert times[row] == action["approach_us"]
    keys = events.column("key").to_pylist()
    begins = []
    for number in range(actions.num_rows):
        mine = [i for i, of in enumerate(owner.tolist()) if of == number and kinds[i] in STARTERS]
        begins.append(min([i for i in mine if keys[i] not in MODIFIER.keys() | LEVEL] or mine))
    assert begins == sorted(begins)


STARTERS = (Kind.BUTTON_DOWN, Kind.SCROLL, Kind.KEY_DOWN)


def test_no_events_give_no_actions():
    reduction = reduce_actions(MERGED_SCHEMA.empty_table())
    assert reduction.actions.equals(ACTION_SCHEMA.empty_table())
    assert len(reduction.owner) == 0


@given(acts(), st.integers(-(10**9), 10**9))
@settings(max_examples=60, deadline=None)
def test_actions_do_not_depend_on_when_they_are_done(rows, later_us):
    moved = [row | {"time_us": row["time_us"] + later_us} for row in rows]
    before, after = (reduce_actions(by_devices(r)).actions for r in (rows, moved))
    times = ("start_us", "end_us", "approach_us")
    assert after.drop_columns(times).equals(before.drop_columns(times))
    for name in times:
        assert (after.column(name).to_numpy() - before.column(name).to_numpy() == later_us).all()


# ------------------------------------------------------------------------------------------------ single cases


def summary(hand):
    facts = ("action", "button", "text", "keys", "modifiers", "wheel_y_ticks")
    rows = reduce_actions(by_devices(hand.rows)).actions.select(facts).to_pylist()
    return [tuple(value for value in row.values() if value is not None) for row in rows]


def test_typing_is_kept_as_it_was_typed_with_its_backspaces():
    hand = Hand().write("wikp").tap("backspace").wait(100).write("ipedia").tap("enter")
    assert summary(hand) == [("write", "wikp\bipedia"), ("press", "enter")]


def test_zooming_with_ctrl_and_the_wheel_is_a_scroll_and_no_press_of_ctrl():
    hand = Hand().key_down("ctrlleft").wait(100).scroll(120).wait(100).scroll(120).wait(100).key_up("ctrlleft")
    assert summary(hand) == [("scroll", "ctrl", 2.0)]


def test_a_modifier_tapped_alone_is_a_press_without_modifiers():
    assert summary(Hand().tap("winleft")) == [("press", "winleft")]


def test_a_modifier_held_on_one_side_stays_held_when_its_twin_comes_up():
    hand = Hand().key_down("ctrlleft").wait(50).key_down("ctrlright").wait(50).key_up("ctrlright").wait(50)
    hand.tap("c").wait(50).key_up("ctrlleft")
    assert summary(hand)[-1] == ("hotkey", "ctrl+c", "ctrl")


def test_a_modifier_that_repeats_while_it_is_held_is_one_modifier():
    hand = Hand()
    for _ in range(4):
        hand.key_down("ctrlleft").wait(30)
    hand.tap("c").key_up("ctrlleft")
    assert summary(hand) == [("hotkey", "ctrl+c", "ctrl")]


@pytest.mark.parametrize("key", ["altgr", "capslock", "shiftleft"])
def test_a_modifier_that_repeated_and_was_released_does_not_reach_into_later_actions(key):
    hand = Hand().key_down(key).wait(30).key_down(key).wait(30).key_down(key).wait(30).key_up(key)
    pressed_us = hand.wait(60_000).time_us
    hand.click()
    clicks = [a for a in reduce_actions(by_devices(hand.rows)).actions.to_pylist() if a["action"] == "click"]
    assert [click["start_us"] for click in clicks] == [pressed_us]


def test_a_release_that_never_came_is_told():
    hand = Hand().down().wait(3000).click(3)
    found = reduce_actions(by_devices(hand.rows)).actions.select(["action", "unpaired"]).to_pylist()
    assert found == [{"action": "click", "unpaired": True}, {"action": "rightClick", "unpaired": False}]


def test_two_buttons_held_at_once_are_two_actions_that_end_with_their_own_release():
    hand = Hand().down(1).wait(50).down(3).wait(50).up(3).wait(50)
    released_us = hand.time_us - 50_000
    hand.move(2, 2).wait(50).up(1)
    found = reduce_actions(by_devices(hand.rows)).actions.select(["action", "end_us"]).to_pylist()
    assert found == [{"action": "click", "end_us": hand.time_us}, {"action": "rightClick", "end_us": released_us}]


def names_after(hand):
    return [row[0] for row in summary(hand)]


@pytest.mark.parametrize(
    ("dx", "dy", "name"), [(9.75, 0, "click"), (10, 0, "dragTo"), (-6, 8, "dragTo"), (7, 7, "click")]
)
def test_a_press_is_a_drag_from_ten_pixels_on(dx, dy, name):
    assert names_after(Hand().down().wait(50).move(dx, dy).wait(50).up()) == [name]
    assert names_after(Hand().down().wait(50).move(dx, dy).wait(50).move(-dx, -dy).up()) == [name]


@pytest.mark.parametrize(("ms", "names"), [(500, ["doubleClick"]), (501, ["click", "click"])])
def test_clicks_are_one_up_to_half_a_second_from_press_to_press(ms, names):
    assert names_after(Hand().click(hold_ms=80).wait(ms - 80).click()) == names


@pytest.mark.parametrize(("dx", "dy", "names"), [(3, 4, ["doubleClick"]), (3, 4.25, ["click", "click"])])
def test_clicks_are_one_up_to_five_pixels_apart(dx, dy, names):
    assert names_after(Hand().click().wait(50).move(dx, dy).wait(50).click()) == names


@pytest.mark.parametrize(("ms", "names"), [(2000, ["scroll"]), (2001, ["scroll", "scroll"])])
def test_ticks_are_one_scroll_up_to_two_seconds_apart(ms, names):
    assert names_after(Hand().scroll().wait(ms).scroll()) == names


@pytest.mark.parametrize(("ms", "names"), [(999, ["write"]), (1000, ["write", "write"])])
def test_letters_are_one_text_up_to_a_second_of_idleness(ms, names):
    assert names_after(Hand().tap("a", "a", hold_ms=60).wait(ms - 60).tap("b", "b")) == names


@pytest.mark.parametrize(("ms", "moves"), [(200, 3), (201, 1)])
def test_an_approach_has_no_pause_longer_than_a_fifth_of_a_second(ms, moves):
    hand = Hand().move(5).wait(50).move(5).wait(ms).move(5).wait(200).click()
    assert reduce_actions(by_devices(hand.rows)).owner.tolist().count(0) == moves + 2


@pytest.mark.parametrize(("first_ms", "moves"), [(200, 11), (201, 10)])
def test_an_approach_is_at_most_two_seconds_long(first_ms, moves):
    hand = Hand().move(5).wait(first_ms - 100).move(5).wait(100)
    for _ in range(9):
        hand.move(5).wait(200)
    owner = reduce_actions(by_devices(hand.click().rows)).owner.tolist()
    assert owner.count(0) == moves + 2


def test_thresholds_are_options():
    hand = Hand().click().wait(700).click().wait(5000).write("ab", 1500)
    assert len(summary(hand)) == 4
    rules = ActionOptions(multi_click_ms=1000, typing_gap_ms=2000)
    names = reduce_actions(by_devices(hand.rows), rules).actions.column("action").to_pylist()
    assert names == ["doubleClick", "write"]


# ------------------------------------------------------------------------------------------- a real recording


@pytest.fixture(scope="module")
def ducktrack():
    imported = import_ducktrack(EXAMPLE, consent_id="c", participant="p", region="EU")
    rows = imported.events.to_pylist()
    return rows, reduce_actions(by_devices(rows))


def test_a_real_recordings_presses_are_its_clicks_and_drags(ducktrack):
    rows, reduction = ducktrack
    downs = sum(row["kind"] == Kind.BUTTON_DOWN for row in rows)
    ups = sum(row["kind"] == Kind.BUTTON_UP for row in rows)
    names = Counter(reduction.actions.column("action").to_pylist())
    singles = names["click"] + names["rightClick"] + names["middleClick"] + names["dragTo"]
    assert downs == ups == 22 == singles + 2 * names["doubleClick"] + 3 * names["tripleClick"]


def test_a_real_recordings_ticks_are_its_scrolls(ducktrack):
    rows, reduction = ducktrack
    assert sum(row["wheel_y"] or 0 for row in rows) / 120 == -140
    assert sum(filter(None, reduction.actions.column("wheel_y_ticks").to_pylist())) == -140


def test_a_real_recordings_keys_are_what_was_typed(ducktrack):
    actions = ducktrack[1].actions
    assert [text for text in actions.column("text").to_pylist() if text] == ["wikipedia", "transformer model"]
    assert "enter" in actions.column("keys").to_pylist()


def test_a_real_recordings_events_are_all_accounted_for(ducktrack):
    rows, reduction = ducktrack
    check(by_devices(rows), reduction)
    oracle = Oracle(rows)
    assert owners(reduction) == oracle.owner
    found = reduction.actions.to_pylist()
    assert [{name: a[name] for name in e} for a, e in zip(found, oracle.actions, strict=True)] == oracle.actions


def test_a_real_recording_reduces_to_the_actions_that_were_reviewed_by_eye(ducktrack):
    rows, reduction = ducktrack
    lines = [line(action, rows[0]["time_us"]) for action in reduction.actions.to_pylist()]
    assert lines == GOLDEN.read_text(encoding="utf-8").splitlines()


def line(action, zero_us):
    """An action as a person reads it: when, from where to where, what."""
    start, end, approach = ((action[f"{name}_us"] - zero_us) / 1_000_000 for name in ("start", "end", "approach"))
    parts = [f"{start:7.3f}–{end:7.3f} (from {approach:7.3f})", action["action"]]
    for prefix in ("", "to_"):
        if action[f"{prefix}x"] is not None:
            parts.append(f"{prefix.replace('_', ' ')}({action[f'{prefix}x']:.1f}, {action[f'{prefix}y']:.1f})")
    if action["action"] in ("scroll", "hscroll"):
        parts.append(f"ticks=({action['wheel_x_ticks']:g}, {action['wheel_y_ticks']:g})")
    parts += [f"{name}={action[name]!r}" for name in ("button", "text", "keys", "modifiers") if action[name]]
    return " ".join(parts)


def test_a_table_in_several_chunks_is_the_same_table():
    rows = Hand(BEGIN_US).write("abc").click().wait(900).scroll().rows
    whole = by_devices(rows)
    parts = pa.concat_tables([whole.slice(0, 4), whole.slice(4)])
    assert reduce_actions(parts).actions.equals(reduce_actions(whole).actions)
