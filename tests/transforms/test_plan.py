"""The plan of an incremental run, against what one batch run would build, by brute force over pairs of names."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskreel.io.names import SegmentName
from taskreel.transforms.known import listing_days, reach_days
from taskreel.transforms.plan import CommittedSpan, Known, plan
from taskreel.transforms.spans import Span, SpanOptions, spans

UNIT_MS = 4 * 3_600_000
"""The gap; a span lasts at most 12 of them, two days, so that what is read by days matters."""
LONGEST = 12
OPTIONS = SpanOptions(gap_ms=UNIT_MS, longest_ms=LONGEST * UNIT_MS)
BEGIN_MS = 10_000 * OPTIONS.longest_ms


def name_of(first, lasts, recording="r"):
    first_ms = BEGIN_MS + first * UNIT_MS
    return SegmentName("p", recording, first, first + lasts, first_ms, first_ms + lasts * UNIT_MS, "0" * 12)


def touch(a, b):
    return a.first_ms <= b.last_ms + OPTIONS.gap_ms and b.first_ms <= a.last_ms + OPTIONS.gap_ms


def components(names):
    """Sets of names that are connected, by pairs."""
    groups = []
    for name in set(names):
        touched = [group for group in groups if any(touch(name, other) for other in group)]
        groups = [group for group in groups if group not in touched] + [{name}.union(*touched)]
    return groups


def planned_spans(names):
    """What is built as one piece when all of these names are there."""
    alone = {name for name in names if name.duration_ms > OPTIONS.longest_ms}
    pieces = [frozenset([name]) for name in alone]
    for group in components(set(names) - alone):
        if max(n.last_ms for n in group) - min(n.first_ms for n in group) <= OPTIONS.longest_ms:
            pieces.append(frozenset(group))
        else:
            cells = {name.first_ms // OPTIONS.longest_ms for name in group}
            pieces += [frozenset(n for n in group if n.first_ms // OPTIONS.longest_ms == cell) for cell in cells]
    return set(pieces)


def built_of(piece, bad):
    """The spans that come out of a planned span, some of its names being dead."""
    return {frozenset(group) for group in components(piece - bad)}


def batch(names, bad):
    return {built for piece in planned_spans(names) for built in built_of(piece, bad)}


def is_over(piece, watermark_ms):
    too_long = any(name.duration_ms > OPTIONS.longest_ms for name in piece)
    ends_ms = max(n.first_ms if too_long else n.last_ms for n in piece)
    return watermark_ms is None or ends_ms + OPTIONS.gap_ms <= watermark_ms


def committed(names, *, provisional=False):
    span = Span("p", tuple(sorted(names, key=lambda name: name.file)))
    return CommittedSpan(span.span_id, tuple(name.file for name in span.segments), provisional)


def day_of(span):
    """The part of `episodes` in which a span's rows lie."""
    return min(span.names("p"), key=lambda name: name.first_ms).day


@dataclass
class Dataset:
    """A participant's part of a dataset, and what is bad of the input."""

    bad: frozenset = frozenset()
    spans: list = field(default_factory=list)
    dead: set = field(default_factory=set)

    def names(self, *, provisional=False):
        return {name for span in self.spans if span.provisional == provisional for name in span.names("p")}

    def known(self, found):
        """What a run reads that found these names: only the parts in reach of them."""
        days = {day for name in found for day in reach_days(name, OPTIONS)}
        return Known(tuple(span for span in self.spans if day_of(span) in days), frozenset(self.dead))

    def run(self, found, watermark_ms, *, provisional=False):
        planned = plan(found, self.known(found), OPTIONS, watermark_ms=watermark_ms)
        for group in planned.groups:
            self.commit([set(span.segments) for span in group], provisional=provisional)
        return planned

    def commit(self, pieces, *, provisional):
        taken = set().union(*pieces)
        self.spans = [span for span in self.spans if not taken & span.names("p")]
        self.spans += [committed(built, provisional=provisional) for p in pieces for built in built_of(p, self.bad)]
        self.dead = (self.dead - taken) | (taken & self.bad)

    def as_sets(self):
        return sorted(sorted(name.file for name in span.names("p")) for span in self.spans)

    def check(self):
        listed = [file for span in self.spans for file in span.files]
        assert len(listed) == len(set(listed)), "a segment lies in two spans"
        assert not self.names() & self.dead


def as_sets(built):
    return sorted(sorted(name.file for name in names) for names in built)


# a dataset that is built bit by bit


@st.composite
def recordings(draw):
    """Names in a chain that is longer than a span, most of which touch the one before, and which of them are bad."""
    first, names = draw(st.integers(0, LONGEST - 1)), []
    for number in range(draw(st.integers(1, 12))):
        lasts = draw(st.sampled_from([11, 12, 8, 5, 3, 1, 0, 13]))
        names.append(name_of(first, lasts, f"r{number}"))
        first += max(0, lasts + draw(st.sampled_from([1, 0, 2, -1])))
    return names, frozenset(draw(st.sets(st.sampled_from(names), max_size=3)))


@st.composite
def histories(draw):
    """Names, those that are bad, and runs: each with what is published by then, what is listed, and a watermark."""
    names, bad = draw(recordings())
    come = [draw(st.integers(0, 4)) for _ in names]
    watermark, runs = 0, []
    for number in range(draw(st.integers(1, 5))):
        watermark += draw(st.integers(0, 40))
        published = [name for name, at in zip(names, come, strict=True) if at <= number]
        unlisted = draw(st.sets(st.sampled_from(names), max_size=3))
        is_final = draw(st.integers(0, 5)) == 0
        drained = draw(st.sets(st.sampled_from(names), max_size=3)) if draw(st.integers(0, 5)) == 0 else set()
        watermark_ms = None if is_final else BEGIN_MS + watermark * UNIT_MS
        runs.append((published, unlisted, watermark_ms, drained & set(published)))
    return names, bad, runs


@settings(max_examples=600)
@given(histories())
def test_any_history_ends_as_one_batch_run(history):
    names, bad, runs = history
    dataset, waiting = Dataset(bad), set()
    for published, unlisted, watermark_ms, drained in runs:
        before = dataset.names() | dataset.names(provisional=True)
        consumed = dataset.names() | dataset.dead
        found = {name for name in published if name not in unlisted or name in waiting} - consumed
        planned = dataset.run(found, watermark_ms)
        waiting = set(planned.waiting)
        dataset.check()
        assert before <= dataset.names() | dataset.names(provisional=True) | dataset.dead, "something was lost"
        for piece in planned_spans(found | consumed | before):
            if piece & waiting:
                assert not is_over(piece, watermark_ms)
            elif piece & found:
                assert built_of(piece, bad) <= {frozenset(span.names("p")) for span in dataset.spans}
        dataset.run(drained - dataset.names() - dataset.dead, None, provisional=True)
    dataset.run(set(names) - dataset.names() - dataset.dead, None)
    assert dataset.as_sets() == as_sets(batch(names, bad))
    assert dataset.dead == bad


@settings(max_examples=400)
@given(recordings(), st.randoms(use_true_random=False))
def test_names_that_come_one_by_one_in_any_order_end_as_one_batch_run(recorded, dice):
    """Each changes how what is there was cut, and a run reads no more than it can reach."""
    names, bad = recorded
    dataset = Dataset(bad)
    for number, name in enumerate(order := dice.sample(names, len(names)), 1):
        dataset.run({name}, None)
        assert dataset.as_sets() == as_sets(batch(order[:number], bad))


@settings(max_examples=200)
@given(histories())
def test_a_run_that_is_done_again_finds_nothing_to_build(history):
    _, bad, runs = history
    dataset = Dataset(bad)
    for published, _, watermark_ms, _ in runs:
        for again in (False, True):
            found = set(published) - dataset.names() - dataset.dead
            planned = dataset.run(found, watermark_ms)
            assert not (again and planned.groups)


# what a run reads


@given(st.integers(0, 70), st.integers(0, 14))
def test_the_parts_that_are_read_for_a_listing_hold_every_row_that_lists_a_segment_of_the_day(first, lasts):
    """A span's segments begin within the longest span of its first one, or it is a segment alone."""
    begin, last = name_of(first, 0), name_of(first + LONGEST, lasts, "b")
    assert begin.day in listing_days(last.day, OPTIONS.longest_ms)
    assert last.day in listing_days(last.day, OPTIONS.longest_ms)


@given(st.integers(0, 50))
def test_the_parts_that_are_read_for_a_name_hold_rows_of_every_span_that_it_can_change(first):
    """A row begins up to the longest span before a segment, as long as that, which ends within reach."""
    begin, touched = name_of(first, 1), name_of(first + LONGEST, LONGEST, "b")
    name = name_of(first + 4 * LONGEST + 1, 1, "c")
    assert begin.day in reach_days(name, OPTIONS)
    assert touched.day in reach_days(name, OPTIONS)
    assert name_of(first + 6 * LONGEST + 2, 0).day in reach_days(name, OPTIONS)


def test_what_is_read_for_a_name_does_not_grow_with_its_lies():
    assert len(reach_days(name_of(0, 1), OPTIONS)) <= 15
    assert reach_days(name_of(0, 6 * 365), OPTIONS) == [name_of(0, 0).day]
    last = SegmentName("p", "r", 0, 1, 253_402_300_799_000, 253_402_300_799_999, "0" * 12)
    assert reach_days(last, OPTIONS)[-1] == "9999-12-31"


# small cases that can be read


def over(name):
    return name.last_ms + OPTIONS.gap_ms


def built(planned):
    return [[sorted(span.segments) for span in group] for group in planned.groups]


def test_a_span_waits_until_a_gap_after_its_end():
    name = name_of(0, 1)
    assert plan([name], Known(), OPTIONS, watermark_ms=over(name) - 1).waiting == [name]
    assert built(plan([name], Known(), OPTIONS, watermark_ms=over(name))) == [[[name]]]
    assert built(plan([name], Known(), OPTIONS, watermark_ms=None)) == [[[name]]]


def test_a_late_segment_reopens_the_span_that_it_touches_and_no_other():
    old, other, late = name_of(0, 1), name_of(10, 1), name_of(2, 1)
    known = Known((committed([old]), committed([other])))
    assert built(plan([late], known, OPTIONS, watermark_ms=over(other))) == [[[old, late]]]


def test_a_segment_that_closes_a_hole_merges_two_spans():
    first, last, between = name_of(0, 1), name_of(4, 1), name_of(2, 1)
    known = Known((committed([first]), committed([last])))
    assert built(plan([between], known, OPTIONS, watermark_ms=over(last))) == [[[first, between, last]]]


def test_a_committed_span_is_not_torn_while_what_joins_it_waits():
    old, new = name_of(0, 1), name_of(2, 5)
    planned = plan([new], Known((committed([old]),)), OPTIONS, watermark_ms=over(new) - 1)
    assert (planned.groups, planned.waiting) == ([], [new])


def test_spans_that_replace_one_committed_span_are_one_change():
    """With the new name the component is longer than the longest span: the old span is cut in two by the grid."""
    first, second = name_of(LONGEST - 2, 1), name_of(LONGEST, 1)
    new = name_of(LONGEST + 2, 11)
    planned = plan([new], Known((committed([first, second]),)), OPTIONS, watermark_ms=over(first))
    assert built(planned) == [[[first], [second, new]]]


def test_spans_that_only_their_neighbors_cut_anew_do_not_wait():
    """What is committed can lie after the watermark, by a batch run; nothing new in it would point to it again."""
    old = [name_of(LONGEST + 1, 10), name_of(2 * LONGEST, 1)]
    new = name_of(0, LONGEST)
    planned = plan([new], Known((committed(old),)), OPTIONS, watermark_ms=over(new))
    assert built(planned) == [[[new]], [[old[0]], [old[1]]]]


def test_a_dead_segment_holds_a_planned_span_together_and_its_parts_are_done():
    first, bridge, last = name_of(0, 1), name_of(2, 1), name_of(4, 1)
    known = Known((committed([first]), committed([last])), frozenset([bridge]))
    assert plan([bridge], known, OPTIONS, watermark_ms=None).groups == []
    again = Known(known.spans)  # the bridge is to be looked at again
    assert built(plan([bridge], again, OPTIONS, watermark_ms=None)) == [[[first, bridge, last]]]


def test_a_provisional_span_is_built_again_with_what_came():
    old, new = name_of(0, 1), name_of(2, 1)
    known = Known((committed([old], provisional=True),))
    assert built(plan([old], known, OPTIONS, watermark_ms=over(old))) == [[[old]]]
    assert plan([new], known, OPTIONS, watermark_ms=over(new) - 1).waiting == [old, new]


def test_a_segment_that_claims_to_be_too_long_is_alone_and_waits_for_nothing():
    liar, inside = name_of(0, 1000), name_of(3, 1)
    planned = plan([liar, inside], Known(), OPTIONS, watermark_ms=over(inside) - 1)
    assert (built(planned), planned.waiting) == ([[[liar]]], [inside])


def test_the_planned_spans_of_the_oracle_are_those_of_spans():
    names = [name_of(hour, 2) for hour in range(0, 40, 3)] + [name_of(5, 200)]
    assert {frozenset(span.segments) for span in spans(names, gap_ms=UNIT_MS, longest_ms=12 * UNIT_MS)} == (
        planned_spans(names)
    )


@pytest.mark.parametrize("found", [[], [name_of(0, 1)]])
def test_nothing_new_plans_nothing(found):
    planned = plan(found, Known((committed([name_of(0, 1)]),)), OPTIONS, watermark_ms=None)
    assert (planned.groups, planned.waiting) == ([], [])
