"""The main job: segments in, training shards out. Wiring only; what happens is in `taskreel.transforms`.

python -m taskreel.pipelines.episodes --input recordings --output dataset [any option of taskreel run or Beam]
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import apache_beam as beam

from taskreel.io.times import iso_from_us
from taskreel.pipelines.options import RunOptions, RunPlaces
from taskreel.transforms.actions import REDUCER_VERSION
from taskreel.transforms.assign import AssignShards, ListedBytes
from taskreel.transforms.build import ACCOUNT, DEAD, RESIDUE, TAKEN, BuildSpans, ReadOptions
from taskreel.transforms.commit import ROWS, CommitDataset, CommitOptions, listed_account
from taskreel.transforms.discover import DiscoverSegments, Selection
from taskreel.transforms.episodes import SEGMENTER_VERSION
from taskreel.transforms.sessionize import SessionizeNames
from taskreel.transforms.taken import Taken
from taskreel.transforms.write import WriteOptions, WriteShards, encode_residue

VERSIONS = {"reducer": REDUCER_VERSION, "segmenter": SEGMENTER_VERSION}


@dataclass(frozen=True)
class Launch:
    """What a launch knows beside its options: its id, the version that it begins from, and where progress goes."""

    run_id: str
    base_version: int | None
    runner: str
    progress: str = ""
    region: str = ""
    """The cloud region of the workers; empty if they are not in the cloud."""


def selection(places: RunPlaces) -> Selection:
    """The segments that a run takes."""
    return Selection.of_input(
        places.input,
        from_ms=None if places.from_us is None else places.from_us // 1000,
        until_ms=None if places.until_us is None else places.until_us // 1000,
        participants=places.participants,
    )


def episodes_pipeline(pipeline: beam.Pipeline, places: RunPlaces, options: RunOptions, launch: Launch) -> Any:
    """Wire the whole road: discover, sessionize, build, assign, write, commit."""
    found = pipeline | "Discover" >> DiscoverSegments(selection(places))
    names = found.names | "Names" >> beam.Map(_name).with_output_types(tuple[str, str])
    spans = names | "Spans" >> SessionizeNames(options.spans)
    made = build_and_write(spans.spans, places, options, launch, listed=found.names)
    dead = (found.dead, made[DEAD]) | "DeadLetters" >> beam.Flatten()
    discovered = found.dead | "CountNames" >> beam.Map(lambda line: '{"segments.read": 1}')
    listed = found.names | "ListedBytes" >> ListedBytes(options.shards) | "CountBytes" >> beam.Map(listed_account)
    account = (made[ACCOUNT], discovered, listed) | "Accounts" >> beam.Flatten()
    commit = CommitOptions(places.output, launch.run_id, launch.base_version, metadata(places, options, launch))
    return {ROWS: made[ROWS], ACCOUNT: account, DEAD: dead} | "CommitDataset" >> CommitDataset(commit)


def metadata(places: RunPlaces, options: RunOptions, launch: Launch) -> dict[str, Any]:
    """What is stored with the commit of what was launched: by which options, of what, as of when."""
    return {
        "kind": "batch",
        "as_of": iso_from_us(places.as_of_us),
        "watermark": None,
        "input": asdict(selection(places)),
        "options": options.as_dict(),
        "runner": launch.runner,
        "versions": VERSIONS,
        **job_facts(launch, places.allow_region_transfer),
    }


def job_facts(launch: Launch, is_transfer_allowed: bool) -> dict[str, Any]:
    """Where in the cloud a job ran, and whether against what consent records name; nothing of a job elsewhere."""
    if not launch.region:
        return {}
    return {"job": {"region": launch.region, "allow_region_transfer": is_transfer_allowed}}


def build_and_write(
    spans: Any, places: RunPlaces, options: RunOptions, launch: Launch, *, listed: Any = None, adds: bool = False
) -> dict[str, Any]:
    """The middle of the road, from spans to rows of `episodes`: ROWS, and DEAD, ACCOUNT, TAKEN of `BuildSpans`.

    Shards are counted by the sizes of what was `listed`, or without it of what is taken up. `adds` to what is there:
    then what is in the store no more stays as it was committed.
    """
    root = selection(places).root
    read = ReadOptions(root, places.as_of_us, options.spans.gap_ms, options.prefetch, launch.progress, adds)
    write = WriteOptions(root, places.output, options.row_groups, options.prefetch, launch.progress)
    built = spans | "SpreadSpans" >> beam.Reshuffle() | "BuildSpans" >> BuildSpans(read, options.build)
    sizes = listed if listed is not None else built[TAKEN] | "TakenSizes" >> beam.FlatMap(_sizes)
    written = (
        (built.drafts, sizes) | "AssignShards" >> AssignShards(options.shards) | "WriteShards" >> WriteShards(write)
    )
    residue = built[RESIDUE] | "ResidueRows" >> beam.Map(encode_residue, options.shards)
    rows = (written, residue) | "Rows" >> beam.Flatten()
    return {ROWS: rows, DEAD: built[DEAD], ACCOUNT: built[ACCOUNT], TAKEN: built[TAKEN]}


def _name(listed: tuple[str, tuple[str, int]]) -> tuple[str, str]:
    participant, (file, _) = listed
    return participant, file


def _sizes(line: str) -> list[tuple[str, tuple[str, int]]]:
    taken = Taken.from_json(line)
    return [(taken.participant, segment) for segment in taken.segments]


if __name__ == "__main__":
    import sys

    from taskreel.__main__ import main

    main(["run", *sys.argv[1:]])
