"""`reduce_actions` against the oracle in `tests/support/reducer_oracle.py`, which reads `docs/actions.md` by itself.

And what holds for any events at all, and on a real recording.
"""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reducer_oracle import reduce_by_hand
from reducer_strategies import doings, options, tables
from strategies import Hand, by_devices

from taskreel.io.events import Kind
from taskreel.transforms.actions import ACTION_SCHEMA, ActionFlag, ActionOptions, Drop, reduce_actions
from taskreel.transforms.merge import MERGED_SCHEMA

NAMES = {
    *("click", "doubleClick", "tripleClick", "rightClick", "middleClick", "moveTo", "dragTo", "scroll", "hscroll"),
    *("write", "press", "hotkey", "mouseDown", "mouseUp", "keyDown", "keyUp", "wait", "terminate"),
}
BY_STEPS = {ActionFlag.NO_PICTURE, ActionFlag.PICTURE_MISSING, ActionFlag.CLOCK_UNALIGNED}
"""Flags that steps get and not actions."""
BEFORE = {Drop.OUTSIDE_SESSION, Drop.DUPLICATE}
"""Classes of events that never reach the reducer."""


def assert_as_by_hand(events, rules):
    reduction = reduce_actions(events, rules)
    expected, owner = reduce_by_hand(events.to_pylist(), rules)
    found = reduction.actions.to_pylist()
    assert [action["action"] for action in found] == [action["action"] for action in expected]
    for number, (action, by_hand) in enumerate(zip(found, expected, strict=True)):
        differs = {name: (action[name], by_hand[name]) for name in action if action[name] != by_hand[name]}
        assert (number, action["action"], differs) == (number, action["action"], {})
    assert reduction.owner.tolist() == owner
    return reduction


def assert_sound(events, reduction):
    """What holds of any reduction, whatever the rules are."""
    actions, owner = reduction.actions, reduction.owner
    assert actions.schema.equals(ACTION_SCHEMA)
    actions.validate(full=True)
    assert owner.dtype == np.int32
    assert len(owner) == events.num_rows
    assert set(owner.tolist()) <= set(range(actions.num_rows)) | (set(Drop) - BEFORE)
    assert set(range(actions.num_rows)) <= set(owner.tolist())
    times, devices = events.column("time_us").to_pylist(), events.column("device").to_pylist()
    of_action = [[i for i, number in enumerate(owner.tolist()) if number == n] for n in range(actions.num_rows)]
    for action, mine in zip(actions.to_pylist(), of_action, strict=True):
        assert action["approach_us"] <= action["start_us"] <= action["end_us"] == times[mine[-1]]
        assert action["first_seq"] <= action["last_seq"]
        assert {devices[i] for i in mine} == {action["device"]}
        if action["action"] != "wait":
            assert action["approach_us"] == times[mine[0]]


@given(tables(), options())
@settings(max_examples=300, deadline=None)
def test_any_events_reduce_to_what_a_reading_of_the_page_gives(events, rules):
    assert_sound(events, assert_as_by_hand(events, rules))


def test_the_events_of_these_tests_reach_every_action_flag_and_class():
    reached = Counter()

    @given(tables(), options())
    @settings(max_examples=500, deadline=None, database=None)
    def reduce(events, rules):
        reduction = reduce_actions(events, rules)
        reached.update(reduction.actions.column("action").to_pylist())
        reached.update(flag for bits in reduction.actions.column("flags").to_pylist() for flag in ActionFlag(bits))
        reached.update(Drop(number) for number in reduction.owner.tolist() if number < 0)

    reduce()
    wanted = NAMES | (set(ActionFlag) - BY_STEPS) | (set(Drop) - BEFORE)
    assert wanted <= set(reached)


@given(doings(max_acts=7), doings(max_acts=7), st.integers(-3000, 3000))
@settings(max_examples=150, deadline=None)
def test_two_devices_at_once_give_the_actions_of_each_alone(one, two, apart_ms):
    marks = (Kind.MARK_START, Kind.MARK_END)  # a marker of one device ends runs on the other
    one, two = ([row for row in rows if row["kind"] not in marks] for rows in (one, two))
    two = [row | {"time_us": row["time_us"] + apart_ms * 1000} for row in two]
    together = reduce_actions(by_devices(one, two))
    for device, rows in enumerate((one, two)):
        alone = reduce_actions(by_devices(rows))
        mine = [action for action in together.actions.to_pylist() if action["device"] == device]
        elsewhere = {"device": device, "recording": device, "segment": device}
        assert mine == [action | elsewhere for action in alone.actions.to_pylist()]


@given(tables(), st.integers(-(10**9), 10**9))
@settings(max_examples=60, deadline=None)
def test_actions_do_not_depend_on_when_they_are_done(events, later_us):
    index = events.schema.get_field_index("time_us")
    moved = events.set_column(index, MERGED_SCHEMA.field("time_us"), [events.column("time_us").to_numpy() + later_us])
    before, after = (reduce_actions(table).actions for table in (events, moved))
    times = ("start_us", "end_us", "approach_us")
    assert after.drop_columns(times).equals(before.drop_columns(times))
    for name in times:
        assert (after.column(name).to_numpy() - before.column(name).to_numpy() == later_us).all()


def test_a_keyboard_of_many_keys_keeps_its_chords_apart():
    hand = Hand()
    for number in range(60):
        for held in ((), ("ctrlleft",), ("ctrlleft", "shiftleft"), ("ctrlleft", "altleft", "shiftleft", "winleft")):
            for key in held:
                hand.key_down(key).wait(30)
            hand.tap(f"f{number}").wait(100)
            for key in held:
                hand.key_up(key).wait(30)
    assert_as_by_hand(by_devices(hand.rows), ActionOptions())


@pytest.mark.parametrize("many", [250, 260])
def test_more_keys_and_texts_than_a_byte_counts_are_kept_apart(many):
    hand = Hand()
    for number in range(many):
        hand.tap(f"key of {number}", chr(0x4E00 + number)).wait(50)
        if number % 7 == 0:
            hand.tap("backspace").tap("space")
    (action,) = reduce_actions(by_devices(hand.rows)).actions.to_pylist()
    letters = (chr(0x4E00 + number) + "\b " * (number % 7 == 0) for number in range(many))
    assert action["text"] == "".join(letters)


def test_no_events_give_no_actions():
    reduction = reduce_actions(MERGED_SCHEMA.empty_table())
    assert reduction.actions.equals(ACTION_SCHEMA.empty_table())
    assert len(reduction.owner) == 0
