"""The command `taskreel`. Each command parses its options and hands over to the package; nothing is decided here.

Exit codes: 0 good, 1 faults found, 2 bad use or bad input, 3 busy (another run was faster; nothing was changed).
"""

from __future__ import annotations

import io
import json
import signal
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

import taskreel.capturing
import taskreel.planning
import taskreel.publishing
import taskreel.rehearsing
import taskreel.service
import taskreel.upkeep  # noqa: F401  they register their commands
from taskreel.app import (
    BUSY,
    FAULTS,
    GOOD,
    JsonOption,
    app,
    dataset_at,
    duration_s,
    fail,
    one_of,
    percents,
    store_at,
    time_us,
    without_warnings,
)


@app.command(epilog="Example: taskreel simulate --out out/people --participants 3 --minutes 20 --seed 1")
def simulate(
    out: Annotated[str, typer.Option(help="Folder or gs:// place for segments, consent records and truth/.")],
    participants: Annotated[int, typer.Option(help="How many people, e.g. 3.", min=1)] = 3,
    minutes: Annotated[float, typer.Option(help="How long each works, in minutes, e.g. 20.", min=1)] = 20.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes, e.g. 7.", min=0)] = 0,
    start: Annotated[str, typer.Option(help="When they begin, ISO 8601.")] = "2026-01-05T09:00:00Z",
    segment_minutes: Annotated[float, typer.Option(help="Length of a segment, e.g. 5.", min=1)] = 5.0,
    screens: Annotated[str, typer.Option(help="draw: every screen as it was; reuse: a few, fast.")] = "draw",
    devices: Annotated[int, typer.Option(help="Devices of each person, e.g. 2.", min=1)] = 1,
    clock_offset_s: Annotated[float, typer.Option(help="How far the clocks of all but the first are ahead.")] = 0.0,
    markers: Annotated[bool, typer.Option(help="Whether people mark their tasks.")] = True,
    json_: JsonOption = False,
) -> None:
    """Make a cohort of people who work at computers: segments, and the truth about what they did."""
    from dataclasses import asdict

    from taskreel.io.stores import StoreError

    try:
        from taskreel.capture.simulator import SimulationOptions, simulate
    except ImportError as error:
        fail(f"simulate needs the extra `simulate` (pip install 'taskreel[simulate]'): {error}")
    try:
        options = SimulationOptions(
            participants=participants,
            minutes=minutes,
            seed=seed,
            start_us=time_us("--start", start),
            segment_minutes=segment_minutes,
            screens=one_of(screens, "--screens", "draw", "reuse"),  # type: ignore[arg-type]
            devices=devices,
            clock_offset_s=clock_offset_s,
            markers=markers,
        )
    except ValueError as error:
        fail(str(error))
    try:
        summary = simulate(store_at(out), options)
    except StoreError as error:
        fail(f"{error}; choose an empty place, or the options it was made with")
    if json_:
        print(json.dumps(asdict(summary), sort_keys=True))
        return
    for name, value in asdict(summary).items():
        print(f"{name:14} {value}")
    print(f"\nnext: taskreel run --input {out} --output {out.rstrip('/')}-dataset")


@app.command(
    "import",
    epilog="Example: taskreel import owamcap recording.mcap --out out/people --layout de --grant",
    short_help="Turn recordings that others made into segments.",
)
def import_(
    format_: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT",
            help="ducktrack (AgentNet, too), owamcap, evemu, or libinput (made with `libinput record`).",
        ),
    ],
    src: Annotated[list[Path], typer.Argument(help="Folder or files of one session. They become one recording.")],
    out: Annotated[str, typer.Option(help="Folder or gs:// place for the segments.")],
    consent: Annotated[str, typer.Option(help="Id of the consent record under which it may be used.")] = "imported",
    participant: Annotated[str, typer.Option(help="Pseudonym of the person, lower-case letters and digits.")] = "guest",
    region: Annotated[str, typer.Option(help="Where it was recorded, for the consent policy, e.g. us.")] = "us",
    layout: Annotated[
        str | None,
        typer.Option(help="Keyboard layout, where keys are bare codes, e.g. de; without it, us and flagged."),
    ] = None,
    segment_minutes: Annotated[float, typer.Option(help="Length of a segment, e.g. 5.", min=0.1)] = 5.0,
    grant: Annotated[bool, typer.Option(help="Also write a consent record: you vouch that the person agreed.")] = False,
    json_: JsonOption = False,
) -> None:
    """Turn a recording that others made into segments.

    Lines that cannot be read are counted and listed, and do not stop the rest: the exit code is 0.
    """
    from taskreel.capture.importers.consent import settle_consent
    from taskreel.capture.importers.foreign import ForeignRecordingError, ImportOptions
    from taskreel.capture.importers.formats import FORMATS, MissingLibraryError, import_recording
    from taskreel.capture.importers.report import bad_line_report, facts, page
    from taskreel.capture.segmenter import publish, segments
    from taskreel.io.names import SegmentNameError
    from taskreel.io.stores import StoreError

    if not segment_minutes < float("inf"):
        fail(f"--segment-minutes {segment_minutes}: a number of minutes is expected, such as 5")
    try:
        options = ImportOptions(consent, participant, region, layout)
        imported = import_recording(one_of(format_, "FORMAT", *FORMATS), src, options)
        store = store_at(out)
        if imported.events.num_rows:
            settle_consent(store, imported.header, imported.events, grant=grant, as_of_us=time.time_ns() // 1000)
        names = publish(store, segments(imported.header, imported.events, minutes=segment_minutes))
    except (ForeignRecordingError, MissingLibraryError, SegmentNameError, StoreError, ValueError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{out}: cannot be written ({error.strerror})")
    print(json.dumps(facts(imported, len(names)), sort_keys=True) if json_ else page(imported, len(names)))
    for line in bad_line_report(imported):
        print(line, file=sys.stderr)
    if not json_:
        print(f"\nnext: {_after_import(out, consent, bool(names), grant)}")


def _after_import(out: str, consent: str, published: bool, granted: bool) -> str:
    if not published:
        return "nothing was published; a recording without events has no segments"
    remark = "" if granted else f"   # uses it only with a consent record {consent} in {out}; --grant writes one"
    return f"taskreel run --input {out} --output {out.rstrip('/')}-dataset{remark}"


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example: taskreel run --input out/people --output out/dataset --direct_num_workers=2 "
    "--direct_running_mode=multi_processing",
)
def run(
    context: typer.Context,
    input_: Annotated[
        str, typer.Option("--input", help="Folder or gs:// place of segments, or a glob in segments/v1/.")
    ],
    output: Annotated[str, typer.Option(help="Folder or gs:// place of the dataset.")],
    as_of: Annotated[
        str | None, typer.Option(help="Decide consent and future times as of then, ISO 8601. [now]")
    ] = None,
    from_: Annotated[str | None, typer.Option("--from", help="Segments that begin then or later, ISO 8601.")] = None,
    until: Annotated[str | None, typer.Option(help="Segments that begin before then, ISO 8601.")] = None,
    participants: Annotated[str, typer.Option(help="Only these pseudonyms, e.g. p1,p2.")] = "",
    allow_region_transfer: Annotated[
        bool,
        typer.Option("--allow-region-transfer", help="On Dataflow: a --region that consent records do not name."),
    ] = False,
    session_gap_s: Annotated[float, typer.Option(help="A longer pause in activity ends a session.")] = 600.0,
    clock_correction_s: Annotated[float, typer.Option(help="Largest correction of a device's clock.")] = 60.0,
    longest_span_h: Annotated[float, typer.Option(help="Longer spans are cut on a UTC grid of this length.")] = 12.0,
    max_episode_steps: Annotated[int, typer.Option(help="Episodes with more steps are cut.")] = 2000,
    max_episode_minutes: Annotated[float, typer.Option(help="Longer episodes are cut.")] = 60.0,
    min_episode_steps: Annotated[int, typer.Option(help="Unmarked pieces with fewer steps are residue.")] = 2,
    keep_moves: Annotated[bool, typer.Option("--keep-moves", help="Every rest of the pointer is a moveTo.")] = False,
    resolve_edits: Annotated[bool, typer.Option("--resolve-edits", help="Apply backspaces to texts.")] = False,
    rule: Annotated[
        list[str] | None,
        typer.Option(help="Change a rule's threshold, e.g. drag_px=12; see docs/actions.md, docs/episodes.md."),
    ] = None,
    target_shard_mb: Annotated[float, typer.Option(help="Shards a split = listed size / this, rounded up.")] = 256.0,
    row_group_rows: Annotated[int, typer.Option(help="Most rows of a row group.")] = 100,
    row_group_mb: Annotated[float, typer.Option(help="Most distinct pictures of a row group, in MB.")] = 32.0,
    split_percent: Annotated[str, typer.Option(help="Shares of train, validation, test by participant.")] = "90,5,5",
    prefetch: Annotated[int, typer.Option(help="Requests under way at once in each worker, on gs://.")] = 16,
    incremental: Annotated[
        bool, typer.Option("--incremental", help="Add what the dataset does not list yet; what may still grow waits.")
    ] = False,
    final: Annotated[
        bool, typer.Option("--final", help="With --incremental: nothing more is expected; close what is open.")
    ] = False,
    publish_deadline: Annotated[
        str, typer.Option(help="With --incremental, --streaming: clients publish within this time, e.g. 15m.")
    ] = "15m",
    lateness_h: Annotated[
        float,
        typer.Option(help="With --incremental: list days so much older. With --streaming: spans stay open so long."),
    ] = 48.0,
    rescan_days: Annotated[
        int, typer.Option(help="With --incremental: list so many still older days, others each time.")
    ] = 10,
    rescan: Annotated[bool, typer.Option("--rescan", help="With --incremental: list every day.")] = False,
    retry_dead: Annotated[
        bool, typer.Option("--retry-dead", help="With --incremental: look at every dead letter again.")
    ] = False,
    streaming: Annotated[
        bool, typer.Option("--streaming", help="Add what is published from now on, until it is stopped.")
    ] = False,
    poll_every: Annotated[str, typer.Option(help="With --streaming: look for new segments so often.")] = "30s",
    close_every: Annotated[
        str, typer.Option(help="With --streaming: close a shard so long after its first episode.")
    ] = "60s",
    commit_every: Annotated[str, typer.Option(help="With --streaming: the pause between two commits.")] = "5s",
    reconcile_every: Annotated[
        str, typer.Option(help="With --streaming: look at days that are over so often, for what came after all.")
    ] = "1h",
    writers: Annotated[int, typer.Option(help="With --streaming: open shards of a split.", min=1)] = 4,
    clock: Annotated[
        str | None,
        typer.Option(help="With --streaming: a trial's time, SHOWN@REAL*RATE, such as …T09:00:00Z@…T12:00:00Z*600."),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Make a dataset of segments. Any option of Beam passes through, e.g. --runner=DataflowRunner --project=p."""
    without_warnings()
    from taskreel.pipelines.options import IncrementalOptions, RunOptions, RunPlaces, StreamingOptions, with_rules
    from taskreel.transforms.actions import ActionOptions
    from taskreel.transforms.episodes import EpisodeOptions

    try:
        news = IncrementalOptions(
            publish_deadline_s=duration_s("--publish-deadline", publish_deadline),
            lateness_h=lateness_h,
            rescan_days=rescan_days,
            rescan=rescan,
            retry_dead=retry_dead,
            final=final,
        )
        stream = StreamingOptions(
            publish_deadline_s=duration_s("--publish-deadline", publish_deadline),
            lateness_h=lateness_h,
            poll_every_s=duration_s("--poll-every", poll_every),
            close_every_s=duration_s("--close-every", close_every),
            commit_every_s=duration_s("--commit-every", commit_every),
            reconcile_every_s=duration_s("--reconcile-every", reconcile_every),
            reconcile_days=rescan_days,
            writers=writers,
            clock=_clock(clock),
        )
        _check_way(incremental, news, streaming, stream)
        if streaming and as_of:
            raise ValueError("--as-of: a stream goes by the store's time")
        places = RunPlaces(
            input_,
            output,
            time_us("--as-of", as_of) if as_of else stream.clock.now_us() if stream.clock else _store_time_us(input_),
            time_us("--from", from_) if from_ else None,
            time_us("--until", until) if until else None,
            tuple(name for name in participants.split(",") if name),
            allow_region_transfer,
        )
        options = RunOptions(
            session_gap_s=session_gap_s,
            clock_correction_s=clock_correction_s,
            longest_span_h=longest_span_h,
            **with_rules(
                rule or (),
                ActionOptions(keep_moves=keep_moves, resolve_edits=resolve_edits),
                EpisodeOptions(
                    max_steps=max_episode_steps, max_minutes=max_episode_minutes, min_steps=min_episode_steps
                ),
            ),
            target_shard_mb=target_shard_mb,
            row_group_rows=row_group_rows,
            row_group_mb=row_group_mb,
            split_percent=percents(split_percent),
            prefetch=prefetch,
        )
    except ValueError as error:
        fail(str(error))
    from taskreel.pipelines.runners import TemplateStagedError

    try:
        if streaming:
            _stream(places, options, stream, context.args, json_)
        else:
            _run(places, options, news if incremental else None, context.args, json_)
    except TemplateStagedError as staged:
        print(f"taskreel: {staged}", file=sys.stderr)


def _clock(text: str | None) -> Any:
    from taskreel.io.times import Clock

    try:
        return Clock.parse(text) if text else None
    except ValueError as error:
        raise ValueError(f"--clock {error}") from None


def _check_way(incremental: bool, news: Any, streaming: bool, stream: Any) -> None:
    """Raise `ValueError` for options that would have no effect."""

    if incremental and streaming:
        raise ValueError("--incremental and --streaming: one of them")
    shared = {"publish_deadline_s": news.publish_deadline_s, "lateness_h": news.lateness_h}
    rescanned = {"rescan_days": news.rescan_days}
    of_both = type(news)(**shared, **rescanned)
    if not incremental and news != (of_both if streaming else type(news)()):
        raise ValueError(
            "--final, --rescan and --retry-dead need --incremental; "
            "--publish-deadline, --lateness-h and --rescan-days need it or --streaming"
        )
    if not streaming and stream != type(stream)(**shared, reconcile_days=news.rescan_days):
        raise ValueError(
            "--poll-every, --close-every, --commit-every, --reconcile-every, --writers and --clock need --streaming"
        )


def _store_time_us(input_: str) -> int:
    from taskreel.io.stores import StoreError
    from taskreel.transforms.discover import Selection

    try:
        return int(store_at(Selection.of_input(input_).root).now_us())
    except StoreError as error:
        fail(str(error))


def _run(places: Any, options: Any, incremental: Any, beam_args: list[str], json_: bool) -> None:
    from rich.console import Console

    from taskreel.io import dataset as datasets
    from taskreel.io.stores import StoreError
    from taskreel.pipelines.errors import JobFailedError, LaunchError, LostRaceError
    from taskreel.pipelines.launch import launch
    from taskreel.pipelines.summary import facts, nothing_new, print_summary, run_facts
    from taskreel.pipelines.terminal import progress_display

    console = Console(stderr=True)
    try:
        with progress_display(console) as show:
            outcome = launch(places, options, beam_args, incremental=incremental, on_progress=show)
    except (LaunchError, StoreError) as error:
        fail(str(error))
    except LostRaceError as error:
        fail(str(error), BUSY)
    except JobFailedError as error:
        fail(str(error), FAULTS)
    of_run = {"wall_s": round(outcome.wall_s, 3), "run_id": outcome.run_id, "new": outcome.is_new}
    if not outcome.is_new:
        found = {"version": outcome.version, "waiting": outcome.waiting}
        print(json.dumps(found | of_run, sort_keys=True) if json_ else nothing_new(places.output, outcome))
        return
    dataset = datasets.open(places.output, outcome.version)
    values = run_facts(dataset) if incremental else facts(dataset)  # an incremental run costs what is new
    if json_:
        print(json.dumps(values | of_run, sort_keys=True))
    else:
        print_summary(dataset, values, Console(), wall_s=outcome.wall_s)
    if dataset.report().get("imbalances"):
        raise typer.Exit(FAULTS)


def _stream(places: Any, options: Any, stream: Any, beam_args: list[str], json_: bool) -> None:
    from rich.console import Console

    from taskreel.io.stores import StoreError
    from taskreel.pipelines.errors import JobFailedError, LaunchError
    from taskreel.pipelines.launch import launch_stream
    from taskreel.pipelines.terminal import progress_display

    signal.signal(signal.SIGINT, _interrupted)
    try:
        with progress_display(Console(stderr=True)) as show:
            commit = launch_stream(places, options, stream, beam_args, on_progress=show)
    except (LaunchError, StoreError) as error:
        fail(str(error))
    except JobFailedError as error:
        fail(str(error), FAULTS)
    except KeyboardInterrupt:
        print("taskreel: stopped; what is committed stays, and the next start goes on from it", file=sys.stderr)
        return
    version = commit and commit.version
    page = f"the stream has ended; {places.output} is at version {version}"
    print(json.dumps({"version": version}) if json_ else page)


def _interrupted(*_: object) -> None:
    """Beam's threads would mourn the runner that ends now."""
    import logging
    import threading

    logging.disable()
    threading.excepthook = lambda _: None
    raise KeyboardInterrupt


@app.command(epilog="Example: taskreel inspect out/dataset --json")
def inspect(
    path: Annotated[str, typer.Argument(help="A segment, a folder of segments, or a dataset; a folder or gs://.")],
    version: Annotated[int | None, typer.Option(help="Version of the dataset. [the latest]", min=0)] = None,
    json_: JsonOption = False,
) -> None:
    """Say what a segment, a folder of segments or a dataset holds."""
    from rich.console import Console

    from taskreel.io.segments import SegmentError
    from taskreel.io.stores import StoreError
    from taskreel.pipelines import inspection

    try:
        found = inspection.inspect(path, version)
    except (FileNotFoundError, NotADirectoryError, StoreError) as error:
        fail(str(error))
    except SegmentError as error:
        fail(f"{path}: {error}", FAULTS)
    if json_:
        print(json.dumps(found.values, sort_keys=True))
    else:
        Console().print(found.page())


@app.command(epilog="Example: taskreel verify out/dataset")
def verify(
    path: Annotated[str, typer.Argument(help="A dataset; a folder or gs:// place.")],
    version: Annotated[int | None, typer.Option(help="Version of the dataset. [the latest]", min=0)] = None,
    repair: Annotated[
        bool, typer.Option(help="First publish what a killed run committed but did not publish.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Check a dataset: checksums, counts, schema, order, whole episodes, disjoint splits. Exit 1 if it has faults."""
    from itertools import islice

    from taskreel.io.card import write_card
    from taskreel.io.tables import publish_steps
    from taskreel.io.verify import faults

    dataset = dataset_at(path, version)
    if repair:
        publish_steps(dataset.store)
        write_card(dataset.store)
    found = list(islice(faults(dataset), 11))
    if json_:
        print(json.dumps({"version": dataset.version, "faults": found[:10], "more": len(found) > 10}))
    else:
        for fault in found[:10]:
            print(fault)
        if len(found) > 10:
            print("… and more")
        print(
            f"{path}: version {dataset.version}, {len(dataset.shards())} shards, {'FAULTS' if found else 'no faults'}"
        )
    raise typer.Exit(FAULTS if found else GOOD)


@app.command(
    epilog="Examples: taskreel evaluate --truth out/people --dataset out/people-dataset; "
    "taskreel evaluate --concat out/one out/two out/three"
)
def evaluate(
    folders: Annotated[
        list[str] | None, typer.Argument(help="With --concat: folders of separately recorded segments.")
    ] = None,
    truth: Annotated[str | None, typer.Option(help="Where `simulate` wrote truth/, or that folder itself.")] = None,
    dataset: Annotated[str | None, typer.Option(help="The dataset that was made of the same input.")] = None,
    version: Annotated[int | None, typer.Option(help="Version of the dataset. [the latest]", min=0)] = None,
    concat: Annotated[bool, typer.Option("--concat", help="Join recordings at random and score the cuts.")] = False,
    repeats: Annotated[int, typer.Option(help="With --concat: how often they are joined, e.g. 10.", min=1)] = 10,
    seed: Annotated[int, typer.Option(help="With --concat: the same seed, the same joins.", min=0)] = 0,
    as_of: Annotated[str | None, typer.Option(help="With --concat: decide consent as of then, ISO 8601. [now]")] = None,
    rule: Annotated[
        list[str] | None, typer.Option(help="With --concat: change a rule, e.g. residue_seconds=5, as for run.")
    ] = None,
    min_f1: Annotated[float | None, typer.Option(help="Exit 1 if F1 within 2 s is less, e.g. 0.9.")] = None,
    min_f1_30s: Annotated[float | None, typer.Option(help="Exit 1 if F1 within 30 s is less.")] = None,
    min_actions: Annotated[
        float | None, typer.Option(help="Exit 1 if fewer truth actions, or steps, are exact, e.g. 0.995.")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Score a dataset against the truth of its input, or the cuts of joined recordings, beside baselines."""
    without_warnings()
    from taskreel.io.stores import StoreError
    from taskreel.pipelines.evaluation import EvaluationError, shortfalls

    if rule and not concat:
        fail("--rule is for --concat; a dataset has the rules that it was made by")
    _check_evaluation(folders, truth, dataset, concat, min_actions)
    for option, least in (("--min-f1", min_f1), ("--min-f1-30s", min_f1_30s), ("--min-actions", min_actions)):
        if least is not None and not 0 <= least < float("inf"):
            fail(f"{option} {least}: a share from 0 to 1 is expected, such as 0.9")
    try:
        if concat:
            values = _evaluate_joined(folders or [], repeats, seed, as_of, rule or [])
        else:
            values = _evaluate_dataset(str(truth), str(dataset), version)
    except (EvaluationError, FileNotFoundError, NotADirectoryError, StoreError) as error:
        fail(str(error))
    if json_:
        print(json.dumps(values, sort_keys=True))
    else:
        from rich.console import Console

        from taskreel.pipelines.evaluation_page import render

        Console().print(render(values), highlight=False)
    below = shortfalls(values, min_f1=min_f1, min_f1_30s=min_f1_30s, min_actions=min_actions)
    for line in below:
        print(f"taskreel: {line}", file=sys.stderr)
    raise typer.Exit(FAULTS if below else GOOD)


def _check_evaluation(
    folders: list[str] | None, truth: str | None, dataset: str | None, concat: bool, min_actions: float | None
) -> None:
    if concat and (truth or dataset or min_actions is not None):
        fail("--concat scores cuts of joined recordings; it takes no --truth, --dataset or --min-actions")
    if concat and len(set(folders or ())) < len(folders or ()):
        fail("--concat: a folder is named twice; a recording cannot be joined with itself")
    if concat and not folders:
        fail("--concat needs folders of segments, such as: taskreel evaluate --concat out/one out/two")
    if not concat and folders:
        fail(f"{folders[0]}: folders are for --concat; a dataset is given by --dataset")
    if not concat and not (truth and dataset):
        fail("--truth and --dataset are needed, or --concat and folders")


def _evaluate_dataset(truth: str, dataset: str, version: int | None) -> dict[str, Any]:
    from taskreel.pipelines.evaluation import evaluate
    from taskreel.transforms.evaluation.cuts import CutOptions

    return evaluate(truth, dataset, version, CutOptions())


def _evaluate_joined(
    folders: list[str], repeats: int, seed: int, as_of: str | None, rules: list[str]
) -> dict[str, Any]:
    from taskreel.pipelines.evaluation import ConcatOptions, evaluate_joined
    from taskreel.pipelines.options import RunOptions, with_rules
    from taskreel.transforms.evaluation.cuts import CutOptions

    try:
        as_of_us = time_us("--as-of", as_of) if as_of else time.time_ns() // 1000
        run = RunOptions()
        build = RunOptions(**with_rules(rules, run.actions, run.episodes)).build
    except ValueError as error:
        fail(str(error))
    return evaluate_joined(folders, ConcatOptions(repeats, seed, as_of_us, build), CutOptions())


def main(args: list[str] | None = None) -> None:
    """Run the command line. What a terminal cannot show is shown as `?`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    app(args)


if __name__ == "__main__":
    main()
