"""What a commit changes: against a plain model that applies one piece after the other, and by what has to hold."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskreel.io.names import SegmentName
from taskreel.io.schemas import EPISODE_SCHEMA
from taskreel.transforms.changes import (
    BuiltSpan,
    Group,
    Resolution,
    groups_of,
    merge_dead_letters,
    past_retention,
    resolve,
)
from taskreel.transforms.dead import Dead
from taskreel.transforms.late import Late, late_of, new_late
from taskreel.transforms.spans import SpanOptions
from taskreel.transforms.taken import Taken

NUMBERS = range(8)
SHA = "0" * 12


def name(number: int, participant: str = "p") -> SegmentName:
    return SegmentName(participant, "r", number, number, number * 1000, number * 1000 + 9, SHA)


def span(*numbers: int, participant: str = "p", revision: int = 0, provisional: bool = False) -> BuiltSpan:
    files = frozenset(name(number).file for number in numbers)
    return BuiltSpan(participant, "-".join(map(str, sorted(numbers))), files, revision, provisional)


def group(*spans: BuiltSpan, also: tuple[int, ...] = (), round_: int = 0, provisional: bool = False) -> Group:
    """Spans that were built as one piece; `also` are segments of it that are in none, as dead ones are."""
    files = {name(number).file for number in also}.union(*(one.files for one in spans))
    participant = spans[0].participant if spans else "p"
    segments = tuple((file, 10) for file in sorted(files))
    taken = Taken(participant, segments, tuple(one.span_id for one in spans), round_, provisional)
    return Group(taken, tuple(replace(one, provisional=provisional) for one in spans))


def after(committed: list[BuiltSpan], found: Resolution) -> set[BuiltSpan]:
    """The spans of the dataset once the change is committed."""
    return {one for one in committed if one.key not in found.removed} | set(found.added.values())


# ------------------------------------------------------------------------------------------------ by hand


def test_a_span_comes_in() -> None:
    found = resolve([], [group(span(1, 2))])
    assert found.added == {("p", "1-2"): span(1, 2)}
    assert not found.removed


def test_a_span_replaces_the_one_that_it_shares_a_segment_with_and_no_other() -> None:
    found = resolve([span(1, 2, revision=3), span(4)], [group(span(1, 2, 3))])
    assert found.removed == {("p", "1-2")}
    assert found.added == {("p", "1-2-3"): span(1, 2, 3, revision=4)}


def test_a_merge_replaces_several_and_is_the_next_revision_of_the_latest() -> None:
    found = resolve([span(1, revision=1), span(3, revision=5)], [group(span(1, 2, 3))])
    assert found.removed == {("p", "1"), ("p", "3")}
    assert found.added[("p", "1-2-3")].revision == 6


def test_a_span_that_is_cut_anew_without_a_new_segment_is_replaced() -> None:
    found = resolve([span(1, 2, 3)], [group(span(1), span(2, 3))])
    assert after([span(1, 2, 3)], found) == {span(1, revision=1), span(2, 3, revision=1)}


def test_what_is_there_already_changes_nothing() -> None:
    found = resolve([span(1, 2, revision=2)], [group(span(1, 2)), group(span(1, 2))])
    assert (found.added, found.removed) == ({}, set())


def test_of_one_piece_the_span_that_did_not_change_stays() -> None:
    found = resolve([span(1), span(3)], [group(span(1), span(2, 3))])
    assert after([span(1), span(3)], found) == {span(1), span(2, 3, revision=1)}


def test_a_piece_that_knows_less_than_the_dataset_changes_nothing_and_is_late() -> None:
    found = resolve([span(1, 2, 3)], [group(span(2, 3, 4))])
    assert (found.added, found.removed, found.accepted) == ({}, set(), [])
    assert [one.name for one in new_late(late_of(found.late), found.final)] == [name(4)]


def test_nothing_of_a_piece_that_knows_less_and_has_nothing_new_is_late() -> None:
    found = resolve([span(1, 2, 3)], [group(span(2, 3))])
    assert new_late(late_of(found.late), found.final) == []


def test_a_provisional_span_is_replaced_by_the_final_one_of_the_same_segments() -> None:
    found = resolve([span(1, provisional=True)], [group(span(1))])
    assert found.removed == {("p", "1")}
    assert found.added == {("p", "1"): span(1, revision=1)}


def test_a_provisional_span_never_replaces_a_final_one() -> None:
    found = resolve([span(1)], [group(span(1, 2), provisional=True)])
    assert (found.added, found.removed, found.accepted, found.late) == ({}, set(), [], [])


def test_a_provisional_span_that_comes_again_changes_nothing() -> None:
    found = resolve([span(1, provisional=True)], [group(span(1), provisional=True)])
    assert (found.added, found.removed) == ({}, set())


def test_the_later_round_of_one_commit_counts() -> None:
    found = resolve([], [group(span(1, 2, 3), round_=2), group(span(1, 2), round_=1)])
    assert set(found.added) == {("p", "1-2-3")}
    assert not found.removed


def test_people_do_not_touch_each_other() -> None:
    found = resolve([span(1, participant="q")], [group(span(1, 2))])
    assert not found.removed


def test_a_piece_without_its_rows_is_an_error() -> None:
    with pytest.raises(ValueError, match="without its rows"):
        groups_of([group(span(1)).taken], EPISODE_SCHEMA.empty_table())


# ------------------------------------------------------------------------------------- beside what others commit

STREAM = SpanOptions(gap_ms=1000, longest_ms=3000)
"""Neighbors touch; what lasts longer than three is cut into 0 to 2, 3 to 5, 6 to 8."""


def is_late(committed: list[BuiltSpan], piece: Group, dead: tuple[int, ...] = ()) -> bool:
    found = resolve(committed, [piece], STREAM, {("p", name(number).file) for number in dead})
    assert bool(found.added) == bool(found.accepted) != bool(found.late)
    return bool(found.late)


def test_what_touches_a_span_that_another_run_has_committed_is_late() -> None:
    assert is_late([span(1)], group(span(2)))
    assert is_late([span(3)], group(span(2)))
    assert not is_late([span(0)], group(span(2)))
    assert not is_late([span(1, participant="q")], group(span(2)))


def test_what_touches_only_a_provisional_span_is_not_late() -> None:
    assert not is_late([span(1, provisional=True)], group(span(2)))


def test_what_touches_through_a_dead_segment_of_its_own_is_late() -> None:
    assert is_late([span(0)], group(span(2), also=(1,)))


def test_the_next_cell_of_what_is_cut_on_the_grid_is_not_late() -> None:
    assert not is_late([span(0, 1, 2)], group(span(3, 4)))
    assert not is_late([span(3, 4)], group(span(0, 1, 2)))
    assert not is_late([span(0, 1, 2), span(3, 4, 5)], group(span(6)))
    assert not is_late([span(0, 1, 2)], group(span(3, 4), span(6)))


def test_what_is_in_the_same_cell_is_late_also_if_it_touches_only_the_cell_before() -> None:
    long = SegmentName("p", "r", 9, 9, 2000, 4100, SHA)
    other = BuiltSpan("p", "long", frozenset({name(0).file, name(1).file, long.file}))
    assert not is_late([other], group(span(4)))
    assert is_late([other, span(5)], group(span(4)))


def test_what_would_have_to_be_cut_with_what_is_there_is_late() -> None:
    assert is_late([span(0, 1)], group(span(2, 3, 4)))
    assert is_late([span(2, 3, 4)], group(span(0, 1)))


def test_what_would_have_to_cut_what_is_there_is_late() -> None:
    """Each would be in cells of its own: from 3000 to 6000 it was not too long."""
    end = SegmentName("p", "r", 9, 9, 6000, 6000, SHA)
    other = BuiltSpan("p", "other", frozenset({name(3).file, name(4).file, name(5).file, end.file}))
    assert is_late([other], group(span(2)))
    assert not is_late([other], group(span(1)))


def test_what_would_have_to_be_cut_with_what_is_dead_is_late() -> None:
    assert not is_late([], group(span(2, 3)))
    assert is_late([], group(span(2, 3)), dead=(0, 1))
    assert is_late([span(2)], group(span(3)), dead=(4,))
    assert not is_late([span(2)], group(span(3)), dead=(0, 1))
    assert not is_late([], group(span(2)), dead=(1,))


# ------------------------------------------------------------------------------------------------ against a model


@st.composite
def pieces(draw: st.DrawFn) -> Group:
    """Some segments of one person, cut into spans; what is left of them is dead."""
    participant = draw(st.sampled_from("pq"))
    numbers = draw(st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=5, unique=True))
    cuts = draw(st.lists(st.integers(0, 2), min_size=len(numbers), max_size=len(numbers)))
    parts = [[n for n, cut in zip(numbers, cuts, strict=True) if cut == which] for which in range(2)]
    spans = [span(*part, participant=participant) for part in parts if part]
    is_provisional = draw(st.booleans()) and draw(st.booleans())
    made = group(*spans, also=tuple(numbers), round_=draw(st.integers(0, 3)), provisional=is_provisional)
    return Group(replace(made.taken, participant=participant), made.spans)


@dataclass
class Model:
    """A dataset as a list of spans, to which pieces are applied one by one, each looked for everywhere."""

    spans: list[BuiltSpan]

    def apply(self, piece: Group) -> None:
        mine = [s for s in self.spans if s.participant == piece.taken.participant]
        hit = [s for s in mine if any(file in s.files for file in piece.taken.files)]
        if piece.taken.provisional and any(not s.provisional for s in hit):
            return
        for s in hit:
            if not s.provisional and any(file not in piece.taken.files for file in s.files):
                return
        for new in piece.spans:
            same = [s for s in hit if s.span_id == new.span_id and s.provisional == new.provisional]
            old = [s.revision for s in hit if s not in same and any(file in new.files for file in s.files)]
            revision = 1 + max(old) if old else 0
            self.spans += same or [replace(new, revision=revision)]
        for s in hit:
            self.spans.remove(s)


def dataset_of(groups: list[Group]) -> list[BuiltSpan]:
    model = Model([])
    for one in sorted(groups, key=lambda g: g.order):
        model.apply(one)
    return model.spans


@given(before=st.lists(pieces(), max_size=6), groups=st.lists(pieces(), max_size=5))
def test_it_is_as_if_each_piece_had_been_committed_alone(before: list[Group], groups: list[Group]) -> None:
    committed = dataset_of(before)
    model = Model(list(committed))
    for one in sorted(groups, key=lambda g: g.order):
        model.apply(one)
    assert after(committed, resolve(committed, groups)) == set(model.spans)


@given(
    before=st.lists(pieces(), max_size=6),
    groups=st.lists(pieces(), max_size=5),
    order=st.randoms(use_true_random=False),
    first=st.integers(0, 5),
)
def test_neither_order_nor_repeats_nor_how_many_commits_change_what_comes_of_it(
    before: list[Group], groups: list[Group], order: object, first: int
) -> None:
    committed = dataset_of(before)
    once = after(committed, resolve(committed, groups))
    shuffled = list(groups)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    assert after(committed, resolve(committed, shuffled)) == once
    in_order = sorted(groups, key=lambda g: g.order)
    between = list(after(committed, resolve(committed, in_order[:first])))
    assert after(between, resolve(between, in_order[first:])) == once


@given(before=st.lists(pieces(), max_size=6), one=pieces())
def test_a_piece_that_is_committed_again_changes_nothing(before: list[Group], one: Group) -> None:
    committed = dataset_of(before)
    once = list(after(committed, resolve(committed, [one, one])))
    again = resolve(once, [one])
    assert (again.added, again.removed) == ({}, set())


@given(before=st.lists(pieces(), max_size=6), groups=st.lists(pieces(), max_size=5))
def test_no_segment_is_in_two_spans_and_none_that_was_taken_up_is_lost(
    before: list[Group], groups: list[Group]
) -> None:
    committed = dataset_of(before)
    found = resolve(committed, groups)
    files = [(s.participant, file) for s in after(committed, found) for file in s.files]
    assert len(files) == len(set(files))
    assert found.built == set(files)
    taken_up = {(one.participant, file) for one in found.accepted for file in one.files}
    final = {(s.participant, file) for s in committed if not s.provisional for file in s.files}
    assert final <= set(files) | taken_up
    late = {one.key for one in new_late(late_of(found.late), found.final)}
    offered = {(g.taken.participant, f) for g in groups if not g.taken.provisional for f in g.taken.files}
    assert offered <= set(files) | taken_up | late


# ------------------------------------------------------------------------------------------------ dead letters, late


def line(number: int, code: str = "damaged") -> str:
    return Dead(str(name(number)), "dead", code, "a reason", "SegmentError", 10, 1).to_json()


def test_dead_letters_of_what_is_not_taken_up_now_are_carried_on() -> None:
    found = resolve([], [group(span(1), also=(2,))])
    groups = [group(span(1), also=(2,)).taken]
    assert merge_dead_letters([line(2, "old"), line(5)], [line(2, "new")], groups, found) == sorted(
        [line(2, "new"), line(5)]
    )


def test_a_dead_segment_that_is_built_now_is_no_dead_letter() -> None:
    one = group(span(1))
    assert merge_dead_letters([line(1)], [], [one.taken], resolve([], [one])) == []


def test_a_file_that_is_no_segment_has_a_dead_letter() -> None:
    odd = json.dumps({"segment": "segments/v1/notes.txt"})
    assert merge_dead_letters([], [odd], [], Resolution()) == [odd]


def test_a_piece_that_is_not_accepted_kills_no_segment_of_a_span() -> None:
    one = group(span(2), also=(1,))
    found = resolve([span(1, 2, 3)], [one])
    assert merge_dead_letters([], [line(1)], [one.taken], found) == []


def _missing(*numbers: int, gone: int) -> Taken:
    files = tuple((name(number).file, 10) for number in numbers)
    return Taken("p", files, missing=(name(gone).file,))


def test_what_joins_a_span_past_retention_is_dead_and_what_was_known_is_not_counted() -> None:
    lines, account = past_retention([_missing(1, 2, 3, gone=1)], [span(1)], {("p", name(3).file)})
    [dead] = [Dead(**json.loads(one)) for one in lines]
    assert (dead.segment, dead.code, dead.size_bytes, dead.events) == (str(name(2)), "span_past_retention", 10, 1)
    assert account.as_dict() == {"segments.read": 1}


def test_of_a_piece_that_is_gone_and_touches_nothing_the_rest_waits() -> None:
    lines, account = past_retention([_missing(1, 2, gone=1)], [span(5)], set())
    assert lines == []
    assert account.as_dict() == {"segments.read": 2, "segments.waiting": 2, "events.read": 2, "events.waiting": 2}


def test_a_late_segment_is_noted_once_and_not_if_it_is_known() -> None:
    late = [Late("p", name(number).file, 5, "after_close") for number in (2, 1, 2, 3)]
    assert new_late(late, {("p", name(3).file)}) == [late[1], late[0]]
    assert [Late.from_json(one.to_json()) for one in late] == late


def test_groups_take_their_files_from_their_rows() -> None:
    row = dict.fromkeys(EPISODE_SCHEMA.names, "") | {"participant": "p", "span_id": "1-2", "revision": 0, "flags": []}
    row |= {"segments": sorted(span(1, 2).files), "steps": 0, "start_us": 0, "end_us": 0, "confidence": 1.0}
    row |= {"apps": [], "pictures": 0, "quality": 1.0, "consent_version": 1}
    row |= dict.fromkeys(("shard", "first_row", "shard_rows", "shard_bytes"))
    rows = pa.Table.from_pylist([row], schema=EPISODE_SCHEMA)
    assert groups_of([group(span(1, 2)).taken], rows) == [group(span(1, 2))]
