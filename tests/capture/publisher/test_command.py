"""The command `taskreel publish`: what it prints, its exit codes, how it is stopped."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from spool_files import a_segment, consent, contents, spool_with
from typer.testing import CliRunner

import taskreel.publishing
import taskreel.upkeep  # noqa: F401  they register their commands; one alone would have no name
from taskreel.app import app
from taskreel.capture.spool import LOCK, OUTBOX, Spool
from taskreel.rehearsal.gcs.server import Fault, GcsServer

COMMAND = [
    sys.executable,
    "-c",
    "import taskreel.publishing, taskreel.upkeep; from taskreel.app import app; app()",
    "publish",
]


def run(*args: str | Path, code: int = 0) -> tuple[str, str]:
    result = CliRunner().invoke(app, ["publish", *map(str, args)])
    assert result.exit_code == code, (result.exit_code, result.output)
    return result.stdout, result.stderr


def start(*args: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen([*COMMAND, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    end_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end_s, "it did not come to this"
        time.sleep(0.01)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = spool_with(tmp_path / "spool", 0, 1)
    spool.keep_consent(consent())
    return spool


def test_what_was_sent_is_told_in_a_line(spool: Spool, tmp_path: Path) -> None:
    out, err = run("--spool", spool.root, "--to", tmp_path / "store")
    assert out.startswith("2 segments sent (0.0 MB) in ")
    assert err == ""
    assert len(contents(tmp_path / "store")) == 3


def test_json_has_a_line_for_each_segment_and_a_summary(spool: Spool, tmp_path: Path) -> None:
    name, data = a_segment(0)
    place = tmp_path / "store" / str(name)
    place.parent.mkdir(parents=True)
    place.write_bytes(data)
    out, _ = run("--spool", spool.root, "--to", tmp_path / "store", "--json", "--remove-sent")
    first, second, last = map(json.loads, out.splitlines())
    assert (first["segment"], first["outcome"], second["outcome"]) == (str(name), "present", "sent")
    assert second["bytes"] == 1000
    assert last["summary"].items() >= {"sent": 1, "present": 1, "left": 0, "sent_bytes": 1000, "problem": ""}.items()


def test_faults_have_the_exit_code_1_and_a_line_that_names_them(spool: Spool, tmp_path: Path) -> None:
    name = a_segment(1)[0]
    spool.path_of(OUTBOX, name).write_bytes(b"damaged")
    out, err = run("--spool", spool.root, "--to", tmp_path / "store", code=1)
    assert "1 wait in conflicts/ for a person" in out
    assert f"{name}: damaged: the file's sha256 is" in err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--bandwidth", "fast"], "--bandwidth fast"),
        (["--every", "soon"], "--every soon"),
        (["--every", "0s"], "--every 0s"),
        (["--to", ""], "--to"),
        (["--to", "s3://x"], "s3://x"),
        (["--spool", "/nowhere/at/all"], "--spool /nowhere/at/all"),
    ],
)
def test_bad_use_is_one_clear_line(args: list[str], said: str, spool: Spool, tmp_path: Path) -> None:
    _, err = run("--spool", spool.root, "--to", tmp_path / "store", *args, code=2)
    (line,) = err.strip().splitlines()
    assert said in line


def test_a_file_of_the_spool_that_cannot_be_used_is_named(spool: Spool, tmp_path: Path) -> None:
    lock = spool.root / LOCK
    lock.mkdir()
    _, err = run("--spool", spool.root, "--to", tmp_path / "store", code=2)
    assert err == f"taskreel: {lock}: Is a directory\n"


def test_a_refusal_has_the_exit_code_2_and_the_remedy(spool: Spool, gcs: GcsServer) -> None:
    gcs.faults.add(Fault("POST", "status", status=403, times=99))
    out, err = run("--spool", spool.root, "--to", "gs://lake/people", code=2)
    assert "Grant the account storage.objectUser" in err
    assert "2 are left in the outbox" in out


def test_a_place_that_cannot_be_written_has_the_exit_code_2(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    _, err = run("--spool", spool.root, "--to", tmp_path / "file" / "store", code=2)
    assert "Not a directory" in err


def test_a_second_publisher_has_the_exit_code_3_and_names_the_first(spool: Spool, tmp_path: Path) -> None:
    with start("--spool", spool.root, "--to", tmp_path / "store", "--watch") as process:
        try:
            wait_for(lambda: not spool.unsent())
            _, err = run("--spool", spool.root, "--to", tmp_path / "store", code=3)
            assert f"process {process.pid}" in err
        finally:
            process.terminate()
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_watch_at_once(number: signal.Signals, spool: Spool, tmp_path: Path) -> None:
    with start("--spool", spool.root, "--to", tmp_path / "store", "--watch", "--json") as process:
        wait_for(lambda: not spool.unsent())
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    assert len(out.splitlines()) == 3


def test_a_signal_amid_an_upload_ends_it_and_loses_nothing(tmp_path: Path) -> None:
    spool = spool_with(tmp_path / "spool", 0, 1, size_bytes=400_000)
    with start("--spool", spool.root, "--to", tmp_path / "store", "--bandwidth", "20k") as process:
        wait_for((spool.root / "publisher.lock").exists)
        process.terminate()
        out, _ = process.communicate(timeout=15)
    assert process.returncode == 1
    assert "2 are left in the outbox" in out
    assert len(spool.unsent()) == 2
    run("--spool", spool.root, "--to", tmp_path / "store")
    assert len(contents(tmp_path / "store")) == 2


def test_a_signal_ends_a_publisher_that_waits_for_an_answer(spool: Spool, gcs: GcsServer) -> None:
    silent = gcs.faults.add(Fault("POST", "timeout", hang_s=60, times=99))
    with start("--spool", spool.root, "--to", "gs://lake/people") as process:
        wait_for(lambda: silent.fired > 0)
        process.terminate()
        _, err = process.communicate(timeout=15)
    assert process.returncode == 1
    assert "nothing is lost" in err
    assert len(spool.unsent()) == 2


def test_a_watch_says_that_it_goes_on_trying(spool: Spool, gcs: GcsServer) -> None:
    gcs.faults.add(Fault("POST", "status", status=403, times=1))
    with start("--spool", spool.root, "--to", "gs://lake/people", "--watch", "--every", "0.2s") as process:
        try:
            wait_for(lambda: not spool.unsent())
        finally:
            process.terminate()
        out, err = process.communicate(timeout=15)
    assert process.returncode == 0
    assert "no permission (403)" in err
    assert "goes on in" in err
    assert "2 segments sent" in out


def test_help_has_an_example() -> None:
    out, _ = run("--help")
    assert "Example: taskreel publish --spool" in " ".join(out.split())


def test_on_a_terminal_there_is_a_bar(spool: Spool, tmp_path: Path) -> None:
    import os
    import pty

    ours, theirs = pty.openpty()
    command = [*COMMAND, "--spool", str(spool.root), "--to", str(tmp_path / "store"), "--bandwidth", "2k"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=os.environ | {"TERM": "xterm"})
    os.close(theirs)
    seen = bytearray()

    def read() -> None:
        try:
            while part := os.read(ours, 4096):
                seen.extend(part)
        except OSError:  # the other end is closed
            pass

    reader = threading.Thread(target=read)
    reader.start()
    assert process.stdout
    assert b"2 segments sent" in process.stdout.read()
    assert process.wait() == 0
    reader.join()
    os.close(ours)
    process.stdout.close()
    assert b"sending" in seen
    assert b"kB" in seen
