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
from taskreel.transforms.assign import AssignShards
from taskreel.transforms.build import ACCOUNT, DEAD, RESIDUE, BuildSpans, ReadOptions
from taskreel.transforms.commit import ACCOUNT as COMMIT_ACCOUNT
from taskreel.transforms.commit import DEAD as COMMIT_DEAD
from taskreel.transforms.commit import ROWS, CommitDataset, CommitOptions
from taskreel.transforms.discover import DiscoverSegments, Selection
from taskreel.transforms.episodes import SEGMENTER_VERSION
from taskreel.transforms.spans import SessionizeNames
from taskreel.transforms.write import WriteOptions, WriteShards, encode_residue


@dataclass(frozen=True)
class Launch:
    """What a launch knows beside its options: its id, the version that it begins from, and where progress goes."""

    run_id: str
    base_version: int | None
    runner: str
    progress: str = ""


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
    selected = selection(places)
    read = ReadOptions(selected.root, places.as_of_us, options.spans.gap_ms, options.prefetch, launch.progress)
    write = WriteOptions(selected.root, places.output, options.row_groups, options.prefetch, launch.progress)
    metadata = {
        "as_of": iso_from_us(places.as_of_us),
        "input": asdict(selected),
        "options": options.as_dict(),
        "runner": launch.runner,
        "versions": {"reducer": REDUCER_VERSION, "segmenter": SEGMENTER_VERSION},
    }
    commit = CommitOptions(places.output, launch.run_id, launch.base_version, metadata)

    found = pipeline | "Discover" >> DiscoverSegments(selected)
    names = found.names | "Names" >> beam.Map(_name).with_output_types(tuple[str, str])
    spans = names | "Spans" >> SessionizeNames(options.spans)
    built = spans.spans | "SpreadSpans" >> beam.Reshuffle() | "BuildSpans" >> BuildSpans(read, options.build)
    written = (
        (built.drafts, found.names)
        | "AssignShards" >> AssignShards(options.shards)
        | "WriteShards" >> WriteShards(write)
    )
    residue = built[RESIDUE] | "ResidueRows" >> beam.Map(encode_residue, options.shards)
    dead = (found.dead, built[DEAD]) | "DeadLetters" >> beam.Flatten()
    discovered = found.dead | "CountNames" >> beam.Map(lambda line: '{"segments.read": 1}')
    account = (built[ACCOUNT], discovered) | "Accounts" >> beam.Flatten()
    rows = (written, residue) | "Rows" >> beam.Flatten()
    return {ROWS: rows, COMMIT_ACCOUNT: account, COMMIT_DEAD: dead} | "CommitDataset" >> CommitDataset(commit)


def _name(listed: tuple[str, tuple[str, int]]) -> tuple[str, str]:
    participant, (file, _) = listed
    return participant, file


if __name__ == "__main__":
    import sys

    from taskreel.__main__ import main

    main(["run", *sys.argv[1:]])
