"""Rounds over the outbox: what is sent, in which order, what is set aside, and what becomes of it when things fail."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from spool_files import a_segment, consent, contents, disk_that_fails, spool_with

from taskreel.capture.publisher import publish as publishing
from taskreel.capture.publisher.outcome import Fate, Notice, Outcome, Progress, Sending, Summary
from taskreel.capture.publisher.publish import PublishOptions, publish_once, publish_watch
from taskreel.capture.publisher.retries import RetryOptions
from taskreel.capture.spool import CONFLICTS, OUTBOX, SENT, Spool, SpoolBusyError
from taskreel.io.events import SEGMENT_SCHEMA, Kind
from taskreel.io.names import SegmentName
from taskreel.io.segments import SegmentHeader, encode_segment
from taskreel.io.stores import LocalStore, Store, StoreError, open_store
from taskreel.io.uploads import FolderUploads, UnavailableError, UnconfirmedError
from taskreel.rehearsal.gcs.server import Fault, GcsServer

FAST = RetryOptions(first_s=0.01, longest_s=0.02, give_up_s=0.1)
OPTIONS = PublishOptions(retries=FAST, timeout_s=1.0, every_s=0.01, longest_pause_s=0.05)


@pytest.fixture(params=["gcs", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "gcs":
        request.getfixturevalue("gcs")
        return open_store("gs://lake/people")
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def cloud(gcs: GcsServer) -> Store:
    return open_store("gs://lake/people")


class Seen:
    """What was reported."""

    def __init__(self) -> None:
        self.all: list[Progress] = []

    def __call__(self, progress: Progress) -> None:
        self.all.append(progress)

    @property
    def outcomes(self) -> list[Outcome]:
        return [progress for progress in self.all if isinstance(progress, Outcome)]

    @property
    def notices(self) -> str:
        return "\n".join(progress.text for progress in self.all if isinstance(progress, Notice))


def names_in(store: Store, prefix: str = "segments/") -> list[str]:
    return [entry.name for entry in store.files(prefix)]


def names_of(*numbers: int) -> list[str]:
    return [str(a_segment(number)[0]) for number in numbers]


# ------------------------------------------------------------------------------------------------- when all is well


def test_a_round_sends_all_with_the_consent_record_first_and_the_oldest_first(
    gcs: GcsServer, cloud: Store, tmp_path: Path
) -> None:
    spool = spool_with(tmp_path, 2, 0, 11, 1)
    spool.keep_consent(consent())
    seen = Seen()
    summary = publish_once(spool, cloud, OPTIONS, seen)
    objects = gcs.objects("lake")
    by_creation = sorted(objects, key=lambda name: objects[name].generation)
    assert by_creation == [f"people/{name}" for name in ["consent/v1/c1.json", *names_of(0, 1, 2, 11)]]
    assert [outcome.segment for outcome in seen.outcomes] == names_of(0, 1, 2, 11)
    assert {outcome.fate for outcome in seen.outcomes} == {Fate.SENT}
    assert (summary.exit_code, summary.left, summary.sent_bytes) == (0, 0, 4000)
    assert sum(progress.size_bytes for progress in seen.all if isinstance(progress, Sending)) > 4000


def test_what_is_sent_is_kept_or_removed(store: Store, tmp_path: Path) -> None:
    spool = spool_with(tmp_path / "spool", 0)
    publish_once(spool, store, OPTIONS)
    assert contents(spool.root / SENT) == {names_of(0)[0]: a_segment(0)[1]}
    spool.seal(*a_segment(1))
    publish_once(spool, store, PublishOptions(remove_sent=True))
    assert [name.first_seq for name in spool.segments(SENT)] == [0]
    assert spool.unsent() == []
    assert [store.read(name) for name in names_of(0, 1)] == [a_segment(0)[1], a_segment(1)[1]]


def test_what_the_store_has_already_is_as_good_as_sent(store: Store, tmp_path: Path) -> None:
    spool = spool_with(tmp_path / "spool", 0, 1)
    name, data = a_segment(0)
    store.create(str(name), data)
    summary = publish_once(spool, store, OPTIONS)
    assert summary.fates == {Fate.PRESENT: 1, Fate.SENT: 1}
    assert (summary.exit_code, summary.sent_bytes, spool.unsent()) == (0, 1000, [])


def test_an_empty_spool_is_a_good_round(store: Store, tmp_path: Path) -> None:
    summary = publish_once(Spool(tmp_path / "spool").open(), store, OPTIONS)
    assert (summary.exit_code, summary.fates) == (0, {})


def test_two_publishers_of_one_spool_are_one_too_many(store: Store, tmp_path: Path) -> None:
    spool = spool_with(tmp_path / "spool", 0)
    with Spool(spool.root).locked(), pytest.raises(SpoolBusyError):
        publish_once(spool, store, OPTIONS)
    assert len(spool.unsent()) == 1


def test_journals_in_progress_are_not_touched(store: Store, tmp_path: Path) -> None:
    spool = spool_with(tmp_path / "spool", 0)
    journal = spool.root / "recordings" / "r1" / "journal"
    journal.parent.mkdir(parents=True)
    journal.write_bytes(b"in progress")
    publish_once(spool, store, OPTIONS)
    assert journal.read_bytes() == b"in progress"
    assert names_in(store, "") == names_of(0)


# ------------------------------------------------------------------------------------------- for a person to look at


def test_a_damaged_file_is_never_sent(store: Store, tmp_path: Path) -> None:
    spool = spool_with(tmp_path / "spool", 0, 1, 2)
    name = a_segment(1)[0]
    spool.path_of(OUTBOX, name).write_bytes(b"damaged")
    seen = Seen()
    summary = publish_once(spool, store, OPTIONS, seen)
    assert names_in(store) == names_of(0, 2)
    assert summary.fates == {Fate.SENT: 2, Fate.DAMAGED: 1}
    assert (summary.exit_code, summary.set_aside) == (1, 1)
    path = spool.path_of(CONFLICTS, name)
    assert path.read_bytes() == b"damaged"
    assert name.sha in json.loads(Path(f"{path}.json").read_text())["reason"] == seen.outcomes[1].reason
    again = publish_once(spool, store, OPTIONS)
    assert (again.exit_code, again.set_aside, again.fates) == (0, 1, {})


def test_another_content_in_the_store_is_left_alone_and_ours_is_kept(store: Store, tmp_path: Path) -> None:
    spool = spool_with(tmp_path / "spool", 0, 1)
    name, data = a_segment(0)
    store.create(str(name), b"another")
    summary = publish_once(spool, store, OPTIONS)
    assert summary.fates == {Fate.CONFLICT: 1, Fate.SENT: 1}
    assert summary.exit_code == 1
    assert store.read(str(name)) == b"another"
    path = spool.path_of(CONFLICTS, name)
    assert path.read_bytes() == data
    assert "another content" in json.loads(Path(f"{path}.json").read_text())["reason"]


# --------------------------------------------------------------------------------------------------------- consent


def test_another_record_in_the_store_is_left_alone_and_told_once(store: Store, tmp_path: Path) -> None:
    store.create("consent/v1/c1.json", b"withdrawn by an officer")
    spool = spool_with(tmp_path / "spool", 0)
    spool.keep_consent(consent())
    seen, stopped, rounds = Seen(), threading.Event(), []

    def ended(summary: Summary) -> None:
        rounds.append(summary)
        if len(rounds) == 3:
            stopped.set()

    publish_watch(spool, store, OPTIONS, seen, stopped, ended)
    assert store.read("consent/v1/c1.json") == b"withdrawn by an officer"
    assert seen.notices.count("left alone") == 1
    assert rounds[0].fates == {Fate.SENT: 1}


def test_a_withdrawal_reaches_the_store(store: Store, tmp_path: Path) -> None:
    spool = spool_with(tmp_path / "spool", 0)
    spool.keep_consent(consent())
    publish_once(spool, store, OPTIONS)
    spool.keep_consent(consent(withdrawn_at_us=5))
    seen = Seen()
    assert publish_once(spool, store, OPTIONS, seen).exit_code == 0
    assert store.read("consent/v1/c1.json") == consent(withdrawn_at_us=5).to_json()
    assert seen.notices.count("was withdrawn") == 1


def test_a_withdrawal_is_not_taken_back_and_no_other_record_is_replaced(store: Store, tmp_path: Path) -> None:
    spool = spool_with(tmp_path / "spool", 0)
    withdrawn = consent(withdrawn_at_us=5).to_json()
    store.create("consent/v1/c1.json", withdrawn)
    spool.keep_consent(consent())
    publish_once(spool, store, OPTIONS)
    assert store.read("consent/v1/c1.json") == withdrawn
    other = consent("c2", purposes=("coding",)).to_json()
    store.create("consent/v1/c2.json", other)
    spool.keep_consent(consent("c2", withdrawn_at_us=5))
    publish_once(spool, store, OPTIONS)
    assert store.read("consent/v1/c2.json") == other


@pytest.mark.parametrize(
    "data", [b"{}", b"not json", consent("other").to_json()], ids=["no fields", "no JSON", "another id"]
)
def test_a_record_that_cannot_be_read_stops_everything(data: bytes, store: Store, tmp_path: Path) -> None:
    spool = spool_with(tmp_path / "spool", 0)
    path = spool.keep_consent(consent())
    path.write_bytes(data)
    summary = publish_once(spool, store, OPTIONS)
    assert summary.exit_code == 1
    assert "Nothing is sent until it is mended" in summary.problem
    assert names_in(store, "") == []
    assert summary.left == 1


def test_no_segment_is_sent_if_the_record_was_not(gcs: GcsServer, cloud: Store, tmp_path: Path) -> None:
    spool = spool_with(tmp_path, 0)
    spool.keep_consent(consent())
    gcs.faults.add(Fault("POST", "status", status=503, times=1000))
    summary = publish_once(spool, cloud, OPTIONS)
    assert summary.exit_code == 1
    assert "consent/v1/c1.json: the store answers 503" in summary.problem
    gcs.faults.clear()
    assert publish_once(spool, cloud, OPTIONS).exit_code == 0


def test_nothing_is_sent_that_was_recorded_under_a_consent_that_is_withdrawn(store: Store, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool").open()
    kept, withheld = encoded("c1", "r1"), encoded("c2", "r2")
    for name, data in (kept, withheld):
        spool.seal(name, data)
    spool.keep_consent(consent("c1"))
    spool.keep_consent(consent("c2", withdrawn_at_us=1))
    summary = publish_once(spool, store, OPTIONS)
    assert names_in(store) == [str(kept[0])]
    assert spool.unsent() == [withheld[0]]
    assert summary.fates == {Fate.SENT: 1, Fate.WITHHELD: 1}
    assert (summary.exit_code, summary.left) == (0, 0)
    assert "1 are not sent" in summary.line()


def test_a_segment_of_which_nobody_can_say_the_consent_is_set_aside_once_one_is_withdrawn(
    store: Store, tmp_path: Path
) -> None:
    spool, kept = spool_with(tmp_path / "spool", 0), encoded("c1", "r2")
    spool.seal(*kept)
    spool.keep_consent(consent("c9", withdrawn_at_us=1))
    summary = publish_once(spool, store, OPTIONS)
    assert summary.fates == {Fate.DAMAGED: 1, Fate.SENT: 1}
    assert names_in(store) == [str(kept[0])]
    assert spool.path_of(CONFLICTS, a_segment(0)[0]).exists()


def encoded(consent_id: str, recording: str) -> tuple[SegmentName, bytes]:
    rows = [{"seq": 0, "time_us": 1_767_603_600_000_000, "kind": int(Kind.KEY_DOWN), "flags": 0}]
    at_us = rows[0]["time_us"]
    header = SegmentHeader("p1", "d1", recording, consent_id, last_seq=0, first_us=at_us, last_us=at_us)
    return encode_segment(header, pa.Table.from_pylist(rows, schema=SEGMENT_SCHEMA))


# ------------------------------------------------------------------------------------------------ stores that fail


def test_a_store_that_is_down_loses_nothing_and_is_left_alone(gcs: GcsServer, cloud: Store, tmp_path: Path) -> None:
    spool = spool_with(tmp_path, *range(6))
    fault = gcs.faults.add(Fault("POST", "status", status=500, times=1000))
    seen = Seen()
    summary = publish_once(spool, cloud, OPTIONS, seen)
    assert (summary.exit_code, summary.left, len(spool.unsent())) == (1, 6, 6)
    assert "500" in summary.problem
    assert len(seen.outcomes) == 1
    assert 4 <= fault.fired <= 40  # two segments, several tries each, the other four none
    gcs.faults.clear()
    assert publish_once(spool, cloud, OPTIONS).fates == {Fate.SENT: 6}


@pytest.mark.parametrize("error", [UnavailableError("the store answers 500"), UnconfirmedError("other bytes")])
def test_one_segment_that_the_store_does_not_take_holds_up_no_other(
    error: StoreError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, store = spool_with(tmp_path / "spool", 0, 1, 2), open_store(str(tmp_path / "store"))
    name, true, seen = a_segment(1)[0], FolderUploads.send, Seen()

    def send(uploads: FolderUploads, path: str, data: bytes) -> bool:
        if path == str(name):
            raise error
        return true(uploads, path, data)

    monkeypatch.setattr(FolderUploads, "send", send)
    summary = publish_once(spool, store, OPTIONS, seen)
    assert [outcome.fate for outcome in seen.outcomes] == [Fate.SENT, Fate.FAILED, Fate.SENT]
    assert seen.outcomes[1].reason == str(error)
    assert (summary.exit_code, summary.left, spool.unsent()) == (1, 1, [name])
    monkeypatch.setattr(FolderUploads, "send", true)
    assert publish_once(spool, store, OPTIONS).exit_code == 0
    assert names_in(store) == names_of(0, 1, 2)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_is_bad_use_and_asked_once(status: int, gcs: GcsServer, cloud: Store, tmp_path: Path) -> None:
    spool = spool_with(tmp_path, 0, 1)
    fault = gcs.faults.add(Fault("POST", "status", status=status, times=1000))
    summary = publish_once(spool, cloud, OPTIONS)
    assert (summary.exit_code, summary.left, fault.fired) == (2, 2, 1)
    assert str(status) in summary.problem


def test_a_store_that_lies_once_is_believed_the_second_time(gcs: GcsServer, cloud: Store, tmp_path: Path) -> None:
    spool = spool_with(tmp_path, 0)
    gcs.faults.add(Fault("POST", "bad_checksum"))
    assert publish_once(spool, cloud, OPTIONS).fates == {Fate.SENT: 1}
    assert names_in(cloud) == names_of(0)


def test_a_store_that_always_lies_gets_nothing(gcs: GcsServer, cloud: Store, tmp_path: Path) -> None:
    spool = spool_with(tmp_path, 0)
    fault = gcs.faults.add(Fault("POST", "bad_checksum", times=1000))
    seen = Seen()
    summary = publish_once(spool, cloud, OPTIONS, seen)
    assert (summary.exit_code, summary.left, fault.fired) == (1, 1, FAST.uploads)
    assert "another checksum" in seen.outcomes[0].reason
    assert names_in(cloud) == []


def test_a_segment_that_somebody_removed_is_no_fault(store: Store, tmp_path: Path) -> None:
    spool = spool_with(tmp_path / "spool", 0, 1)

    def remove(progress: Progress) -> None:
        if isinstance(progress, Outcome):
            spool.path_of(OUTBOX, a_segment(1)[0]).unlink()

    summary = publish_once(spool, store, OPTIONS, remove)
    assert (summary.exit_code, summary.fates, summary.left) == (0, {Fate.SENT: 1}, 0)


# ------------------------------------------------------------------------------------------------- disks that fail


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS], ids=errno.errorcode.get)
@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
def test_disks_that_fail_at_any_call_lose_nothing(number: int, for_good: bool, tmp_path: Path) -> None:
    """Spool and store on disks that fail: afterwards each segment is in one place, whole; then all are in the store."""
    expected = dict(zip(names_of(0, 1), (a_segment(0)[1], a_segment(1)[1]), strict=True))
    codes, refused = set(), []
    for at in range(200):
        spool = spool_with(tmp_path / str(at) / "spool", 0, 1, 2)
        damaged = a_segment(2)[0]
        spool.path_of(OUTBOX, damaged).write_bytes(b"damaged")
        store = LocalStore(str(tmp_path / str(at) / "store"))
        with disk_that_fails(at, number, for_good=for_good) as calls:
            try:
                codes.add(publish_once(spool, store, PublishOptions(retries=FAST)).exit_code)
            except OSError:
                refused.append(at)
        in_store = contents(store.root) if store.root.exists() else {}
        assert in_store.items() <= expected.items()
        for name in (a_segment(0)[0], a_segment(1)[0]):
            places = [part for part in (OUTBOX, SENT) if spool.path_of(part, name).exists()]
            assert places in ([OUTBOX], [SENT], [])
            assert places == [OUTBOX] or str(name) in in_store
        assert spool.path_of(OUTBOX, damaged).exists() != spool.path_of(CONFLICTS, damaged).exists()

        publish_once(spool, store, PublishOptions(retries=FAST))
        assert contents(store.root) == expected
        assert spool.unsent() == []
        if len(calls) <= at:
            break
    assert 20 < at < 200
    assert 1 in codes
    assert refused == [0, 1]  # without its lock, it does not begin


# -------------------------------------------------------------------------------------------------- watch, and stop


def test_a_watch_sends_what_comes_and_ends_when_it_is_stopped(store: Store, tmp_path: Path) -> None:
    spool, stopped = spool_with(tmp_path / "spool", 0), threading.Event()
    number = iter(range(1, 4))

    def ended(summary: Summary) -> None:
        following = next(number, None)
        if following is None:
            stopped.set()
        else:
            spool.seal(*a_segment(following))

    last = publish_watch(spool, store, OPTIONS, Seen(), stopped, ended)
    assert names_in(store) == names_of(0, 1, 2, 3)
    assert last.fates == {Fate.SENT: 1}
    with spool.locked():
        pass


def test_a_watch_tries_a_store_that_refuses_at_longer_and_longer_intervals_and_says_so(
    gcs: GcsServer, cloud: Store, tmp_path: Path
) -> None:
    spool, seen = spool_with(tmp_path, 0), Seen()
    gcs.faults.add(Fault("POST", "status", status=403, times=4))
    stopped = Pauses(6)
    options = PublishOptions(retries=FAST, every_s=30, longest_pause_s=200)
    last = publish_watch(spool, cloud, options, seen, stopped)
    assert stopped.pauses_s == [60, 120, 200, 200, 30, 30]
    assert "objectUser on the bucket; goes on in 120 s" in seen.notices
    assert names_in(cloud) == names_of(0)
    assert last.exit_code == 0


@pytest.mark.parametrize("numbers", [[0], [0, 1]])
def test_a_watch_comes_back_no_sooner_than_the_store_asked(
    numbers: list[int], gcs: GcsServer, cloud: Store, tmp_path: Path
) -> None:
    spool = spool_with(tmp_path, *numbers)
    fault = gcs.faults.add(Fault("POST", "status", status=429, headers={"Retry-After": "5000"}))
    stopped = Pauses(2)
    publish_watch(spool, cloud, PublishOptions(retries=FAST), Seen(), stopped)
    assert (stopped.pauses_s, fault.seen) == ([5000, 30], 1 + len(numbers))
    assert names_in(cloud) == names_of(*numbers)


def test_a_watch_whose_store_takes_all_but_one_keeps_its_pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool, store = spool_with(tmp_path / "spool", 0, 1), open_store(str(tmp_path / "store"))
    true = FolderUploads.send

    def send(uploads: FolderUploads, path: str, data: bytes) -> bool:
        if path == names_of(0)[0]:
            raise UnavailableError("no")
        return true(uploads, path, data)

    monkeypatch.setattr(FolderUploads, "send", send)
    stopped = Pauses(3)
    publish_watch(spool, store, PublishOptions(retries=FAST), Seen(), stopped)
    assert stopped.pauses_s == [30, 60, 120]


class Pauses(threading.Event):
    """Does not wait, but remembers the pauses, and is set at the last of so many."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.pauses_s: list[float] = []
        self.count = count

    def wait(self, timeout: float | None = None) -> bool:
        if timeout and timeout >= 1:
            self.pauses_s.append(timeout)
        return len(self.pauses_s) == self.count


def test_a_watch_outlives_a_disk_of_the_spool_that_fails(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, seen, stopped = spool_with(tmp_path / "spool", 0, 1), Seen(), threading.Event()
    true = Spool.mark_sent

    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    def ended(summary: Summary) -> None:
        monkeypatch.setattr(Spool, "mark_sent", true)
        if not summary.left:
            stopped.set()

    monkeypatch.setattr(Spool, "mark_sent", full)
    publish_watch(spool, store, OPTIONS, seen, stopped, ended)
    assert "spool cannot be used: Input/output error" in seen.notices
    assert names_in(store) == names_of(0, 1)
    assert spool.unsent() == []


def test_a_disk_without_room_for_what_is_sent_keeps_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, store, true = spool_with(tmp_path / "spool", 0), open_store(str(tmp_path / "store")), os.mkdir

    def full(path: str | Path, *rest: Any) -> None:
        if str(path).startswith(str(spool.root)):
            raise OSError(errno.ENOSPC, "No space left on device")
        true(path, *rest)

    monkeypatch.setattr(os, "mkdir", full)
    assert publish_once(spool, store, OPTIONS).fates == {Fate.SENT: 1}
    assert names_in(store) == names_of(0)
    assert [path for path in contents(spool.root) if path.endswith(".parquet")] == []


@pytest.mark.parametrize("after", [1, 3])
def test_a_stop_amid_an_upload_ends_it_and_loses_nothing(after: int, store: Store, tmp_path: Path) -> None:
    spool, stopped = spool_with(tmp_path / "spool", 0, 1, size_bytes=100_000), threading.Event()
    blocks = []

    def stop(progress: Progress) -> None:
        if isinstance(progress, Sending):
            blocks.append(progress)
        if len(blocks) == after:
            stopped.set()

    summary = publish_once(spool, store, OPTIONS, stop, stopped)
    assert (summary.was_stopped, summary.left, summary.exit_code, len(blocks)) == (True, 2, 1, after)
    assert names_in(store) == []
    assert publish_once(spool, store, OPTIONS).fates == {Fate.SENT: 2}


def test_a_stop_ends_a_pause_before_the_next_try(gcs: GcsServer, cloud: Store, tmp_path: Path) -> None:
    spool, stopped = spool_with(tmp_path, 0), threading.Event()
    gcs.faults.add(Fault("POST", "status", status=503, times=1000))

    def stop(progress: Progress) -> None:
        if isinstance(progress, Notice):
            stopped.set()

    slow = PublishOptions(retries=RetryOptions(first_s=100, longest_s=100))
    assert publish_once(spool, cloud, slow, stop, stopped).was_stopped


@pytest.mark.parametrize("values", [{"bandwidth_bytes_s": 0}, {"every_s": 0}])
def test_options_that_make_no_sense_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        PublishOptions(**values)


def test_a_segment_leaves_the_outbox_only_after_the_store_has_confirmed_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, store = spool_with(tmp_path / "spool", 0), open_store(str(tmp_path / "store"))
    order: list[str] = []

    def noted(what: str, true: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            result = true(*args, **kwargs)
            order.append(what)
            return result

        return call

    monkeypatch.setattr(FolderUploads, "send", noted("confirmed", FolderUploads.send))
    monkeypatch.setattr(Spool, "mark_sent", noted("left", Spool.mark_sent))
    publishing.publish_once(spool, store, OPTIONS)
    assert order == ["confirmed", "left"]
