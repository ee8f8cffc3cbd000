"""A stream for real, on Prism: from an input that is empty, with what cannot be used, stopped and started again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from inputs import (
    ANNA,
    AS_OF,
    BEN,
    DAY_1,
    PLACE_COLUMNS,
    SECOND_US,
    TOM,
    Desk,
    assert_good,
    command,
    episodes,
    grant,
    put,
    segment,
    steps,
    taskreel,
)

from taskreel.io import dataset as datasets
from taskreel.io.consent import ConsentRecord
from taskreel.io.names import SegmentName
from taskreel.io.stores import LocalStore
from taskreel.io.tables import current_version, metadata_of
from taskreel.io.times import Clock, iso_from_us
from taskreel.pipelines.processes import started
from taskreel.transforms.dead import Dead

RATE = 600.0
CUT = ["--session-gap-s", "300", "--clock-correction-s", "20", "--target-shard-mb", "0.04"]


@dataclass
class Trial:
    """An input, a dataset, and a clock that runs 600 times as fast, from the morning of the first day on."""

    folder: Path
    prism_options: list[str]

    def __post_init__(self) -> None:
        self.clock = Clock(DAY_1, time.time_ns() // 1000, RATE)
        self.store = LocalStore(str(self.output))

    @property
    def input(self) -> Path:
        return self.folder / "in"

    @property
    def output(self) -> Path:
        return self.folder / "out"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @contextmanager
    def stream(self) -> Iterator[None]:
        clock = f"{iso_from_us(self.clock.shown_us)}@{iso_from_us(self.clock.real_us)}*{RATE}"
        chosen = ["--streaming", "--clock", clock, "--lateness-h", "2", *CUT, *self.prism_options]
        args = ["run", "--input", str(self.input), "--output", str(self.output), *chosen]
        with open(self.log, "ab") as log, started(taskreel(*args), str(self.folder), stdout=log, stderr=log) as process:
            yield
            assert process.poll() is None, self.log.read_text()[-3000:]

    def publish(self, desk: Desk, *, is_whole: bool = True) -> SegmentName:
        recording = desk.recording()
        name, data = segment(recording.header, recording.events)
        put(self.input, str(name), data if is_whole else data[:-9])
        return name

    def wait_until_listed(self, *names: SegmentName) -> None:
        """Until the dataset lists these segments, or says that they cannot be used."""
        limit_s = time.monotonic() + 60
        while not {str(name) for name in names} <= self.listed():
            assert time.monotonic() < limit_s, f"{self.listed()}\n{self.log.read_text()[-3000:]}"
            time.sleep(0.2)

    def listed(self) -> set[str]:
        if current_version(self.store) is None:
            return set()
        rows = episodes(self.output)
        built = {str(SegmentName.from_file(row["participant"], file)) for row in rows for file in row["segments"]}
        return built | {dead.segment for dead in dead_letters(self.output)}

    def commits(self) -> list[dict[str, Any]]:
        return [metadata_of(self.store, version) for version in range((current_version(self.store) or 0) + 1)]


def dead_letters(output: Path) -> list[Dead]:
    dataset = datasets.open(str(output))
    found = dataset.report()["dead_letter"]
    return [Dead(**json.loads(line)) for line in dataset.store.read(found).splitlines()] if found else []


def desk(participant: str, start_us: int, picture: int) -> Desk:
    return Desk(participant, "pc", f"r{start_us // SECOND_US}", start_us).work(0, picture)


@pytest.mark.slow
@pytest.mark.prism
def test_a_stream_takes_up_what_comes_says_what_it_cannot_use_and_goes_on_where_it_stopped(
    tmp_path: Path, prism_options: list[str]
) -> None:
    trial = Trial(tmp_path, prism_options)
    trial.input.mkdir()
    grant(trial.input, *(ConsentRecord(f"c-{name}", name, regions=("us",)) for name in (ANNA, BEN)))
    with trial.stream():
        time.sleep(4)  # it looks, and there is nothing
        now_us = trial.clock.now_us() // SECOND_US * SECOND_US
        good = [trial.publish(desk(person, now_us + s * SECOND_US, s // 100)) for person, s in ((ANNA, 0), (ANNA, 200))]
        good.append(trial.publish(desk(BEN, now_us, 1)))
        damaged = trial.publish(desk(BEN, now_us + 200 * SECOND_US, 3), is_whole=False)
        refused = trial.publish(desk(TOM, now_us, 4))
        foreign = put(trial.input, f"{str(good[0]).rpartition('/')[0]}/notes.txt", b"by hand")
        trial.wait_until_listed(*good, damaged, refused)
    assert_good(trial.output)
    _assert_account(trial.commits())
    assert {dead.segment: dead.code for dead in dead_letters(trial.output)}[foreign] == "name"
    before = current_version(trial.store)
    with trial.stream():
        later = trial.publish(desk(ANNA, trial.clock.now_us() // SECOND_US * SECOND_US, 5))
        trial.wait_until_listed(later)
    assert current_version(trial.store) == (before or 0) + 1  # of what was there already, nothing was committed again
    assert [metadata["imbalances"] for metadata in trial.commits() if metadata["imbalances"]] == []
    _assert_equals_batch(trial)


def _assert_account(commits: list[dict[str, Any]]) -> None:
    """Of a stream that was not killed: everything was read once."""
    accounts = [metadata["account"] for metadata in commits]
    total = {name: sum(account.get(name, 0) for account in accounts) for account in accounts for name in account}
    segments = {name: total.get(f"segments.{name}", 0) for name in ("read", "built", "dead", "refused", "late")}
    assert segments == {"read": 6, "built": 3, "dead": 2, "refused": 1, "late": 0}
    assert {metadata["kind"] for metadata in commits} == {"streaming"}


def _assert_equals_batch(trial: Trial) -> None:
    batch = trial.folder / "batch"
    common = ["--input", str(trial.input), "--as-of", AS_OF, *CUT]
    for args in (["--output", str(trial.output), "--incremental", "--final"], ["--output", str(batch)]):
        done = command("run", *common, *args)
        assert done.returncode == 0, done.stderr
    without = ("revision", *PLACE_COLUMNS)
    assert episodes(trial.output, without) == episodes(batch, without)
    assert steps(trial.output) == steps(batch)
    assert dead_letters(trial.output) == dead_letters(batch)
    assert {dead.code for dead in dead_letters(batch)} >= {"name"}
    assert {(row["participant"], row["revision"]) for row in episodes(trial.output)} == {(ANNA, 0), (BEN, 0)}
    assert_good(trial.output)
