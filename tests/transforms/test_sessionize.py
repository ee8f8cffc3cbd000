"""Names become spans by state and timer: one firing as a pure function, then pipelines on named runners."""

import random

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import fn_runner
from apache_beam.testing.util import assert_that
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from simulated_stream import SimulatedStream, apply
from span_oracle import as_sets, components_by_pairs, name_of, names_in, pieces_by_pairs

from taskreel.transforms.sessionize import LATE, SessionizeNames, close, emitted_entry
from taskreel.transforms.spans import SpanOptions

# ---------------------------------------------------------------------------------------- one firing, unbounded

GAP = SpanOptions(gap_ms=10)


def fire(names, now_ms, kept=(), options=GAP, lateness_ms=100):
    """A firing over names and what an earlier firing kept."""
    entries = [name.file for name in names] + list(kept)
    return close("p", entries, options, lateness_ms=lateness_ms, now_ms=now_ms)


def test_only_what_is_over_is_emitted_and_the_rest_is_kept():
    over, open_ = name_of(0, 50), name_of(100, 150)
    plan = fire([over, open_], 60)
    assert as_sets(plan.emit) == [{over}]
    assert set(plan.keep) == {emitted_entry([over.file]), open_.file}
    assert plan.due_ms == 160
    assert plan.closed_ms == 0


@pytest.mark.parametrize(("now_ms", "count"), [(59, 0), (60, 1)])
def test_a_span_is_over_when_its_end_and_the_gap_have_passed(now_ms, count):
    assert len(fire([name_of(0, 50)], now_ms).emit) == count


def test_what_was_emitted_is_not_emitted_again():
    names = [name_of(0, 50)]
    first = fire(names, 60)
    assert len(first.emit) == 1
    again = fire([], 80, first.keep)
    assert again.emit == []
    assert sorted(again.keep) == sorted(first.keep)


def test_a_late_segment_joins_its_span_and_emits_it_as_a_revision():
    early, late = name_of(0, 50), name_of(20, 40)
    first = fire([early], 60)
    revised = fire([late], 90, first.keep)
    assert as_sets(revised.emit) == [{early, late}]


def test_a_late_segment_can_join_two_spans_into_one():
    one, two, between = name_of(0, 50), name_of(70, 100), name_of(50, 70)
    first = fire([one, two], 110)
    assert as_sets(first.emit) == [{one}, {two}]
    assert as_sets(fire([between], 120, first.keep).emit) == [{one, two, between}]


@pytest.mark.parametrize(("now_ms", "closed_ms"), [(159, 0), (160, 60)])
def test_a_span_is_closed_for_good_when_its_lateness_has_passed(now_ms, closed_ms):
    first = fire([name_of(0, 50)], 60)
    plan = fire([], now_ms, first.keep)
    assert plan.closed_ms == closed_ms
    assert (plan.keep == []) == (closed_ms > 0)
    assert plan.due_ms == (None if closed_ms else 160)


def test_without_lateness_a_span_is_closed_when_it_is_emitted():
    plan = fire([name_of(0, 50)], 60, lateness_ms=0)
    assert (len(plan.emit), plan.keep, plan.due_ms, plan.closed_ms) == (1, [], None, 60)


def streamed(names, options, lateness_ms, arrive_ms, step_ms):
    """The spans that stand at the end, if time passes in steps and every name is there when it has arrived."""
    kept, current = [], set()
    last_ms = max(map(arrive_ms, names)) + options.gap_ms + lateness_ms + 400
    for now_ms in range(0, last_ms + step_ms, step_ms):
        arrived = [name for name in names if now_ms - step_ms < arrive_ms(name) <= now_ms]
        plan = fire(arrived, now_ms, kept, options, lateness_ms)
        kept = plan.keep
        for span in as_sets(plan.emit):
            current = {other for other in current if not other & span} | {span}
    assert kept == []
    return current


@given(names_in(longest_ms=10), st.integers(10, 40), st.integers(0, 100), st.integers(1, 30))
@settings(max_examples=200, deadline=None)
def test_a_stream_on_time_ends_with_the_spans_of_a_batch(names, gap_ms, lateness_ms, step_ms):
    assume(names)
    found = streamed(names, SpanOptions(gap_ms), lateness_ms, lambda name: name.first_ms, step_ms)
    assert found == pieces_by_pairs(names, gap_ms, None)


@given(names_in(longest_ms=10), st.integers(10, 40), st.integers(41, 200), st.integers(1, 30))
@settings(max_examples=300, deadline=None)
def test_a_stream_on_time_ends_with_the_spans_of_a_batch_also_where_they_are_cut(names, gap_ms, longest_ms, step_ms):
    assume(names)
    found = streamed(names, SpanOptions(gap_ms, longest_ms), 0, lambda name: name.first_ms, step_ms)
    assert found == pieces_by_pairs(names, gap_ms, longest_ms)


@given(names_in(longest_ms=10), st.integers(10, 40), st.data())
@settings(max_examples=150, deadline=None)
def test_a_stream_with_delays_within_the_lateness_ends_with_the_spans_of_a_batch(names, gap_ms, data):
    assume(names)
    delay = {name: data.draw(st.integers(0, 50)) for name in names}
    found = streamed(names, SpanOptions(gap_ms), 60, lambda name: name.first_ms + delay[name], 7)
    assert found == pieces_by_pairs(names, gap_ms, None)


# ------------------------------------------------------------------------------ whole streams, played by hand


@st.composite
def arriving(draw, longest_delay_ms=250):
    """(name, when it is listed), some twice, some late, some much too late; and some that claim to last too long."""
    names = draw(names_in(max_ms=400, max_count=14, longest_ms=25))
    names += draw(st.lists(st.integers(0, 300).map(lambda first: name_of(first, first + 500, "x")), max_size=1))
    delays = st.integers(0, 30) | st.integers(0, longest_delay_ms)
    arrivals = [(name, name.last_ms + draw(delays)) for name in names]
    again = [(name, at_ms + draw(delays)) for name, at_ms in arrivals if draw(st.booleans())]
    return sorted(arrivals + again, key=lambda arrival: arrival[1])


OPTIONS = st.builds(SpanOptions, st.integers(5, 40), st.sampled_from([60, 100, 200]))
END_MS = 10_000


@given(arriving(), OPTIONS, st.integers(0, 150), st.integers(1, 40))
@settings(max_examples=400)
def test_what_is_taken_in_ends_as_in_a_batch_and_what_is_not_was_closed(arrivals, options, lateness_ms, step_ms):
    stream, standing, taken = SimulatedStream(options, lateness_ms), set(), set()
    for name, at_ms in arrivals:
        stream.advance(at_ms // step_ms * step_ms)
        closed_ms = -1 if stream.closed_ms.held is None else stream.closed_ms.held
        stream.arrive(name)
        assert (name.file in stream.late) <= (name.first_ms <= closed_ms or name in taken)
        if name.first_ms > closed_ms:
            taken.add(name)
    stream.advance(END_MS)
    covered = set()
    for firing in stream.firings:
        standing = apply(standing, firing)
        assert covered <= frozenset().union(*standing), "what stood is gone"
        covered = frozenset().union(*standing)
    assert standing == as_files(pieces_by_pairs(taken, options.gap_ms, options.longest_ms))
    assert stream.is_empty


@given(arriving(), OPTIONS, st.integers(0, 150), st.data())
@settings(max_examples=400)
def test_a_stream_that_starts_again_ends_as_in_a_batch(arrivals, options, lateness_ms, data):
    """It has lost its state, and what it emitted last; it lists the polled days again, and knows what is committed."""
    day_ms = 50
    stream, committed, listed, given_up = SimulatedStream(options, lateness_ms), set(), set(), set()
    for name, at_ms in arrivals:
        stream.advance(at_ms)
        if data.draw(st.integers(0, 3)) == 0:
            kept = data.draw(st.integers(0, len(stream.firings)))
            for firing in stream.firings[:kept]:
                committed = apply(committed, firing)
            given_up |= set(stream.late)
            floor_ms = max(at_ms - lateness_ms - options.gap_ms, 0) // day_ms * day_ms - 1
            stream = SimulatedStream(options, lateness_ms, floor_ms=floor_ms, begun_ms=at_ms, seeds=committed)
            for before in sorted(listed):
                stream.arrive(before) if before.first_ms > floor_ms else given_up.add(before.file)
            already = len(stream.firings)
            stream.advance(at_ms)
            for firing in stream.firings[already:]:
                assert not set(firing) <= committed, "what was committed is built again"
        listed.add(name)
        stream.arrive(name)
    stream.advance(END_MS)
    given_up |= set(stream.late)
    for firing in stream.firings:
        committed = apply(committed, firing)
    inside = frozenset().union(*committed)
    assert {name.file for name in listed} <= inside | given_up
    assert committed == as_files(
        pieces_by_pairs({name for name in listed if name.file in inside}, options.gap_ms, options.longest_ms)
    )
    assert stream.is_empty


def test_a_segment_that_claims_to_be_too_long_does_not_close_what_is_near():
    stream = SimulatedStream(SpanOptions(10, 100), 0)
    liar, honest = name_of(0, 9_000, "x"), name_of(2, 30)
    stream.arrive(liar)
    stream.advance(20)
    stream.arrive(honest)
    stream.advance(END_MS)
    assert stream.firings == [[{liar.file}], [{honest.file}]]
    assert stream.late == []


def test_spans_that_replace_one_come_together():
    stream = SimulatedStream(SpanOptions(10, 100), 1_000)
    early, middle, grown = name_of(60, 95), name_of(101, 120), name_of(125, 190)
    stream.arrive(early)
    stream.arrive(middle)
    stream.advance(131)
    stream.arrive(grown)
    stream.advance(200)
    assert stream.firings == [[{early.file, middle.file}], [{early.file}, {middle.file, grown.file}]]


def test_what_was_over_at_the_start_is_closed_by_one_firing():
    seeds = [[name_of(first, first + 5).file] for first in range(0, 1000, 50)]
    stream = SimulatedStream(SpanOptions(10, 100), 10_000, begun_ms=2_000, seeds=seeds)
    stream.advance(2_000)
    assert (stream.fired, stream.firings) == (1, [])


def as_files(pieces):
    return {frozenset(name.file for name in piece) for piece in pieces}


# ------------------------------------------------------------------------------------------------ in a pipeline


def names_of_keys(seed):
    """100 spans for one key and a few for others, as (participant, name) in random order, some of them twice."""
    chance = random.Random(seed)
    names = []
    for participant, count in (("p1", 100), ("p2", 3), ("p3", 1), ("p4", 30)):
        for number in range(count):
            begin_ms = 1_767_603_600_000 + number * 10_000_000 + chance.randrange(1000)
            for part in range(chance.randrange(1, 5)):
                first_ms = begin_ms + part * 600
                names.append(
                    name_of(first_ms, first_ms + chance.randrange(1, 500), f"r{chance.randrange(3)}", participant)
                )
    names += chance.choices(names, k=40)
    chance.shuffle(names)
    return names


def expected_spans(names, gap_ms):
    found = []
    for participant in {name.participant for name in names}:
        groups = components_by_pairs([name for name in names if name.participant == participant], gap_ms)
        found += [(participant, sorted(name.file for name in group)) for group in groups]
    return sorted(found)


def equal_to(expected, label):
    def check(found):
        assert sorted((key, list(files)) for key, files in found) == expected, label

    return check


def run_batch(names, options):
    with beam.Pipeline(**options) as pipeline:
        found = (
            pipeline
            | beam.Create([(name.participant, name.file) for name in names])
            | SessionizeNames(SpanOptions(gap_ms=1000))
        )
        assert_that(found.spans, equal_to(expected_spans(names, 1000), "spans"), label="spans")
        assert_that(found[LATE], equal_to([], "late"), label="late")


@pytest.mark.parametrize("seed", range(10))
def test_a_pipeline_finds_the_spans_on_the_fn_api_runner(seed):
    run_batch(names_of_keys(seed), {"runner": fn_runner.FnApiRunner()})


@pytest.mark.prism
@pytest.mark.parametrize("seed", range(10))
def test_a_pipeline_finds_the_spans_on_prism(seed, prism_options):
    run_batch(names_of_keys(seed), {"options": PipelineOptions(prism_options)})


def test_the_order_of_names_makes_no_difference():
    names = names_of_keys(3)
    assert names != sorted(names)
    run_batch(sorted(names), {"runner": fn_runner.FnApiRunner()})
    run_batch(sorted(names, reverse=True), {"runner": fn_runner.FnApiRunner()})
