"""The buffer closes by size, by time and at the end of the input; it loses nothing and parts nothing."""

from __future__ import annotations

import random

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import fn_runner
from apache_beam.testing import test_stream
from apache_beam.testing.util import assert_that
from apache_beam.utils.timestamp import Timestamp

from taskreel.transforms import buffer
from taskreel.transforms.buffer import BufferOptions, BufferParts

AFTER_S = 50.0
MOST_BYTES = 100


NOTED: list[tuple[str, str]] = []


class RealTime:
    """The real clock of a trial: it shows the time of the element that is being processed."""

    now_s = 0.0

    @classmethod
    def now(cls) -> Timestamp:
        return Timestamp(cls.now_s)


@pytest.fixture(autouse=True)
def real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffer, "Timestamp", RealTime)


def arrive(element):
    at_s, key, weight, parts = element
    RealTime.now_s = at_s
    return key, (weight, parts)


def parts_of(text):
    """Each letter is a part."""
    return [("tag", letter.encode()) for letter in text]


def note(closed):
    key, parts = closed
    NOTED.append((key, b"".join(data for _, data in parts).decode()))


def collected(*arrivals, keys="x"):
    """What is closed together, (key, letters), when (second, weight, letters) come, for each key in turn.

    On the old bundle runner, where time is a test's. It fires the timer of the end when `assert_that` has ended, so
    what comes out is noted on the way.
    """
    NOTED.clear()
    stream, now_s = test_stream.TestStream().advance_watermark_to(0), 0
    for number, (at_s, weight, text) in enumerate(arrivals):
        if at_s > now_s:
            stream = stream.advance_processing_time(at_s - now_s)
            now_s = at_s
        stream = stream.add_elements([(at_s, keys[number % len(keys)], weight, parts_of(text))])
    stream = stream.advance_watermark_to_infinity()
    with beam.Pipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(["--streaming"])) as pipeline:
        elements = pipeline | stream | beam.Map(arrive).with_output_types(tuple[str, buffer.Weighed])
        _ = elements | BufferParts(BufferOptions(MOST_BYTES, AFTER_S)) | beam.Map(note)
    return NOTED


def closes(texts, *arrivals):
    assert collected(*arrivals) == [("x", text) for text in texts]


def test_it_is_closed_when_it_weighs_enough():
    closes(["abc", "de"], (0, 50, "a"), (0, 49, "b"), (0, 1, "c"), (0, 99, "d"), (0, 1, "e"))
    closes(["a", "b"], (0, 100, "a"), (0, 5000, "b"))


def test_it_is_closed_a_time_after_its_first_element():
    closes(["abc", "de"], (0, 1, "a"), (30, 1, "b"), (49, 1, "c"), (51, 1, "d"), (100, 1, "e"))
    closes(["a", "b"], (0, 1, "a"), (200, 1, "b"))


def test_a_time_that_began_before_it_was_closed_by_weight_does_not_count():
    closes(["ab", "cd", "e"], (0, 1, "a"), (10, 100, "b"), (30, 1, "c"), (60, 1, "d"), (81, 1, "e"))


def test_the_weight_begins_anew_when_it_was_closed_by_time():
    closes(["a", "bcd", "e"], (0, 60, "a"), (60, 60, "b"), (70, 39, "c"), (80, 1, "d"), (90, 1, "e"))


def test_it_is_closed_at_the_end_of_the_input():
    closes(["ab"], (0, 1, "a"), (1, 1, "b"))


def test_keys_are_collected_apart():
    arrivals = [(0, 60, "a"), (0, 60, "b"), (1, 30, "c"), (1, 40, "d"), (2, 10, "e")]
    assert sorted(collected(*arrivals, keys="xy")) == [("x", "ace"), ("y", "bd")]


def test_what_weighs_nothing_is_collected_all_the_same():
    closes(["ab", "c"], (0, 0, "a"), (30, 0, "b"), (60, 0, "c"))


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_lost_nothing_comes_twice_and_what_came_as_one_stays_together(seed):
    dice = random.Random(seed)
    units = [
        (dice.choice("xyz"), (dice.randrange(60), [(dice.choice("ab"), f"{n}-{m}".encode()) for m in range(size)]))
        for n, size in enumerate(dice.choices([1, 2, 5], k=60))
    ]
    dice.shuffle(units)

    def check(closed):
        seen = [(key, part) for key, parts in closed for part in parts]
        assert sorted(seen) == sorted((key, part) for key, (_, parts) in units for part in parts)
        assert len(closed) > 6
        for _, (_, parts) in units:
            assert sum(not set(parts).isdisjoint(together) for _, together in closed) == 1
        assert all(parts == sorted(parts) for _, parts in closed)

    with beam.Pipeline(runner=fn_runner.FnApiRunner()) as pipeline:
        elements = pipeline | beam.Create(units).with_output_types(tuple[str, buffer.Weighed])
        assert_that(elements | BufferParts(BufferOptions(MOST_BYTES, 3600.0)), check)
