"""What bad input gets: a dead letter each, and its neighbours come out as if it were not there."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from inputs import (
    AS_OF,
    BEN,
    CUT_COLUMNS,
    PEOPLE,
    PLACE_COLUMNS,
    Recording,
    assert_good,
    copy_of,
    episodes,
    grant,
    picture,
    publish_people,
    put,
    recordings,
    run,
    segment,
    steps,
)

from taskreel.capture.segmenter import segments
from taskreel.io.consent import ConsentRecord
from taskreel.io.names import SegmentName
from taskreel.io.segments import SegmentHeader
from taskreel.io.stores import LocalStore
from taskreel.io.times import us_from_iso
from taskreel.pipelines.summary import facts

DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Victim:
    """A segment from the middle of a recording: its name, its bytes, and what it is made of."""

    name: SegmentName
    data: bytes
    header: SegmentHeader
    events: pa.Table

    def renamed(self, **changes: Any) -> tuple[str, bytes]:
        return str(replace(self.name, **changes)), self.data

    def resealed(self, data: bytes) -> tuple[str, bytes]:
        """Other bytes under the name that they really have: only a look inside can tell."""
        return str(replace(self.name, sha=hashlib.sha256(data).hexdigest()[:12])), data

    def with_header(self, **changes: Any) -> tuple[str, bytes]:
        name, data = segment(self.header, self.events, **changes)
        return str(name), data

    def header_text(self, before: str, after: str) -> tuple[str, bytes]:
        """With other text of the same length in the footer's header."""
        assert len(before) == len(after)
        assert self.data.count(before.encode()) == 1
        return self.resealed(self.data.replace(before.encode(), after.encode()))

    def with_rows(self, change: Callable[[pa.Table], pa.Table]) -> tuple[str, bytes]:
        """With other rows below the same header."""
        file = pq.ParquetFile(io.BytesIO(self.data))
        sink = io.BytesIO()
        changed = change(file.read())
        with pq.ParquetWriter(sink, changed.schema, compression="none", store_schema=False) as writer:
            writer.write_table(changed)
            writer.add_key_value_metadata({"taskreel": file.metadata.metadata[b"taskreel"].decode()})
        return self.resealed(sink.getvalue())

    def flipped(self, position: int) -> tuple[str, bytes]:
        data = bytearray(self.data)
        data[position] ^= 0x10
        return str(self.name), bytes(data)


def _ben() -> Recording:
    return next(recording for recording in recordings() if recording.header.participant == BEN)


def _second_of_ben(root: Path) -> Victim:
    names = [SegmentName.parse(entry.name) for entry in LocalStore(str(root)).files("segments")]
    name = sorted((n for n in names if n.participant == BEN), key=lambda n: n.first_seq)[1]
    recording = _ben()
    events = recording.events.slice(name.first_seq, name.events)
    return Victim(name, (root / str(name)).read_bytes(), recording.header, events)


def _column(table: pa.Table, name: str, values: Any) -> pa.Table:
    index = table.schema.get_field_index(name)
    return table.set_column(index, table.schema.field(name), pa.array(values, table.schema.field(name).type))


def _backwards(table: pa.Table) -> pa.Table:
    order = pc.sort_indices(table.column("seq"))
    times = table.column("time_us").take(order).to_pylist()
    times[5], times[-5] = times[-5], times[5]
    return _column(table.take(order), "time_us", times)


def _unknown_kind(table: pa.Table) -> pa.Table:
    return _column(table, "kind", [99, *table.column("kind").to_pylist()[1:]])


def _seq_twice(table: pa.Table) -> pa.Table:
    seq = table.column("seq").to_pylist()
    return _column(table, "seq", [seq[1], *seq[1:]])


def _other_time(victim: Victim) -> tuple[str, bytes]:
    first_us = victim.events.column("time_us")[0].as_py()
    nearby = first_us - first_us % 1000 + (first_us + 1) % 1000
    return victim.header_text(f'"first_us":{first_us}', f'"first_us":{nearby}')


def _in_the_future(victim: Victim) -> tuple[str, bytes]:
    return replace(victim, events=_shifted(victim.events, 365 * DAY_US)).with_header()


def _picture_position(victim: Victim) -> int:
    return victim.data.index(picture(7)) + 40


BAD: dict[str, tuple[str, str, Callable[[Victim], tuple[str, bytes]]]] = {
    "truncated": ("truncated", "SegmentError", lambda v: (str(v.name), v.data[:-100])),
    "cut in half": ("truncated", "SegmentError", lambda v: (str(v.name), v.data[: len(v.data) // 2])),
    "empty": ("empty", "SegmentError", lambda v: (str(v.name), b"")),
    "foreign bytes": ("foreign", "SegmentError", lambda v: (str(v.name), b"\x89PNG and so on" * 50)),
    "foreign bytes, rightly named": ("parquet", "SegmentError", lambda v: v.resealed(b"no Parquet at all")),
    "a foreign Parquet file": ("foreign", "SegmentError", lambda v: v.resealed(_foreign_parquet())),
    "a version to come": ("version", "SegmentError", lambda v: v.with_header(version="2.0")),
    "a bit flipped in the events": ("altered", "SegmentError", lambda v: v.flipped(300)),
    "a bit flipped in a picture": ("altered", "SegmentError", lambda v: v.flipped(_picture_position(v))),
    "a bit flipped in the footer": ("altered", "SegmentError", lambda v: v.flipped(len(v.data) - 60)),
    "a name with another seq": ("name", "SegmentError", lambda v: v.renamed(last_seq=v.name.last_seq + 1)),
    "a name with another time": ("name", "SegmentError", lambda v: v.renamed(last_ms=v.name.last_ms + 1)),
    "a name with another recording": ("name", "SegmentError", lambda v: v.renamed(recording="other")),
    "a name with another person": ("name", "SegmentError", lambda v: v.renamed(participant=PEOPLE[0])),
    "a header with another time": ("header", "SegmentError", _other_time),
    "a header that is not JSON": ("header", "SegmentError", lambda v: v.header_text('"device":', '"device"!')),
    "times that run backwards": ("time_backwards", "SegmentError", lambda v: v.with_rows(_backwards)),
    "one seq twice": ("seq", "SegmentError", lambda v: v.with_rows(_seq_twice)),
    "an unknown kind of event": ("kind", "SegmentError", lambda v: v.with_rows(_unknown_kind)),
    "no events": ("no_events", "SegmentError", lambda v: v.with_rows(lambda table: table.slice(0, 0))),
    "no column of times": ("columns", "SegmentError", lambda v: v.with_rows(lambda t: t.drop_columns(["time_us"]))),
    "pictures not where they should be": ("pictures", "SegmentError", lambda v: v.with_rows(lambda table: table)),
    "times in the future": ("future", "SegmentError", _in_the_future),
    "an unknown consent": ("consent_unknown", "Refusal", lambda v: v.with_header(consent_id="nobody")),
    "a consent with a path in it": ("consent_unknown", "Refusal", lambda v: v.with_header(consent_id="../../etc/x")),
    "a withdrawn consent": ("consent_withdrawn", "Refusal", lambda v: v.with_header(consent_id="withdrawn")),
    "an expired consent": ("consent_expired", "Refusal", lambda v: v.with_header(consent_id="expired")),
    "an unreadable consent": ("consent_unreadable", "Refusal", lambda v: v.with_header(consent_id="unreadable")),
    "another's consent": ("consent_mismatch", "Refusal", lambda v: v.with_header(consent_id=f"c-{PEOPLE[0]}")),
    "a consent to come": ("consent_version", "Refusal", lambda v: v.with_header(consent_version=2)),
    "a region not allowed": ("region", "Refusal", lambda v: v.with_header(region="de")),
    "a name that is none": ("name", "SegmentNameError", lambda v: (f"{Path(str(v.name)).parent}/notes.txt", b"hello")),
    "a name under another day": (
        "name",
        "SegmentNameError",
        lambda v: (str(v.name).replace("day=2026-01-05", "day=2026-01-09"), v.data),
    ),
    "a name without a day": ("name", "SegmentNameError", lambda v: ("segments/v1/day=soon/x.parquet", v.data)),
}


def _foreign_parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": [1, 2, 3]}), sink)
    return sink.getvalue()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four people's segments, all good."""
    folder = tmp_path_factory.mktemp("whole") / "in"
    publish_people(folder)
    grant(
        folder,
        ConsentRecord("withdrawn", BEN, regions=("us",), withdrawn_at_us=us_from_iso("2026-01-20T00:00:00Z")),
        ConsentRecord("expired", BEN, regions=("us",), valid_until_us=us_from_iso("2026-01-31T00:00:00Z")),
    )
    put(folder, "consent/v1/unreadable.json", b"{")
    return folder


@pytest.fixture(scope="module")
def victim(whole: Path) -> Victim:
    return _second_of_ben(whole)


@pytest.fixture(scope="module")
def rest(whole: Path, victim: Victim, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The input without the victim."""
    folder = copy_of(whole, tmp_path_factory.mktemp("rest") / "in")
    (folder / str(victim.name)).unlink()
    return folder


@pytest.fixture(scope="module")
def expected(rest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset of the input without the victim."""
    folder = tmp_path_factory.mktemp("expected") / "out"
    run(rest, folder)
    return folder


def _dead_letters(output: Path) -> list[dict[str, Any]]:
    name = facts(assert_good(output))["dead_letter"]
    return [json.loads(line) for line in (output / name).read_text().splitlines()] if name else []


def _assert_as_if_it_were_not_there(output: Path, expected: Path) -> None:
    assert steps(output) == steps(expected)
    assert episodes(output, PLACE_COLUMNS) == episodes(expected, PLACE_COLUMNS)


@pytest.mark.parametrize("what", BAD)
def test_a_bad_segment_is_a_dead_letter_and_its_neighbours_are_as_if_it_were_not_there(
    rest: Path, victim: Victim, expected: Path, tmp_path: Path, what: str
) -> None:
    code, exception, make = BAD[what]
    name = put(copy_of(rest, tmp_path / "in"), *make(victim))
    run(tmp_path / "in", tmp_path / "out")
    [letter] = _dead_letters(tmp_path / "out")
    assert (letter["segment"], letter["code"], letter["exception"]) == (name, code, exception)
    assert letter["message"]
    values, before = facts(assert_good(tmp_path / "out")), facts(assert_good(expected))
    kind = "refused" if exception == "Refusal" else "dead"
    assert values["segments"] == before["segments"] | {"read": before["segments"]["read"] + 1, kind: 1}
    assert values["reasons"] == {code: 1}
    assert values["events"]["in_steps"] == before["events"]["in_steps"]
    assert values["events"]["read"] - before["events"]["read"] == letter["events"]
    _assert_as_if_it_were_not_there(tmp_path / "out", expected)


def test_all_bad_segments_together_are_counted_by_reason(
    rest: Path, victim: Victim, expected: Path, tmp_path: Path
) -> None:
    folder = copy_of(rest, tmp_path / "in")
    made = {make(victim)[0]: (code, make(victim)[1]) for code, _, make in BAD.values()}
    for name, (_, data) in made.items():
        put(folder, name, data)
    run(folder, tmp_path / "out")
    letters = _dead_letters(tmp_path / "out")
    assert sorted(letter["segment"] for letter in letters) == sorted(made)
    values = facts(assert_good(tmp_path / "out"))
    assert sum(values["reasons"].values()) == len(made)
    assert values["segments"]["refused"] + values["segments"]["dead"] == len(made)
    _assert_as_if_it_were_not_there(tmp_path / "out", expected)


def test_a_bad_segment_whose_name_bridges_two_spans_leaves_them_apart(whole: Path, tmp_path: Path) -> None:
    run(whole, tmp_path / "expected")
    names = [SegmentName.parse(entry.name) for entry in LocalStore(str(whole)).files("segments")]
    first, *_, last = sorted((n for n in names if n.participant == BEN), key=lambda n: n.first_seq)
    bridge = replace(first, recording="bridge", last_ms=last.first_ms, sha="0" * 12)
    put(copy_of(whole, tmp_path / "in"), str(bridge), b"")
    run(tmp_path / "in", tmp_path / "out")
    assert [letter["code"] for letter in _dead_letters(tmp_path / "out")] == ["empty"]
    _assert_as_if_it_were_not_there(tmp_path / "out", tmp_path / "expected")


@pytest.mark.parametrize("hours", [30, 24 * 365])
def test_a_bad_segment_whose_name_claims_a_very_long_time_cuts_no_other_span(tmp_path: Path, hours: int) -> None:
    """The grid for spans that are too long has lines at noon: work across one stays one session."""
    noon = us_from_iso("2026-01-05T11:58:30Z")
    ben = _ben()
    publish_people(tmp_path / "in")
    late = _shifted(ben.events, noon - ben.events.column("time_us")[0].as_py())
    for name, data in segments(replace(ben.header, recording="noon"), late, minutes=1):
        put(tmp_path / "in", str(name), data)
    run(tmp_path / "in", tmp_path / "expected")
    long = SegmentName(BEN, "long", 0, 9, noon // 1000, noon // 1000 + hours * 3_600_000, "0" * 12)
    put(tmp_path / "in", str(long), b"PAR1")
    run(tmp_path / "in", tmp_path / "out")
    _assert_as_if_it_were_not_there(tmp_path / "out", tmp_path / "expected")


def _shifted(events: pa.Table, by_us: int) -> pa.Table:
    return _column(events, "time_us", pc.add(events.column("time_us"), by_us).to_pylist())


def test_a_gap_in_seq_is_flagged_and_is_no_error(expected: Path) -> None:
    flagged = [row for row in episodes(expected) if "seq_gap" in row["flags"]]
    assert {row["participant"] for row in flagged} == {BEN}
    assert facts(assert_good(expected))["seq_gaps"] == 1
    assert _dead_letters(expected) == []


def test_events_that_are_there_twice_are_one(whole: Path, tmp_path: Path) -> None:
    run(whole, tmp_path / "once")
    again = copy_of(whole, tmp_path / "in")
    publish_people(again, minutes=3)
    run(again, tmp_path / "twice")
    without = (*CUT_COLUMNS, *PLACE_COLUMNS, "flags")
    assert steps(tmp_path / "twice") == steps(tmp_path / "once")
    assert episodes(tmp_path / "twice", without) == episodes(tmp_path / "once", without)
    assert any("duplicates" in row["flags"] for row in episodes(tmp_path / "twice"))
    once, twice = (facts(assert_good(tmp_path / name))["events"] for name in ("once", "twice"))
    assert twice["read"] == once["read"] + twice["dropped"]["duplicate"]
    assert twice["in_steps"] == once["in_steps"]


def test_without_any_consent_record_nothing_is_read_and_that_is_a_good_run(whole: Path, tmp_path: Path) -> None:
    folder = copy_of(whole, tmp_path / "in")
    for record in (folder / "consent/v1").iterdir():
        record.unlink()
    run(folder, tmp_path / "out")
    values = facts(assert_good(tmp_path / "out"))
    assert values["segments"]["refused"] == values["segments"]["read"] > 0
    assert values["episodes"] == values["events"]["in_steps"] == 0


def test_what_is_after_as_of_is_not_used_and_what_is_before_is(whole: Path, tmp_path: Path) -> None:
    run(whole, tmp_path / "out", as_of="2026-01-05T23:00:00Z")
    values = facts(assert_good(tmp_path / "out"))
    assert set(values["reasons"]) == {"future"}
    assert 0 < values["segments"]["dead"] < values["segments"]["read"]
    assert values["as_of"] < AS_OF
