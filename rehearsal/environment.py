"""The environment of a worker: a fresh one, with what its image brings and what was staged for the job, and no more.

Dataflow's image for Python has Beam with its extra `gcp`; here that is a base which is made once and kept. On top of
it a new environment is made for each job, and the staged files are installed as the image's own boot program does:
requirements, extra packages, the job's package, each with what it depends on.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REQUIREMENTS, EXTRA_PACKAGES = "requirements.txt", "extra_packages.txt"
WORKFLOW = ("workflow.tar.gz", "workflow.tar")
_PATIENCE_S = 1200.0
_UNREACHED = "after connection broken by"
"""What pip says when it tries an index once more. Else it says that no release matches, as if there were none."""
_VERSIONS = """
import importlib.metadata, sys
for name in sys.argv[1:]:
    print(next((found.version for found in importlib.metadata.distributions(name=name)), ""))
"""


class InstallError(RuntimeError):
    """A package could not be installed on a worker; the message has the line in which pip says why."""


@dataclass(frozen=True)
class WorkerEnvironment:
    """A virtual environment and the files that were staged for it."""

    folder: Path
    staged: Path

    @property
    def python(self) -> Path:
        """The interpreter."""
        return self.folder / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        """Where its packages are."""
        return _site_packages(self.folder)

    def versions(self, *names: str) -> dict[str, str]:
        """The versions of some packages as a worker finds them, "" of one that it does not have."""
        done = _run([str(self.python), "-c", _VERSIONS, *names])
        return dict.fromkeys(names, "") | dict(zip(names, done.stdout.splitlines(), strict=False))


def cache_folder() -> Path:
    """Where the base is kept: `$XDG_CACHE_HOME/taskreel`, or `~/.cache/taskreel`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "taskreel"


def base_environment(beam_version: str, cache: Path | None = None) -> Path:
    """The base, made if it is not there: Beam with `gcp`, as in the image of the workers. Raises `InstallError`."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = (cache or cache_folder()) / f"worker-beam-{beam_version}-python{python}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder.with_name(f"{folder.name}.lock")):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _make(folder, with_pip=True)
            beam = f"apache-beam[gcp]=={beam_version}"
            _pip(folder / "bin" / "python", "install", "--no-compile", beam, what="Beam")
            (folder / "complete").touch()
    return folder


def worker_environment(folder: Path, staged: Path, beam_version: str, cache: Path | None = None) -> WorkerEnvironment:
    """A fresh environment in `folder`, with what lies in `staged` installed. Raises `InstallError`."""
    base = base_environment(beam_version, cache)
    _make(folder, with_pip=False)
    made = WorkerEnvironment(folder, staged)
    (made.site_packages / "base.pth").write_text(f"{_site_packages(base)}\n", encoding="utf-8")
    for name, arguments in _installs(staged):
        _pip(made.python, "install", "--find-links", str(staged), *arguments, what=name)
    return made


def _installs(staged: Path) -> Iterator[tuple[str, Sequence[str]]]:
    """(what it is, pip's arguments), in the order of the boot program."""
    if (staged / REQUIREMENTS).exists():
        yield REQUIREMENTS, ("-r", str(staged / REQUIREMENTS))
    if (staged / EXTRA_PACKAGES).exists():
        for name in (staged / EXTRA_PACKAGES).read_text(encoding="utf-8").split():
            yield name, (str(staged / name),)
    for name in WORKFLOW:
        if (staged / name).exists():
            yield name, (str(staged / name),)


def _make(folder: Path, *, with_pip: bool) -> None:
    options = [] if with_pip else ["--without-pip"]
    done = _run([sys._base_executable, "-m", "venv", *options, str(folder)])  # type: ignore[attr-defined]
    if done.returncode:
        raise InstallError(f"no virtual environment could be made: {_last_line(done.stdout + done.stderr)}")


def _pip(python: Path, *arguments: str, what: str) -> None:
    quiet = ("--quiet", "--disable-pip-version-check", "--no-input", "--no-warn-script-location")
    temporary = python.parents[1] / "tmp"
    temporary.mkdir(exist_ok=True)
    done = _run([str(python), "-m", "pip", *arguments, *quiet], TMPDIR=str(temporary))
    if done.returncode and _UNREACHED in done.stderr:
        raise InstallError(f"{what}: no package index answers; mend the network, or PIP_INDEX_URL, and rehearse again")
    if done.returncode:
        raise InstallError(f"{what} cannot be installed on a worker: {_last_line(done.stdout + done.stderr)}")


def _run(command: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; if it is stopped before, what it has started ends with it.

    Raises `InstallError` if it takes too long.
    """
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    environment = {**kept, "PYTHONNOUSERSITE": "1", "PIP_ROOT_USER_ACTION": "ignore", **variables}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, env=environment, cwd="/", start_new_session=True
    ) as process:
        try:
            said, complained = process.communicate(timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise InstallError(f"an installation on a worker takes more than {_PATIENCE_S:.0f} s") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(command, process.returncode, said, complained)


def _last_line(text: str) -> str:
    """The line in which pip, or a build below it, says what is wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("hint:")]
    errors = [line for line in lines if "rror" in line and "subprocess-exited" not in line and "note:" not in line]
    return (errors or lines or ["no reason was given"])[-1]


def _site_packages(folder: Path) -> Path:
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
