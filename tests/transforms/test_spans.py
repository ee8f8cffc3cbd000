import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from span_oracle import as_sets, name_of, names_in, pieces_by_pairs

from taskreel.transforms.spans import Span, spans


@given(names_in(), st.integers(0, 40), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_spans_are_the_connected_components_of_segments_that_touch(names, gap_ms, chance):
    shuffled = names * 2
    chance.shuffle(shuffled)
    found = as_sets(spans(shuffled, gap_ms=gap_ms))
    assert len(found) == len(set(found))
    assert set(found) == pieces_by_pairs(names, gap_ms, None)


@given(names_in(), st.integers(0, 40), st.integers(1, 200), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_components_that_last_too_long_are_cut_on_the_grid(names, gap_ms, longest_ms, chance):
    shuffled = list(names)
    chance.shuffle(shuffled)
    found = as_sets(spans(shuffled, gap_ms=gap_ms, longest_ms=longest_ms))
    assert len(found) == len(set(found))
    assert set(found) == pieces_by_pairs(names, gap_ms, longest_ms)


@given(names_in(), st.integers(0, 40), st.none() | st.integers(1, 200))
@settings(max_examples=100, deadline=None)
def test_spans_come_in_order_of_time_with_their_segments_sorted_by_file(names, gap_ms, longest_ms):
    found = spans(names, gap_ms=gap_ms, longest_ms=longest_ms)
    begins = [min(name.first_ms for name in span.segments) for span in found]
    assert begins == sorted(begins)
    for span in found:
        files = [name.file for name in span.segments]
        assert files == sorted(files)
        assert span.end_ms == max(name.last_ms for name in span.segments)


@pytest.mark.parametrize(("gap_ms", "count"), [(9, 2), (10, 1)])
def test_a_gap_joins_up_to_and_with_its_length(gap_ms, count):
    assert len(spans([name_of(0, 100), name_of(110, 120)], gap_ms=gap_ms)) == count


def test_a_span_id_says_who_and_which_segments():
    one, two = name_of(0, 1), name_of(2, 3)
    ids = {
        Span("p", (one, two)).span_id,
        Span("p", (one,)).span_id,
        Span("p", (two,)).span_id,
        Span("q", (one, two)).span_id,
    }
    assert len(ids) == 4
    assert Span("p", (one, two)).span_id == "6f7e7386bb9e275b284c7772"
