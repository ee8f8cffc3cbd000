"""What the X11 input source costs: events that come one by one, as a person makes them, at 1,000 a second.

    .venv/bin/python -m bench.x11_source [--desktop]

With `--desktop` a window manager, a terminal and a GTK program run, and the windows are watched as in a recording.
Prints per kind of input the CPU time of the process, as a share of one core and per event. The input is made by
another process on an Xvfb of its own.
"""

from __future__ import annotations

import multiprocessing
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

import xcffib
import xcffib.xproto
import xcffib.xtest
from open_desktop import OpenDesktop
from x_programs import GTK, start_manager
from x_server import Injector, XServer

from taskreel.capture.settings import Settings
from taskreel.capture.sources.protocol import Event, Picture
from taskreel.capture.sources.x11.source import X11Source

EVENTS_PER_S, SECONDS = 1000, 5
KEY_PRESS, KEY_RELEASE, BUTTON_PRESS, BUTTON_RELEASE, MOTION = 2, 3, 4, 5, 6
ROUNDS = {
    "nothing": [],
    "motion": [(MOTION, 1)],
    "keys": [(KEY_PRESS, 38), (KEY_RELEASE, 38)],
    "wheel": [(BUTTON_PRESS, 4), (BUTTON_RELEASE, 4)],
    "clicks": [(BUTTON_PRESS, 1), (BUTTON_RELEASE, 1)],
    "mixed": [*[(MOTION, 1)] * 14, (KEY_PRESS, 38), (KEY_RELEASE, 38), (BUTTON_PRESS, 4), (BUTTON_RELEASE, 4)],
}


class Counting:
    """A sink that keeps nothing."""

    def __init__(self) -> None:
        self.events = 0

    def put(self, event: Event) -> None:
        self.events += 1

    def withhold(self, reason: str, events: int = 1) -> None: ...

    def lose(self, reason: str, time_us: int, events: int = 0) -> None: ...

    def picture(self, key: str, picture: Picture) -> None: ...


def inject(display: str, acts: list[tuple[int, int]], per_s: int) -> None:
    """Send acts one by one, in time, for `SECONDS`."""
    connection = xcffib.connect(display)
    xtest, root = connection(xcffib.xtest.key), connection.get_setup().roots[0].root
    begin = time.monotonic()
    for number in range(per_s * SECONDS if acts else 0):
        kind, detail = acts[number % len(acts)]
        step = 1 if number % 200 < 100 else -1
        xtest.FakeInput(kind, detail, 0, root, step, step, 0)
        connection.flush()
        time.sleep(max(0.0, begin + (number + 1) / per_s - time.monotonic()))
    time.sleep(0.1 if acts else SECONDS)
    connection.disconnect()


def measure(display: str, acts: list[tuple[int, int]], per_s: int, desktop: OpenDesktop | None) -> str:
    """A line of the table."""
    source, sink = X11Source(Settings(Path("spool"), display=display), desktop), Counting()
    source.open()
    thread = threading.Thread(target=source.run, args=(sink,))
    other = multiprocessing.get_context("spawn").Process(target=inject, args=(display, acts, per_s))
    thread.start()
    other.start()
    cpu, wall = time.process_time(), time.monotonic()
    other.join()
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    source.stop()
    thread.join()
    per_event = f"{cpu / sink.events * 1e6:8.1f}" if sink.events else "        "
    return f"{sink.events / wall:9.0f}/s {cpu / wall:9.1%} {per_event} µs an event"


def main() -> None:
    """Measure all."""
    has_desktop = "--desktop" in sys.argv[1:]
    for name, acts in ROUNDS.items():
        for per_s in (100, EVENTS_PER_S):
            with XServer() as x:
                if has_desktop:
                    start_manager(x)
                    x.start("xterm", "-geometry", "120x50+0+0", "-e", "sh", "-c", "while :; do date; sleep 0.4; done")
                    x.start("/usr/bin/python3", "-c", GTK.format(name="pad", title="pad"))
                    Injector(x.display).move(150, 150)  # over openbox's desktop, the wheel goes to another one
                    time.sleep(2)
                desktop = None if has_desktop else OpenDesktop()
                print(f"{name:8}", measure(x.display, acts, per_s, desktop), flush=True)


if __name__ == "__main__":
    main()
