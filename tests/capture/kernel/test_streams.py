"""Kernel events as arrays: bytes of a device, clocks that are set back, frames and losses."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskreel.capture.kernel.streams import KERNEL_EVENT, Frame, forward_times, frames, from_input_events

KEY, SYN = 1, 0


def kernel(*rows: tuple[int, int, int, int]) -> np.ndarray:
    return np.array(list(rows), KERNEL_EVENT)


def test_bytes_of_a_device() -> None:
    data = struct.pack("<qqHHi", 12, 345_678, 1, 28, 1) + struct.pack("<qqHHi", 12, 345_678, 0, 0, 0)
    assert from_input_events(data).tolist() == [(12_345_678, 1, 28, 1), (12_345_678, 0, 0, 0)]


def test_a_part_of_an_event_is_left_out() -> None:
    data = struct.pack("<qqHHi", 1, 2, 1, 28, -1)
    assert len(from_input_events(data + data[:-1])) == 1


class TestFrames:
    def test_a_report_ends_a_frame(self) -> None:
        events = kernel((5, KEY, 30, 1), (5, KEY, 31, 1), (7, SYN, 0, 0), (9, KEY, 30, 0), (9, SYN, 0, 1))
        assert list(frames(events)) == [Frame(7, [(KEY, 30, 1), (KEY, 31, 1)]), Frame(9, [(KEY, 30, 0)])]

    def test_a_frame_without_a_report_ends_with_time(self) -> None:
        events = kernel((5, KEY, 30, 1), (400_000, KEY, 30, 0))
        assert list(frames(events)) == [Frame(5, [(KEY, 30, 1)]), Frame(400_000, [(KEY, 30, 0)])]

    def test_empty_reports_are_no_frames(self) -> None:
        assert list(frames(kernel((5, SYN, 0, 0), (6, SYN, 0, 1)))) == []

    def test_lost_events_up_to_the_next_report(self) -> None:
        events = kernel(
            (5, KEY, 30, 1), (5, SYN, 3, 0), (6, KEY, 31, 1), (6, SYN, 0, 0), (7, KEY, 32, 1), (7, SYN, 0, 0)
        )
        assert list(frames(events)) == [Frame(5, [], is_gap=True), Frame(7, [(KEY, 32, 1)])]


@given(st.lists(st.integers(0, 1 << 50), min_size=1))
def test_times_never_go_back_and_keep_their_intervals(times: list[int]) -> None:
    forward, back = forward_times(np.array(times, np.int64))
    steps, kept = np.diff(times), np.diff(forward)
    assert forward[0] == times[0]
    assert (kept == np.maximum(steps, 0)).all()
    assert back == -np.minimum(steps, 0).sum()


@pytest.mark.parametrize("times", [[], [3], [1, 1, 2]])
def test_times_that_rise_are_left_alone(times: list[int]) -> None:
    forward, back = forward_times(np.array(times, np.int64))
    assert (forward.tolist(), back) == (times, 0)
