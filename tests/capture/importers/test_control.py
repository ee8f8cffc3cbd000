from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskreel.capture.importers.control import CONTROL_US, control_rows, tag_recorder_control
from taskreel.io.events import Flag, Kind, event_table

SECOND_US = 1_000_000


def events(*what: str, every_us: int = 100_000, end_us: int = 0) -> pa.Table:
    """`+ctrlleft` goes down, `-ctrlleft` comes up, `.` is a move; letters write themselves unless Ctrl is down."""
    held: set[str] = set()
    rows: list[tuple[int, str | None, str | None]] = []
    for one in what:
        name = one[1:]
        if one[0] == "+":
            held.add(name)
            writes = len(name) == 1 and not held & {"ctrlleft", "altleft"}
            rows.append((Kind.KEY_DOWN, name, name if writes else None))
        elif one[0] == "-":
            held.discard(name)
            rows.append((Kind.KEY_UP, name, None))
        else:
            rows.append((Kind.MOVE, None, None))
    times = [n * every_us for n in range(len(rows))]
    if end_us:
        rows.append((Kind.MOVE, None, None))
        times.append(end_us)
    kinds, names, texts = zip(*rows, strict=True)
    return event_table({"seq": range(len(rows)), "time_us": times, "kind": kinds, "key": names, "text": texts})


@pytest.mark.parametrize(
    ("what", "tagged"),
    [
        (["+a", "-a", "+ctrlleft", "+c"], [2, 3]),
        (["+a", "-a", "+ctrlleft", "+c", "+c", "."], [2, 3, 4]),
        (["+a", "-a", "+f9"], [2]),
        (["+esc"], [0]),
        (["+shiftleft", "+esc", "."], [0, 1]),
        (["+command", "+c"], [0, 1]),
        (["+ctrlleft", "+altleft", "+r", "-r"], [0, 1, 2, 3]),
        (["+ctrlleft", "+c", "-c", "+v", "-v"], []),
        (["+ctrlleft", "+altleft"], [0, 1]),
        (["+ctrlleft", "+c", "-c", "-ctrlleft"], []),
        (["+h", "-h", "+i"], []),
        (["+shiftleft", "+H"], []),
        (["+shiftleft", "+H", "-H", "+I"], []),
        (["."], []),
    ],
)
def test_the_keys_that_ended_the_recording(what: list[str], tagged: list[int]) -> None:
    assert control_rows(events(*what)).tolist() == tagged


def test_a_release_that_was_lost_long_before_the_end_is_no_stop_key() -> None:
    assert control_rows(events("+ctrlleft", "+c", end_us=CONTROL_US + SECOND_US)).tolist() == []
    assert control_rows(events("+ctrlleft", "+c", end_us=CONTROL_US)).tolist() == [0, 1]


def test_an_event_table_without_rows_stays_so() -> None:
    empty = events(".").slice(0, 0)
    assert tag_recorder_control(empty) == empty


@given(
    st.lists(
        st.sampled_from([sign + key for sign in "+-" for key in ("ctrlleft", "shiftleft", "a", "esc")] + ["."]),
        min_size=1,
    ),
    st.integers(1, SECOND_US),
)
def test_only_flags_of_keys_near_the_end_change(what: list[str], every_us: int) -> None:
    before = events(*what, every_us=every_us)
    after = tag_recorder_control(before)
    assert after.drop(["flags"]) == before.drop(["flags"])
    assert after.schema == before.schema
    end_us = before.column("time_us")[-1].as_py()
    for row in after.to_pylist():
        assert row["flags"] in (0, Flag.RECORDER_CONTROL)
        if row["flags"]:
            assert row["kind"] in (Kind.KEY_DOWN, Kind.KEY_UP)
            assert row["time_us"] >= end_us - CONTROL_US
    last = {row["key"]: row for row in after.to_pylist() if row["key"]}
    if all(row["kind"] == Kind.KEY_UP for row in last.values()):
        assert after == before


def test_tagging_twice_is_tagging_once() -> None:
    once = tag_recorder_control(events("+ctrlleft", "+c"))
    assert tag_recorder_control(once) == once
