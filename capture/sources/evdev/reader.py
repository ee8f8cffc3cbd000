"""One input that is open, a device or a stream: from bytes to frames, with times of our clock."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

import numpy as np

from taskreel.capture.kernel.devices import Device
from taskreel.capture.kernel.streams import ForwardClock, Frame, Framer
from taskreel.capture.sources.evdev.device import OpenDevice
from taskreel.capture.sources.evdev.layouts import Decoder
from taskreel.capture.sources.evdev.resync import HeldKeys, held_before
from taskreel.capture.sources.evdev.stream import READ_BYTES, Learned, OpenStream

_DEVICE_LATE_US = 10_000
"""Drivers may stamp an event when the interrupt came, and tell it when they have read the device."""
_STREAM_LATE_US = 1_000_000
"""How late the events of a stream may be: so long a tap waits for what would make it a drag."""


class Reader:
    """An input in use. `name` is its path; `held` are the keys that are down; `learned` is None if it was described.

    `number` is the interpreter's. `locks`: the codes of Caps Lock and Num Lock, if they were on when it was opened.
    `last_bytes`: how many were read last.
    """

    def __init__(
        self,
        name: str,
        fd: int,
        close: Callable[[], object],
        *,
        device: Device | None,
        bits: int | None,
        held_keys: Callable[[], Iterable[int]] | None = None,
    ) -> None:
        self.name, self.fd, self.close = name, fd, close
        self.learned = Learned() if device is None else None
        self.device = device or Device()
        self.number = -1
        self.locks: tuple[int, ...] = ()
        self.is_ended = False
        self.last_bytes = 0
        self.held = HeldKeys()
        self._held_keys = held_keys
        self._decoder = Decoder(bits, is_kernels=held_keys is not None)
        self._framer, self._forward = Framer(), ForwardClock()

    @property
    def is_cut(self) -> bool:
        """Whether it ended within an event."""
        return self.is_ended and self._decoder.is_cut

    def read(self, now_us: int) -> list[Frame]:
        """The frames that came; `is_ended` then says whether more can come. It never waits.

        Raises `OSError` for a device that is gone or a connection that broke, and `NotInputEventsError`.
        """
        try:
            data = os.read(self.fd, READ_BYTES)
        except BlockingIOError:
            return []
        self.is_ended = not data
        self.last_bytes = len(data)
        events = self._decoder.feed(data) if data else self._decoder.end()
        if len(events):
            events["time_us"] = self._on_our_clock(self._forward.forward(events["time_us"]), now_us)
        frames = list(self._framer.feed(events))
        if self.is_ended:
            frames += self._framer.end()
        return self._resynced(frames)

    def stated(self, time_us: int) -> Frame:
        """What is held now, as a frame that states it again."""
        return self.held.restated(time_us, self._held_keys() if self._held_keys else ())

    def released(self, time_us: int) -> Frame:
        """The device is gone, and so nothing is held on it."""
        return self.held.restated(time_us, ())

    def settled_us(self, now_us: int) -> int:
        """No frame before this time is still to come."""
        return now_us - _DEVICE_LATE_US

    def _on_our_clock(self, time_us: np.ndarray, now_us: int) -> np.ndarray:
        return time_us

    def _resynced(self, frames: list[Frame]) -> list[Frame]:
        """The frames, each gap followed by what changed in it, where the device can be asked for its state."""
        resynced = []
        for number, frame in enumerate(frames):
            resynced.append(frame)
            self.held.update(frame)
            if frame.is_gap and self._held_keys:
                held = held_before(self._held_keys(), frames[number + 1 :])
                resynced.append(self.held.restated(frame.time_us, held))
        return resynced


class DeviceReader(Reader):
    """A device of this computer: its clock is ours."""

    def __init__(self, name: str, opened: OpenDevice) -> None:
        super().__init__(name, opened.fd, opened.close, device=opened.device, bits=64, held_keys=opened.held_keys)
        self.locks = opened.locks


class StreamReader(Reader):
    """A stream of another computer, whose clock is not ours: its first event is taken to be as old as its arrival."""

    def __init__(self, name: str, opened: OpenStream) -> None:
        super().__init__(name, opened.fd, opened.close, device=opened.device, bits=opened.bits)
        self._offset_us: int | None = None
        self._last_us = self._arrived_us = 0

    def settled_us(self, now_us: int) -> int:
        """After the last event, as long as none came, less what the next may be late."""
        return self._last_us + now_us - self._arrived_us - _STREAM_LATE_US

    def _on_our_clock(self, time_us: np.ndarray, now_us: int) -> np.ndarray:
        if self._offset_us is None:
            self._offset_us = now_us - int(time_us[0])
        ours_us = time_us + self._offset_us
        self._last_us, self._arrived_us = int(ours_us[-1]), now_us
        return ours_us
