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
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bench.__main__ import RESULTS, SERVER, TWO_WORKERS, Timed, machine, markdown, table, timed
from taskreel.io.consent import ConsentRecord
from taskreel.io.events import Kind, event_table
from taskreel.io.segments import Screen, SegmentHeader, encode_segment
from taskreel.io.stores import LocalStore
from taskreel.io.times import iso_from_us, us_from_iso

sys.path.insert(0, str(SERVER.parent))
from gcs_server import GcsServer

PEOPLE, SEGMENTS_A_DAY = 20, 1_000
NEW_SEGMENTS = 100
FIRST_US = us_from_iso("2026-01-05T09:00:00Z")
DAY_US, SEGMENT_US, EVENT_US = 86_400_000_000, 300_000_000, 15_000_000
EVENTS = 20
REQUEST_S = 0.01
RUNS = 3
BUCKET = "lake"


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


@dataclass
class Present:
    """So many days of segments in a folder, and the dataset that a batch run made of them, not changed by runs."""

    work: Path
    days: int

    def __post_init__(self) -> None:
        write_days(self.input, self.days)
        timed(self._run(str(self.input), str(self.dataset), self.days - 1, *TWO_WORKERS))
        write_day(str(self.input), self.days, 0, NEW_SEGMENTS // PEOPLE)

    @property
    def input(self) -> Path:
        return self.work / "in"

    @property
    def dataset(self) -> Path:
        return self.work / "dataset"

    def _run(self, input_: str, output: str, day: int, *args: str) -> list[str]:
        """`taskreel run` as of the middle of the night after a day's work."""
        as_of = iso_from_us(FIRST_US + day * DAY_US + DAY_US // 2)
        command = ["-m", "taskreel", "run", "--input", input_, "--output", output, "--as-of", as_of, "--json", *args]
        return [sys.executable, *command]

    def on_folder(self) -> Timed:
        """An incremental run on a copy of the dataset."""
        copy = self.work / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.dataset, copy)
        return timed(self._run(str(self.input), str(copy), self.days, "--incremental"))

    def on_store(self, server: GcsServer) -> Timed:
        """The same, all of it on the server; its requests are in the server's log."""
        for path, data in self._moved():
            server.put(BUCKET, f"dataset/{path}", data)
        server.requests.clear()
        server.delay_s = REQUEST_S
        result = timed(
            self._run(f"gs://{BUCKET}/in", f"gs://{BUCKET}/dataset", self.days, "--incremental"), server.env()
        )
        server.delay_s = 0.0
        for name in server.objects(BUCKET):
            if name.startswith("dataset/"):
                server.store.bucket(BUCKET).delete(name)
        return result

    def load(self, server: GcsServer) -> None:
        """The input, onto the server."""
        server.create_bucket(BUCKET)
        for path in self.input.rglob("*"):
            if path.is_file():
                server.put(BUCKET, f"in/{path.relative_to(self.input).as_posix()}", path.read_bytes())

    def _moved(self) -> Iterator[tuple[str, bytes]]:
        """The files of the dataset, as if it had been made of the input on the server: the log names the input."""
        for path in sorted(self.dataset.rglob("*")):
            if path.is_file():
                data = path.read_bytes()
                is_log = path.suffix == ".json"
                moved = data.replace(str(self.input).encode(), f"gs://{BUCKET}/in".encode()) if is_log else data
                yield path.relative_to(self.dataset).as_posix(), moved


def measure(work: Path, days: int) -> dict[str, object]:
    """A row of the table."""
    present = Present(work, days)
    on_folder = [took(present.on_folder()) for _ in range(RUNS)]
    requests = []
    on_store = []
    with GcsServer() as server:
        present.load(server)
        for _ in range(RUNS):
            on_store.append(took(present.on_store(server)))
            requests.append(server.requests.total)
    row: dict[str, object] = {
        "segments present": days * SEGMENTS_A_DAY,
        "requests": statistics.median(requests),
        f"gs://, {REQUEST_S * 1000:.0f} ms a request, s": statistics.median(on_store),
        "folder, s": statistics.median(on_folder),
    }
    print(row, flush=True)
    return row


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
    rows = []
    for days in (1, args.days):
        with tempfile.TemporaryDirectory(dir=args.work, prefix="taskreel-bench-") as work:
            rows.append(measure(Path(work), days))
    rows.append(ratio(*rows))
    Console(width=160).print(table(rows))
    RESULTS.mkdir(exist_ok=True)
    command = f"# python -m bench.incremental --days {args.days}"
    said = f"{machine()}. {NEW_SEGMENTS} new segments; whole commands, median of {RUNS}."
    (RESULTS / "incremental.md").write_text(f"{command}\n\n{said}\n\n{markdown(rows)}\n")


if __name__ == "__main__":
    main()
