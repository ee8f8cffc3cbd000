"""Commands that run for long: watch, supervise."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taskreel.app import BUSY, FAULTS, GOOD, JsonOption, app, duration_s, fail, without_warnings

if TYPE_CHECKING:
    from taskreel.pipelines.watch import Cycle


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example: taskreel watch --input out/people --output out/dataset --every 60s --port 9464",
)
def watch(
    context: typer.Context,
    input_: Annotated[
        str, typer.Option("--input", help="Folder or gs:// place of segments, or a glob in segments/v1/.")
    ],
    output: Annotated[str, typer.Option(help="Folder or gs:// place of the dataset.")],
    every: Annotated[str, typer.Option(help="From the start of one run to that of the next, e.g. 60s or 15m.")] = "60s",
    port: Annotated[
        int | None, typer.Option(help="Answer /healthz and /metrics there, on 127.0.0.1, e.g. 9464.", min=0, max=65535)
    ] = None,
    cycles: Annotated[int | None, typer.Option(help="End after so many runs. [never]", min=1)] = None,
    lateness_h: Annotated[float, typer.Option(help="List days so much older, as `run --incremental` does.")] = 48.0,
    json_: JsonOption = False,
) -> None:
    """Run `taskreel run --incremental` every so often, and say how it stands. Any other option goes to these runs.

    SIGTERM and Ctrl-C end it between two runs, or stop the run, which then has changed nothing. The exit code is 1 if
    the last of --cycles runs had failed, and 2 if the first is badly used.
    """
    without_warnings()
    from rich.console import Console

    from taskreel.pipelines import watch as watching
    from taskreel.pipelines.processes import stop_signals
    from taskreel.pipelines.terminal import line_display

    try:
        options = watching.WatchOptions(input_, output, duration_s("--every", every), cycles, lateness_h)
    except ValueError as error:
        fail(str(error))
    run = ["run", "--incremental", "--json", "--input", input_, "--output", output, "--lateness-h", str(lateness_h)]
    with stop_signals() as stopped, _telemetry(options.every_s, port) as observe, line_display(Console()) as show:

        def say(cycle: Cycle) -> None:
            if json_:
                print(json.dumps(watching.facts(cycle), sort_keys=True), flush=True)
            else:
                show(watching.line(cycle))

        last = watching.watch(taskreel_command([*run, *context.args]), options, stopped, (observe, say))
    if last.outcome == watching.BAD_USE:
        fail(last.error)
    raise typer.Exit(GOOD if last.is_good or last.outcome == watching.STOPPED else FAULTS)


@contextmanager
def _telemetry(every_s: float, port: int | None) -> Iterator[Callable[[Cycle], None]]:
    """What is told of each cycle, so that monitors can ask; nothing without a port."""
    if port is None:
        yield lambda cycle: None
        return
    try:
        from taskreel.pipelines.telemetry import Telemetry, served
    except ImportError as error:
        fail(f"--port needs the extra `watch` (pip install 'taskreel[watch]'): {error}")
    telemetry = Telemetry(every_s)
    try:
        server = served(telemetry, port)
    except OSError as error:
        fail(f"--port {port}: cannot be used ({error.strerror}); choose another")
    with server as chosen:
        print(f"taskreel: http://127.0.0.1:{chosen}/healthz and /metrics", file=sys.stderr, flush=True)
        yield telemetry.ended


@app.command(
    epilog="Example: taskreel supervise -- run --streaming --runner=PrismRunner --input out/people --output out/dataset"
)
def supervise(
    job: Annotated[list[str], typer.Argument(metavar="-- run …", help="The command that is kept alive, after a --.")],
    max_failures: Annotated[
        int, typer.Option(help="Give up at so many failures within --window, e.g. 10.", min=1)
    ] = 10,
    window: Annotated[str, typer.Option(help="The time in which failures are counted, e.g. 1h.")] = "1h",
    backoff: Annotated[
        str, typer.Option(help="The first pause; each further one is twice as long, at most 1m.")
    ] = "1s",
    healthy: Annotated[str, typer.Option(help="A job that ran so long begins again with the first pause.")] = "1m",
    grace: Annotated[str, typer.Option(help="What a job gets to end by itself when this is stopped.")] = "10s",
    state: Annotated[
        Path | None,
        typer.Option(help="File for what happens, as JSON lines; also the lock. [one for each output, of this user]"),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Keep a streaming job alive on one machine: start it again when it fails, with growing pauses and a limit.

    A job that ends well or is badly used (exit code 2) is not started again. SIGTERM and Ctrl-C end it and all that it
    started.
    """
    from taskreel.pipelines.supervise import AlreadySupervisedError, RestartOptions, line
    from taskreel.pipelines.supervise import supervise as keep_alive

    if job[0] != "run":
        fail(f"supervise keeps `taskreel run` alive, not {job[0]}: taskreel supervise -- run --streaming …")
    try:
        options = RestartOptions(
            max_failures=max_failures,
            window_s=duration_s("--window", window),
            backoff_s=duration_s("--backoff", backoff),
            healthy_s=duration_s("--healthy", healthy),
            grace_s=duration_s("--grace", grace),
        )
    except ValueError as error:
        fail(str(error))

    def report(event: dict[str, Any]) -> None:
        if json_:
            print(json.dumps(event), flush=True)
        else:
            print(f"taskreel: {line(event, options)}", file=sys.stderr, flush=True)

    stdio = {"stdout": sys.stderr} if json_ else {}
    try:
        code = keep_alive(taskreel_command(job), options, state or _state_of(job), report, **stdio)
    except AlreadySupervisedError as error:
        fail(str(error), BUSY)
    except OSError as error:
        fail(f"--state {state or _state_of(job)}: {error.strerror}")
    raise typer.Exit(code)


def taskreel_command(args: list[str]) -> list[str]:
    """`taskreel …` as a process of its own, of the very installation that is running."""
    return [sys.executable, "-m", "taskreel", *args]


def _state_of(job: list[str]) -> Path:
    """One file for each output: whatever else a job's options say, two must not be at work on one dataset."""
    import hashlib
    import os

    output = _option(job, "--output") or " ".join(job)
    place = output if "://" in output else str(Path(output).absolute())
    folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "taskreel"
    return folder / f"supervise-{hashlib.sha256(place.encode()).hexdigest()[:12]}.jsonl"


def _option(args: list[str], name: str) -> str | None:
    """The value that an option has last among arguments, as NAME VALUE or NAME=VALUE."""
    values = [arg.partition("=")[2] for arg in args if arg.startswith(f"{name}=")]
    values += [value for arg, value in pairwise(args) if arg == name]
    return values[-1] if values else None
