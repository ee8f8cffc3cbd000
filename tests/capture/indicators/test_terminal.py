"""The live line: what it says, on a real terminal and in a pipe."""

from __future__ import annotations

import io
import os
import pty
import struct
from collections.abc import Iterator
from fcntl import ioctl
from termios import TIOCSWINSZ
from typing import TextIO

import pytest

from taskreel.capture.indicators.state import Phase, Status
from taskreel.capture.indicators.terminal import TerminalLine, line

HOTKEY = "ctrl+alt+shift+p"
S = 1_000_000
STATUS = Status(
    pid=1,
    phase=Phase.RECORDING,
    since_us=0,
    participant="p17",
    recording="r1",
    started_us=10 * S,
    events=12_345,
    pictures=24,
    segments_sealed=9,
    segments_unsent=3,
)
NOW_US = 10 * S + (12 * 60 + 34) * S


def having(**values: object) -> Status:
    return Status(**vars(STATUS) | values)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (STATUS, "● REC p17 00:12:34  12,345 events  24 pictures  3 segments to publish  (ctrl+alt+shift+p pauses)"),
        (
            having(phase=Phase.PAUSED, events=1, pictures=1, segments_unsent=1, withheld={"excluded": 1000, "ime": 2}),
            "‖ PAUSED p17 00:12:34  1 event  1 picture  1,002 withheld  1 segment to publish  "
            "(ctrl+alt+shift+p resumes)",
        ),
        (having(phase=Phase.LOCKED, segments_unsent=0), "‖ LOCKED p17 00:12:34  12,345 events  24 pictures"),
        (
            having(phase=Phase.QUOTA, participant=""),
            "■ FULL 00:12:34  12,345 events  24 pictures  3 segments to publish",
        ),
        (
            having(phase=Phase.STOPPED, started_us=NOW_US - 90_000 * S),
            "■ STOPPED p17 25:00:00  12,345 events  24 pictures  3 segments to publish",
        ),
        (
            having(started_us=NOW_US + S, events=0),
            "● REC p17 00:00:00  0 events  24 pictures  3 segments to publish  (ctrl+alt+shift+p pauses)",
        ),
    ],
)
def test_a_status_as_a_line(status: Status, text: str) -> None:
    assert line(status, NOW_US, HOTKEY) == text


@pytest.fixture
def terminal() -> Iterator[tuple[int, TextIO]]:
    """A real terminal, 50 columns wide: what is read of it, and what is written to."""
    reading, writing = pty.openpty()
    ioctl(writing, TIOCSWINSZ, struct.pack("HHHH", 20, 50, 0, 0))
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        yield reading, stream
    os.close(reading)


def test_on_a_terminal_one_line_is_overwritten_and_never_wraps(terminal: tuple[int, TextIO]) -> None:
    reading, stream = terminal
    shown = TerminalLine(stream, HOTKEY)
    shown.show(STATUS, NOW_US)
    shown.show(having(phase=Phase.LOCKED, segments_unsent=0), NOW_US)
    shown.close()
    shown.close()
    said = b""
    while not said.endswith(b"\n"):
        said += os.read(reading, 4096)
    assert said.decode() == (
        "\r\x1b[31m●\x1b[0m REC p17 00:12:34  12,345 events  24 pictures  3\x1b[K"
        "\r\x1b[33m‖\x1b[0m LOCKED p17 00:12:34  12,345 events  24 pictures\x1b[K"
        "\r\n"
    )


def test_in_a_pipe_each_new_phase_is_a_line() -> None:
    stream = io.StringIO()
    shown = TerminalLine(stream, HOTKEY)
    for phase in (Phase.RECORDING, Phase.RECORDING, Phase.LOCKED, Phase.LOCKED, Phase.RECORDING):
        shown.show(having(phase=phase), NOW_US)
    shown.close()
    words = [text.split()[:3] for text in stream.getvalue().splitlines()]
    assert words == [["taskreel:", "●", "REC"], ["taskreel:", "‖", "LOCKED"], ["taskreel:", "●", "REC"]]


def test_signs_that_cannot_be_encoded_are_replaced() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    TerminalLine(stream, HOTKEY).show(STATUS, NOW_US)
    assert stream.buffer.getvalue().startswith(b"taskreel: * REC p17")
