"""One live line on the terminal from which the recorder was started; a line for each change in a pipe or a log."""

from __future__ import annotations

import os
from typing import TextIO

from taskreel.capture.indicators.state import Phase, Status

_SIGNS = {
    Phase.RECORDING: "● REC",
    Phase.PAUSED: "‖ PAUSED",
    Phase.LOCKED: "‖ LOCKED",
    Phase.QUOTA: "■ FULL",
    Phase.STOPPED: "■ STOPPED",
}
_PLAIN_SIGNS = str.maketrans("●‖■", "*=#")
_RED, _YELLOW, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[0m"
_COLORS = {Phase.RECORDING: _RED, Phase.PAUSED: _YELLOW, Phase.LOCKED: _YELLOW, Phase.QUOTA: _RED}
_CLEAR_TO_END = "\x1b[K"


class TerminalLine:
    """Shows a status on a terminal in one line that is overwritten, elsewhere as one line for each new phase."""

    def __init__(self, stream: TextIO, pause_hotkey: str) -> None:
        self._stream, self._hotkey = stream, pause_hotkey
        self._is_terminal = stream.isatty()
        self._phase: Phase | None = None
        self._is_open = False

    def show(self, status: Status, now_us: int) -> None:
        """Show it. Raises `OSError` or `ValueError` if the stream is gone."""
        text = self._encodable(line(status, now_us, self._hotkey))
        if self._is_terminal:
            width = os.get_terminal_size(self._stream.fileno()).columns - 1
            color = _COLORS.get(status.phase, "")
            sign, rest = text[:1], text[1:width]
            self._write(f"\r{color}{sign}{_PLAIN if color else ''}{rest}{_CLEAR_TO_END}")
            self._is_open = True
        elif status.phase is not self._phase:
            self._write(f"taskreel: {text}\n")
        self._phase = status.phase

    def close(self) -> None:
        """Leave the last line standing."""
        if self._is_open:
            self._is_open = False
            self._write("\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def _encodable(self, text: str) -> str:
        try:
            text.encode(self._stream.encoding or "utf-8")
        except UnicodeEncodeError:
            return text.translate(_PLAIN_SIGNS)
        return text


def line(status: Status, now_us: int, pause_hotkey: str) -> str:
    """A status as a line."""
    seconds = max(0, now_us - status.started_us) // 1_000_000
    parts = [
        " ".join(filter(None, (_SIGNS[status.phase], status.participant, _clock(seconds)))),
        _count(status.events, "event"),
        _count(status.pictures, "picture"),
    ]
    if withheld := sum(status.withheld.values()):
        parts.append(f"{withheld:,} withheld")
    if status.segments_unsent:
        parts.append(f"{_count(status.segments_unsent, 'segment')} to publish")
    if status.phase in (Phase.RECORDING, Phase.PAUSED):
        parts.append(f"({pause_hotkey} {'pauses' if status.phase is Phase.RECORDING else 'resumes'})")
    return "  ".join(parts)


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
