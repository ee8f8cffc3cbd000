"""Progress of a run, state of a watch: one live line on a terminal, plain lines in a pipe."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.markup import escape

_LOG_EVERY_S = 10.0

Show = Callable[[dict[str, int], float], None]
"""What is called with the totals of a run by name, and the seconds since its start."""


@contextlib.contextmanager
def progress_display(console: Console) -> Iterator[Show]:
    """What to call with the totals of all workers and the seconds since the start."""
    if console.is_terminal:
        with console.status("starting") as status:
            yield lambda totals, elapsed_s: status.update(line(totals, elapsed_s))
        return
    last_s = [time.monotonic()]

    def log(totals: dict[str, int], elapsed_s: float) -> None:
        if time.monotonic() - last_s[0] >= _LOG_EVERY_S:
            last_s[0] = time.monotonic()
            print(f"taskreel: {line(totals, elapsed_s)}", file=sys.stderr, flush=True)

    yield log


@contextlib.contextmanager
def line_display(console: Console) -> Iterator[Callable[[str], None]]:
    """What to call with a line that takes the place of the one before."""
    if not console.is_terminal:
        yield lambda text: print(f"taskreel: {text}", flush=True)
        return
    with console.status("starting") as status:
        yield lambda text: status.update(escape(text))


def line(totals: dict[str, int], elapsed_s: float) -> str:
    """The totals as a line."""
    if "segments" not in totals and "shards" in totals:  # a compaction reads none
        return f"{totals['shards']} shards done, {elapsed_s:.0f} s"
    read_mb = totals.get("read_bytes", 0) / 1e6
    return (
        f"{totals.get('segments', 0)} segments read ({read_mb:.0f} MB), {totals.get('episodes', 0)} episodes built, "
        f"{totals.get('shards', 0)} shards written, {read_mb / max(elapsed_s, 0.001):.1f} MB/s, {elapsed_s:.0f} s"
    )
