"""The spool loses nothing, shows nothing half-written, and finds room, whatever the disk does."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spool_files import (
    PLACES,
    START_MS,
    a_segment,
    broken_names,
    consent,
    contents,
    disk_that_fails,
    every_call,
    killed_at,
    spool_with,
)

from taskreel.capture.disk import write_whole
from taskreel.capture.spool import CONFLICTS, LOCK, OUTBOX, SENT, Spool, SpoolBusyError
from taskreel.io.names import SegmentName

NAME, DATA = a_segment()


def places_of(spool: Spool, name: SegmentName = NAME) -> list[str]:
    return [part for part in PLACES if spool.path_of(part, name).exists()]


# ---------------------------------------------------------------------------------------------- what it promises


def test_a_sealed_segment_lies_in_the_outbox_under_its_name(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "new" / "spool").open()
    path = spool.seal(NAME, DATA)
    assert path.read_bytes() == DATA
    assert contents(spool.root) == {f"outbox/{NAME}": DATA}
    assert spool.unsent() == [NAME]


def test_a_new_spool_is_its_owners_alone(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool").open()
    assert spool.root.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o700, 0o770])
def test_what_lies_in_the_spool_is_as_open_as_the_spool(mode: int, tmp_path: Path) -> None:
    tmp_path.chmod(mode)
    before = os.umask(0o007)
    try:
        spool = spool_with(tmp_path, 0, 1)
        spool.keep_consent(consent())
        spool.mark_sent(NAME)
        spool.set_aside(a_segment(1)[0], "it is damaged")
        write_whole(tmp_path / "recorded" / "deep" / "segment", b"")  # as the recorder seals
    finally:
        os.umask(before)
    for folder in (*PLACES, "consent", "recorded", "recorded/deep"):
        assert (tmp_path / folder).stat().st_mode & 0o777 == mode, folder


def test_content_of_another_name_is_refused(tmp_path: Path) -> None:
    spool = Spool(tmp_path).open()
    with pytest.raises(ValueError, match="not of this name"):
        spool.seal(NAME, DATA + b"!")
    assert contents(tmp_path) == {}


def test_sealing_again_changes_nothing_and_mends_what_is_damaged(tmp_path: Path) -> None:
    spool = spool_with(tmp_path, 0)
    before = spool.path_of(OUTBOX, NAME).stat().st_ino
    assert spool.seal(NAME, DATA).stat().st_ino == before
    spool.path_of(OUTBOX, NAME).write_bytes(DATA[:500])
    assert spool.seal(NAME, DATA).read_bytes() == DATA


def test_what_was_sent_is_not_put_into_the_outbox_again(tmp_path: Path) -> None:
    spool = spool_with(tmp_path, 0)
    spool.mark_sent(NAME)
    assert places_of(spool) == [SENT]
    assert spool.seal(NAME, DATA) == spool.path_of(SENT, NAME)
    assert places_of(spool) == [SENT]


def test_marking_twice_is_marking_once(tmp_path: Path) -> None:
    spool = spool_with(tmp_path, 0, 1)
    for _ in range(2):
        spool.mark_sent(NAME)
        spool.mark_sent(a_segment(1)[0], keep=False)
    assert contents(tmp_path) == {f"sent/{NAME}": DATA}


def test_a_segment_that_is_set_aside_has_its_reason_beside_it_and_none_takes_anothers_place(tmp_path: Path) -> None:
    spool = spool_with(tmp_path, 0)
    first = spool.set_aside(NAME, "damaged")
    spool.seal(NAME, DATA)
    second = spool.set_aside(NAME, "another in the store")
    assert (first.read_bytes(), second.read_bytes()) == (DATA, DATA)
    reasons = [json.loads(path.with_name(f"{path.name}.json").read_text())["reason"] for path in (first, second)]
    assert reasons == ["damaged", "another in the store"]
    assert (spool.unsent(), spool.set_aside_count()) == ([], 2)


def test_other_files_are_no_segments(tmp_path: Path) -> None:
    spool = spool_with(tmp_path, 0)
    folder = spool.path_of(OUTBOX, NAME).parent
    for name in ("notes.txt", "r1_0_99.parquet", NAME.file.replace("r1", "R1"), f".{NAME.file}.x.tmp"):
        (folder / name).write_bytes(b"x")
    assert spool.unsent() == [NAME]
    assert spool.unsent_bytes() >= len(DATA)


ORDERS = st.lists(
    st.tuples(st.sampled_from(["r1", "r2", "a9"]), st.integers(0, 30), st.integers(0, 2)), unique=True, max_size=12
)


@given(ORDERS)
@settings(max_examples=60)
def test_the_oldest_comes_first_and_those_of_a_recording_in_order(order: list[tuple[str, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder))
        names = []
        for recording, seq, minute in order:
            first_ms = START_MS + minute * 60_000
            names.append(SegmentName("p1", recording, seq, seq, first_ms, first_ms, "0" * 12))
            path = spool.path_of(OUTBOX, names[-1])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        found = spool.unsent()
    assert sorted(found) == sorted(names)
    ages = [(name.first_ms, name.recording, name.first_seq) for name in found]
    assert ages == sorted(ages)


# ---------------------------------------------------------------------------------------- disks that fail, kills


def seal(spool: Spool) -> None:
    spool.seal(*a_segment(1))


def keep_consent(spool: Spool) -> None:
    spool.keep_consent(consent(withdrawn_at_us=1))


def mark_sent(spool: Spool) -> None:
    spool.mark_sent(NAME)


def remove_sent(spool: Spool) -> None:
    spool.mark_sent(NAME, keep=False)


def set_aside(spool: Spool) -> None:
    if NAME in spool.unsent():
        spool.set_aside(NAME, "a reason")


def reopen(spool: Spool) -> None:
    spool.open()


WORKS = [seal, keep_consent, mark_sent, remove_sent, set_aside, reopen]
Work = Callable[[Spool], None]


def a_spool(root: Path) -> Spool:
    spool = spool_with(root, 0)
    spool.keep_consent(consent())
    (spool.path_of(OUTBOX, NAME).parent / f".{NAME.file}.left.tmp").write_bytes(b"half")
    return spool


def assert_whole(root: Path, work: Work, expected: dict[str, bytes]) -> None:
    """After a failure and a start anew: nothing is half, nothing is lost, and doing it again ends well."""
    spool = Spool(root).open()
    assert broken_names(root) == []
    assert not list(root.rglob("*.tmp"))
    if work is not remove_sent:
        assert len(places_of(spool)) == 1
    assert contents(root / "consent") in (
        {"v1/c1.json": consent().to_json()},
        {"v1/c1.json": consent(withdrawn_at_us=1).to_json()},
    )
    work(spool)
    assert contents(root) == expected


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO], ids=errno.errorcode.get)
@pytest.mark.parametrize("work", WORKS)
def test_a_disk_that_fails_at_any_call_costs_nothing(work: Work, number: int, tmp_path: Path) -> None:
    a_spool(tmp_path / "undisturbed")
    Spool(tmp_path / "undisturbed").open()
    work(Spool(tmp_path / "undisturbed"))
    expected = contents(tmp_path / "undisturbed")
    for at in range(100):
        spool = a_spool(tmp_path / str(at))
        with disk_that_fails(at, number) as calls, contextlib.suppress(OSError):
            work(spool)
        assert_whole(spool.root, work, expected)
        if len(calls) <= at:
            break
    assert 0 < at < 100 or work is reopen


@pytest.mark.parametrize("work", WORKS)
def test_a_kill_before_any_call_costs_nothing(work: Work, tmp_path: Path) -> None:
    a_spool(tmp_path / "undisturbed")
    Spool(tmp_path / "undisturbed").open()
    work(Spool(tmp_path / "undisturbed"))
    expected = contents(tmp_path / "undisturbed")
    for at in range(100):
        spool = a_spool(tmp_path / str(at))
        was_killed = killed_at(at, lambda spool=spool: work(spool))
        assert_whole(spool.root, work, expected)
        if not was_killed:
            break
    assert 0 < at < 100


def test_a_disk_that_writes_in_small_pieces_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: true(descriptor, bytes(data[:7])))
    assert Spool(tmp_path).open().seal(NAME, DATA).read_bytes() == DATA


@pytest.mark.parametrize("work", [seal, keep_consent, mark_sent, set_aside])
def test_what_has_a_name_survives_a_loss_of_power(work: Work, tmp_path: Path) -> None:
    """The content is flushed before the rename, each folder up to the spool after it."""
    spool = a_spool(tmp_path / "spool")
    done = traced(lambda: work(spool))
    written, renames = set(), [number for number, (name, _) in enumerate(done) if name == "rename"]
    assert renames
    for number, (name, path) in enumerate(done):
        if name == "write":
            written.add(path)
        if name == "fsync":
            written.discard(path)
        if name == "rename":
            source, target = (Path(part) for part in path.split(" > "))
            assert str(source) not in written
            later = {path for name, path in done[number:] if name == "fsync"}
            above = target.parents[: target.parents.index(spool.root) + 1]
            assert {str(folder) for folder in above} <= later
            assert str(source.parent) in later


def traced(work: Callable[[], object]) -> list[tuple[str, str]]:
    """The calls with the paths that they are about."""
    done: list[tuple[str, str]] = []
    true = {name: getattr(os, name) for name in ("write", "fsync", "rename")}

    def shim(name: str) -> Callable[..., object]:
        def call(first: int | Path, *rest: object) -> object:
            path = os.readlink(f"/proc/self/fd/{first}") if isinstance(first, int) else f"{first} > {rest[0]}"
            done.append((name, path))
            return true[name](first, *rest)

        return call

    for name in true:
        setattr(os, name, shim(name))
    try:
        work()
    finally:
        for name, function in true.items():
            setattr(os, name, function)
    return done


def test_left_overs_go_when_it_is_opened_but_not_what_is_being_written(tmp_path: Path) -> None:
    spool = spool_with(tmp_path, 0)
    folder = spool.path_of(OUTBOX, NAME).parent
    dead, alive = folder / ".a.parquet.1.tmp", folder / ".a.parquet.2.tmp"
    journal = tmp_path / "recordings" / "r1" / ".frames.tmp"
    journal.parent.mkdir(parents=True)
    for path in (dead, alive, journal):
        path.write_bytes(b"half")
    with open(alive, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        Spool(tmp_path).open()
        assert (dead.exists(), alive.exists(), journal.exists()) == (False, True, True)
    Spool(tmp_path).open()
    assert not alive.exists()


def test_a_file_that_is_taken_for_left_over_before_it_is_locked_is_written_again(tmp_path: Path) -> None:
    spool = spool_with(tmp_path, 0)
    name, data = a_segment(1)
    stolen = []

    def steal(call: str) -> None:
        if call == "flock" and not stolen:
            stolen.extend(tmp_path.rglob("*.tmp"))
            stolen[0].unlink()

    with every_call(steal):
        spool.seal(name, data)
    assert len(stolen) == 1
    assert spool.path_of(OUTBOX, name).read_bytes() == data


def test_a_recorder_and_a_publisher_that_open_all_the_time_do_not_disturb_each_other(tmp_path: Path) -> None:
    spool, ended = Spool(tmp_path).open(), threading.Event()

    def publish() -> None:
        other = Spool(tmp_path)
        while not ended.is_set():
            for name in other.open().unsent():
                other.mark_sent(name)

    publisher = threading.Thread(target=publish)
    publisher.start()
    try:
        for number in range(100):
            spool.seal(*a_segment(number))
    finally:
        ended.set()
        publisher.join()
    segments = [a_segment(number) for number in range(100)]
    for name, data in segments:
        (part,) = places_of(spool, name)
        assert spool.path_of(part, name).read_bytes() == data


# ----------------------------------------------------------------------------------------------------------- room

FILES = st.lists(st.tuples(st.sampled_from([OUTBOX, SENT, CONFLICTS, "recordings"]), st.integers(0, 40)), max_size=15)


@given(FILES, st.integers(0, 400), st.integers(0, 100))
@settings(max_examples=150)
def test_room_is_made_by_the_fewest_of_the_oldest_sent(
    files: list[tuple[str, int]], quota_bytes: int, needed_bytes: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder))
        sent: list[tuple[SegmentName, int]] = []
        for minute, (part, size_bytes) in enumerate(files):
            first_ms = START_MS + (minute * 7 % 15) * 60_000
            name = SegmentName("p1", "r1", minute, minute, first_ms, first_ms, "0" * 12)
            path = spool.path_of(part, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x" * size_bytes)
            if part == SENT:
                sent.append((name, size_bytes))
        before = contents(spool.root)
        total_bytes = sum(map(len, before.values()))
        assert spool.size_bytes() == total_bytes
        assert spool.has_room(quota_bytes, needed_bytes) == (total_bytes + needed_bytes <= quota_bytes)

        removed = spool.make_room(quota_bytes, needed_bytes)

        by_age = sorted(sent, key=lambda item: (item[0].first_ms, item[0].first_seq))
        fits = [
            count
            for count in range(len(by_age) + 1)
            if total_bytes - sum(size for _, size in by_age[:count]) + needed_bytes <= quota_bytes
        ]
        expected = [name for name, _ in by_age[: fits[0] if fits else len(by_age)]]
        assert removed == expected
        assert contents(spool.root) == {
            path: data for path, data in before.items() if path not in {f"sent/{name}" for name in expected}
        }


# ----------------------------------------------------------------------------------------------------------- lock


def test_a_second_publisher_is_told_who_the_first_is(tmp_path: Path) -> None:
    spool = spool_with(tmp_path)
    with spool.locked(), pytest.raises(SpoolBusyError, match=f"process {os.getpid()}"), Spool(tmp_path).locked():
        pass
    with Spool(tmp_path).locked():
        pass


def test_the_lock_of_a_publisher_that_was_killed_is_free(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from taskreel.capture.spool import Spool\n"
        "with Spool(Path(sys.argv[1])).locked():\n    print('locked', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"locked\n"
        with pytest.raises(SpoolBusyError, match=f"process {process.pid}"), Spool(tmp_path).locked():
            pass
        process.kill()
    with Spool(tmp_path).locked():
        assert (tmp_path / LOCK).read_text() == f"{os.getpid()}\n"
