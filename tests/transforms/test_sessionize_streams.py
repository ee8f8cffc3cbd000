"""What a stream makes of names that come on time, late and too late: TestStream, on runners that are named.

The old bundle runner has TestStream in Python. It has one bundle an arrival and does not encode state or timers, so it
says nothing of coders. Prism has it, too, as the runner that streams are run on: with coders, and other bundles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing import test_stream
from apache_beam.testing.util import assert_that
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp
from span_oracle import name_of

from taskreel.io.names import SegmentName
from taskreel.io.times import Clock
from taskreel.transforms.sessionize import LATE, Firing, SessionizeNames, Stream, emitted_entry
from taskreel.transforms.spans import SpanOptions
from taskreel.transforms.stream_time import StreamTime

GAP_MS, LATENESS_MS, LONGEST_MS = 10, 100, 1000
END = "end"
"""The watermark goes to the end of time: a drain, or that the trial is over."""


@dataclass(frozen=True)
class Seed:
    """A span that is committed when the stream starts."""

    names: tuple[SegmentName, ...]

    @property
    def participant(self) -> str:
        return self.names[0].participant

    @property
    def file(self) -> str:
        return emitted_entry(name.file for name in self.names)


def steps(*told: SegmentName | Seed | int | str) -> test_stream.TestStream:
    """Names are listed, numbers are the watermark."""
    stream = test_stream.TestStream(
        coder=beam.coders.TupleCoder([beam.coders.StrUtf8Coder()] * 2)
    ).advance_watermark_to(at(0))
    now_ms = 0
    for one in told:
        if one == END:
            stream = stream.advance_watermark_to_infinity()
        elif isinstance(one, int):
            now_ms = one
            stream = stream.advance_watermark_to(at(one))
        else:
            stream = stream.add_elements([TimestampedValue((one.participant, one.file), at(now_ms))])
    return stream


def at(time_ms: int) -> Timestamp:
    return Timestamp(micros=time_ms * 1000)


@dataclass(frozen=True)
class Runner:
    runner: Any
    options: list[str]


@pytest.fixture(params=["bundle", pytest.param("prism", marks=pytest.mark.prism)])
def runner(request: pytest.FixtureRequest) -> Runner:
    if request.param == "bundle":
        return Runner(BundleBasedDirectRunner(), [])
    return Runner(None, request.getfixturevalue("prism_options"))


def play(
    runner: Runner,
    stream: test_stream.TestStream,
    firings: dict[str, list[list[list[SegmentName]]]],
    late: tuple[SegmentName, ...] = (),
    *,
    provisional: tuple[int, ...] = (),
    now_ms: int = 10**12,
) -> None:
    """Check what comes out: per participant the spans of each firing, and what is late.

    `provisional` are the rounds that a drain has cut short, where the store's time is `now_ms`.
    """
    expected = [
        (who, Firing(number, tuple(tuple(sorted(n.file for n in span)) for span in spans), number in provisional))
        for who, several in firings.items()
        for number, spans in enumerate(several, start=1)
    ]
    time = StreamTime(".", 0, Clock(shown_us=now_ms * 1000, rate=1e-15))
    options = PipelineOptions([*runner.options, "--streaming"])
    with beam.Pipeline(runner=runner.runner, options=options) as pipeline:
        names = pipeline | stream | beam.Map(tuple).with_output_types(tuple[str, str])
        found = names | SessionizeNames(SpanOptions(GAP_MS, LONGEST_MS), Stream(time, LATENESS_MS))
        assert_that(found.spans, equal_to([(who, firing.to_json()) for who, firing in expected]), label="spans")
        assert_that(found[LATE], equal_to([(name.participant, name.file) for name in late]), label="late")


def equal_to(expected: list[Any]) -> Any:
    def check(found: list[Any]) -> None:
        assert sorted(found) == sorted(expected)

    return check


A, B, C = name_of(0, 50), name_of(55, 90), name_of(200, 250)


def test_on_time_a_span_comes_out_when_it_is_over(runner):
    play(runner, steps(A, 40, B, 99, C, 100, 259, 260, END), {"p": [[[A, B]], [[C]]]})


def test_the_watermark_holds_a_span_that_may_grow(runner):
    """It says that all until then is there: nothing of a day comes out before the day was listed for the first time."""
    play(runner, steps(A, B, 99, name_of(95, 120), 130, END), {"p": [[[A, B, name_of(95, 120)]]]})


def test_late_within_lateness_the_span_comes_again(runner):
    late = name_of(60, 95)
    play(runner, steps(A, 70, late, 120, END), {"p": [[[A]], [[A, late]]]})


def test_too_late_is_refused(runner):
    too_late = name_of(20, 40)
    play(runner, steps(A, 70, 170, too_late, 200, END), {"p": [[[A]]]}, late=(too_late,))


def test_two_spans_that_came_out_become_one(runner):
    one, two, between = name_of(0, 50), name_of(70, 100), name_of(52, 68)
    play(runner, steps(one, two, 115, between, 130, END), {"p": [[[one]], [[two]], [[one, between, two]]]})


def test_two_devices_of_one_person_out_of_step(runner):
    """What the slow one says joins what the fast one has said; the other person has nothing to do with it."""
    fast = [name_of(0, 30, "fast"), name_of(31, 60, "fast")]
    slow = [name_of(1, 30, "slow"), name_of(31, 65, "slow")]
    other = name_of(0, 30, "pc", "q")
    told = steps(*fast, other, 72, slow[0], 75, slow[1], 130, END)
    play(runner, told, {"p": [[fast], [[*fast, slow[0]]], [[*fast, *slow]]], "q": [[[other]]]})


def test_duplicates_change_nothing(runner):
    play(runner, steps(A, A, 40, A, 70, A, 90, END), {"p": [[[A]]]})


def test_a_device_that_returns_after_a_week(runner):
    """What it brings of the past is late; what is new is a span of its own."""
    week_ms = 7 * 86_400_000
    old, new = name_of(120, 150), name_of(week_ms, week_ms + 50)
    play(
        runner,
        steps(A, C, 400, week_ms, old, new, week_ms + 70, END),
        {"p": [[[A]], [[C]], [[new]]]},
        late=(old,),
    )


def test_what_is_committed_does_not_come_again_unless_something_joins_it(runner):
    joins = name_of(91, 95)
    told = steps(Seed((A, B)), Seed((C,)), A, B, C, joins, 150, 300, END)
    play(runner, told, {"p": [[[A, B, joins]]]})


@pytest.mark.prism
def test_a_drain_cuts_short_what_is_not_over_and_says_so(prism_options):
    """The watermark goes to the end of time while the store says that it is still early. (The old bundle runner does
    not fire timers that are set then.)
    """
    later = name_of(10_000, 10_050)
    told = steps(A, later, 70, END)
    play(Runner(None, prism_options), told, {"p": [[[A]], [[later]]]}, provisional=(2,), now_ms=100)
