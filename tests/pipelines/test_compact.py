"""Compact: whatever a dataset grew by, then its shards are those of one batch run, and nobody was disturbed."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import warm
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from inputs import BEN, assert_good, copy_of, episodes, files, options, places, run, shas, steps
from typer.testing import CliRunner

from taskreel.__main__ import app
from taskreel.io import dataset as datasets
from taskreel.io.shards import RowGroupLimits
from taskreel.io.stores import Store, open_store
from taskreel.io.tables import commit_episodes, commit_of, publish_steps
from taskreel.io.verify import faults
from taskreel.pipelines.compaction import compact, options_of
from taskreel.pipelines.launch import LostRaceError, launch
from taskreel.pipelines.options import IncrementalOptions
from taskreel.rehearsal.gcs.server import GcsServer
from taskreel.transforms import compact as compacting
from taskreel.transforms.compact import CompactDataset
from taskreel.transforms.rewrite import rewrite_shard


def scattered(store: Store, seed: int = 1) -> None:
    """Commit every episode into a shard with few others, as if it had come in many runs."""
    dice = random.Random(seed)
    commit = commit_of(store)
    assert commit is not None
    rows = datasets.open(store.url).episodes()
    group = pa.array([dice.randrange(3) if shard else -1 for shard in rows.column("shard").to_pylist()])
    parts = [rows.filter(pc.equal(group, -1))]
    for split in ("train", "validation", "test"):
        for number in range(3):
            mine = rows.filter(pc.and_(pc.equal(group, number), pc.equal(rows.column("split"), split)))
            if mine.num_rows:
                parts.append(rewrite_shard(store, mine, split=split, number=0, count=1, limits=RowGroupLimits()))
    commit_episodes(
        store,
        pa.concat_tables(parts),
        base_version=commit.version,
        run_id=f"scatter{seed}",
        metadata=commit.metadata | {"kind": "incremental"},
    )
    publish_steps(store)


@pytest.fixture
def many(plain: Path, tmp_path: Path) -> Path:
    """The dataset of `plain`, its episodes scattered over many small shards."""
    output = copy_of(plain, tmp_path / "many")
    scattered(open_store(str(output)))
    assert not set(shas(output)) <= set(shas(plain))
    return output


def assert_is(output: Path, plain: Path) -> None:
    """The very shards, the rows but for their history, and no fault."""
    assert shas(output) == shas(plain)
    assert episodes(output, ["revision"]) == episodes(plain, ["revision"])
    assert_good(output)


def invoke(*args: str) -> Any:
    return CliRunner().invoke(app, ["compact", *args])


@pytest.mark.parametrize("seed", [1, 2])
def test_after_incremental_runs_it_is_the_dataset_of_one_batch_run(
    people: Path, plain: Path, tmp_path: Path, seed: int
) -> None:
    """Segments come in any order, so that spans are cut, merged and replaced; compactions are between."""
    dice = random.Random(seed)
    names = sorted(name for name in files(people) if name.startswith("segments"))
    dice.shuffle(names)
    input_, output = tmp_path / "in", tmp_path / "out"
    shutil.copytree(people, input_, ignore=shutil.ignore_patterns("segments"))
    for first in range(0, len(names), 7):
        for name in names[first : first + 7]:
            (input_ / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(people / name, input_ / name)
        chosen = IncrementalOptions(rescan=True, final=True)
        launch(places(input_, output), options(), [], incremental=chosen)
        if dice.random() < 0.3:
            compact(str(output), [])
            assert_good(output)
    assert compact(str(output), []).is_new
    assert_is(output, plain)
    report = datasets.open(str(output)).report()
    assert report["kind"] == "compact"
    assert report["listed_bytes"] == datasets.open(str(plain)).report()["listed_bytes"]


def test_readers_of_older_versions_are_not_disturbed(many: Path, plain: Path) -> None:
    reader = datasets.open(str(many))
    before = shas(many), steps(many)
    outcome = compact(str(many), [])
    assert outcome.version == 2
    assert_is(many, plain)
    assert shas(many, 0) == shas(plain)
    assert shas(many, 1) == before[0]
    assert steps(many) == before[1]
    assert sum(part.num_rows for part in reader.iter_steps()) == len(before[1])
    assert [fault for fault in faults(reader) if not fault.startswith("README")] == []


def test_what_is_compact_already_is_left_alone(many: Path, plain: Path) -> None:
    first, second = invoke(str(many), "--json"), invoke(str(many), "--json")
    said = json.loads(first.stdout)
    assert (first.exit_code, said["version"], said["new"]) == (0, 2, True)
    assert said["shards_added"] == len(set(shas(plain)) - set(shas(many, 1))) > 2
    said = json.loads(second.stdout)
    assert (second.exit_code, said["version"], said["new"]) == (0, 2, False)
    assert said["shards_added"] == said["shards_removed"] == 0
    assert "is compact already; there is nothing to do" in invoke(str(many)).stdout
    assert datasets.open(str(many)).version == 2
    assert not compact(str(plain), []).is_new


def test_shards_that_are_canonical_are_not_written_again(
    many: Path, plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compact(str(many), [])
    store = open_store(str(many))
    rows = datasets.open(str(many)).episodes()
    one = rows.filter(pc.equal(rows.column("split"), "test"))
    moved = rewrite_shard(
        store, one.filter(pc.is_valid(one.column("shard"))), split="test", number=0, count=7, limits=RowGroupLimits(2)
    )
    others = rows.filter(pc.invert(pc.is_in(rows.column("episode_id"), moved.column("episode_id").combine_chunks())))
    report = datasets.open(str(many)).report()
    commit_episodes(store, pa.concat_tables([others, moved]), base_version=2, run_id="moved", metadata=report)
    publish_steps(store)
    written: list[str] = []

    def counted(*args: Any, split: str, **more: Any) -> pa.Table:
        written.append(split)
        return rewrite_shard(*args, split=split, **more)

    monkeypatch.setattr(compacting, "rewrite_shard", counted)
    assert compact(str(many), []).is_new
    assert written == ["test"]
    assert_is(many, plain)


def test_segments_and_consent_are_not_needed(people: Path, tmp_path: Path) -> None:
    input_, output = copy_of(people, tmp_path / "in"), tmp_path / "out"
    run(input_, output)
    before = shas(output)
    scattered(open_store(str(output)))
    shutil.rmtree(input_)
    compact(str(output), [])
    assert shas(output) == before
    assert_good(output)


@pytest.mark.parametrize(
    "beam_args",
    [
        ["--direct_running_mode=multi_processing", "--direct_num_workers=2"],
        ["--direct_running_mode=multi_threading", "--direct_num_workers=2"],
    ],
)
def test_two_workers_give_the_same(many: Path, plain: Path, beam_args: Sequence[str]) -> None:
    compact(str(many), list(beam_args))
    assert_is(many, plain)


@pytest.mark.prism
def test_prism_gives_the_same(many: Path, plain: Path, prism_options: list[str]) -> None:
    assert compact(str(many), prism_options).runner == "PrismRunner"
    assert_is(many, plain)


def test_bundles_that_are_run_several_times_give_the_same(many: Path, plain: Path) -> None:
    commit = commit_of(open_store(str(many)))
    assert commit is not None
    with beam.Pipeline(FnApiRunner(bundle_repeat=2)) as pipeline:
        _ = pipeline | CompactDataset(options_of(str(many), commit))
    assert datasets.open(str(many)).version == 2
    assert_is(many, plain)


def test_on_a_remote_store_it_is_the_same(gcs: GcsServer, plain: Path) -> None:
    store, local = open_store("gs://lake/dataset"), open_store(str(plain))
    for entry in local.files():
        store.create(entry.name, local.read(entry.name))
    scattered(store)
    compact("gs://lake/dataset", [])
    assert shas("gs://lake/dataset") == shas(plain)
    assert_good("gs://lake/dataset")


def test_a_race_that_is_lost_changes_nothing(people: Path, many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = compacting.commit_compacted

    def overtaken(store: Store, *args: Any) -> int | None:
        run(people, many, participants=(BEN,))
        return real(store, *args)

    monkeypatch.setattr(compacting, "commit_compacted", overtaken)
    with pytest.raises(LostRaceError, match="another run has committed"):
        compact(str(many), [])
    assert datasets.open(str(many)).version == 2
    assert datasets.open(str(many)).report()["kind"] == "batch"
    assert_good(many)
    assert invoke(str(many)).exit_code == 3


def test_the_job_graph_is_the_same_for_many_parts(many: Path, people: Path, tmp_path: Path) -> None:
    run(people, tmp_path / "small", participants=(BEN,))

    def transforms(output: Path) -> int:
        commit = commit_of(open_store(str(output)))
        assert commit is not None
        pipeline = beam.Pipeline()
        _ = pipeline | CompactDataset(options_of(str(output), commit))
        return len(pipeline.to_runner_api().components.transforms)

    assert len(datasets.open(str(many)).shards()) > len(datasets.open(str(tmp_path / "small")).shards())
    assert transforms(many) == transforms(tmp_path / "small")


def test_a_dataset_without_episodes_has_nothing_to_compact(people: Path, tmp_path: Path) -> None:
    input_ = copy_of(people, tmp_path / "in")
    for record in (input_ / "consent").rglob("*.json"):
        record.unlink()
    run(input_, tmp_path / "out")
    assert episodes(tmp_path / "out") == []
    assert not compact(str(tmp_path / "out"), []).is_new


def _older(store: Store) -> None:
    """A version that does not say how large its segments were."""
    commit = commit_of(store)
    assert commit is not None
    metadata = {name: value for name, value in commit.metadata.items() if name != "listed_bytes"}
    commit_episodes(store, datasets.open(store.url).episodes(), base_version=1, run_id="older", metadata=metadata)


@pytest.mark.parametrize(
    ("prepare", "args", "message"),
    [
        (lambda store: None, ["--runner=X", "{}"], "DATASET comes first"),
        (lambda store: None, ["{}/nothing"], "holds no dataset"),
        (lambda store: None, ["{}", "--no_such_option=1"], "unknown option --no_such_option;"),
        (_older, ["{}"], "does not say how large its segments were"),
    ],
)
def test_bad_use_is_one_clear_line(
    many: Path, prepare: Callable[[Store], None], args: Sequence[str], message: str
) -> None:
    prepare(open_store(str(many)))
    result = invoke(*(arg.format(many) for arg in args))
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_a_compaction_that_is_killed_leaves_the_dataset_as_it_was_or_whole(
    many: Path, plain: Path, tmp_path: Path
) -> None:
    dice = random.Random(5)
    before = shas(many)
    lasts_s = warm.lasts_s("compact", str(copy_of(many, tmp_path / "undisturbed")))
    killed = 0
    for number in range(8):
        output = copy_of(many, tmp_path / f"killed{number}")
        killed += warm.kill_after(dice.uniform(0.7, 1.1) * lasts_s, "compact", str(output))
        version = datasets.open(str(output)).version
        assert shas(output) == (before if version == 1 else shas(plain))
        assert shas(output, 1) == before
        compact(str(output), [])
        assert_is(output, plain)
    assert killed
