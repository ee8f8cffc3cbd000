"""The commands that play a launch in the cloud on this machine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from taskreel.app import FAULTS, GOOD, JsonOption, app, duration_s, fail, without_warnings

if TYPE_CHECKING:
    from taskreel.rehearsal.dataflow import Report
    from taskreel.rehearsal.launcher import Launch

rehearse = typer.Typer(name="rehearse", help="Play a launch in the cloud on this machine.", no_args_is_help=True)
app.add_typer(rehearse)

_BUILT = ".cache/bin/prism"
"""Where `make prism` leaves it."""


@rehearse.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example: taskreel rehearse dataflow --input out/people --output out/rehearsed --setup_file=./setup.py",
)
def dataflow(
    context: typer.Context,
    input_: Annotated[
        str,
        typer.Option("--input", help="Folder of segments; or the gs:// place of the real launch, with --sample."),
    ] = "",
    output: Annotated[
        str,
        typer.Option(help="Folder of the dataset, which may be there already; or the gs:// place of the real launch."),
    ] = "",
    sample: Annotated[
        Path | None, typer.Option(help="With --input gs://…: the folder of segments that is put there, e.g. a day.")
    ] = None,
    main: Annotated[
        Path | None, typer.Option(help="Rehearse this Python program, which takes Beam's options, in place of run.")
    ] = None,
    worker_processes: Annotated[
        int, typer.Option(help="Spread the steps over so many processes, e.g. 3.", min=1, max=20)
    ] = 2,
    patience: Annotated[str, typer.Option(help="So long each part may take, e.g. 10m.")] = "10m",
    prism: Annotated[
        str, typer.Option(help="Prism's binary.", show_default="$TASKREEL_PRISM, .cache/bin/prism, or from PATH")
    ] = "",
    json_: JsonOption = False,
) -> None:
    """Launch on Dataflow, with stand-ins of the service and the store: no account, nothing is sent to the cloud.

    The real DataflowRunner submits. The request is checked, the package is installed into a fresh environment, and the
    job runs there with what was staged, and nothing else. Give it the options of the real launch: those of `taskreel
    run`, and Beam's. A stream is stopped, and started once more. Exit code 1 if the launch would have failed.
    """
    import logging
    import threading

    without_warnings()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started ends, as by Ctrl-C
    logging.disable()  # Beam's servers mourn each job that fails; what is wrong is in the report
    threading.excepthook = lambda _: None  # and so do its threads, each runner that ends
    try:
        from taskreel.rehearsal import places
        from taskreel.rehearsal.dataflow import rehearse as play
        from taskreel.rehearsal.launcher import RehearsalError
    except ImportError as error:
        fail(f"rehearse needs the extra `rehearse` (pip install 'taskreel[rehearse]'): {error}")
    launch, folder = _launch(context.args, input_, output, sample, main, patience, prism)
    launch = replace(launch, worker_processes=worker_processes)
    before = places.files_below(folder)
    say = (lambda name: None) if json_ else (lambda name: print(f"taskreel: {name} …", file=sys.stderr, flush=True))
    try:
        report, objects = play(launch, say)
    except RehearsalError as error:
        fail(str(error))
    report = _in_given_places(report, launch, input_ if not sample else "", folder)
    deleted = [path for name, path in before if name not in objects]
    found, dataset_faults = ("", []) if report.faults or main else _written(objects, deleted, folder, launch.sample)
    faults = report.faults + dataset_faults
    _print(report, faults, found, folder, json_)
    raise typer.Exit(FAULTS if faults else GOOD)


def _launch(
    args: list[str], input_: str, output: str, sample: Path | None, main: Path | None, patience: str, prism: str
) -> tuple[Launch, Path | None]:
    """The launch, and the folder for its dataset."""
    from taskreel.rehearsal.launcher import Launch, of_taskreel_run

    try:
        patience_s = duration_s("--patience", patience)
    except ValueError as error:
        fail(str(error))
    if main is not None:
        if not main.is_file():
            fail(f"--main {main}: there is no such file")
        own = [f"--{name}={place}" for name, place in (("input", input_), ("output", output)) if place]
        return Launch((sys.executable, str(main)), (*args, *own), _prism(prism), patience_s=patience_s), None
    if not input_ or not output:
        fail("--input and --output: where the segments are, and where the dataset goes (or --main, another program)")
    folder = None if output.startswith("gs://") else Path(output)
    if folder:
        _check_output(output)
    found, below = _sample(input_, sample)
    launch = Launch((), tuple(args), _prism(prism), sample=found, before=folder, patience_s=patience_s)
    where = input_ if sample else f"{launch.input}/{below}".rstrip("/")
    return of_taskreel_run(launch, where, launch.output if folder else output), folder


def _check_output(output: str) -> None:
    """End with one line if the dataset cannot go there: before the folder is read, as it may be a large other one."""
    from taskreel.io.stores import StoreError, open_store
    from taskreel.pipelines.errors import LaunchError
    from taskreel.pipelines.launch import check_output

    try:
        store = open_store(output)
        store.check_access(writes=True)
        check_output(store)
    except StoreError as error:
        fail(f"--output {error}")
    except LaunchError as error:
        fail(str(error))


def _sample(input_: str, sample: Path | None) -> tuple[Path, str]:
    """The folder that is put into the store, and what of it is the input: "" for all, or a glob below."""
    from taskreel.transforms.discover import Selection

    if input_.startswith("gs://") and sample is None:
        fail(f"--input {input_}: a rehearsal reads nothing from the cloud; give --sample, a folder of segments")
    if sample is not None and not input_.startswith("gs://"):
        fail(f"--sample {sample}: is for an --input in gs://; {input_} is put there as it is")
    root = str(sample or Selection.of_input(input_).root)
    if not Path(root).is_dir():
        wrong = "is a file, not a folder" if Path(root).exists() else "there is no such folder"
        fail(f"{'--sample' if sample else '--input'} {root}: {wrong}")
    return Path(root), "" if sample else input_.removeprefix(root).lstrip("/")


def _prism(named: str) -> str:
    """Where Prism's binary is likely to be."""
    built = _BUILT if Path(_BUILT).is_file() else None
    return named or os.environ.get("TASKREEL_PRISM") or built or shutil.which("prism") or _BUILT


def _in_given_places(report: Report, launch: Launch, input_: str, folder: Path | None) -> Report:
    """What is wrong, said of the folders that were given, not of the places in the stand-in that hold their files."""
    from taskreel.rehearsal.dataflow import Report
    from taskreel.transforms.discover import Selection

    given = {launch.input: Selection.of_input(input_).root} if input_ else {}
    given |= {launch.output: str(folder)} if folder else {}

    def said(fault: str) -> str:
        for place, of_person in given.items():
            fault = fault.replace(place, of_person)
        return fault

    return Report([replace(part, faults=tuple(map(said, part.faults))) for part in report.parts])


def _written(
    objects: dict[str, bytes], deleted: list[Path], folder: Path | None, sample: Path | None
) -> tuple[str, list[str]]:
    """Write the dataset into the folder; what is in it, and what is wrong with it."""
    import tempfile

    from taskreel.io import dataset as datasets
    from taskreel.io.verify import faults
    from taskreel.rehearsal.places import write

    with tempfile.TemporaryDirectory(prefix="taskreel-rehearsed-") as temporary:
        place = folder or Path(temporary)
        write(objects, deleted, place)
        try:
            dataset = datasets.open(str(place))
        except FileNotFoundError:
            return "", ["the job has ended well, and there is no dataset at --output"]
        names = {name for row in dataset.episodes().column("segments").to_pylist() for name in row}
        files = len(list((sample or place).glob("segments/v1/**/*.parquet")))
        page = f"version {dataset.version} of the dataset holds {len(names)} of {files} segments"
        wrong = [f"the dataset: {fault}" for fault in faults(dataset)]
        if not names:
            wrong.append(
                "no segment of the sample was used, so little was rehearsed: are they damaged, without consent, or, "
                "for a stream, older than --lateness-h?"
            )
        return page, wrong


def _print(report: Report, faults: list[str], found: str, folder: Path | None, json_: bool) -> None:
    if json_:
        values = {"parts": [asdict(part) for part in report.parts], "faults": faults, "dataset": found}
        print(json.dumps(values, sort_keys=True))
        return
    for part in report.parts:
        print(f"{'FAULT' if part.faults else 'good':6} {part.wall_s:6.1f} s  {part.name}")
    for fault in faults:
        print(f"\n{fault}")
    if found:
        print(f"{'FAULT' if faults else 'good':6} {'':8}  {found}")
    if not faults:
        print(
            "\nThis launch would go well, as far as it can be seen here; docs/rehearsal.md says what is not rehearsed."
        )
    if not faults and folder:
        print(f"next: taskreel inspect {folder}")
