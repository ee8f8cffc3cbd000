"""Incremental runs: whatever came when, in the end it is the dataset of one batch run; and what each run promises."""

from __future__ import annotations

import contextlib
import json
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import warm
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inputs import (
    ANNA,
    AS_OF,
    BEN,
    DAY_1,
    PLACE_COLUMNS,
    SECOND_US,
    TOM,
    Desk,
    assert_good,
    copy_of,
    episodes,
    files,
    grant,
    options,
    places,
    put,
    run,
    run_args,
    segment,
    shas,
    steps,
)
from typer.testing import CliRunner

from examples import examples
from taskreel.__main__ import app
from taskreel.io import dataset as datasets
from taskreel.io.consent import ConsentRecord
from taskreel.io.names import SegmentName
from taskreel.io.stores import LocalStore, open_store
from taskreel.io.tables import Commit, current_version, published_version
from taskreel.io.times import iso_from_us, us_from_iso
from taskreel.pipelines.errors import LaunchError, LostRaceError
from taskreel.pipelines.incremental import days_to_list
from taskreel.pipelines.launch import Outcome, launch
from taskreel.pipelines.options import IncrementalOptions
from taskreel.pipelines.summary import facts
from taskreel.rehearsal.gcs.server import GcsServer
from taskreel.transforms import commit as committing
from taskreel.transforms.build import _BuildDoFn
from taskreel.transforms.dead import Dead
from taskreel.transforms.plan import Known, plan

HISTORY = ("revision", *PLACE_COLUMNS)
"""What differs between a dataset that grew and one that was made at once."""
LONGEST_SPAN_H = 0.5
"""Short, so that spans are cut on the grid: the gap is 12 minutes."""


@dataclass(frozen=True)
class Piece:
    """A file of the input."""

    path: str
    data: bytes

    @property
    def name(self) -> SegmentName:
        return SegmentName.parse(self.path)


def piece(participant: str, start_s: float, *, picture: int = 0, **header: Any) -> Piece:
    """A segment of 81 seconds of work; those less than 12 minutes apart touch."""
    recording = f"r{int(start_s)}"
    desk = Desk(participant, "pc", recording, DAY_1 + int(start_s * SECOND_US)).work(0, picture).recording()
    name, data = segment(desk.header, desk.events, **header)
    return Piece(str(name), data)


def damaged(whole: Piece) -> Piece:
    return Piece(whole.path, whole.data[:99] + bytes([whole.data[99] ^ 1]) + whole.data[100:])


def publish(root: Path | str, *pieces: Piece) -> None:
    for one in pieces:
        open_store(str(root)).replace(one.path, one.data)


def consented(root: Path | str, *participants: str) -> None:
    grant(root, *(ConsentRecord(f"c-{name}", name, regions=("us",)) for name in participants))


def add(
    input_: Path | str,
    output: Path | str,
    *,
    as_of: str = AS_OF,
    span_h: float = 12.0,
    beam_args: Sequence[str] = (),
    **chosen: Any,
) -> Outcome:
    """An incremental run in this process, to its end; whatever it made is in balance."""
    outcome = launch(
        places(input_, output, as_of=as_of),
        options(longest_span_h=span_h),
        list(beam_args),
        incremental=IncrementalOptions(**chosen),
    )
    if outcome.is_new:
        assert facts(datasets.open(str(output)))["imbalances"] == []
    return outcome


def after(*pieces: Piece, minutes: float) -> str:
    """So many minutes after the last of them ends."""
    return iso_from_us(max(one.name.last_ms for one in pieces) * 1000 + int(minutes * 60) * SECOND_US)


def dead_letters(output: Path | str) -> list[str]:
    dataset = datasets.open(str(output))
    found = dataset.report()["dead_letter"]
    return dataset.store.read(found).decode().splitlines() if found else []


def codes(output: Path | str) -> list[str]:
    return sorted(Dead(**json.loads(line)).code for line in dead_letters(output))


def assert_same(output: Path | str, batch: Path | str) -> None:
    """The same episodes, steps and dead letters, apart from where they lie and how often they were built."""
    assert episodes(output, HISTORY) == episodes(batch, HISTORY)
    assert steps(output) == steps(batch)
    assert dead_letters(output) == dead_letters(batch)
    assert_good(output)


def spans_of(output: Path | str) -> list[tuple[int, int]]:
    """(segments, revision) of each span, in order of time."""
    found = {row["span_id"]: (len(row["segments"]), row["revision"]) for row in episodes(output)}
    return list(found.values())


# ------------------------------------------------------------------- whatever came when, it ends as one batch run


@pytest.fixture(scope="module")
def pool() -> list[Piece]:
    """Files that meet all rules: chains longer than a span, holes, dead bridges, refusals, a file that is none."""
    chain = [piece(ANNA, start_s) for start_s in (0, 500, 1100, 1700, 2400, 3000, 5000)]
    ben = [piece(BEN, start_s, picture=2) for start_s in (0, 300, 700, 1400)]
    ben[2] = damaged(ben[2])
    refused = [piece(TOM, 0), piece(TOM, 500, region="eu"), piece(TOM, 1000)]
    return [*chain, *ben, *refused, Piece("segments/v1/day=2026-01-05/notes.txt", b"by hand")]


@pytest.fixture(scope="module")
def whole(pool: list[Piece], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset of one batch run over the pool. Read it only."""
    folder = tmp_path_factory.mktemp("whole")
    consented(folder / "in", ANNA, BEN, TOM)
    publish(folder / "in", *pool)
    launch(places(folder / "in", folder / "out"), options(longest_span_h=LONGEST_SPAN_H), [])
    return folder / "out"


class KilledError(Exception):
    """Stands for the end of a process."""


def _before_commit(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(committing, "commit_changes", _die)


def _before_publish(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(committing, "publish_steps", _die)


def _before_card(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(committing, "write_card", _die)


def _while_building(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(_BuildDoFn, "_together", _die)


def _die(*_: Any, **__: Any) -> Any:
    raise KilledError


KILLS: list[Callable[[pytest.MonkeyPatch], None]] = [_while_building, _before_commit, _before_publish, _before_card]


@dataclass(frozen=True)
class Step:
    """A run of a history: what is published before it, its time, whether it is the last, how it is killed."""

    pieces: list[int]
    as_of_minutes: int
    final: bool
    kill: int | None


@st.composite
def histories(draw: st.DrawFn, count: int) -> list[Step]:
    runs = draw(st.integers(1, 4))
    when = [draw(st.integers(0, runs - 1)) for _ in range(count)]
    moving = draw(st.booleans())
    minutes, steps_ = 20, []
    for number in range(runs):
        minutes += draw(st.integers(0, 60)) if moving else 0
        steps_.append(
            Step(
                [index for index, at in enumerate(when) if at == number],
                minutes,
                draw(st.integers(0, 4)) == 0,
                draw(st.one_of(st.none(), st.integers(0, len(KILLS) - 1))),
            )
        )
    return steps_


def _live(history: list[Step], pool: list[Piece], folder: Path) -> None:
    """Publish bit by bit, run after each, killed or not; then all of it is there and a final run follows."""
    consented(folder / "in", ANNA, BEN, TOM)
    for step in history:
        publish(folder / "in", *(pool[index] for index in step.pieces))
        as_of = iso_from_us(DAY_1 + step.as_of_minutes * 60 * SECOND_US)
        if not (folder / "in" / "segments").exists():
            continue
        for kill in [step.kill, None] if step.kill is not None else [None]:
            _add_killed(folder, kill, as_of=as_of, span_h=LONGEST_SPAN_H, final=step.final)


def _add_killed(folder: Path, kill: int | None, **chosen: Any) -> None:
    """A run, to its end or killed; when only a file that is no segment is there yet, it is refused."""
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(LaunchError):
        if kill is None:
            add(folder / "in", folder / "out", **chosen)
            return
        KILLS[kill](patch)
        try:
            add(folder / "in", folder / "out", **chosen)
        except Exception as error:
            if isinstance(error, LaunchError) or KilledError.__name__ not in repr(error):
                raise


def _assert_ends_as_batch(history: list[Step], pool: list[Piece], whole: Path, folder: Path) -> None:
    _live(history, pool, folder)
    add(folder / "in", folder / "out", final=True, span_h=LONGEST_SPAN_H)
    assert_same(folder / "out", whole)
    assert not add(folder / "in", folder / "out", final=True, span_h=LONGEST_SPAN_H).is_new


@pytest.mark.slow
@pytest.mark.examples
@settings(max_examples=examples(4, in_soak=300), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories(15))
def test_any_history_ends_as_one_batch_run(
    history: list[Step], pool: list[Piece], whole: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    _assert_ends_as_batch(history, pool, whole, tmp_path_factory.mktemp("history"))


def test_a_run_after_every_file_ends_as_one_batch_run(pool: list[Piece], whole: Path, tmp_path: Path) -> None:
    history = [Step([index], 20 + index * 7, False, None) for index in range(len(pool))]
    _assert_ends_as_batch(history, pool, whole, tmp_path)


def test_the_people_with_all_their_devices_end_as_one_batch_run(people: Path, plain: Path, tmp_path: Path) -> None:
    """By the end of each day, and then all at once; the options of `plain`."""
    for as_of in ("2026-01-05T12:00:00Z", "2026-01-06T00:00:00Z", "2026-01-06T14:05:00Z"):
        add(people, tmp_path / "out", as_of=as_of)
    add(people, tmp_path / "out", final=True)
    assert_same(tmp_path / "out", plain)


@pytest.mark.prism
def test_on_prism_it_ends_as_one_batch_run(people: Path, plain: Path, tmp_path: Path, prism_options: list[str]) -> None:
    for chosen in ({"as_of": "2026-01-05T10:00:00Z"}, {"as_of": "2026-01-05T10:00:00Z"}, {"final": True}):
        add(people, tmp_path / "out", beam_args=prism_options, **chosen)
    assert_same(tmp_path / "out", plain)


def test_a_dataset_of_a_batch_run_is_gone_on_from(pool: list[Piece], whole: Path, tmp_path: Path) -> None:
    folder, early = tmp_path / "in", iso_from_us(DAY_1 + 3600 * SECOND_US)
    consented(folder, ANNA, BEN, TOM)
    publish(folder, *pool[::2])
    launch(places(folder, tmp_path / "out", as_of=early), options(longest_span_h=LONGEST_SPAN_H), [])
    publish(folder, *pool)
    add(folder, tmp_path / "out", final=True, span_h=LONGEST_SPAN_H)
    assert_same(tmp_path / "out", whole)


# --------------------------------------------------------------------------------------------- late segments


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An input with consent and nothing else."""
    consented(tmp_path / "in", ANNA, BEN, TOM)
    return tmp_path / "in"


def test_what_may_still_grow_waits(root: Path, tmp_path: Path) -> None:
    early, late = piece(ANNA, 0), piece(ANNA, 3600)
    publish(root, early, late)
    outcome = add(root, tmp_path / "out", as_of=after(late, minutes=26))  # deadline 15 and gap 12 minutes
    account = outcome.metadata["account"]
    assert (outcome.waiting, account["segments.built"], account["segments.read"]) == (1, 1, 2)
    assert account["events.waiting"] == late.name.events
    assert spans_of(tmp_path / "out") == [(1, 0)]
    assert add(root, tmp_path / "out", as_of=after(late, minutes=27)).waiting == 0
    assert spans_of(tmp_path / "out") == [(1, 0), (1, 0)]


def test_a_late_segment_reopens_the_span_that_it_touches_and_no_other(root: Path, tmp_path: Path) -> None:
    publish(root, piece(ANNA, 0), piece(ANNA, 5000), piece(BEN, 0), piece(BEN, 300))
    add(root, tmp_path / "out", as_of="2026-01-06T00:00:00Z")
    before = {row["episode_id"]: row for row in episodes(tmp_path / "out") if row["start_us"] >= DAY_1 + 4e9}
    before_steps = steps(tmp_path / "out", [BEN])
    publish(root, piece(ANNA, 400))
    outcome = add(root, tmp_path / "out", as_of="2026-01-06T01:00:00Z")
    assert outcome.metadata["account"]["segments.built"] == 2
    assert [found for found in spans_of(tmp_path / "out") if found[1]] == [(2, 1)]
    now = {row["episode_id"]: row for row in episodes(tmp_path / "out")}
    for episode_id, row in before.items():
        assert {k: v for k, v in now[episode_id].items() if k not in PLACE_COLUMNS} == (
            {k: v for k, v in row.items() if k not in PLACE_COLUMNS}
        )
    assert steps(tmp_path / "out", [BEN]) == before_steps
    run(root, tmp_path / "batch")
    assert_same(tmp_path / "out", tmp_path / "batch")


def test_rows_whose_shard_holds_nothing_that_is_replaced_keep_shard_and_bytes(root: Path, tmp_path: Path) -> None:
    publish(root, piece(ANNA, 0))
    add(root, tmp_path / "out", as_of="2026-01-06T00:00:00Z")
    publish(root, piece(BEN, 0))
    add(root, tmp_path / "out", as_of="2026-01-06T01:00:00Z")
    publish(root, piece(ANNA, 400))
    before = {row["participant"]: row["shard"] for row in episodes(tmp_path / "out")}
    bytes_before = shas(tmp_path / "out")
    add(root, tmp_path / "out", as_of="2026-01-06T02:00:00Z")
    now = {row["participant"]: row["shard"] for row in episodes(tmp_path / "out")}
    assert now[BEN] == before[BEN]
    assert now[ANNA] != before[ANNA]
    assert shas(tmp_path / "out")[now[BEN]] == bytes_before[now[BEN]]
    assert before[ANNA] not in shas(tmp_path / "out")


def test_a_segment_that_closes_a_hole_merges_two_spans(root: Path, tmp_path: Path) -> None:
    publish(root, piece(ANNA, 0), piece(ANNA, 1400))
    add(root, tmp_path / "out")
    assert spans_of(tmp_path / "out") == [(1, 0), (1, 0)]
    publish(root, piece(ANNA, 700))
    add(root, tmp_path / "out")
    assert spans_of(tmp_path / "out") == [(3, 1)]
    run(root, tmp_path / "batch")
    assert_same(tmp_path / "out", tmp_path / "batch")


def test_a_span_is_cut_anew_by_a_segment_that_makes_its_chain_too_long(root: Path, tmp_path: Path) -> None:
    """Nothing in the committed span is new, and yet it comes out as two: the grid is at every half hour."""
    publish(root, piece(ANNA, 1750), piece(ANNA, 2350), piece(ANNA, 2950))
    add(root, tmp_path / "out", span_h=LONGEST_SPAN_H)
    assert spans_of(tmp_path / "out") == [(3, 0)]
    publish(root, piece(ANNA, 3650))
    add(root, tmp_path / "out", span_h=LONGEST_SPAN_H)
    assert spans_of(tmp_path / "out") == [(1, 1), (2, 1), (1, 0)]
    launch(places(root, tmp_path / "batch"), options(longest_span_h=LONGEST_SPAN_H), [])
    assert_same(tmp_path / "out", tmp_path / "batch")


def test_a_dead_segment_that_closes_a_hole_merges_nothing(root: Path, tmp_path: Path) -> None:
    publish(root, piece(ANNA, 0), piece(ANNA, 1400))
    add(root, tmp_path / "out")
    publish(root, damaged(piece(ANNA, 700)))
    add(root, tmp_path / "out")
    assert [segments for segments, _ in spans_of(tmp_path / "out")] == [1, 1]
    assert codes(tmp_path / "out") == ["altered"]
    run(root, tmp_path / "batch")
    assert_same(tmp_path / "out", tmp_path / "batch")


def test_a_segment_of_a_day_long_past_is_found_by_rescan(root: Path, tmp_path: Path) -> None:
    publish(root, piece(ANNA, 86_400 * 20))
    add(root, tmp_path / "out", rescan_days=0)
    publish(root, piece(ANNA, 0))
    assert not add(root, tmp_path / "out", rescan_days=0).is_new
    assert add(root, tmp_path / "out", rescan=True).is_new


def test_a_segment_of_a_day_long_past_is_found_after_some_runs(root: Path, tmp_path: Path) -> None:
    publish(root, *(piece(ANNA, 86_400 * day) for day in range(4)))
    publish(root, piece(ANNA, 86_400 * 20))
    add(root, tmp_path / "out")
    publish(root, piece(ANNA, 500))
    later = us_from_iso(AS_OF)
    for number in range(1, 100):
        outcome = add(root, tmp_path / "out", as_of=iso_from_us(later + number * SECOND_US), rescan_days=1)
        if outcome.is_new:
            break
    assert outcome.metadata["account"]["segments.built"] == 2


# ------------------------------------------------------------------------------- late/, dead letters, consent


def _late(output: Path, *pieces: Piece) -> str:
    lines = [
        {"participant": one.name.participant, "file": one.name.file, "size_bytes": len(one.data), "reason": "too late"}
        for one in pieces
    ]
    return put(output, "late/0123456789ab.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode())


def test_what_came_too_late_for_a_stream_is_taken_up_and_forgotten(root: Path, tmp_path: Path) -> None:
    publish(root, piece(ANNA, 86_400 * 20))
    add(root, tmp_path / "out")
    publish(root, piece(ANNA, 0), piece(ANNA, 400))
    late = _late(tmp_path / "out", piece(ANNA, 0), piece(ANNA, 400), piece(ANNA, 86_400 * 20))
    outcome = add(root, tmp_path / "out", rescan_days=0)
    assert outcome.metadata["account"]["segments.built"] == 2
    assert not (tmp_path / "out" / late).exists()
    run(root, tmp_path / "batch")
    assert_same(tmp_path / "out", tmp_path / "batch")


def test_a_late_file_stays_as_long_as_a_name_in_it_waits(root: Path, tmp_path: Path) -> None:
    old, recent = piece(ANNA, 0), piece(ANNA, 3600)
    publish(root, old, recent)
    late = _late(tmp_path / "out", old, recent)
    add(root, tmp_path / "out", as_of=after(recent, minutes=20))
    assert (tmp_path / "out" / late).exists()
    add(root, tmp_path / "out", as_of=after(recent, minutes=30))
    assert not (tmp_path / "out" / late).exists()


def test_a_dead_letter_is_looked_at_once(root: Path, tmp_path: Path) -> None:
    publish(root, damaged(piece(ANNA, 0)), piece(ANNA, 5000))
    put(root, "segments/v1/day=2026-01-05/notes.txt", b"by hand")
    assert add(root, tmp_path / "out").metadata["account"]["segments.dead"] == 2
    assert not add(root, tmp_path / "out", rescan=True).is_new
    publish(root, piece(ANNA, 9000))
    outcome = add(root, tmp_path / "out")
    assert outcome.metadata["account"].get("segments.dead", 0) == 0
    assert codes(tmp_path / "out") == ["altered", "name"]


def test_a_repaired_segment_is_taken_with_retry_dead(root: Path, tmp_path: Path) -> None:
    publish(root, damaged(piece(ANNA, 0)))
    add(root, tmp_path / "out")
    publish(root, piece(ANNA, 0))
    assert not add(root, tmp_path / "out", rescan=True).is_new
    add(root, tmp_path / "out", retry_dead=True)
    assert (codes(tmp_path / "out"), len(spans_of(tmp_path / "out"))) == ([], 1)


def test_a_consent_record_that_comes_later_lets_its_segments_in(tmp_path: Path) -> None:
    root = tmp_path / "in"
    publish(root, piece(ANNA, 0), piece(ANNA, 400))
    assert add(root, tmp_path / "out").metadata["account"]["segments.refused.consent_unknown"] == 2
    assert not add(root, tmp_path / "out").is_new
    consented(root, ANNA)
    add(root, tmp_path / "out", rescan_days=0)
    assert spans_of(tmp_path / "out") == [(2, 0)]
    assert codes(tmp_path / "out") == []
    run(root, tmp_path / "batch")
    assert_same(tmp_path / "out", tmp_path / "batch")


def test_a_consent_record_that_changed_and_still_refuses_leaves_a_new_reason(root: Path, tmp_path: Path) -> None:
    publish(root, piece(ANNA, 0, region="eu"))
    add(root, tmp_path / "out")
    grant(root, ConsentRecord(f"c-{ANNA}", ANNA, regions=("us", "ca")))
    assert add(root, tmp_path / "out").is_new
    assert not add(root, tmp_path / "out").is_new
    run(root, tmp_path / "batch")
    assert_same(tmp_path / "out", tmp_path / "batch")


def test_a_withdrawn_consent_keeps_a_reopened_span_out(root: Path, tmp_path: Path) -> None:
    publish(root, piece(ANNA, 0), piece(BEN, 0))
    add(root, tmp_path / "out", as_of="2026-01-06T00:00:00Z")
    withdrawn = us_from_iso("2026-01-07T00:00:00Z")
    grant(root, ConsentRecord(f"c-{ANNA}", ANNA, regions=("us",), withdrawn_at_us=withdrawn))
    publish(root, piece(ANNA, 400))
    add(root, tmp_path / "out")
    assert {row["participant"] for row in episodes(tmp_path / "out")} == {BEN}
    assert codes(tmp_path / "out") == ["consent_withdrawn"] * 2
    run(root, tmp_path / "batch")
    assert_same(tmp_path / "out", tmp_path / "batch")


def test_what_lay_in_the_future_is_looked_at_again_when_it_has_come(root: Path, tmp_path: Path) -> None:
    ahead = piece(ANNA, 3600)
    publish(root, piece(ANNA, 0), ahead)
    add(root, tmp_path / "out", as_of=after(piece(ANNA, 0), minutes=5), final=True)
    assert codes(tmp_path / "out") == ["future"]
    add(root, tmp_path / "out", as_of=after(ahead, minutes=5))
    assert codes(tmp_path / "out") == ["future"]  # its span may still grow
    add(root, tmp_path / "out", as_of=after(ahead, minutes=30))
    assert (codes(tmp_path / "out"), spans_of(tmp_path / "out")) == ([], [(1, 0), (1, 0)])


# ------------------------------------------------------------------------------------------------ retention


def test_a_span_past_retention_stays_and_what_touches_it_late_is_a_dead_letter(root: Path, tmp_path: Path) -> None:
    old = piece(ANNA, 0)
    publish(root, old, piece(BEN, 0))
    add(root, tmp_path / "out")
    before = episodes(tmp_path / "out"), steps(tmp_path / "out")
    (root / old.path).unlink()
    publish(root, piece(ANNA, 400))
    outcome = add(root, tmp_path / "out")
    assert (episodes(tmp_path / "out"), steps(tmp_path / "out")) == before
    assert codes(tmp_path / "out") == ["span_past_retention"]
    assert outcome.metadata["account"]["segments.dead"] == 1
    assert not add(root, tmp_path / "out").is_new


def test_a_segment_that_went_before_it_was_read_is_as_if_it_had_not_been(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(root, piece(ANNA, 0), piece(ANNA, 400), piece(BEN, 0))
    gone = root / piece(ANNA, 400).path
    together = LocalStore.read

    def read(store: LocalStore, name: str) -> bytes:
        if name == piece(ANNA, 400).path:
            gone.unlink(missing_ok=True)
        return together(store, name)

    monkeypatch.setattr(LocalStore, "read", read)
    outcome = add(root, tmp_path / "out")
    assert outcome.metadata["account"]["segments.waiting"] == 2
    assert {row["participant"] for row in episodes(tmp_path / "out")} == {BEN}
    add(root, tmp_path / "out")
    assert sorted(spans_of(tmp_path / "out")) == [(1, 0), (1, 0)]


# ------------------------------------------------------------------------------------- nothing new, races, kills


def _contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files(folder)}


def test_a_run_that_finds_nothing_new_makes_no_commit(root: Path, tmp_path: Path) -> None:
    publish(root, piece(ANNA, 0), damaged(piece(BEN, 0)))
    add(root, tmp_path / "out")
    before = _contents(tmp_path / "out")
    for chosen in ({}, {"rescan": True}, {"final": True}):
        outcome = add(root, tmp_path / "out", as_of="2026-03-01T00:00:00Z", **chosen)
        assert (outcome.is_new, outcome.version) == (False, 0)
    assert _contents(tmp_path / "out") == before


@pytest.mark.parametrize("kill", [_before_publish, _before_card])
def test_a_run_that_finds_nothing_new_finishes_what_a_killed_one_left(
    root: Path, tmp_path: Path, kill: Callable[[pytest.MonkeyPatch], None]
) -> None:
    publish(root, piece(ANNA, 0))
    add(root, tmp_path / "out")
    publish(root, piece(BEN, 0))
    with pytest.MonkeyPatch.context() as patch:
        kill(patch)
        with pytest.raises(Exception, match=KilledError.__name__):
            add(root, tmp_path / "out")
    assert not add(root, tmp_path / "out").is_new
    assert_good(tmp_path / "out")


def test_a_first_run_in_which_everything_waits_makes_no_dataset(root: Path, tmp_path: Path) -> None:
    publish(root, piece(ANNA, 0))
    outcome = add(root, tmp_path / "out", as_of=after(piece(ANNA, 0), minutes=1))
    assert (outcome.is_new, outcome.version, outcome.waiting) == (False, None, 1)
    assert current_version(LocalStore(str(tmp_path / "out"))) is None


def test_of_two_runs_at_once_one_wins_and_the_other_changes_nothing(root: Path, tmp_path: Path) -> None:
    publish(root, piece(ANNA, 0))
    add(root, tmp_path / "out", as_of="2026-01-06T00:00:00Z")
    publish(root, piece(BEN, 0))
    start, results = threading.Barrier(2), []

    def work() -> None:
        start.wait()
        try:
            results.append(add(root, tmp_path / "out").is_new)
        except LostRaceError:
            results.append("lost")

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert True in results
    assert set(results) <= {True, False, "lost"}, results  # False: it began after the other had ended
    run(root, tmp_path / "batch")
    assert current_version(LocalStore(str(tmp_path / "out"))) == 1
    assert_same(tmp_path / "out", tmp_path / "batch")


def test_a_run_that_another_overtook_says_so_and_exits_3(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(root, piece(ANNA, 0))
    add(root, tmp_path / "out", as_of="2026-01-06T00:00:00Z")
    publish(root, piece(BEN, 0))
    once, after_other = committing.commit_changes, {}

    def overtaken(*args: Any) -> Any:
        monkeypatch.setattr(committing, "commit_changes", once)
        add(root, tmp_path / "out")
        after_other.update(_contents(tmp_path / "out"))
        return once(*args)

    monkeypatch.setattr(committing, "commit_changes", overtaken)
    result = CliRunner().invoke(app, [*run_args(root, tmp_path / "out"), "--incremental"])
    assert result.exit_code == 3, result.output
    assert "nothing was changed" in result.stderr
    assert set(_contents(tmp_path / "out")) >= set(after_other)
    assert current_version(LocalStore(str(tmp_path / "out"))) == 1


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_the_dataset_as_it_was_or_whole(
    pool: list[Piece], whole: Path, tmp_path: Path
) -> None:
    """Real processes, SIGKILL at any instant, twelve times in three histories; then a final run."""
    dice, killed = random.Random(20260105), 0
    consented(tmp_path / "undisturbed" / "in", ANNA, BEN, TOM)
    publish(tmp_path / "undisturbed" / "in", *pool[:-1])
    lasts_s = warm.lasts_s(*_args(tmp_path / "undisturbed", AS_OF))
    for number in range(3):
        folder = tmp_path / str(number)
        consented(folder / "in", ANNA, BEN, TOM)
        shuffled = dice.sample(pool[:-1], len(pool) - 1)
        for turn in range(4):
            publish(folder / "in", *shuffled[turn::4])
            as_of = iso_from_us(DAY_1 + (20 + 20 * turn) * 60 * SECOND_US)
            killed += warm.kill_after(dice.uniform(0.1, 1.0) * lasts_s, *_args(folder, as_of))
            store = LocalStore(str(folder / "out"))
            version = current_version(store)
            if version is not None and published_version(store) == version:
                assert_good_but_the_card(folder / "out")
            if dice.random() < 0.5:
                add(folder / "in", folder / "out", as_of=as_of, span_h=LONGEST_SPAN_H)
        publish(folder / "in", pool[-1])
        add(folder / "in", folder / "out", final=True, span_h=LONGEST_SPAN_H)
        assert_same(folder / "out", whole)
    assert killed


def _args(folder: Path, as_of: str) -> list[str]:
    args = ["run", "--input", str(folder / "in"), "--output", str(folder / "out"), "--as-of", as_of, "--incremental"]
    return [*args, "--target-shard-mb", "0.04", "--longest-span-h", str(LONGEST_SPAN_H)]


def assert_good_but_the_card(output: Path) -> None:
    from taskreel.io.verify import faults

    assert [fault for fault in faults(datasets.open(str(output))) if "README.md" not in fault] == []


# ----------------------------------------------------------------------------------------------- what is refused


def _refused(root: Path, output: Path, *words: str, **chosen: Any) -> None:
    before = _contents(output)
    changes = chosen.pop("changes", {})
    limits = chosen.pop("limits", {})
    with pytest.raises(LaunchError) as refusal:
        launch(places(root, output, **limits), options(**changes), [], incremental=IncrementalOptions(**chosen))
    assert all(word in str(refusal.value) for word in words), refusal.value
    assert _contents(output) == before


def test_another_option_another_input_or_an_earlier_time_is_refused(root: Path, tmp_path: Path) -> None:
    publish(root, piece(ANNA, 0))
    add(root, tmp_path / "out")
    copy_of(root, tmp_path / "other")
    out = tmp_path / "out"
    _refused(root, out, "session_gap_s is 600.0 there and 300 here", "--incremental", changes={"session_gap_s": 300})
    _refused(root, out, "max_steps", changes={"episodes": type(options().episodes)(max_steps=7)})
    _refused(root, out, "participants", limits={"participants": (ANNA,)})
    _refused(tmp_path / "other", out, "root")
    _refused(root, out, "--as-of 2026-01-31", "as of 2026-02-01", limits={"as_of": "2026-01-31T00:00:00Z"})


def test_the_command_refuses_options_that_need_incremental(people: Path, tmp_path: Path) -> None:
    for extra in (["--final"], ["--rescan"], ["--retry-dead"], ["--publish-deadline", "1h"]):
        result = CliRunner().invoke(app, [*run_args(people, tmp_path / "out"), *extra])
        assert (result.exit_code, "--incremental" in result.stderr) == (2, True)
    bad = CliRunner().invoke(app, [*run_args(people, tmp_path / "out"), "--incremental", "--publish-deadline", "soon"])
    assert (bad.exit_code, "15m" in bad.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_an_input_that_was_emptied_is_no_error_once_there_is_a_dataset(root: Path, tmp_path: Path) -> None:
    publish(root, piece(ANNA, 0))
    add(root, tmp_path / "out")
    (root / piece(ANNA, 0).path).unlink()
    assert not add(root, tmp_path / "out").is_new


# ------------------------------------------------------------------------------------------------ what is said


def test_the_summary_says_what_came_and_what_waits(root: Path, tmp_path: Path) -> None:
    publish(root, piece(ANNA, 0), piece(BEN, 5000))
    args = [*run_args(root, tmp_path / "out"), "--incremental", "--json"]
    args[args.index("--as-of") + 1] = after(piece(BEN, 5000), minutes=10)
    first = json.loads(CliRunner().invoke(app, args).stdout)
    assert (first["new"], first["kind"], first["segments"]["waiting"]) == (True, "incremental", 1)
    assert first["watermark"] == after(piece(BEN, 5000), minutes=-5)
    again = json.loads(CliRunner().invoke(app, args).stdout)
    assert (again["new"], again["waiting"], again["version"]) == (False, 1, 0)
    said = CliRunner().invoke(app, [arg for arg in args if arg != "--json"]).stdout
    assert "nothing new; 1 segments wait" in said
    page = CliRunner().invoke(app, ["inspect", str(tmp_path / "out")]).stdout
    assert "1 waiting" in page


def test_the_numbers_of_the_dataset_are_of_all_of_it_and_those_of_the_run_are_named_so(
    root: Path, tmp_path: Path
) -> None:
    publish(root, piece(ANNA, 0))
    add(root, tmp_path / "out")
    publish(root, piece(ANNA, 400), piece(BEN, 0))
    add(root, tmp_path / "out")
    run(root, tmp_path / "batch")
    now, batch = (facts(datasets.open(str(tmp_path / name))) for name in ("out", "batch"))
    assert {name: now[name] for name in ("actions", "episodes", "spans")} == (
        {name: batch[name] for name in ("actions", "episodes", "spans")}
    )
    assert (now["revised_spans"], now["segments"]["read"]) == (1, 3)
    page = CliRunner().invoke(app, ["inspect", str(tmp_path / "out")]).stdout
    assert "segments (incremental run)" in page


# ------------------------------------------------------------------------------------------------------ gs://


LAKE_IN, LAKE_OUT = "gs://lake/in", "gs://lake/out"


def test_a_bucket_gives_the_same_and_what_is_read_follows_what_is_new(gcs: GcsServer, tmp_path: Path) -> None:
    old, new = [piece(ANNA, 900 * number) for number in range(12)], piece(BEN, 0)
    for place in (LAKE_IN, tmp_path / "in"):
        consented(place, ANNA, BEN)
        publish(place, *old)
    add(LAKE_IN, LAKE_OUT, as_of="2026-01-06T00:00:00Z")
    for place in (LAKE_IN, tmp_path / "in"):
        publish(place, new)
    gcs.requests.clear()
    add(LAKE_IN, LAKE_OUT, as_of="2026-01-06T01:00:00Z")
    assert gcs.requests.count(f"GET .*participant.*{ANNA}.*parquet") == 0
    assert 0 < gcs.requests.count(f"GET .*participant.*{BEN}.*parquet") <= 3
    run(tmp_path / "in", tmp_path / "batch", as_of="2026-01-06T01:00:00Z")
    assert_same(LAKE_OUT, tmp_path / "batch")


def test_the_requests_of_a_run_do_not_grow_with_the_days_that_are_there(gcs: GcsServer) -> None:
    """One new segment after 3 days and after 13 days of one each; what differs is `--rescan-days`, here 2."""
    counts = {}
    for days in (3, 13):
        source, target = f"gs://lake/in{days}", f"gs://lake/out{days}"
        consented(source, ANNA)
        publish(source, *(piece(ANNA, 86_400 * day) for day in range(days)))
        add(source, target, as_of="2026-01-30T00:00:00Z")
        publish(source, piece(ANNA, 86_400 * 30))
        gcs.requests.clear()
        assert add(source, target, as_of="2026-02-10T00:00:00Z", rescan_days=2).is_new
        counts[days] = gcs.requests.count("")
    assert counts[13] <= 1.5 * counts[3], counts


# ------------------------------------------------------------------------------------------- which days are listed


@settings(max_examples=300)
@given(
    starts_h=st.lists(st.integers(0, 100), min_size=1, max_size=12, unique=True),
    lasts_h=st.lists(st.integers(0, 12), min_size=12, max_size=12),
    watermark_h=st.integers(0, 100),
    later_h=st.integers(0, 1000),
)
def test_what_waits_lies_in_the_days_that_the_next_run_lists(
    starts_h: list[int], lasts_h: list[int], watermark_h: int, later_h: int
) -> None:
    chosen, begin_ms, hour_ms = options(), DAY_1 // 1000, 3_600_000
    names = [
        SegmentName("p", f"r{h}", 0, 1, begin_ms + h * hour_ms, begin_ms + (h + length) * hour_ms, "0" * 12)
        for h, length in zip(starts_h, lasts_h, strict=False)
    ]
    watermark_ms = begin_ms + watermark_h * hour_ms
    planned = plan(names, Known(), chosen.spans, watermark_ms=watermark_ms)
    metadata = {"watermark": iso_from_us(watermark_ms * 1000), "as_of": "2026-03-01T00:00:00Z"}
    next_run = places("in", "out", as_of=iso_from_us((watermark_ms + later_h * hour_ms) * 1000))
    news = IncrementalOptions(lateness_h=0, rescan_days=0)
    days = days_to_list(next_run, chosen, news, Commit(0, metadata))
    folders = [f"segments/v1/day={name.day}/" for name in planned.waiting]
    assert days.of(folders) == folders
