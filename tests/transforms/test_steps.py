import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import Hand, acts, by_devices, header_of, picture_hash_of, segment_of, table_of

from taskreel.io.events import Flag, Kind
from taskreel.io.segments import encode_segment, read_segment
from taskreel.transforms.actions import ActionFlag, ActionOptions, reduce_actions
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
            shown["picture_change_ppm"] = draw(st.sampled_from([None, None, 0, SAME_PPM, SAME_PPM + 1, 500_000]))
            seen.append({"time_us": time_us, "kind": int(Kind.SCREEN), "flags": 0, **shown})
        seen.append(row)
    return [row | {"seq": seq} for seq, row in enumerate(seen)]


SAME_PPM = 10


def reduced(*devices, same_screen_ppm=0):
    events = by_devices(*devices)
    actions = reduce_actions(events, ActionOptions(same_screen_ppm=same_screen_ppm)).actions
    return events.to_pylist(), actions.to_pylist(), observe(events, actions, same_screen_ppm=same_screen_ppm)


def looks_of(events, device, same_ppm):
    """The screens of a device: (row, row of the screen since which it has looked like this), one after the other."""
    looks = []
    for n, event in enumerate(events):
        if event["kind"] == Kind.SCREEN and event["device"] == device:
            if not looks:
                looks.append((n, n))
                continue
            before, since = looks[-1]
            measured = event["picture_change_ppm"]
            same = event["picture_hash"] == events[before]["picture_hash"]
            same = same or (measured is not None and measured <= same_ppm)
            looks.append((n, since if same else n))
    return looks


def screen_before(events, device, time_us, same_ppm):
    """The last capture strictly before a time, and since which row the screen had looked like this; or -1, -1."""
    before = [look for look in looks_of(events, device, same_ppm) if events[look[0]]["time_us"] < time_us]
    return before[-1] if before else (-1, -1)


def next_us(actions, n):
    """When the next action of the device of action n begins; a wait is over with its screen."""
    following = [a for a in actions[n + 1 :] if a["device"] == actions[n]["device"]]
    if not following:
        return float("inf")
    return following[0]["end_us" if following[0]["action"] == "wait" else "start_us"]


@given(acts_with_screens(), acts_with_screens(max_acts=4), st.sampled_from([0, SAME_PPM]))
@settings(max_examples=200, deadline=None)
def test_an_observation_is_the_last_distinct_screen_strictly_before_the_press(one, two, same_ppm):
    events, actions, seen = reduced(one, two, same_screen_ppm=same_ppm)
    for n, action in enumerate(actions):
        assert seen.row[n] == screen_before(events, action["device"], action["start_us"], same_ppm)[1]
        assert seen.approach_row[n] == screen_before(events, action["device"], action["approach_us"], same_ppm)[1]


@given(acts_with_screens(), st.sampled_from([0, SAME_PPM]))
@settings(max_examples=200, deadline=None)
def test_no_observation_is_at_or_after_its_actions_press(rows, same_ppm):
    events, actions, seen = reduced(rows, same_screen_ppm=same_ppm)
    for n, action in enumerate(actions):
        if seen.row[n] >= 0:
            assert events[seen.row[n]]["time_us"] < action["start_us"]
        if seen.approach_row[n] >= 0:
            assert seen.approach_row[n] <= seen.row[n]
            assert events[seen.approach_row[n]]["time_us"] < action["approach_us"]


@given(acts_with_screens(), acts_with_screens(max_acts=4), st.sampled_from([0, SAME_PPM]))
@settings(max_examples=200, deadline=None)
def test_the_screen_changed_if_a_distinct_one_came_before_the_next_action_began(one, two, same_ppm):
    events, actions, seen = reduced(one, two, same_screen_ppm=same_ppm)
    for n, action in enumerate(actions):
        _, since = screen_before(events, action["device"], action["start_us"], same_ppm)
        until_us = next_us(actions, n)
        later = {
            look for row, look in looks_of(events, action["device"], same_ppm) if events[row]["time_us"] < until_us
        }
        came = sorted(look for look in later if look > since)
        assert seen.changed[n] == (since >= 0 and bool(came))
        measured = [events[row]["picture_change_ppm"] for row in came]
        if since >= 0:
            assert seen.change_ppm[n] == (-1 if None in measured else sum(measured))


@given(acts_with_screens())
@settings(max_examples=200, deadline=None)
def test_the_focus_changed_if_another_window_took_it_after_the_last_capture(rows):
    events, actions, seen = reduced(rows)
    for n, action in enumerate(actions):
        captured, _ = screen_before(events, 0, action["start_us"], 0)
        between = [e for e in events[captured + 1 :] if e["kind"] == Kind.FOCUS and e["time_us"] < action["start_us"]]
        assert seen.focus_changed[n] == (captured >= 0 and bool(between))


def test_what_a_segment_states_again_is_no_change_of_focus():
    hand = Hand().focus("code", "a.py").screen(b"blue").wait(10)
    hand.event(Kind.FOCUS, app="code", title="a.py", flags=Flag.RESTATED).wait(10).click()
    hand.wait(2000).event(Kind.FOCUS, app="code", title="b.py", flags=Flag.RESTATED).wait(10).click()
    _, _, seen = reduced(hand.rows)
    assert seen.focus_changed.tolist() == [False, True]


def test_pictures_that_are_equal_count_as_one_seen_since_the_first():
    hand = Hand().screen(b"blue").wait(1000).screen(b"blue").wait(1000).screen(b"blue").wait(500).click()
    hand.wait(10).screen(b"red").wait(1000).click().wait(2000).screen(b"blue").wait(10).click()
    _, actions, seen = reduced(hand.rows)
    assert [a["action"] for a in actions] == ["click", "click", "wait", "click"]
    assert seen.row.tolist() == [0, 5, 5, 8]
    assert seen.changed.tolist() == [True, False, True, False]


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
        assert ("unpaired" in flags) == bool(action["flags"] & ActionFlag.UNPAIRED)
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
