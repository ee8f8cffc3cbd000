"""The estimate of a day, against one that was made by hand."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from taskreel.__main__ import app
from taskreel.pipelines.planning import START_H, Workload, estimate

DAY = Workload(people=10_000, hours=10)


def test_the_day_that_the_project_is_for() -> None:
    found = estimate(DAY, deadline_h=8)
    assert found.input_bytes == 1.2e12
    assert found.segments == 1_200_000
    assert found.vcpu_hours == pytest.approx(1.2e12 / 50e6 / 3600)  # 6.67
    assert found.workers == 1, "two cores, in hours"
    assert found.wall_hours == pytest.approx(0.1 + 6.667 / 2, abs=0.01)
    # 3.433 h of 2 cores, 8 GB and 25 GB; 4.8 GB shuffled; 4.8 M reads and 1.2 M writes
    assert found.run_usd == pytest.approx(
        {"cores": 0.3845, "memory": 0.0977, "disks": 0.00464, "shuffle": 0.0528, "requests": 7.92}, rel=0.01
    )
    assert found.storage_usd_month == pytest.approx(2376 * 30 * 0.02, rel=0.001)


@given(st.floats(0.2, 24), st.integers(1, 100_000), st.floats(0.1, 24))
def test_it_ends_within_the_deadline_and_with_no_worker_too_many(deadline_h: float, people: int, hours: float) -> None:
    found = estimate(Workload(people, hours), deadline_h=deadline_h)
    assert found.wall_hours <= deadline_h + 1e-9
    fewer = found.workers - 1
    assert fewer == 0 or START_H + found.vcpu_hours / (2 * fewer) > deadline_h - 1e-9
    assert math.isclose(found.total_run_usd, sum(found.run_usd.values()))


def test_the_command() -> None:
    shown = CliRunner().invoke(app, ["plan", "--people", "10000", "--hours", "10", "--json"])
    assert json.loads(shown.stdout)["workers"] == 1
    assert CliRunner().invoke(app, ["plan", "--people", "10000", "--hours", "10"]).exit_code == 0
    for wrong in (
        ["--deadline", "1m"],
        ["--deadline", "soon"],
        ["--prices", '{"gold": 1}'],
        ["--prices", "["],
        ["--prices", '{"vcpu_hour": "a"}'],
    ):
        assert CliRunner().invoke(app, ["plan", "--people", "1", "--hours", "1", *wrong]).exit_code == 2


def test_prices_that_are_no_json_are_said_to_be_none() -> None:
    done = CliRunner().invoke(app, ["plan", "--people", "1", "--hours", "1", "--prices", "prices.json"])
    assert "--prices prices.json: is no JSON" in done.stderr
