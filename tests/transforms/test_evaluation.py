"""The measures of an evaluation, against their definitions written down a second time."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import BEGIN_US, Hand, acts, segment_of

from taskreel.io.events import Flag, Kind
from taskreel.io.segments import Segment
from taskreel.transforms.build import BuildOptions, build_span
from taskreel.transforms.evaluation.actions import COMPARED, TypeCounts, compare_actions, counts_by_type
from taskreel.transforms.evaluation.agreement import adjusted_rand_index
from taskreel.transforms.evaluation.baselines import idle_gap_labels, window_labels
from taskreel.transforms.evaluation.boundaries import (
    NO_TASK,
    Labeled,
    Score,
    match_boundaries,
    nearest,
    runs_apart,
)
from taskreel.transforms.evaluation.cuts import SECOND_US, CutOptions, cuts_of, cuts_of_labeled, in_order, score_cuts
from taskreel.transforms.evaluation.findings import counts_by_reason, findings
from taskreel.transforms.evaluation.joined import draw, join
from taskreel.transforms.evaluation.observations import observation_errors


def array(values: Any) -> np.ndarray:
    return np.array(values, np.int64)


@st.composite
def labeled(draw: st.DrawFn, *, max_actions: int = 9, labels: int = 3, sessions: int = 2) -> Labeled:
    """A few actions, near one another, in a few sessions."""
    rows = draw(
        st.lists(
            st.tuples(st.integers(0, sessions - 1), st.integers(0, 12), st.integers(0, labels - 1)),
            max_size=max_actions,
        )
    )
    group, start_us, label = zip(*sorted(rows, key=lambda row: row[:2]), strict=True) if rows else ((), (), ())
    return Labeled(array(group), array(start_us), array(label))


# ------------------------------------------------------------------------------------------------- boundaries


def test_a_boundary_is_where_another_task_begins_but_not_another_session() -> None:
    acted = Labeled(array([0, 0, 0, 1, 1, 1]), array([1, 2, 3, 9, 10, 11]), array([5, 5, 6, 7, 7, 5]))
    assert acted.boundaries().tolist() == [2, 5]


def test_each_run_without_a_task_is_a_task_of_its_own() -> None:
    group, label = array([0, 0, 0, 0, 0, 1]), array([-1, 4, -1, -1, 4, -1])
    apart = runs_apart(group, label)
    assert (apart[label == NO_TASK] < NO_TASK).all()
    assert len(set(apart[[0, 2, 5]])) == 3
    assert apart[2] == apart[3]
    assert (apart[label >= 0] == label[label >= 0]).all()
    assert Labeled(group, np.arange(6), apart).boundaries().tolist() == [1, 2, 4]


def most_pairs(mine: list[tuple[int, int]], theirs: list[tuple[int, int]], tolerance_us: int) -> int:
    """The size of the largest pairing, by trying all: the first is left alone, or paired with each that it may be."""
    if not mine:
        return 0
    (group, time_us), *rest = mine
    best = most_pairs(rest, theirs, tolerance_us)
    for index, (other_group, other_us) in enumerate(theirs):
        if group == other_group and abs(time_us - other_us) <= tolerance_us:
            best = max(best, 1 + most_pairs(rest, theirs[:index] + theirs[index + 1 :], tolerance_us))
    return best


@given(labeled(), labeled(), st.integers(0, 5))
def test_as_many_boundaries_are_paired_as_can_be(truth: Labeled, found: Labeled, tolerance_us: int) -> None:
    matched = match_boundaries(truth, found, tolerance_us=tolerance_us)
    sides = [(truth, matched.truth), (found, matched.found)]
    for side, rows in sides:
        assert len(set(rows.tolist())) == len(rows)
        assert set(rows.tolist()) <= set(side.boundaries().tolist())
    assert (truth.group[matched.truth] == found.group[matched.found]).all()
    assert (np.abs(truth.start_us[matched.truth] - found.start_us[matched.found]) <= tolerance_us).all()
    places = [list(zip(side.group[rows], side.start_us[rows], strict=True)) for side, rows in
              ((truth, truth.boundaries()), (found, found.boundaries()))]  # fmt: skip
    assert len(matched.truth) == most_pairs(*places, tolerance_us)


def test_scores_without_anything_to_score_are_not_defined() -> None:
    assert (Score(0, 0, 0).precision, Score(0, 0, 0).recall, Score(0, 0, 0).f1) == (None, None, None)
    assert (Score(4, 0, 0).precision, Score(4, 0, 0).recall, Score(4, 0, 0).f1) == (None, 0.0, 0.0)
    assert (Score(4, 8, 3).precision, Score(4, 8, 3).recall, Score(4, 8, 3).f1) == (3 / 8, 3 / 4, 0.5)


times = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 20)), max_size=12)


@given(times, times)
def test_the_nearest_is_the_nearest_of_its_key(mine: list[tuple[int, int]], theirs: list[tuple[int, int]]) -> None:
    found = nearest(*(array([row[part] for row in rows]) for rows in (mine, theirs) for part in (0, 1)))
    for (key, time_us), row in zip(mine, found.tolist(), strict=True):
        others = [(abs(us - time_us), us, index) for index, (other, us) in enumerate(theirs) if other == key]
        assert row == (min(others)[2] if others else -1)


# -------------------------------------------------------------------------------------------------- agreement


def index_by_pairs(group: list[int], one: list[int], other: list[int]) -> Fraction | None:
    """The definition: look at each pair of actions of a session; the expected index is that of shuffled labels."""
    index = expected = largest = Fraction(0)
    any_pair = False
    for session in set(group):
        pairs = list(combinations([row for row in range(len(group)) if group[row] == session], 2))
        in_one = sum(one[a] == one[b] for a, b in pairs)
        in_other = sum(other[a] == other[b] for a, b in pairs)
        index += sum(one[a] == one[b] and other[a] == other[b] for a, b in pairs)
        expected += Fraction(in_one * in_other, len(pairs)) if pairs else 0
        largest += Fraction(in_one + in_other, 2)
        any_pair |= bool(pairs)
    if not any_pair:
        return None
    return Fraction(1) if largest == expected else (index - expected) / (largest - expected)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 3)), max_size=14))
def test_the_rand_index_is_that_of_the_definition(rows: list[tuple[int, int, int]]) -> None:
    group, one, other = ([row[part] for row in rows] for part in range(3))
    assert adjusted_rand_index(array(group), array(one), array(other)) == index_by_pairs(group, one, other)


@pytest.mark.parametrize(
    ("one", "other", "index"),
    [  # the examples in scikit-learn's documentation of adjusted_rand_score
        ([0, 0, 1, 1], [0, 0, 1, 1], Fraction(1)),
        ([0, 0, 1, 1], [1, 1, 0, 0], Fraction(1)),
        ([0, 0, 1, 2], [0, 0, 1, 1], Fraction(4, 7)),
        ([0, 0, 0, 0], [0, 1, 2, 3], Fraction(0)),
        ([0, 0, 1, 1], [0, 1, 0, 1], Fraction(-1, 2)),
    ],
)
def test_the_rand_index_of_one_session_is_the_usual_one(one: list[int], other: list[int], index: Fraction) -> None:
    assert adjusted_rand_index(array([0] * 4), array(one), array(other)) == index


def test_cutting_nowhere_gains_nothing_from_many_sessions() -> None:
    group, truth = np.repeat(np.arange(5), 6), np.tile(array([0, 0, 0, 1, 1, 1]), 5)
    assert adjusted_rand_index(group, truth, np.zeros(30, np.int64)) == 0


# -------------------------------------------------------------------------------------------------- baselines


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 30), st.integers(0, 12)), max_size=10), st.integers(0, 8))
def test_an_idle_gap_is_counted_from_the_last_end_in_the_session(rows: list[tuple[int, int, int]], gap_us: int) -> None:
    rows.sort(key=lambda row: row[:2])
    group, start_us, end_us = (
        array([r[0] for r in rows]),
        array([r[1] for r in rows]),
        array([r[1] + r[2] for r in rows]),
    )
    cuts = [
        row
        for row in range(1, len(rows))
        if group[row] == group[row - 1]
        and start_us[row] - max(end_us[other] for other in range(row) if group[other] == group[row]) > gap_us
    ]
    labels = idle_gap_labels(group, start_us, end_us, gap_us=gap_us)
    assert Labeled(group, start_us, labels).boundaries().tolist() == cuts


def test_a_window_changes_with_its_application_or_title() -> None:
    labels = window_labels([array([0, 0, 1, 1, 1]), array([7, 7, 7, 8, 8])])
    assert labels.tolist() == [0, 0, 1, 2, 2]


# ------------------------------------------------------------------------------------------------------- cuts

P, Q = "p1", "p2"


def step_rows(*episodes: tuple[str, list[float]], participant: str = P, session: str = "s1") -> list[dict[str, Any]]:
    """Steps of half a second, at some seconds from the start, by episode; `-…` is a residue."""
    return [
        {
            "participant": participant,
            "recording": f"r{participant}",
            "session_id": session,
            "episode_id": name,
            "kind": "residue" if name.startswith("-") else "episode",
            "cut_reason": "idle",
            "confidence": 0.55,
            "step": number,
            "start_us": BEGIN_US + int(at * SECOND_US),
            "end_us": BEGIN_US + int((at + 0.5) * SECOND_US),
            "app": "editor",
            "title": name,
        }
        for name, starts in episodes
        for number, at in enumerate(starts)
    ]


def truth_rows(*tasks: tuple[int | None, list[float]], participant: str = P) -> list[dict[str, Any]]:
    return [
        {
            "participant": participant,
            "recording": f"r{participant}",
            "episode": task,
            "start_us": BEGIN_US + int(at * SECOND_US),
        }
        for task, starts in tasks
        for at in starts
    ]


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows)


def scored(truth: list[dict[str, Any]], steps: list[dict[str, Any]]) -> tuple[Score, Score]:
    within = score_cuts(cuts_of(table(truth), table(steps)), CutOptions())["taskreel"].within_s
    return within[2], within[30]


def test_a_cut_in_its_place_is_right_and_one_beside_it_only_widely() -> None:
    truth = truth_rows((0, [0, 5, 10]), (1, [40, 45, 55, 60]))
    assert scored(truth, step_rows(("a", [0, 5, 10]), ("b", [40, 45, 55, 60]))) == (Score(1, 1, 1), Score(1, 1, 1))
    assert scored(truth, step_rows(("a", [0, 5, 10, 40]), ("b", [45, 55, 60]))) == (Score(1, 1, 0), Score(1, 1, 1))
    assert scored(truth, step_rows(("a", [0, 5, 10, 40, 45, 55, 60]))) == (Score(1, 0, 0), Score(1, 0, 0))
    assert scored(truth, step_rows(("a", [0]), ("b", [5, 10]), ("c", [40, 45, 55, 60])))[0] == Score(1, 2, 1)


def test_starts_of_sessions_are_no_boundaries() -> None:
    truth = truth_rows((0, [0, 5]), (1, [1000, 1005]))
    steps = step_rows(("a", [0, 5])) + step_rows(("b", [1000, 1005]), session="s2")
    assert scored(truth, steps) == (Score(0, 0, 0), Score(0, 0, 0))


def test_people_are_scored_apart() -> None:
    truth = truth_rows((0, [0]), (1, [5])) + truth_rows((0, [0, 5]), participant=Q)
    steps = step_rows(("a", [0, 5])) + step_rows(("b", [0]), ("c", [5]), participant=Q, session="s2")
    assert scored(truth, steps) == (Score(1, 1, 0), Score(1, 1, 0))


def test_a_missed_action_leaves_the_boundary_and_an_invented_one_takes_the_task_of_its_neighbor() -> None:
    truth = truth_rows((0, [0, 5, 10]), (1, [20, 21, 22]))
    steps = step_rows(("a", [0, 5]), ("b", [19.5, 20, 21, 22]))  # 10 was missed, 19.5 is invented
    cuts = cuts_of(table(truth), table(steps))
    assert (cuts.truth.start_us[cuts.truth.boundaries()] - BEGIN_US).tolist() == [20 * SECOND_US]
    assert cuts.truth_of_step.tolist() == [0, 0, 1, 1, 1, 1]
    assert scored(truth, steps)[0] == Score(1, 1, 1)


def test_work_that_belongs_to_no_task_is_between_two_boundaries() -> None:
    truth = truth_rows((0, [0, 5]), (None, [20, 21]), (0, [40, 41]), (None, [60]))
    steps = step_rows(("a", [0, 5]), ("-1", [20]), ("-2", [21]), ("b", [40, 41]), ("-3", [60]))
    assert scored(truth, steps)[0] == Score(3, 3, 3)


def test_an_action_that_begins_before_the_one_it_follows_does_not_tear_episodes_apart() -> None:
    steps = step_rows(("a", [0, 5, 12]), ("b", [11, 15]))
    ordered, group = in_order(table(steps[::-1]))
    assert ordered.column("episode_id").to_pylist() == ["a", "a", "a", "b", "b"]
    assert ordered.column("step").to_pylist() == [0, 1, 2, 0, 1]
    assert group.tolist() == [0] * 5


@given(st.permutations(range(9)))
def test_the_order_of_rows_does_not_matter(order: list[int]) -> None:
    steps = step_rows(("a", [0, 5]), ("b", [10])) + step_rows(("c", [2000, 2001]), session="s0")
    steps += step_rows(("d", [0, 3]), ("-e", [4, 6]), participant="p0", session="s9")
    ordered, group = in_order(table([steps[index] for index in order]))
    assert ordered.column("episode_id").to_pylist() == ["d", "d", "-e", "-e", "a", "a", "b", "c", "c"]
    assert group.tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("truth", "steps"),
    [
        (truth_rows((0, [0])) + truth_rows((0, [0]), participant=Q), step_rows(("a", [0]))),
        (truth_rows((0, [0])), step_rows(("a", [0])) + step_rows(("b", [0]), participant=Q, session="s2")),
    ],
)
def test_people_on_one_side_only_are_an_error(truth: list[dict[str, Any]], steps: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match="has no"):
        cuts_of(table(truth), table(steps))


def test_the_baselines_are_scored_on_the_same_steps() -> None:
    steps = step_rows(("a", [0, 5]), ("b", [205, 210]), ("c", [230, 235]))
    labels = [0, 0, 1, 1, 2, 2]
    cuts = cuts_of_labeled(table([row | {"truth": label} for row, label in zip(steps, labels, strict=True)]))
    scores = score_cuts(cuts, CutOptions())
    assert {name: score.within_s[2] for name, score in scores.items()} == {
        "taskreel": Score(2, 2, 2),
        "idle_gap": Score(2, 1, 1),
        "idle_gap_best": Score(2, 2, 2),
        "window_change": Score(2, 2, 2),
    }
    assert (scores["idle_gap"].gap_s, scores["idle_gap_best"].gap_s) == (120, 5)
    assert scores["taskreel"].adjusted_rand_index == 1


def test_findings_say_what_is_wrong_the_worst_first() -> None:
    truth = truth_rows((0, [0, 100]), (1, [200, 210]), (2, [400, 500]), (None, [700]))
    steps = step_rows(("a", [0]), ("b", [100]), ("c", [200]), ("d", [210, 400, 500, 700]))
    found = findings(cuts_of(table(truth), table(steps)), CutOptions())
    assert [(one.kind, (one.time_us - BEGIN_US) // SECOND_US, one.before, one.after) for one in found] == [
        ("missed", 700, 2, None),
        ("missed", 400, 1, 2),
        ("invented", 100, 0, 0),
        ("invented", 210, 1, 1),
    ]
    assert [one.off_us and one.off_us // SECOND_US for one in found] == [490, 190, 100, 10]
    assert [one.cut_reason for one in found] == [None, None, "idle", "idle"]
    moved = findings(cuts_of(table(truth_rows((0, [0]), (1, [9, 20]))), table(step_rows(("a", [0, 9]), ("b", [20])))),
                     CutOptions())  # fmt: skip
    assert [(one.kind, one.off_us, one.before, one.after) for one in moved] == [("moved", 11 * SECOND_US, 0, 1)]


def test_cuts_are_counted_by_reason_and_confidence() -> None:
    steps = step_rows(("a", [0, 5]), ("b", [10, 20]), ("c", [90]))
    for row in steps[2:4]:
        row |= {"cut_reason": "context", "confidence": 0.91}
    (one, two) = counts_by_reason(
        cuts_of(table(truth_rows((0, [0, 5, 10]), (1, [20, 90]))), table(steps)), CutOptions()
    )
    assert (one.cut_reason, one.confidence, one.boundaries, one.right, one.nearly_right) == ("context", 0.9, 1, 0, 1)
    assert (two.cut_reason, two.confidence, two.boundaries, two.right, two.nearly_right) == ("idle", 0.5, 1, 0, 0)


# ---------------------------------------------------------------------------------------------------- actions

_ACTION: dict[str, Any] = {
    "recording": "r1",
    "action": "click",
    "x": 3.5,
    "y": 4.0,
    "to_x": None,
    "button": "left",
    "text": None,
    "clicks": 1,
}
ACTION_SCHEMA = pa.schema(
    [("recording", pa.string()), ("action", pa.string())]
    + [(name, pa.int64()) for name in ("first_seq", "last_seq", "start_us", "end_us", "clicks")]
    + [(name, pa.float64()) for name in ("x", "y", "to_x", "image_x")]
    + [(name, pa.string()) for name in ("button", "text", "keys")]
)


def actions(count: int) -> list[dict[str, Any]]:
    return [
        _ACTION | {"first_seq": n * 10, "last_seq": n * 10 + 5, "start_us": n * 100, "end_us": n * 100 + 50}
        for n in range(count)
    ]


def action_table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=ACTION_SCHEMA)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("action", "press"), ("x", 3.75), ("x", None), ("to_x", 3.0), ("button", "right"), ("text", ""), ("clicks", 2),
        ("start_us", 101), ("end_us", 151), ("first_seq", 11), ("last_seq", 16), ("keys", "a"),
    ],
)  # fmt: skip
def test_one_other_value_makes_an_action_different_and_says_where(column: str, value: Any) -> None:
    truth, steps = actions(3), actions(3)
    steps[1] |= {column: value}
    compared = compare_actions(action_table(truth), action_table(steps))
    assert compared.is_exact.tolist() == [True, False, True]
    assert compared.step.tolist() == [0, 1, 2]
    assert {name: where.tolist() for name, where in compared.differs.items() if where.any()} == {
        column: [False, True, False]
    }


def test_only_columns_that_both_have_are_compared() -> None:
    truth = action_table(actions(2)).drop_columns(["clicks", "keys"])
    steps = action_table([row | {"clicks": 7} for row in actions(2)]).drop_columns(["to_x"])
    compared = compare_actions(truth, steps)
    assert set(compared.differs) == set(COMPARED) & set(ACTION_SCHEMA.names) - {"clicks", "keys", "to_x"}
    assert compared.is_exact.all()


def test_whole_numbers_of_any_width_are_compared_by_value() -> None:
    steps = action_table(actions(2))
    narrow = steps.set_column(steps.schema.get_field_index("clicks"), "clicks", steps.column("clicks").cast(pa.int32()))
    assert compare_actions(action_table(actions(2)), narrow).is_exact.all()


def test_counts_by_type() -> None:
    truth = actions(5)
    truth[4]["action"] = "write"
    steps = [dict(row) for row in truth]
    steps[1]["x"] = 99.0
    del steps[3]
    steps += [_ACTION | {"action": "moveTo", "first_seq": 70, "last_seq": 71, "start_us": 7, "end_us": 8}]
    one, other = action_table(truth), action_table(steps)
    assert counts_by_type(one, other, compare_actions(one, other)) == {
        "click": TypeCounts(4, 2, 1, 1, 0),
        "moveTo": TypeCounts(0, 0, 0, 0, 1),
        "write": TypeCounts(1, 1, 0, 0, 0),
    }


def test_a_text_that_was_split_is_one_difference_and_one_spurious_step() -> None:
    whole = actions(1)
    halves = [whole[0] | {"last_seq": 2}, whole[0] | {"first_seq": 3}]
    compared = compare_actions(action_table(whole), action_table(halves))
    assert (compared.step.tolist(), compared.spurious.tolist()) == ([0], [1])
    compared = compare_actions(action_table(halves), action_table(whole))
    assert (compared.step.tolist(), compared.spurious.tolist()) == ([0, -1], [])


@st.composite
def perturbed(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Actions of two recordings, and the same with some gone, changed and added, in another order."""
    truth = [row | {"recording": draw(st.sampled_from(["r1", "r2"]))} for row in actions(draw(st.integers(0, 6)))]
    steps = [dict(row) for row in truth if draw(st.integers(0, 5))]
    for row in steps:
        change = draw(st.sampled_from([None, None, ("x", 7.0), ("first_seq", 999), ("last_seq", 998), ("action", "a")]))
        row |= dict([change]) if change else {}
    return truth, draw(st.permutations(steps))


@given(perturbed())
def test_the_exact_actions_are_those_to_which_some_step_is_equal(
    both: tuple[list[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    truth, steps = both
    compared = compare_actions(action_table(truth), action_table(steps))
    assert compared.is_exact.tolist() == [row in steps for row in truth]
    used = compared.step[compared.step >= 0].tolist()
    assert len(set(used)) == len(used)
    assert sorted(used + compared.spurious.tolist()) == list(range(len(steps)))
    for row, step in zip(truth, compared.step.tolist(), strict=True):
        if step >= 0:
            assert row["recording"] == steps[step]["recording"]


# ----------------------------------------------------------------------------------------------- observations


def observed(*rows: tuple[int, str | None, int | None, int | None, int | None]) -> pa.Table:
    """Steps at (start, hash, image time, image age, approach image time)."""
    names = ("start_us", "image_hash", "image_time_us", "image_age_us", "approach_image_time_us")
    base = [row | dict(zip(names, values, strict=True)) for row, values in zip(actions(len(rows)), rows, strict=True)]
    schema = pa.schema([*ACTION_SCHEMA, ("image_hash", pa.string()), *((name, pa.int64()) for name in names[2:])])
    return pa.Table.from_pylist(base, schema=schema)


@pytest.mark.parametrize(
    ("step", "stated", "errors"),
    [
        ((100, "a", 90, 10, 80), "a", {}),
        ((100, None, None, None, None), None, {}),
        ((100, "a", 90, 10, 80), "b", {"image_differs"}),
        ((100, "a", 90, 10, 80), None, {"image_differs"}),
        ((100, None, None, None, None), "a", {"image_missing"}),
        ((100, "a", 100, 0, 80), "a", {"image_at_or_after_action", "image_age_wrong"}),
        ((100, "a", 110, -10, 80), "a", {"image_at_or_after_action", "image_age_wrong"}),
        ((100, "a", 90, 11, 80), "a", {"image_age_wrong"}),
        ((100, "a", 90, 10, 95), "a", {"approach_image_after_image"}),
        ((100, "a", 90, 10, 100), "a", {"approach_image_after_image", "approach_image_at_or_after_action"}),
    ],
)
def test_each_fault_of_an_observation_is_counted(step: Any, stated: str | None, errors: set[str]) -> None:
    steps = observed(step, (100, "z", 50, 50, 50))
    truth = action_table(actions(2)).append_column("picture_hash", pa.array([stated, "z"], pa.string()))
    counts = observation_errors(truth, steps, compare_actions(truth, steps))
    assert {name for name, count in vars(counts).items() if count and name not in ("steps", "compared")} == set(errors)
    assert (counts.steps, counts.compared, counts.total) == (2, 2, len(errors))


def test_a_truth_without_pictures_leaves_them_uncompared() -> None:
    truth, steps = action_table(actions(1)), observed((100, "a", 90, 10, 80))
    counts = observation_errors(truth, steps, compare_actions(truth, steps))
    assert (counts.compared, counts.total) == (0, 0)


# ----------------------------------------------------------------------------------------------------- joined

KEYBOARD = {Kind.KEY_DOWN, Kind.KEY_UP}


def recording(rows: list[dict[str, Any]], number: int) -> list[Segment]:
    """A recording in two segments, with a device, a participant and seqs of its own."""
    rows = [row | {"seq": row["seq"] + 1000 * number} for row in rows]
    who = {"participant": f"p{number}", "device": f"d{number}", "recording": f"r{number}"}
    half = (len(rows) + 1) // 2
    return [segment_of(part, **who) for part in (rows[:half], rows[half:]) if part]


def events_of(segments: list[Segment]) -> list[dict[str, Any]]:
    return [row for segment in segments for row in segment.events.to_pylist()]


def what_was_done(segments: list[Segment]) -> list[tuple[str, ...]]:
    """The actions that are made of events with a finger on something, in order."""
    columns = ("start_us", "action", "text", "keys", "button")
    drafts = build_span(segments, BuildOptions()).drafts
    rows = [row for draft in drafts for row in draft.steps.select(columns).to_pylist()]
    rows.sort(key=lambda row: row["start_us"])
    made = [tuple(row[name] for name in columns[1:]) for row in rows]
    return [one for one in made if one[0] not in ("moveTo", "wait", "terminate")]


_MARKS = (Kind.MARK_START, Kind.MARK_END)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(acts(max_acts=6), min_size=2, max_size=4), st.integers(0, 99))
def test_joined_recordings_hold_the_same_work_one_after_another(works: list[list[dict[str, Any]]], seed: int) -> None:
    works = [[row for row in rows if row["kind"] not in _MARKS] for rows in works]
    works = [rows for rows in works if rows]
    if not works:
        return
    recordings = [recording(rows, number) for number, rows in enumerate(works)]
    _, pauses_us = draw(np.random.Generator(np.random.PCG64(seed)), len(works))
    joined = join(recordings, pauses_us, participant="p")
    rows = events_of(joined.segments)
    assert [row["seq"] for row in rows] == sorted({row["seq"] for row in rows})
    assert all(one["time_us"] <= two["time_us"] for one, two in pairwise(rows))
    assert {(s.header.participant, s.header.device, s.header.recording) for s in joined.segments} == {
        ("p", "joined", "joined")
    }
    parts = joined.part_of(array([row["seq"] for row in rows]))
    for part, work in enumerate(works):
        *mine, end = [row for row, of in zip(rows, parts.tolist(), strict=True) if of == part]
        assert (end["kind"], end["app"], end["time_us"]) == (Kind.FOCUS, None, mine[-1]["time_us"])
        assert [row["kind"] for row in mine] == [row["kind"] for row in work]
        assert {row["time_us"] - other["time_us"] for row, other in zip(mine, work, strict=True)} == {
            mine[0]["time_us"] - work[0]["time_us"]
        }
    gaps = [two["time_us"] - one["time_us"] for (one, two), (a, b) in zip(pairwise(rows), pairwise(parts), strict=True)
            if a != b]  # fmt: skip
    assert gaps == pauses_us
    assert what_was_done(joined.segments) == [act for segments in recordings for act in what_was_done(segments)]


def test_markers_and_the_recorders_own_controls_are_taken_out() -> None:
    hand = Hand().event(Kind.MARK_START, text="a task").wait(10).write("ab").event(Kind.MARK_END, key="done")
    hand.event(Kind.KEY_DOWN, key="ctrlleft", flags=int(Flag.RECORDER_CONTROL) | int(Flag.SYNTHETIC))
    joined = join([recording(hand.rows, 0), recording(Hand().tap("enter").rows, 1)], [5_000_000], participant="p")
    keys = [row["key"] for row in events_of(joined.segments) if row["kind"] != Kind.FOCUS]
    assert keys == ["a", "a", "b", "b", "enter", "enter"]
    assert [act[:3] for act in what_was_done(joined.segments)] == [("write", "ab", None), ("press", None, "enter")]


def test_what_a_recording_leaves_down_goes_up_at_its_end() -> None:
    held = Hand().key_down("ctrlleft").wait(10).tap("c", "c").wait(10).down(1).wait(10).move(1)
    joined = join([recording(held.rows, 0), recording(Hand().write("hello").rows, 1)], [5_000_000], participant="p")
    rows = events_of(joined.segments)
    ups = [(row["kind"], row["key"] or row["code"]) for row in rows if row["time_us"] == held.time_us]
    assert ups == [(Kind.MOVE, None), (Kind.KEY_UP, "ctrlleft"), (Kind.BUTTON_UP, 1), (Kind.FOCUS, None)]
    assert what_was_done(joined.segments)[-1][:2] == ("write", "hello")


def test_a_recording_of_nothing_but_markers_is_left_out() -> None:
    empty = recording(Hand().event(Kind.MARK_START).rows, 1)
    joined = join([recording(Hand().tap("a", "a").rows, 0), empty, recording(Hand().tap("b", "b").rows, 2)],
                  [4_000_000, 5_000_000], participant="p")  # fmt: skip
    assert joined.part_of(array([row["seq"] for row in events_of(joined.segments)])).tolist() == [0, 0, 0, 2, 2, 2]


def test_pauses_spread_over_the_octaves_and_the_order_is_any() -> None:
    rng = np.random.Generator(np.random.PCG64(1))
    draws = [draw(rng, 5) for _ in range(500)]
    pauses_s = np.array([pauses for _, pauses in draws]).ravel() / 1e6
    assert pauses_s.min() >= 4
    assert pauses_s.max() < 256
    shares = np.histogram(pauses_s, [4, 8, 16, 32, 64, 128, 256])[0] / len(pauses_s)
    assert (np.abs(shares - 1 / 6) < 0.03).all()
    assert all(sorted(order) == list(range(5)) for order, _ in draws)
    assert len({tuple(order) for order, _ in draws}) > 100
    assert draw(np.random.Generator(np.random.PCG64(7)), 4) == draw(np.random.Generator(np.random.PCG64(7)), 4)
