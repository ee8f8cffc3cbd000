import io
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskreel.io.schemas import STEP_SCHEMA
from taskreel.io.shards import RowGroupLimits, ShardWriter, plan_row_groups, shard_name


@st.composite
def plans(draw):
    """Pictures of rows as runs, second pictures, sizes and limits, all small enough to hit every limit."""
    count = draw(st.integers(1, 6))
    runs = draw(st.lists(st.tuples(st.integers(-1, count - 1), st.integers(1, 7)), max_size=14))
    pictures = [picture for picture, length in runs for _ in range(length)]
    more = [draw(st.integers(-1, count - 1)) for _ in pictures]
    sizes = draw(st.lists(st.integers(1, 40), min_size=count, max_size=count))
    limits = RowGroupLimits(draw(st.integers(1, 9)), draw(st.integers(1, 90)))
    return pictures, more, sizes, limits


def planned(pictures, more, sizes, limits):
    arrays = (np.array(pictures, np.int64), np.array(more, np.int64))
    return list(plan_row_groups(*arrays, sizes.__getitem__, limits))


def runs_of(pictures):
    starts = [row for row in range(len(pictures)) if row == 0 or pictures[row] != pictures[row - 1]]
    return [(first, end) for first, end in zip(starts, [*starts, len(pictures)][1:], strict=True)]


def bytes_of(first, end, pictures, more, sizes):
    return sum(sizes[picture] for picture in {*pictures[first:end], *more[first:end]} - {-1})


@given(plans())
@settings(max_examples=400, deadline=None)
def test_every_row_is_in_one_group_in_order(plan):
    groups = planned(*plan)
    assert [row for first, end in groups for row in range(first, end)] == list(range(len(plan[0])))
    assert all(end > first for first, end in groups)


@given(plans())
@settings(max_examples=400, deadline=None)
def test_no_group_has_more_rows_than_allowed(plan):
    assert all(end - first <= plan[3].max_rows for first, end in planned(*plan))


@given(plans())
@settings(max_examples=600, deadline=None)
def test_no_group_has_more_bytes_of_pictures_than_allowed_unless_it_is_of_a_single_run(plan):
    pictures, more, sizes, limits = plan
    for first, end in planned(*plan):
        if len(set(pictures[first:end])) > 1:
            assert bytes_of(first, end, pictures, more, sizes) <= limits.max_picture_bytes


@given(plans())
@settings(max_examples=600, deadline=None)
def test_a_run_of_one_picture_is_split_only_if_it_alone_is_over_the_limits(plan):
    pictures, more, sizes, limits = plan
    cuts = {first for first, _ in planned(*plan)}
    for first, end in runs_of(pictures):
        is_over = (
            end - first > limits.max_rows or bytes_of(first, end, pictures, more, sizes) > limits.max_picture_bytes
        )
        assert is_over or not cuts & set(range(first + 1, end))


@given(plans())
@settings(max_examples=400, deadline=None)
def test_a_group_ends_only_where_the_next_run_would_not_fit(plan):
    pictures, more, sizes, limits = plan
    ends_of_runs = dict(runs_of(pictures))
    for (start, cut), _ in zip(planned(*plan)[:-1], planned(*plan)[1:], strict=True):
        end = ends_of_runs.get(cut)
        if end is not None:
            too_many = end - start > limits.max_rows
            too_large = bytes_of(start, end, pictures, more, sizes) > limits.max_picture_bytes
            assert too_many or too_large


def test_no_rows_need_no_group():
    assert planned([], [], [], RowGroupLimits()) == []


@pytest.mark.parametrize(
    ("pictures", "limits", "groups"),
    [
        ([0, 0, 0, 1, 1, 2], RowGroupLimits(4, 100), [(0, 3), (3, 6)]),
        ([0, 0, 0, 1, 1, 2], RowGroupLimits(100, 20), [(0, 5), (5, 6)]),
        ([0, 0, 0, 0, 0], RowGroupLimits(2, 100), [(0, 2), (2, 4), (4, 5)]),
        ([0, 1, 0, 1, 0], RowGroupLimits(100, 20), [(0, 5)]),
        ([-1, -1, 0], RowGroupLimits(100, 5), [(0, 2), (2, 3)]),
    ],
)
def test_plans_by_hand(pictures, limits, groups):
    assert planned(pictures, [-1] * len(pictures), [10, 10, 10], limits) == groups


def _blank_steps(rows):
    blank = {"string": "", "bool": False, "list": []}
    row = {
        f.name: next((v for k, v in blank.items() if str(f.type).startswith(k)), 0)
        for f in STEP_SCHEMA
        if not f.nullable
    }
    return pa.Table.from_pylist([row] * rows, schema=STEP_SCHEMA)


def test_a_shard_keeps_each_picture_of_a_row_group_once_and_gives_it_to_each_row(tmp_path):
    path = str(tmp_path / "shard.parquet")
    pictures = [bytes([65 + i]) * 50_000 for i in range(2)]
    shown = np.array([0, 0, 1, -1, 0])
    with ShardWriter(path) as writer:
        writer.write(_blank_steps(5), {"image": (shown, pictures), "approach_image": (np.full(5, -1), [])})
    data = (tmp_path / "shard.parquet").read_bytes()
    assert data.count(pictures[0]) == data.count(pictures[1]) == 1
    images = pq.read_table(io.BytesIO(data)).column("image").to_pylist()
    assert [image and image["bytes"] for image in images] == [None if i < 0 else pictures[i] for i in shown]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_equal_contents_are_stored_once_and_the_page_ends_with_them(values):
    """Two people may have seen the very same screen, and then their pictures have numbers of their own."""
    contents = [bytes([value]) * 5000 for value in values]
    distinct = list(dict.fromkeys(contents))
    rows = np.arange(len(contents))
    files = [
        _shard_of({"image": (rows, contents), "approach_image": (rows - 1, contents)}),
        _shard_of(
            {
                "image": (np.array([distinct.index(content) for content in contents]), distinct),
                "approach_image": (np.array([-1, *(distinct.index(c) for c in contents[:-1])]), distinct),
            }
        ),
    ]
    assert files[0] == files[1]
    table = pq.read_table(io.BytesIO(files[0]), columns=["image"])
    assert [image["bytes"] for image in table["image"].to_pylist()] == contents


def _shard_of(images):
    steps = _blank_steps(len(images["image"][0]))
    with tempfile.NamedTemporaryFile() as file:
        with ShardWriter(file.name) as writer:
            writer.write(steps, images)
        return Path(file.name).read_bytes()


def test_a_shards_name_says_its_split_its_place_and_its_content():
    assert shard_name("train", 3, 42, "0123456789abcdef") == "train-00003-of-00042-0123456789ab.parquet"
