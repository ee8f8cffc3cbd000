"""The job that compacts a dataset: small shards into those of one batch run. Checks, wiring and outcome."""

from __future__ import annotations

from dataclasses import replace

import apache_beam as beam

from taskreel.io.stores import open_store
from taskreel.io.tables import Commit, commit_of, publish_steps
from taskreel.io.times import us_from_iso
from taskreel.pipelines.episodes import Launch, job_facts
from taskreel.pipelines.errors import LaunchError
from taskreel.pipelines.job_region import People
from taskreel.pipelines.launch import Outcome, beam_options, run_job
from taskreel.pipelines.options import RunOptions
from taskreel.pipelines.preflight import Place, preflight
from taskreel.pipelines.terminal import Show
from taskreel.transforms.compact import CompactDataset, CompactOptions


def compact(
    dataset: str,
    beam_args: list[str],
    *,
    on_progress: Show | None = None,
    run_id: str | None = None,
) -> Outcome:
    """Rewrite what does not lie as one batch run would have laid it; one commit, or none if there is nothing to do.

    Raises `LaunchError` for what can be known before, `LostRaceError` if another run commits in the meantime.
    """
    store = open_store(dataset)
    pipeline_options = beam_options(beam_args)
    before = commit_of(store)
    if before is None:
        raise LaunchError(f"{dataset}: holds no dataset (no Delta table `episodes`)")
    options = options_of(dataset, before)
    preflight(pipeline_options, [Place("DATASET", dataset, is_written=True)], people_in(before))
    publish_steps(store)  # repairs what a killed run left between its two commits

    def wire(pipeline: beam.Pipeline, begun: Launch) -> None:
        elsewhere = {name: fact for name, fact in before.metadata.items() if name != "job"}
        facts = elsewhere | {"kind": "compact", "runner": begun.runner} | job_facts(begun, is_transfer_allowed=False)
        mine = replace(options, run_id=begun.run_id, metadata=facts, progress=begun.progress)
        _ = pipeline | "Compact" >> CompactDataset(mine)

    return run_job(store, before, pipeline_options, wire, on_progress=on_progress, run_id=run_id)


def people_in(before: Commit) -> People:
    """Whose recordings are in a version: those of the input that it says it was made of."""
    made = before.metadata
    return People(made["input"]["root"], tuple(made["input"]["participants"]), us_from_iso(made["as_of"]))


def options_of(dataset: str, before: Commit) -> CompactOptions:
    """What a version says of itself: it decides where the episodes belong, and stays true of the version to come."""
    made = before.metadata
    if "listed_bytes" not in made or "options" not in made:
        raise LaunchError(
            f"{dataset}: version {before.version} does not say how large its segments were, it was made by an older "
            "taskreel; make it anew by `taskreel run` without --incremental"
        )
    options = RunOptions(
        **{name: made["options"][name] for name in ("target_shard_mb", "row_group_rows", "row_group_mb")}
    )
    return CompactOptions(dataset, "", before.version, made, made["listed_bytes"], options.shards, options.row_groups)
