import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import Hand, acts, by_devices, header_of, picture_hash_of, segment_of, table_of

from taskreel.io.events import Kind
from taskreel.io.segments import encode_segment, read_segment
from taskreel.transforms.actions import reduce_actions
from taskreel.transforms.build import BuildOptions, build_span
from taskreel.transforms.merge import merge_segments
from taskreel.transforms.steps import DRAFT_SCHEMA, STEP_FLAGS, Draft, Picture, Source, find_pictures, observe

PICTURES = [b"blue", b"green", b"red", None]


@st.composite
def acts_with_screens(draw, max_acts=9):
    """What is done, with a screen captured now and then, also at the very time of an event."""
    rows = draw(acts(max_acts=max_acts))
    seen = []
    for row in rows:
        for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
            picture = draw(st.sampled_from(PICTURES))
            time_us = row["time_us"] - draw(st.sampled_from([0, 0, 1, 500]))
            time_us = max([time_us, *(other["time_us"] for other in seen[-1:])])
            shown = {} if picture is None else {"picture": picture, "picture_hash": picture_hash_of(picture)}
            seen.append({"time_us": time_us, "kind": int(Kind.SCREEN), "flags": 0, **shown})
        seen.append(row)
    return [row | {"seq": seq} for seq, row in enumerate(seen)]


def reduced(*devices):
    events = by_devices(*devices)
    actions = reduce_actions(events).actions
    return events.to_pylist(), actions.to_pylist(), observe(events, actions)


def screen_before(events, device, time_us):
    """The first screen event since which the device's screen has looked as it did last before a time; a row or -1."""
    rows = [
        n for n, e in enumerate(events) if e["kind"] == Kind.SCREEN and e["device"] == device and e["time_us"] < time_us
    ]
    if not rows:
        return -1
    first = rows.pop()
    while rows and events[rows[-1]]["picture_hash"] == events[first]["picture_hash"]:
        first = rows.pop()
    return first


@given(acts_with_screens(), acts_with_screens(max_acts=4))
@settings(max_examples=200, deadline=None)
def test_an_observation_is_the_last_distinct_screen_strictly_before_the_press(one, two):
    events, actions, seen = reduced(one, two)
    for n, action in enumerate(actions):
        assert seen.row[n] == screen_before(events, action["device"], action["start_us"])
        assert seen.approach_row[n] == screen_before(events, action["device"], action["approach_us"])


@given(acts_with_screens())
@settings(max_examples=200, deadline=None)
def test_no_observation_is_at_or_after_its_actions_press(rows):
    events, actions, seen = reduced(rows)
    for n, action in enumerate(actions):
        if seen.row[n] >= 0:
            assert events[seen.row[n]]["time_us"] < action["start_us"]
        if seen.approach_row[n] >= 0:
            assert seen.approach_row[n] <= seen.row[n]
            assert events[seen.approach_row[n]]["time_us"] < action["approach_us"]


@given(acts_with_screens())
@settings(max_examples=200, deadline=None)
def test_the_screen_changed_if_it_looked_different_before_the_next_action_began(rows):
    events, actions, seen = reduced(rows)
    for n, action in enumerate(actions):
        until_us = actions[n + 1]["start_us"] if n + 1 < len(actions) else float("inf")
        before = screen_before(events, 0, action["start_us"])
        after = screen_before(events, 0, until_us)
        looks = [events[row]["picture_hash"] for row in (before, after)]
        assert seen.changed[n] == (before >= 0 and looks[0] != looks[1])


def test_pictures_that_are_equal_count_as_one_seen_since_the_first():
    hand = Hand().screen(b"blue").wait(1000).screen(b"blue").wait(1000).screen(b"blue").wait(500).click()
    hand.wait(10).screen(b"red").wait(1000).click().wait(2000).screen(b"blue").wait(10).click()
    _, _, seen = reduced(hand.rows)
    assert seen.row.tolist() == [0, 5, 8]
    assert seen.changed.tolist() == [True, True, False]


def test_the_screen_of_another_device_is_not_what_was_seen():
    here, there = Hand().screen(b"blue").wait(1000).click(), Hand().wait(500).screen(b"red")
    events, _, seen = reduced(here.rows, there.rows)
    assert events[seen.row[0]]["picture_hash"] == picture_hash_of(b"blue")


def test_a_session_without_screens_has_no_observations():
    _, _, seen = reduced(Hand().click().rows)
    assert (seen.row.tolist(), seen.approach_row.tolist(), seen.changed.tolist()) == ([-1], [-1], [False])


def test_the_approach_sees_the_screen_before_the_pointer_set_out():
    hand = Hand().screen(b"blue").wait(50)
    for _ in range(4):
        hand.move(20).wait(100)
    hand.screen(b"red").wait(50).click()
    events, actions, seen = reduced(hand.rows)
    assert actions[0]["start_us"] - actions[0]["approach_us"] == 450_000
    assert events[seen.row[0]]["picture_hash"] == picture_hash_of(b"red")
    assert events[seen.approach_row[0]]["picture_hash"] == picture_hash_of(b"blue")


# ----------------------------------------------------------------------------------- steps of real segment files


def filed(rows, **fields):
    """Rows as a segment that was really written and read, and the bytes of its file."""
    name, data = encode_segment(header_of(**fields), table_of(rows))
    return read_segment(name, data), data


@given(acts_with_screens(max_acts=7), st.integers(1, 30))
@settings(max_examples=40, deadline=None)
def test_pictures_of_steps_lead_to_the_bytes_with_their_hash(rows, cut):
    segments, files = [], {}
    for piece in filter(None, (rows[:cut], rows[cut:])):
        segment, data = filed(piece)
        segments.append(segment)
        files[segment.name.file] = data
    for draft in build_span(segments, BuildOptions()).drafts:
        assert len({picture.hash for picture in draft.pictures}) == len(draft.pictures)
        for picture in draft.pictures:
            found = files[picture.file][picture.offset :][: picture.size_bytes]
            assert found in PICTURES
            assert picture_hash_of(found) == picture.hash


@given(acts_with_screens(max_acts=7))
@settings(max_examples=60, deadline=None)
def test_a_step_shows_the_picture_of_its_observation_or_says_that_there_is_none(rows):
    events, actions, seen = reduced(rows)
    segment, _ = filed(rows)
    steps = [
        step | {"image": None if step["picture"] is None else draft.pictures[step["picture"]].hash}
        for draft in build_span([segment], BuildOptions(session_gap_s=10_000.0)).drafts
        for step in draft.steps.to_pylist()
    ]
    assert [step["action"] for step in steps] == [action["action"] for action in actions]
    for step, action, row in zip(steps, actions, seen.row, strict=True):
        flags = {name for bit, name in enumerate(STEP_FLAGS) if step["flags"] >> bit & 1}
        assert step["image"] == (events[row]["picture_hash"] if row >= 0 else None)
        assert ("no_picture" in flags) == (row < 0)
        assert ("picture_missing" in flags) == (row >= 0 and step["image"] is None)
        assert ("unpaired" in flags) == action["unpaired"]
        if step["image"] is not None:
            assert step["image_age_us"] == action["start_us"] - events[row]["time_us"] > 0
        assert step["start_us"] + step["duration_us"] == action["end_us"]
        assert step["first_seq"] + step["seqs"] == action["last_seq"]


def test_a_picture_that_lies_in_several_places_is_taken_from_the_first():
    rows = Hand().screen(b"blue").wait(1000).click().wait(1000).screen(b"blue").wait(1000).click().rows
    (one, one_data), (two, _) = filed(rows[:3]), filed(rows[3:])
    found = find_pictures(merge_segments([two, one]))
    assert list(found) == [picture_hash_of(b"blue")]
    place = found[picture_hash_of(b"blue")]
    assert place.file == one.name.file < two.name.file
    assert one_data[place.offset :][:4] == b"blue"


# -------------------------------------------------------------------------------------------- across the shuffle

numbers = st.none() | st.integers(-(2**31), 2**31 - 1)


@given(
    st.lists(
        st.builds(Source, st.text(), st.text(), st.text(), st.text(), numbers, numbers, st.none() | st.floats(0, 9))
    ),
    st.lists(st.builds(Picture, st.text(), st.integers(0, 2**50), st.integers(0, 2**31), st.text(), numbers, numbers)),
    st.dictionaries(st.text(), st.none() | st.text() | st.lists(st.text()) | st.integers(-(2**60), 2**60)),
    acts_with_screens(max_acts=4),
)
@settings(max_examples=60, deadline=None)
def test_a_draft_survives_its_bytes(sources, pictures, episode, rows):
    steps = build_span([segment_of(rows)], BuildOptions()).drafts[0].steps
    draft = Draft(episode, sources, pictures, steps)
    again = Draft.from_bytes(draft.to_bytes())
    assert (again.episode, again.sources, again.pictures) == (episode, sources, pictures)
    assert again.steps.schema.equals(DRAFT_SCHEMA)
    assert again.steps.equals(steps)
    assert Draft.from_bytes(draft.to_bytes()).to_bytes() == draft.to_bytes()


def test_a_draft_that_was_cut_from_a_larger_table_carries_only_its_own_rows():
    rows = [row for n in range(300) for row in Hand(1_000_000 * n).click(hold_ms=80 + n).rows]
    draft = build_span([segment_of([row | {"seq": n} for n, row in enumerate(rows)])], BuildOptions()).drafts[0]
    assert draft.steps.num_rows == 300
    part = Draft(draft.episode, draft.sources, draft.pictures, draft.steps.slice(100, 2))
    assert len(part.to_bytes()) < len(draft.to_bytes()) / 1.5
    assert Draft.from_bytes(part.to_bytes()).steps.equals(draft.steps.slice(100, 2))


def test_the_bytes_of_a_draft_do_not_depend_on_the_order_of_its_facts():
    steps = pa.RecordBatch.from_pylist([], DRAFT_SCHEMA)
    one, two = ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert Draft(one, [], [], steps).to_bytes() == Draft(two, [], [], steps).to_bytes()
