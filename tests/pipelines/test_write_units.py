"""What a stream builds as one piece is written into one shard and goes to the commit as one, real segments and all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import fn_runner
from apache_beam.testing.util import assert_that
from inputs import AS_OF, DAY_1, PEOPLE, SECOND_US, Desk, Recording, grant, options, picture, segment, steps

from taskreel.io.consent import ConsentRecord
from taskreel.io.names import SegmentName
from taskreel.io.shards import RowGroupLimits
from taskreel.io.stores import LocalStore, open_store
from taskreel.io.tables import current_version
from taskreel.io.times import us_from_iso
from taskreel.transforms.add import _by_tag
from taskreel.transforms.assign import ShardOptions, split_of
from taskreel.transforms.build import ACCOUNT, DRAFT, RESIDUE, TAKEN, BuildUnits, Parts, ReadOptions
from taskreel.transforms.commit import DEAD, ROWS, ChangeOptions, commit_changes
from taskreel.transforms.sessionize import Firing
from taskreel.transforms.taken import Taken
from taskreel.transforms.write import WriteOptions, decode_rows
from taskreel.transforms.write_units import PourOptions, WriteUnits, _open_shard

OPTIONS = options()


LATER_S = 5000
"""So far apart, segments are not of one span."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[tuple[str, int], SegmentName]]:
    """Of each of the four: two segments with work, far apart, and one still later in which nothing was done."""
    root = tmp_path_factory.mktemp("input")
    grant(root, *(ConsentRecord(f"c-{person}", person, regions=("us",)) for person in PEOPLE))
    names = {}
    for number, person in enumerate(PEOPLE):
        for start_s in (0, LATER_S, 2 * LATER_S):
            desk = Desk(person, "pc", f"r{start_s}", DAY_1 + start_s * SECOND_US)
            names[person, start_s] = _publish(root, (desk.work(0, number) if start_s <= LATER_S else _idle(desk)))
    return root, names


def _idle(desk: Desk) -> Desk:
    return desk.focus(0, "editor").focus(30, "browser")


def _publish(root: Path, desk: Desk) -> SegmentName:
    recording: Recording = desk.recording()
    name, data = segment(recording.header, recording.events)
    open_store(str(root)).create(str(name), data)
    return name


def firing(*names: SegmentName, round_: int = 1, provisional: bool = False) -> tuple[str, str]:
    line = Firing(round_, tuple((name.file,) for name in names), provisional).to_json()
    return names[0].participant, line


NOTED: list[Parts] = []


def note(parts: Parts) -> None:
    NOTED.append(parts)


def poured(
    root: Path, output: Path, firings: list[tuple[str, str]], shards: ShardOptions | None = None, writers: int = 4
) -> list[Parts]:
    """Build and write; what goes to the commit. On the runner that waits for timers of the real clock."""
    NOTED.clear()
    read = ReadOptions(str(root), us_from_iso(AS_OF), OPTIONS.spans.gap_ms, keep_committed=True)
    write = WriteOptions(str(root), str(output))
    with beam.Pipeline(runner=BundleBasedDirectRunner()) as pipeline:
        built = pipeline | beam.Create(firings) | BuildUnits(read, OPTIONS.build)
        _ = built | WriteUnits(write, shards or ShardOptions(), PourOptions(writers, 1.0)) | beam.Map(note)
    return list(NOTED)


def rows_of(parts: Parts) -> list[dict[str, Any]]:
    return [row for data in _by_tag(parts)[ROWS] for row in decode_rows(data).to_pylist()]


def test_what_was_built_as_one_goes_to_the_commit_as_one_in_one_shard(source: Any, tmp_path: Path) -> None:
    root, names = source
    firings = [firing(*(names[person, n * LATER_S] for n in range(3))) for person in PEOPLE]
    found, seen = poured(root, tmp_path, firings, writers=1), []
    for parts in found:
        rows, taken = rows_of(parts), [Taken.from_json(line) for line in _by_tag(parts)[TAKEN]]
        assert {tag for tag, _ in parts} == {ROWS, TAKEN, ACCOUNT}
        assert {(row["participant"], row["span_id"]) for row in rows} == {
            (one.participant, span_id) for one in taken for span_id in one.spans
        }
        for one in taken:
            mine = [row for row in rows if row["participant"] == one.participant]
            assert len({row["shard"] for row in mine if row["steps"]}) == 1
            assert {row["split"] for row in mine} == {split_of(one.participant, ShardOptions())}
            assert [row["shard"] for row in mine if not row["steps"]] == [None]
            seen.append(one.participant)
    assert sorted(seen) == sorted(PEOPLE)


def test_an_own_share_of_the_splits_decides_of_a_residue_too(source: Any, tmp_path: Path) -> None:
    root, names = source
    shards = ShardOptions(split_percent=(0, 0, 100))
    found = poured(root, tmp_path, [firing(names[PEOPLE[0], 2 * LATER_S], names[PEOPLE[0], 0])], shards)
    assert {row["split"] for parts in found for row in rows_of(parts)} == {"test"}
    assert {path.name.split("-")[0] for path in (tmp_path / "steps").iterdir()} == {"test"}


def test_a_shard_that_is_full_is_closed(source: Any, tmp_path: Path) -> None:
    root, names = source
    firings = [firing(names[PEOPLE[0], n * LATER_S], round_=n + 1) for n in range(2)]
    for size_bytes, count in ((1, 2), (1 << 40, 1)):
        found = poured(root, tmp_path / str(count), firings, ShardOptions(target_shard_bytes=size_bytes))
        assert len(found) == count
        assert len(list((tmp_path / str(count) / "steps").iterdir())) == count


def test_pictures_weigh_in(source: Any, tmp_path: Path) -> None:
    """A shard is about as large as the segments of which it is made; the drafts alone are small."""
    root, names = source
    name = names[PEOPLE[0], 0]
    read = ReadOptions(str(root), us_from_iso(AS_OF), OPTIONS.spans.gap_ms)

    def check(found: list[tuple[str, Parts]]) -> None:
        [(participant, parts)] = found
        key, (weight_bytes, same) = _open_shard((participant, parts), ShardOptions(), PourOptions())
        own = sum(len(data) for _, data in parts)
        assert same == parts
        assert weight_bytes == own + len(picture(0)) + len(picture(1))
        assert key.startswith(f"{split_of(participant, ShardOptions())}/")
        assert {tag for tag, _ in parts} <= {DRAFT, RESIDUE, ACCOUNT, TAKEN}

    with beam.Pipeline(runner=fn_runner.FnApiRunner()) as pipeline:
        assert_that(pipeline | beam.Create([firing(name)]) | BuildUnits(read, OPTIONS.build), check)


def test_people_are_spread_over_the_writers_and_each_goes_to_one() -> None:
    pour, shards = PourOptions(writers=3), ShardOptions()
    keys = {f"p{n}": _open_shard((f"p{n}", []), shards, pour)[0] for n in range(200)}
    assert keys == {name: _open_shard((name, [(TAKEN, b"1")]), shards, pour)[0] for name in keys}
    assert {key for key in keys.values() if key.startswith("train/")} == {f"train/{n}/3" for n in range(3)}
    assert all(key.startswith(split_of(name, shards) + "/") for name, key in keys.items())


def test_round_and_provisional_reach_the_commit_and_what_is_dead_goes_with_its_piece(
    source: Any, tmp_path: Path
) -> None:
    root, names = source
    output, store = tmp_path, LocalStore(str(tmp_path))
    stranger = Desk("stranger", "pc", "r1", DAY_1).work(0, 3)
    refused = _publish(root, stranger)
    firings = [firing(names[PEOPLE[0], 0], round_=7, provisional=True), firing(refused, round_=2)]
    found = poured(root, output, firings)
    parts = _by_tag(part for one in found for part in one)
    taken = {one.participant: one for one in map(Taken.from_json, parts[TAKEN])}
    assert (taken[PEOPLE[0]].round, taken[PEOPLE[0]].provisional) == (7, True)
    assert (taken["stranger"].round, taken["stranger"].spans) == (2, ())
    [line] = parts[DEAD]
    [beside] = [_by_tag(one)[TAKEN] for one in found if (DEAD, line) in one]
    assert "stranger" in [Taken.from_json(one).participant for one in beside]
    assert json.loads(line)["segment"] == str(refused)
    facts = {"kind": "streaming", "as_of": AS_OF}
    chosen = ChangeOptions("", "job", None, facts, OPTIONS.spans, ShardOptions(), RowGroupLimits(), rebase=True)
    commit_changes(store, parts, chosen)

    assert current_version(store) == 0
    assert len(steps(output)) > 0
