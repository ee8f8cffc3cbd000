"""The stand-in for Cloud Storage against the real clients: google-cloud-storage, Beam and deltalake."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
import requests
from apache_beam.io.filesystems import FileSystems
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError
from google.api_core.exceptions import Conflict, NotFound, NotModified, PreconditionFailed
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption
from google.cloud.storage.retry import DEFAULT_RETRY

from taskreel.rehearsal.gcs.faults import Fault
from taskreel.rehearsal.gcs.server import GcsServer

FAST_RETRY = DEFAULT_RETRY.with_delay(initial=0.01, maximum=0.05).with_timeout(20)
MEGABYTE = 1_000_000


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[GcsServer]:
    with GcsServer(buckets=["lake"]) as server:
        for name, value in server.env().items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def bucket(server: GcsServer) -> storage.Bucket:
    return storage.Client().bucket("lake")


# google-cloud-storage ---------------------------------------------------------------------------------------


def test_upload_and_download(server: GcsServer, bucket: storage.Bucket) -> None:
    blob = bucket.blob("a folder/ä+b.txt")
    blob.metadata = {"colour": "blue"}
    blob.upload_from_string(b"hello", content_type="text/plain")
    assert bucket.blob(blob.name).download_as_bytes() == b"hello"
    assert server.objects("lake")[blob.name].data == b"hello"

    found = bucket.get_blob(blob.name)
    assert (found.size, found.content_type, found.metadata) == (5, "text/plain", {"colour": "blue"})
    assert found.md5_hash == "XUFAKrxLKna5cZ2REBfFkg=="
    assert found.crc32c == "mnG7TA=="
    assert found.generation == blob.generation
    assert found.time_created == found.updated


def test_buckets(server: GcsServer) -> None:
    client = storage.Client()
    client.create_bucket("new")
    assert client.get_bucket("new").name == "new"
    assert [bucket.name for bucket in client.list_buckets()] == ["lake", "new"]
    with pytest.raises(Conflict):
        client.create_bucket("new")
    with pytest.raises(NotFound):
        client.get_bucket("other")
    client.bucket("new").delete()
    assert client.lookup_bucket("new") is None


def test_ranges(bucket: storage.Bucket) -> None:
    blob = bucket.blob("digits")
    blob.upload_from_string(b"0123456789")
    assert blob.download_as_bytes(start=2, end=4) == b"234"
    assert blob.download_as_bytes(start=7) == b"789"
    assert blob.download_as_bytes(start=-3) == b"789"
    with blob.open("rb", chunk_size=4) as stream:
        stream.seek(5)
        assert stream.read() == b"56789"


@pytest.mark.parametrize("path", ["storage/v1/b/lake/o/a%2Fb?alt=media", "lake/a/b", "lake/a%2Fb"])
def test_each_address_of_the_content(server: GcsServer, path: str) -> None:
    server.put("lake", "a/b", b"0123456789", contentType="text/x")
    response = requests.get(f"{server.url}/{path}", headers={"Range": "bytes=-4"}, timeout=5)
    assert (response.status_code, response.content) == (206, b"6789")
    assert response.headers["Content-Range"] == "bytes 6-9/10"
    assert response.headers["Content-Type"] == "text/x"
    assert requests.get(f"{server.url}/{path}", headers={"Range": "bytes=10-"}, timeout=5).status_code == 416


def test_preconditions(server: GcsServer, bucket: storage.Bucket) -> None:
    blob = bucket.blob("once")
    blob.upload_from_string(b"1", if_generation_match=0)
    first = blob.generation
    with pytest.raises(PreconditionFailed):
        bucket.blob("once").upload_from_string(b"2", if_generation_match=0)
    with pytest.raises(PreconditionFailed):
        blob.delete(if_generation_match=first + 1)
    with pytest.raises(NotModified):
        bucket.get_blob("once", if_generation_not_match=first)

    blob.upload_from_string(b"3", if_generation_match=first)
    assert blob.generation > first
    with pytest.raises(NotFound):
        bucket.blob("once", generation=first).download_as_bytes()

    blob.metadata = {"a": "b"}
    blob.patch(if_metageneration_match=1)
    assert blob.metageneration == 2
    with pytest.raises(PreconditionFailed):
        blob.patch(if_metageneration_match=1)
    assert server.objects("lake")["once"].data == b"3"


def test_concurrent_creates_have_one_winner(server: GcsServer, bucket: storage.Bucket) -> None:
    def create(number: int) -> bool:
        try:
            bucket.blob("commit").upload_from_string(str(number), if_generation_match=0)
            return True
        except PreconditionFailed:
            return False

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(create, range(8)))
    assert won.count(True) == 1
    assert server.objects("lake")["commit"].data == str(won.index(True)).encode()


def test_missing_object(bucket: storage.Bucket) -> None:
    blob = bucket.blob("nothing")
    with pytest.raises(NotFound):
        blob.download_as_bytes()
    with pytest.raises(NotFound):
        blob.delete()
    assert not blob.exists()


@pytest.mark.parametrize("chunk_size", [None, 1 << 20])
def test_resumable_upload(server: GcsServer, bucket: storage.Bucket, chunk_size: int | None) -> None:
    data = os.urandom(20 * MEGABYTE)
    bucket.blob("big", chunk_size=chunk_size).upload_from_file(io.BytesIO(data), size=len(data))
    assert server.objects("lake")["big"].data == data
    assert server.requests.count("POST .*uploadType=resumable") == 1
    assert server.requests.bytes_in > len(data)
    assert bucket.blob("big").download_as_bytes() == data


def test_resumable_upload_of_unknown_size(server: GcsServer, bucket: storage.Bucket) -> None:
    data = os.urandom(3 * (1 << 18) + 5)
    with bucket.blob("stream", chunk_size=1 << 18).open("wb") as stream:
        stream.write(data)
    assert server.objects("lake")["stream"].data == data
    with bucket.blob("empty").open("wb"):
        pass
    assert server.objects("lake")["empty"].data == b""


def test_resumable_upload_skips_what_it_has_and_tells_how_far_it_is(server: GcsServer) -> None:
    begin = f"{server.url}/upload/storage/v1/b/lake/o?uploadType=resumable&name=part"
    session = requests.post(begin, timeout=5).headers["Location"]

    def put(data: bytes, content_range: str) -> requests.Response:
        return requests.put(session, data=data, headers={"Content-Range": content_range}, timeout=5)

    assert "Range" not in put(b"", "bytes */*").headers
    assert put(b"0123", "bytes 0-3/*").headers["Range"] == "bytes=0-3"
    assert put(b"2345", "bytes 2-5/*").headers["Range"] == "bytes=0-5"
    assert put(b"9", "bytes 9-9/*").status_code == 503
    assert put(b"", "bytes */*").headers["Range"] == "bytes=0-5"
    assert put(b"67", "bytes 6-7/8").json()["size"] == "8"
    assert put(b"", "bytes */8").status_code == 200
    assert server.objects("lake")["part"].data == b"01234567"


def test_listing(server: GcsServer, bucket: storage.Bucket) -> None:
    names = [f"p/{day}/{number}" for day in ("d1", "d2", "d3") for number in range(5)] + ["p/x", "p/y", "q"]
    for name in names:
        server.put("lake", name, b"1")

    def listed(**options: object) -> list[str]:
        return [blob.name for blob in bucket.list_blobs(**options)]

    assert listed() == sorted(names)
    assert listed(prefix="p/d2/") == [f"p/d2/{number}" for number in range(5)]
    assert listed(start_offset="p/d3/4", end_offset="p/y") == ["p/d3/4", "p/x"]
    assert listed(match_glob="p/*/[01]") == [f"p/{day}/{n}" for day in ("d1", "d2", "d3") for n in (0, 1)]
    assert listed(match_glob="**{x,q}") == ["p/x", "q"]

    server.requests.clear()
    pages = bucket.list_blobs(prefix="p/", delimiter="/", page_size=2)
    assert [blob.name for blob in pages] == ["p/x", "p/y"]
    assert sorted(pages.prefixes) == ["p/d1/", "p/d2/", "p/d3/"]
    assert server.requests.count("GET /storage/v1/b/lake/o$") == 3


def test_copy_compose_and_batch(server: GcsServer, bucket: storage.Bucket) -> None:
    source = bucket.blob("a/1")
    source.upload_from_string(b"one", content_type="text/x")
    assert bucket.copy_blob(source, bucket, "a/2").content_type == "text/x"
    token, done, size = bucket.blob("a/3").rewrite(source)
    assert (token, done, size) == (None, 3, 3)
    composed = bucket.blob("all")
    composed.compose([source, bucket.blob("a/2")])
    assert composed.download_as_bytes() == b"oneone"
    assert bucket.get_blob("all").md5_hash is None

    client = bucket.client
    with client.batch(raise_exception=False) as batch:
        for name in ("a/1", "a/2", "missing"):
            client.bucket("lake").delete_blob(name)
    assert [response.status_code for response in batch._responses] == [204, 204, 404]
    assert list(server.objects("lake")) == ["a/3", "all"]


def test_wrong_hash_of_the_writer_is_refused(server: GcsServer, bucket: storage.Bucket) -> None:
    headers = {"x-goog-hash": "crc32c=AAAAAA=="}
    assert requests.put(f"{server.url}/lake/x", b"abc", headers=headers, timeout=5).status_code == 400
    assert not server.objects("lake")


# Beam -------------------------------------------------------------------------------------------------------


def test_beam_filesystems(server: GcsServer) -> None:
    started = time.monotonic()
    for number in range(3):
        with FileSystems.create(f"gs://lake/in/{number}.txt") as stream:
            stream.write(b"line %d\n" % number)
    assert time.monotonic() - started < 5, "Beam looked for credentials"

    found = FileSystems.match(["gs://lake/in/*.txt"])[0].metadata_list
    assert [entry.path for entry in found] == [f"gs://lake/in/{number}.txt" for number in range(3)]
    assert [entry.size_in_bytes for entry in found] == [7, 7, 7]
    with FileSystems.open("gs://lake/in/1.txt") as stream:
        assert stream.read() == b"line 1\n"

    FileSystems.rename(["gs://lake/in/0.txt", "gs://lake/in/1.txt"], ["gs://lake/out/0", "gs://lake/out/1"])
    assert list(server.objects("lake")) == ["in/2.txt", "out/0", "out/1"]
    assert FileSystems.exists("gs://lake/out/0")
    FileSystems.delete(["gs://lake/out/0"])
    assert not FileSystems.exists("gs://lake/out/0")
    assert server.requests.count("POST /batch/storage/v1") >= 2


def test_beam_reads_and_writes_more_than_a_buffer(server: GcsServer) -> None:
    data = os.urandom(20 * MEGABYTE)
    with FileSystems.create("gs://lake/big") as stream:
        stream.write(data)
    with FileSystems.open("gs://lake/big") as stream:
        assert stream.read() == data


# deltalake --------------------------------------------------------------------------------------------------

TABLE = "gs://lake/tables/t1"


def rows(*values: int) -> pa.Table:
    parts = pa.array([f"p={value % 2}" for value in values], pa.string())
    return pa.table({"n": pa.array(values, pa.int64()), "part": parts})


def append(server: GcsServer, table: DeltaTable | str, *values: int, **options: object) -> None:
    if isinstance(table, str):
        options["storage_options"] = server.delta_options()
    write_deltalake(table, rows(*values), mode="append", **options)


def read(server: GcsServer) -> list[int]:
    table = DeltaTable(TABLE, storage_options=server.delta_options())
    return sorted(table.to_pyarrow_table()["n"].to_pylist())


def test_delta_write_twice_and_read(server: GcsServer) -> None:
    append(server, TABLE, 1, 2, partition_by=["part"])
    append(server, TABLE, 3)
    assert read(server) == [1, 2, 3]
    logs = [name for name in server.objects("lake") if name.endswith(".json")]
    assert logs == [f"tables/t1/_delta_log/{version:020}.json" for version in (0, 1)]


def test_delta_create_checkpoint_and_vacuum(server: GcsServer) -> None:
    table = DeltaTable.create(TABLE, schema=rows().schema, storage_options=server.delta_options())
    assert table.version() == 0
    for number in range(3):
        append(server, TABLE, number)
    table.update_incremental()
    table.create_checkpoint()
    table.optimize.compact()
    removed = table.vacuum(0, dry_run=False, enforce_retention_duration=False)
    assert len(removed) == 3
    assert read(server) == [0, 1, 2]
    assert "tables/t1/_delta_log/_last_checkpoint" in server.objects("lake")


def test_delta_second_writer_from_the_same_base_fails(server: GcsServer) -> None:
    append(server, TABLE, 1)
    first, second = (DeltaTable(TABLE, storage_options=server.delta_options()) for _ in range(2))
    no_retries = CommitProperties(max_commit_retries=0)
    append(server, first, 2, commit_properties=no_retries)
    with pytest.raises(CommitFailedError):
        append(server, second, 3, commit_properties=no_retries)
    assert read(server) == [1, 2]


def test_delta_multipart_upload(server: GcsServer) -> None:
    data = pa.table({"bytes": [os.urandom(MEGABYTE) for _ in range(25)]})
    write_deltalake(TABLE, data, storage_options=server.delta_options())
    assert server.requests.count(r"POST /lake/.*\?uploads") == 1
    assert server.requests.count(r"PUT /lake/.*\?partNumber") > 1
    assert DeltaTable(TABLE, storage_options=server.delta_options()).to_pyarrow_table().equals(data)


def test_delta_lists_page_by_page(server: GcsServer) -> None:
    """A table whose log has more than the 1000 entries of one page."""
    append(server, TABLE, 1)
    commit = server.objects("lake")["tables/t1/_delta_log/00000000000000000000.json"].data
    protocol = [line for line in commit.splitlines() if b'"add"' not in line]
    for version in range(1, 1100):
        info = b'{"commitInfo":{"timestamp":0}}' if version < 1099 else protocol[0]
        server.put("lake", f"tables/t1/_delta_log/{version:020}.json", info)
    assert DeltaTable(TABLE, storage_options=server.delta_options()).version() == 1099
    assert server.requests.count("GET /lake.*continuation-token") >= 1


def test_xml_copy(server: GcsServer) -> None:
    server.put("lake", "a b", b"content")
    url, headers = f"{server.url}/lake/copy", {"x-goog-copy-source": "lake/a%20b"}
    assert requests.put(url, headers=headers, timeout=5).status_code == 200
    assert server.objects("lake")["copy"].data == b"content"
    again = requests.put(url, headers=headers | {"x-goog-if-generation-match": "0"}, timeout=5)
    assert again.status_code == 412
    assert "<Code>PreconditionFailed</Code>" in again.text
    missing = requests.get(f"{server.url}/lake/missing", timeout=5)
    assert (missing.status_code, "<Code>NoSuchKey</Code>" in missing.text) == (404, True)


# Faults -----------------------------------------------------------------------------------------------------


def test_status_is_retried(server: GcsServer, bucket: storage.Bucket) -> None:
    server.put("lake", "x", b"content")
    fault = server.faults.add(Fault("GET /download/.*/o/x", "status", 503, {"Retry-After": "1"}, times=2))
    assert bucket.blob("x").download_as_bytes(retry=FAST_RETRY) == b"content"
    assert fault.fired == 2
    assert [entry.status for entry in server.requests] == [503, 503, 200]
    assert server.requests.by_status[503] == 2


def test_fault_waits_for_its_turn(server: GcsServer, bucket: storage.Bucket) -> None:
    server.put("lake", "x", b"content")
    server.faults.add(Fault("GET", "status", 403, after=1))
    statuses = [requests.get(f"{server.url}/lake/x", timeout=5).status_code for _ in range(3)]
    assert statuses == [200, 403, 200]


def test_cut_download_is_resumed(server: GcsServer, bucket: storage.Bucket) -> None:
    data = os.urandom(MEGABYTE)
    server.put("lake", "x", data)
    server.faults.add(Fault("GET /download/", "cut"))
    assert bucket.blob("x").download_as_bytes(retry=FAST_RETRY) == data
    assert next(iter(server.requests)).status == 0
    assert len(server.requests) == 2


@pytest.mark.parametrize("phase", ["request", "response"])
def test_cut_upload_is_retried(server: GcsServer, bucket: storage.Bucket, phase: str) -> None:
    """Cut in the response the first upload counts, so that its repetition makes a second generation."""
    data = os.urandom(MEGABYTE)
    server.faults.add(Fault("POST /upload/", "cut", phase=phase))
    bucket.blob("x").upload_from_string(data, retry=FAST_RETRY)
    assert server.objects("lake")["x"].data == data
    assert [entry.status for entry in server.requests] == [0, 200]


@pytest.mark.parametrize("phase", ["request", "response"])
def test_cut_chunk_of_a_resumable_upload(server: GcsServer, bucket: storage.Bucket, phase: str) -> None:
    data = os.urandom(5 * (1 << 18))
    server.faults.add(Fault("PUT /upload/", "cut", after=1, phase=phase))
    blob = bucket.blob("x", chunk_size=1 << 18)
    with blob.open("wb", retry=FAST_RETRY) as stream:
        stream.write(data)
    assert server.objects("lake")["x"].data == data


def test_commit_whose_answer_is_lost(server: GcsServer, bucket: storage.Bucket) -> None:
    """The classical ambiguity: the client sees a failed precondition, yet its own write was it."""
    server.faults.add(Fault("POST /upload/", "status", 503, phase="response"))
    with pytest.raises(PreconditionFailed):
        bucket.blob("x").upload_from_string(b"mine", if_generation_match=0, retry=FAST_RETRY)
    assert server.objects("lake")["x"].data == b"mine"


def test_timeout(server: GcsServer, bucket: storage.Bucket) -> None:
    server.put("lake", "x", b"content")
    server.faults.add(Fault("GET /download/", "timeout", hang_s=30))
    started = time.monotonic()
    assert bucket.blob("x").download_as_bytes(timeout=0.2, retry=FAST_RETRY) == b"content"
    assert time.monotonic() - started < 5


def test_lying_checksum_is_detected(server: GcsServer, bucket: storage.Bucket) -> None:
    server.put("lake", "x", b"content")
    server.faults.add(Fault("GET /download/", "bad_checksum"))
    with pytest.raises(DataCorruption):
        bucket.blob("x").download_as_bytes()
    server.faults.add(Fault("PUT /upload/", "bad_checksum"))
    with pytest.raises(DataCorruption):
        bucket.blob("y").upload_from_string(b"1" * 9 * MEGABYTE)  # more than 8 MB, so resumable
    assert not server.objects("lake").get("y"), "the client deletes what it could not verify"


def test_truncated_download_is_completed(server: GcsServer, bucket: storage.Bucket) -> None:
    server.put("lake", "x", b"0123456789")
    server.faults.add(Fault("GET /download/", "truncate"))
    assert bucket.blob("x").download_as_bytes(retry=FAST_RETRY) == b"0123456789"
    assert [entry.bytes_out for entry in server.requests] == [5, 5]


def test_delta_survives_faults(server: GcsServer) -> None:
    append(server, TABLE, 1)
    server.faults.add(Fault("GET /lake/.*parquet", "status", 503, times=2))
    server.faults.add(Fault("GET /lake/.*json", "cut"))
    assert read(server) == [1]
    assert {0, 503} <= set(server.requests.by_status)


def test_delay_does_not_serialise(server: GcsServer, bucket: storage.Bucket) -> None:
    server.put("lake", "x", b"content")
    server.delay_s = 0.05
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: bucket.blob("x").download_as_bytes(), range(8)))  # open the connections
        started = time.monotonic()
        contents = list(pool.map(lambda _: bucket.blob("x").download_as_bytes(), range(8)))
        took_s = time.monotonic() - started
    assert contents == [b"content"] * 8
    assert 0.05 <= took_s < 0.2


def test_connections_are_kept_alive(server: GcsServer) -> None:
    server.put("lake", "x", b"content")
    with requests.Session() as session:
        for path in ("lake/x", "lake/missing", "storage/v1/b/lake/o"):
            session.get(f"{server.url}/{path}", timeout=5)
        pools = session.adapters["http://"].poolmanager.pools
        assert pools[next(iter(pools.keys()))].num_connections == 1
