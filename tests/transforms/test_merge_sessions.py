import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import BEGIN_US, Hand, acts, event_tables, picture_hash_of, segment_of

from taskreel.io.events import EVENT_SCHEMA, Kind
from taskreel.transforms.build import BuildOptions, build_span
from taskreel.transforms.episodes import EpisodeOptions
from taskreel.transforms.merge import merge_segments
from taskreel.transforms.sessions import OUTSIDE, assign_sessions

CONTENT = [name for name in EVENT_SCHEMA.names if name != "seq"]
ACTIVITY = {Kind.KEY_DOWN, Kind.KEY_UP, Kind.BUTTON_DOWN, Kind.BUTTON_UP, Kind.MOVE, Kind.SCROLL}


def cut(draw, rows):
    """Segments of some rows, overlapping or not, that together hold each row at least once."""
    cuts = sorted(draw(st.sets(st.integers(1, len(rows) - 1), max_size=4))) if len(rows) > 1 else []
    pieces = [list(rows[a:b]) for a, b in itertools.pairwise([0, *cuts, len(rows)])]
    for _ in range(draw(st.integers(0, 2))):
        first = draw(st.integers(0, len(rows) - 1))
        pieces.append(list(rows[first : first + draw(st.integers(1, len(rows)))]))
    return pieces


@st.composite
def recordings(draw):
    """(device, recording) → rows: one to three recordings, at times that overlap or not."""
    keys = draw(
        st.lists(st.sampled_from([("d1", "r1"), ("d1", "r2"), ("d0", "r3"), ("d0", "r1")]), min_size=1, unique=True)
    )
    begin_us = BEGIN_US
    made = {}
    for key in keys:
        rows = draw(event_tables(max_rows=10)).to_pylist()
        shift = begin_us + draw(st.integers(0, 10**7)) - rows[0]["time_us"]
        made[key] = [row | {"time_us": row["time_us"] + shift} for row in rows]
    return made


@st.composite
def segments_of_recordings(draw):
    made, segments = draw(recordings()), []
    for (device, recording), rows in made.items():
        for piece in cut(draw, rows):
            segments.append(segment_of(piece, f"{len(segments):012x}", device=device, recording=recording))
    return made, draw(st.permutations(segments))


def plain(merged):
    """Merged events as tuples of what is theirs, whatever file they came from."""
    rows = merged.events.select([*EVENT_SCHEMA.names, "device", "recording"]).to_pylist()
    return [
        (
            r["time_us"],
            merged.devices[r["device"]],
            merged.recordings[r["recording"]],
            r["seq"],
            *(r[c] for c in CONTENT),
        )
        for r in rows
    ]


@given(segments_of_recordings())
@settings(max_examples=150, deadline=None)
def test_segments_merge_to_all_events_once_in_order_however_they_are_cut_and_come(made_and_segments):
    made, segments = made_and_segments
    expected = sorted(
        (
            (r["time_us"], device, recording, r["seq"], *(r[c] for c in CONTENT))
            for (device, recording), rows in made.items()
            for r in rows
        ),
        key=lambda event: event[:4],
    )
    merged = merge_segments(segments)
    assert plain(merged) == expected
    assert merged.duplicates == sum(s.events.num_rows for s in segments) - len(expected)
    assert merged.conflicts == 0
    seqs = [[row["seq"] for row in rows] for rows in made.values()]
    assert merged.gaps == sum(b - a > 1 for seq in seqs for a, b in itertools.pairwise(seq))


@given(segments_of_recordings())
@settings(max_examples=80, deadline=None)
def test_each_merged_event_names_a_segment_that_holds_it(made_and_segments):
    merged = merge_segments(made_and_segments[1])
    files = [segment.name.file for segment in merged.segments]
    assert files == sorted(files)
    for row in merged.events.to_pylist():
        segment = merged.segments[row["segment"]]
        assert segment.header.recording == merged.recordings[row["recording"]]
        assert segment.header.device == merged.devices[row["device"]]
        assert row["seq"] in segment.events.column("seq").to_pylist()


@given(event_tables(min_rows=3, max_rows=8), st.data())
@settings(max_examples=100, deadline=None)
def test_two_events_with_one_seq_are_decided_by_content_whoever_comes_first(table, data):
    rows = table.to_pylist()
    other = [dict(row) for row in rows]
    number = data.draw(st.integers(0, len(rows) - 1))
    change = data.draw(st.sampled_from([{"flags": rows[number]["flags"] + 1}, {"app": "other"}, {"x": None, "y": -7}]))
    other[number] |= change
    conflicts = int(any(rows[number][name] != value for name, value in change.items()))
    results = []
    for first, second in ((rows, other), (other, rows)):
        segments = [segment_of(first, "0" * 12), segment_of(second, "1" * 12)]
        for order in (segments, segments[::-1]):
            merged = merge_segments(order)
            assert (merged.duplicates, merged.conflicts) == (len(rows), conflicts)
            results.append(plain(merged))
    assert results[1:] == results[:-1]
    chosen = {event[3]: event[4:] for event in results[0]}[rows[number]["seq"]]
    assert chosen in [tuple(r[number][c] for c in CONTENT) for r in (rows, other)]


def test_three_versions_of_one_event_are_two_conflicts():
    versions = [[{"seq": 1, "time_us": BEGIN_US, "kind": 5, "x": x}] for x in (1, 2, 3, 2)]
    merged = merge_segments([segment_of(rows, f"{n:012}") for n, rows in enumerate(versions)])
    assert (merged.duplicates, merged.conflicts, merged.events.num_rows) == (3, 2, 1)


# -------------------------------------------------------------------------------------------------- sessions


def sessions_by_hand(events, gap_us):
    """(time, kind) in order → the number of each event's session, by looking at each event alone."""
    activity = [time for time, kind in events if kind in ACTIVITY]
    number, numbers = 0, {}
    for index, time in enumerate(activity):
        if index and time - activity[index - 1] > gap_us:
            number += 1
        numbers[time] = number
    found = []
    for time, kind in events:
        before = [t for t in activity if t <= time and time - t <= gap_us]
        after = [t for t in activity if t >= time and t - time <= gap_us]
        if kind in ACTIVITY:
            found.append(numbers[time])
        else:
            found.append(numbers[before[-1]] if before else numbers[after[0]] if after else OUTSIDE)
    return found


@given(
    st.lists(st.tuples(st.integers(0, 60), st.sampled_from(list(Kind))), max_size=30).map(
        lambda events: sorted(events, key=lambda event: event[0])
    ),
    st.integers(0, 12),
)
@settings(max_examples=400, deadline=None)
def test_sessions_are_those_that_a_look_at_each_event_gives(events, gap_us):
    time_us = np.array([time for time, _ in events], np.int64)
    kind = np.array([kind for _, kind in events], np.int8)
    assert assign_sessions(time_us, kind, gap_us=gap_us).tolist() == sessions_by_hand(events, gap_us)


@pytest.mark.parametrize(("pause_us", "count"), [(10, 1), (11, 2)])
def test_a_session_ends_after_a_pause_longer_than_the_gap(pause_us, count):
    sessions = assign_sessions(np.array([0, pause_us]), np.array([Kind.MOVE] * 2, np.int8), gap_us=10)
    assert sessions.max() + 1 == count


# ------------------------------------------------------------- episodes and steps do not depend on the cut


def with_screens(draw, rows):
    """Put screens between the events; a picture's bytes are there at the first sight of it in a segment."""
    seen = []
    for row in rows:
        if draw(st.integers(0, 3)) == 0:
            seen.append(
                {"time_us": row["time_us"], "kind": Kind.SCREEN, "flags": 0, "picture": draw(st.sampled_from(b"abc"))}
            )
        seen.append(row)
    return [row | {"seq": seq} for seq, row in enumerate(seen)]


def with_pictures(piece):
    """A segment's rows with each picture where it is first seen, at made-up offsets, and its hash at each sight."""
    rows, stored = [], set()
    for offset, row in enumerate(piece):
        row = dict(row)
        if "picture" in row:
            picture = bytes([row.pop("picture")])
            row["picture_hash"] = picture_hash_of(picture)
            if picture not in stored:
                row |= {"picture_bytes": 1, "picture_offset": 4 + offset}
                stored.add(picture)
        rows.append(row)
    return rows


def described(built):
    """Drafts without what names files: span, segments, and where pictures lie."""
    found = []
    for draft in built.drafts:
        facts = {k: v for k, v in draft.episode.items() if k not in ("span_id", "segments", "flags")}
        steps = draft.steps.to_pylist()
        for step in steps:
            step["source"] = draft.sources[step["source"]]
            for name in ("picture", "approach_picture"):
                step[name] = None if step[name] is None else draft.pictures[step[name]].hash
        found.append((json.dumps(facts, sort_keys=True), steps))
    return found


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_another_cut_into_segments_gives_the_same_episodes_and_steps(data):
    options = BuildOptions(session_gap_s=4.0, episodes=EpisodeOptions(max_steps=6))
    devices = {f"d{n}": data.draw(acts(max_acts=9)) for n in range(data.draw(st.integers(1, 2)))}
    devices = {device: with_screens(data.draw, rows) for device, rows in devices.items()}
    whole = [
        segment_of(with_pictures(rows), f"{n:012}", device=device, recording=f"r{n}")
        for n, (device, rows) in enumerate(devices.items())
    ]
    pieces = [
        segment_of(with_pictures(piece), f"{n}{m:011}", device=device, recording=f"r{n}")
        for n, (device, rows) in enumerate(devices.items())
        for m, piece in enumerate(cut(data.draw, rows))
    ]
    pieces = data.draw(st.permutations(pieces))
    once, cut_up = build_span(whole, options), build_span(pieces, options)
    assert described(cut_up) == described(once)
    for built, segments in ((once, whole), (cut_up, pieces)):
        assert not account_faults(built, segments)
        files = sorted(segment.name.file for segment in segments)
        assert all(draft.episode["segments"] == files for draft in built.drafts)


@given(st.lists(event_tables(max_rows=15), min_size=1, max_size=3))
@settings(max_examples=100, deadline=None)
def test_any_events_at_all_are_built_and_the_accounts_balance(tables):
    segments = []
    for n, table in enumerate(tables):
        rows = [dict(row) for row in table.to_pylist()]
        for offset, row in enumerate(rows):
            if row["picture"] is not None:
                row |= {"picture_bytes": len(row["picture"]), "picture_offset": offset}
        segments.append(segment_of(rows, f"{n:012}", device=f"d{n % 2}", recording=f"r{n}"))
    built = build_span(segments, BuildOptions(session_gap_s=60.0))
    assert not account_faults(built, segments)
    assert sum(draft.steps.num_rows for draft in built.drafts) == built.account["steps"]


@given(acts(max_acts=9), acts(max_acts=9), st.integers(-2000, 2000))
@settings(max_examples=150, deadline=None)
def test_an_episode_lasts_from_its_first_step_to_the_end_of_its_last(one, two, apart_ms):
    two = [row | {"time_us": row["time_us"] + apart_ms * 1000} for row in two]
    segments = [segment_of(rows, f"{n:012}", device=f"d{n}", recording=f"r{n}") for n, rows in enumerate((one, two))]
    for draft in build_span(segments, BuildOptions(episodes=EpisodeOptions(max_steps=5))).drafts:
        steps = draft.steps.to_pylist()
        if steps:
            assert draft.episode["start_us"] == min(step["start_us"] for step in steps)
            assert draft.episode["end_us"] == max(step["start_us"] + step["duration_us"] for step in steps)


def account_faults(built, segments):
    account = built.account
    account.add("segments.read", len(segments))
    assert account["events.read"] == sum(segment.events.num_rows for segment in segments)
    return account.imbalances()


def test_a_span_in_which_nothing_was_done_is_listed_as_residue():
    segment = segment_of(Hand().event(Kind.PAUSE).wait(5000).event(Kind.RESUME).rows)
    (draft,) = build_span([segment], BuildOptions()).drafts
    assert (draft.episode["kind"], draft.steps.num_rows) == ("residue", 0)
    assert draft.episode["segments"] == [segment.name.file]
