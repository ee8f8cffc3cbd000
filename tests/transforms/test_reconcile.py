"""Reconcile: exactly what came for days that are polled no longer and that the dataset does not know."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from episode_rows import DAY_MS, FIRST_DAY_MS, episode_row, episode_table
from hypothesis import given, settings
from hypothesis import strategies as st

from taskreel.io.names import SegmentName
from taskreel.io.stores import LocalStore
from taskreel.io.tables import commit_episodes
from taskreel.io.times import Clock
from taskreel.transforms.dead import Dead
from taskreel.transforms.discover import Selection
from taskreel.transforms.late import Late
from taskreel.transforms.reconcile import ReconcileOptions, _OldDays, unknown
from taskreel.transforms.stream_time import StreamTime
from taskreel.transforms.watching import WatchOptions

HOUR_MS = 3_600_000
CLOSED_AFTER_MS, LONGEST_MS = 5 * HOUR_MS, 12 * HOUR_MS
DAYS = 8
COMMITTED, DEAD, NOTED, PROVISIONAL, NEW, FOREIGN = "committed", "dead", "noted", "provisional", "new", "foreign"


def name_of(day: int, number: int) -> SegmentName:
    first_ms = FIRST_DAY_MS + day * DAY_MS + number * HOUR_MS
    return SegmentName(f"p{number % 2}", f"r{number}", 0, 9, first_ms, first_ms + 60_000, "0" * 12)


def made(folder: Path, fates: dict[SegmentName, str]) -> ReconcileOptions:
    """An input and a dataset in which this has become of segments; each committed one is a span with one before it."""
    segments, output = LocalStore(str(folder / "in")), LocalStore(str(folder / "out"))
    rows, dead, noted = [], [], []
    for name, fate in fates.items():
        path = f"{str(name).rpartition('/')[0]}/notes-{name.recording}.txt" if fate == FOREIGN else str(name)
        segments.create(path, b"1234")
        if fate in (COMMITTED, PROVISIONAL):
            before = replace(name, first_ms=name.first_ms - LONGEST_MS + 60_000, recording="before")
            flags = ["provisional"] if fate == PROVISIONAL else []
            row = episode_row(name.participant, flags=flags) | {"span_id": name.file, "episode_id": name.file}
            rows.append(row | {"segments": sorted([before.file, name.file])})
        elif fate == DEAD:
            dead.append(Dead.of_error(path, "damaged", ValueError("no"), size_bytes=4).to_json())
        elif fate == NOTED:
            noted.append(Late(name.participant, name.file, 4, "day_closed").to_json())
    if noted:
        output.create("late/a.jsonl", "".join(f"{line}\n" for line in noted).encode())
    if rows or dead:
        output.create("dead-letter/a.jsonl", "".join(f"{line}\n" for line in dead).encode())
        metadata: dict[str, Any] = {"dead_letter": "dead-letter/a.jsonl"}
        commit_episodes(output, episode_table(*rows), base_version=None, run_id="one", metadata=metadata)
    watch = WatchOptions(Selection(str(folder / "in")), StreamTime(str(folder / "in"), 0), 0, CLOSED_AFTER_MS)
    return ReconcileOptions(watch, str(folder / "out"), LONGEST_MS, days=100)


@st.composite
def fates(draw: st.DrawFn) -> dict[SegmentName, str]:
    places = st.tuples(st.integers(0, DAYS - 1), st.integers(0, 23))
    fate = st.sampled_from([COMMITTED, DEAD, NOTED, PROVISIONAL, NEW, NEW, FOREIGN])
    return {name_of(*place): kind for place, kind in draw(st.dictionaries(places, fate, max_size=12)).items()}


@settings(max_examples=60)
@given(what=fates(), watermark_h=st.integers(0, (DAYS + 3) * 24))
def test_exactly_what_is_not_known_of_closed_days_is_found(
    what: dict[SegmentName, str], watermark_h: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    options = made(tmp_path_factory.mktemp("world"), what)
    watermark_ms = FIRST_DAY_MS + watermark_h * HOUR_MS
    expected = {
        (name.participant, name.file, 4, "day_closed")
        for name, fate in what.items()
        if fate in (NEW, PROVISIONAL)
        and (name.first_ms // DAY_MS + 1) * DAY_MS + CLOSED_AFTER_MS + LONGEST_MS <= watermark_ms
    }
    found = list(unknown(options, watermark_ms * 1000, watermark_ms))
    assert {(one.participant, one.file, one.size_bytes, one.reason) for one in found} == expected
    assert len(found) == len(expected)


def test_days_before_the_first_one_that_a_stream_polls_are_looked_at(tmp_path: Path) -> None:
    options = made(tmp_path, {name_of(0, 3): NEW})
    late_start = replace(options, watch=replace(options.watch, first_ms=FIRST_DAY_MS + 5 * DAY_MS))
    watermark_ms = FIRST_DAY_MS + 5 * DAY_MS
    assert [one.file for one in unknown(late_start, 0, watermark_ms)] == [name_of(0, 3).file]


def test_a_day_that_was_closed_just_now_is_left_in_peace_also_by_a_stream_that_has_just_started(tmp_path: Path) -> None:
    options = made(tmp_path, {name_of(0, 3): NEW})
    started = replace(options, watch=replace(options.watch, first_ms=FIRST_DAY_MS + DAY_MS))
    closed_ms = FIRST_DAY_MS + DAY_MS + CLOSED_AFTER_MS + LONGEST_MS
    assert [len(list(unknown(started, 0, time_ms))) for time_ms in (closed_ms - 1, closed_ms)] == [0, 1]


def test_a_day_that_the_stream_still_polls_is_never_looked_at(tmp_path: Path) -> None:
    options = made(tmp_path, {name_of(day, 3): NEW for day in range(DAYS)})
    for hour in range(DAYS * 24):
        watermark_ms = FIRST_DAY_MS + hour * HOUR_MS
        for late in unknown(options, 0, watermark_ms):
            assert not options.watch.is_polled(late.name.day, watermark_ms)


def test_every_old_day_has_its_turn(tmp_path: Path) -> None:
    names = [name_of(day, 3) for day in range(DAYS)]
    options = replace(made(tmp_path, dict.fromkeys(names, NEW)), days=2)
    watermark_ms = FIRST_DAY_MS + (DAYS + 1) * DAY_MS
    looks = [{one.file for one in unknown(options, now_us, watermark_ms)} for now_us in range(40)]
    assert {len(found) for found in looks} == {2}
    assert set().union(*looks) == {name.file for name in names}


def test_without_old_days_the_dataset_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = made(tmp_path, {name_of(5, 3): NEW})
    monkeypatch.setattr("taskreel.transforms.reconcile.commit_of", None)
    assert list(unknown(options, 0, FIRST_DAY_MS + 5 * DAY_MS)) == []


def test_folders_of_years_far_off_do_no_harm(tmp_path: Path) -> None:
    options = made(tmp_path, {name_of(0, 3): NEW})
    for day in ("1969-12-31", "1970-01-01", "2099-01-01", "notes", "2026-W01-1"):
        LocalStore(str(tmp_path / "in")).create(f"segments/v1/day={day}/notes.txt", b"1")
    found = list(unknown(options, 0, FIRST_DAY_MS + 50 * DAY_MS))
    assert [one.file for one in found] == [name_of(0, 3).file]


def test_a_look_gives_lines_stamped_with_the_watermark(tmp_path: Path) -> None:
    options = made(tmp_path, {name_of(0, 3): NEW})
    shown_us = (FIRST_DAY_MS + 5 * DAY_MS) * 1000
    clock = Clock(shown_us, time.time_ns() // 1000, 1e-12)
    time_ = StreamTime(str(tmp_path / "in"), 60_000, clock)
    result = _OldDays(replace(options, watch=replace(options.watch, time=time_)))(str(tmp_path / "in"))
    assert [json.loads(one.value)["file"] for one in result.outputs] == [name_of(0, 3).file]
    assert {one.timestamp.micros for one in result.outputs} == {shown_us - 60_000_000} == {result.watermark.micros}
