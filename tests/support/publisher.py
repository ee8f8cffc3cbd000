"""A cohort that publishes while time runs: what streams are tried with.

The whole input is made first, in a staging folder; then each segment is created in the live place when the clock of
the trial says so. Most come within minutes; some late, some too late; and one device goes away and brings what it
has only when the day is closed. When each comes follows from the seed and its name, not from this machine.

    staged = stage(folder, Cohort())
    publish(staged, open_store("gs://lake/people"), schedule(staged, Cohort()), clock)

As a process of its own: `python publisher.py --staged FOLDER --live PLACE --clock SHOWN@REAL*RATE`.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from taskreel.capture.simulator import SimulationOptions, simulate
from taskreel.io.names import SEGMENTS_PREFIX, SegmentName
from taskreel.io.stores import LocalStore, Store, open_store
from taskreel.io.times import Clock, us_from_iso

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
ON_TIME, LATE, TOO_LATE, AWAY = "on_time", "late", "too_late", "away"


@dataclass(frozen=True)
class Cohort:
    """Two people with one device and one with two, whose clocks differ; from a day's evening to the next morning.

    A segment is late if it comes after `deadline_min` and a span gap, too late if also after `lateness_min`.
    The second device of the third person is `away`: what it records in these hours comes at `back_h`, when the first
    day (of 24 hours UTC) and its lateness are over.
    """

    seed: int = 1
    start_us: int = us_from_iso("2026-01-05T18:00:00Z")
    hours: float = 10.0
    deadline_min: float = 15.0
    lateness_min: float = 60.0
    gap_min: float = 6.0
    late_share: float = 0.06
    too_late_share: float = 0.02
    away_h: tuple[float, float] = (1.0, 2.0)
    back_h: float = 9.0

    @property
    def ends_us(self) -> int:
        """When the last segment may be published."""
        return self.start_us + int((self.hours + 0.75) * HOUR_US)


@dataclass(frozen=True, order=True)
class Publication:
    """A segment, when it is published, and which of the ways this is."""

    at_us: int
    name: str
    way: str


def stage(folder: Path, cohort: Cohort) -> LocalStore:
    """Everything that the cohort records, and its consent records."""
    store = LocalStore(str(folder))
    alone = SimulationOptions(
        participants=2,
        minutes=cohort.hours * 60,
        seed=cohort.seed,
        start_us=cohort.start_us,
        screens="reuse",
        break_share=0.4,  # so that there are many sessions
        pictures_per_minute=0.5,
    )
    simulate(store, alone)
    simulate(store, replace(alone, participants=1, devices=2, seed=cohort.seed + 1_000_000, clock_offset_s=7))
    return store


def schedule(staged: Store, cohort: Cohort) -> list[Publication]:
    """When each staged segment is published, in this order."""
    names = [entry.name for entry in staged.files(SEGMENTS_PREFIX)]
    away = _second_device(names)
    return sorted(_publication(name, cohort, SegmentName.parse(name).recording == away) for name in names)


def _second_device(names: Iterable[str]) -> str:
    """The recording, with the later name, of the one participant who has two."""
    recordings: dict[str, set[str]] = {}
    for name in map(SegmentName.parse, names):
        recordings.setdefault(name.participant, set()).add(name.recording)
    return max(max(found) for found in recordings.values() if len(found) == 2)


def _publication(path: str, cohort: Cohort, may_be_away: bool) -> Publication:
    dice = random.Random(f"{cohort.seed}:{path}")
    name = SegmentName.parse(path)
    ends_us = name.last_ms * 1000
    away_from_us, away_until_us = (cohort.start_us + int(hour * HOUR_US) for hour in cohort.away_h)
    if may_be_away and away_from_us <= name.first_ms * 1000 < away_until_us:
        back_us = cohort.start_us + int(cohort.back_h * HOUR_US)
        return Publication(back_us + dice.randrange(MINUTE_US), path, AWAY)
    way = _way(dice.random(), cohort)
    return Publication(min(ends_us + _delay_us(way, dice, cohort), cohort.ends_us), path, way)


def _way(chance: float, cohort: Cohort) -> str:
    if chance < cohort.too_late_share:
        return TOO_LATE
    return LATE if chance < cohort.too_late_share + cohort.late_share else ON_TIME


def _delay_us(way: str, dice: random.Random, cohort: Cohort) -> int:
    late_min = cohort.deadline_min + cohort.gap_min
    closed_min = late_min + cohort.lateness_min
    least, most = {
        ON_TIME: (0.0, 5.0),
        LATE: (late_min, late_min + cohort.lateness_min * 0.8),
        TOO_LATE: (closed_min + 30.0, closed_min + 90.0),
    }[way]
    return int(dice.uniform(least, most) * MINUTE_US)


def publish(
    staged: Store,
    live: Store,
    publications: Iterable[Publication],
    clock: Clock,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Create each segment in the live place when the clock passes its time; the consent records at once."""
    for entry in staged.files("consent/"):
        live.create(entry.name, staged.read(entry.name))
    for publication in publications:
        while (left_us := publication.at_us - clock.now_us()) > 0:
            sleep(min(left_us / 1e6 / clock.rate, 1.0))
        live.create(publication.name, staged.read(publication.name))


def main() -> None:
    parser = argparse.ArgumentParser(description="Publish a staged cohort while time runs.")
    parser.add_argument("--staged", type=Path, required=True)
    parser.add_argument("--live", required=True)
    parser.add_argument("--clock", required=True)
    parser.add_argument("--cohort", default="{}", help="fields of Cohort, as JSON")
    arguments = parser.parse_args()
    cohort = Cohort(
        **{name: tuple(v) if isinstance(v, list) else v for name, v in json.loads(arguments.cohort).items()}
    )
    staged = LocalStore(str(arguments.staged))
    publish(staged, open_store(arguments.live), schedule(staged, cohort), Clock.parse(arguments.clock))


def command(staged: Path, live: str, clock: str, cohort: Cohort) -> list[str]:
    """This as a process."""
    args = {"--staged": str(staged), "--live": live, "--clock": clock, "--cohort": json.dumps(asdict(cohort))}
    return [sys.executable, __file__, *(word for pair in args.items() for word in pair)]


if __name__ == "__main__":
    main()
