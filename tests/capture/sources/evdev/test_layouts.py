"""The layouts of `struct input_event` are told apart, and bytes come in any pieces."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_streams import as_bytes

from taskreel.capture.importers.evemu import read_evemu_file
from taskreel.capture.kernel.streams import KERNEL_EVENT
from taskreel.capture.sources.evdev.layouts import MOST_BYTES, AmbiguousLayoutError, Decoder, NotInputEventsError

SAMPLES = sorted(Path("tests/data/evemu").glob("*.e*"))


def decoded(data: bytes, cuts: list[int], bits: int | None = None) -> np.ndarray:
    decoder = Decoder(bits)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    parts = [decoder.feed(data[start:end]) for start, end in pairwise(edges)]
    return np.concatenate([*parts, decoder.end()])


@st.composite
def streams(draw: st.DrawFn) -> np.ndarray:
    """Frames as keyboards, mice and pads tell them, from zero, since the machine began or UTC, seconds apart."""
    time_us = draw(st.sampled_from([0, 1, 65_536, 999_999, 1_000_000, 86_400_000_000, 1_329_846_856_000_000]))
    event = st.one_of(
        st.tuples(st.just(1), st.integers(1, 0x2FF), st.integers(0, 2)),
        st.tuples(st.just(2), st.integers(0, 15), st.integers(-127, 127)),
        st.tuples(st.just(3), st.integers(0, 0x3F), st.integers(-1, 8000)),
        st.tuples(st.just(4), st.just(4), st.integers(0, 1 << 20)),
    )
    rows = []
    for events in draw(st.lists(st.lists(event, min_size=1, max_size=5), max_size=30)):
        time_us += draw(st.integers(0, 3_000_000))
        rows += [(time_us, *one) for one in events] + [(time_us, 0, 0, 0)]
    return np.array(rows, KERNEL_EVENT) if rows else np.empty(0, KERNEL_EVENT)


@settings(max_examples=300)
@given(streams(), st.sampled_from([64, 32]), st.lists(st.integers(0, 1 << 16), max_size=12))
def test_what_was_written_is_read_or_the_layout_is_asked_for(events: np.ndarray, bits: int, cuts: list[int]) -> None:
    data = as_bytes(events, bits)
    if len(events) >= 12:
        assert decoded(data, cuts).tolist() == events.tolist()
    else:  # a handful of events may say nothing
        with suppress(AmbiguousLayoutError):
            assert decoded(data, cuts).tolist() == events.tolist()


@given(streams(), st.sampled_from([64, 32]), st.lists(st.integers(0, 1 << 16), max_size=12))
def test_a_layout_that_was_named_needs_no_telling(events: np.ndarray, bits: int, cuts: list[int]) -> None:
    assert decoded(as_bytes(events, bits), cuts, bits).tolist() == events.tolist()


@pytest.mark.parametrize("bits", [64, 32])
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_samples_byte_by_byte(path: Path, bits: int) -> None:
    events = read_evemu_file(path).devices[0].events[:400]
    data = as_bytes(events, bits)
    assert decoded(data, list(range(len(data)))).tolist() == events.tolist()


@pytest.mark.parametrize("bits", [64, 32])
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_layout_is_clear_after_few_events(path: Path, bits: int) -> None:
    """A key that is pressed must not wait for the next one. Only a clock that begins at zero may take longer."""
    events = read_evemu_file(path).devices[0].events[:2]
    events["time_us"] += 12_345_678_901
    assert len(Decoder().feed(as_bytes(events, bits))) == len(events)


@pytest.mark.parametrize(
    "data",
    [b"E: 1329846856.201613 0002 0001 -1\n" * 9, bytes(range(256)), b"\xff" * 48],
    ids=["text", "rising", "ones"],
)
def test_what_is_no_stream_of_events(data: bytes) -> None:
    with pytest.raises(NotInputEventsError, match="no kernel events"):
        Decoder().feed(data)


def test_zeros_are_ambiguous_and_held_back_no_longer_than_said() -> None:
    decoder = Decoder()
    assert not len(decoder.feed(bytes(MOST_BYTES - 1)))
    with pytest.raises(AmbiguousLayoutError, match="#64 or #32"):
        decoder.feed(bytes(1))


def test_a_stream_that_turns_to_nonsense() -> None:
    events = np.array([(5_000_123, 1, 30, 1), (5_000_123, 0, 0, 0)], KERNEL_EVENT)
    decoder = Decoder()
    decoder.feed(as_bytes(events))
    with pytest.raises(NotInputEventsError):
        decoder.feed(b"x" * 24)


def test_a_part_of_an_event_is_left_over() -> None:
    events = np.array([(5_000_123, 1, 30, 1), (5_000_123, 0, 0, 0)], KERNEL_EVENT)
    decoder = Decoder()
    assert len(decoder.feed(as_bytes(events) + b"\0" * 7)) == 2
    assert decoder.is_cut
