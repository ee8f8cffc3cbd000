"""What a path holds: a segment, a folder of segments, or a dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow.compute as pc
from rich.console import RenderableType
from rich.table import Table

from taskreel.io import dataset as datasets
from taskreel.io.events import Kind
from taskreel.io.names import SEGMENTS_PREFIX, SegmentName, SegmentNameError
from taskreel.io.segments import read_segment
from taskreel.io.stores import open_store
from taskreel.io.tables import current_version
from taskreel.io.times import iso_from_us
from taskreel.pipelines.summary import facts, render
from taskreel.transforms.discover import Selection


@dataclass(frozen=True)
class Inspection:
    """What was found: `values` for a program, `page` for a person."""

    values: dict[str, Any]
    page: Callable[[], RenderableType]


def inspect(path: str, version: int | None = None) -> Inspection:
    """Look at a path. Raises `FileNotFoundError` if it holds nothing of ours, `SegmentError` for a bad segment."""
    if path.endswith(".parquet"):
        return _segment(path)
    if current_version(open_store(path)) is not None:
        dataset = datasets.open(path, version)
        values = facts(dataset)
        return Inspection({"kind": "dataset", **values}, lambda: render(dataset, values))
    return _segments(path)


def _segment(path: str) -> Inspection:
    try:
        name = SegmentName.parse(path)
    except SegmentNameError as error:
        raise FileNotFoundError(f"{path}: {error}") from error
    root, _, below = path.rpartition(f"day={name.day}/")
    segment = read_segment(name, open_store(root or ".").read(f"day={name.day}/{below}"))
    kinds = Counter(segment.events.column("kind").to_pylist())
    sizes = segment.events.column("picture_bytes")
    values = {
        "kind": "segment",
        "header": asdict(segment.header),
        "events": segment.events.num_rows,
        "events_by_kind": {Kind(kind).name.lower(): count for kind, count in sorted(kinds.items())},
        "pictures": len(sizes) - sizes.null_count,
        "picture_bytes": pc.sum(sizes).as_py() or 0,
    }
    return Inspection(values, lambda: _grid({**values["header"], **{k: v for k, v in values.items() if k != "header"}}))


def _segments(path: str) -> Inspection:
    chosen = Selection.of_input(path)
    store = open_store(chosen.root)
    people: dict[str, dict[str, Any]] = {}
    others = 0
    for day in chosen.days(store):
        for entry in chosen.entries(store, day):
            try:
                name = SegmentName.parse(entry.name)
            except SegmentNameError:
                others += 1
                continue
            person = people.setdefault(
                name.participant, {"segments": 0, "bytes": 0, "events": 0, "first_ms": name.first_ms, "last_ms": 0}
            )
            person["segments"] += 1
            person["bytes"] += entry.size_bytes
            person["events"] += name.events
            person["first_ms"] = min(person["first_ms"], name.first_ms)
            person["last_ms"] = max(person["last_ms"], name.last_ms)
    if not people and not others:
        raise FileNotFoundError(f"{path}: no dataset, and no segments (looked for {store.url_of(SEGMENTS_PREFIX)})")
    values = {"kind": "segments", "participants": people, "not_segments": others}
    return Inspection(values, lambda: _people(people, others))


def _people(people: dict[str, dict[str, Any]], others: int) -> Table:
    table = Table("participant", "segments", "MB", "events", "from", "until")
    table.caption = f"{others} files that are no segments" if others else None
    for participant, row in sorted(people.items()):
        times = (iso_from_us(row[key] * 1000)[:19] + "Z" for key in ("first_ms", "last_ms"))
        table.add_row(participant, str(row["segments"]), f"{row['bytes'] / 1e6:.1f}", str(row["events"]), *times)
    return table


def _grid(values: dict[str, Any]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for name, value in values.items():
        grid.add_row(name, str(value))
    return grid
