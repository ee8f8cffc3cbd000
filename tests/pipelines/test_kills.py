"""A run that is killed at any instant leaves the dataset as it was or whole; the next run finishes it."""

from __future__ import annotations

import json
import random
import re
import time
from pathlib import Path

import pytest
import warm
from inputs import BEN, assert_good, copy_of, files, run, run_args, shas
from spool_files import contents

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


def _undisturbed_s(people: Path, output: Path) -> tuple[float, float]:
    """When an undisturbed run first touches its output, and when it ends."""
    warm.warm_up()
    began_s, touched_s = time.monotonic(), 0.0
    process = warm.start(*run_args(people, output))
    while process.is_alive():
        if not touched_s and any(True for _ in files(output)):
            touched_s = time.monotonic() - began_s
        time.sleep(0.002)
    assert process.exitcode == 0
    return touched_s, time.monotonic() - began_s


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
    history, killed = [], 0
    for number in range(kills):
        output = folder / f"out{number}"
        if number % 2:
            copy_of(older, output)
        earliest_s = touched_s * 0.9 if number % 4 < 2 else 0.0
        instant_s = dice.uniform(earliest_s, ends_s)
        found = contents(output)
        killed += warm.kill_after(instant_s, *run_args(people, output))
        state = _state(output)
        history.append(f"{instant_s:.3f} s: {state}")
        if number % 2:
            assert shas(output, 0) == before, history
            if state == "version 0":
                assert _faults_but_the_card(output) == [], history
        if state == f"version {number % 2}":
            assert shas(output) == shas(plain), history
            assert _faults_but_the_card(output) == [], history
        if number > 1 and contents(output) == found:
            continue  # as if it had not begun; the first two runs show that this is well
        run(people, output)
        assert shas(output) == shas(plain), history
        assert_good(output)
        assert _surprises(output) == [], history
    assert killed, history
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
