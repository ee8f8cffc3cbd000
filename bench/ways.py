"""The ways from segments to shards that are timed side by side. `python -m bench.ways WAY IN OUT`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from taskreel.io.events import Kind
from taskreel.io.schemas import IMAGE_COLUMNS, STEP_SCHEMA
from taskreel.io.shards import RowGroupLimits, ShardWriter, plan_row_groups

AS_OF = "2027-01-01T00:00:00Z"


def floor(source: str, target: str) -> None:
    """A plain loop with no Beam: decode every event, take the pictures, write the same Parquet, one row an action."""
    Path(target).mkdir(parents=True, exist_ok=True)
    with ShardWriter(f"{target}/floor.parquet") as writer:
        for path in sorted(Path(source).glob("segments/v1/*/*/*.parquet")):
            table = pq.ParquetFile(pa.BufferReader(path.read_bytes())).read(use_threads=False)
            pictures = table.column("picture").drop_null()  # of all screens, in order, in this mix
            _write(writer, table.drop_columns(["picture"]).sort_by("seq"), [value.as_buffer() for value in pictures])


def _write(writer: ShardWriter, events: pa.Table, contents: list[pa.Buffer]) -> None:
    """One row for each event that begins an action of the mix: presses, first ticks, first letters."""
    kind, time_us = events.column("kind").to_numpy(), events.column("time_us").to_numpy()
    begins = np.isin(kind, [Kind.BUTTON_DOWN, Kind.SCROLL, Kind.KEY_DOWN])
    rows = np.flatnonzero(begins)
    first = (np.diff(time_us[rows], prepend=0) > 150_000) | (kind[rows] == Kind.BUTTON_DOWN)
    acts = rows[first]
    screens = np.flatnonzero(kind == Kind.SCREEN)
    picture = np.searchsorted(screens, acts) - 1
    none = np.full(len(acts), -1)
    plain = [field for field in STEP_SCHEMA if field.name not in IMAGE_COLUMNS]
    columns = pa.table([_column(field, events, acts) for field in plain], schema=pa.schema(plain))
    for start, end in plan_row_groups(picture, none, lambda number: len(contents[number]), RowGroupLimits()):
        used, place = np.unique(picture[start:end], return_inverse=True)
        images = {
            "image": (place, [memoryview(contents[number]).cast("B") for number in used]),
            "approach_image": (none[start:end], []),
        }
        writer.write(columns.slice(start, end - start), images)


def _column(field: pa.Field, events: pa.Table, acts: np.ndarray) -> pa.Array:
    sources = {"start_us": "time_us", "end_us": "time_us", "first_seq": "seq", "last_seq": "seq", "text": "text"}
    if field.name in sources:
        return events.column(sources[field.name]).take(pa.array(acts)).combine_chunks()
    if field.name in ("x", "y"):
        return pc.cast(events.column(field.name).take(pa.array(acts)), pa.float64()).combine_chunks()
    if field.name == "action":
        return pa.array(np.array([Kind(k).name for k in range(1, 15)])[events.column("kind").to_numpy()[acts] - 1])
    if pa.types.is_list(field.type):
        return pa.array([[]] * len(acts), field.type)
    if not field.nullable and field.type == pa.string():
        return pa.array(["constant"] * len(acts))
    return (
        pa.array(np.arange(len(acts)), pa.int64()).cast(field.type)
        if not field.nullable
        else pa.nulls(len(acts), field.type)
    )


def naive(source: str, target: str) -> None:
    """Beam as one would first write it: an event an element, `Sessions` windows, pictures in the elements."""
    import apache_beam as beam
    from apache_beam.runners.portability.fn_api_runner import fn_runner
    from apache_beam.transforms.window import Sessions, TimestampedValue

    def read(path: str):
        participant = path.split("participant=")[1].split("/")[0]
        for event in pq.read_table(path).to_pylist():
            yield TimestampedValue((participant, event), event["time_us"] / 1e6)

    def write(element) -> None:
        participant, events = element
        events = sorted(events, key=lambda event: event["seq"])
        picture, steps = None, []
        for event in events:
            picture = event["picture"] or picture
            if event["kind"] in (Kind.BUTTON_DOWN, Kind.SCROLL, Kind.KEY_DOWN):
                steps.append({"start_us": event["time_us"], "x": event["x"], "text": event["text"], "image": picture})
        pq.write_table(pa.Table.from_pylist(steps), f"{target}/{participant}-{events[0]['time_us']}.parquet")

    Path(target).mkdir(parents=True, exist_ok=True)
    paths = [str(path) for path in sorted(Path(source).glob("segments/v1/*/*/*.parquet"))]
    with beam.Pipeline(fn_runner.FnApiRunner()) as pipeline:
        events = pipeline | beam.Create(paths) | beam.FlatMap(read)
        sessions = events | beam.WindowInto(Sessions(600)) | beam.GroupByKey()
        _ = sessions | beam.Map(write)


def ours(source: str, target: str, *beam_args: str) -> None:
    """`taskreel run`."""
    from taskreel.__main__ import main

    main(["run", "--input", source, "--output", target, "--as-of", AS_OF, "--json", *beam_args])


if __name__ == "__main__":
    {"floor": floor, "naive": naive, "ours": ours}[sys.argv[1]](*sys.argv[2:])
