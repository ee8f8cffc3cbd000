"""A stream that is killed again and again, while people publish, comes to what one batch run over the same comes to.

For real: `taskreel supervise` keeps the job on Prism alive, a publisher publishes a cohort's ten hours in a minute, and
the launcher (in which the SDK worker is) and Prism are killed in turn. Then an incremental run closes what is open.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from inputs import AS_OF, PLACE_COLUMNS, ROOT, assert_good, command, episodes, shas, steps, taskreel
from publisher import AWAY, Cohort, schedule, stage
from publisher import command as publisher_command

from taskreel.io.names import SegmentName
from taskreel.io.stores import LocalStore, Store, open_store
from taskreel.io.tables import current_version, metadata_of, read_episodes
from taskreel.io.times import iso_from_us
from taskreel.pipelines.processes import family, sweep
from taskreel.rehearsal.gcs.server import GcsServer

CUT = ["--session-gap-s", "300", "--clock-correction-s", "20", "--longest-span-h", "2", "--target-shard-mb", "3"]
HISTORY_COLUMNS = (*PLACE_COLUMNS, "revision")
LAUNCHER, PRISM = "launcher", "prism"
Name = tuple[str, str]


def wait_until(condition: Callable[[], object], timeout_s: float, what: Callable[[], object]) -> None:
    limit_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < limit_s, what()
        time.sleep(0.25)


@dataclass
class Trial:
    """One cohort, published into one live place, and one stream of it that is killed so many times."""

    cohort: Cohort
    staged: LocalStore
    folder: Path
    place: str
    prism_options: list[str]
    rate: float
    kills: int
    resident_bytes: dict[str, list[int]] = field(default_factory=lambda: {LAUNCHER: [], PRISM: []})

    @property
    def live(self) -> str:
        return f"{self.place}/live"

    @property
    def output(self) -> str:
        return f"{self.place}/dataset"

    @property
    def state(self) -> Path:
        return self.folder / "supervisor.jsonl"

    @property
    def log(self) -> Path:
        return self.folder / "stream.log"

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.state.read_text().splitlines()] if self.state.exists() else []

    @cached_property
    def store(self) -> Store:
        return open_store(self.output)

    def run(self) -> None:
        """Publish, stream, kill, and wait until the stream has taken up all that was published."""
        clock = f"{iso_from_us(self.cohort.start_us)}@{iso_from_us(time.time_ns() // 1000)}*{self.rate}"
        with self._publisher(clock) as publisher, self._supervisor(clock) as supervisor:
            self._kill_again_and_again()
            assert publisher.wait(self._real_s) == 0
            self._wait_until_caught_up()
            supervisor.terminate()
            assert supervisor.wait(60) == 0
        assert family(str(self.state)) == []
        failures = [event["exit_code"] for event in self.events if event["event"] == "failed"]
        assert (
            failures.count(-signal.SIGKILL) >= self.kills // 2
        )  # and if Prism dies early, the launcher starts another

    @property
    def _real_s(self) -> float:
        return (self.cohort.ends_us - self.cohort.start_us) / 1e6 / self.rate

    @contextmanager
    def _publisher(self, clock: str) -> Iterator[subprocess.Popen[bytes]]:
        process = subprocess.Popen(publisher_command(self.staged.root, self.live, clock, self.cohort))
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    @contextmanager
    def _supervisor(self, clock: str) -> Iterator[subprocess.Popen[bytes]]:
        run = ["run", "--streaming", "--input", self.live, "--output", self.output, "--clock", clock, *CUT]
        run += [
            "--publish-deadline",
            f"{self.cohort.deadline_min}m",
            "--lateness-h",
            str(self.cohort.lateness_min / 60),
        ]
        keep = [
            "supervise",
            "--state",
            str(self.state),
            "--backoff",
            "0.2s",
            "--healthy",
            "5s",
            "--max-failures",
            str(2 * self.kills + 5),
        ]
        with open(self.log, "wb") as log:
            process = subprocess.Popen(
                taskreel(*keep, "--", *run, *self.prism_options), cwd=ROOT, stdout=log, stderr=log
            )
            try:
                yield process
            finally:
                process.kill()
                process.wait()
                sweep(str(self.state))

    def _kill_again_and_again(self) -> None:
        dice = random.Random(self.cohort.seed)
        began_s, part_s = time.monotonic(), self._real_s * 0.9 / self.kills
        for number in range(self.kills):
            instant_s = began_s + (number + dice.uniform(0.1, 1.0)) * part_s
            while time.monotonic() < instant_s:
                self._note_memory()
                time.sleep(max(0.0, min(1.0, instant_s - time.monotonic())))
            victim = (LAUNCHER, PRISM)[number % 2]
            wait_until(lambda: {LAUNCHER, PRISM} <= self._processes().keys(), 60, self._last_words)
            with contextlib.suppress(ProcessLookupError, KeyError):  # it died by itself just now
                os.kill(self._processes()[victim], signal.SIGKILL)

    def _processes(self) -> dict[str, int]:
        """The launcher and Prism that are alive."""
        found = {}
        for number in family(str(self.state)):
            program = Path(f"/proc/{number}/cmdline")
            name = program.read_bytes().partition(b"\0")[0] if program.exists() else b""
            if name:
                found[PRISM if name.endswith(b"prism") else LAUNCHER] = number
        return found

    def _note_memory(self) -> None:
        for name, number in self._processes().items():
            status = Path(f"/proc/{number}/status")
            if status.exists() and (found := status.read_text().partition("VmRSS:")[2].split()):
                self.resident_bytes[name].append(int(found[0]) * 1024)

    def _wait_until_caught_up(self) -> None:
        """Everything that was published is listed by the dataset, or lies in `late/`."""
        published = {_name(publication.name) for publication in schedule(self.staged, self.cohort)}

        def missing() -> set[Name]:
            return published - self._taken_up()

        wait_until(lambda: not missing(), 120, lambda: f"{sorted(missing())}\n{self._last_words()}")

    def _taken_up(self) -> set[Name]:
        version = current_version(self.store)
        rows = (
            read_episodes(self.store, version, ["participant", "segments"]).to_pylist() if version is not None else []
        )
        lines = [json.loads(line) for e in self.store.files("late/") for line in self.store.read(e.name).splitlines()]
        return {(row["participant"], file) for row in rows for file in row["segments"]} | {
            (line["participant"], line["file"]) for line in lines
        }

    def _last_words(self) -> str:
        return f"{self.events[-4:]}\n{self.log.read_text()[-3000:]}"

    def prove(self) -> None:
        self.assert_nothing_was_skipped()
        self.assert_equals_batch()

    def assert_equals_batch(self) -> None:
        """With what is open closed, the episodes and steps are those of one batch run; compacted, the bytes."""
        batch = str(self.folder / "batch")
        common = ["--as-of", AS_OF, *CUT, "--json"]
        done(command("run", "--incremental", "--final", "--input", self.live, "--output", self.output, *common))
        done(command("run", "--input", self.live, "--output", batch, *common))
        assert list(self.store.files("late/")) == []
        assert episodes(self.output, without=HISTORY_COLUMNS) == episodes(batch, without=HISTORY_COLUMNS)
        assert steps(self.output) == steps(batch)
        assert_good(self.output)
        done(command("compact", self.output))
        assert shas(self.output) == shas(batch)
        assert_good(self.output)

    def assert_nothing_was_skipped(self) -> None:
        """Every commit balances; some segments were too late, or came after their day was closed.

        How many came as revisions depends on the machine: a stream that is slow has not emitted what they join.
        """
        versions = range((current_version(self.store) or 0) + 1)
        streamed = [m for m in map(self._metadata, versions) if m.get("kind") == "streaming"]
        assert len(streamed) > 1
        assert [found for metadata in streamed if (found := metadata["imbalances"])] == []
        late = sum(metadata["account"].get("segments.late", 0) for metadata in streamed)
        away = [publication for publication in schedule(self.staged, self.cohort) if publication.way == AWAY]
        assert late >= len(away) > 0

    def _metadata(self, version: int) -> dict[str, Any]:
        return metadata_of(self.store, version)


def _name(path: str) -> Name:
    name = SegmentName.parse(path)
    return name.participant, name.file


def done(process: subprocess.CompletedProcess[str]) -> None:
    assert process.returncode == 0, process.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.prism
def test_streams_that_are_killed_3_times_each_equal_batch(
    gcs: GcsServer, tmp_path: Path, prism_options: list[str]
) -> None:
    _prove(tmp_path, Cohort(), prism_options, rate=600.0, kills=3)


@pytest.mark.soak
@pytest.mark.prism
@pytest.mark.timeout(7200)
def test_streams_of_an_hour_that_are_killed_100_times_each_equal_batch(
    gcs: GcsServer, tmp_path: Path, prism_options: list[str]
) -> None:
    cohort = Cohort(seed=time.time_ns() % 1_000_000, hours=60.0, back_h=50.0)
    _prove(tmp_path, cohort, prism_options, rate=60.0, kills=100)


def _prove(folder: Path, cohort: Cohort, prism_options: list[str], *, rate: float, kills: int) -> None:
    """One stream to a folder and one to gs://, at once: for most of the time a stream waits."""
    staged = stage(folder / "staged", cohort)
    trials = []
    for name, url in {"folder": str(folder), "gs": "gs://lake"}.items():
        (folder / name).mkdir()
        trials.append(Trial(cohort, staged, folder / name, url, prism_options, rate, kills))
    with ThreadPoolExecutor(len(trials)) as pool:
        list(pool.map(Trial.run, trials))
    for trial in trials:
        print(json.dumps({"place": trial.place, "seed": cohort.seed, "largest_mb": _largest_mb(trial)}))
    with ThreadPoolExecutor(len(trials)) as pool:
        list(pool.map(Trial.prove, trials))


def _largest_mb(trial: Trial) -> dict[str, list[int]]:
    """The largest memory of the processes in each tenth of the time: whether it grows."""
    return {
        name: [max(sizes[len(sizes) * i // 10 : len(sizes) * (i + 1) // 10], default=0) // 1_000_000 for i in range(10)]
        for name, sizes in trial.resident_bytes.items()
    }
