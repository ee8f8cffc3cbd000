"""A run that is killed at any instant leaves the dataset as it was or whole; the next run finishes it."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from inputs import BEN, ROOT, assert_good, copy_of, files, run, run_args, shas, taskreel

from taskreel.io import dataset as datasets
from taskreel.io.card import CARD
from taskreel.io.stores import LocalStore
from taskreel.io.tables import commit_of, published_version
from taskreel.io.verify import faults
from taskreel.pipelines import summary

EXPECTED_NAMES = re.compile(
    r"README\.md|(episodes|steps)/_delta_log/\d{20}\.json"
    r"|episodes/\d{4}-\d{2}-\d{2}-\d{5}-[0-9a-f]{12}\.parquet"
    r"|steps/(train|validation|test)-\d{5}-of-\d{5}-[0-9a-f]{12}\.parquet"
    r"|dead-letter/[0-9a-f]{12}\.jsonl"
)


def _start(people: Path, output: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        taskreel(*run_args(people, output)),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _undisturbed_s(people: Path, output: Path) -> tuple[float, float]:
    """When an undisturbed run first touches its output, and when it ends."""
    began_s, touched_s = time.monotonic(), 0.0
    process = _start(people, output)
    while process.poll() is None:
        if not touched_s and any(True for _ in files(output)):
            touched_s = time.monotonic() - began_s
        time.sleep(0.002)
    assert process.returncode == 0
    return touched_s, time.monotonic() - began_s


def _kill_after(people: Path, output: Path, instant_s: float) -> bool:
    """Whether the run was still alive."""
    process = _start(people, output)
    try:
        process.wait(instant_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def _surprises(output: Path) -> list[str]:
    return [name for name in files(output) if not EXPECTED_NAMES.fullmatch(name)]


def _state(output: Path) -> str:
    """What a reader finds: no dataset, or which version, if it is published."""
    commit = commit_of(LocalStore(str(output)))
    if commit is None:
        return "none"
    is_published = published_version(LocalStore(str(output))) == commit.version
    return f"version {commit.version}" + ("" if is_published else ", not published")


def _faults_but_the_card(output: Path) -> list[str]:
    """The card is replaced last: a kill just before leaves the old one until the next run or `verify --repair`."""
    return [fault for fault in faults(datasets.open(str(output))) if not fault.startswith(CARD)]


def _assert_survives_kills(people: Path, plain: Path, folder: Path, kills: int, seed: int) -> None:
    """Kill runs onto new outputs and onto an older dataset in turn, half of the time where most is written."""
    dice = random.Random(seed)
    touched_s, ends_s = _undisturbed_s(people, folder / "undisturbed")
    older = folder / "older"
    run(people, older, participants=(BEN,))
    before = shas(older)
    history = []
    for number in range(kills):
        output = folder / f"out{number}"
        if number % 2:
            copy_of(older, output)
        earliest_s = touched_s * 0.9 if number % 4 < 2 else 0.0
        instant_s = dice.uniform(earliest_s, ends_s)
        _kill_after(people, output, instant_s)
        state = _state(output)
        history.append(f"{instant_s:.3f} s: {state}")
        if number % 2:
            assert shas(output, 0) == before, history
            if state == "version 0":
                assert _faults_but_the_card(output) == [], history
        if state == f"version {number % 2}":
            assert shas(output) == shas(plain), history
            assert _faults_but_the_card(output) == [], history
        run(people, output)
        assert shas(output) == shas(plain), history
        assert_good(output)
        assert _surprises(output) == [], history
    print(json.dumps(history, indent=1))


def test_an_undisturbed_run_leaves_nothing_but_the_dataset(people: Path, tmp_path: Path) -> None:
    _undisturbed_s(people, tmp_path / "out")
    assert _surprises(tmp_path / "out") == []
    assert summary.facts(assert_good(tmp_path / "out"))["imbalances"] == []


@pytest.mark.slow
def test_a_run_killed_at_20_instants_leaves_the_dataset_as_it_was_or_whole(
    people: Path, plain: Path, tmp_path: Path
) -> None:
    _assert_survives_kills(people, plain, tmp_path, kills=20, seed=20260105)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_run_killed_at_200_instants_leaves_the_dataset_as_it_was_or_whole(
    people: Path, plain: Path, tmp_path: Path
) -> None:
    _assert_survives_kills(people, plain, tmp_path, kills=200, seed=time.time_ns() % 1_000_000)
