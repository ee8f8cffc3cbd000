"""The command that brings what was recorded into a store."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from taskreel.app import BUSY, FAULTS, GOOD, JsonOption, app, duration_s, fail, store_at

if TYPE_CHECKING:
    from rich.console import Console

    from taskreel.capture.publisher.outcome import Progress, Summary
    from taskreel.capture.publisher.publish import PublishOptions
    from taskreel.capture.spool import Spool
    from taskreel.io.stores import Store

_GRACE_S = 2.0
"""What an upload gets to end by itself. It may then be broken off at any instruction: nothing is lost."""


@app.command(epilog="Example: taskreel publish --spool ~/.local/share/taskreel --to gs://lake/people --bandwidth 500k")
def publish(
    spool: Annotated[Path, typer.Option(help="The folder where a recorder leaves its segments.")],
    to: Annotated[str, typer.Option(metavar="PLACE", help="Where they go: a folder or gs://bucket/prefix.")],
    watch: Annotated[bool, typer.Option("--watch/--once", help="Go on for ever, or end after one round.")] = False,
    every: Annotated[str, typer.Option(help="With --watch: the pause between rounds, e.g. 30s or 5m.")] = "30s",
    bandwidth: Annotated[
        str, typer.Option(help="At most so many bytes a second, e.g. 500k or 2M.", show_default="no limit")
    ] = "",
    remove_sent: Annotated[
        bool, typer.Option("--remove-sent", help="Remove what the store has confirmed, instead of keeping it in sent/.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Send sealed segments to a store, each once and whole, the oldest first, and the consent records before them.

    A segment leaves the outbox only after the store has confirmed its checksum. May be stopped or killed at any time.
    """
    from taskreel.capture.publisher.bandwidth import bytes_per_s
    from taskreel.capture.publisher.publish import PublishOptions
    from taskreel.capture.spool import Spool, SpoolBusyError

    if not spool.is_dir():
        fail(f"--spool {spool}: there is no such folder")
    if not to.strip():
        fail("--to: a folder or a gs:// place is expected, not an empty text")
    store = store_at(to)
    try:
        limit = bytes_per_s("--bandwidth", bandwidth) if bandwidth else None
        every_s = duration_s("--every", every)
        if not every_s:
            raise ValueError(f"--every {every}: more than 0 is expected, such as 30s")
        options = PublishOptions(bandwidth_bytes_s=limit, remove_sent=remove_sent, every_s=every_s)
    except ValueError as error:
        fail(str(error))
    try:
        code = _publish(Spool(spool), store, options, is_watch=watch, is_json=json_)
    except SpoolBusyError as error:
        fail(f"{error}. Nothing was changed", BUSY)
    except ImportError as error:
        fail(f"publish needs a library that is missing (pip install 'taskreel[capture,gcp]'): {error}")
    except OSError as error:
        fail(f"{error.filename or f'--spool {spool}'}: {error.strerror or error}")
    raise typer.Exit(code)


def _publish(spool: Spool, store: Store, options: PublishOptions, *, is_watch: bool, is_json: bool) -> int:
    """The exit code. A watch that was stopped is good, whatever it met: it said so then."""
    from taskreel.capture.publisher.publish import publish_once, publish_watch

    with _display(spool, is_json) as show, _stop_signals() as stopped:
        try:
            if is_watch:
                publish_watch(spool, store, options, show, stopped, lambda summary: _tell_round(summary, is_json))
                return GOOD
            summary = publish_once(spool, store, options, show, stopped)
        except KeyboardInterrupt:
            print("taskreel: stopped in an upload, which is sent again; nothing is lost", file=sys.stderr)
            return GOOD if is_watch else FAULTS
    _tell(summary, is_json)
    return summary.exit_code


def _tell_round(summary: Summary, is_json: bool) -> None:
    """Of a watch: nothing while nothing happens; a problem is told with the pause that it makes."""
    if summary.fates:
        _tell(replace(summary, problem="") if not is_json else summary, is_json)


def _tell(summary: Summary, is_json: bool) -> None:
    if is_json:
        print(json.dumps({"summary": summary.facts()}), flush=True)
        return
    if summary.problem:
        print(f"taskreel: {summary.problem}", file=sys.stderr, flush=True)
    print(summary.line(), flush=True)


@contextlib.contextmanager
def _display(spool: Spool, is_json: bool) -> Iterator[Callable[[Progress], None]]:
    """What to call with progress: a bar on a terminal, a line for what a person has to know, JSON for each segment."""
    from rich.console import Console

    from taskreel.capture.publisher.outcome import CONFIRMED, Notice, Outcome, Sending

    console = Console(stderr=True)
    with _bar(console, spool) as advance:

        def show(progress: Progress) -> None:
            if isinstance(progress, Sending):
                advance(progress.size_bytes)
            elif isinstance(progress, Notice):
                print(f"taskreel: {progress.text}", file=sys.stderr, flush=True)
            elif is_json:
                print(json.dumps(progress.facts()), flush=True)
            elif isinstance(progress, Outcome) and progress.fate not in CONFIRMED:
                print(f"taskreel: {progress.segment}: {progress.fate}: {progress.reason}", file=sys.stderr, flush=True)

        yield show


@contextlib.contextmanager
def _bar(console: Console, spool: Spool) -> Iterator[Callable[[int], None]]:
    """What to call with bytes that go out; nothing is shown where no person looks."""
    if not console.is_terminal:
        yield lambda size_bytes: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("sending", total=spool.unsent_bytes())
        yield lambda size_bytes: bar.advance(task, size_bytes)


@contextlib.contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and Ctrl-C set. Who then waits for an answer of the store is broken off after a moment."""
    stopped = threading.Event()

    def stop(*_: object) -> None:
        stopped.set()
        signal.setitimer(signal.ITIMER_REAL, _GRACE_S)

    def break_off(*_: object) -> None:
        raise KeyboardInterrupt

    handlers = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGALRM: break_off}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield stopped
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
