"""Row groups that are read from copies of parts are those of the file, and no more is fetched than they need."""

from __future__ import annotations

import io
import tempfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskreel.io import row_groups
from taskreel.io.row_groups import RowGroupFiles
from taskreel.io.stores import LocalStore


class Remote(LocalStore):
    """A folder that is treated like a remote store, and keeps account of what was asked of it."""

    is_remote = True

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.requests: list[int] = []

    def read_range(self, name: str, offset: int, length: int) -> bytes:
        self.requests.append(length)
        return super().read_range(name, offset, length)

    def read(self, name: str) -> bytes:
        raise AssertionError("whole files are not read")


def table_of(rows: int, seed: int) -> pa.Table:
    contents = [bytes([65 + (seed + row) % 20]) * (500 + 37 * row) for row in range(rows)]
    return pa.table({"number": range(rows), "content": contents})


def written(rows: int, group_rows: int, seed: int = 0) -> tuple[bytes, pa.Table]:
    table, sink = table_of(rows, seed), io.BytesIO()
    pq.write_table(table, sink, row_group_size=group_rows, compression="none")
    return sink.getvalue(), table


@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(1, 7), st.sets(st.integers(0, 29))), min_size=1, max_size=5),
    st.integers(1, 3),
    st.sampled_from([100, 5000, 8 << 20]),
    st.sampled_from([9, 200, 64 << 10]),
)
def test_what_is_read_is_what_lies_there(
    files: list[tuple[int, int, set[int]]], open_at_once: int, request_bytes: int, tail_bytes: int
) -> None:
    with tempfile.TemporaryDirectory() as root, pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_groups, "_REQUEST_BYTES", request_bytes)
        patch.setattr(row_groups, "_TAIL_BYTES", tail_bytes)
        store = Remote(root)
        expected = {}
        for number, (rows, group_rows, wanted) in enumerate(files):
            data, table = written(rows, group_rows, number)
            store.create(f"{number}", data)
            groups = sorted({row // group_rows for row in wanted if row < rows})
            expected[number] = data, groups, [table.slice(group * group_rows, group_rows) for group in groups]
        with RowGroupFiles(store, open_at_once=open_at_once) as opened:
            for number, (data, groups, tables) in [*expected.items(), *expected.items()]:
                file = opened.open(f"{number}", len(data), lambda metadata, groups=groups: groups)
                for group, table in zip(groups, tables, strict=True):
                    assert file.read_row_group(group).equals(table)


def test_only_what_is_needed_is_fetched_and_once(tmp_path) -> None:
    store = Remote(str(tmp_path))
    data, table = written(1000, 10)
    store.create("file", data)
    with RowGroupFiles(store, open_at_once=1) as opened:
        for _ in range(2):
            file = opened.open("file", len(data), lambda metadata: [3, 4, 90])
            assert file.read_row_groups([3, 4, 90]).equals(
                pa.concat_tables([table.slice(30, 20), table.slice(900, 10)])
            )
    assert len(store.requests) <= 4
    assert sum(store.requests) < len(data) / 2


def test_a_file_of_a_folder_is_opened_where_it_lies(tmp_path) -> None:
    store = LocalStore(str(tmp_path))
    data, table = written(30, 10)
    store.create("file", data)
    with RowGroupFiles(store) as opened:
        assert opened.open("file", len(data), lambda metadata: []).read_row_group(2).equals(table.slice(20))
    with RowGroupFiles(store) as opened, pytest.raises(FileNotFoundError):
        opened.open("nothing", 9, lambda metadata: [])
