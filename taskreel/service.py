"""Commands that run for long: watch, supervise."""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer

from taskreel.app import BUSY, JsonOption, app, duration_s, fail


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
