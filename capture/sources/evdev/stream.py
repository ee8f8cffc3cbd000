"""Streams of `struct input_event` from elsewhere: a file, a named pipe, or a socket to which this computer connects.

    /run/pi/keyboard            a file or a named pipe
    unix:/run/pi/keyboard.sock  a UNIX socket
    tcp:localhost:7001          a TCP socket on this computer, where a tunnel such as `ssh -L` ends

`#32` or `#64` behind a name says how many bits its times have, where that cannot be told. The device of a stream is
described by the file `NAME.evemu` beside it, if there is one (what `evemu-describe` prints), else by what it does.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from taskreel.capture.kernel.codes import ABS_X, ABS_Y, EV_ABS, EV_KEY
from taskreel.capture.kernel.devices import Axis, Device
from taskreel.capture.kernel.streams import Frame
from taskreel.capture.sources.evdev.layouts import Decoder, NotInputEventsError
from taskreel.capture.sources.protocol import SourceUnavailableError

READ_BYTES = 1 << 16
_CONNECT_WITHIN_S = 5.0
_BITS = ("#32", "#64")


@dataclass(frozen=True)
class OpenStream:
    """A stream that is open. `device` is None where nothing describes it; `bits` of its times, where they are known."""

    fd: int
    close: Callable[[], object]
    device: Device | None
    bits: int | None


def open_stream(name: str) -> OpenStream:
    """Open a stream by its name. Raises `SourceUnavailableError` with what is wrong with it."""
    place, bits = (name[:-3], int(name[-2:])) if name.endswith(_BITS) else (name, None)
    try:
        if place.startswith("tcp:"):
            return _of_socket(_connected_tcp(name, place), None, bits)
        if place.startswith("unix:"):
            path = place.removeprefix("unix:")
            return _of_socket(_connected(socket.AF_UNIX, path), _description(path), bits)
        return _of_path(name, place, bits)
    except OSError as error:
        raise SourceUnavailableError(
            f"the stream of input events {name} cannot be opened: {error.strerror or error}; "
            "is the program that forwards the device running, and is the name right?"
        ) from error


class Learned:
    """The description of a device that gives none, as far as its events have told it."""

    def __init__(self) -> None:
        self.device = Device()
        self._at: dict[int, int] = {}

    def learn(self, frame: Frame) -> bool:
        """Take the next frame; whether the device is known to have more than before."""
        keys, axes = set(), {}
        for kind, code, value in frame.events:
            if kind == EV_KEY and code not in self.device.keys:
                keys.add(code)
            elif kind == EV_ABS:
                if code not in self.device.axes:
                    axes[code] = Axis(0, 0)
                if code in (ABS_X, ABS_Y):
                    self._at[code] = value
        if not keys and not axes:
            return False
        self.device = replace(self.device, keys=self.device.keys | keys, axes={**self.device.axes, **axes})
        return True

    def with_place(self, frame: Frame) -> Frame:
        """The frame with the place that was told before it: a device that turned out to be a pad tells only changes."""
        return replace(frame, events=[*((EV_ABS, code, value) for code, value in self._at.items()), *frame.events])


def _of_path(name: str, place: str, bits: int | None) -> OpenStream:
    fd = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        device = _description(place)
        if stat.S_ISREG(os.fstat(fd).st_mode) and (device is None or bits is None):
            learned, told = _scanned(fd, bits)
            device, bits = device or learned, told
            os.lseek(fd, 0, os.SEEK_SET)
    except NotInputEventsError as error:
        os.close(fd)
        raise SourceUnavailableError(f"{name}: {error}") from error
    except BaseException:
        os.close(fd)
        raise
    return OpenStream(fd, lambda: os.close(fd), device, bits)


def _scanned(fd: int, bits: int | None) -> tuple[Device, int | None]:
    """What all of a file says of its device, and the layout: a file, unlike a pipe, can be read twice."""
    decoder = Decoder(bits)
    keys: set[int] = set()
    axes: set[int] = set()
    is_all = False
    while not is_all:
        data = os.read(fd, 16 * READ_BYTES)
        is_all = not data
        events = decoder.end() if is_all else decoder.feed(data)
        for kind, codes in ((EV_KEY, keys), (EV_ABS, axes)):
            codes.update(events["code"][events["type"] == kind].tolist())
    return Device(keys=frozenset(keys), axes={code: Axis(0, 0) for code in sorted(axes)}), decoder.bits


def _description(place: str) -> Device | None:
    """The device of the file `PLACE.evemu`. Raises `SourceUnavailableError` if it is none of evemu's."""
    path = Path(f"{place}.evemu")
    if not path.is_file():
        return None
    from taskreel.capture.importers.evemu import read_evemu_file
    from taskreel.capture.importers.foreign import ForeignRecordingError

    try:
        return read_evemu_file(path).devices[0].device
    except ForeignRecordingError as error:
        raise SourceUnavailableError(str(error)) from error


def _of_socket(connected: socket.socket, device: Device | None, bits: int | None) -> OpenStream:
    connected.setblocking(False)
    return OpenStream(connected.fileno(), connected.close, device, bits)


def _connected_tcp(name: str, place: str) -> socket.socket:
    host, _, port = place.removeprefix("tcp:").rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise SourceUnavailableError(f"{name} is no stream: write tcp:localhost:7001")
    for family, _, _, _, address in socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM):
        if not ipaddress.ip_address(address[0]).is_loopback:
            raise SourceUnavailableError(
                f"{name} is another computer: what a person types must not cross a network in the open. Make a tunnel "
                f"to it and name its end here: ssh -L {port}:localhost:{port} {host}, then tcp:localhost:{port}"
            )
        with suppress(ConnectionRefusedError):
            return _connected(family, address)
    raise ConnectionRefusedError(None, "nobody listens there")


def _connected(family: int, address: object) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.settimeout(_CONNECT_WITHIN_S)
        made.connect(address)  # type: ignore[arg-type]
    except BaseException:
        made.close()
        raise
    return made
