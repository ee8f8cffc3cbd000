"""What a stream reads when it starts: enough to cut every span as one batch run would, and no provisional ones."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner import fn_runner
from apache_beam.testing.util import assert_that, equal_to
from episode_rows import DAY_MS, FIRST_DAY_MS, episode_row, episode_table, segment_file
from hypothesis import given, settings
from hypothesis import strategies as st
from span_oracle import pieces_by_pairs, touch

from taskreel.io.names import SegmentName
from taskreel.io.parts import span_day
from taskreel.io.stores import LocalStore
from taskreel.io.tables import commit_episodes, commit_of
from taskreel.io.times import us_from_iso
from taskreel.transforms.dead import Dead
from taskreel.transforms.known import Base, near_days
from taskreel.transforms.reload import ReloadSpans, reloaded_days
from taskreel.transforms.sessionize import emitted_entry
from taskreel.transforms.spans import SpanOptions

HOUR_MS = 3_600_000
MINUTE_MS = 60_000
BEGIN_MS = us_from_iso("2026-01-10T00:00:00Z") // 1000


def name_at(first_min: int, lasts_min: int, recording: str = "r") -> SegmentName:
    first_ms = BEGIN_MS + first_min * MINUTE_MS
    return SegmentName("p", recording, 0, 9, first_ms, first_ms + lasts_min * MINUTE_MS, "0" * 12)


def days_of(pieces):
    return {span_day(name.file for name in piece) for piece in pieces}


@st.composite
def worlds(draw):
    """A gap, a longest span of 2 to 30 hours, segments before a time, most in chains, and one that begins after it."""
    longest_h = draw(st.sampled_from([2, 3, 7, 12, 13, 20, 24, 30]))
    gap_min = draw(st.sampled_from([12, 60, 110]))
    options = SpanOptions(gap_min * MINUTE_MS, longest_h * HOUR_MS)
    at_min = draw(st.sampled_from([0, 7, 300, 1439]) | st.integers(0, 30 * 1440))  # anywhere in a cell of the grid
    new = name_at(at_min, draw(st.sampled_from([0, 5, longest_h * 60, longest_h * 90])), "new")
    names, ends_min = set(), at_min + draw(st.integers(-gap_min - 1, gap_min + 1))
    few_min = draw(st.sampled_from([[], [1, 5, 60]]))  # without them, what is met begins as early as it can
    for number in range(draw(st.integers(1, 12 if few_min else 3))):
        lasts_min = draw(st.sampled_from([longest_h * 30, longest_h * 60 - 1, longest_h * 60, *few_min]))
        names.add(name_at(ends_min - lasts_min, lasts_min, f"r{number}"))
        ends_min -= lasts_min + draw(st.sampled_from([0, 1, gap_min, gap_min, gap_min + 1]))
    after = draw(st.integers(0, 2))
    names |= {name_at(at_min + draw(st.integers(-100, 4000)), 5, f"s{number}") for number in range(after)}
    return options, names, new


@settings(max_examples=400)
@given(worlds())
def test_every_span_that_a_segment_can_change_is_reloaded(world):
    options, names, new = world
    before = pieces_by_pairs(names, options.gap_ms, options.longest_ms)
    after = pieces_by_pairs(names | {new}, options.gap_ms, options.longest_ms)
    days = reloaded_days(new.first_ms, new.first_ms + 80 * HOUR_MS, options)
    assert days_of(before - after) <= set(days)


@settings(max_examples=400)
@given(worlds())
def test_by_what_is_reloaded_a_segment_is_cut_as_by_everything(world):
    options, names, new = world
    days = reloaded_days(new.first_ms, new.first_ms + 80 * HOUR_MS, options)
    pieces = pieces_by_pairs(names, options.gap_ms, options.longest_ms)
    loaded = {name for piece in pieces if days_of([piece]) <= set(days) for name in piece}
    after = pieces_by_pairs(names | {new}, options.gap_ms, options.longest_ms)
    by_loaded = pieces_by_pairs(loaded | {new}, options.gap_ms, options.longest_ms)
    changed = after - pieces
    assert changed <= by_loaded


@settings(max_examples=400)
@given(worlds())
def test_a_commit_of_a_stream_reads_every_span_that_touches_a_segment(world):
    options, names, new = world
    touching = {
        piece
        for piece in pieces_by_pairs(names, options.gap_ms, options.longest_ms)
        if any(touch(name, new, options.gap_ms) for name in piece if name.duration_ms <= options.longest_ms)
    }
    if new.duration_ms <= options.longest_ms:
        assert days_of(touching) <= set(near_days(new, options))


def test_the_days_from_two_spans_before_to_the_day_after_the_watermark_are_reloaded():
    options = SpanOptions(12 * MINUTE_MS, 12 * HOUR_MS)
    assert reloaded_days(BEGIN_MS, BEGIN_MS + 25 * HOUR_MS, options) == [
        f"2026-01-{day:02}" for day in (8, 9, 10, 11, 12)
    ]
    assert reloaded_days(BEGIN_MS + 13 * MINUTE_MS, BEGIN_MS, options) == [f"2026-01-{day:02}" for day in (9, 10, 11)]
    assert reloaded_days(1000, 1000, options) == ["1970-01-01", "1970-01-02"]


def test_a_commit_of_a_stream_reads_from_a_gap_and_two_spans_before_a_segment_to_a_gap_after_it():
    options = SpanOptions(12 * MINUTE_MS, 12 * HOUR_MS)
    assert near_days(name_at(5, 1), options) == ["2026-01-08", "2026-01-09", "2026-01-10"]
    assert near_days(name_at(12, 1), options) == ["2026-01-09", "2026-01-10"]
    assert near_days(name_at(1425, 3), options) == ["2026-01-09", "2026-01-10", "2026-01-11"]
    assert near_days(name_at(1425, 13 * 60), options) == ["2026-01-10"]


# ------------------------------------------------------------------------------------------------ from a dataset


def dead_letter(name: SegmentName) -> str:
    return Dead.of_error(str(name), "damaged", ValueError("no"), size_bytes=1, events=1).to_json()


def test_committed_spans_of_the_days_and_what_is_dead_there_go_in(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    rows = [
        episode_row("p1", 0),
        episode_row("p1", 1),
        episode_row("p2", 1, flags=["provisional"]),
        episode_row("p2", 1, at_s=7200),
        episode_row("p2", 1, at_s=7260, span_id="span-p2", segments=["one", "two"]),
        episode_row("p1", 4),
    ]
    early, late, old = (name_at(minutes, 5) for minutes in (-6 * 1440, -4 * 1440, -8 * 1440))
    two = [segment_file("p2", FIRST_DAY_MS + DAY_MS + 20_000_000 + n) for n in (0, 1)]
    rows[4]["segments"] = two
    lines = [dead_letter(one) for one in (early, late, old)] + [
        Dead.of_error("segments/v1/notes.txt", "name", ValueError("no"), size_bytes=1).to_json()
    ]
    store.create("dead-letter/a.jsonl", "".join(f"{line}\n" for line in lines).encode())
    metadata = {"dead_letter": "dead-letter/a.jsonl"}
    commit_episodes(store, episode_table(*rows), base_version=None, run_id="one", metadata=metadata)
    base = Base.of(str(tmp_path), commit_of(store))
    days = ["2026-01-04", "2026-01-05", "2026-01-06"]
    expected = [
        ("p1", emitted_entry(rows[0]["segments"])),
        ("p1", emitted_entry(rows[1]["segments"])),
        ("p2", emitted_entry(rows[3]["segments"])),
        ("p2", emitted_entry(two)),
        ("p", emitted_entry([early.file])),
        ("p", late.file),
    ]
    with beam.Pipeline(runner=fn_runner.FnApiRunner()) as pipeline:
        assert_that(pipeline | ReloadSpans(base, days, late.first_ms), equal_to(expected))


def test_of_a_dataset_that_is_not_there_nothing_goes_in(tmp_path: Path) -> None:
    with beam.Pipeline(runner=fn_runner.FnApiRunner()) as pipeline:
        found = pipeline | ReloadSpans(Base.of(str(tmp_path), None), ["2026-01-05"], 0)
        assert_that(found, equal_to([]))
