"""What the reducer makes of recordings that others made. `golden/` was reviewed by eye against the sources."""

from collections import Counter, defaultdict
from pathlib import Path

import pytest
from real_recordings import SAMPLES, action_line
from reducer_oracle import reduce_by_hand
from strategies import by_devices

from taskreel.capture.importers.foreign import ImportOptions
from taskreel.capture.importers.formats import import_recording
from taskreel.io.events import WHEEL_UNITS_PER_TICK, Kind
from taskreel.transforms.actions import ActionFlag, ActionOptions, Drop, reduce_actions

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module", params=SAMPLES, ids=lambda sample: sample.name)
def sample(request):
    """A recording's name, its events as rows, the session's table, and the reduction."""
    imported = import_recording(request.param.format, [request.param.path], ImportOptions())
    rows = imported.events.to_pylist()
    events = by_devices(rows)
    return request.param.name, rows, events, reduce_actions(events)


@pytest.fixture
def actions(sample):
    return sample[3].actions.to_pylist()


def downs_and_ups(rows):
    """Per key and button the rows at which it went down and up, in order; a key without a name goes by its code."""
    found = defaultdict(list)
    for row in rows:
        if row["kind"] in (Kind.BUTTON_DOWN, Kind.BUTTON_UP):
            found["button", row["code"]].append(row)
        elif row["kind"] in (Kind.KEY_DOWN, Kind.KEY_UP):
            found["key", row["key"] or row["code"]].append(row)
    return found


def test_the_actions_are_those_that_were_reviewed_by_eye(sample, actions):
    name, rows, *_ = sample
    lines = [action_line(action, rows[0]["time_us"]) for action in actions]
    assert lines == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8").splitlines()


def test_every_event_is_accounted_for(sample, actions):
    _, rows, _, reduction = sample
    assert len(reduction.owner) == len(rows)
    assert all(number in set(Drop) or 0 <= number < len(actions) for number in reduction.owner.tolist())
    assert set(range(len(actions))) == {number for number in reduction.owner.tolist() if number >= 0}


def test_clicks_are_the_pairs_of_button_events(sample, actions):
    _, rows, *_ = sample
    downs = sum(row["kind"] == Kind.BUTTON_DOWN for row in rows)
    acted = Counter(action["action"] for action in actions)
    assert sum(action["clicks"] or 0 for action in actions) + acted["mouseDown"] == downs


def test_ticks_are_preserved(sample, actions):
    _, rows, *_ = sample
    for axis in ("x", "y"):
        turned = sum(row[f"wheel_{axis}"] or 0 for row in rows) / WHEEL_UNITS_PER_TICK
        assert sum(action[f"wheel_{axis}_ticks"] or 0 for action in actions) == pytest.approx(turned, abs=1e-9)


def test_times_are_within_the_recording(sample, actions):
    _, rows, *_ = sample
    for action in actions:
        first, last = rows[0]["time_us"], rows[-1]["time_us"]
        assert first <= min(action["start_us"], action["approach_us"]) <= action["end_us"] <= last


def test_presses_without_a_release_are_flagged_and_releases_without_a_press_counted(sample, actions):
    _, rows, _, reduction = sample
    lost_ups = {Drop.KEY_UP_WITHOUT_DOWN: 0, Drop.BUTTON_UP_WITHOUT_DOWN: 0}
    for (kind, _), events in downs_and_ups(rows).items():
        is_down = False
        for event in events:
            goes_down = event["kind"] in (Kind.KEY_DOWN, Kind.BUTTON_DOWN)
            if not goes_down and not is_down:
                lost_ups[Drop.KEY_UP_WITHOUT_DOWN if kind == "key" else Drop.BUTTON_UP_WITHOUT_DOWN] += 1
            is_down = goes_down
        if is_down:
            owner = int(reduction.owner[rows.index(events[-1])])
            assert owner == Drop.MODIFIER or actions[owner]["flags"] & ActionFlag.UNPAIRED
    assert {drop: (reduction.owner == drop).sum() for drop in lost_ups} == lost_ups


@pytest.mark.parametrize("rules", [ActionOptions(), ActionOptions(keep_moves=True)], ids=["default", "keep_moves"])
def test_a_reading_of_the_page_gives_the_same(sample, rules):
    _, _, events, _ = sample
    reduction = reduce_actions(events, rules)
    actions, owner = reduce_by_hand(events.to_pylist(), rules)
    assert reduction.actions.to_pylist() == actions
    assert reduction.owner.tolist() == owner


def test_ducktrack_types_what_its_makers_typed():
    sample = next(sample for sample in SAMPLES if sample.name == "ducktrack")
    imported = import_recording(sample.format, [sample.path], ImportOptions())
    actions = reduce_actions(by_devices(imported.events.to_pylist())).actions.to_pylist()
    typed = [action["text"] or action["keys"] for action in actions if action["action"] in ("write", "press")]
    assert typed == ["wikipedia", "enter", "transformer model"]
    assert sum(action["clicks"] or 0 for action in actions) == 22
