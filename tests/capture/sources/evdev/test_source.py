"""The source: the same events as the importers', from files, pipes, sockets and devices that come and go."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_devices import CLICKPAD, KEYBOARD, MOUSE, land, lift, tap, told
from kernel_streams import PipeDevices, as_bytes, frame_bytes, heard, imported
from listening_sink import ListeningSink, running
from x_server import wait_for

from taskreel.capture.importers.evemu import read_evemu_file
from taskreel.capture.kernel.devices import described_by
from taskreel.capture.kernel.streams import KERNEL_EVENT
from taskreel.capture.settings import Settings
from taskreel.capture.sources.evdev.source import EvdevSource
from taskreel.capture.sources.protocol import SourceLostError, SourceUnavailableError, monotonic_us
from taskreel.io.events import Flag, Kind

SAMPLES = sorted(Path("tests/data/evemu").glob("*.e*"))
A, B, CTRL, SHIFT, CAPS = 30, 48, 29, 42, 58


def source_of(*names: object, layout: str = "") -> EvdevSource:
    return EvdevSource(Settings(spool=Path("nowhere"), input_streams=tuple(map(str, names)), layout=layout))


def read_all(source: EvdevSource) -> ListeningSink:
    """What a source gives until its streams end: it must return by itself."""
    sink = ListeningSink()
    source.open()
    thread = threading.Thread(target=source.run, args=(sink,), daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "the source did not end with its streams"
    assert source.produced == sink.accounted
    return sink


def keys(sink: ListeningSink) -> list[tuple[Any, ...]]:
    return [(event.kind, event.code, event.text, event.flags) for event in sink.of(Kind.KEY_DOWN, Kind.KEY_UP)]


# ---------------------------------------------------------------------------------------------------- streams


def through_file(place: Path, pieces: list[bytes]) -> str:
    place.write_bytes(b"".join(pieces))
    return str(place)


def through_pipe(place: Path, pieces: list[bytes]) -> str:
    os.mkfifo(place)

    def write() -> None:
        with place.open("wb", buffering=0) as pipe:
            for piece in pieces:
                pipe.write(piece)

    threading.Thread(target=write, daemon=True).start()
    return str(place)


def serve(listening: socket.socket, pieces: list[bytes]) -> None:
    def send() -> None:
        with listening, listening.accept()[0] as connection:
            for piece in pieces:
                connection.sendall(piece)

    listening.listen()
    threading.Thread(target=send, daemon=True).start()


def through_unix_socket(place: Path, pieces: list[bytes]) -> str:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(place))
    serve(listening, pieces)
    return f"unix:{place}"


def through_tcp(place: Path, pieces: list[bytes]) -> str:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    serve(listening, pieces)
    return f"tcp:127.0.0.1:{listening.getsockname()[1]}"


Way = Callable[[Path, list[bytes]], str]
WAYS = [through_file, through_pipe, through_unix_socket]


@pytest.mark.parametrize("bits", [64, 32])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_stream_gives_the_same_events_as_the_importer(path: Path, way: Way, bits: int, tmp_path: Path) -> None:
    recorded = read_evemu_file(path).devices[0]
    data = as_bytes(recorded.events, bits)
    if "\nB:" in path.read_text():
        shutil.copy(path, tmp_path / "device.evemu")
    name = way(tmp_path / "device", [data[start : start + 1001] for start in range(0, len(data), 1001)])

    sink = read_all(source_of(name))

    assert heard(sink) == imported(recorded.device, recorded.events)
    assert sink.lost == []


@pytest.mark.parametrize("name", ["ps2-mouse", "scrollpoint", "synaptics-two-finger-scroll", "thinkpad-keyboard"])
def test_beside_a_port_there_is_no_description_and_none_is_needed(name: str, tmp_path: Path) -> None:
    events = read_evemu_file(Path(f"tests/data/evemu/{name}.events")).devices[0].events
    data = as_bytes(events)
    sink = read_all(source_of(through_tcp(tmp_path, [data[start : start + 777] for start in range(0, len(data), 777)])))
    assert heard(sink) == imported(described_by(events), events)


@pytest.mark.parametrize("way", [through_pipe, through_unix_socket])
def test_a_stream_byte_by_byte(way: Way, tmp_path: Path) -> None:
    recorded = read_evemu_file(SAMPLES[-1]).devices[0]
    events = recorded.events.copy()
    events["time_us"] += 12_345_678_901
    sink = read_all(source_of(way(tmp_path / "keyboard", [bytes([byte]) for byte in as_bytes(events)])))
    assert heard(sink) == imported(recorded.device, events)


def test_text_by_the_layout_that_was_named(tmp_path: Path) -> None:
    events = told([(100, [(1, 21, 1)]), (150, [(1, 21, 0)])])
    source = source_of(through_file(tmp_path / "keyboard", [as_bytes(events)]), layout="de")
    facts = source.open()
    sink = ListeningSink()
    source.run(sink)
    assert (facts.keyboard_layout, facts.coordinate_space) == ("de", "relative")
    assert keys(sink) == [(Kind.KEY_DOWN, 21, "z", 0), (Kind.KEY_UP, 21, None, 0)]


def test_text_is_flagged_where_no_layout_was_named(tmp_path: Path) -> None:
    events = told([(100, [(1, 21, 1)])])
    sink = read_all(source_of(through_file(tmp_path / "keyboard", [as_bytes(events)])))
    assert keys(sink) == [(Kind.KEY_DOWN, 21, "y", Flag.UNKNOWN_LAYOUT)]


def test_times_are_those_of_arrival_and_never_go_back(tmp_path: Path) -> None:
    """Another machine's clock, which is set back by an hour in between."""
    times = [3600_000_100, 3600_050_100, 100, 80_100]
    rows = [row for time_us in times for row in ((time_us, 2, 0, 1), (time_us, 0, 0, 0))]
    before_us = monotonic_us()
    sink = read_all(source_of(through_pipe(tmp_path / "mouse", [as_bytes(np.array(rows, KERNEL_EVENT))])))
    moved = [event.time_us for event in sink.of(Kind.MOVE)]
    assert before_us <= moved[0] <= monotonic_us()
    assert [time_us - moved[0] for time_us in moved] == [0, 50_000, 50_000, 130_000]


def test_a_stream_that_is_cut_or_makes_no_sense_is_told(tmp_path: Path) -> None:
    good = as_bytes(told([(100, [(1, A, 1)]), (150, [(1, A, 0)])]))
    cut = read_all(source_of(through_pipe(tmp_path / "cut", [good, b"\0" * 5])))
    assert [reason for reason, _, _ in cut.lost] == ["stream_cut"]

    source, sink = source_of(through_pipe(tmp_path / "nonsense", [good, b"x" * 240])), ListeningSink()
    source.open()
    with pytest.raises(SourceLostError, match="nonsense"):
        source.run(sink)
    assert [reason for reason, _, _ in sink.lost] == ["stream_broken"]


def test_keys_of_a_stream_that_ended_do_not_count_as_held(tmp_path: Path) -> None:
    """Ctrl was down on a keyboard that is gone: what is typed on another one is text again."""
    ctrl = through_pipe(tmp_path / "one", [as_bytes(told([(100, [(1, CTRL, 1)])]))])
    os.mkfifo(tmp_path / "two")
    writing = os.open(tmp_path / "two", os.O_RDWR)
    with running(source_of(ctrl, tmp_path / "two"), sink := ListeningSink()):
        wait_for(lambda: len(sink.events) == 1, "the key of the first")
        wait_for(lambda: not _is_open(tmp_path / "one"), "the end of the first")
        os.write(writing, frame_bytes((1, A, 1)))
        wait_for(lambda: len(sink.events) == 2, "the key of the second")
    os.close(writing)
    assert [text for _, _, text, _ in keys(sink)] == [None, "a"]


def _is_open(path: Path) -> bool:
    return any(os.path.realpath(f"/proc/self/fd/{fd}") == str(path) for fd in os.listdir("/proc/self/fd"))


def test_a_layout_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailableError, match="localectl"):
        source_of(through_file(tmp_path / "keyboard", [frame_bytes((1, A, 1))]), layout="klingon").open()


# ---------------------------------------------------------------------------------------------------- devices


@pytest.fixture
def devices(tmp_path: Path) -> Iterator[PipeDevices]:
    (tmp_path / "input").mkdir()
    plugged = PipeDevices(tmp_path / "input")
    yield plugged
    plugged.close()


def source_on(devices: PipeDevices) -> EvdevSource:
    return EvdevSource(Settings(spool=Path("nowhere")), folder=devices.folder, open_device=devices.open)


def test_several_devices_are_one_keyboard_and_one_pointer(devices: PipeDevices) -> None:
    devices.plug("event0", KEYBOARD)
    devices.plug("event1", KEYBOARD)
    devices.plug("event2", MOUSE)
    with running(source_on(devices), sink := ListeningSink()):
        devices.write("event0", frame_bytes((1, SHIFT, 1)))
        wait_for(lambda: len(sink.events) == 1, "the first key")
        devices.write("event1", frame_bytes((1, A, 1)))
        devices.write("event2", frame_bytes((2, 0, 7)))
        wait_for(lambda: len(sink.events) == 3, "a key and a move")
    assert [text for _, _, text, _ in keys(sink)] == [None, "A"]
    assert [(event.x, event.flags) for event in sink.of(Kind.MOVE)] == [(7 * 256, Flag.ESTIMATED)]


def test_what_is_held_and_locked_at_first_is_stated(devices: PipeDevices) -> None:
    devices.plug("event0", KEYBOARD, held={SHIFT})
    devices.locks = (CAPS,)
    with running(source_on(devices), sink := ListeningSink()):
        devices.write("event0", frame_bytes((1, SHIFT, 0)))
        devices.write("event0", frame_bytes((1, A, 1)))
        wait_for(lambda: len(sink.events) == 3, "three keys")
    assert keys(sink) == [
        (Kind.KEY_DOWN, SHIFT, None, Flag.RESTATED),
        (Kind.KEY_UP, SHIFT, None, 0),
        (Kind.KEY_DOWN, A, "A", Flag.UNKNOWN_LAYOUT),
    ]


def test_lost_events_are_a_gap_and_what_was_missed_is_restated(devices: PipeDevices) -> None:
    devices.plug("event0", KEYBOARD)
    with running(source_on(devices), sink := ListeningSink()):
        devices.write("event0", frame_bytes((1, SHIFT, 1)) + frame_bytes((1, B, 1)))
        wait_for(lambda: len(sink.events) == 2, "two keys")
        devices.held["event0"] = {CTRL, A}
        at_us = monotonic_us()
        dropped = as_bytes(np.array([(at_us, 0, 3, 0), (at_us, 1, 99, 1), (at_us, 0, 0, 0)], KERNEL_EVENT))
        devices.write("event0", dropped + frame_bytes((1, A, 1), time_us=at_us + 9))
        wait_for(lambda: len(sink.events) == 6, "what changed, and the key after it")
    assert sink.lost == [("syn_dropped", at_us, 0)]
    assert keys(sink)[2:] == [
        (Kind.KEY_UP, SHIFT, None, Flag.RESTATED),
        (Kind.KEY_UP, B, None, Flag.RESTATED),
        (Kind.KEY_DOWN, CTRL, None, Flag.RESTATED),
        (Kind.KEY_DOWN, A, None, 0),  # with Ctrl, and once: not by the state, though it is down now
    ]
    assert [event.time_us for event in sink.events[2:5]] == [at_us] * 3


def test_a_device_that_is_lost_lets_its_keys_go_and_may_come_again(
    devices: PipeDevices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskreel.capture.sources.evdev.reader.os.read", _ends_with_no_such_device(os.read))
    devices.plug("event0", KEYBOARD)
    devices.plug("event1", MOUSE)
    with running(source_on(devices), sink := ListeningSink()):
        devices.write("event0", frame_bytes((1, CTRL, 1)))
        devices.write("event1", frame_bytes((1, 0x110, 1)))
        wait_for(lambda: len(sink.events) == 2, "a key and a button")
        devices.unplug("event0")
        devices.unplug("event1")
        wait_for(lambda: len(sink.lost) == 2, "the loss")
        devices.plug("event0", KEYBOARD)
        wait_for(lambda: "event0" in devices._writers, "that it is opened again")
        devices.write("event0", frame_bytes((1, A, 1)))
        wait_for(lambda: len(sink.events) == 5, "a key of the new one")
    assert [reason for reason, _, _ in sink.lost] == ["device_lost"] * 2
    assert [(event.kind, event.code, event.flags & Flag.RESTATED) for event in sink.events[2:4]] == [
        (Kind.KEY_UP, CTRL, Flag.RESTATED),
        (Kind.BUTTON_UP, 1, Flag.RESTATED),
    ]
    assert sink.events[4].text == "a"


def _ends_with_no_such_device(read: Callable[[int, int], bytes]) -> Callable[[int, int], bytes]:
    """A pipe ends where a device that is gone is an error."""

    def read_device(fd: int, size: int) -> bytes:
        data = read(fd, size)
        if not data:
            raise OSError(19, "No such device")
        return data

    return read_device


def test_a_device_that_is_plugged_in_is_read(devices: PipeDevices) -> None:
    devices.plug("event0", MOUSE)
    with running(source_on(devices), sink := ListeningSink()):
        devices.plug("event1", KEYBOARD)
        wait_for(lambda: "event1" in devices._writers, "that it is opened")
        devices.write("event1", frame_bytes((1, A, 1)))
        wait_for(lambda: len(sink.events) == 1, "its key")


def test_a_tap_is_told_though_nothing_follows_it(devices: PipeDevices) -> None:
    devices.plug("event0", CLICKPAD)
    with running(source_on(devices), sink := ListeningSink()):
        devices.write("event0", frame_bytes(*land(0, 1, 500, 500)))
        devices.write("event0", frame_bytes(*lift(0)))
        wait_for(lambda: len(sink.events) == 2, "a press and a release")
    assert [(event.kind, event.code) for event in sink.events] == [(Kind.BUTTON_DOWN, 1), (Kind.BUTTON_UP, 1)]


def test_it_stops_soon_also_before_it_runs_and_lets_all_go(devices: PipeDevices) -> None:
    devices.plug("event0", KEYBOARD)
    before = len(os.listdir("/proc/self/fd"))
    for is_early in (False, True):
        source = source_on(devices)
        if is_early:
            source.stop()
        with running(source, ListeningSink()):
            if not is_early:
                source.stop()
        source.stop()
        devices.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_no_device_that_may_be_read_is_said_with_the_remedy(tmp_path: Path) -> None:
    def refused(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "event0").touch()
    source = EvdevSource(Settings(spool=tmp_path), folder=tmp_path, open_device=refused)
    with pytest.raises(SourceUnavailableError, match="is a keyboard"):
        source.open()
    with pytest.raises(SourceUnavailableError, match="is not there"):
        EvdevSource(Settings(spool=tmp_path), folder=tmp_path / "input").open()


# ---------------------------------------------------------------------------------------------------- any pieces


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(20, 400), st.integers(5, 300)), max_size=5), st.data())
def test_taps_in_any_pieces_are_as_imported(taps: list[tuple[int, int, int]], data: st.DataObject) -> None:
    frames, at_ms = [], 1000
    for fingers, wait_ms, length_ms in taps:
        at_ms += wait_ms
        frames += tap(at_ms, fingers=fingers, length_ms=length_ms)
        at_ms += length_ms
    events = told(frames)
    content = as_bytes(events)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=6)))
    reading, writing = os.pipe()
    source = source_of(f"/proc/self/fd/{reading}#64")
    sink = ListeningSink()
    source.open()
    thread = threading.Thread(target=source.run, args=(sink,))
    thread.start()
    for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True):
        os.write(writing, content[start:end])
    os.close(writing)
    os.close(reading)
    thread.join(60)
    assert heard(sink) == imported(described_by(events), events)
