"""Commits of changes: with real shards, done again, many at once, from old and new bases, killed between two steps.

What came to be built is made without a pipeline: by the same functions, one call each.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inputs import (
    ANNA,
    AS_OF,
    BEN,
    DAY_1,
    PLACE_COLUMNS,
    SECOND_US,
    VERA,
    Desk,
    assert_good,
    at_once,
    episodes,
    grant,
    options,
    places,
    segment,
    steps,
)

from examples import examples
from taskreel.io import tables
from taskreel.io.card import write_card
from taskreel.io.consent import ConsentRecord
from taskreel.io.names import SegmentName
from taskreel.io.shards import RowGroupLimits
from taskreel.io.stores import LocalStore, open_store
from taskreel.io.tables import (
    ConflictError,
    commit_of,
    current_version,
    part_paths,
    publish_steps,
    published_version,
    read_episodes,
)
from taskreel.io.times import us_from_iso
from taskreel.io.versions import rollback
from taskreel.pipelines.launch import launch
from taskreel.pipelines.options import IncrementalOptions
from taskreel.transforms import commit as committing
from taskreel.transforms.assign import split_of
from taskreel.transforms.build import ACCOUNT as BUILD_ACCOUNT
from taskreel.transforms.build import DEAD as BUILD_DEAD
from taskreel.transforms.build import RESIDUE, ReadOptions, _BuildDoFn
from taskreel.transforms.build import TAKEN as BUILD_TAKEN
from taskreel.transforms.changes import groups_of, resolve, spans_of
from taskreel.transforms.commit import ACCOUNT, DEAD, LATE, ROWS, TAKEN, ChangeOptions, commit_changes
from taskreel.transforms.late import Late
from taskreel.transforms.spans import spans
from taskreel.transforms.taken import Taken
from taskreel.transforms.write import WriteOptions, _WriteDoFn, encode_residue

Parts = dict[str, list[bytes]]
OPTIONS = options()
GAP_S = OPTIONS.spans.gap_ms // 1000


# ------------------------------------------------------------------------------------------------ what is built


@dataclass(frozen=True)
class Input:
    """A published input, and its segments by when they begin: (participant, seconds from the first day's start)."""

    root: Path
    names: dict[tuple[str, int], SegmentName]

    def of(self, participant: str, *starts_s: int) -> list[SegmentName]:
        return [self.names[participant, start] for start in starts_s]


STARTS_S = (0, 600, 1200, 5000, 90_000)
"""The first three touch each other (the gap is 12 minutes), the second is the bridge; the last is of the next day."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Input:
    root = tmp_path_factory.mktemp("input")
    return publish(root, {(person, start) for person in (ANNA, BEN, VERA) for start in STARTS_S})


def publish(root: Path, wanted: Iterable[tuple[str, int]]) -> Input:
    """Segments of 81 seconds of work."""
    grant(root, *(ConsentRecord(f"c-{person}", person, regions=("us",)) for person in (ANNA, BEN, VERA)))
    names = {}
    for person, start in sorted(wanted):
        desk = Desk(person, "pc", f"r{start}", DAY_1 + start * SECOND_US).work(0, start // 100 % 5).recording()
        name, data = segment(desk.header, desk.events)
        open_store(str(root)).create(str(name), data)
        names[person, start] = name
    return Input(root, names)


def built(
    source: Input, output: Path, *planned: list[SegmentName], round_: int = 0, provisional: bool = False
) -> Parts:
    """What comes to the commit of spans that were built as one piece, their steps in one shard."""
    read = ReadOptions(str(source.root), us_from_iso(AS_OF), OPTIONS.spans.gap_ms, keep_committed=True)
    builder = _BuildDoFn(read, OPTIONS.build)
    builder.setup()
    builder.start_bundle()
    person = planned[0][0].participant
    elements: dict[str, list[Any]] = {}
    for item in builder.process([(person, [[name.file for name in span] for span in planned])]):
        is_tagged = isinstance(item, beam.pvalue.TaggedOutput)
        elements.setdefault(item.tag if is_tagged else "drafts", []).append(item.value if is_tagged else item)
    [taken] = elements[BUILD_TAKEN]
    marked = replace(Taken.from_json(taken), round=round_, provisional=provisional)
    return {
        ROWS: written(source, output, elements.get("drafts", []))
        + [encode_residue(one, OPTIONS.shards) for one in elements.get(RESIDUE, [])],
        ACCOUNT: [one.encode() for one in elements.get(BUILD_ACCOUNT, [])],
        DEAD: [one.encode() for one in elements.get(BUILD_DEAD, [])],
        TAKEN: [marked.to_json().encode()],
    }


def written(source: Input, output: Path, drafts: list[tuple[str, str, bytes]]) -> list[bytes]:
    """The rows of drafts that are written into one shard."""
    if not drafts:
        return []
    writer = _WriteDoFn(WriteOptions(str(source.root), str(output)))
    writer.setup()
    split = split_of(drafts[0][0], OPTIONS.shards)
    return list(writer.process((f"{split}/0/1", [data for _, _, data in drafts])))


def together(*several: Parts) -> Parts:
    return {tag: [one for parts in several for one in parts.get(tag, [])] for tag in (ROWS, ACCOUNT, DEAD, TAKEN, LATE)}


def late(*names: SegmentName) -> Parts:
    return {LATE: [Late(name.participant, name.file, 9, "after_close").to_json().encode() for name in names]}


def change_options(base: int | None, *, run_id: str = "", rebase: bool = False) -> ChangeOptions:
    metadata = {"kind": "streaming" if rebase else "incremental", "as_of": AS_OF, "options": OPTIONS.as_dict()}
    run_id = run_id or f"run{base}"
    return ChangeOptions("", run_id, base, metadata, OPTIONS.spans, OPTIONS.shards, RowGroupLimits(), rebase)


def commit(output: Path, parts: Parts, **chosen: Any) -> int | None:
    """Commit onto the latest version; the dataset is good afterwards."""
    store = LocalStore(str(output))
    base = chosen.pop("base", current_version(store))
    version = commit_changes(store, parts, change_options(base, **chosen))
    if version is not None:
        assert_good(output)
    return version


def committed_spans(output: Path) -> list[tuple[int, int]]:
    """(segments, revision) of the spans of a dataset, in order of time."""
    rows = read_episodes(LocalStore(str(output))).to_pylist()
    by_span = {row["span_id"]: (min(row["segments"]), len(row["segments"]), row["revision"]) for row in rows}
    starts = {row["span_id"]: row["start_us"] for row in reversed(rows)}
    return [by_span[span_id][1:] for span_id in sorted(by_span, key=lambda span_id: starts[span_id])]


def facts(output: Path) -> dict[str, Any]:
    found = commit_of(LocalStore(str(output)))
    assert found is not None
    return found.metadata


def contents(output: Path) -> dict[str, bytes]:
    return {str(path.relative_to(output)): path.read_bytes() for path in output.rglob("*") if path.is_file()}


# ------------------------------------------------------------------------------------------------ one commit


def test_a_first_commit_makes_a_dataset(source: Input, tmp_path: Path) -> None:
    assert commit(tmp_path, built(source, tmp_path, source.of(ANNA, 0, 600))) == 0
    assert committed_spans(tmp_path) == [(2, 0)]
    assert facts(tmp_path)["kind"] == "incremental"
    sizes = [(source.root / str(name)).stat().st_size for name in source.of(ANNA, 0, 600)]
    assert facts(tmp_path)["listed_bytes"] == {"train": sum(sizes), "validation": 0, "test": 0}


def test_what_replaces_a_span_is_its_next_revision_and_the_old_rows_leave(source: Input, tmp_path: Path) -> None:
    commit(tmp_path, built(source, tmp_path, source.of(ANNA, 0), source.of(ANNA, 5000)))
    commit(tmp_path, built(source, tmp_path, source.of(BEN, 0)))
    assert commit(tmp_path, built(source, tmp_path, source.of(ANNA, 0, 600))) == 2
    assert sorted(committed_spans(tmp_path)) == [(1, 0), (1, 0), (2, 1)]


def test_steps_that_stay_in_a_shard_that_is_written_again_are_the_same(source: Input, tmp_path: Path) -> None:
    commit(tmp_path, built(source, tmp_path, source.of(ANNA, 0), source.of(ANNA, 5000), source.of(ANNA, 90_000)))
    before = [row for row in steps(tmp_path) if row["recording"] != "r0"]
    commit(tmp_path, built(source, tmp_path, source.of(ANNA, 0, 600)))
    after = [row for row in steps(tmp_path) if row["recording"] not in ("r0", "r600")]
    assert after == before != []


def test_a_commit_reads_no_part_that_the_segments_cannot_touch(source: Input, tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    commit(tmp_path, built(source, tmp_path, source.of(ANNA, 0)))
    commit(tmp_path, built(source, tmp_path, source.of(ANNA, 90_000)))
    [part] = part_paths(store, 1, ["2026-01-06"])
    content = store.read(f"episodes/{part}")
    (tmp_path / "episodes" / part).write_bytes(b"damaged")
    parts = built(source, tmp_path, source.of(ANNA, 0, 600))
    assert commit_changes(store, parts, change_options(1)) == 2
    (tmp_path / "episodes" / part).write_bytes(content)
    assert_good(tmp_path)


def test_a_shard_with_rows_of_days_far_off_is_written_again_whole(source: Input, tmp_path: Path) -> None:
    """As `compact` makes them: the rows that stay lie in a part that the changed segments cannot touch."""
    far = publish(tmp_path / "in", {(ANNA, 0), (ANNA, 600), (ANNA, 900_000)})
    output = tmp_path / "out"
    commit(output, built(far, output, far.of(ANNA, 0), far.of(ANNA, 900_000)))
    before = [row for row in steps(output) if row["recording"] == "r900000"]
    commit(output, built(far, output, far.of(ANNA, 0, 600)))
    assert committed_spans(output) == [(2, 1), (1, 0)]
    assert [row for row in steps(output) if row["recording"] == "r900000"] == before != []


def test_two_rounds_of_one_participant_in_one_commit(source: Input, tmp_path: Path) -> None:
    first = built(source, tmp_path, source.of(ANNA, 0), source.of(ANNA, 5000), round_=1)
    second = built(source, tmp_path, source.of(ANNA, 0, 600), round_=2)
    assert commit(tmp_path, together(second, first)) == 0
    assert committed_spans(tmp_path) == [(2, 1), (1, 0)]


def test_a_retried_bundle_that_wrote_its_steps_into_another_shard_counts_once(source: Input, tmp_path: Path) -> None:
    whole = built(source, tmp_path, source.of(ANNA, 0), source.of(ANNA, 5000))
    part = built(source, tmp_path, source.of(ANNA, 0))
    assert commit(tmp_path, together(whole, part, whole)) == 0
    other = tmp_path / "other"
    commit(other, built(source, other, source.of(ANNA, 0), source.of(ANNA, 5000)))
    assert steps(tmp_path) == steps(other)


def test_a_provisional_span_is_marked_and_replaced(source: Input, tmp_path: Path) -> None:
    commit(tmp_path, built(source, tmp_path, source.of(ANNA, 0), provisional=True))
    assert all("provisional" in row["flags"] for row in read_episodes(LocalStore(str(tmp_path))).to_pylist())
    assert commit(tmp_path, built(source, tmp_path, source.of(ANNA, 0))) == 1
    rows = read_episodes(LocalStore(str(tmp_path))).to_pylist()
    assert not any("provisional" in row["flags"] for row in rows)
    assert committed_spans(tmp_path) == [(1, 1)]
    assert commit(tmp_path, built(source, tmp_path, source.of(ANNA, 0, 600), provisional=True)) is None


@pytest.mark.parametrize("rebase", [False, True])
def test_nothing_changed_is_no_commit(source: Input, tmp_path: Path, rebase: bool) -> None:
    assert commit(tmp_path, {}, rebase=rebase) is None
    parts = built(source, tmp_path, source.of(ANNA, 0))
    commit(tmp_path, parts, rebase=rebase)
    before = contents(tmp_path)
    assert commit(tmp_path, {}, rebase=rebase) is None
    assert commit(tmp_path, {ACCOUNT: [b'{"segments.read": 1, "segments.waiting": 1}']}, rebase=rebase) is None
    assert commit(tmp_path, parts, run_id="other", rebase=rebase) is None
    assert contents(tmp_path) == before


# ------------------------------------------------------------------------------------------------ dead, late, gone


def test_a_dead_segment_is_carried_on_until_it_is_built(source: Input, tmp_path: Path) -> None:
    root = tmp_path / "in"
    shutil.copytree(source.root, root)
    mine, output = Input(root, source.names), tmp_path / "out"
    [name] = mine.of(ANNA, 5000)
    content = (root / str(name)).read_bytes()
    (root / str(name)).write_bytes(content[:-9])
    commit(output, built(mine, output, mine.of(ANNA, 0), [name]))
    letter, listed = facts(output)["dead_letter"], facts(output)["listed_bytes"]
    commit(output, built(mine, output, mine.of(ANNA, 90_000)))
    assert facts(output)["dead_letter"] == letter
    assert commit(output, built(mine, output, [name])) is None
    (root / str(name)).write_bytes(content)
    commit(output, built(mine, output, [name]))
    assert facts(output)["dead_letter"] is None
    assert len(committed_spans(output)) == 3
    more = sum((root / str(one)).stat().st_size for one in mine.of(ANNA, 90_000))
    assert facts(output)["listed_bytes"]["train"] == listed["train"] + more


def test_late_segments_are_noted_and_counted_once(source: Input, tmp_path: Path) -> None:
    commit(tmp_path, built(source, tmp_path, source.of(ANNA, 0)))
    [new, known] = source.of(ANNA, 5000, 0)
    assert commit(tmp_path, late(new, known, new), rebase=True) == 1
    account = facts(tmp_path)["account"]
    assert account == {"events.late": new.events, "events.read": new.events, "segments.late": 1, "segments.read": 1}
    [file] = (tmp_path / "late").iterdir()
    assert json.loads(file.read_text())["file"] == new.file
    assert commit(tmp_path, late(new), rebase=True, run_id="again") is None
    assert list((tmp_path / "late").iterdir()) == [file]


def test_late_segments_are_counted_also_if_another_run_was_faster(
    source: Input, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once, lost = committing.commit_episodes, []

    def overtaken(*args: Any, **chosen: Any) -> int:
        if not lost:
            lost.append(True)
            raise ConflictError("another run has committed in the meantime")
        return once(*args, **chosen)

    monkeypatch.setattr(committing, "commit_episodes", overtaken)
    assert commit(tmp_path, late(*source.of(ANNA, 0, 600)), rebase=True) == 0
    assert facts(tmp_path)["account"]["segments.late"] == 2


def test_a_stream_that_does_not_know_what_another_run_committed_takes_nothing_away(
    source: Input, tmp_path: Path
) -> None:
    """The other run took up a segment from `late/`; the stream's span lacks it."""
    commit(tmp_path, built(source, tmp_path, source.of(ANNA, 0, 600)))
    before = steps(tmp_path)
    assert commit(tmp_path, built(source, tmp_path, source.of(ANNA, 600, 1200)), rebase=True) == 1
    assert steps(tmp_path) == before
    [file] = (tmp_path / "late").iterdir()
    assert [json.loads(line)["file"] for line in file.read_text().splitlines()] == [source.names[ANNA, 1200].file]


def test_a_span_past_retention_stays_and_what_joins_it_is_dead(source: Input, tmp_path: Path) -> None:
    root = tmp_path / "in"
    shutil.copytree(source.root, root)
    mine, output = Input(root, source.names), tmp_path / "out"
    commit(output, built(mine, output, mine.of(ANNA, 0)))
    before = steps(output)
    (root / str(mine.names[ANNA, 0])).unlink()
    assert commit(output, built(mine, output, mine.of(ANNA, 0, 600))) == 1
    assert steps(output) == before
    [line] = (output / facts(output)["dead_letter"]).read_text().splitlines()
    assert (json.loads(line)["code"], json.loads(line)["segment"]) == (
        "span_past_retention",
        str(mine.names[ANNA, 600]),
    )
    assert commit(output, built(mine, output, mine.of(ANNA, 0, 600))) is None


# ------------------------------------------------------------------------------------------------ again, at once


@pytest.mark.parametrize("rebase", [False, True])
def test_a_commit_that_is_done_again_changes_nothing(source: Input, tmp_path: Path, rebase: bool) -> None:
    commit(tmp_path, built(source, tmp_path, source.of(ANNA, 0), source.of(ANNA, 5000)))
    parts = built(source, tmp_path, source.of(ANNA, 0, 600))
    options_ = change_options(0, run_id="mine", rebase=rebase)
    store = LocalStore(str(tmp_path))
    assert commit_changes(store, parts, options_) == 1
    before = contents(tmp_path)
    for _ in range(2):
        assert commit_changes(store, {tag: part[::-1] for tag, part in parts.items()}, options_) == 1
    assert contents(tmp_path) == before


@pytest.mark.parametrize("rebase", [False, True])
def test_a_commit_that_is_done_many_times_at_once_is_one(source: Input, tmp_path: Path, rebase: bool) -> None:
    commit(tmp_path, built(source, tmp_path, source.of(ANNA, 0), source.of(ANNA, 5000)))
    parts = built(source, tmp_path, source.of(ANNA, 0, 600))
    options_ = change_options(0, run_id="mine", rebase=rebase)
    assert at_once([lambda: commit_changes(LocalStore(str(tmp_path)), parts, options_)] * 6) == [1] * 6
    assert assert_good(tmp_path).version == 1
    assert committed_spans(tmp_path) == [(2, 1), (1, 0)]


def test_of_runs_that_commit_at_once_one_wins(source: Input, tmp_path: Path) -> None:
    commit(tmp_path, built(source, tmp_path, source.of(ANNA, 0)))
    several = [built(source, tmp_path, source.of(person, 5000)) for person in (ANNA, BEN, VERA)]
    store = LocalStore(str(tmp_path))
    found = at_once(
        [lambda n=n, p=p: commit_changes(store, p, change_options(0, run_id=f"run-{n}")) for n, p in enumerate(several)]
    )
    assert sorted(str(type(one).__name__) for one in found) == ["ConflictError", "ConflictError", "int"]
    assert assert_good(tmp_path).version == 1
    assert len(committed_spans(tmp_path)) == 2


def test_streams_that_commit_at_once_all_come_in(source: Input, tmp_path: Path) -> None:
    several = [
        built(source, tmp_path, source.of(person, *starts))
        for person in (ANNA, BEN, VERA)
        for starts in ([0, 600], [5000])
    ]
    store = LocalStore(str(tmp_path))
    found = at_once(
        [lambda p=p: commit_changes(store, p, change_options(None, run_id="job", rebase=True)) for p in several]
    )
    assert sorted(found) == list(range(6))
    assert assert_good(tmp_path).version == 5
    assert sorted(committed_spans(tmp_path)) == [(1, 0)] * 3 + [(2, 0)] * 3


def test_from_an_old_base_an_incremental_run_changes_nothing_and_a_stream_resolves_anew(
    source: Input, tmp_path: Path
) -> None:
    commit(tmp_path, built(source, tmp_path, source.of(ANNA, 0)))
    commit(tmp_path, built(source, tmp_path, source.of(BEN, 0)))
    parts = built(source, tmp_path, source.of(ANNA, 0, 600))
    before = contents(tmp_path)
    with pytest.raises(ConflictError):
        commit(tmp_path, parts, base=0, run_id="old")
    assert {name: data for name, data in contents(tmp_path).items() if name in before} == before
    assert commit(tmp_path, parts, base=0, run_id="old", rebase=True) == 2
    assert sorted(committed_spans(tmp_path)) == [(1, 0), (2, 1)]


def test_a_stream_does_not_mix_with_rows_that_were_made_by_other_options(source: Input, tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    commit(tmp_path, built(source, tmp_path, source.of(ANNA, 0)))
    other = change_options(None, rebase=True)
    other.metadata["options"]["session_gap_s"] = 1.0
    with pytest.raises(ConflictError, match="other options"):
        commit_changes(store, built(source, tmp_path, source.of(BEN, 0)), other)
    assert current_version(store) == 0


def test_a_round_that_comes_after_the_next_one_changes_nothing(source: Input, tmp_path: Path) -> None:
    output = tmp_path / "out"
    commit(output, built(source, output, source.of(ANNA, 0, 600), round_=2), rebase=True)
    before = contents(output)
    stale = built(source, tmp_path / "scratch", source.of(ANNA, 0), round_=1)
    assert commit(output, stale, rebase=True, run_id="again") is None
    assert contents(output) == before


# ------------------------------------------------------------------------------- a stream beside incremental runs

MIDNIGHT_S = 15 * 3600
"""From the first day's start, nine o'clock."""
TOUCHING_S = [
    (0, 600),
    (600, 0),
    (MIDNIGHT_S - 300, MIDNIGHT_S + 200),
    (MIDNIGHT_S + 200, MIDNIGHT_S - 300),
]
"""Two segments less than 12 minutes apart, on one day and on two."""


def added(source: Input, output: Path) -> None:
    """An incremental run after which nothing waits."""
    launch(places(source.root, output), OPTIONS, [], incremental=IncrementalOptions(final=True))


def streamed(source: Input, output: Path, *several: Parts, base: int | None = None) -> int | None:
    """What a stream of the same making commits."""
    found = commit_of(LocalStore(str(output)))
    facts_ = {name: (found.metadata if found else {})[name] for name in ("options", "versions", "input", "as_of")}
    options_ = replace(change_options(base, run_id="job", rebase=True), metadata=facts_ | {"kind": "streaming"})
    return commit_changes(LocalStore(str(output)), together(*several), options_)


def late_names(output: Path) -> set[str]:
    return {json.loads(line)["file"] for file in (output / "late").glob("*") for line in file.read_text().splitlines()}


@pytest.mark.parametrize(("there_s", "new_s"), TOUCHING_S)
def test_what_touches_a_span_of_another_run_is_late_and_joins_it_in_the_next_run(
    tmp_path: Path, there_s: int, new_s: int
) -> None:
    output, batch = tmp_path / "out", tmp_path / "batch"
    publish(tmp_path / "in", {(ANNA, there_s)})
    added(publish(tmp_path / "in", {(ANNA, there_s), (BEN, 0)}), output)
    all_ = publish(tmp_path / "in", {(ANNA, there_s), (ANNA, new_s), (BEN, 0)})
    parts = built(all_, output, all_.of(ANNA, new_s))
    assert streamed(all_, output, parts) == 1
    assert_good(output)
    assert late_names(output) == {all_.names[ANNA, new_s].file}
    assert facts(output)["account"]["segments.late"] == 1
    assert facts(output)["imbalances"] == []
    assert sorted(committed_spans(output)) == [(1, 0), (1, 0)]
    added(all_, output)
    assert late_names(output) == set()
    launch(places(all_.root, batch), OPTIONS, [])
    without = ("revision", *PLACE_COLUMNS)
    assert episodes(output, without) == episodes(batch, without)
    assert steps(output) == steps(batch)
    assert sorted(committed_spans(output)) == [(1, 0), (2, 1)]


def test_what_is_late_by_another_run_is_noted_once_if_it_is_done_again_or_at_once(tmp_path: Path) -> None:
    output = tmp_path / "out"
    added(publish(tmp_path / "in", {(ANNA, 0)}), output)
    all_ = publish(tmp_path / "in", {(ANNA, 0), (ANNA, 600), (BEN, 0)})
    parts = built(all_, output, all_.of(ANNA, 600))
    assert at_once([lambda: streamed(all_, output, parts)] * 4) == [1] * 4
    streamed(all_, output, built(all_, output, all_.of(BEN, 0)))
    assert streamed(all_, output, parts, base=0) == 1
    assert late_names(output) == {all_.names[ANNA, 600].file}
    assert len(list((output / "late").iterdir())) == 1
    assert assert_good(output).version == 2
    added(all_, output)
    assert streamed(all_, output, parts) == 1
    assert sorted(committed_spans(output)) == [(1, 0), (2, 1)]


def test_the_next_piece_of_what_is_cut_on_the_grid_is_not_late(tmp_path: Path) -> None:
    source, output = publish(tmp_path / "in", {(ANNA, start) for start in (0, 600, 1200, 1900)}), tmp_path / "out"
    short = replace(change_options(None, run_id="job", rebase=True), spans=options(longest_span_h=0.5).spans)
    store = LocalStore(str(output))
    assert commit_changes(store, built(source, output, source.of(ANNA, 0, 600, 1200)), short) == 0
    assert commit_changes(store, built(source, output, source.of(ANNA, 1900)), short) == 1
    assert late_names(output) == set()
    assert committed_spans(output) == [(3, 0), (1, 0)]


def test_what_is_to_be_cut_by_dead_segments_is_late(tmp_path: Path) -> None:
    source, output = publish(tmp_path / "in", {(ANNA, start) for start in (0, 600, 1200, 1900)}), tmp_path / "out"
    short = replace(change_options(None, run_id="job", rebase=True), spans=options(longest_span_h=0.5).spans)
    store = LocalStore(str(output))
    for path in (source.root / str(name) for name in source.of(ANNA, 0, 600)):
        path.write_bytes(path.read_bytes()[:-9])
    assert commit_changes(store, built(source, output, source.of(ANNA, 0, 600)), short) == 0
    assert commit_changes(store, built(source, output, source.of(ANNA, 1200, 1900)), short) == 1
    assert late_names(output) == {source.names[ANNA, start].file for start in (1200, 1900)}


# ------------------------------------------------------------------------------------------------ killed


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commits whose process dies before it publishes."""
    with monkeypatch.context() as patch:
        patch.setattr(committing, "publish_steps", lambda store: None)
        patch.setattr(committing, "write_card", lambda store: None)
        yield


def test_versions_that_were_not_published_are_published_together(
    source: Input, tmp_path: Path, killed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(str(tmp_path))
    for number, starts in enumerate([[0], [0, 600], [5000], [0, 600, 1200]]):
        parts = built(source, tmp_path, source.of(ANNA, *starts))
        assert commit_changes(store, parts, change_options(number - 1 if number else None)) == number
        if number == 0:
            publish_steps(store)
    assert published_version(store) == 0
    monkeypatch.setattr(tables, "read_episodes", None)
    assert publish_steps(store) == 3
    monkeypatch.undo()
    write_card(store)
    assert assert_good(tmp_path).version == 3
    assert committed_spans(tmp_path) == [(3, 2), (1, 0)]


def test_a_commit_repairs_what_a_killed_one_left(
    source: Input, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(str(tmp_path))
    commit(tmp_path, built(source, tmp_path, source.of(ANNA, 0)))
    parts = built(source, tmp_path, source.of(ANNA, 0, 600))
    with monkeypatch.context() as patch:
        patch.setattr(committing, "publish_steps", lambda store: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            commit_changes(store, parts, change_options(0))
    assert published_version(store) == 0
    assert commit_changes(store, parts, change_options(0)) == 1
    assert assert_good(tmp_path).version == 1


def test_changes_go_on_after_a_rollback(source: Input, tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    commit(tmp_path, built(source, tmp_path, source.of(ANNA, 0)))
    commit(tmp_path, built(source, tmp_path, source.of(ANNA, 0, 600)))
    assert rollback(store, 0, run_id="back") == 2
    assert_good(tmp_path)
    assert commit(tmp_path, built(source, tmp_path, source.of(ANNA, 0, 600, 1200))) == 3
    assert committed_spans(tmp_path) == [(3, 1)]


# ------------------------------------------------------------------------------------------------ any history


@st.composite
def pieces(draw: st.DrawFn) -> list[tuple[str, tuple[int, ...], int, bool]]:
    """What comes to one commit: (participant, starts of the segments taken up, round, provisional)."""
    starts = st.lists(st.sampled_from(STARTS_S), min_size=1, max_size=4, unique=True).map(tuple)
    piece = st.tuples(st.sampled_from([ANNA, VERA]), starts, st.integers(0, 2), st.sampled_from([False, False, True]))
    return draw(st.lists(piece, min_size=1, max_size=3))


@pytest.mark.slow
@pytest.mark.examples
@settings(max_examples=examples(10, in_soak=300), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(pieces(), min_size=1, max_size=4))
def test_after_any_history_the_dataset_is_good_and_has_the_spans_that_are_resolved(
    source: Input,
    tmp_path_factory: pytest.TempPathFactory,
    history: list[list[tuple[str, tuple[int, ...], int, bool]]],
) -> None:
    output = tmp_path_factory.mktemp("history") / "out"
    store, expected = LocalStore(str(output)), {}
    for number, at_once_ in enumerate(history):
        several = []
        for person, starts, round_, provisional in at_once_:
            planned = spans(source.of(person, *starts), gap_ms=OPTIONS.spans.gap_ms)
            lists = [list(one.segments) for one in planned]
            several.append(built(source, output, *lists, round_=round_, provisional=provisional))
        parts = together(*several)
        taken = [Taken.from_json(line) for line in parts[TAKEN]]
        found = resolve(expected.values(), groups_of(taken, decoded(parts)), OPTIONS.spans)
        expected = {key: one for key, one in expected.items() if key not in found.removed} | found.added
        commit(output, parts, run_id=f"job{number}", rebase=True)
    if current_version(store) is not None:
        rows = read_episodes(store)
        assert {one.key: one for one in spans_of(rows)} == expected
        assert_steps_are_those_of_their_spans(source, output, tmp_path_factory.mktemp("alone"))


def decoded(parts: Parts) -> Any:
    return committing._News.of(parts).rows


def assert_steps_are_those_of_their_spans(source: Input, output: Path, alone: Path) -> None:
    """Each span's rows and steps are as if it had been built and committed alone."""
    by_file = {(name.participant, name.file): name for name in source.names.values()}
    rows = read_episodes(LocalStore(str(output))).to_pylist()
    for number, span_id in enumerate(sorted({row["span_id"] for row in rows})):
        mine = [row for row in rows if row["span_id"] == span_id]
        names = [by_file[mine[0]["participant"], file] for file in mine[0]["segments"]]
        other = alone / str(number)
        commit(other, built(source, other, names))
        without = ("revision", "flags", *PLACE_COLUMNS)
        expected = read_episodes(LocalStore(str(other))).drop_columns(list(without)).to_pylist()
        assert [{k: v for k, v in row.items() if k not in without} for row in mine] == expected
        ids = {row["episode_id"] for row in mine}
        assert [row for row in steps(output) if row["episode_id"] in ids] == steps(other)
