"""The keys and buttons of a device that are held, and those that changed while events were lost.

After SYN_DROPPED a device is asked which keys are down. That is so *now*, when events from after the loss may have been
read already: they are taken back in thought, so that the state is that of the moment right after the loss.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from taskreel.capture.kernel.codes import EV_KEY, is_key, x11_button
from taskreel.capture.kernel.streams import Frame


class HeldKeys:
    """What is down on one device, by its frames."""

    def __init__(self) -> None:
        self.codes: set[int] = set()

    def update(self, frame: Frame) -> None:
        """Take the next frame."""
        for kind, code, value in frame.events:
            if kind == EV_KEY and is_kept(code):
                (self.codes.add if value else self.codes.discard)(code)

    def restated(self, time_us: int, held: Iterable[int]) -> Frame:
        """A frame that makes what is held here what was read from the device: first what went up, then what is down."""
        held = {code for code in held if is_kept(code)}
        events = [(EV_KEY, code, 0) for code in sorted(self.codes - held)]
        events += [(EV_KEY, code, 1) for code in sorted(held - self.codes)]
        self.codes = held
        return Frame(time_us, events, is_restated=True)


def is_kept(code: int) -> bool:
    """Whether a code is a key or a button, and not what touches a pad."""
    return is_key(code) or x11_button(code, True) is not None


def held_before(held_after: Iterable[int], frames: Sequence[Frame]) -> set[int]:
    """What was held before some frames, if this was held after them: a key that first goes up in them was down."""
    held = set(held_after)
    for frame in reversed(frames):
        for kind, code, value in reversed(frame.events):
            if kind == EV_KEY:
                (held.discard if value == 1 else held.add)(code)
    return held
