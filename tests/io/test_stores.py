import contextlib
import os
import pickle
import sys
import threading
import time
from pathlib import Path

import pytest
from google.api_core.exceptions import Unauthorized
from google.auth.exceptions import DefaultCredentialsError, RefreshError, TransportError

from taskreel.io import stores
from taskreel.io.stores import ContentConflictError, Entry, LocalStore, StoreError, open_store
from taskreel.rehearsal.gcs.server import Fault


@pytest.fixture
def server(gcs, monkeypatch):
    """The stand-in; its client waits a hundredth of a second before it tries again, not some random second."""
    monkeypatch.setattr("google.api_core.retry.retry_base.random.uniform", lambda low, high: 0.01)
    return gcs


@pytest.fixture
def cloud(server):
    return open_store("gs://lake/some/root")


@pytest.fixture(params=["local", "gcs"])
def store(request, tmp_path):
    return request.getfixturevalue("cloud") if request.param == "gcs" else open_store(str(tmp_path / "some/root"))


def names(store, prefix=""):
    return [entry.name for entry in store.files(prefix)]


# ------------------------------------------------------------------------------------- what every store promises


def test_a_file_is_read_as_it_was_created(store):
    assert store.create("a/b/file", b"content") is True
    assert store.read("a/b/file") == b"content"
    assert store.size_bytes("a/b/file") == 7


@pytest.mark.parametrize("data", [b"", bytes(range(256)) * 9000], ids=["empty", "2 MB"])
def test_files_of_any_size_survive(store, data):
    assert store.create("file", data)
    assert store.read("file") == data


def test_creating_the_same_again_is_no_change(store):
    assert store.create("a/file", b"content") is True
    assert store.create("a/file", b"content") is False
    assert store.read("a/file") == b"content"


def test_a_file_that_is_created_again_is_as_new(store, monkeypatch):
    """`vacuum` goes by age, and what a killed run left may be what the next one is about to commit."""
    monkeypatch.setattr(stores, "_NEW_S", -1)
    assert store.modified_us("a/file") is None
    store.create("a/file", b"content")
    before_us = store.modified_us("a/file")
    time.sleep(0.05)
    assert store.create("a/file", b"content") is False
    assert before_us + 40_000 < store.modified_us("a/file") <= time.time_ns() // 1000
    assert store.read("a/file") == b"content"


@pytest.mark.parametrize("other", [b"CONTENT", b"content and more", b""])
def test_creating_another_content_under_a_name_is_a_conflict_that_names_the_place(store, other):
    store.create("a/file", b"content")
    with pytest.raises(ContentConflictError, match="some/root/a/file"):
        store.create("a/file", other)
    assert store.read("a/file") == b"content"


def test_a_list_is_sorted_by_the_whole_name_and_has_sizes(store):
    for size, name in enumerate(["b", "a/z", "a.b", "a/b/c", "a0", "é", "a/a"]):
        store.create(name, b"x" * size)
    listed = list(store.files())
    assert [entry.name for entry in listed] == sorted(["b", "a/z", "a.b", "a/b/c", "a0", "é", "a/a"])
    assert Entry("a/b/c", 3) in listed


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("", ["day=1/x", "day=10/y", "day=2/a/w", "day=2/z", "other"]),
        ("day=", ["day=1/x", "day=10/y", "day=2/a/w", "day=2/z"]),
        ("day=1", ["day=1/x", "day=10/y"]),
        ("day=1/", ["day=1/x"]),
        ("day=2/", ["day=2/a/w", "day=2/z"]),
        ("day=2/a", ["day=2/a/w"]),
        ("nothing/here", []),
        ("other/", []),
    ],
)
def test_a_list_has_the_names_that_begin_with_the_prefix(store, prefix, expected):
    for name in ("day=2/z", "day=10/y", "other", "day=1/x", "day=2/a/w"):
        store.create(name, b"")
    assert names(store, prefix) == expected


def test_folders_are_those_right_below(store):
    for name in ("day=2/a/deep/x", "day=10/y", "file", "day=2/b/x"):
        store.create(name, b"")
    assert store.folders("") == ["day=10/", "day=2/"]
    assert store.folders("day=2/") == ["day=2/a/", "day=2/b/"]
    assert store.folders("day=10/") == store.folders("nothing/") == store.folders("file/") == []


def test_a_store_that_was_never_written_lists_nothing(store):
    assert names(store) == []
    assert store.folders("") == []


@pytest.mark.parametrize("name", ["missing", "no/folder/missing", "file/below"])
def test_what_is_not_there_is_not_found(store, name):
    store.create("file", b"")
    with pytest.raises(FileNotFoundError):
        store.read(name)
    with pytest.raises(FileNotFoundError):
        store.read_range(name, 0, 1)
    assert store.size_bytes(name) is None


def test_a_range_has_the_bytes_asked_for(store):
    store.create("file", b"0123456789")
    assert store.read_range("file", 0, 10) == b"0123456789"
    assert store.read_range("file", 3, 4) == b"3456"
    assert store.read_range("file", 9, 1) == b"9"
    assert store.read_range("file", 4, 0) == b""


@pytest.mark.parametrize(("offset", "length"), [(0, 11), (8, 5), (10, 1), (50, 5)])
def test_a_range_past_the_end_is_an_error_that_names_the_file(store, offset, length):
    store.create("a/file", b"0123456789")
    with pytest.raises(StoreError, match="some/root/a/file"):
        store.read_range("a/file", offset, length)


def test_a_staged_file_that_is_not_published_leaves_no_trace(store):
    store.create("file", b"")
    with contextlib.suppress(KeyError), store.staged() as staged:
        Path(staged.path).write_bytes(b"unfinished")
        raise KeyError
    with store.staged() as staged:
        Path(staged.path).write_bytes(b"forgotten")
    assert names(store) == ["file"]
    if isinstance(store, LocalStore):
        assert [path.name for path in store.root.rglob("*")] == ["file"]


def test_a_staged_file_is_published_under_a_name_that_its_content_gives(store):
    import hashlib

    with store.staged() as staged:
        with open(staged.path, "wb") as file:
            file.write(b"a" * 3_000_000)
            file.write(b"b")
        sha = staged.sha256()
        assert staged.publish(f"shards/{sha}") is True
        assert staged.publish(f"shards/{sha}") is False
    assert sha == hashlib.sha256(b"a" * 3_000_000 + b"b").hexdigest()
    assert store.read(f"shards/{sha}") == b"a" * 3_000_000 + b"b"


def test_replace_writes_whatever_is_there(store):
    store.replace("a/card", b"first")
    store.replace("a/card", b"second, longer")
    store.replace("a/card", b"3")
    assert store.read("a/card") == b"3"
    assert names(store) == ["a/card"]


def test_deleting_removes_and_may_be_done_again(store):
    store.create("a/file", b"")
    store.delete("a/file")
    store.delete("a/file")
    store.delete("never/was")
    assert names(store) == []
    assert store.create("a/file", b"another content") is True


def test_two_who_create_the_same_at_once_make_one_file(store):
    for number in range(5):
        results = at_once(lambda _, n=number: store.create(f"same/{n}", b"content"))
        assert sorted(results) == [False, False, False, True]
    assert len(names(store, "same/")) == 5


def test_of_two_who_create_different_contents_at_once_one_wins_and_the_others_learn_of_it(store):
    def create(worker):
        try:
            return store.create("contested", b"content of %d" % worker)
        except ContentConflictError:
            return "conflict"

    results = at_once(create)
    assert sorted(map(str, results)) == ["True", "conflict", "conflict", "conflict"]
    assert store.read("contested") == b"content of %d" % results.index(True)


def at_once(work):
    results, ready = {}, threading.Barrier(4)

    def run(worker):
        ready.wait()
        results[worker] = work(worker)

    threads = [threading.Thread(target=run, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [results[worker] for worker in range(4)]


def test_a_store_reaches_another_process(store):
    store.create("file", b"content")
    assert pickle.loads(pickle.dumps(store)).read("file") == b"content"


def test_a_files_place_is_told_to_people(store):
    assert store.url_of("a/b").endswith("some/root/a/b")
    assert store.table_url("steps").endswith("some/root/steps")


# -------------------------------------------------------------------------------------------------- the folder


@pytest.mark.parametrize("url", ["s3://bucket/x", "http://x/y"])
def test_other_kinds_of_place_are_refused(url):
    with pytest.raises(StoreError, match=url):
        open_store(url)


def test_a_local_store_makes_nothing_until_something_is_created(tmp_path):
    store = open_store(str(tmp_path / "new"))
    assert list(store.files()) == []
    assert not (tmp_path / "new").exists()


def test_created_files_can_be_read_by_others_as_the_umask_allows(tmp_path):
    old = os.umask(0o022)
    try:
        open_store(str(tmp_path)).create("file", b"")
    finally:
        os.umask(old)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_a_file_that_vanishes_while_it_is_listed_is_left_out(tmp_path):
    store = open_store(str(tmp_path))
    for name in "abc":
        store.create(name, b"")
    listing = store.files()
    assert next(listing).name == "a"
    store.delete("b")
    assert [entry.name for entry in listing] == ["c"]


# --------------------------------------------------------------------------------------------------- the cloud


def test_names_lie_below_the_prefix_in_the_bucket(server, cloud):
    cloud.create("a/file", b"content")
    assert {name: item.data for name, item in server.objects("lake").items()} == {"some/root/a/file": b"content"}
    assert names(open_store("gs://lake")) == ["some/root/a/file"]
    assert names(open_store("gs://lake/some/ro")) == []


@pytest.mark.parametrize("url", ["gs://", "gs:///prefix"])
def test_a_place_without_a_bucket_is_refused(url):
    with pytest.raises(StoreError, match="bucket"):
        stores.GcsStore(url)


def test_more_files_than_a_page_holds_are_all_listed(server, cloud):
    for number in range(2100):
        server.put("lake", f"some/root/d{number % 7}/{number:05}", b"")
    assert names(cloud) == sorted(f"d{number % 7}/{number:05}" for number in range(2100))
    assert cloud.folders("") == [f"d{number}/" for number in range(7)]


CALLS = {
    "read": ("GET .*file", lambda store: store.read("file") == b"content"),
    "read_range": ("GET .*file", lambda store: store.read_range("file", 1, 3) == b"ont"),
    "size_bytes": ("GET .*file", lambda store: store.size_bytes("file") == 7),
    "list": ("GET .*/o(\\?|$)", lambda store: names(store) == ["file"]),
    "folders": ("GET .*/o(\\?|$)", lambda store: store.folders("") == []),
    "create": ("POST", lambda store: store.create("new", b"new") is True),
    "replace": ("POST", lambda store: store.replace("file", b"new") is None and store.read("file") == b"new"),
    "delete": ("DELETE", lambda store: store.delete("file") is None and names(store) == []),
}


@pytest.mark.parametrize("call", CALLS)
def test_two_answers_that_the_service_is_unavailable_are_retried(server, cloud, call):
    match, ends_well = CALLS[call]
    cloud.create("file", b"content")
    fault = server.faults.add(Fault(match, "status", status=503, times=2))
    assert ends_well(cloud)
    assert fault.fired == 2


@pytest.mark.parametrize("call", CALLS)
def test_a_connection_that_breaks_is_tried_again(server, cloud, call):
    match, ends_well = CALLS[call]
    cloud.create("file", b"content")
    fault = server.faults.add(Fault(match, "cut"))
    assert ends_well(cloud) or call == "create"
    assert fault.fired == 1


@pytest.mark.parametrize("fault", [{"action": "status", "status": 503}, {"action": "cut"}], ids=lambda f: f["action"])
def test_an_upload_whose_answer_was_lost_ends_well(server, cloud, fault):
    struck = server.faults.add(Fault("POST", phase="response", **fault))
    assert cloud.create("file", b"content") in (True, False)
    assert struck.fired == 1
    assert cloud.read("file") == b"content"


@pytest.mark.parametrize("call", CALLS)
def test_a_refusal_names_the_place_and_the_remedy(server, cloud, call):
    match, ends_well = CALLS[call]
    server.put("lake", "some/root/file", b"content")
    server.faults.add(Fault(match, "status", status=403))
    with pytest.raises(StoreError, match=r"gs://lake/some/root.*objectUser"):
        ends_well(cloud)


def test_a_bucket_that_does_not_exist_is_told_from_an_empty_one(server):
    store = open_store("gs://nowhere/root")
    calls = (
        lambda: store.create("file", b""),
        lambda: store.replace("file", b""),
        lambda: list(store.files()),
        lambda: store.folders(""),
        lambda: store.check_access(writes=False),
    )
    for call in calls:
        with pytest.raises(StoreError, match=r"gs://nowhere/root.*no such bucket \(404\)"):
            call()


@pytest.mark.parametrize("call", CALLS)
def test_an_account_that_the_store_does_not_know_is_told_how_to_log_in(server, cloud, call):
    match, ends_well = CALLS[call]
    server.put("lake", "some/root/file", b"content")
    server.faults.add(Fault(match, "status", status=401, times=9))
    with pytest.raises(StoreError, match=r"gs://lake/some/root.*gcloud auth application-default login"):
        ends_well(cloud)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (Unauthorized("who is that"), "gcloud auth application-default login"),
        (RefreshError("invalid_grant"), "gcloud auth application-default login"),
        (DefaultCredentialsError("none"), "gcloud auth application-default login"),
        (TransportError("unreachable"), "run again"),
    ],
)
def test_credentials_that_do_not_work_are_one_line(cloud, monkeypatch, error, remedy):
    def refuse(*_, **__):
        raise error

    monkeypatch.setattr("google.cloud.storage.bucket.Bucket.list_blobs", refuse)
    with pytest.raises(StoreError, match=rf"^gs://lake/some/root/: .*{remedy}"):
        list(cloud.files())


def test_without_the_extra_the_message_says_how_to_get_it(cloud, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.api_core", None)
    with pytest.raises(StoreError, match=r"pip install 'taskreel\[gcp\]'"):
        cloud.read("file")


@pytest.mark.parametrize("action", ["bad_checksum", "truncate"])
def test_content_damaged_on_the_way_is_not_taken(server, cloud, action):
    cloud.create("file", b"content" * 1000)
    server.faults.add(Fault("GET .*file", action, times=99))
    with pytest.raises(StoreError, match="gs://lake/some/root/file"):
        cloud.read("file")


def test_delta_tables_need_no_options_outside_the_emulator(cloud, monkeypatch):
    assert cloud.table_options()["allow_http"] == "true"
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    assert cloud.table_options() == {}
