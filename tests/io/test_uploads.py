"""What both ways of sending promise, and each fault of a store through the real client library."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.auth.exceptions import DefaultCredentialsError
from spool_files import contents, disk_that_fails

from taskreel.io.gcs_uploads import CHUNK_BYTES
from taskreel.io.stores import ContentConflictError, StoreError, open_store
from taskreel.io.uploads import (
    RefusedError,
    SendOptions,
    UnavailableError,
    UnconfirmedError,
    Uploads,
    uploads_to,
)
from taskreel.rehearsal.gcs.server import Fault, GcsServer

SMALL, BIG = b"content" * 1000, os.urandom(2 * CHUNK_BYTES + 12_345)
FILES = pytest.mark.parametrize("data", [SMALL, BIG], ids=["one request", "a session"])
NAME = "a/b/file"


@pytest.fixture
def cloud(gcs: GcsServer) -> Uploads:
    return uploads_to(open_store("gs://lake/root"), SendOptions(repeat=repeated, timeout_s=1.0))


@pytest.fixture
def folder(tmp_path: Path) -> Uploads:
    return uploads_to(open_store(str(tmp_path / "store")))


@pytest.fixture(params=["gcs", "folder"])
def uploads(request: pytest.FixtureRequest) -> Uploads:
    return request.getfixturevalue("cloud" if request.param == "gcs" else "folder")  # type: ignore[no-any-return]


def repeated(request: Callable[[], Any]) -> Callable[[], Any]:
    """Three tries without a pause."""
    from taskreel.io.gcs_uploads import is_transient

    def tries() -> Any:
        for left in (2, 1, 0):
            try:
                return request()
            except Exception as error:
                if not left or not is_transient(error):
                    raise
        return None

    return tries


def stored(gcs: GcsServer) -> dict[str, bytes]:
    return {name: bytes(item.data) for name, item in gcs.objects("lake").items()}


# -------------------------------------------------------------------------------------------------- both promise


@pytest.mark.parametrize("data", [b"", b"x", SMALL, BIG], ids=["empty", "a byte", "small", "big"])
def test_a_file_is_there_whole_and_once(uploads: Uploads, data: bytes, gcs: GcsServer, tmp_path: Path) -> None:
    assert uploads.send(NAME, data) is True
    assert uploads.send(NAME, data) is False
    found = stored(gcs) or contents(tmp_path)
    assert list(found.values()) == [data]


@FILES
def test_another_content_under_the_name_is_a_conflict_and_stays(
    uploads: Uploads, data: bytes, gcs: GcsServer, tmp_path: Path
) -> None:
    uploads.send(NAME, b"the first")
    with pytest.raises(ContentConflictError, match=NAME):
        uploads.send(NAME, data)
    assert list((stored(gcs) or contents(tmp_path)).values()) == [b"the first"]


@FILES
def test_each_byte_is_metered_before_it_is_sent(data: bytes, gcs: GcsServer, tmp_path: Path) -> None:
    for place in ("gs://lake/root", str(tmp_path)):
        counts: list[int] = []
        uploads_to(open_store(place), SendOptions(meter=counts.append)).send(NAME, data)
        assert len(data) <= sum(counts) < len(data) + 2000
        assert max(counts) <= 16_384


@FILES
@pytest.mark.parametrize("place", ["gs://lake/root", "folder"])
def test_a_meter_that_raises_ends_the_upload_and_nothing_is_there(
    place: str, data: bytes, gcs: GcsServer, tmp_path: Path
) -> None:
    def meter(count: int) -> None:
        counts.append(count)
        if sum(counts) > len(data) // 2:
            raise KeyError("stopped")

    for _ in range(2):
        counts: list[int] = []
        uploads = uploads_to(open_store(place if place != "folder" else str(tmp_path)), SendOptions(meter=meter))
        with pytest.raises(KeyError, match="stopped"):
            uploads.send(NAME, data)
    assert stored(gcs) == contents(tmp_path) == {}


def test_a_store_of_another_kind_is_refused() -> None:
    with pytest.raises(TypeError, match="str"):
        uploads_to("a store")  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------- faults that pass

PASSING: dict[str, list[Fault | dict[str, Any]]] = {
    "503 twice": [{"action": "status", "status": 503, "times": 2}],
    "500": [{"action": "status", "status": 500}],
    "429": [{"action": "status", "status": 429}],
    "408": [{"action": "status", "status": 408}],
    "the answer is lost": [{"action": "cut", "phase": "response"}],
    "an answer of 503 after the work": [{"action": "status", "status": 503, "phase": "response"}],
    "cut amid the bytes": [{"action": "cut", "phase": "request"}],
    "silence": [{"action": "timeout", "hang_s": 1.5}],
}


@FILES
@pytest.mark.parametrize("request_", ["POST", "PUT"])
@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_passes_costs_nothing(
    fault: str, request_: str, data: bytes, cloud: Uploads, gcs: GcsServer
) -> None:
    if request_ == "PUT" and data is SMALL:
        request_ = "GET"  # it makes none of either: only that the fault is not in the way
    faults = [gcs.faults.add(Fault(f"{request_} .*/o", **values)) for values in PASSING[fault]]  # type: ignore[arg-type]
    assert cloud.send(NAME, data) in (True, False)
    assert stored(gcs) == {f"root/{NAME}": data}
    assert request_ == "GET" or all(fault.fired == fault.times for fault in faults)


@pytest.mark.parametrize("after", range(3))
@pytest.mark.parametrize("action", ["cut", "status"])
def test_of_a_session_only_the_chunk_that_broke_is_sent_again(
    action: Any, after: int, cloud: Uploads, gcs: GcsServer
) -> None:
    gcs.faults.add(Fault("PUT", action, phase="request", after=after))
    assert cloud.send(NAME, BIG) is True
    assert stored(gcs) == {f"root/{NAME}": BIG}
    assert gcs.requests.bytes_in <= len(BIG) + CHUNK_BYTES + 1000


# ------------------------------------------------------------------------------------------- faults that stay


@FILES
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_store_that_is_busy_for_long_is_unavailable(status: int, data: bytes, cloud: Uploads, gcs: GcsServer) -> None:
    gcs.faults.add(Fault("POST", "status", status=status, headers={"Retry-After": "77"}, times=99))
    with pytest.raises(UnavailableError, match=f"gs://lake/root/{NAME}: the store answers {status}") as raised:
        cloud.send(NAME, data)
    assert raised.value.retry_after_s == 77
    assert stored(gcs) == {}


@FILES
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"action": "timeout", "hang_s": 1.5}, "does not answer"),
        ({"action": "cut", "phase": "request"}, "breaks"),
        ({"action": "cut", "phase": "response"}, "breaks|answer"),
    ],
    ids=["silence", "cut", "no answer"],
)
def test_a_line_that_is_broken_for_long_is_unavailable(
    fault: dict[str, Any], said: str, data: bytes, cloud: Uploads, gcs: GcsServer
) -> None:
    gcs.faults.add(Fault("POST|PUT|GET", times=99, **fault))
    with pytest.raises(UnavailableError, match=said):
        cloud.send(NAME, data)
    gcs.faults.clear()
    assert cloud.send(NAME, data) in (True, False)
    assert stored(gcs) == {f"root/{NAME}": data}


def test_a_server_that_is_not_there_is_unavailable(gcs: GcsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    with pytest.raises(UnavailableError, match="connection breaks"):
        uploads_to(open_store("gs://lake/root")).send(NAME, SMALL)


@FILES
@pytest.mark.parametrize(
    ("status", "remedy"), [(401, "gcloud auth application-default login"), (403, "storage.objectUser")]
)
def test_a_refusal_is_told_with_its_remedy_and_asked_once(
    status: int, remedy: str, data: bytes, cloud: Uploads, gcs: GcsServer
) -> None:
    fault = gcs.faults.add(Fault("POST", "status", status=status, times=99))
    with pytest.raises(RefusedError, match=rf"{status}.*{remedy}"):
        cloud.send(NAME, data)
    assert fault.fired == 1


def test_a_machine_without_credentials_is_told_what_to_do(gcs: GcsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def default(*args: Any, **kwargs: Any) -> None:
        raise DefaultCredentialsError("none")

    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    monkeypatch.setattr("google.auth.default", default)
    with pytest.raises(RefusedError, match="gcloud auth application-default login"):
        uploads_to(open_store("gs://lake/root")).send(NAME, SMALL)


@FILES
def test_a_bucket_that_is_not_there_is_told(data: bytes, gcs: GcsServer) -> None:
    with pytest.raises(RefusedError, match=r"gs://nowhere/x/a/b/file: there is no such bucket"):
        uploads_to(open_store("gs://nowhere/x")).send(NAME, data)


def test_an_upload_that_may_be_written_but_not_compared_is_told(cloud: Uploads, gcs: GcsServer) -> None:
    """An account that may create and not read: whether the name is taken by the same content cannot be known."""
    cloud.send(NAME, SMALL)
    gcs.faults.add(Fault("GET", "status", status=403))
    with pytest.raises(RefusedError, match="objectUser"):
        cloud.send(NAME, SMALL)


@pytest.mark.parametrize("status", [404, 410])
def test_a_session_that_expired_is_not_confirmed(status: int, cloud: Uploads, gcs: GcsServer) -> None:
    gcs.faults.add(Fault("PUT", "status", status=status, after=1))
    with pytest.raises(UnconfirmedError, match=str(status)):
        cloud.send(NAME, BIG)
    assert cloud.send(NAME, BIG) is True


# ---------------------------------------------------------------------------------------------- a store that lies


@FILES
def test_a_store_that_says_another_checksum_has_nothing_afterwards(data: bytes, cloud: Uploads, gcs: GcsServer) -> None:
    gcs.faults.add(Fault("POST|PUT", "bad_checksum", times=99))
    with pytest.raises(UnconfirmedError, match="another checksum"):
        cloud.send(NAME, data)
    assert stored(gcs) == {}
    gcs.faults.clear()
    assert cloud.send(NAME, data) is True


@FILES
def test_a_lie_that_nobody_may_remove_is_not_a_refusal(data: bytes, cloud: Uploads, gcs: GcsServer) -> None:
    gcs.faults.add(Fault("POST|PUT", "bad_checksum", times=99))
    gcs.faults.add(Fault("DELETE", "status", status=403, times=99))
    with pytest.raises(UnconfirmedError):
        cloud.send(NAME, data)
    gcs.faults.clear()
    assert cloud.send(NAME, data) is False


@FILES
def test_a_lie_about_what_is_there_is_no_conflict(data: bytes, cloud: Uploads, gcs: GcsServer) -> None:
    cloud.send(NAME, data)
    gcs.faults.add(Fault("GET .*/o/.*projection|GET /storage", "bad_checksum", times=1))
    with pytest.raises(UnconfirmedError, match="what it holds"):
        cloud.send(NAME, data)
    assert stored(gcs) == {f"root/{NAME}": data}


@FILES
def test_bytes_that_were_damaged_on_the_way_are_refused_by_the_store(
    data: bytes, gcs: GcsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from taskreel.io import gcs_uploads

    true = gcs_uploads._MeteredBody.read

    def damaged(body: Any, size: int) -> bytes:
        block = true(body, size)
        return block.replace(data[5000:5010], b"0123456789") if len(block) > 1000 else block

    uploads = uploads_to(open_store("gs://lake/root"))
    monkeypatch.setattr(gcs_uploads._MeteredBody, "read", damaged)
    with pytest.raises(UnconfirmedError, match="400"):
        uploads.send(NAME, data)
    assert stored(gcs) == {}


def test_no_message_has_the_address_of_a_session_or_what_a_server_wrote(cloud: Uploads, gcs: GcsServer) -> None:
    for status in (400, 401, 403, 404, 410, 500, 503):
        gcs.faults.clear()
        gcs.faults.add(Fault("PUT", "status", status=status, times=99))
        with pytest.raises(StoreError) as raised:
            cloud.send(NAME, BIG)
        assert "upload_id" not in str(raised.value)
        assert "injected" not in str(raised.value)
        assert "http" not in str(raised.value)


# ---------------------------------------------------------------------------------------------------- the folder


@pytest.mark.parametrize(("number", "kind"), [(28, UnavailableError), (30, RefusedError), (13, RefusedError)])
def test_a_folder_that_fails_at_any_call_has_nothing_half(number: int, kind: type[StoreError], tmp_path: Path) -> None:
    for at in range(200):
        root = tmp_path / str(at)
        uploads = uploads_to(open_store(str(root)))
        error: StoreError | None = None
        with disk_that_fails(at, number) as calls:
            try:
                uploads.send(NAME, SMALL * 9)
            except StoreError as raised:
                error = raised
        assert set(contents(root).values()) <= {SMALL * 9}
        if error:
            assert isinstance(error, kind)
            assert os.strerror(number) in str(error)
        assert uploads.send(NAME, SMALL * 9) in (True, False)
        assert contents(root) == {NAME: SMALL * 9}
        if len(calls) <= at:
            break
    assert 8 < at < 200


def test_a_folder_is_flushed_up_to_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    true = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (flushed.append(os.readlink(f"/proc/self/fd/{file}")), true(file)))
    root = tmp_path / "new" / "store"
    uploads_to(open_store(str(root))).send(NAME, SMALL)
    assert flushed[1:] == [str(path) for path in (root / NAME, root / "a/b", root / "a", root, root.parent)]


def test_what_is_read_back_otherwise_is_not_published(folder: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    true = os.write
    monkeypatch.setattr(os, "write", lambda file, data: true(file, b"X" * len(data)))
    with pytest.raises(UnconfirmedError, match="read back"):
        folder.send(NAME, SMALL)
