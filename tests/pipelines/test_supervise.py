"""Supervise: what fails is started again, what is hopeless is given up, and nothing that a job started outlives it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inputs import ROOT, taskreel

from taskreel.pipelines.processes import family, sweep
from taskreel.pipelines.supervise import RestartOptions, Restarts

SUPERVISOR = """
import json, sys
from pathlib import Path
from taskreel.pipelines.supervise import RestartOptions, supervise

state, options, *command = sys.argv[1:]
options = RestartOptions(**json.loads(options))
sys.exit(supervise(command, options, Path(state), lambda event: print(json.dumps(event), flush=True)))
"""
"""A supervisor of any command, as a process."""

JOB = """
import subprocess, sys, time
sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
subprocess.Popen(sleeper)                           # in the job's group, as Prism is
subprocess.Popen(sleeper, start_new_session=True)   # and out of it
print("ready", flush=True)
time.sleep(600)
"""
"""A job that starts two processes and stays."""

QUICK = {"backoff_s": 0.02, "longest_backoff_s": 0.05, "grace_s": 1.0}


STREAM = """
import os, pathlib
import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.periodicsequence import PeriodicImpulse

def tick(_):
    pathlib.Path("ticks", str(os.getpid())).touch()

os.makedirs("ticks", exist_ok=True)
pipeline = beam.Pipeline(options=PipelineOptions([{options}, "--streaming"]))
pipeline | PeriodicImpulse(fire_interval=1) | beam.Map(tick)
pipeline.run().wait_until_finish()
"""
"""A job without end on Prism. The launcher, in which the SDK worker is, leaves a file of its number when at work."""


class Supervisor:
    """A supervisor as a process, and what it has reported so far."""

    def __init__(self, folder: Path, script: str, **options: Any) -> None:
        self.state = folder / "state" / "job.jsonl"
        args = [str(self.state), json.dumps({**QUICK, **options}), sys.executable, "-c", script]
        self.process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            cwd=folder,
        )

    @property
    def mark(self) -> str:
        return str(self.state)

    @property
    def events(self) -> list[dict[str, Any]]:
        lines = self.state.read_text().splitlines() if self.state.exists() else []
        return [json.loads(text) for text in lines]

    def named(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == name]

    def family_of(self, count: int) -> list[int]:
        """All that the job has started, once there are so many of them."""
        wait_until(lambda: len(family(self.mark)) == count)
        return family(self.mark)

    def ended(self) -> tuple[int, list[str]]:
        """Its exit code, and the names of all events."""
        code = self.process.wait(30)
        return code, [event["event"] for event in self.events]


def wait_until(condition: Callable[[], object], timeout_s: float = 30.0) -> None:
    limit_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < limit_s, "waited in vain"
        time.sleep(0.02)


Start = Callable[..., Supervisor]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts supervisors in one folder; nothing of them outlives the test."""
    begun: list[Supervisor] = []

    def one(script: str, **options: Any) -> Supervisor:
        begun.append(Supervisor(tmp_path, script, **options))
        return begun[-1]

    yield one
    for supervisor in begun:
        supervisor.process.kill()
        supervisor.process.wait()
        sweep(supervisor.mark)  # first: orphans hold the pipes open
        supervisor.process.communicate()


def test_a_job_that_fails_is_started_again_until_it_ends_well(start: Start, tmp_path: Path) -> None:
    counter = tmp_path / "tries"
    script = f"""
import pathlib, sys
file = pathlib.Path({str(counter)!r})
tries = int(file.read_text() or 0) + 1 if file.exists() else 1
file.write_text(str(tries))
sys.exit(0 if tries == 4 else 1)
"""
    supervisor = start(script)
    assert supervisor.ended() == (0, ["started", "failed"] * 3 + ["started", "ended"])
    assert counter.read_text() == "4"


def test_it_gives_up_at_the_limit(start: Start) -> None:
    supervisor = start("raise SystemExit(1)", max_failures=3)
    assert supervisor.ended() == (1, ["started", "failed", "started", "failed", "started", "given_up"])


def test_bad_use_is_not_tried_again(start: Start) -> None:
    assert start("raise SystemExit(2)").ended() == (2, ["started", "ended"])


def test_nothing_survives_a_job_that_is_killed(start: Start) -> None:
    supervisor = start(JOB)
    first = supervisor.family_of(3)
    os.kill(supervisor.named("started")[0]["pid"], signal.SIGKILL)
    wait_until(lambda: len(supervisor.named("started")) == 2)
    assert supervisor.named("failed")[0]["exit_code"] == -signal.SIGKILL
    assert not set(first) & set(supervisor.family_of(3))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_job_and_all_that_it_started(start: Start, number: signal.Signals) -> None:
    supervisor = start(JOB)
    supervisor.family_of(3)
    supervisor.process.send_signal(number)
    code, events = supervisor.ended()
    assert (code, events, family(supervisor.mark)) == (0, ["started", "stopped"], [])


def test_a_job_that_does_not_listen_is_killed_after_a_grace(start: Start) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    supervisor = start(deaf, grace_s=0.3)
    supervisor.family_of(1)
    time.sleep(0.5)  # until it has become deaf
    supervisor.process.terminate()
    assert supervisor.ended() == (0, ["started", "stopped"])
    assert supervisor.named("stopped")[0]["exit_code"] == -signal.SIGKILL


def test_a_signal_during_a_pause_ends_it_at_once(start: Start) -> None:
    supervisor = start("raise SystemExit(1)", backoff_s=600.0, longest_backoff_s=600.0)
    wait_until(lambda: supervisor.named("failed"))
    supervisor.process.terminate()
    assert supervisor.ended() == (0, ["started", "failed", "stopped"])


def test_what_a_killed_supervisor_left_is_swept_by_the_next(start: Start) -> None:
    killed = start(JOB)
    orphans = killed.family_of(3)
    killed.process.kill()
    killed.process.wait()
    assert set(family(killed.mark)) == set(orphans)
    following = start(JOB)
    wait_until(lambda: following.named("swept") and following.named("started"))
    assert following.named("swept")[0]["processes"] == 3
    assert not set(orphans) & set(following.family_of(3))


def test_two_supervisors_do_not_keep_one_job(start: Start) -> None:
    one = start(JOB)
    one.family_of(3)
    other = start(JOB)
    assert other.process.wait(30) != 0
    assert "AlreadySupervisedError" in other.process.communicate()[1]
    assert len(one.family_of(3)) == 3


@pytest.mark.slow
@pytest.mark.prism
@pytest.mark.parametrize("victim", ["launcher", "prism", "supervisor"])
def test_nothing_of_a_job_on_prism_survives_the_death_of_any_of_its_processes(
    victim: str, start: Start, tmp_path: Path, prism_options: list[str]
) -> None:
    script = STREAM.format(options=", ".join(map(repr, prism_options)))

    def at_work(supervisor: Supervisor) -> dict[str, int]:
        """The launcher and Prism, once the job does something."""
        wait_until(lambda: supervisor.named("started"))
        launcher = supervisor.named("started")[-1]["pid"]
        wait_until(lambda: (tmp_path / "ticks" / str(launcher)).exists())
        (prism,) = set(family(supervisor.mark)) - {launcher}
        return {"launcher": launcher, "prism": prism, "supervisor": supervisor.process.pid}

    supervisor = start(script)
    before = at_work(supervisor)
    os.kill(before[victim], signal.SIGKILL)
    if victim == "supervisor":
        supervisor.process.wait()
        assert set(family(supervisor.mark)) == {before["launcher"], before["prism"]}
        supervisor = start(script)
        wait_until(lambda: supervisor.named("swept"))
    wait_until(lambda: not {before["launcher"], before["prism"]} & set(family(supervisor.mark)))
    wait_until(lambda: supervisor.named("started")[-1]["pid"] != before["launcher"])
    at_work(supervisor)
    supervisor.process.terminate()
    assert supervisor.ended()[0] == 0
    assert family(supervisor.mark) == []


def test_a_sweep_ends_nothing_of_others() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as other:
        assert sweep("a mark that nobody has") == 0
        assert other.poll() is None
        other.kill()


PAUSE_LIMITS = RestartOptions(max_failures=1000, backoff_s=1.0, longest_backoff_s=60.0, healthy_s=100.0)


@given(st.lists(st.floats(0, 200), max_size=40), st.integers(0, 9))
def test_pauses_grow_until_a_job_was_healthy(runs_s: list[float], seed: int) -> None:
    restarts, now_s, in_row = Restarts(PAUSE_LIMITS, random.Random(seed)), 0.0, 0
    for ran_s in runs_s:
        now_s += ran_s
        in_row = 0 if ran_s >= PAUSE_LIMITS.healthy_s else in_row
        pause_s = restarts.pause_s(now_s, ran_s)
        assert pause_s is not None
        assert min(60, 2**in_row) / 2 <= pause_s <= min(60, 2**in_row)
        now_s, in_row = now_s + pause_s, in_row + 1


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60), st.integers(1, 6))
def test_it_gives_up_at_so_many_failures_in_any_window(between_s: list[float], limit: int) -> None:
    options = RestartOptions(max_failures=limit, window_s=100.0)
    restarts, now_s, failed_s = Restarts(options, random.Random(0)), 0.0, []
    for step_s in between_s:
        now_s += step_s
        failed_s.append(now_s)
        recent = [when_s for when_s in failed_s if now_s - when_s < options.window_s]
        assert (restarts.pause_s(now_s, 1.0) is None) == (len(recent) >= limit)


def command(*args: str, home: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"XDG_STATE_HOME": str(home)}
    return subprocess.run(
        taskreel("supervise", *args),
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env=environment,
        check=False,
    )


def test_the_command_passes_a_bad_launch_on(tmp_path: Path) -> None:
    job = ["run", "--input", str(tmp_path / "none"), "--output", str(tmp_path / "out")]
    done = command("--json", "--", *job, home=tmp_path)
    assert done.returncode == 2
    assert [json.loads(text)["event"] for text in done.stdout.splitlines()] == ["started", "ended"]
    assert "there is no folder" in done.stderr
    states = list((tmp_path / "taskreel").iterdir())
    assert [json.loads(text)["event"] for text in states[0].read_text().splitlines()] == ["started", "ended"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--", "verify", "x"], "keeps `taskreel run` alive"),
        (["--backoff", "soon", "--", "run"], "--backoff soon: a duration is expected"),
    ],
)
def test_bad_use_of_the_command(args: list[str], said: str, tmp_path: Path) -> None:
    done = command(*args, home=tmp_path)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
