"""The mix of the design's origin: 200 KB a recorded minute, two pictures of 97 KB and about 1,500 events in it.

    python -m bench.mix OUT --mb 500 --actions 5

makes segments of five minutes in spans of half an hour, 20 minutes apart, for eight people.
"""

from __future__ import annotations

import argparse
import random

import numpy as np

from taskreel.io.consent import ConsentRecord
from taskreel.io.events import Kind, event_table
from taskreel.io.segments import Screen, SegmentHeader, encode_segment, picture_hash
from taskreel.io.stores import Store, open_store

PICTURE_BYTES = 97_000
PICTURE_EVERY_US = 30_000_000
EVENTS_A_PICTURE = 750
SEGMENT_PICTURES = 10
SPAN_SEGMENTS = 6
SPAN_EVERY_US = 50 * 60_000_000
SEGMENT_US = SEGMENT_PICTURES * PICTURE_EVERY_US
START_US = 1_767_603_600_000_000
PEOPLE = 8
LETTERS = "etaoinshrdlu"


def generate(store: Store, *, mb: int, actions_a_picture: int) -> int:
    """Write about `mb` MB of segments; returns how many."""
    segments = max(1, mb)
    for person in range(PEOPLE):
        record = ConsentRecord(f"c{person}", f"p{person}", regions=("us",))
        store.create(record.path, record.to_json())
    for number in range(segments):
        person, place = number % PEOPLE, number // PEOPLE
        span, part = divmod(place, SPAN_SEGMENTS)
        name, data = _segment(number, person, span, part, actions_a_picture)
        store.create(str(name), data)
    return segments


def _segment(number: int, person: int, span: int, part: int, actions: int):
    rng = np.random.default_rng(number)
    columns = _events(rng, actions)
    rows = len(columns["time_us"])
    columns["time_us"] = columns["time_us"] + START_US + span * SPAN_EVERY_US + part * SEGMENT_US
    columns["seq"] = np.arange(rows) + part * SEGMENT_PICTURES * EVENTS_A_PICTURE
    header = SegmentHeader(
        f"p{person}", f"d{person}", f"r{person}x{span}", f"c{person}", region="us", screen=Screen(1920, 1080)
    )
    return encode_segment(header, event_table(columns))


def _events(rng: np.random.Generator, actions: int) -> dict[str, object]:
    """Ten pictures, each with its actions after it, and moves up to the number of events."""
    rows: list[tuple[int, int, dict]] = []
    for picture in range(SEGMENT_PICTURES):
        begin = picture * PICTURE_EVERY_US
        content = rng.bytes(PICTURE_BYTES)
        rows.append((begin, Kind.SCREEN, {"picture": content, "picture_hash": picture_hash(content)}))
        slot = (PICTURE_EVERY_US - 2_000_000) // actions
        for action in range(actions):
            rows += _action(rng, begin + 1_000_000 + action * slot, (picture * actions + action) % 4)
        moves = EVENTS_A_PICTURE * (picture + 1) - len(rows)
        free_us = _free_us(actions, slot)
        times = begin + np.sort(rng.choice(free_us, max(0, moves), replace=False))
        places = 500 + np.cumsum(rng.integers(-3, 4, (len(times), 2)), axis=0)
        rows += [
            (int(t), Kind.MOVE, {"x": int(x) * 256, "y": int(y) * 256}) for t, (x, y) in zip(times, places, strict=True)
        ]
    rows.sort(key=lambda row: row[0])
    names = ("x", "y", "code", "wheel_y", "key", "text", "app", "title", "picture", "picture_hash")
    columns: dict[str, object] = {name: [row[2].get(name) for row in rows] for name in names}
    columns["time_us"] = np.array([row[0] for row in rows], np.int64)
    columns["kind"] = np.array([row[1] for row in rows], np.int8)
    return columns


def _free_us(actions: int, slot: int) -> np.ndarray:
    """Times after a picture, from ms to ms, at which no action is under way: a move would make a drag of a click."""
    grid = np.arange(1_000, PICTURE_EVERY_US, 1_000)
    into_slot = (grid - 1_000_000) % slot
    return grid[(grid < 1_000_000) | (into_slot > 900_000) | (grid > 1_000_000 + slot * actions)] + 1


def _action(rng: np.random.Generator, at_us: int, which: int) -> list[tuple[int, int, dict]]:
    x, y = (int(v) * 256 for v in rng.integers(10, 1000, 2))
    if which == 0:
        place = {"x": x, "y": y, "code": 1}
        return [(at_us, Kind.BUTTON_DOWN, place), (at_us + 80_000, Kind.BUTTON_UP, place)]
    if which == 1:
        text = "".join(random.Random(at_us).choices(LETTERS, k=8))
        keys = [(at_us + i * 90_000, letter) for i, letter in enumerate(text)]
        downs = [(t, Kind.KEY_DOWN, {"key": letter, "text": letter}) for t, letter in keys]
        return downs + [(t + 50_000, Kind.KEY_UP, {"key": letter}) for t, letter in keys]
    if which == 2:
        return [(at_us + i * 60_000, Kind.SCROLL, {"x": x, "y": y, "wheel_y": -120}) for i in range(5)]
    return [
        (at_us, Kind.BUTTON_DOWN, {"x": x, "y": y, "code": 1}),
        (at_us + 300_000, Kind.MOVE, {"x": x + 30 * 256, "y": y}),
        (at_us + 400_000, Kind.BUTTON_UP, {"x": x + 30 * 256, "y": y, "code": 1}),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out")
    parser.add_argument("--mb", type=int, default=500)
    parser.add_argument("--actions", type=int, default=5)
    args = parser.parse_args()
    print(generate(open_store(args.out), mb=args.mb, actions_a_picture=args.actions), "segments")


if __name__ == "__main__":
    main()
