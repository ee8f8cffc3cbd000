"""The time that a stream goes by: the store's, or in a trial that of a clock which runs faster. Never a device's."""

from __future__ import annotations

from dataclasses import dataclass

from taskreel.io.stores import open_store
from taskreel.io.times import Clock

_LEAST_PAUSE_S = 1.0


@dataclass(frozen=True)
class StreamTime:
    """The store at `root` says what time it is, unless there is a trial's `clock`.

    The watermark is `publish_deadline_ms` behind: what was recorded before then is expected to be there.
    """

    root: str
    publish_deadline_ms: int
    clock: Clock | None = None

    def now_us(self) -> int:
        """What time it is, microseconds UTC."""
        return self.clock.now_us() if self.clock else open_store(self.root).now_us()

    def watermark_ms(self) -> int:
        """The watermark now, milliseconds UTC."""
        return self.now_us() // 1000 - self.publish_deadline_ms

    def real_s(self, shown_s: float) -> float:
        """How long a pause really takes; in a trial it is shorter, but long enough for something to be done."""
        return max(min(shown_s, _LEAST_PAUSE_S), shown_s / self.clock.rate) if self.clock else shown_s
