"""The metrics of a run: under the documented names, with the numbers of the committed account."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.runners.portability.fn_api_runner import fn_runner
from inputs import ANNA, AS_OF, BEN, TOM, VERA, copy_of, grant, options, places, put

from taskreel.io import dataset as datasets
from taskreel.io.consent import ConsentRecord
from taskreel.io.names import SegmentName
from taskreel.io.stores import open_store
from taskreel.io.tables import ConflictError, commit_of
from taskreel.io.times import us_from_iso
from taskreel.pipelines.episodes import Launch, episodes_pipeline, metadata
from taskreel.pipelines.incremental import incremental_pipeline
from taskreel.pipelines.options import IncrementalOptions
from taskreel.transforms import commit as committing
from taskreel.transforms import metrics
from taskreel.transforms.accounts import Account
from taskreel.transforms.add import _AddAgainDoFn
from taskreel.transforms.build import BuildUnits, ReadOptions
from taskreel.transforms.commit import LATE, ChangeOptions
from taskreel.transforms.compact import CompactDataset, CompactOptions
from taskreel.transforms.dead import Dead
from taskreel.transforms.late import Late
from taskreel.transforms.sessionize import Firing
from taskreel.transforms.stream_time import StreamTime
from taskreel.transforms.write import WriteOptions
from taskreel.transforms.write_units import _WriteUnitsDoFn

ROOT = Path(__file__).parents[2]
TRIAL = "2026-01-05T10:05:00Z"
"""When some spans of the input are over, and others wait."""


@dataclass(frozen=True)
class Told:
    """What a run told Beam: sums over the steps of the pipeline."""

    counters: dict[str, int]
    distributions: dict[str, Any]


def told(wire: Callable[[beam.Pipeline], Any]) -> Told:
    """Run what is wired on the DirectRunner."""
    pipeline = beam.Pipeline(fn_runner.FnApiRunner())
    wire(pipeline)
    result = pipeline.run()
    result.wait_until_finish()
    found = result.metrics().query(MetricsFilter().with_namespace(metrics.NAMESPACE))
    counters: dict[str, int] = {}
    for one in found["counters"]:
        counters[one.key.metric.name] = counters.get(one.key.metric.name, 0) + one.result
    return Told(counters, {one.key.metric.name: one.result for one in found["distributions"]})


def batch(input_: Path, output: Path, *, base: int | None = None) -> Told:
    """A batch run; from `base`, as if no other had committed since."""
    begun = Launch("batch", base, "DirectRunner")
    return told(lambda pipeline: episodes_pipeline(pipeline, places(input_, output), options(), begun))


def incremental(input_: Path, output: Path, as_of: str, *, run_id: str = "one", stale: bool = False) -> Told:
    """An incremental run; a stale one has not seen the latest version."""
    before = None if stale else commit_of(open_store(str(output)))
    begun = Launch(run_id, before and before.version, "DirectRunner")
    where, chosen = places(input_, output, as_of=as_of), IncrementalOptions()
    return told(lambda pipeline: incremental_pipeline(pipeline, where, options(), chosen, begun, before))


def account(output: Path) -> Account:
    """What was committed last."""
    return Account(commit_of(open_store(str(output))).metadata["account"])


def _names(root: Path, participant: str) -> list[SegmentName]:
    """The segments of a participant, by time."""
    paths = root.glob(f"segments/v1/*/participant={participant}/*.parquet")
    return sorted((SegmentName.parse(str(path.relative_to(root))) for path in paths), key=lambda name: name.first_ms)


@pytest.fixture
def mixed(people: Path, tmp_path: Path) -> Path:
    """The input with a damaged segment, a file that is none, and a consent that was withdrawn."""
    mixed = copy_of(people, tmp_path / "mixed")
    whole = next(path for path in sorted(mixed.rglob("*.parquet")) if f"participant={TOM}" in str(path))
    whole.write_bytes(whole.read_bytes()[:-100])
    put(mixed, f"segments/v1/day=2026-01-05/participant={ANNA}/notes.txt", b"milk")
    grant(mixed, ConsentRecord(f"c-{BEN}", BEN, regions=("us",), withdrawn_at_us=1))
    return mixed


def test_a_batch_run_tells_the_numbers_of_the_committed_account(mixed: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    found = batch(mixed, output)
    numbers, shards = account(output), datasets.open(str(output)).shards()
    dead, refused = numbers.under("segments.dead."), numbers.under("segments.refused.")
    assert set(dead) == {"name", "truncated"}
    assert list(refused) == ["consent_withdrawn"]
    assert found.counters == {
        "segments": numbers["segments.read"] - dead["name"],
        "read_bytes": numbers["bytes.read"],
        "events": numbers["events.read"],
        "episodes": numbers["episodes"],
        "steps": numbers["steps"],
        "residues": numbers["residues"],
        "picture_bytes": found.counters["picture_bytes"],
        "shards": len(shards),
        "commits": 1,
        **{f"dead_{code}": number for code, number in (dead | refused).items()},
    }
    assert 0 < found.counters["picture_bytes"] < numbers["bytes.read"]


def test_its_distributions_are_of_every_segment_span_shard_and_of_the_commit(mixed: Path, tmp_path: Path) -> None:
    found = batch(mixed, tmp_path / "out").distributions
    dataset = datasets.open(str(tmp_path / "out"))
    sizes = [shard.size_bytes for shard in dataset.shards()]
    spans = set(dataset.episodes().column("span_id").to_pylist())
    segments, shards = found["segment_bytes"], found["shard_bytes"]
    assert (segments.count, segments.sum) == (
        account(tmp_path / "out")["segments.read"] - 1,
        account(tmp_path / "out")["bytes.read"],
    )
    assert (shards.count, shards.sum, shards.min, shards.max) == (len(sizes), sum(sizes), min(sizes), max(sizes))
    assert found["span_build_ms"].count == len(spans)
    assert 0 < found["span_build_ms"].max <= found["span_build_ms"].sum
    assert found["commit_ms"].count == 1
    assert found["commit_ms"].max > 0
    assert set(found) == {"segment_bytes", "shard_bytes", "span_build_ms", "commit_ms"}


def test_what_waits_is_told_and_a_run_that_another_overtook_tells_of_it(people: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    first = incremental(people, output, TRIAL)
    assert 0 < first.counters["waiting"] == account(output)["segments.waiting"]
    assert first.counters["segments"] == account(output)["segments.read"] - first.counters["waiting"]
    overtaken = incremental(people, output, TRIAL, run_id="two", stale=True)
    assert overtaken.counters["lost_races"] == 1
    assert "commits" not in overtaken.counters
    assert "commit_ms" not in overtaken.distributions
    assert batch(people, output).counters["lost_races"] == 1


def test_a_segment_that_joins_what_cannot_be_built_again_is_told(people: Path, tmp_path: Path) -> None:
    root, output = copy_of(people, tmp_path / "in"), tmp_path / "out"
    first, second, *_ = (root / str(name) for name in _names(root, BEN))
    late = second.read_bytes()
    second.unlink()
    batch(root, output)
    first.unlink()
    second.write_bytes(late)
    found = incremental(root, output, AS_OF)
    assert account(output)["segments.dead.span_past_retention"] == 1
    assert found.counters == {
        "commits": 1,
        "dead_span_past_retention": 1,
        "events": account(output)["events.read"],
        "late": 0,
    }


def test_a_compaction_tells_of_its_shards_and_of_its_commit(people: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    incremental(people, output, TRIAL)
    incremental(people, output, AS_OF, run_id="two")
    version = commit_of(open_store(str(output))).version
    chosen = CompactOptions(str(output), "compact", version, {}, _listed_bytes(output), options().shards)
    stale = replace(chosen, run_id="stale")
    found = told(lambda pipeline: pipeline | CompactDataset(chosen))
    assert found.counters == {"commits": 1, "shards": len(datasets.open(str(output)).shards())}
    assert found.distributions["commit_ms"].count == 1
    assert told(lambda pipeline: pipeline | CompactDataset(stale)).counters["lost_races"] == 1


def _listed_bytes(output: Path) -> dict[str, int]:
    return commit_of(open_store(str(output))).metadata["listed_bytes"]


@dataclass(frozen=True)
class Standing(StreamTime):
    """A clock that stands."""

    def now_us(self) -> int:
        return us_from_iso(AS_OF)


def test_a_stream_tells_its_lag_and_what_came_too_late(people: Path, tmp_path: Path) -> None:
    names = _names(people, VERA)
    late = Late(ANNA, "r9_0_9_1767603600000_1767603660000_0123456789ab.parquet", 10, "span_closed")
    found = stream(people, tmp_path / "out", Firing(1, (tuple(name.file for name in names),), False), late)
    numbers = account(tmp_path / "out")
    assert found.counters == {
        "commits": 1,
        "episodes": numbers["episodes"],
        "events": numbers["events.read"] - numbers["events.late"],
        "late": numbers["segments.late"],
        "picture_bytes": found.counters["picture_bytes"],
        "read_bytes": numbers["bytes.read"],
        "residues": numbers["residues"],
        "segments": len(names),
        "shards": 1,
        "steps": numbers["steps"],
    }
    assert numbers["segments.late"] == 1
    lag = found.distributions["commit_lag_ms"]
    assert (lag.count, lag.max) == (1, us_from_iso(AS_OF) // 1000 - max(name.last_ms for name in names))


def stream(root: Path, output: Path, firing: Firing, late: Late) -> Told:
    """What a stream does with a firing and with a late segment, as one commit: all but the waiting in buffers."""
    read = ReadOptions(str(root), us_from_iso(AS_OF), options().spans.gap_ms, keep_committed=True)
    write = WriteOptions(str(root), str(output))
    facts = metadata(places(root, output), options(), Launch("s", None, "DirectRunner")) | {"kind": "streaming"}
    change = ChangeOptions(str(output), "s", None, facts, options().spans, options().shards, rebase=True)
    late_part = (LATE, late.to_json().encode())

    def wire(pipeline: beam.Pipeline) -> Any:
        built = pipeline | beam.Create([(VERA, firing.to_json())]) | BuildUnits(read, options().build)
        shards = built | beam.MapTuple(lambda _, parts: ("validation/0/1", parts))
        written = shards | beam.ParDo(_WriteUnitsDoFn(write, options().shards))
        commits = written | beam.Map(lambda parts: ("commit", [*parts, late_part]))
        return commits | beam.ParDo(_AddAgainDoFn(change, Standing(str(output), 0)))

    return told(wire)


def test_a_stream_that_another_run_overtakes_each_time_tells_of_each(people: Path, tmp_path: Path) -> None:
    lost: list[int] = []

    def commit_episodes(*_: Any, **__: Any) -> int:
        lost.append(1)
        raise ConflictError("another was faster")

    [name, *_] = _names(people, VERA)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(committing, "commit_episodes", commit_episodes)
        counted: Counter[str] = Counter()
        patch.setattr(metrics, "count", lambda **counts: counted.update(counts))
        late = Late(VERA, name.file, 10, "span_closed").to_json().encode()
        change = ChangeOptions(str(tmp_path), "s", None, {}, options().spans, rebase=True)
        with pytest.raises(ConflictError):
            committing.commit_changes(open_store(str(tmp_path)), {LATE: [late]}, change)
    assert counted == {"lost_races": len(lost)}
    assert len(lost) > 1


# ------------------------------------------------------------------------------------------------------- the names


def test_every_reason_for_a_dead_letter_in_the_code_has_a_name() -> None:
    assert set(metrics.DEAD_CODES) == set(_codes())


def _codes() -> list[str]:
    """The first argument of each SegmentError and Refusal, the second of Dead.of_error, where they are constants."""
    constants = {"FUTURE": "future", "UNREADABLE": "unreadable"}
    place = {"SegmentError": 0, "Refusal": 0, "of_error": 1}
    found = []
    for path in (path for folder in ("io", "transforms") for path in (ROOT / folder).rglob("*.py")):
        for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
            name = getattr(call.func, "id", None) or getattr(call.func, "attr", None)
            if name in place and len(call.args) > place[name]:
                argument = call.args[place[name]]
                found += [argument.value] if isinstance(argument, ast.Constant) else []
                found += [constants[argument.id]] if getattr(argument, "id", None) in constants else []
    return found


def test_a_reason_without_a_name_is_counted_as_another(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[dict[str, int]] = []
    monkeypatch.setattr(metrics, "count", lambda **counts: counted.append(counts))
    metrics.count_dead(Dead("s", "dead", "weather", "", "", 1, 5))
    metrics.count_dead(Dead("s", "dead", "altered", "", "", 1, 5))
    assert counted == [{"events": 5, "dead_other": 1}, {"events": 5, "dead_altered": 1}]


@pytest.mark.parametrize("tell", [metrics.count, metrics.observe])
def test_a_name_that_is_not_of_the_interface_is_an_error(tell: Callable[..., None]) -> None:
    with pytest.raises(KeyError, match="weather"):
        tell(weather=1)


def test_the_documented_names_are_these() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    section = page.partition("### Beam's metrics")[2].partition("\n#")[0]
    rows = [row.split("|") for row in section.splitlines() if row.startswith("| `")]
    documented = {(name, row[2].strip()) for row in rows for name in re.findall(r"`(\w+)`", row[1])}
    counters = {(name, "counter") for name in metrics.COUNTERS}
    assert documented == counters | {(name, "distribution") for name in metrics.DISTRIBUTIONS}
