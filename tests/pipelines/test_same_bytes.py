"""The same input gives the same dataset, whatever runs it, in whatever order and pieces."""

from __future__ import annotations

import hashlib
import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from inputs import CUT_COLUMNS, PLACE_COLUMNS, assert_good, episodes, options, places, publish_all, run, shas, steps

from bench import same_bytes
from taskreel.io import dataset as datasets
from taskreel.io.stores import Entry, LocalStore, open_store
from taskreel.pipelines import launch as launching
from taskreel.pipelines.episodes import Launch, episodes_pipeline


def _assert_the_same(output: Path, plain: Path) -> None:
    assert shas(output) == shas(plain)
    assert episodes(output) == episodes(plain)
    assert_good(output)


def test_the_input_has_everything_that_the_comparisons_are_about(plain: Path) -> None:
    dataset = assert_good(plain)
    rows = dataset.episodes()
    assert set(rows.column("split").to_pylist()) == {"train", "validation", "test"}
    assert {"episode", "residue"} == set(rows.column("kind").to_pylist())
    assert {"marker", "session"} <= set(rows.column("cut_reason").to_pylist())
    assert len(dataset.shards("train")) >= 2
    assert {"annalaptop", "annatablet"} <= set(dataset.steps(["recording"]).column(0).to_pylist())


def test_a_second_run_gives_the_same_bytes(people: Path, plain: Path, tmp_path: Path) -> None:
    outcome = run(people, tmp_path / "out")
    _assert_the_same(tmp_path / "out", plain)
    assert outcome.runner == "DirectRunner (FnApiRunner, in_memory, 1 worker)"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_runner_of_this_machine_gives_the_same_bytes(tmp_path: Path) -> None:
    results = same_bytes.compare(tmp_path, once=True)
    assert same_bytes.faults(results) == []
    assert len({result.sha256 for result in results}) == 1
    names = {result.runner for result in results}
    assert {"DirectRunner, 2 processes", "FnApiRunner, small bundles", "job service, workers apart"} <= names
    if os.environ.get("CI"):
        assert {"Prism, worker apart", "Dataflow, rehearsed on Prism, 3 workers"} <= names


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_order_in_which_files_are_listed_does_not_matter(
    people: Path, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    dice, sorted_files, sorted_folders = random.Random(seed), LocalStore.files, LocalStore.folders
    listed: list[list[Entry]] = []

    def shuffled_files(store: LocalStore, prefix: str = "") -> Iterator[Entry]:
        listed.append(_shuffled(dice, sorted_files(store, prefix)))
        return iter(listed[-1])

    monkeypatch.setattr(LocalStore, "files", shuffled_files)
    monkeypatch.setattr(LocalStore, "folders", lambda store, prefix: _shuffled(dice, sorted_folders(store, prefix)))
    run(people, tmp_path / "out")
    assert any(entries != sorted(entries) for entries in listed)
    monkeypatch.undo()
    _assert_the_same(tmp_path / "out", plain)


def _shuffled(dice: random.Random, things: Any) -> list[Any]:
    found = list(things)
    dice.shuffle(found)
    return found


@pytest.mark.parametrize("batch", [1, 3])
def test_the_number_of_spans_that_are_built_together_does_not_matter(
    people: Path, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    batches = beam.BatchElements
    monkeypatch.setattr(beam, "BatchElements", lambda **_: batches(min_batch_size=batch, max_batch_size=batch))
    run(people, tmp_path / "out")
    monkeypatch.undo()
    _assert_the_same(tmp_path / "out", plain)


def test_bundles_that_are_run_several_times_give_the_same_bytes(people: Path, plain: Path, tmp_path: Path) -> None:
    there, chosen = places(people, tmp_path / "out"), options()
    with beam.Pipeline(FnApiRunner(bundle_repeat=2)) as pipeline:
        episodes_pipeline(pipeline, there, chosen, Launch("repeated", None, "FnApiRunner with repeated bundles"))
    _assert_the_same(tmp_path / "out", plain)


def test_the_number_of_requests_under_way_does_not_matter(people: Path, plain: Path, tmp_path: Path) -> None:
    launching.launch(places(people, tmp_path / "out"), options(prefetch=0), [])
    _assert_the_same(tmp_path / "out", plain)


@pytest.mark.parametrize("minutes", [0.2, 0.9, 600.0])
def test_segments_that_cut_the_same_events_differently_give_the_same_episodes_and_steps(
    plain: Path, tmp_path: Path, minutes: float
) -> None:
    names = publish_all(tmp_path / "in", minutes=minutes)
    run(tmp_path / "in", tmp_path / "out")
    assert len(names) != len(_segments(plain))
    assert steps(tmp_path / "out") == steps(plain)
    without = (*CUT_COLUMNS, *PLACE_COLUMNS)
    assert episodes(tmp_path / "out", without) == episodes(plain, without)
    assert_good(tmp_path / "out")


def _segments(output: Path) -> set[str]:
    return {name for row in episodes(output) for name in row["segments"]}


def test_the_pictures_in_the_shards_are_the_pictures_that_were_captured(people: Path, plain: Path) -> None:
    images = datasets.open(str(plain)).steps(["image", "image_hash"]).to_pylist()
    seen = {row["image_hash"]: row["image"]["bytes"] for row in images if row["image_hash"]}
    assert len(seen) >= 10
    assert all(hashlib.sha256(content).hexdigest().startswith(name) for name, content in seen.items())
    segments = b"".join(open_store(str(people)).read(entry.name) for entry in open_store(str(people)).files("segments"))
    assert all(content in segments for content in seen.values())


def test_the_dataset_says_which_runner_made_it(people: Path, tmp_path: Path) -> None:
    outcome = run(people, tmp_path / "out", "--runner=DirectRunner", "--direct_num_workers=1")
    report = datasets.open(str(tmp_path / "out")).report()
    assert report["runner"] == outcome.runner == outcome.metadata["runner"]
    assert "FnApiRunner" in outcome.runner


def test_the_direct_runner_asks_nothing_of_the_network(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def noted_connect(sock: socket.socket, address: Any) -> None:
        asked.append(address)
        connect(sock, address)

    def noted_look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        asked.append(host)
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", noted_connect)
    monkeypatch.setattr(socket, "getaddrinfo", noted_look_up)
    run(people, tmp_path / "out")
    assert asked == []
