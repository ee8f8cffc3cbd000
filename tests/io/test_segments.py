import hashlib
import io
import json
import random
from dataclasses import asdict, replace
from unittest import mock

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import BEGIN_US, event_tables, header_of, headers, picture_hash_of, pictures, table_of

from taskreel.io import segments
from taskreel.io.events import EVENT_SCHEMA, Kind
from taskreel.io.names import SegmentName
from taskreel.io.segments import (
    STORED_SCHEMA,
    Screen,
    SegmentError,
    SegmentFile,
    SegmentHeader,
    encode_segment,
    read_segment,
)

EVENT_COLUMNS = EVENT_SCHEMA.names


def screen(seq, picture, **fields):
    row = {"seq": seq, "time_us": BEGIN_US + seq * 1000, "kind": Kind.SCREEN, "picture": picture}
    return row | {"picture_hash": picture_hash_of(picture)} | fields


def move(seq, **fields):
    return {"seq": seq, "time_us": BEGIN_US + seq * 1000, "kind": Kind.MOVE, "x": 256 * seq, "y": -256} | fields


def mixed(count=40):
    return table_of([screen(i, bytes([i]) * (50 + i)) if i % 4 == 0 else move(i) for i in range(count)])


def in_seq_order(table):
    return table.select(EVENT_COLUMNS).sort_by("seq").to_pylist()


# ---------------------------------------------------------------------------------------------- good segments


@given(headers(), event_tables())
@settings(max_examples=60, deadline=None)
def test_any_events_and_their_header_survive_the_file(header, table):
    name, data = encode_segment(header, table)
    segment = read_segment(name, data)
    assert in_seq_order(segment.events) == in_seq_order(table)
    times = table.column("time_us").to_pylist()
    seqs = table.column("seq").to_pylist()
    filled = replace(header, first_seq=seqs[0], last_seq=seqs[-1], first_us=times[0], last_us=times[-1])
    assert segment.header == filled
    assert SegmentFile(name, data).header == filled
    assert SegmentName.parse(str(name)) == name


@given(event_tables(whole_px=True, max_rows=12))
@settings(max_examples=20, deadline=None)
def test_whole_pixels_are_stored_as_such_and_read_in_the_units_of_memory(table):
    name, data = encode_segment(header_of(positions_per_px=1), table)
    assert in_seq_order(read_segment(name, data).events) == in_seq_order(table)
    stored = pq.read_table(io.BytesIO(data)).sort_by("seq").column("x").to_pylist()
    assert stored == [None if x is None else x // 256 for x in table.column("x").to_pylist()]


@given(st.data(), st.integers(1, 4000))
@settings(max_examples=40, deadline=None)
def test_each_picture_lies_where_its_event_says(data, group_bytes):
    shown = st.one_of(st.sampled_from([b"same", b"same too"]), pictures())
    table = data.draw(event_tables(min_rows=5, max_rows=40, shown=shown))
    with mock.patch.object(segments, "PICTURE_GROUP_BYTES", group_bytes):
        name, file = encode_segment(header_of(), table)
    read = read_segment(name, file).events.sort_by("seq")
    places = zip(read.column("picture_offset").to_pylist(), read.column("picture_bytes").to_pylist(), strict=True)
    found = [None if offset is None else file[offset : offset + size] for offset, size in places]
    assert found == table.column("picture").to_pylist()


def test_more_pictures_than_one_row_group_holds_are_all_found():
    table = table_of([screen(i, b"%d" % i * 3) for i in range(2100)])
    name, file = encode_segment(header_of(), table)
    assert [pq.ParquetFile(io.BytesIO(file)).metadata.row_group(i).num_rows for i in range(3)] == [1000, 1000, 100]
    read = read_segment(name, file).events.select(["seq", "picture_offset", "picture_bytes"]).to_pylist()
    assert {e["seq"]: file[e["picture_offset"] :][: e["picture_bytes"]] for e in read} == {
        i: b"%d" % i * 3 for i in range(2100)
    }


def test_rows_with_a_picture_lie_in_row_groups_of_their_own_behind_the_others():
    with mock.patch.object(segments, "PICTURE_GROUP_BYTES", 300):
        _, file = encode_segment(header_of(), mixed())
    parquet = pq.ParquetFile(io.BytesIO(file))
    columns = [parquet.read_row_group(i).column("picture") for i in range(parquet.num_row_groups)]
    assert len(columns) > 3
    assert columns[0].null_count == len(columns[0]) == 30
    assert [column.null_count for column in columns[1:]] == [0] * (len(columns) - 1)
    assert all(sum(len(p) for p in column.to_pylist()) <= 300 for column in columns[1:])


def test_pictures_are_not_compressed_have_no_statistics_and_are_one_plain_page_a_row_group():
    _, file = encode_segment(header_of(), mixed())
    metadata = pq.ParquetFile(io.BytesIO(file)).metadata
    assert metadata.num_row_groups == 2
    for group in range(metadata.num_row_groups):
        chunks = {(c := metadata.row_group(group).column(i)).path_in_schema: c for i in range(metadata.num_columns)}
        assert chunks["picture"].compression == "UNCOMPRESSED"
        assert not chunks["picture"].is_stats_set
        assert not chunks["picture"].has_dictionary_page
        assert chunks["title"].compression == "ZSTD"
        assert "DELTA_BINARY_PACKED" in chunks["time_us"].encodings


def test_page_checksums_let_other_readers_find_a_flipped_bit():
    picture = random.Random(1).randbytes(500)
    _, file = encode_segment(header_of(), table_of([screen(0, picture)]))
    at = file.index(picture) + 100
    altered = file[:at] + bytes([file[at] ^ 1]) + file[at + 1 :]
    pq.read_table(io.BytesIO(file), page_checksum_verification=True)
    pq.read_table(io.BytesIO(altered))
    with pytest.raises(OSError, match=r"(?i)crc"):
        pq.read_table(io.BytesIO(altered), page_checksum_verification=True)


def test_duckdb_and_polars_open_the_file_with_no_code_of_ours(tmp_path):
    table = mixed()
    _, file = encode_segment(header_of(), table)
    path = tmp_path / "segment.parquet"
    path.write_bytes(file)
    expected = {row["seq"]: (row["time_us"], row["x"], row["picture"]) for row in table.to_pylist()}
    query = f"select seq, time_us, x, picture from '{path}'"
    assert {seq: (t, x, p) for seq, t, x, p in duckdb.connect().sql(query).fetchall()} == expected
    rows = pl.read_parquet(path).select("seq", "time_us", "x", "picture").rows()
    assert {seq: (t, x, p) for seq, t, x, p in rows} == expected


def test_the_same_events_give_the_same_name_and_bytes():
    sliced = pa.concat_tables([mixed().slice(0, 7), mixed().slice(7)])
    assert encode_segment(header_of(), mixed()) == encode_segment(header_of(), sliced)
    name, data = encode_segment(header_of(), mixed())
    assert hashlib.sha256(data).hexdigest()[:12] == name.sha


# ------------------------------------------------------------------------- events that do not fit the format


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "at least one event"),
        ([move(1), move(1, time_us=BEGIN_US + 5000)], "seq"),
        ([move(2), move(1, time_us=BEGIN_US + 5000)], "seq"),
        ([move(1), move(2, time_us=BEGIN_US)], "time_us"),
    ],
)
def test_events_out_of_order_are_not_encoded(rows, message):
    with pytest.raises(ValueError, match=message):
        encode_segment(header_of(), table_of(rows))


def test_positions_finer_than_the_header_says_are_not_encoded():
    with pytest.raises(ValueError, match="column y"):
        encode_segment(header_of(positions_per_px=1), table_of([move(1), move(2, y=257)]))


@pytest.mark.parametrize("units", [-1, 0, 2, 512])
def test_units_that_no_reader_takes_are_not_encoded(units):
    with pytest.raises(ValueError, match="positions_per_px"):
        encode_segment(header_of(positions_per_px=units), table_of([move(1, x=0, y=0)]))


@pytest.mark.parametrize("row", [move(-1), move(1, time_us=-5), move(1, kind=0), move(1, kind=99)])
def test_events_that_no_reader_takes_are_not_encoded(row):
    with pytest.raises(ValueError, match=r"."):
        encode_segment(header_of(), table_of([row]))


@pytest.mark.parametrize("picture_hash", [None, "0" * 32])
def test_a_picture_without_its_hash_is_not_encoded(picture_hash):
    with pytest.raises(ValueError, match="picture_hash"):
        encode_segment(header_of(), table_of([screen(1, b"picture", picture_hash=picture_hash)]))


# ------------------------------------------------------------------------------------------------ bad segments


def code_of(name, data):
    with pytest.raises(SegmentError) as caught:
        read_segment(name, data)
    assert str(caught.value)
    return caught.value.code


def crafted(rows, *, header=None, drop=(), schema=STORED_SCHEMA, extra=None, named=None, options=None):
    """A Parquet file made with pyarrow alone, and the name with its true sha256 that `named` or the rows give it."""
    rows = [{"flags": 0} | row for row in rows]
    for row in rows:
        row.setdefault("picture_bytes", None if row.get("picture") is None else len(row["picture"]))
    table = pa.Table.from_pylist(rows, schema=schema).drop_columns(list(drop))
    for column, values in (extra or {}).items():
        table = table.append_column(column, values)
    seqs, times = [r["seq"] for r in rows] or [0], [r["time_us"] for r in rows] or [0]
    known = {"first_seq": min(seqs), "last_seq": max(seqs), "first_us": min(times), "last_us": max(times)}
    known = asdict(header_of(**known)) | {"version": "1.0"} | (header or {})
    sink = pa.BufferOutputStream()
    settings_ = {"use_dictionary": False, "compression": "none", "store_schema": False} | (options or {})
    with pq.ParquetWriter(sink, table.schema, **settings_) as writer:
        writer.write_table(table)
        if header is not False:
            writer.add_key_value_metadata({"taskreel": json.dumps(known)})
    data = sink.getvalue().to_pybytes()
    facts = {
        "participant": "p1",
        "recording": "r1",
        "first_seq": min(seqs),
        "last_seq": max(seqs),
        "first_ms": min(times) // 1000,
        "last_ms": -(-max(times) // 1000),
    }
    return SegmentName(**(facts | (named or {})), sha=hashlib.sha256(data).hexdigest()[:12]), data


def test_a_file_made_without_our_writer_is_read():
    rows = [move(1), screen(2, b"one"), screen(3, b"three")]
    segment = read_segment(*crafted(rows))
    assert in_seq_order(segment.events) == in_seq_order(table_of(rows))


def test_a_file_without_bytes_is_empty():
    name, _ = encode_segment(header_of(), mixed())
    assert code_of(name, b"") == "empty"


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_file_that_was_cut_off_is_truncated(share):
    name, data = encode_segment(header_of(), mixed())
    assert code_of(name, data[: max(4, int(len(data) * share))]) == "truncated"


@pytest.mark.parametrize("data", [b"P", b"hello", b"\x89PNG\r\n" * 9, b"PAR2" + b"0" * 50 + b"PAR1"])
def test_other_bytes_are_foreign(data):
    name, _ = encode_segment(header_of(), mixed())
    assert code_of(name, data) == "foreign"


def test_a_parquet_file_without_our_header_is_foreign():
    assert code_of(*crafted([move(1)], header=False)) == "foreign"


def test_bytes_that_are_not_parquet_but_whose_name_is_true_are_refused():
    name, _ = encode_segment(header_of(), mixed())
    for data in (b"", b"hello", b"PAR1", b"PAR1PAR1", b"PAR1" + b"\xff" * 30 + b"PAR1"):
        assert code_of(replace(name, sha=hashlib.sha256(data).hexdigest()[:12]), data) == "parquet"


def test_every_flipped_bit_is_found():
    name, data = encode_segment(header_of(), mixed())
    chance = random.Random(5)
    places = [*range(12), *range(len(data) - 12, len(data)), *chance.sample(range(len(data)), 300)]
    for place in places:
        flipped = bytearray(data)
        flipped[place] ^= 1 << chance.randrange(8)
        assert code_of(name, bytes(flipped)) in ("altered", "foreign", "truncated")


def test_a_damaged_file_with_a_true_name_gives_no_other_error_than_ours():
    rows = [move(i) for i in range(9)] + [screen(10 + i, b"picture" * i) for i in range(1, 6)]
    name, data = crafted(rows)
    chance = random.Random(11)
    refused = 0
    for _ in range(600):
        damaged = bytearray(data)
        for _ in range(chance.choice([1, 1, 8])):
            damaged[chance.randrange(len(data))] = chance.randrange(256)
        try:
            read_segment(replace(name, sha=hashlib.sha256(damaged).hexdigest()[:12]), bytes(damaged))
        except SegmentError:
            refused += 1
    assert refused > 50


@pytest.mark.parametrize("version", ["2.0", "0.9", "10.0"])
def test_a_major_version_that_is_not_known_is_refused(version):
    assert code_of(*crafted([move(1)], header={"version": version})) == "version"


def test_a_newer_minor_version_with_a_further_column_and_header_field_reads():
    rows = [move(1), screen(2, b"one")]
    extra = {"pressure": pa.array([0.5, None])}
    segment = read_segment(*crafted(rows, header={"version": "1.7", "posture": "standing"}, extra=extra))
    assert in_seq_order(segment.events) == in_seq_order(table_of(rows))
    assert segment.header.version == "1.7"


@pytest.mark.parametrize("column", [n for n in EVENT_COLUMNS if EVENT_SCHEMA.field(n).nullable])
def test_an_older_minor_version_without_a_nullable_column_reads_with_nulls(column):
    rows = [move(1, code=3, text="t", picture_dhash=1), move(2)]
    events = read_segment(*crafted(rows, drop=[column])).events
    assert events.schema.field(column).type == EVENT_SCHEMA.field(column).type
    assert events.column(column).null_count == 2
    assert in_seq_order(events) == [row | {column: None} for row in in_seq_order(table_of(rows))]


@pytest.mark.parametrize("column", ["seq", "time_us", "kind", "flags"])
def test_a_column_that_may_not_be_absent_is_missed(column):
    assert code_of(*crafted([move(1)], drop=[column])) == "columns"


@pytest.mark.parametrize("column", ["seq", "time_us", "kind", "flags"])
def test_nulls_where_there_must_be_none_are_refused(column):
    schema = pa.schema([field.with_nullable(True) for field in STORED_SCHEMA])
    table = pa.Table.from_pylist([move(1, flags=0), move(2, flags=0)], schema=schema)
    values = pa.array([1, None], STORED_SCHEMA.field(column).type)
    rows = table.set_column(schema.get_field_index(column), schema.field(column), values).to_pylist()
    name, _ = crafted([move(1), move(2)])
    sink = pa.BufferOutputStream()
    header = asdict(header_of(first_seq=1, last_seq=2, first_us=BEGIN_US + 1000, last_us=BEGIN_US + 2000))
    with pq.ParquetWriter(sink, schema) as writer:
        writer.write_table(pa.Table.from_pylist(rows, schema=schema))
        writer.add_key_value_metadata({"taskreel": json.dumps(header)})
    data = sink.getvalue().to_pybytes()
    assert code_of(replace(name, sha=hashlib.sha256(data).hexdigest()[:12]), data) == "columns"


def test_a_column_of_a_type_that_cannot_be_read_as_its_own_is_refused():
    position = STORED_SCHEMA.get_field_index("x")
    schema = STORED_SCHEMA.set(position, pa.field("x", pa.string()))
    assert code_of(*crafted([move(1, x="left")], schema=schema)) == "parquet"


@pytest.mark.parametrize(
    "named",
    [
        {"participant": "p2"},
        {"recording": "r2"},
        {"first_seq": 0},
        {"last_seq": 9},
        {"first_ms": BEGIN_US // 1000 - 1},
        {"last_ms": BEGIN_US // 1000 + 10},
    ],
)
def test_a_name_that_the_header_does_not_bear_out_is_refused(named):
    assert code_of(*crafted([move(1), move(2)], named=named)) == "name"


@pytest.mark.parametrize(
    "header", [{"participant": "P 1"}, {"recording": "r_1"}, {"last_seq": -4}, {"last_us": 10**18}, {"last_us": 0}]
)
def test_a_header_that_could_have_no_name_is_refused(header):
    assert code_of(*crafted([move(1), move(2)], header=header)) in ("name", "header")


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ({"first_seq": 0}, {"first_seq": 0}),
        ({"last_seq": 9}, {"last_seq": 9}),
        ({"first_us": BEGIN_US}, {"first_ms": BEGIN_US // 1000}),
        ({"last_us": BEGIN_US + 9000}, {"last_ms": BEGIN_US // 1000 + 9}),
    ],
)
def test_a_name_and_header_that_the_events_do_not_bear_out_are_refused(header, named):
    assert code_of(*crafted([move(1), move(2)], header=header, named=named)) == "header"


@pytest.mark.parametrize(
    "header",
    [
        {"version": None},
        {"version": "one"},
        {"version": ""},
        {"device": None},
        {"consent_id": 7},
        {"consent_version": "1"},
        {"first_seq": "1"},
        {"first_us": 1.5},
        {"positions_per_px": 2},
        {"positions_per_px": "1"},
        {"clock_anchors": 5},
        {"clock_anchors": [[1]]},
        {"clock_anchors": [[1, float("inf")]]},
        {"screen": {}},
        {"screen": []},
        {"screen": "1920x1080"},
        {"screen": {"width_px": "wide", "height_px": 1}},
        {"screen": {"width_px": float("inf"), "height_px": 1}},
        {"screen": {"width_px": 2**40, "height_px": 1}},
        {"screen": {"width_px": 1, "height_px": 1, "monitors": [3]}},
        {"region": 7},
        {"region": ["EU"]},
        {"source": 7},
        {"coordinate_space": None},
        {"keyboard_layout": ["de"]},
        {"utc_offset_min": "60"},
        {"final": "yes"},
    ],
    ids=str,
)
def test_a_header_field_of_the_wrong_type_is_refused(header):
    assert code_of(*crafted([move(1)], header=header)) == "header"


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"5", b"null", b'"1.0"', b"\xff\xfe", b"{}", b'{"version": "1.0"}'])
def test_a_header_that_is_no_json_object_is_refused(text):
    with pytest.raises(SegmentError) as caught:
        SegmentHeader.from_json(text)
    assert caught.value.code == "header"


@given(headers())
@settings(max_examples=30, deadline=None)
def test_a_header_survives_its_json(header):
    assert SegmentHeader.from_json(header.to_json()) == header


def test_a_header_with_none_but_the_required_fields_reads():
    required = dict.fromkeys(("participant", "device", "recording", "consent_id"), "x") | {"version": "1.0"}
    header = SegmentHeader.from_json(json.dumps(required).encode())
    assert (header.screen, header.final, header.positions_per_px) == (None, False, 1)


def test_monitors_and_scale_survive_the_header():
    shown = Screen(10, 20, 1.25, ((0, 0, 5, 20), (5, 0, 5, 20)))
    assert SegmentHeader.from_json(header_of(screen=shown).to_json()).screen == shown


def test_times_that_run_backwards_are_refused():
    assert code_of(*crafted([move(1), move(2, time_us=BEGIN_US + 9000), move(3)])) == "time_backwards"


def test_rows_may_come_in_any_order_as_long_as_time_rises_with_seq():
    assert read_segment(*crafted([move(3), move(1), move(2)])).events.num_rows == 3


def test_a_seq_that_stands_twice_is_refused():
    assert code_of(*crafted([move(1), move(2), move(2, x=0)])) == "seq"


@pytest.mark.parametrize("kind", [-1, 0, 15, 127])
def test_an_unknown_kind_is_refused(kind):
    assert code_of(*crafted([move(1), move(2, kind=kind)])) == "kind"


def test_a_segment_without_events_is_refused():
    name, data = crafted([], header={"first_us": BEGIN_US, "last_us": BEGIN_US, "first_seq": 0, "last_seq": 0})
    ms = BEGIN_US // 1000
    assert code_of(replace(name, first_ms=ms, last_ms=ms), data) == "no_events"


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zstd"},
        {"use_dictionary": ["picture"]},
        {"use_dictionary": False, "column_encoding": {"picture": "DELTA_LENGTH_BYTE_ARRAY"}},
    ],
    ids=str,
)
def test_pictures_whose_place_cannot_be_told_are_refused(options):
    rows = [screen(i, bytes([i]) * 400) for i in range(1, 9)]
    assert code_of(*crafted(rows, options=options)) == "pictures"


def test_pictures_on_several_pages_are_refused():
    rows = [screen(i, bytes([i]) * 400) for i in range(1, 9)]
    options = {"data_page_size": 500, "write_batch_size": 1}
    assert code_of(*crafted(rows, options=options)) == "pictures"


@pytest.mark.parametrize("size", [-1, 0, 6, 8, 2**31 - 1])
def test_a_size_that_is_not_the_pictures_is_refused(size):
    assert code_of(*crafted([move(1), screen(2, b"picture", picture_bytes=size)])) == "pictures"


def test_a_size_without_a_picture_is_refused():
    assert code_of(*crafted([move(1, picture_bytes=7)])) == "pictures"


def test_sizes_without_a_column_of_pictures_are_refused():
    assert code_of(*crafted([screen(1, b"picture")], drop=["picture"])) == "pictures"


def test_a_stored_picture_without_a_hash_is_refused():
    assert code_of(*crafted([screen(1, b"picture", picture_hash=None)])) == "pictures"


def test_a_position_that_memory_cannot_hold_is_refused_and_not_another_position():
    name, data = crafted([move(1, x=2**24, y=0)], header={"positions_per_px": 1})
    with pytest.raises(SegmentError):
        read_segment(name, data)


def test_text_that_is_no_utf8_is_refused():
    letters = pa.StringArray.from_buffers(1, pa.py_buffer(bytes([0, 0, 0, 0, 2, 0, 0, 0])), pa.py_buffer(b"\xff\xfe"))
    for column in ("text", "app", "key"):
        name, data = crafted([move(1)], drop=[column], extra={column: letters})
        assert code_of(name, data) == "parquet"


def test_an_error_keeps_its_code_across_processes():
    import pickle

    error = pickle.loads(pickle.dumps(SegmentError("name", "the name is wrong")))
    assert (error.code, str(error)) == ("name", "the name is wrong")
