"""What an office day of 8 hours takes on the disk: `python -m bench.office_day [--minutes 10] [--busy]`.

The real client records some minutes of somebody who works, on an Xvfb of its own: each minute 25 s of typing at 5
characters a second (60 words a minute), 12 s of a mouse that moves at 125 Hz with 6 clicks, 5 s of scrolling, and 18 s
of reading. A clock ticks each minute; with `--busy` a terminal prints a line each 0.4 s, so that no two pictures are
equal. The day is 480 such minutes: somebody who never rests. Pictures are held against one WebP each heartbeat.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

import mss
from PIL import Image
from x_server import Injector, XServer

from bench.capture_client import KEYS, Client, cpu_s, peak_mb, sizes
from taskreel.capture.settings import Settings

TYPING_S, MOUSE_S, SCROLLING_S, MINUTE_S, DAY_MINUTES = 25, 12, 5, 60, 480
WEBP_QUALITY = 80


def work(display: str, minutes: float) -> list[int]:
    """Work for some minutes. The sizes of a WebP of the screen at each heartbeat, in bytes."""
    injector, chance, sizes_bytes = Injector(display), random.Random(1), []
    begin = time.monotonic()
    heartbeat_s = Settings(Path("spool")).heartbeat_s
    for at_s, act in _acts(chance, minutes):
        time.sleep(max(0.0, begin + at_s - time.monotonic()))
        act(injector)
        if at_s >= heartbeat_s * (len(sizes_bytes) + 1):
            sizes_bytes.append(_screenshot_bytes(display))
    injector.close()
    return sizes_bytes


def _acts(chance: random.Random, minutes: float) -> Iterator[tuple[float, Any]]:
    for minute in range(round(minutes)):
        begin_s = float(minute * MINUTE_S)
        for number in range(TYPING_S * 5):
            key = chance.choice(KEYS)
            yield begin_s + number / 5, lambda injector, key=key: injector.tap(key)
        begin_s += TYPING_S
        for number in range(MOUSE_S * 125):
            by = 3 if number // 125 % 2 else -3
            is_click = number % 250 == 249
            yield (
                begin_s + number / 125,
                (lambda injector: injector.click()) if is_click else (lambda injector, by=by: injector.move_by(by, by)),
            )
        begin_s += MOUSE_S
        for number in range(SCROLLING_S * 4):
            yield begin_s + number / 4, lambda injector, number=number: injector.click(4 + number // 10)
        yield minute * MINUTE_S + MINUTE_S, lambda injector: None


def _screenshot_bytes(display: str) -> int:
    with mss.MSS(display=display) as screen:
        shot = screen.grab(screen.monitors[0])
    data = io.BytesIO()
    Image.frombytes("RGB", shot.size, shot.rgb).save(data, "WEBP", quality=WEBP_QUALITY)
    return len(data.getvalue())


def measure(minutes: float, busy: bool) -> dict[str, Any]:
    """Record the work; what a day of it takes."""
    with tempfile.TemporaryDirectory() as folder, XServer("1920x1080x24") as x:
        client = Client(x, Path(folder), print_each_s=0.4 if busy else 60)
        Injector(x.display).move(500, 500)
        cpu, begin = cpu_s(client.process.pid), time.monotonic()
        heartbeats = work(x.display, minutes)
        cpu = (cpu_s(client.process.pid) - cpu) / (time.monotonic() - begin)
        memory = peak_mb(client.process.pid)
        facts = client.end()
        kept = sizes(client.spool, minutes * 60)
        each = kept["event_bytes_per_minute"] + kept["picture_bytes"] / minutes
        return kept | {
            "minutes": minutes,
            "imbalance": facts["account"]["imbalance"],
            "cpu_percent_of_a_core": round(100 * cpu, 1),
            "peak_mb": round(memory),
            "day_mb": round(each * DAY_MINUTES / 1e6, 1),
            "heartbeats": len(heartbeats),
            "heartbeat_webp_bytes": sum(heartbeats),
        }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--busy", action="store_true")
    options = parser.parse_args()
    print(json.dumps(measure(options.minutes, options.busy), indent=2))


if __name__ == "__main__":
    main()
