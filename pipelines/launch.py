"""Launch a run: check what can be known before, run the pipeline, say what came of it."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from taskreel.io.names import SegmentName, SegmentNameError
from taskreel.io.stores import LocalStore, Store, open_store
from taskreel.io.tables import Commit, commit_of, current_version, open_table, publish_steps
from taskreel.pipelines.episodes import Launch, episodes_pipeline, selection
from taskreel.pipelines.options import RunOptions, RunPlaces
from taskreel.pipelines.runners import resolve_runner
from taskreel.transforms.discover import Selection
from taskreel.transforms.progress import read_progress

_PROGRESS_EVERY_S = 0.5
_PROGRESS_PREFIX = "taskreel-progress-"
_OWN_NAMES = ("README.md", "episodes", "steps", "dead-letter", "late")


class LaunchError(ValueError):
    """A launch that cannot be: one line that says what is wrong and what to do. Nothing was written."""


class LostRaceError(RuntimeError):
    """Another run has committed since this one began; nothing was changed."""


@dataclass(frozen=True)
class Outcome:
    """What came of a run."""

    version: int
    run_id: str
    runner: str
    wall_s: float
    metadata: dict[str, Any]


def launch(
    places: RunPlaces,
    options: RunOptions,
    beam_args: list[str],
    *,
    on_progress: Callable[[dict[str, int], float], None] | None = None,
    run_id: str | None = None,
) -> Outcome:
    """Run the pipeline to its end. Raises `LaunchError` for what can be known before, `LostRaceError` after."""
    output = open_store(places.output)
    pipeline_options = _pipeline_options(beam_args)
    check_input(places)
    check_output(output)
    runner, runner_name = resolve_runner(pipeline_options)
    publish_steps(output)  # repairs what a killed run left between its two commits
    run_id = run_id or uuid.uuid4().hex
    began_s = time.monotonic()
    with _progress(on_progress) as folder:
        begin = Launch(run_id, current_version(output), runner_name, folder)
        pipeline = beam.Pipeline(runner, options=pipeline_options)
        episodes_pipeline(pipeline, places, options, begin)
        pipeline.run().wait_until_finish()
    return _outcome(output, run_id, runner_name, time.monotonic() - began_s)


def _outcome(output: Store, run_id: str, runner: str, wall_s: float) -> Outcome:
    table = open_table(output, "episodes")
    if table is None or table.transaction_version(run_id) is None:
        raise LostRaceError(
            f"{output.url}: another run has committed since this one began; nothing was changed. Run again"
        )
    commit = next(commit for commit in _commits(output) if commit.metadata.get("run_id") == run_id)
    return Outcome(commit.version, run_id, runner, wall_s, commit.metadata)


def _commits(output: Store) -> Iterator[Commit]:
    """The newest first: the run's own, unless another was committed right after it."""
    for number in range(current_version(output) or 0, -1, -1):
        commit = commit_of(output, number)
        if commit is not None:
            yield commit


def check_input(places: RunPlaces) -> None:
    """Raise `LaunchError` unless the input is there and holds at least one segment that is selected."""
    chosen = selection(places)
    store = open_store(chosen.root)
    try:
        _check_input(places, chosen, store)
    except FileNotFoundError as error:
        raise LaunchError(f"--input {places.input}: {error}") from error


def _check_input(places: RunPlaces, chosen: Selection, store: Store) -> None:
    if isinstance(store, LocalStore) and not store.root.is_dir():
        raise LaunchError(f"--input {places.input}: there is no folder {store.root}")
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


def _pipeline_options(beam_args: list[str]) -> PipelineOptions:
    options = PipelineOptions(beam_args)
    unknown = _unknown(beam_args)
    if unknown:
        raise LaunchError(f"unknown option {unknown[0]}; `taskreel run --help` lists taskreel's, Beam's pass through")
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


def _sweep_progress() -> None:
    """Remove what runs that were killed left behind."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PROGRESS_PREFIX}*-*"):
        process = folder.name.removeprefix(_PROGRESS_PREFIX).partition("-")[0]
        if not Path(f"/proc/{process}").exists():
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _progress(on_progress: Callable[[dict[str, int], float], None] | None) -> Iterator[str]:
    """A folder for the workers' totals, and a thread that hands their sum on."""
    if on_progress is None:
        yield ""
        return
    _sweep_progress()
    folder = Path(tempfile.mkdtemp(prefix=f"{_PROGRESS_PREFIX}{os.getpid()}-"))
    done = threading.Event()
    began_s = time.monotonic()

    def watch() -> None:
        while not done.wait(_PROGRESS_EVERY_S):
            try:
                on_progress(read_progress(folder), time.monotonic() - began_s)
            except Exception:
                logging.getLogger(__name__).debug("progress", exc_info=True)

    thread = threading.Thread(target=watch, name="progress", daemon=True)
    thread.start()
    try:
        yield str(folder)
    finally:
        done.set()
        thread.join()
        shutil.rmtree(folder, ignore_errors=True)
