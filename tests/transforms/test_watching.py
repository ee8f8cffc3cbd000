"""Watching: which days are polled when, when a day ends, what a poll gives."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from apache_beam.pvalue import TaggedOutput
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp
from hypothesis import given
from hypothesis import strategies as st

from taskreel.io.names import SegmentName
from taskreel.io.times import Clock, iso_from_us, us_from_iso
from taskreel.transforms.discover import Selection
from taskreel.transforms.stream_time import StreamTime
from taskreel.transforms.watching import WatchOptions, _Days, _named, _NamesOfDay, first_polled_ms

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
DEADLINE_MS = 15 * 60_000
CLOSED_AFTER_MS = 3 * HOUR_MS


def ms(text: str) -> int:
    return us_from_iso(text) // 1000


def standing_at(text: str) -> Clock:
    """A clock that shows this time."""
    return Clock(us_from_iso(text), time.time_ns() // 1000, 1e-12)


def options_at(root: Path, watermark: str, first: str = "1970-01-01", **limits: object) -> WatchOptions:
    now = iso_from_us(us_from_iso(watermark) + DEADLINE_MS * 1000)
    time_ = StreamTime(str(root), DEADLINE_MS, standing_at(now))
    return WatchOptions(Selection(str(root), **limits), time_, ms(first), CLOSED_AFTER_MS)


def put(root: Path, path: str, content: bytes = b"123") -> str:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(content)
    return path


def segment(first: str, participant: str = "p", recording: str = "r") -> SegmentName:
    return SegmentName(participant, recording, 0, 9, ms(first), ms(first) + 60_000, "0" * 12)


# ------------------------------------------------------------------------------------------------ which days


@given(
    st.integers(0, 30 * 24),
    st.integers(0, 30 * 24),
    st.integers(0, 90),
    st.sampled_from([0, 1]),
)
def test_a_day_is_polled_while_a_segment_of_it_may_still_come(first_h, watermark_h, closed_after_h, off_ms):
    """By hours: some hour of the day is not closed yet, and the day does not begin before the first one."""
    options = WatchOptions(
        Selection("in"), StreamTime("in", 0), ms("2026-01-01") + first_h * HOUR_MS, closed_after_h * HOUR_MS
    )
    watermark_ms = ms("2026-01-01") + watermark_h * HOUR_MS - off_ms
    for number in range(31):
        day = iso_from_us((ms("2026-01-01") + number * DAY_MS) * 1000)[:10]
        ends = range((number * 24 + 1) * HOUR_MS, (number * 24 + 25) * HOUR_MS, HOUR_MS)
        is_open = any(watermark_ms < ms("2026-01-01") + end + options.closed_after_ms for end in ends)
        assert options.is_polled(day, watermark_ms) == (is_open and number * 24 >= first_h)


@given(st.integers(0, 10 * 24 * 60), st.integers(0, 72))
def test_a_stream_that_starts_polls_from_the_earliest_day_that_is_not_closed(minutes, closed_after_h):
    watermark_ms = ms("2026-01-10") + minutes * 60_000
    first_ms = first_polled_ms(watermark_ms, closed_after_h * HOUR_MS)
    assert first_ms % DAY_MS == 0
    all_days = WatchOptions(Selection("in"), StreamTime("in", 0), 0, closed_after_h * HOUR_MS)
    chosen = WatchOptions(Selection("in"), StreamTime("in", 0), first_ms, closed_after_h * HOUR_MS)
    for number in range(-10, 12):
        day = iso_from_us((first_ms + number * DAY_MS) * 1000)[:10]
        if all_days.is_polled(day, watermark_ms):
            assert chosen.is_polled(day, watermark_ms)
    assert watermark_ms - closed_after_h * HOUR_MS >= first_ms


def test_a_stream_that_starts_near_1970_polls_from_the_first_day():
    assert first_polled_ms(1000, DAY_MS) == 0


def test_the_folders_of_the_days_that_are_polled_are_found_stamped_with_their_begin(tmp_path):
    for day in ("2026-01-03", "2026-01-04", "2026-01-05", "2026-01-06"):
        put(tmp_path, f"segments/v1/day={day}/participant=p/x.parquet")
    result = _Days(options_at(tmp_path, "2026-01-05T10:00:00Z", "2026-01-04"))(str(tmp_path))
    begins = {day: Timestamp(micros=us_from_iso(day)) for day in ("2026-01-05", "2026-01-06")}
    assert {one.value: one.timestamp for one in result.outputs} == {
        f"segments/v1/day={day}/": begin for day, begin in begins.items()
    }
    assert result.watermark == Timestamp(micros=us_from_iso("2026-01-05T10:00:00Z"))
    early = _Days(options_at(tmp_path, "2026-01-05T02:59:59Z", "2026-01-04"))(str(tmp_path))
    assert next(one.value for one in early.outputs) == "segments/v1/day=2026-01-04/"


@pytest.mark.parametrize(
    "day", ["2099-01-01", "1969-12-31", "0001-01-01", "9999-12-31", "2026-W02-1", "2026-02-30", "tomorrow", ""]
)
def test_a_folder_that_is_no_day_of_now_does_no_harm(tmp_path, day):
    put(tmp_path, f"segments/v1/day={day}/participant=p/x.parquet")
    put(tmp_path, "segments/v1/day=2026-01-05/participant=p/x.parquet")
    put(tmp_path, "segments/v1/notes/x.txt")
    options = options_at(tmp_path, "2026-01-05T10:00:00Z", "2026-01-04")
    result = _Days(options)(str(tmp_path))
    folders = [one.value for one in result.outputs]
    assert "segments/v1/day=2026-01-05/" in folders
    assert set(folders) <= {"segments/v1/day=2026-01-05/", f"segments/v1/day={day}/"}
    assert result.watermark == Timestamp(micros=us_from_iso("2026-01-05T10:00:00Z"))
    for folder in folders:
        assert len(_NamesOfDay(options)(folder).outputs) == 1


def test_an_input_without_segments_has_no_days(tmp_path):
    result = _Days(options_at(tmp_path, "2026-01-05T10:00:00Z"))(str(tmp_path))
    assert (list(result.outputs), result.watermark) == ([], Timestamp(micros=us_from_iso("2026-01-05T10:00:00Z")))


# ------------------------------------------------------------------------------------------------ names of a day

FOLDER = "segments/v1/day=2026-01-05/"


def test_all_files_of_a_day_are_given_with_their_sizes_and_since_when_they_are_there(tmp_path):
    """By the time of the store: what was copied with its old times is new."""
    began_us = time.time_ns() // 1000
    name = str(segment("2026-01-05T09:00:00Z"))
    put(tmp_path, name, b"12345")
    foreign = put(tmp_path, f"{FOLDER}notes.txt", b"1")
    put(tmp_path, str(segment("2026-01-06T09:00:00Z")))
    os.utime(tmp_path / name, (0, 0))
    result = _NamesOfDay(options_at(tmp_path, "2026-01-05T10:00:00Z"))(FOLDER)
    assert {one.value for one in result.outputs} == {(name, 5), (foreign, 1)}
    assert all(began_us - 100_000 <= one.timestamp.micros <= time.time_ns() // 1000 for one in result.outputs)
    assert result.watermark == Timestamp(micros=us_from_iso("2026-01-05T10:00:00Z"))


@pytest.mark.parametrize(("watermark", "is_last"), [("2026-01-06T02:59:59Z", False), ("2026-01-06T03:00:00Z", True)])
def test_a_day_ends_when_its_lateness_has_passed_and_gives_its_last_names_then(tmp_path, watermark, is_last):
    name = put(tmp_path, str(segment("2026-01-05T23:59:00Z")))
    result = _NamesOfDay(options_at(tmp_path, watermark))(FOLDER)
    assert (result.watermark == MAX_TIMESTAMP) == is_last
    assert [one.value for one in result.outputs] == [(name, 3)]


def test_only_what_is_selected_is_given(tmp_path):
    mine = put(tmp_path, str(segment("2026-01-05T09:00:00Z")))
    put(tmp_path, str(segment("2026-01-05T09:00:00Z", participant="q")))
    result = _NamesOfDay(options_at(tmp_path, "2026-01-05T10:00:00Z", participants=("p",)))(FOLDER)
    assert [one.value for one in result.outputs] == [(mine, 3)]


class PublishesMeanwhile(StreamTime):
    """Right after the time was told, a segment is published."""

    def now_us(self) -> int:
        told = super().now_us()
        put(Path(self.root), str(segment("2026-01-05T23:59:00Z", recording="late")))
        return told


@pytest.mark.parametrize("watermark", ["2026-01-05T10:00:00Z", "2026-01-06T03:00:00Z"])
def test_what_is_published_before_the_watermark_was_told_is_in_the_listing(tmp_path, watermark):
    """The watermark is read first: what the listing does not show was published after it."""
    plain = options_at(tmp_path, watermark)
    time_ = PublishesMeanwhile(str(tmp_path), DEADLINE_MS, plain.time.clock)
    options = WatchOptions(plain.selection, time_, plain.first_ms, plain.closed_after_ms)
    (tmp_path / FOLDER).mkdir(parents=True)
    assert len(_NamesOfDay(options)(FOLDER).outputs) == 1


def test_a_day_that_is_published_before_the_watermark_was_told_is_found(tmp_path):
    plain = options_at(tmp_path, "2026-01-05T23:59:59Z")
    time_ = PublishesMeanwhile(str(tmp_path), DEADLINE_MS, plain.time.clock)
    options = WatchOptions(plain.selection, time_, plain.first_ms, plain.closed_after_ms)
    assert [one.value for one in _Days(options)(str(tmp_path)).outputs] == [FOLDER]


def test_a_name_becomes_its_participant_and_file_and_a_foreign_file_a_dead_letter():
    name = segment("2026-01-05T09:00:00Z")
    assert list(_named((FOLDER, (str(name), 5)))) == [("p", name.file)]
    [found] = _named((FOLDER, (f"{FOLDER}notes.txt", 7)))
    assert isinstance(found, TaggedOutput)
    letter = json.loads(found.value)
    assert (letter["segment"], letter["kind"], letter["code"], letter["size_bytes"]) == (
        f"{FOLDER}notes.txt",
        "dead",
        "name",
        7,
    )
