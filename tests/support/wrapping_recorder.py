"""`taskreel …` at an X server whose time is over soon: `python wrapping_recorder.py SECONDS …`.

The server's times are moved on as they are decoded, so that they begin again at 0 after so many seconds.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from taskreel.__main__ import main
from taskreel.capture.sources.x11 import raw
from taskreel.capture.sources.x11.queries import Server

PERIOD_MS = 1 << 32


def wrap(after_s: float) -> None:
    """Have the times of all X servers wrap."""
    on_ms = PERIOD_MS - round(after_s * 1000) - time.monotonic_ns() // 1_000_000
    decode, time_ms = raw.decode, Server.time_ms

    def decode_later(data: bytes, opcodes: raw.Opcodes) -> Any:
        event: Any = decode(data, opcodes)
        return event._replace(time_ms=(event.time_ms + on_ms) % PERIOD_MS) if hasattr(event, "time_ms") else event

    def time_later_ms(server: Server) -> int | None:
        now_ms = time_ms(server)
        return None if now_ms is None else (now_ms + on_ms) % PERIOD_MS

    raw.decode = decode_later
    Server.time_ms = time_later_ms  # type: ignore[method-assign]


if __name__ == "__main__":
    wrap(float(sys.argv[1]))
    main(sys.argv[2:])
