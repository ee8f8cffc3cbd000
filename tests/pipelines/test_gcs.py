"""The same runs with the input, the output or both in a bucket; and what selects a part of the input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from inputs import (
    ANNA,
    BEN,
    PEOPLE,
    TOM,
    VERA,
    assert_good,
    episodes,
    options,
    places,
    publish_all,
    run,
    run_args,
    shas,
    steps,
)
from typer.testing import CliRunner

from taskreel.__main__ import app
from taskreel.io import dataset as datasets
from taskreel.io.stores import StoreError, open_store
from taskreel.io.times import us_from_iso
from taskreel.pipelines.errors import LaunchError
from taskreel.pipelines.launch import launch
from taskreel.pipelines.summary import facts
from taskreel.rehearsal.gcs.server import Fault, GcsServer

LAKE_IN, LAKE_OUT = "gs://lake/in", "gs://lake/out"


def _publish(gcs: GcsServer, people: Path) -> None:
    for path in people.rglob("*"):
        if path.is_file():
            gcs.put("lake", f"in/{path.relative_to(people).as_posix()}", path.read_bytes())


@pytest.fixture
def lake(gcs: GcsServer, people: Path) -> GcsServer:
    """A bucket with the input in it."""
    _publish(gcs, people)
    return gcs


def test_publishing_to_a_bucket_gives_the_objects_of_a_folder(gcs: GcsServer, people: Path) -> None:
    publish_all(LAKE_IN)
    expected = {f"in/{path.relative_to(people)}": path.read_bytes() for path in people.rglob("*") if path.is_file()}
    assert {name: bytes(found.data) for name, found in gcs.objects("lake").items()} == expected


def test_a_run_in_a_bucket_gives_the_bytes_of_a_run_in_a_folder(lake: GcsServer, plain: Path) -> None:
    run(LAKE_IN, LAKE_OUT)
    assert shas(LAKE_OUT) == shas(plain)
    assert episodes(LAKE_OUT) == episodes(plain)
    assert_good(LAKE_OUT)


def test_only_the_dataset_is_left_in_the_bucket(lake: GcsServer, plain: Path) -> None:
    run(LAKE_IN, LAKE_OUT)
    names = {name.removeprefix("out/") for name in lake.objects("lake") if name.startswith("out/")}
    assert names == {path.relative_to(plain).as_posix() for path in plain.rglob("*") if path.is_file()}


def test_a_run_from_a_bucket_into_a_folder_and_back_gives_the_same(
    lake: GcsServer, people: Path, plain: Path, tmp_path: Path
) -> None:
    run(LAKE_IN, tmp_path / "out")
    run(people, LAKE_OUT)
    assert shas(tmp_path / "out") == shas(LAKE_OUT) == shas(plain)


def test_two_processes_work_on_a_bucket(lake: GcsServer, plain: Path) -> None:
    run(LAKE_IN, LAKE_OUT, "--direct_running_mode=multi_processing", "--direct_num_workers=2")
    assert shas(LAKE_OUT) == shas(plain)
    assert_good(LAKE_OUT)


@pytest.mark.parametrize(
    "faults",
    [
        [Fault("GET /.*segments", "status", status=503, times=2)],
        [Fault("GET /.*segments", "cut", times=4, after=2)],
        [Fault("(POST|PUT) /.*out", "status", status=503, times=4)],
        [Fault("POST /upload", "cut", times=2, phase="response", after=1)],
        [Fault("POST /upload", "cut", times=2, phase="request", after=4)],
        [Fault("GET /.*parquet", "bad_checksum", times=2)],
        [Fault("GET /.*_delta_log", "status", status=503, times=3)],
        [Fault("/", "status", status=503, times=5, after=20), Fault("/", "cut", times=3, after=50)],
    ],
    ids=lambda faults: " and ".join(f"{fault.match} {fault.action}" for fault in faults),
)
def test_a_store_that_fails_now_and_then_gives_the_same_dataset(
    lake: GcsServer, plain: Path, faults: list[Fault]
) -> None:
    for fault in faults:
        lake.faults.add(fault)
    run(LAKE_IN, LAKE_OUT)
    assert all(fault.fired for fault in faults)
    lake.faults.clear()
    assert shas(LAKE_OUT) == shas(plain)
    assert_good(LAKE_OUT)


def test_a_commit_whose_answer_is_lost_is_done_once(lake: GcsServer, plain: Path) -> None:
    lost = lake.faults.add(Fault("(PUT|POST) /.*out/episodes/_delta_log", "cut", phase="response"))
    outcome = run(LAKE_IN, LAKE_OUT)
    assert lost.fired == 1
    assert outcome.version == 0
    assert shas(LAKE_OUT) == shas(plain)
    assert_good(LAKE_OUT)


@pytest.mark.parametrize("output", [True, False])
def test_a_place_without_permission_is_one_clear_line(lake: GcsServer, tmp_path: Path, output: bool) -> None:
    lake.faults.add(Fault("/.*out" if output else "/.*(in/|in%2F|/o$|/o\\?)", "status", status=403, times=10_000))
    result = CliRunner().invoke(app, run_args(LAKE_IN, LAKE_OUT if output else tmp_path / "out"))
    assert result.exit_code == 2, result.output
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert "gs://lake/" in result.stderr
    assert any(word in result.stderr for word in ("403", "permission", "privileges"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("act", [lambda s: s.read("x"), lambda s: s.create("x", b"y"), lambda s: list(s.files())])
def test_a_store_without_permission_says_where_and_what_to_do(gcs: GcsServer, act: Callable[..., object]) -> None:
    gcs.faults.add(Fault("/", "status", status=403, times=100))
    with pytest.raises(StoreError, match=r"gs://lake/in.*403"):
        act(open_store(LAKE_IN))


def test_a_bucket_that_is_not_there_is_one_clear_line(gcs: GcsServer, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, run_args("gs://nowhere/in", tmp_path / "out"))
    assert result.exit_code == 2, result.output
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert "nowhere" in result.stderr


def test_an_output_in_a_bucket_that_holds_something_else_is_left_as_it_is(lake: GcsServer) -> None:
    lake.put("lake", "out/thesis.txt", b"ten years of work")
    before = lake.objects("lake")
    with pytest.raises(LaunchError, match=r"something else \(thesis.txt\)"):
        launch(places(LAKE_IN, LAKE_OUT), options(), [])
    assert lake.objects("lake") == before


# ------------------------------------------------------------------------------------------- a part of the input


@pytest.fixture(params=["folder", "bucket"])
def root(request: pytest.FixtureRequest, people: Path) -> str:
    """The input, in a folder or in a bucket."""
    if request.param == "folder":
        return str(people)
    _publish(request.getfixturevalue("gcs"), people)
    return LAKE_IN


def _participants(output: Path) -> set[str]:
    return {row["participant"] for row in episodes(output)}


def test_participants_are_chosen_by_pseudonym(root: str, tmp_path: Path, plain: Path) -> None:
    run(root, tmp_path / "out", participants=(ANNA, VERA))
    assert _participants(tmp_path / "out") == {ANNA, VERA}
    assert steps(tmp_path / "out") == steps(plain, (ANNA, VERA))
    assert_good(tmp_path / "out")


def test_from_and_until_choose_by_the_first_event_of_a_segment(root: str, tmp_path: Path) -> None:
    nine, ten, two = (us_from_iso(f"2026-01-0{day}") for day in ("5T09:00Z", "5T10:00Z", "6T14:00Z"))
    counts = []
    for number, (from_us, until_us) in enumerate([(nine, ten), (ten, two), (two, None), (nine, None)]):
        run(root, tmp_path / f"out{number}", from_us=from_us, until_us=until_us)
        counts.append(facts(assert_good(tmp_path / f"out{number}"))["segments"]["read"])
    assert _participants(tmp_path / "out0") == {ANNA, BEN, TOM}
    assert _participants(tmp_path / "out1") == {VERA}
    assert _participants(tmp_path / "out2") == {ANNA}
    assert counts[0] + counts[1] + counts[2] == counts[3] > counts[0]


@pytest.mark.parametrize(
    ("below", "expected"),
    [
        ("segments/v1/day=*", {*PEOPLE, "guest"}),
        ("segments/v1", {*PEOPLE, "guest"}),
        ("segments/v1/", {*PEOPLE, "guest"}),
        ("segments/v1/day=2026-01-06", {ANNA}),
        ("segments/v1/day=2026-01-0?", set(PEOPLE)),
        (f"segments/v1/day=*/participant={TOM}/*", {TOM}),
        (f"segments/v1/day=2026-01-05/participant={BEN}", {BEN}),
    ],
)
def test_a_glob_or_a_place_below_the_root_chooses_a_part(
    root: str, tmp_path: Path, below: str, expected: set[str]
) -> None:
    run(f"{root}/{below}", tmp_path / "out")
    assert _participants(tmp_path / "out") == expected
    assert_good(tmp_path / "out")


def test_a_dataset_in_a_bucket_can_be_moved_to_a_folder(lake: GcsServer, plain: Path, tmp_path: Path) -> None:
    run(LAKE_IN, LAKE_OUT)
    for name, found in lake.objects("lake").items():
        if name.startswith("out/"):
            path = _with_its_folder(tmp_path / name)
            path.write_bytes(bytes(found.data))
    assert datasets.open(str(tmp_path / "out")).steps() == datasets.open(str(plain)).steps()
    assert_good(tmp_path / "out")


def _with_its_folder(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
