"""What an incremental run costs where little or much is present: `python -m bench.incremental`.

100 new segments are taken up by a dataset that lists 1,000 segments (one day), and by one that lists 100,000 (a hundred
such days). Time is of the whole command, process and all, on a folder and on the tests' `gs://` server (which takes
10 ms a request); requests are counted by that server. Segments are small, 20 events, so that what is measured is what
comes with a segment and not what is in it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from rich.console import Console

from bench.__main__ import RESULTS, TWO_WORKERS, Timed, machine, markdown, table, timed
from taskreel.io.consent import ConsentRecord
from taskreel.io.events import Kind, event_table
from taskreel.io.segments import Screen, SegmentHeader, encode_segment
from taskreel.io.stores import LocalStore
from taskreel.io.times import iso_from_us, us_from_iso
from taskreel.rehearsal.gcs.server import GcsServer

PEOPLE, SEGMENTS_A_DAY = 20, 1_000
NEW_SEGMENTS = 100
FIRST_US = us_from_iso("2026-01-05T09:00:00Z")
DAY_US, SEGMENT_US, EVENT_US = 86_400_000_000, 300_000_000, 15_000_000
EVENTS = 20
REQUEST_S = 0.01
RUNS = 5


def piece(person: int, day: int, number: int) -> tuple[str, bytes]:
    """A segment of five minutes: a click every half minute."""
    start_us = FIRST_US + day * DAY_US + number * SEGMENT_US
    seq = [number * EVENTS + event for event in range(EVENTS)]
    columns: dict[str, object] = {
        "seq": seq,
        "time_us": [start_us + event * EVENT_US for event in range(EVENTS)],
        "kind": [Kind.BUTTON_DOWN, Kind.BUTTON_UP] * (EVENTS // 2),
        "x": [(100 + one % 500) * 256 for one in seq],
        "y": [(100 + one % 300) * 256 for one in seq],
        "code": [1] * EVENTS,
    }
    header = SegmentHeader(f"p{person}", "pc", f"p{person}d{day}", f"c{person}", region="us", screen=Screen(1920, 1080))
    name, data = encode_segment(header, event_table(columns))
    return str(name), data


def write_day(root: str, day: int, first: int, end: int) -> None:
    """The segments `first` to `end` of everybody on a day."""
    store = LocalStore(root)
    for person in range(PEOPLE):
        for number in range(first, end):
            store.create(*piece(person, day, number))


def write_days(root: Path, days: int) -> None:
    """So many days of 1,000 segments, and the consent of everybody."""
    store = LocalStore(str(root))
    for person in range(PEOPLE):
        record = ConsentRecord(f"c{person}", f"p{person}", regions=("us",))
        store.replace(record.path, record.to_json())
    each = SEGMENTS_A_DAY // PEOPLE
    with ProcessPoolExecutor() as pool:
        list(pool.map(write_day, *zip(*((str(root), day, 0, each) for day in range(days)), strict=True)))


class Present:
    """So many days of segments in a folder, and the dataset that a batch run made of them, not changed by runs."""

    def __init__(self, work: Path, days: int) -> None:
        self.days = days
        self.input, self.dataset, self._copy = work / "in", work / "dataset", work / "copy"
        self.bucket = f"days{days}"
        write_days(self.input, days)
        timed(self._run(str(self.input), str(self.dataset), days - 1, *TWO_WORKERS))
        write_day(str(self.input), days, 0, NEW_SEGMENTS // PEOPLE)

    def _run(self, input_: str, output: str, day: int, *args: str) -> list[str]:
        """`taskreel run` as of the middle of the night after a day's work."""
        as_of = iso_from_us(FIRST_US + day * DAY_US + DAY_US // 2)
        command = ["-m", "taskreel", "run", "--input", input_, "--output", output, "--as-of", as_of, "--json", *args]
        return [sys.executable, *command]

    def load(self, server: GcsServer) -> None:
        """The input, onto the server."""
        server.create_bucket(self.bucket)
        for path in self.input.rglob("*"):
            if path.is_file():
                server.put(self.bucket, f"in/{path.relative_to(self.input).as_posix()}", path.read_bytes())

    def on_folder(self) -> float:
        """The seconds of an incremental run on a copy of the dataset."""
        shutil.rmtree(self._copy, ignore_errors=True)
        shutil.copytree(self.dataset, self._copy)
        return took(timed(self._run(str(self.input), str(self._copy), self.days, "--incremental")))

    def on_store(self, server: GcsServer) -> tuple[float, int]:
        """The seconds and the requests of one with all of it on the server."""
        place = f"gs://{self.bucket}"
        for path, data in self._moved():
            server.put(self.bucket, f"dataset/{path}", data)
        server.requests.clear()
        server.delay_s = REQUEST_S
        result = timed(self._run(f"{place}/in", f"{place}/dataset", self.days, "--incremental"), server.env())
        server.delay_s = 0.0
        for name in server.objects(self.bucket):
            if name.startswith("dataset/"):
                server.store.bucket(self.bucket).delete(name)
        return took(result), server.requests.total

    def _moved(self) -> Iterator[tuple[str, bytes]]:
        """The files of the dataset, as if it had been made of the input on the server: the log names the input."""
        for path in sorted(self.dataset.rglob("*")):
            if path.is_file():
                data = path.read_bytes()
                place = f"gs://{self.bucket}/in".encode()
                moved = data.replace(str(self.input).encode(), place) if path.suffix == ".json" else data
                yield path.relative_to(self.dataset).as_posix(), moved


def measure(both: list[Present]) -> list[dict[str, object]]:
    """A row for each; in turn, so that what else the machine does meets both."""
    on_folder: dict[int, list[float]] = {present.days: [] for present in both}
    on_store: dict[int, list[tuple[float, int]]] = {present.days: [] for present in both}
    with GcsServer() as server:
        for present in both:
            present.load(server)
        for present in both * RUNS:
            on_folder[present.days].append(present.on_folder())
            on_store[present.days].append(present.on_store(server))
    return [
        {
            "segments present": days * SEGMENTS_A_DAY,
            "requests": statistics.median(requests for _, requests in on_store[days]),
            f"gs://, {REQUEST_S * 1000:.0f} ms a request, s": statistics.median(wall_s for wall_s, _ in on_store[days]),
            "folder, s": statistics.median(on_folder[days]),
        }
        for days in on_folder
    ]


def took(result: Timed) -> float:
    """The seconds of a run that took up exactly what is new."""
    said = json.loads(result.output.splitlines()[-1])
    assert (said["kind"], said["segments"]["written"]) == ("incremental", NEW_SEGMENTS), said
    return round(result.wall_s, 2)


def ratio(few: dict[str, object], many: dict[str, object]) -> dict[str, object]:
    """The last row: how many times as much it costs where much is present."""
    pairs = {name: (float(str(few[name])), float(str(many[name]))) for name in few}
    return {name: f"x {after / before:.2f}" for name, (before, after) in pairs.items()}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=100, help="of 1,000 segments, where much is present")
    parser.add_argument("--work", help="where the files go; some GB")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.work, prefix="taskreel-bench-") as work:
        rows = measure([Present(Path(work) / str(days), days) for days in (1, args.days)])
    report([*rows, ratio(*rows)], args.days)


def report(rows: list[dict[str, object]], days: int) -> None:
    """Print the table and write it."""
    Console(width=160).print(table(rows))
    RESULTS.mkdir(exist_ok=True)
    said = f"{machine()}. {NEW_SEGMENTS} new segments; whole commands, median of {RUNS}."
    command = f"# python -m bench.incremental --days {days}"
    (RESULTS / "incremental.md").write_text(f"{command}\n\n{said}\n\n{markdown(rows)}\n")


if __name__ == "__main__":
    main()
