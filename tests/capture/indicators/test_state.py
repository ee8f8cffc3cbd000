"""The status of a recorder and its file, also under a reader that never stops reading."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskreel.capture.indicators.state import STATE_FILE, Phase, Status, read_state, write_state

NUMBERS = st.integers(0, 1 << 60)
STATUSES = st.builds(
    Status,
    pid=NUMBERS,
    phase=st.sampled_from(Phase),
    since_us=NUMBERS,
    participant=st.text(),
    recording=st.text(),
    started_us=NUMBERS,
    events=NUMBERS,
    withheld=st.dictionaries(st.text(), NUMBERS),
    spool_bytes=NUMBERS,
)


@given(STATUSES)
def test_a_status_is_what_its_json_says(status: Status) -> None:
    assert Status.from_json(status.to_json()) == status
    assert "\n" not in status.to_json()


def test_fields_of_a_later_version_are_passed_over() -> None:
    status = Status(pid=1, phase=Phase.PAUSED, since_us=2)
    assert Status.from_json(status.to_json().replace("{", '{"later": 1, ', 1)) == status


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pid": 1}', '{"pid": 1, "since_us": 1, "phase": "asleep"}'])
def test_what_no_recorder_wrote_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a state|not a valid|Expecting"):
        Status.from_json(text)


def test_a_reader_that_reads_all_the_time_sees_whole_states_in_order(tmp_path: Path) -> None:
    seen: list[int] = []
    ended = threading.Event()
    write_state(tmp_path, Status(os.getpid(), Phase.RECORDING, 0))

    def read() -> None:
        while not ended.is_set():
            status = read_state(tmp_path)
            assert status
            seen.append(status.events)

    reader = threading.Thread(target=read)
    reader.start()
    events = 0
    while len(set(seen)) < 50 and reader.is_alive():
        events += 1
        reasons = {f"reason {number}": events for number in range(events % 300)}  # so that states differ in length
        write_state(tmp_path, Status(os.getpid(), Phase.RECORDING, 0, events=events, withheld=reasons))
    ended.set()
    reader.join()
    assert len(set(seen)) >= 50, "the reader failed"
    assert seen == sorted(seen)
    assert os.listdir(tmp_path) == [STATE_FILE]


def test_a_spool_in_which_none_ran_has_no_state(tmp_path: Path) -> None:
    assert read_state(tmp_path) is None


def test_a_recorder_that_is_gone_has_stopped(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    write_state(tmp_path, Status(gone.pid, Phase.RECORDING, 5, events=7))
    assert read_state(tmp_path) == Status(gone.pid, Phase.STOPPED, 5, events=7)


def test_a_number_that_another_program_has_now_is_no_recorder(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        write_state(tmp_path, Status(other.pid, Phase.RECORDING, 5))
        status = read_state(tmp_path)
        other.kill()
    assert status
    assert status.phase is Phase.STOPPED


def test_a_recorder_of_another_process_is_known_by_its_name(tmp_path: Path) -> None:
    program = (
        "from taskreel.capture.indicators.process import show_process_name\n"
        "import threading\n"
        "thread = threading.Thread(target=show_process_name)\n"  # from any thread: it is the process's name
        "thread.start()\n"
        "thread.join()\n"
        "print(flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as recorder:
        assert recorder.stdout
        recorder.stdout.readline()
        status = Status(recorder.pid, Phase.RECORDING, 5)
        write_state(tmp_path, status)
        assert read_state(tmp_path) == status
        names = subprocess.run(
            ["ps", "-o", "comm=", "-p", str(recorder.pid)], capture_output=True, text=True, check=True
        )
        assert names.stdout.strip() == "taskreel"
        recorder.communicate(b"\n")
