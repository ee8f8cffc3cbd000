from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import ids

from taskreel.io.names import SegmentName, SegmentNameError, ceil_ms, floor_ms

PATH = "segments/v1/day=2026-01-05/participant=p1/r1_0_99_1767603600000_1767603660000_0123456789ab.parquet"
END_OF_9999_MS = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()) * 1000 + 999


@st.composite
def names(draw: st.DrawFn) -> SegmentName:
    first_seq, first_ms = draw(st.integers(0, 2**62)), draw(st.integers(0, END_OF_9999_MS))
    last_seq, last_ms = (
        first_seq + draw(st.integers(0, 10**6)),
        min(END_OF_9999_MS, first_ms + draw(st.integers(0, 10**9))),
    )
    sha = draw(st.text("0123456789abcdef", min_size=12, max_size=12))
    return SegmentName(draw(ids), draw(ids), first_seq, last_seq, first_ms, last_ms, sha)


@given(names(), st.sampled_from(["", "gs://bucket/a/", "/data/day=x/"]))
@settings(max_examples=200, deadline=None)
def test_a_name_survives_its_path_whatever_stands_before_it(name, before):
    assert SegmentName.parse(before + str(name)) == name


@given(names())
@settings(max_examples=100, deadline=None)
def test_a_name_is_its_participant_and_its_file(name):
    assert SegmentName.from_file(name.participant, name.file) == name
    assert str(name).endswith(f"/participant={name.participant}/{name.file}")


@given(names())
@settings(max_examples=100, deadline=None)
def test_the_day_is_the_utc_day_of_the_first_event(name):
    days = datetime(1970, 1, 1, tzinfo=UTC).toordinal() + name.first_ms // 86_400_000
    assert name.day == datetime.fromordinal(days).strftime("%Y-%m-%d").zfill(10)


def test_a_path_gives_the_facts_in_it():
    name = SegmentName.parse(PATH)
    facts = (name.participant, name.recording, name.first_seq, name.last_seq, name.first_ms, name.last_ms, name.sha)
    assert facts == ("p1", "r1", 0, 99, 1767603600000, 1767603660000, "0123456789ab")
    assert (name.events, name.duration_ms, name.day) == (100, 60000, "2026-01-05")
    assert str(name) == PATH


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("day=2026-01-05", "day=2026-01-06"),
        ("day=2026-01-05/", ""),
        ("participant=p1", "participant=P1"),
        ("participant=p1", "participant="),
        ("participant=p1", "participant=p1/more"),
        ("r1_", "r_1_"),
        ("r1_", "_"),
        ("_0_99_", "_100_99_"),
        ("_0_99_", "_-1_99_"),
        ("_1767603660000_", "_1767603599999_"),
        ("_1767603660000_", "_253402300800000_"),
        ("0123456789ab", "0123456789AB"),
        ("0123456789ab", "0123456789"),
        ("0123456789ab", "0123456789abc"),
        (".parquet", ".parquet.tmp"),
        (".parquet", ".parquet\n"),
        (".parquet", ".json"),
    ],
)
def test_a_path_that_is_no_segments_name_is_refused(old, new):
    assert old in PATH
    with pytest.raises(SegmentNameError):
        SegmentName.parse(PATH.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"), [("_0_99_", "_00_99_"), ("_0_99_", "_٠_99_"), ("_99_", "_９９_"), ("_99_", "_099_")]
)
def test_a_path_that_its_facts_do_not_give_back_is_refused(old, new):
    with pytest.raises(SegmentNameError):
        SegmentName.parse(PATH.replace(old, new))


@pytest.mark.parametrize("bad", [{"participant": "P"}, {"recording": "a_b"}, {"participant": ""}, {"recording": "é"}])
def test_ids_with_anything_but_lower_case_letters_and_digits_are_refused(bad):
    with pytest.raises(SegmentNameError, match=next(iter(bad))):
        SegmentName(
            **({"participant": "p", "recording": "r"} | bad), first_seq=0, last_seq=0, first_ms=0, last_ms=0, sha=""
        )


@given(st.integers(0, 2**60))
@settings(max_examples=100, deadline=None)
def test_milliseconds_enclose_the_microseconds(time_us):
    assert floor_ms(time_us) * 1000 <= time_us < (floor_ms(time_us) + 1) * 1000
    assert (ceil_ms(time_us) - 1) * 1000 < time_us <= ceil_ms(time_us) * 1000
