"""Watch: each way in which a run can end, what is said of the dataset, what monitors get, and how it stops."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from inputs import ANNA, AS_OF, ROOT, Desk, copy_of, grant, publish_people, run, taskreel

from taskreel.capture.segmenter import publish, segments
from taskreel.io import dataset as datasets
from taskreel.io.consent import ConsentRecord
from taskreel.io.stores import open_store
from taskreel.io.times import us_from_iso
from taskreel.pipelines.freshness import Backlog, State, state_of
from taskreel.pipelines.telemetry import Telemetry, served
from taskreel.pipelines.watch import Cycle, Health, WatchOptions, facts, line, watch

NEVER = threading.Event()
GOOD_CYCLE = Cycle("nothing_new", 1.0, state=State(20_000_000, Backlog(3, 500), 7, 15_000_000, 8_000_000))


def script(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def prints(new: bool) -> list[str]:
    return script(f"print('something else'); print('{json.dumps({'new': new})}')")


def one_cycle(command: list[str], tmp_path: Path) -> Cycle:
    options = WatchOptions(str(tmp_path / "in"), str(tmp_path / "out"), cycles=1)
    return watch(command, options, NEVER, ())


@pytest.mark.parametrize(
    ("command", "outcome", "error", "is_good"),
    [
        (prints(True), "committed", "", True),
        (prints(False), "nothing_new", "", True),
        (script("import sys; sys.exit('taskreel: broken')"), "failed", "broken", False),
        (script("import sys; print('taskreel: lost', file=sys.stderr); sys.exit(3)"), "lost_race", "lost", True),
        (
            script("import sys; print('taskreel: no such option', file=sys.stderr); sys.exit(2)"),
            "bad_use",
            "no such option",
            False,
        ),
        (script("import os; os.kill(os.getpid(), 9)"), "failed", "killed by signal 9", False),
    ],
)
def test_each_way_in_which_a_run_can_end(
    command: list[str], outcome: str, error: str, is_good: bool, tmp_path: Path
) -> None:
    cycle = one_cycle(command, tmp_path)
    assert (cycle.outcome, cycle.error, cycle.is_good) == (outcome, error, is_good)


def test_it_goes_on_after_failures_and_lost_races_but_not_after_a_bad_first_run(tmp_path: Path) -> None:
    turns = tmp_path / "turns"
    turns.write_text("")
    command = script(
        f"""
import pathlib, sys
file = pathlib.Path({str(turns)!r})
file.write_text(file.read_text() + "x")
codes = [1, 3, 2, 0]
print('{{"new": true}}')
sys.exit(codes[len(file.read_text()) - 1])
"""
    )
    seen: list[Cycle] = []
    options = WatchOptions(str(tmp_path / "in"), str(tmp_path / "out"), every_s=0.01, cycles=4)
    watch(command, options, NEVER, [seen.append])
    assert [cycle.outcome for cycle in seen] == ["failed", "lost_race", "bad_use", "committed"]
    seen.clear()
    assert watch(script("raise SystemExit(2)"), options, NEVER, [seen.append]).outcome == "bad_use"
    assert len(seen) == 1


def test_runs_begin_every_so_often(tmp_path: Path) -> None:
    began: list[float] = []
    options = WatchOptions(str(tmp_path / "in"), str(tmp_path / "out"), every_s=0.5, cycles=3)
    watch(prints(False), options, NEVER, [lambda cycle: began.append(time.monotonic() - cycle.run_s)])
    gaps = [after - before for before, after in pairwise(began)]
    assert all(0.4 < gap < 2 for gap in gaps)


@pytest.mark.parametrize("is_running", [True, False])
def test_it_stops_during_a_run_and_between_two(is_running: bool, tmp_path: Path) -> None:
    stopped = threading.Event()
    script_of_run = f"import time; time.sleep(600)  # {tmp_path}"
    command = script(script_of_run) if is_running else prints(False)
    options = WatchOptions(str(tmp_path / "in"), str(tmp_path / "out"), every_s=600.0)
    threading.Timer(1.0, stopped.set).start()
    began_s = time.monotonic()
    assert watch(command, options, stopped, ()).outcome == "stopped"
    assert time.monotonic() - began_s < 30
    assert not any(script_of_run.encode() in path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline"))


def test_two_watches_of_one_dataset_leave_each_other_alone(tmp_path: Path) -> None:
    options = WatchOptions(str(tmp_path / "in"), str(tmp_path / "out"), cycles=1)
    long: list[Cycle] = []
    command = script("import time; time.sleep(3); print('{\"new\": true}')")
    thread = threading.Thread(target=watch, args=(command, options, NEVER, [long.append]))
    thread.start()
    watch(prints(False), options, NEVER, ())
    thread.join()
    assert [cycle.outcome for cycle in long] == ["committed"]


def test_a_store_that_is_away_makes_it_unhealthy_and_does_not_end_it(tmp_path: Path) -> None:
    (tmp_path / "out" / "episodes" / "_delta_log").mkdir(parents=True)
    (tmp_path / "out" / "episodes" / "_delta_log" / f"{0:020d}.json").write_text("no log\n")
    cycle = one_cycle(prints(False), tmp_path)
    assert (cycle.is_good, cycle.state, bool(cycle.error)) == (False, None, True)


# What it says of a dataset


def test_the_state_before_there_is_anything(tmp_path: Path) -> None:
    state = state_of(str(tmp_path / "in"), str(tmp_path / "out"), 48.0)
    assert (state.backlog, state.version, state.lag_s, state.commit_age_s) == (Backlog(), None, None, None)


def test_the_state_before_the_first_commit_has_all_in_the_backlog(people: Path, tmp_path: Path) -> None:
    state = state_of(str(people), str(tmp_path / "out"), 48.0)
    sizes = [entry.size_bytes for entry in open_store(str(people)).files("segments/")]
    assert state.backlog == Backlog(len(sizes), sum(sizes))


def test_the_state_of_a_dataset(people: Path, plain: Path, tmp_path: Path) -> None:
    state = state_of(str(people), str(plain), 48.0)
    ends = datasets.open(str(plain)).episodes()["end_us"].to_pylist()
    assert state.backlog == Backlog()
    assert (state.version, state.newest_event_us) == (0, max(ends))
    assert state.lag_s == (state.now_us - max(ends)) / 1e6
    assert state.commit_age_s is not None
    assert 0 <= state.commit_age_s < 86_400  # as old as the fixture, which a slow machine made long ago


def test_what_was_published_since_is_backlog(people: Path, tmp_path: Path) -> None:
    more = copy_of(people, tmp_path / "people")
    run(more, tmp_path / "out")
    desk = Desk("pnew", "pc", "pnew", us_from_iso(AS_OF)).work(0, 1).work(200, 2).recording()
    names = publish(open_store(str(more)), segments(desk.header, desk.events, minutes=2))
    sizes = [(more / str(name)).stat().st_size for name in names]
    assert state_of(str(more), str(tmp_path / "out"), 48.0).backlog == Backlog(len(sizes), sum(sizes))


def test_what_the_runs_do_not_select_is_no_backlog(people: Path, tmp_path: Path) -> None:
    run(people, tmp_path / "out", participants=(ANNA,))
    assert state_of(str(people), str(tmp_path / "out"), 24.0 * 365).backlog == Backlog()


def test_dead_letters_are_no_backlog(people: Path, tmp_path: Path) -> None:
    more = copy_of(people, tmp_path / "people")
    grant(more, ConsentRecord("other", "nobody"))
    desk = Desk("pnew", "pc", "pnew", 1_767_603_600_000_000).work(0, 1).recording()
    assert publish(open_store(str(more)), segments(desk.header, desk.events, minutes=60))
    (more / "segments/v1/day=2026-01-05/notes.txt").write_text("?")
    run(more, tmp_path / "out")
    assert state_of(str(more), str(tmp_path / "out"), 48.0).backlog == Backlog()


def test_a_cycle_as_a_line_and_as_json() -> None:
    assert line(GOOD_CYCLE) == "nothing new in 1.0 s; lag 12 s; backlog 3 segments (0.0 MB); version 7, 5 s old"
    found = facts(GOOD_CYCLE)
    assert (found["lag_s"], found["backlog"], found["version"]) == (12.0, {"segments": 3, "bytes": 500}, 7)
    assert found["newest_event"] == "1970-01-01T00:00:08Z"
    assert line(Cycle("failed", 2.0, "broken")) == "failed in 2.0 s; broken"


# Monitors


def test_health_is_of_the_last_cycle_and_of_its_age() -> None:
    health = Health(every_s=10)
    assert health.reason(0) == "no run has ended yet"
    health.ended(GOOD_CYCLE, 100)
    assert [health.reason(now_s) for now_s in (100, 130, 131)] == ["", "", "no run has ended for 31 s"]
    health.ended(replace(GOOD_CYCLE, outcome="failed", error="broken"), 140)
    assert health.reason(141) == "failed: broken"
    health.ended(replace(GOOD_CYCLE, outcome="lost_race"), 150)
    assert health.reason(151) == ""


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_what_monitors_get() -> None:
    telemetry = Telemetry(every_s=60)
    with served(telemetry, 0) as port:
        assert get(port, "/healthz") == (503, "no run has ended yet\n")
        telemetry.ended(GOOD_CYCLE)
        assert get(port, "/healthz") == (200, "good\n")
        status, text = get(port, "/metrics")
        assert status == 200
        assert get(port, "/other")[0] == 404
    values = dict(row.rsplit(" ", 1) for row in text.splitlines() if not row.startswith("#"))
    assert float(values["taskreel_lag_seconds"]) == 12
    assert float(values["taskreel_backlog_segments"]) == 3
    assert float(values["taskreel_backlog_bytes"]) == 500
    assert float(values["taskreel_dataset_version"]) == 7
    assert float(values["taskreel_last_commit_timestamp_seconds"]) == 15
    assert abs(float(values["taskreel_last_success_timestamp_seconds"]) - time.time()) < 60
    assert float(values['taskreel_runs_total{outcome="nothing_new"}']) == 1
    assert float(values['taskreel_runs_total{outcome="failed"}']) == 0
    assert float(values["taskreel_run_seconds_count"]) == 1


# The command


@contextmanager
def started(*args: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        taskreel("watch", *args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def lines(process: subprocess.Popen[str]) -> Iterator[dict[str, object]]:
    assert process.stdout is not None
    return (json.loads(text) for text in process.stdout)


def test_a_first_run_that_is_badly_used_ends_the_command(tmp_path: Path) -> None:
    with started("--input", str(tmp_path / "none"), "--output", str(tmp_path / "out")) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "there is no folder" in err.splitlines()[-1]


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with started("--input", str(tmp_path), "--output", str(tmp_path / "out"), "--port", port) as process:
            _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert f"--port {port}: cannot be used" in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_takes_up_what_comes_and_ends_by_a_signal(number: signal.Signals, tmp_path: Path) -> None:
    publish_people(tmp_path / "in")
    with started(
        "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--every", "1s", "--json", "--port", "0"
    ) as process:
        assert process.stderr is not None
        port = int(process.stderr.readline().rsplit(":", 1)[1].split("/")[0])
        said = lines(process)
        first = next(said)
        assert (first["outcome"], first["version"], first["backlog"]) == ("committed", 0, {"segments": 0, "bytes": 0})
        assert get(port, "/healthz")[0] == 200
        assert next(said)["outcome"] == "nothing_new"
        desk = Desk("pnew", "pc", "pnew", us_from_iso(AS_OF)).work(0, 1).work(200, 2).recording()
        publish(open_store(str(tmp_path / "in")), segments(desk.header, desk.events, minutes=2))
        grant(tmp_path / "in", ConsentRecord("c-pnew", "pnew", regions=("us",)))
        following = next(cycle for cycle in said if cycle["version"] != 0)
        assert (following["outcome"], following["version"]) == ("committed", 1)
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode == 0


def resident_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


@pytest.mark.slow
def test_memory_stays_as_it_is_over_many_cycles(people: Path, plain: Path) -> None:
    sizes = []
    for number in range(400):
        state_of(str(people), str(plain), 48.0)
        if number >= 100:
            sizes.append(resident_bytes())
    assert sum(sizes[-50:]) / 50 - sum(sizes[:50]) / 50 < 4_000_000
