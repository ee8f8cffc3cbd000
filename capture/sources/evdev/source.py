"""The kernel's input devices, or streams of their events, as a source of events.

For the console and Wayland, which tell nobody what other programs' windows get. A pointer has no known place there:
positions are integrated from motion and flagged `ESTIMATED`, as those of imported recordings are.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from taskreel.capture.kernel.interpret import Interpreter
from taskreel.capture.kernel.streams import Frame
from taskreel.capture.keymaps import AnyKeymap, UnknownLayoutError, keymap_for
from taskreel.capture.settings import Settings
from taskreel.capture.sources.evdev.access import DEV_INPUT, examine_access
from taskreel.capture.sources.evdev.device import OpenDevice, open_device
from taskreel.capture.sources.evdev.hotplug import LIST_EVERY_US, Arrivals
from taskreel.capture.sources.evdev.layouts import NotInputEventsError
from taskreel.capture.sources.evdev.pace import Pace
from taskreel.capture.sources.evdev.reader import DeviceReader, Reader, StreamReader
from taskreel.capture.sources.evdev.stream import READ_BYTES, open_stream
from taskreel.capture.sources.protocol import (
    Event,
    Sink,
    SourceFacts,
    SourceLostError,
    SourceUnavailableError,
    monotonic_us,
)
from taskreel.io.kinds import Kind

_TAP_WAKE_MS = 50
"""How often it is looked whether a tap is over while one may be."""
_REST_US = 20_000
_LONGEST_WAIT_MS = LIST_EVERY_US // 1000


class EvdevSource:
    """Keys, pointers and touchpads by the kernel's events: of /dev/input, or of `settings.input_streams` alone.

    `produced` counts rows of the event table: what a touchpad's events mean is known only once they are interpreted.
    `run` also returns when all streams have come to their end; devices may go and come. The last two arguments are for
    tests.
    """

    name = "evdev"

    def __init__(
        self,
        settings: Settings,
        *,
        folder: Path = DEV_INPUT,
        open_device: Callable[[Path], OpenDevice | None] = open_device,
    ) -> None:
        self.produced = 0
        self._settings, self._folder, self._open_device = settings, folder, open_device
        self._arrivals = Arrivals(folder) if not settings.input_streams else None
        self._list_at_us = 0
        self._readers: dict[int, Reader] = {}
        self._interpreter = Interpreter([], keymap_for(None))
        self._poller = select.poll()
        self._stopped = threading.Event()
        self._wake_fd = -1
        self._lock = threading.Lock()
        self._pace = Pace()
        self._broken: list[str] = []

    # ------------------------------------------------------------------------------------------------ the protocol

    def open(self) -> SourceFacts:
        """Open all devices or streams. Raises `SourceUnavailableError` with the reason and the remedy."""
        self._interpreter = Interpreter([], _keymap(self._settings.layout))
        with self._lock:
            self._wake_fd = os.eventfd(int(self._stopped.is_set()), os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poller.register(self._wake_fd, select.POLLIN)
        try:
            self._open_all()
        except BaseException:
            self._close_all()
            raise
        return SourceFacts(keyboard_layout=self._settings.layout, coordinate_space="relative")

    def run(self, sink: Sink) -> None:
        """Watch until `stop`, or the end of all streams. Raises `SourceLostError` if streams broke and none is left."""
        try:
            self._hand_over(sink)
            while not self._stopped.is_set() and (self._readers or self._arrivals):
                asked_us = monotonic_us()
                ready = self._ready(self._wait_ms())
                now_us = monotonic_us()
                most_bytes = self._read(ready, now_us, sink)
                self._settle(asked_us)
                self._look_for_devices(asked_us)
                self._hand_over(sink)
                self._gather(most_bytes, now_us - asked_us)
            self._read(self._ready(0), monotonic_us(), sink)
            for fd in list(self._readers):
                self._close(fd)
            self._hand_over(sink)
        finally:
            self._close_all()
        if self._broken and not self._stopped.is_set():
            raise SourceLostError("; ".join(self._broken))

    def stop(self) -> None:
        """Make `run` return at once."""
        self._stopped.set()
        with self._lock:
            if self._wake_fd >= 0:
                os.eventfd_write(self._wake_fd, 1)

    def heed(self, event: Event) -> None:
        """Other sources' events mean nothing here."""

    # ------------------------------------------------------------------------------------------------ what is open

    def _open_all(self) -> None:
        for name in self._settings.input_streams:
            if _is_device(name):
                self._open_path(Path(name), is_needed=True)
            else:
                self._add(StreamReader(name, open_stream(name)))
        if self._arrivals:
            self._look_for_devices(monotonic_us())
            if not self._readers:
                raise _unavailable(self._folder)
        for code in sorted({code for reader in self._readers.values() for code in reader.locks}):
            self._interpreter.lock(code)

    def _look_for_devices(self, now_us: int) -> None:
        """Once a second, open the devices that have come."""
        if not self._arrivals or now_us < self._list_at_us:
            return
        self._list_at_us = now_us + LIST_EVERY_US
        names = {reader.name for reader in self._readers.values()}
        for path in self._arrivals.new():
            if str(path) not in names:
                self._open_path(path)

    def _open_path(self, path: Path, *, is_needed: bool = False) -> None:
        try:
            opened = self._open_device(path)
        except OSError as error:
            if is_needed:
                raise SourceUnavailableError(f"{path} cannot be opened: {error.strerror}") from error
            return  # gone again, or not ours to read: it comes again when that changes
        if opened:
            reader = DeviceReader(str(path), opened)
            self._add(reader)
            self._interpreter.update(reader.number, reader.stated(monotonic_us()))

    def _add(self, reader: Reader) -> None:
        reader.number = self._interpreter.add(reader.device)
        self._readers[reader.fd] = reader
        self._poller.register(reader.fd, select.POLLIN)

    def _close(self, fd: int) -> None:
        reader = self._readers.pop(fd)
        self._poller.unregister(fd)
        reader.close()
        self._interpreter.remove(reader.number, reader.held.codes)

    def _close_all(self) -> None:
        for fd in list(self._readers):
            self._close(fd)
        with self._lock:
            if self._wake_fd >= 0:
                self._poller.unregister(self._wake_fd)
                os.close(self._wake_fd)
                self._wake_fd = -1

    # ------------------------------------------------------------------------------------------------ events

    def _ready(self, wait_ms: int | None) -> list[int]:
        return [fd for fd, _ in self._poller.poll(wait_ms) if fd in self._readers]

    def _read(self, fds: list[int], now_us: int, sink: Sink) -> int:
        """Read what is ready, and interpret it in order of time over all devices; most bytes that one of them told."""
        frames: list[tuple[int, int, Reader, Frame]] = []
        ended = []
        for fd in fds:
            reader = self._readers[fd]
            try:
                came = reader.read(now_us)
                if reader.is_cut:
                    sink.lose("stream_cut", now_us)
            except (OSError, NotInputEventsError) as error:
                came = [reader.released(now_us)]
                self._lose(reader, error, now_us, sink)
            frames += [(frame.time_us, reader.number, reader, frame) for frame in came]
            if reader.is_ended:
                ended.append(reader)
        for _, _, reader, frame in sorted(frames, key=lambda item: item[:2]):
            self._interpret(reader, frame)
        most_bytes = max((self._readers[fd].last_bytes for fd in fds), default=0)
        for reader in ended:
            self._close(reader.fd)
        return most_bytes

    def _gather(self, most_bytes: int, waited_us: int) -> None:
        """Let some events come before the next read; a stream that has a whole buffer ready is not waited for."""
        if waited_us > _REST_US:
            self._pace.rest()
        self._pace.update(most_bytes)
        if 0 < most_bytes < READ_BYTES and self._readers:
            self._stopped.wait(self._pace.wait_s)

    def _interpret(self, reader: Reader, frame: Frame) -> None:
        if reader.learned and reader.learned.learn(frame):
            was = reader.device.pointing
            reader.device = reader.learned.device
            self._interpreter.describe(reader.number, reader.device)
            if reader.device.pointing is not was:
                frame = reader.learned.with_place(frame)
        self._interpreter.update(reader.number, frame)

    def _lose(self, reader: Reader, error: Exception, now_us: int, sink: Sink) -> None:
        """An input is gone (ENODEV, a connection that broke), or makes no sense."""
        reader.is_ended = True
        if isinstance(error, NotInputEventsError):
            sink.lose("stream_broken", now_us)
            self._broken.append(f"{reader.name}: {error}")
        else:
            sink.lose("device_lost", now_us)
            if self._arrivals:
                self._arrivals.forget(Path(reader.name))
            else:
                self._broken.append(f"{reader.name}: {error}")

    def _settle(self, now_us: int) -> None:
        """Taps that wait only for time to pass."""
        for reader in self._readers.values():
            self._interpreter.advance(reader.number, reader.settled_us(now_us))

    def _hand_over(self, sink: Sink) -> None:
        rows: Sequence[tuple[Any, ...]] = self._interpreter.take()
        for time_us, kind, *values, fingers in rows:
            if kind == Kind.GAP:
                sink.lose("syn_dropped", time_us)
            else:
                self.produced += 1
                sink.put(Event(time_us, kind, *values, fingers=fingers))  # type: ignore[misc]

    def _wait_ms(self) -> int | None:
        if any(self._interpreter.is_waiting(reader.number) for reader in self._readers.values()):
            return _TAP_WAKE_MS
        return _LONGEST_WAIT_MS if self._arrivals else None


def _keymap(layout: str) -> AnyKeymap:
    try:
        return keymap_for(layout)
    except UnknownLayoutError as error:
        raise SourceUnavailableError(str(error)) from error
    except ImportError as error:
        raise SourceUnavailableError(
            f"the text of the layout {layout} needs libxkbcommon and its data: install Debian's libxkbcommon-dev, "
            "xkb-data and libx11-data, then pip install 'taskreel[capture]'"
        ) from error


def _is_device(name: str) -> bool:
    return ":" not in name and Path(name).is_char_device()


def _unavailable(folder: Path) -> SourceUnavailableError:
    access = examine_access(folder)
    if access.problem:
        return SourceUnavailableError(f"{access.problem}. {access.remedy}")
    return SourceUnavailableError(
        f"none of the {len(access.readable)} devices in {folder} that may be read is a keyboard or moves a pointer"
    )
