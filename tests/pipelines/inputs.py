"""A small input with everything in it, and the few words in which the end-to-end tests speak.

Four people (two in train, one in validation, one in test), one of them with two devices, sessions on two days,
tasks marked and not, pictures that decode, and the real recording from `examples/ducktrack` as a fifth.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image, ImageDraw

from taskreel.capture.importers.ducktrack import read as read_ducktrack
from taskreel.capture.importers.foreign import ImportOptions
from taskreel.capture.segmenter import publish, segments
from taskreel.io import dataset as datasets
from taskreel.io.consent import ConsentRecord
from taskreel.io.dataset import Dataset
from taskreel.io.events import Kind, event_table
from taskreel.io.names import SegmentName
from taskreel.io.schemas import IMAGE_COLUMNS
from taskreel.io.segments import Screen, SegmentHeader, encode_segment, picture_hash
from taskreel.io.stores import open_store
from taskreel.io.times import us_from_iso
from taskreel.io.verify import faults
from taskreel.pipelines.launch import Outcome, launch
from taskreel.pipelines.options import RunOptions, RunPlaces
from taskreel.pipelines.summary import facts
from taskreel.transforms.assign import ShardOptions, split_of

ROOT = Path(__file__).parent.parent.parent
DUCKTRACK = ROOT / "examples" / "ducktrack"
AS_OF = "2026-02-01T00:00:00Z"
DAY_1, DAY_2 = (us_from_iso(text) for text in ("2026-01-05T09:00:00Z", "2026-01-06T14:00:00Z"))
SECOND_US = 1_000_000
TARGET_SHARD_MB = 0.04


def _named(split: str, number: int) -> str:
    mine = [name for name in map("p{}".format, range(200)) if split_of(name, ShardOptions()) == split]
    return mine[number - 1]


ANNA, BEN, VERA, TOM = _named("train", 1), _named("train", 2), _named("validation", 1), _named("test", 1)
PEOPLE = (ANNA, BEN, VERA, TOM)


@cache
def picture(number: int) -> bytes:
    """A screen that is like no other."""
    image = Image.new("RGB", (320, 200), (255, 255, 255))
    draw = ImageDraw.Draw(image)
    for line in range(12):
        left = (number * 37 + line * 53) % 240
        draw.rectangle((left, line * 16, left + 60, line * 16 + 9), fill=((line * 20) % 256, (number * 61) % 256, 90))
    draw.text((8, 180), f"screen {number}", fill=(0, 0, 0))
    sink = io.BytesIO()
    image.save(sink, "WEBP", lossless=True)
    return sink.getvalue()


@dataclass(frozen=True)
class Recording:
    """What one client captured."""

    header: SegmentHeader
    events: pa.Table


class Desk:
    """Somebody at work: each method adds what the recorder would see, `at` seconds from the start."""

    def __init__(self, participant: str, device: str, recording: str, start_us: int) -> None:
        self.header = SegmentHeader(
            participant, device, recording, f"c-{participant}", region="us", screen=Screen(1920, 1080), final=True
        )
        self.start_us = start_us
        self._rows: list[dict[str, Any]] = []

    def add(self, at: float, kind: Kind, **values: Any) -> Desk:
        self._rows.append({"time_us": self.start_us + int(at * SECOND_US), "kind": kind, **values})
        return self

    def screen(self, at: float, number: int) -> Desk:
        content = picture(number)
        return self.add(at, Kind.SCREEN, picture=content, picture_hash=picture_hash(content))

    def focus(self, at: float, app: str) -> Desk:
        return self.add(at, Kind.FOCUS, app=app, title=f"{app}: a window")

    def click(self, at: float, x: int, y: int) -> Desk:
        for step in range(5):
            self.add(at - 0.3 + step * 0.05, Kind.MOVE, x=(x - 25 + step * 5) * 256, y=y * 256)
        place = {"x": x * 256, "y": y * 256, "code": 1}
        return self.add(at, Kind.BUTTON_DOWN, **place).add(at + 0.08, Kind.BUTTON_UP, **place)

    def write(self, at: float, text: str) -> Desk:
        for number, letter in enumerate(text):
            self.add(at + number * 0.1, Kind.KEY_DOWN, key=letter, text=letter)
            self.add(at + number * 0.1 + 0.04, Kind.KEY_UP, key=letter)
        return self

    def scroll(self, at: float) -> Desk:
        for tick in range(4):
            self.add(at + tick * 0.06, Kind.SCROLL, x=500 * 256, y=400 * 256, wheel_y=-120)
        return self

    def mark(self, start: float, end: float, text: str) -> Desk:
        return self.add(start, Kind.MARK_START, text=text).add(end, Kind.MARK_END, key="done")

    def work(self, at: float, first_picture: int) -> Desk:
        """A minute and a half of this and that, with two pictures."""
        self.focus(at, "editor").screen(at + 1, first_picture).click(at + 5, 300 + int(at) % 200, 200)
        self.write(at + 10, "hello").scroll(at + 20).screen(at + 30, first_picture + 1).click(at + 40, 700, 420)
        return self.write(at + 60, "world").click(at + 80, 120, 640)

    def recording(self) -> Recording:
        rows = sorted(self._rows, key=lambda row: row["time_us"])
        names = ("time_us", "kind", "x", "y", "code", "wheel_y", "key", "text", "app", "title", "picture_hash")
        columns: dict[str, object] = {name: [row.get(name) for row in rows] for name in (*names, "picture")}
        return Recording(self.header, event_table(columns | {"seq": range(len(rows))}))


def recordings() -> list[Recording]:
    """Everything that the four people recorded."""
    anna = Desk(ANNA, "laptop", "annalaptop", DAY_1).work(0, 0).work(130, 2).mark(0.5, 100, "write a letter")
    anna.mark(128, 230, "send the letter").scroll(110)  # of no task: a residue
    anna.add(84, Kind.SCREEN, picture_hash=picture_hash(picture(0)))  # seen before
    tablet = Desk(ANNA, "tablet", "annatablet", DAY_1 + 45 * SECOND_US).screen(0, 20).click(8, 50, 60)
    tablet.write(100, "note")
    later = Desk(ANNA, "laptop", "annalater", DAY_2).work(0, 4).work(100, 4)
    ben = Desk(BEN, "pc", "ben", DAY_1 + 7 * SECOND_US).work(0, 6).work(95, 6).work(260, 8).work(1900, 9)
    vera = Desk(VERA, "pc", "vera", DAY_1 + 3600 * SECOND_US).work(0, 11).work(110, 12)
    tom = Desk(TOM, "pc", "tom", DAY_1 + 500 * SECOND_US).work(0, 14).mark(0.2, 95, "tidy up").work(1500, 15)
    return [desk.recording() for desk in (anna, tablet, later, ben, vera, tom)]


@cache
def _ducktrack() -> Recording:
    imported = read_ducktrack([DUCKTRACK], ImportOptions())
    return Recording(imported.header, imported.events)


def consents() -> list[ConsentRecord]:
    """One record for each of the four."""
    return [ConsentRecord(f"c-{name}", name, regions=("us",)) for name in PEOPLE]


def grant(root: Path | str, *records: ConsentRecord) -> None:
    store = open_store(str(root))
    for record in records:
        store.replace(record.path, record.to_json())


def publish_people(root: Path | str, *, minutes: float = 2.0) -> list[SegmentName]:
    """The four people's segments, cut every so many minutes, and their consent."""
    grant(root, *consents())
    store = open_store(str(root))
    pieces = (segments(r.header, r.events, minutes=minutes) for r in recordings())
    return [name for one in pieces for name in publish(store, one)]


def publish_all(root: Path | str, *, minutes: float = 2.0) -> list[SegmentName]:
    """The four people and the real recording."""
    grant(root, ConsentRecord("imported", "guest", regions=("us",)))
    real = _ducktrack()
    store = open_store(str(root))
    return publish_people(root, minutes=minutes) + publish(
        store, segments(real.header, real.events, minutes=minutes / 8)
    )


def segment(header: SegmentHeader, events: pa.Table, **changes: Any) -> tuple[SegmentName, bytes]:
    """One segment of all these events."""
    return encode_segment(replace(header, **changes), events)


def put(root: Path, name: str, data: bytes) -> str:
    """A file in the input, whatever it is."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return name


def copy_of(folder: Path, target: Path) -> Path:
    shutil.copytree(folder, target)
    return target


def places(input_: Path | str, output: Path | str, **limits: Any) -> RunPlaces:
    return RunPlaces(str(input_), str(output), us_from_iso(limits.pop("as_of", AS_OF)), **limits)


def options(**changes: Any) -> RunOptions:
    return RunOptions(**{"target_shard_mb": TARGET_SHARD_MB, **changes})


def run(input_: Path | str, output: Path | str, *beam_args: str, **limits: Any) -> Outcome:
    """A run in this process, to its end; whatever it made is in balance."""
    outcome = launch(places(input_, output, **limits), options(), list(beam_args))
    assert facts(datasets.open(str(output)))["imbalances"] == []
    return outcome


def command(*args: str, timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
    """`taskreel …` as a process of its own."""
    return subprocess.run(taskreel(*args), capture_output=True, text=True, timeout=timeout_s, cwd=ROOT, check=False)


def taskreel(*args: str) -> list[str]:
    return [sys.executable, "-m", "taskreel", *args]


def run_args(input_: Path | str, output: Path | str) -> list[str]:
    """The same run as `run`, for the command line."""
    mb = str(TARGET_SHARD_MB)
    return ["run", "--input", str(input_), "--output", str(output), "--as-of", AS_OF, "--target-shard-mb", mb]


def shas(output: Path | str, version: int | None = None) -> dict[str, str]:
    """The sha256 of each shard's bytes, by name."""
    dataset = datasets.open(str(output), version)
    return {
        file.path: hashlib.sha256(dataset.store.read(f"steps/{file.path}")).hexdigest() for file in dataset.shards()
    }


def episodes(output: Path | str, without: Sequence[str] = (), participants: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The rows of `episodes`, of some participants, without some columns."""
    rows = datasets.open(str(output)).episodes().to_pylist()
    return [
        {name: value for name, value in row.items() if name not in without}
        for row in rows
        if not participants or row["participant"] in participants
    ]


ROW_COLUMNS = ("previous_row", "next_row", "approach_image_row")
"""Of a step: they count rows of the shard, so they differ when the same episode lies elsewhere."""
PLACE_COLUMNS = ("shard", "first_row", "shard_rows", "shard_bytes")
"""Of an episode: where its steps lie."""
CUT_COLUMNS = ("span_id", "segments")
"""Of an episode: how its events were cut into files."""


def steps(output: Path | str, participants: Sequence[str] = ()) -> list[dict[str, Any]]:
    """All steps with their pictures, by episode, apart from where they lie."""
    rows = datasets.open(str(output)).steps().drop_columns(list(ROW_COLUMNS)).to_pylist()
    for row in rows:
        for name in IMAGE_COLUMNS:
            content = (row[name] or {}).get("bytes")
            row[name] = content and hashlib.sha256(content).hexdigest()
    chosen = [row for row in rows if not participants or row["participant"] in participants]
    return sorted(chosen, key=lambda row: (row["episode_id"], row["step"]))


def assert_good(output: Path | str, version: int | None = None) -> Dataset:
    """The dataset there, which has no faults and is in balance."""
    dataset = datasets.open(str(output), version)
    assert list(faults(dataset)) == []
    assert facts(dataset)["imbalances"] == []
    return dataset


def at_once(tasks: list[Callable[[], Any]]) -> list[Any]:
    """The result of each, or what it raised; all begin at the same moment."""
    barrier, results = threading.Barrier(len(tasks)), [None] * len(tasks)

    def work(number: int) -> None:
        barrier.wait()
        try:
            results[number] = tasks[number]()
        except Exception as error:
            results[number] = error

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(tasks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def files(folder: Path) -> Iterator[str]:
    """All files below a folder, hidden ones too."""
    for path, _, names in os.walk(folder):
        yield from (os.path.relpath(os.path.join(path, name), folder) for name in names)
