"""The launch that is rehearsed: a program and its options, and the real process that runs it against the stand-ins."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from taskreel.pipelines.processes import MARK, sweep
from taskreel.rehearsal.environment import cache_folder
from taskreel.rehearsal.places import files_below, halves
from taskreel.rehearsal.remedies import explained
from taskreel.transforms.discover import Selection

BUCKET = "taskreel-rehearsal"
PLACE = f"gs://{BUCKET}"
_DEFAULTS = ("--project=rehearsal", "--region=us-central1", f"--temp_location={PLACE}/temp")
_DOWNLOADS = "beam-requirements-cache"
"""Beam's name for it, below the folder for temporary files."""
_IMAGE = "--sdk_container_image"
_OF_THE_REHEARSAL = ("--dataflow_endpoint", "--no_auth")
_OF_OTHER_JOBS = {
    "--update": "there is no job here that runs",
    "--create_from_snapshot": "there is no snapshot here",
    "--template_location": "it describes a job, and launches none",
    "--dry_run": "it launches no job",
}
"""Options for which there is no job to rehearse, and why."""


class RehearsalError(ValueError):
    """A rehearsal that cannot be: one line that says what is wrong and what to do."""


@dataclass(frozen=True)
class Launch:
    """What is rehearsed: a program, its options, and what lies in the store when it begins."""

    main: tuple[str, ...]
    """The command, up to its options: of `taskreel run`, or of a program that takes Beam's options."""
    options: tuple[str, ...]
    prism: str
    """Prism's binary."""
    sample: Path | None = None
    """A folder with segments and consent records."""
    input: str = f"{PLACE}/in"
    """Where the sample lies in the store."""
    output: str = f"{PLACE}/out"
    before: Path | None = None
    """A folder with the dataset that lies at the output when the job begins."""
    patience_s: float = 600.0
    """So long each part may take."""
    worker_processes: int = 2
    """The steps are spread over so many."""

    @property
    def is_streaming(self) -> bool:
        """Whether it runs until it is stopped."""
        return "--streaming" in self.options

    def command(self, *more: str) -> list[str]:
        """With the options that a launch has to have, where they are not given."""
        given = {option.partition("=")[0] for option in self.options}
        defaults = [option for option in _DEFAULTS if option.partition("=")[0] not in given]
        if "--no_save_main_session" not in given:
            defaults.append("--save_main_session")  # Beam's default against the service, but not against localhost
        return [*self.main, *self.options, *defaults, "--runner=DataflowRunner", "--no_auth", *more]


def of_taskreel_run(launch: Launch, input_: str, output: str) -> Launch:
    """The launch of `taskreel run` on places in the stand-in's store; the input may be a glob, as of `run`."""
    main = (sys.executable, "-m", "taskreel", "run", "--input", input_, "--output", output)
    return replace(launch, main=main, input=Selection.of_input(input_).root, output=output)


def check(launch: Launch) -> None:
    """Raise `RehearsalError` for what cannot be rehearsed."""
    if any(option.startswith(_IMAGE) for option in launch.options):
        raise RehearsalError(
            f"{_IMAGE}: a rehearsal cannot look into an image; leave it out, and give what is installed in it, by "
            "--setup_file or --extra_package"
        )
    for option in launch.options:
        name = option.partition("=")[0]
        if name in _OF_THE_REHEARSAL:
            raise RehearsalError(f"{name}: is the rehearsal's own, DataflowRunner and its stand-ins; leave it out")
        if name in _OF_OTHER_JOBS:
            raise RehearsalError(f"{name}: {_OF_OTHER_JOBS[name]}; leave it out, and rehearse the launch of a new job")
    if not Path(launch.prism).is_file():
        raise RehearsalError(f"there is no Prism at {launch.prism}: make prism, or give --prism")
    _check_cache()
    if launch.is_streaming and launch.sample is None:
        raise RehearsalError("--streaming: only streams of `taskreel run` can be rehearsed, not those of --main")
    if launch.is_streaming and not halves(files_below(launch.sample))[1]:
        raise RehearsalError(f"{launch.sample}: a stream is rehearsed in two halves; give at least two segments")


def _check_cache() -> None:
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise RehearsalError(
            f"{folder}: the environment of the workers cannot be kept there ({error.strerror}); set XDG_CACHE_HOME to "
            "a folder that may be written"
        ) from error


class Launcher:
    """A process that launches; what it says is kept, and is told only if it fails."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self._log = process, log

    @property
    def said(self) -> str:
        """What it wrote to its error output until now."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    @property
    def failure(self) -> str:
        """Why it has ended without a job, in one line."""
        if not self.said.strip():
            return f"the launcher ended with exit code {self.process.returncode}, and no word"
        return explained(self.said, at_launch=True)


@contextlib.contextmanager
def launcher(command: list[str], environment: Mapping[str, str], log: Path) -> Iterator[Launcher]:
    """Start the process. Neither it nor what it starts outlives the block; its temporary files lie beside the log."""
    variables = {**os.environ, **environment, "TMPDIR": str(_temporary(log.with_suffix(".tmp"))), MARK: str(log)}
    with log.open("wb") as file:
        none = subprocess.DEVNULL
        process = subprocess.Popen(command, env=variables, stdin=none, stdout=none, stderr=file)
        try:
            yield Launcher(process, log)
        finally:
            sweep(str(log))
            process.wait()


def _temporary(folder: Path) -> Path:
    """A folder for temporary files: Beam leaves some at each launch. What it downloads is kept, as it is elsewhere."""
    kept = Path(tempfile.gettempdir()) / _DOWNLOADS
    kept.mkdir(exist_ok=True)
    folder.mkdir()
    (folder / _DOWNLOADS).symlink_to(kept)
    return folder
