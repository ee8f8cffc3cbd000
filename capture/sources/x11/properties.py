"""Asking windows what they say of themselves: many at once, because each answer that is waited for takes 50 µs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from taskreel.capture.sources.x11.facts import WindowFacts
from taskreel.capture.sources.x11.server import Server, numbers, text

_NAMES = (
    "WM_CLASS",
    "_NET_WM_NAME",
    "WM_NAME",
    "_NET_WM_PID",
    "WM_TRANSIENT_FOR",
    "WM_CLIENT_LEADER",
    "WM_HINTS",
)
_GROUP_IN_HINTS = 8
_LOCAL_PID = 2
"""`LocalClientPIDMask` of the extension X-Resource."""


class Properties:
    """Reads windows' properties."""

    def __init__(self, server: Server) -> None:
        import xcffib.res

        self._server = server
        self._id_spec: Any = xcffib.res.ClientIdSpec
        self._resources = _resources(server, xcffib.res.key)
        self.atoms = frozenset(server.atoms(*_NAMES))
        """A change of any of these changes what a window says."""

    def facts(self, windows: Sequence[tuple[int, bool]]) -> dict[int, WindowFacts]:
        """What windows say, each given as its id and whether it is a popup. One that is gone says nothing."""
        asked = [self._server.ask_property(window, name) for window, _ in windows for name in _NAMES]
        answers = self._server.answers(asked)
        said = [answers[first : first + len(_NAMES)] for first in range(0, len(answers), len(_NAMES))]
        pids = self._pids([(window, numbers(answer[3])) for (window, _), answer in zip(windows, said, strict=True)])
        return {
            window: self._facts(window, is_popup, answer, pid)
            for (window, is_popup), answer, pid in zip(windows, said, pids, strict=True)
        }

    def _facts(self, window: int, is_popup: bool, answers: Sequence[Any], pid: int) -> WindowFacts:
        class_, name, old_name, _, transient_for, leader, hints = answers
        instance, _, class_name = text(class_).partition(b"\0")
        return WindowFacts(
            id=window,
            is_popup=is_popup,
            instance=_latin(instance),
            class_name=_latin(class_name),
            title=text(name).decode(errors="replace").rstrip("\0") or _latin(text(old_name)),
            pid=pid,
            process=_process(pid),
            transient_for=_at(numbers(transient_for), 0),
            leader=_at(numbers(leader), 0),
            group=_at(numbers(hints), _GROUP_IN_HINTS),
            client=self._server.client_of(window),
        )

    def _pids(self, said: Sequence[tuple[int, Sequence[int]]]) -> list[int]:
        """The process of each window: as it says, or else as the server knows of the program's connection."""
        silent = [window for window, pid in said if not pid] if self._resources is not None else []
        specs = [self._id_spec.synthetic(window, _LOCAL_PID) for window in silent]
        answers = self._server.answers(self._resources.QueryClientIds(1, [spec]) for spec in specs)
        known = {
            window: answer.ids[0].value[0]
            for window, answer in zip(silent, answers, strict=True)
            if answer is not None and answer.ids and answer.ids[0].value
        }
        return [pid[0] if pid else known.get(window, 0) for window, pid in said]


def _resources(server: Server, key: Any) -> Any:
    """The requests of X-Resource 1.2, which knows processes; None with an older server."""
    extension = server.extension(key)
    version = server.answer(extension.QueryVersion(1, 2)) if extension is not None else None
    is_new = version is not None and (version.server_major, version.server_minor) >= (1, 2)
    return extension if is_new else None


def _process(pid: int) -> str:
    """The name of a process, at most 15 bytes as the kernel keeps it; "" if there is none on this machine."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").rstrip("\n") if pid else ""
    except OSError:
        return ""


def _latin(data: bytes) -> str:
    """Text of ICCCM's type STRING is Latin-1; programs write UTF-8, too."""
    data = data.rstrip(b"\0")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _at(values: Sequence[int], place: int) -> int:
    return values[place] if place < len(values) else 0
