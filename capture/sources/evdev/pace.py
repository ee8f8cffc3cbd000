"""How long to wait between two reads, so that several events are read at once but none is lost.

To wake for each of a mouse's 1,000 frames a second takes twice the processor of reading a few at a time. The kernel
keeps only 64 events of a device for whoever reads too late (`EVDEV_MIN_BUFFER_SIZE`).
"""

from __future__ import annotations

_SHORTEST_S, _LONGEST_S = 0.0005, 0.008
_FEW_BYTES, _MANY_BYTES = 12 * 24, 24 * 24
"""A fifth and somewhat more than a third of what the kernel keeps."""


class Pace:
    """Waits that get longer while reads bring little, and shorter before they bring too much."""

    def __init__(self) -> None:
        self.wait_s = _SHORTEST_S

    def update(self, most_bytes: int) -> None:
        """The device that told most told so many bytes in the last read."""
        if most_bytes > _MANY_BYTES:
            self.wait_s = max(self.wait_s / 2, _SHORTEST_S)
        elif most_bytes < _FEW_BYTES:
            self.wait_s = min(self.wait_s * 1.5, _LONGEST_S)

    def rest(self) -> None:
        """Nothing came for a while: what comes next may come fast."""
        self.wait_s = _SHORTEST_S
