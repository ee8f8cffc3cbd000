"""A real X server for tests: Xvfb with a window manager, and input as a person would give it, by XTEST FakeInput.

    with XServer() as x:
        x.window_manager()
        x.start("xterm")
        Injector(x.display).type("hello")

Everything that was started is ended, by its process id.
"""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import xcffib
import xcffib.xproto
import xcffib.xtest

KEY_PRESS, KEY_RELEASE, BUTTON_PRESS, BUTTON_RELEASE, MOTION = 2, 3, 4, 5, 6


class XServer:
    """An Xvfb on a display of its own, and the programs that a test starts on it."""

    def __init__(self, size: str = "1280x800x24", extra: tuple[str, ...] = ()) -> None:
        self._size, self._extra = size, extra
        self._processes: list[subprocess.Popen[bytes]] = []
        self.display = ""

    def __enter__(self) -> XServer:
        reading, writing = os.pipe()
        command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", self._size, "-nolisten", "tcp", "-noreset"]
        try:
            self._start([*command, *self._extra], pass_fds=(writing,))
            os.close(writing)
            self.display = f":{_line(reading, 20)}"
        finally:
            os.close(reading)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in reversed(self._processes):
            end(process)

    def env(self) -> dict[str, str]:
        """The environment for programs on this display, in English, with no session of the machine."""
        gone = ("WAYLAND_DISPLAY", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS")
        return {name: value for name, value in os.environ.items() if name not in gone} | {
            "DISPLAY": self.display,
            "LC_ALL": "C.UTF-8",
        }

    def window_manager(self) -> None:
        """Start openbox and wait until it manages windows."""
        self.start("openbox", "--sm-disable")
        connection = xcffib.connect(self.display)
        try:
            wait_for(lambda: has_window_manager(connection), "openbox")
        finally:
            connection.disconnect()

    def start(self, *command: str, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a program on this display; it is ended with the server."""
        return self._start(list(command), env=self.env() | (env or {}))

    def run(self, *command: str) -> str:
        """Run a program on this display to its end; what it printed."""
        done = subprocess.run(command, env=self.env(), capture_output=True, text=True, timeout=30, check=True)
        return done.stdout

    def _start(self, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(command, **(quiet | options))
        self._processes.append(process)
        return process


class Injector:
    """Input by XTEST: the server handles it as that of a device, and each call returns when it has been handled."""

    def __init__(self, display: str) -> None:
        self._connection = xcffib.connect(display)
        self._xtest = self._connection(xcffib.xtest.key)
        self._root = self._connection.get_setup().roots[0].root

    def close(self) -> None:
        self._connection.disconnect()

    def key(self, keycode: int, down: bool) -> None:
        """A key (X11's number: the kernel's + 8) goes down or up."""
        self._fake(KEY_PRESS if down else KEY_RELEASE, keycode)

    def tap(self, *keycodes: int) -> None:
        """All go down in order, then up in reverse order."""
        for keycode in keycodes:
            self.key(keycode, True)
        for keycode in reversed(keycodes):
            self.key(keycode, False)

    def button(self, number: int, down: bool) -> None:
        self._fake(BUTTON_PRESS if down else BUTTON_RELEASE, number)

    def click(self, number: int = 1) -> None:
        self.button(number, True)
        self.button(number, False)

    def move(self, x: int, y: int) -> None:
        """Move the pointer to a place on the root window."""
        self._fake(MOTION, 0, x, y)

    def move_by(self, dx: int, dy: int) -> None:
        self._fake(MOTION, 1, dx, dy)

    def _fake(self, kind: int, detail: int, x: int = 0, y: int = 0) -> None:
        self._xtest.FakeInput(kind, detail, 0, self._root, x, y, 0)
        self._connection.core.GetInputFocus().reply()  # the server has handled all before this


def end(process: subprocess.Popen[bytes], patience_s: float = 5.0) -> None:
    """End a process that a test started: asked first, then killed."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(is_so: Callable[[], object], what: str, limit_s: float = 20.0) -> None:
    """Wait until something is so; fails with `what` if it does not come."""
    until = time.monotonic() + limit_s
    while not is_so():
        if time.monotonic() > until:
            raise TimeoutError(f"{what}: not so after {limit_s:.0f} s")
        time.sleep(0.02)


def has_window_manager(connection: Any) -> bool:
    """Whether a window manager runs, by EWMH's `_NET_SUPPORTING_WM_CHECK`."""
    name = "_NET_SUPPORTING_WM_CHECK"
    atom = connection.core.InternAtom(False, len(name), name).reply().atom
    root = connection.get_setup().roots[0].root
    return bool(connection.core.GetProperty(False, root, atom, 0, 0, 1).reply().value_len)


def _line(descriptor: int, limit_s: float) -> str:
    """The line that a process writes; fails if none comes."""
    data = b""
    until = time.monotonic() + limit_s
    while not data.endswith(b"\n"):
        ready, _, _ = select.select([descriptor], [], [], max(0.0, until - time.monotonic()))
        part = os.read(descriptor, 64) if ready else b""
        if not part:
            raise RuntimeError("Xvfb did not start: is the package xvfb installed?")
        data += part
    return data.decode().strip()
