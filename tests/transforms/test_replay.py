"""Actions, played back into events and reduced again, are the same actions."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_recordings import SAMPLES
from reducer_strategies import doings
from strategies import Hand, acts, by_devices

from taskreel.capture.importers.foreign import ImportOptions
from taskreel.capture.importers.formats import import_recording
from taskreel.capture.simulator import SimulationOptions, simulate
from taskreel.io.names import SegmentName
from taskreel.io.segments import read_segment
from taskreel.io.stores import LocalStore
from taskreel.transforms.actions import ActionOptions, reduce_actions
from taskreel.transforms.actions.replay import replay
from taskreel.transforms.discover import Selection
from taskreel.transforms.merge import MERGED_SCHEMA, merge_segments

NOT_GIVEN_BACK = ("first_seq", "last_seq")


def assert_given_back(events, rules):
    actions = reduce_actions(events, rules).actions
    again = reduce_actions(replay(actions, rules), rules).actions
    before, after = (table.drop_columns(NOT_GIVEN_BACK).to_pylist() for table in (actions, again))
    assert [action["action"] for action in after] == [action["action"] for action in before]
    for number, (one, two) in enumerate(zip(before, after, strict=True)):
        differs = {name: (one[name], two[name]) for name in one if one[name] != two[name]}
        assert (number, one["action"], differs) == (number, one["action"], {})


rules = st.builds(ActionOptions, keep_moves=st.booleans(), resolve_edits=st.booleans())


@st.composite
def recorded(draw, **options):
    """What people do, of which nothing was lost."""
    return draw(doings(without=("lost",), **options))


@given(st.one_of(acts(), recorded()), rules)
@settings(max_examples=300, deadline=None)
def test_what_people_do_is_given_back(rows, rules):
    assert_given_back(by_devices(rows), rules)


@given(recorded(max_acts=6), recorded(max_acts=6), st.integers(-3000, 3000), rules)
@settings(max_examples=100, deadline=None)
def test_what_people_do_on_two_devices_is_given_back(one, two, apart_ms, rules):
    two = [row | {"time_us": row["time_us"] + apart_ms * 1000} for row in two]
    assert_given_back(by_devices(one, two), rules)


@pytest.mark.parametrize("keep_moves", [False, True])
def test_a_simulated_day_is_given_back(tmp_path, keep_moves):
    store = LocalStore(str(tmp_path))
    simulate(store, SimulationOptions(participants=1, minutes=16, seed=5, devices=2, width_px=640, height_px=400))
    selection = Selection.of_input(str(tmp_path))
    days = selection.days(store)
    names = [SegmentName.parse(entry.name) for day in days for entry in selection.entries(store, day)]
    merged = merge_segments([read_segment(name, store.read(str(name))) for name in names])
    assert merged.events.num_rows > 10_000
    assert_given_back(merged.events, ActionOptions(keep_moves=keep_moves))


@pytest.mark.parametrize("keep_moves", [False, True])
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_real_recording_is_given_back(sample, keep_moves):
    imported = import_recording(sample.format, [sample.path], ImportOptions())
    assert_given_back(by_devices(imported.events.to_pylist()), ActionOptions(keep_moves=keep_moves))


def test_what_was_lost_is_flagged_again():
    hand = Hand().down().wait(3000).tap("enter").wait(3000).key_down("ctrlleft").wait(50).key_down("c")
    assert_given_back(by_devices(hand.rows), ActionOptions())


def test_no_actions_are_no_events():
    assert replay(reduce_actions(MERGED_SCHEMA.empty_table()).actions).equals(MERGED_SCHEMA.empty_table())
