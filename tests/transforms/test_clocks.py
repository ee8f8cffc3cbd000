from fractions import Fraction
from itertools import pairwise
from math import floor

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from strategies import BEGIN_US, Hand, segment_of

from taskreel.transforms.build import BuildOptions, build_span
from taskreel.transforms.clocks import Clock
from taskreel.transforms.merge import merge_segments

SECOND_US = 1_000_000
HOUR_US = 3600 * SECOND_US


def corrected(time_us, anchors):
    """A time by its anchors, in fractions: what the page says, for one event."""
    (device, utc), *others = anchors
    points = sorted({d + utc - device: u - d - utc + device for d, u in sorted(others)}.items())
    if not points:
        return time_us
    for (at, was), (until, becomes) in pairwise(points):
        if at <= time_us < until:
            return time_us + was + floor(Fraction(becomes - was) * (time_us - at) / (until - at))
    return time_us + (points[0][1] if time_us < points[0][0] else points[-1][1])


offsets_us = st.integers(-60 * SECOND_US, 60 * SECOND_US)
device_us = st.integers(0, 20 * HOUR_US)


@st.composite
def anchored(draw):
    first = draw(device_us)
    others = [(d, BEGIN_US + d - first + draw(offsets_us)) for d in draw(st.lists(device_us, max_size=5, unique=True))]
    return [(first, BEGIN_US), *others]


@given(anchored(), st.lists(st.integers(BEGIN_US - HOUR_US, BEGIN_US + 30 * HOUR_US)))
def test_times_are_corrected_evenly_between_anchors_and_stay_at_the_nearest_outside(anchors, times):
    clock = Clock.of(anchors, most_us=60 * SECOND_US)
    assert clock.is_aligned
    found = clock.utc_us(np.array(times, np.int64)).tolist()
    assert found == [corrected(time_us, anchors) for time_us in times]


def test_a_clock_without_anchors_and_one_too_far_off_are_left_as_they_are():
    times = np.array([BEGIN_US])
    for anchors in ([], [(0, BEGIN_US), (5, BEGIN_US + 5 + 61 * SECOND_US)]):
        clock = Clock.of(anchors, most_us=60 * SECOND_US)
        assert not clock.is_aligned
        assert not clock.is_off
        assert clock.utc_us(times).tolist() == [BEGIN_US]


def test_anchors_years_apart_do_not_overflow():
    years_us = 30 * 365 * 24 * HOUR_US
    clock = Clock.of([(0, 0), (0, 0), (0, 1), (years_us, years_us + 50 * SECOND_US)], most_us=60 * SECOND_US)
    (half,) = clock.utc_us(np.array([years_us // 2])).tolist()
    assert abs(half - years_us // 2 - 25 * SECOND_US) <= 2


def two_devices(anchors):
    """A click on one device, and 2 s later one on another, whose clock is 30 s ahead."""
    here = segment_of(Hand().move().wait(100).click().rows, device="d1", recording="r1", clock_anchors=((7, BEGIN_US),))
    there = Hand(BEGIN_US + 32 * SECOND_US).move().wait(100).click()
    return [here, segment_of(there.rows, device="d2", recording="r2", clock_anchors=anchors)]


def test_two_devices_out_of_step_are_aligned():
    off = ((500, BEGIN_US + 30 * SECOND_US), (500, BEGIN_US))
    merged = merge_segments(two_devices(off), most_us=60 * SECOND_US)
    assert not merged.is_unaligned.any()
    (draft,) = build_span(two_devices(off), BuildOptions()).drafts
    first, second = draft.steps.column("start_us").to_pylist()
    assert second - first == 2 * SECOND_US


def test_what_cannot_be_aligned_is_flagged_where_another_device_is_in_use():
    segments = two_devices(())
    (draft,) = build_span(segments, BuildOptions()).drafts
    unaligned = [bool(flags & 1 << 10) for flags in draft.steps.column("flags").to_pylist()]
    assert unaligned == [False, True]
    (alone,) = build_span(segments[1:], BuildOptions()).drafts
    assert alone.steps.column("flags").to_pylist()[0] & 1 << 10 == 0
