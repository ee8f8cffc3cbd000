"""What others' readers see in a dataset, with no argument of ours; and what `verify` sees when it was harmed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import duckdb
import polars
import pytest
from inputs import (
    BEN,
    Desk,
    assert_good,
    consents,
    copy_of,
    files,
    grant,
    options,
    places,
    put,
    run,
    segment,
    shas,
)
from PIL.Image import Image
from typer.testing import CliRunner

from taskreel.__main__ import app
from taskreel.io import dataset as datasets
from taskreel.io.schemas import EPISODE_SCHEMA, SPLITS, STEP_SCHEMA
from taskreel.io.times import us_from_iso
from taskreel.pipelines.launch import launch
from taskreel.transforms.episodes import EpisodeOptions


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The library `datasets`, with a cache of its own and no way to the network."""
    import datasets as huggingface

    monkeypatch.setattr(huggingface.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(huggingface.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    huggingface.disable_progress_bars()
    return huggingface


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset of an input in which somebody looked at screens and did nothing."""
    folder = tmp_path_factory.mktemp("empty")
    desk = Desk(BEN, "pc", "still", us_from_iso("2026-01-05T09:00:00Z")).focus(0, "clock").screen(1, 30).screen(90, 31)
    recording = desk.recording()
    name, data = segment(recording.header, recording.events)
    put(folder / "in", str(name), data)
    grant(folder / "in", *consents())
    run(folder / "in", folder / "out")
    return folder / "out"


def _data_files(output: Path, *splits: str) -> dict[str, list[str]]:
    dataset = datasets.open(str(output))
    return {s: [str(output / "steps" / file.path) for file in dataset.shards(s)] for s in splits or SPLITS}


def _assert_pictures(rows: list[dict[str, Any]], output: Path, split: str) -> None:
    expected = datasets.open(str(output)).steps(["action", "text", "image_hash"], split).to_pylist()
    assert [(row["action"], row["text"]) for row in rows] == [(row["action"], row["text"]) for row in expected]
    assert [row["image"] is not None for row in rows] == [row["image_hash"] is not None for row in expected]
    seen = [row["image"] for row in rows if row["image"] is not None]
    assert seen
    assert all(isinstance(image, Image) and image.size == (320, 200) and image.getpixel((319, 199)) for image in seen)


@pytest.mark.parametrize("split", SPLITS)
def test_datasets_gives_pictures_with_no_argument_of_ours(plain: Path, hub: Any, split: str) -> None:
    loaded = hub.load_dataset("parquet", data_files=_data_files(plain))[split]
    _assert_pictures(list(loaded), plain, split)


@pytest.mark.parametrize("split", SPLITS)
def test_datasets_streams_pictures_with_no_argument_of_ours(plain: Path, hub: Any, split: str) -> None:
    streamed = hub.load_dataset("parquet", data_files=_data_files(plain), split=split, streaming=True)
    _assert_pictures(list(streamed), plain, split)


def test_datasets_finds_the_current_files_by_the_card(plain: Path, hub: Any) -> None:
    loaded = hub.load_dataset(str(plain))
    assert {split: rows.num_rows for split, rows in loaded.items()} == {
        split: sum(file.rows for file in datasets.open(str(plain)).shards(split)) for split in SPLITS
    }
    _assert_pictures(list(loaded["train"]), plain, "train")
    episodes = hub.load_dataset(str(plain), "episodes", split="train")
    assert episodes.num_rows == datasets.open(str(plain)).episodes().num_rows


def test_the_card_leads_past_files_of_older_versions(people: Path, plain: Path, hub: Any, tmp_path: Path) -> None:
    output = copy_of(plain, tmp_path / "out")
    run(people, output, participants=(BEN,))
    loaded = hub.load_dataset(str(output))
    assert set(loaded) == {"train"}
    assert set(loaded["train"]["participant"]) == {BEN}


def test_duckdb_reads_the_files_of_both_tables(plain: Path) -> None:
    dataset = assert_good(plain)
    shards = [file for one in _data_files(plain).values() for file in one]
    parts = [str(path) for path in (plain / "episodes").glob("*.parquet")]
    counts = (
        duckdb.connect().execute("select action, count(*) from read_parquet(?) group by action", [shards]).fetchall()
    )
    expected = dataset.steps(["action"]).column("action").value_counts().to_pylist()
    assert dict(counts) == {row["values"]: row["counts"] for row in expected}
    joined = (
        duckdb.connect()
        .execute(
            "select count(*), count(s.image.bytes) from read_parquet(?) s join read_parquet(?) e using (episode_id)",
            [shards, parts],
        )
        .fetchone()
    )
    images = dataset.steps(["image_hash"]).column("image_hash")
    assert joined == (len(images), len(images) - images.null_count)


def test_polars_opens_both_tables_as_delta_tables(plain: Path) -> None:
    dataset = assert_good(plain)
    episodes, steps = polars.read_delta(str(plain / "episodes")), polars.read_delta(str(plain / "steps"))
    assert episodes.columns == EPISODE_SCHEMA.names
    assert steps.columns == STEP_SCHEMA.names
    assert episodes.sort("participant", "start_us", "episode_id").to_dicts() == dataset.episodes().to_pylist()
    expected = dataset.steps(["episode_id", "step", "action", "text", "image"]).to_pylist()
    keys = ("episode_id", "step", "action", "text", "image")
    assert _sorted(steps.select(keys).to_dicts()) == _sorted(expected)


def _sorted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (row["episode_id"], row["step"]))


def test_polars_scans_a_table_without_reading_its_pictures(plain: Path) -> None:
    scanned = polars.scan_delta(str(plain / "steps")).filter(polars.col("action") == "write").select("text").collect()
    texts = scanned["text"].to_list()
    assert texts.count("hello") == texts.count("world") > 5


def test_a_run_without_episodes_is_a_good_run(empty: Path) -> None:
    dataset = assert_good(empty)
    rows = dataset.episodes().to_pylist()
    assert [(row["kind"], row["cut_reason"], row["steps"], row["shard"]) for row in rows] == [
        ("residue", "no_actions", 0, None)
    ]
    assert [(file.path.split("-")[0], file.rows) for file in dataset.shards()] == [
        ("test", 0),
        ("train", 0),
        ("validation", 0),
    ]
    assert dataset.steps().schema == STEP_SCHEMA


def test_empty_splits_are_readable(empty: Path, hub: Any) -> None:
    for split in SPLITS:
        streamed = hub.load_dataset("parquet", data_files=_data_files(empty), split=split, streaming=True)
        assert list(streamed) == []
        assert streamed.column_names == STEP_SCHEMA.names
    shards = [file for one in _data_files(empty).values() for file in one]
    assert duckdb.connect().execute("select count(*) from read_parquet(?)", [shards]).fetchone() == (0,)
    assert polars.read_delta(str(empty / "steps")).columns == STEP_SCHEMA.names


# ------------------------------------------------------------------------------------------------------- verify


def _verify(output: Path, *args: str) -> tuple[int, list[str]]:
    result = CliRunner().invoke(app, ["verify", str(output), "--json", *args])
    return result.exit_code, json.loads(result.stdout)["faults"]


@pytest.fixture
def harmed(plain: Path, tmp_path: Path) -> Path:
    """A copy of the plain dataset, to be harmed."""
    return copy_of(plain, tmp_path / "out")


def test_verify_finds_nothing_in_a_good_dataset(plain: Path) -> None:
    assert _verify(plain) == (0, [])


@pytest.mark.parametrize("place", [0.0, 0.3, 0.6, 0.999])
def test_verify_finds_a_flipped_bit(harmed: Path, place: float) -> None:
    shard = sorted(shas(harmed))[1]
    path = harmed / "steps" / shard
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 1
    path.write_bytes(data)
    code, faults = _verify(harmed)
    assert code == 1
    assert len(faults) == 1
    assert shard in faults[0]
    assert "altered" in faults[0]


def test_verify_finds_a_shard_that_is_gone(harmed: Path) -> None:
    shard = sorted(shas(harmed))[0]
    (harmed / "steps" / shard).unlink()
    assert _verify(harmed) == (1, [f"{shard}: is not there"])


def test_verify_finds_a_shard_that_was_cut_off(harmed: Path) -> None:
    shard = sorted(shas(harmed))[0]
    path = harmed / "steps" / shard
    path.write_bytes(path.read_bytes()[:-1])
    code, faults = _verify(harmed)
    assert code == 1
    assert all(shard in fault for fault in faults)


def test_verify_finds_steps_that_were_not_published_and_repairs_them(harmed: Path) -> None:
    shutil.rmtree(harmed / "steps/_delta_log")
    (harmed / "README.md").unlink()
    code, faults = _verify(harmed)
    assert code == 1
    assert "--repair" in faults[0]
    assert _verify(harmed, "--repair") == (0, [])
    assert (harmed / "README.md").exists()
    assert polars.read_delta(str(harmed / "steps")).height == datasets.open(str(harmed)).steps(["step"]).num_rows


def test_a_repair_of_a_good_dataset_changes_nothing(harmed: Path) -> None:
    before = {name: (harmed / name).read_bytes() for name in files(harmed)}
    assert _verify(harmed, "--repair") == (0, [])
    assert {name: (harmed / name).read_bytes() for name in files(harmed)} == before


def test_verify_names_at_most_ten_faults(tmp_path: Path, people: Path) -> None:
    launch(places(people, tmp_path / "out"), options(target_shard_mb=0.001, episodes=EpisodeOptions(max_steps=3)), [])
    shards = sorted(shas(tmp_path / "out"))
    assert len(shards) > 10
    for shard in shards:
        (tmp_path / "out" / "steps" / shard).unlink()
    code, faults = _verify(tmp_path / "out")
    assert code == 1
    assert len(faults) == 10
