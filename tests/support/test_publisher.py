"""The publisher: everything is published once, in time, by the ways that it promises, and the same each time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from publisher import AWAY, LATE, ON_TIME, TOO_LATE, Cohort, publish, schedule, stage

from taskreel.io.names import SegmentName
from taskreel.io.stores import LocalStore
from taskreel.io.times import Clock

COHORT = Cohort(hours=10)


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    return stage(tmp_path_factory.mktemp("staged"), COHORT)


def test_there_is_some_of_every_way(staged: LocalStore) -> None:
    publications = schedule(staged, COHORT)
    ways = Counter(publication.way for publication in publications)
    assert ways[ON_TIME] > ways[LATE] > ways[TOO_LATE] > 1
    assert ways[AWAY] > 3
    assert [p.name for p in publications] != sorted(p.name for p in publications)
    assert len({SegmentName.parse(publication.name).participant for publication in publications}) == 3
    assert publications == schedule(staged, COHORT)
    assert publications != schedule(staged, Cohort(seed=2))


def test_times_are_as_their_ways_say(staged: LocalStore) -> None:
    for publication in schedule(staged, COHORT):
        delay_min = (publication.at_us / 1000 - SegmentName.parse(publication.name).last_ms) / 60_000
        least, most = {ON_TIME: (0, 5), LATE: (21, 69), TOO_LATE: (0, 171), AWAY: (60, 600)}[publication.way]
        assert least <= delay_min <= most, publication


def test_a_device_comes_back_when_its_day_is_closed(staged: LocalStore) -> None:
    back = [publication for publication in schedule(staged, COHORT) if publication.way == AWAY]
    assert {SegmentName.parse(publication.name).day for publication in back} == {"2026-01-05"}
    midnight_us = (COHORT.start_us // 86_400_000_000 + 1) * 86_400_000_000
    closed_us = midnight_us + int((COHORT.deadline_min + COHORT.lateness_min) * 60_000_000)
    assert all(publication.at_us > closed_us for publication in back)


def test_it_publishes_when_the_clock_says_so(staged: LocalStore, tmp_path: Path) -> None:
    publications = schedule(staged, COHORT)[:40]
    live, slept = LocalStore(str(tmp_path)), []

    class Seen(Clock):
        def now_us(self) -> int:
            return COHORT.start_us + int(sum(slept) * 1e6 * self.rate)

    def sleep(seconds: float) -> None:
        there = {entry.name for entry in live.files("segments/")}
        assert there <= {p.name for p in publications if p.at_us <= clock.now_us()}
        slept.append(seconds)

    clock = Seen(rate=600.0)
    publish(staged, live, publications, clock, sleep=sleep)
    assert {entry.name for entry in live.files("segments/")} == {p.name for p in publications}
    assert [e.name for e in live.files("consent/")] == [e.name for e in staged.files("consent/")]
