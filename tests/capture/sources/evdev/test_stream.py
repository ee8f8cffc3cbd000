"""Streams: their names, what describes them, and what is said if one cannot be opened."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_streams import as_bytes

from taskreel.capture.importers.evemu import read_evemu_file
from taskreel.capture.kernel.devices import described_by
from taskreel.capture.kernel.streams import KERNEL_EVENT, Frame, frames
from taskreel.capture.sources.evdev.stream import Learned, open_stream
from taskreel.capture.sources.protocol import SourceUnavailableError

SAMPLES = Path("tests/data/evemu")
EVENTS = np.array([(5_000_123, 1, 30, 1), (5_000_123, 0, 0, 0)] * 6, KERNEL_EVENT)


def test_a_file_describes_itself_by_all_that_is_in_it(tmp_path: Path) -> None:
    events = read_evemu_file(SAMPLES / "synaptics-two-finger-scroll.events").devices[0].events
    (tmp_path / "pad").write_bytes(as_bytes(events, 32))
    opened = open_stream(str(tmp_path / "pad"))
    assert opened.device == described_by(events)
    assert opened.bits == 32
    assert os.read(opened.fd, 16) == as_bytes(events, 32)[:16]
    opened.close()


def test_a_description_beside_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pad")
    shutil.copy(SAMPLES / "synaptics-touchpad.events", tmp_path / "pad.evemu")
    opened = open_stream(f"{tmp_path}/pad#32")
    assert opened.device == read_evemu_file(SAMPLES / "synaptics-touchpad.events").devices[0].device
    assert opened.bits == 32
    opened.close()


def test_a_description_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "pad").write_bytes(as_bytes(EVENTS))
    (tmp_path / "pad.evemu").write_text("a pad\n")
    with pytest.raises(SourceUnavailableError, match=r"pad\.evemu"):
        open_stream(str(tmp_path / "pad"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing", "No such file"),
        ("unix:nothing", "No such file"),
        ("tcp:localhost", "tcp:localhost:7001"),
        ("tcp:localhost:99999", "tcp:localhost:7001"),
        ("tcp:192.0.2.1:7001", "ssh -L 7001:localhost:7001 192.0.2.1"),
    ],
)
def test_what_is_wrong_with_a_name_is_said(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceUnavailableError, match=said.replace(".", r"\.")):
        open_stream(name)


def test_a_port_where_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(SourceUnavailableError, match="nobody listens"):
            open_stream(f"tcp:localhost:{free.getsockname()[1]}")


@pytest.mark.parametrize(("data", "said"), [(b"hello world, this is text" * 9, "no kernel events"), (bytes(48), "#64")])
def test_a_file_of_something_else(data: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "stream").write_bytes(data)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(SourceUnavailableError, match=said):
        open_stream(str(tmp_path / "stream"))
    assert len(os.listdir("/proc/self/fd")) == before


@given(st.lists(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 60), st.integers(-1, 9)), min_size=1), max_size=9))
def test_a_device_is_learned_as_an_importer_describes_it(told: list[list[tuple[int, int, int]]]) -> None:
    rows = [(5, *event) for events in told for event in (*events, (0, 0, 0))]
    events = np.array(rows, KERNEL_EVENT) if rows else np.empty(0, KERNEL_EVENT)
    learned = Learned()
    grew = [learned.learn(frame) for frame in frames(events)]
    assert learned.device == described_by(events)
    assert not any(learned.learn(frame) for frame in frames(events))
    assert not grew or any(grew) == bool(learned.device.keys or learned.device.axes)


def test_a_place_told_early_is_kept_for_the_pad_it_turns_out_to_be() -> None:
    learned = Learned()
    learned.learn(Frame(1, [(3, 0, 500)]))
    learned.learn(Frame(2, [(3, 1, 40), (1, 0x14A, 1)]))
    assert learned.with_place(Frame(2, [(1, 0x14A, 1)])).events == [(3, 0, 500), (3, 1, 40), (1, 0x14A, 1)]
