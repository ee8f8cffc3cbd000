"""Launch a run: check what can be known before, run the pipeline, say what came of it."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from io import StringIO
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

from taskreel.io.card import write_card
from taskreel.io.names import SegmentName, SegmentNameError
from taskreel.io.stores import LocalStore, Store, open_store
from taskreel.io.tables import Commit, commit_of, current_version, open_table, publish_steps
from taskreel.io.times import iso_from_us, us_from_iso
from taskreel.pipelines.episodes import VERSIONS, Launch, episodes_pipeline, selection
from taskreel.pipelines.errors import LaunchError, LostRaceError
from taskreel.pipelines.following import counted, followed
from taskreel.pipelines.incremental import incremental_pipeline
from taskreel.pipelines.options import IncrementalOptions, RunOptions, RunPlaces, StreamingOptions
from taskreel.pipelines.preflight import people_of, places_of, preflight, region_of
from taskreel.pipelines.runners import can_stream, check_submitted, is_cloud, resolve_runner
from taskreel.pipelines.streaming import streaming_pipeline
from taskreel.pipelines.submission import submission
from taskreel.pipelines.terminal import Show
from taskreel.pipelines.waiting import wait
from taskreel.transforms.discover import Selection
from taskreel.transforms.discover_new import late_files
from taskreel.transforms.known import Base, is_consumed

_OWN_NAMES = ("README.md", "episodes", "steps", "dead-letter", "late")


@dataclass(frozen=True)
class Outcome:
    """What came of a run."""

    version: int | None
    run_id: str
    runner: str
    wall_s: float
    metadata: dict[str, Any]
    is_new: bool = True
    """Whether it committed. An incremental run that finds nothing new does not: then `version` is the one before."""
    waiting: int = 0
    """New segments in spans that are not over."""


def launch(
    places: RunPlaces,
    options: RunOptions,
    beam_args: list[str],
    *,
    incremental: IncrementalOptions | None = None,
    on_progress: Show | None = None,
    run_id: str | None = None,
) -> Outcome:
    """Run the pipeline to its end. Raises `LaunchError` for what can be known before, `LostRaceError` after.

    With `incremental`, take up what the dataset does not list yet; without, replace it.
    """
    output = open_store(places.output)
    pipeline_options = beam_options(beam_args)
    preflight(pipeline_options, places_of(places), people_of(places))
    check_output(output)
    publish_steps(output)  # repairs what a killed run left between its two commits
    before = commit_of(output)
    if incremental is None or before is None:
        check_input(places)
    else:
        check_base(before, places, options, "--incremental")

    def wire(pipeline: beam.Pipeline, begun: Launch) -> None:
        if incremental is None:
            episodes_pipeline(pipeline, places, options, begun)
        else:
            incremental_pipeline(pipeline, places, options, incremental, begun, before)

    outcome = run_job(output, before, pipeline_options, wire, on_progress=on_progress, run_id=run_id)
    if incremental is not None:
        forget_late(output, places, options)
    return outcome


def run_job(
    output: Store,
    before: Commit | None,
    options: PipelineOptions,
    wire: Callable[[beam.Pipeline, Launch], None],
    *,
    on_progress: Show | None = None,
    run_id: str | None = None,
) -> Outcome:
    """Run what is wired onto the version `before` to its end. Raises `LostRaceError` if another has committed."""
    began_s = time.monotonic()
    begun, result = _run_to_the_end(before, options, wire, on_progress, run_id)
    return _outcome(output, begun, time.monotonic() - began_s, before, result)


def launch_stream(
    places: RunPlaces,
    options: RunOptions,
    streaming: StreamingOptions,
    beam_args: list[str],
    *,
    on_progress: Show | None = None,
) -> Commit | None:
    """Run a stream until it is drained or stopped; the last commit of the dataset.

    Raises `LaunchError` for what can be known before.
    """
    output = open_store(places.output)
    pipeline_options = beam_options([*beam_args, "--streaming"])
    if not can_stream(pipeline_options):
        raise LaunchError(
            "--streaming: the DirectRunner ends a source that is polled early; give --runner=PrismRunner or "
            "DataflowRunner, or use taskreel watch"
        )
    preflight(pipeline_options, places_of(places), people_of(places))
    check_output(output)
    publish_steps(output)
    before = commit_of(output)
    if before is None:
        check_root(places)
    else:
        check_base(before, places, options, "--streaming")

    def wire(pipeline: beam.Pipeline, begun: Launch) -> None:
        streaming_pipeline(pipeline, places, options, streaming, begun, before)

    _run_to_the_end(before, pipeline_options, wire, on_progress, None)
    return commit_of(output)


def _run_to_the_end(
    before: Commit | None,
    options: PipelineOptions,
    wire: Callable[[beam.Pipeline, Launch], None],
    on_progress: Show | None,
    run_id: str | None,
) -> tuple[Launch, Any]:
    runner, runner_name = resolve_runner(options)
    with followed(on_progress, in_the_cloud=is_cloud(options)) as run:
        run_id, version = run_id or uuid.uuid4().hex, before.version if before else None
        begun = Launch(run_id, version, runner_name, run.folder, region_of(options))
        pipeline = beam.Pipeline(runner, options=options)
        wire(pipeline, begun)
        with submission(options):
            run.result = result = pipeline.run()
        check_submitted(result, options)
        wait(result, may_be_stopped=options.view_as(StandardOptions).streaming)
    return begun, result


def _outcome(output: Store, begun: Launch, wall_s: float, before: Commit | None, result: Any) -> Outcome:
    table = open_table(output, "episodes")
    if table is not None and table.transaction_version(begun.run_id) is not None:
        commit = next(commit for commit in _commits(output) if commit.metadata.get("run_id") == begun.run_id)
        waiting = commit.metadata.get("account", {}).get("segments.waiting", 0)
        return Outcome(commit.version, begun.run_id, begun.runner, wall_s, commit.metadata, waiting=waiting)
    if (table and table.version()) != begun.base_version:
        raise LostRaceError(
            f"{output.url}: another run has committed since this one began; nothing was changed. Run again"
        )
    write_card(output)  # a run that was killed after its commit may have left the one before
    metadata = before.metadata if before else {}
    waiting = counted(result).get("waiting", 0)
    return Outcome(begun.base_version, begun.run_id, begun.runner, wall_s, metadata, is_new=False, waiting=waiting)


def check_base(before: Commit, places: RunPlaces, options: RunOptions, way: str) -> None:
    """Raise `LaunchError` unless a run can go on from a version: same options, versions, input, time.

    `way` is the option that asks for it.
    """
    check_root(places)
    made = {"options": options.as_dict(), "versions": VERSIONS, "input": asdict(selection(places))}
    differing = [
        f"{name} is {_shown(there)} there and {_shown(here)} here"
        for key in made
        for name, there, here in _differences(before.metadata.get(key, {}), json.loads(json.dumps(made[key])))
    ]
    if differing:
        raise LaunchError(
            f"{way}: {places.output} was made otherwise: {'; '.join(differing)}. "
            f"Give the same options, or make it anew by a run without {way}"
        )
    as_of = before.metadata["as_of"]
    if places.as_of_us < us_from_iso(as_of):
        raise LaunchError(
            f"--as-of {iso_from_us(places.as_of_us)}: {places.output} is as of {as_of}; give that time or a later one"
        )


def _differences(there: Any, here: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(dotted name, value there, value here) of all that is not the same in two JSON values."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in sorted({*there, *here}):
            yield from _differences(there.get(key), here.get(key), f"{name}.{key}" if name else key)
    elif there != here:
        yield name, there, here


def _shown(value: Any) -> str:
    return "not there" if value is None else json.dumps(value)


def forget_late(output: Store, places: RunPlaces, options: RunOptions) -> None:
    """Delete the files in `late/` whose names the dataset has consumed, all of them."""
    chosen = selection(places)
    files = late_files(output)
    commit = commit_of(output) if files else None
    if commit is None:
        return
    base = Base.of(places.output, commit)
    for file, names in files.items():
        if is_consumed(base, (name for name in names if chosen.selects(str(name))), options.spans):
            output.delete(file)


def _commits(output: Store) -> Iterator[Commit]:
    """The newest first: the run's own, unless another was committed right after it."""
    for number in range(current_version(output) or 0, -1, -1):
        commit = commit_of(output, number)
        if commit is not None:
            yield commit


def check_input(places: RunPlaces) -> None:
    """Raise `LaunchError` unless the input is there and holds at least one segment that is selected."""
    chosen = selection(places)
    check_root(places)
    store = open_store(chosen.root)
    try:
        _check_segments(places, chosen, store)
    except FileNotFoundError as error:
        raise LaunchError(f"--input {places.input}: {error}") from error


def check_root(places: RunPlaces) -> None:
    """Raise `LaunchError` unless there is a place in which segments could lie."""
    store = open_store(selection(places).root)
    if isinstance(store, LocalStore) and not store.root.is_dir():
        raise LaunchError(f"--input {places.input}: there is no folder {store.root}")


def _check_segments(places: RunPlaces, chosen: Selection, store: Store) -> None:
    for day in chosen.days(store):
        for entry in chosen.entries(store, day):
            with contextlib.suppress(SegmentNameError):
                SegmentName.parse(entry.name)
                return
    raise LaunchError(
        f"--input {places.input}: no segments found (looked for {store.url_of('segments/v1/day=…/participant=…/')}"
        f"{' within the limits given' if chosen != type(chosen)(chosen.root) else ''})"
    )


def check_output(output: Store) -> None:
    """Raise `LaunchError` if the output holds something that is not a dataset of ours."""
    if current_version(output) is not None:
        return
    if isinstance(output, LocalStore):
        if output.root.exists() and not output.root.is_dir():
            raise LaunchError(f"--output {output.url}: is a file, not a folder")
        names = sorted(path.name for path in output.root.iterdir()) if output.root.exists() else []
    else:
        names = sorted({entry.name.split("/")[0] for _, entry in zip(range(1000), output.files(), strict=False)})
    foreign = [name for name in names if name not in _OWN_NAMES]
    if foreign:
        raise LaunchError(
            f"--output {output.url}: holds something else ({', '.join(foreign[:3])}); choose an empty place"
        )


def beam_options(beam_args: list[str]) -> PipelineOptions:
    """The options of Beam; raises `LaunchError` for one that is none or is badly given."""
    options = PipelineOptions(beam_args)
    unknown = _unknown(beam_args)
    if unknown:
        name = unknown[0].partition("=")[0]  # its value may be a secret
        raise LaunchError(f"unknown option {name}; --help lists taskreel's, Beam's pass through")
    return options


def _unknown(beam_args: list[str]) -> list[str]:
    """The arguments that no options class of Beam takes; abbreviations are not taken."""
    import argparse

    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    for options in PipelineOptions.__subclasses__():
        with contextlib.suppress(AttributeError, argparse.ArgumentError):
            options._add_argparse_args(parser)
    said = StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return parser.parse_known_args(beam_args)[1]
    except (SystemExit, argparse.ArgumentError) as error:
        why = said.getvalue().strip().rpartition("error: ")[2] or error
        raise LaunchError(f"an option of Beam is not as it has to be: {why}") from error
