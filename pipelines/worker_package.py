"""Whether workers elsewhere will have taskreel: the package that a launch ships to them.

The runner builds it again when it submits the job; it is built here first, because the runner's own error is a page.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from apache_beam.options.pipeline_options import (
    PipelineOptions,
    PortableOptions,
    SetupOptions,
    StandardOptions,
    WorkerOptions,
)

from taskreel.pipelines.errors import LaunchError
from taskreel.pipelines.runners import is_cloud, runner_name

_BUILD_TIMEOUT_S = 300
_SUFFIXES = (".tar", ".tar.gz", ".whl", ".zip")


def check_package(options: PipelineOptions) -> None:
    """Raise `LaunchError` unless the files that a launch names for its workers are there, and are packages.

    Runners of this machine use what is installed on it, and look at none of them.
    """
    setup = options.view_as(SetupOptions)
    if runner_name(options) in StandardOptions.LOCAL_RUNNERS and not needs_package(options):
        return
    if needs_package(options) and not _has_package(options):
        raise LaunchError(
            f"--setup_file: workers of {runner_name(options)} have no taskreel without a package; give "
            "--setup_file=./setup.py, or an image that has it by --sdk_container_image"
        )
    if setup.requirements_file and not Path(setup.requirements_file).is_file():
        raise LaunchError(f"--requirements_file {setup.requirements_file}: there is no such file")
    for package in setup.extra_packages or ():
        _check_archive(package)
    if setup.setup_file:
        _check_setup_file(Path(setup.setup_file), setup.setup_file)


def needs_package(options: PipelineOptions) -> bool:
    """Whether workers begin with Beam's image alone: on Dataflow, and in containers of a portable runner."""
    portable = options.view_as(PortableOptions)
    is_docker = (portable.environment_type or "").upper() == "DOCKER" or (
        runner_name(options) == "PortableRunner" and not portable.environment_type
    )
    has_image = portable.environment_config or portable.lookup_environment_option("docker_container_image")
    return is_cloud(options) or (is_docker and not has_image)


def _has_package(options: PipelineOptions) -> bool:
    setup: Any = options.view_as(SetupOptions)
    workers: Any = options.view_as(WorkerOptions)
    image = workers.sdk_container_image or workers.worker_harness_container_image
    return bool(setup.setup_file or setup.extra_packages or setup.requirements_file or image)


def _check_archive(package: str) -> None:
    if "://" in package:
        return
    if not package.endswith(_SUFFIXES):
        raise LaunchError(f"--extra_package {package}: a package ends in {', '.join(_SUFFIXES)}; make one by `build`")
    path = Path(package)
    if not path.is_file():
        raise LaunchError(f"--extra_package {package}: there is no such file")
    if not (zipfile.is_zipfile(path) if package.endswith((".whl", ".zip")) else tarfile.is_tarfile(path)):
        raise LaunchError(f"--extra_package {package}: cannot be opened as a package; build it again")


def _check_setup_file(path: Path, given: str) -> None:
    if not path.is_file():
        raise LaunchError(f"--setup_file {given}: there is no such file; give the path of taskreel's setup.py")
    if path.name not in ("setup.py", "pyproject.toml"):
        raise LaunchError(f"--setup_file {given}: Beam takes a file named setup.py or pyproject.toml")
    if "/" not in given:  # Beam changes to its folder, and fails if none is named
        raise LaunchError(f"--setup_file {given}: Beam needs its folder, too; give --setup_file=./{given}")
    with tempfile.TemporaryDirectory() as folder:
        _build(path, given, folder)


def _build(path: Path, given: str, folder: str) -> None:
    """As Beam does it: by `build` if it is there, else by the script."""
    commands = [[sys.executable, "-m", "build", "--no-isolation", "--sdist", "--outdir", folder, "."]]
    if path.name == "setup.py":
        commands.append([sys.executable, path.name, "sdist", "--dist-dir", folder])
    said = ""
    for command in commands:
        try:
            done = subprocess.run(
                command, cwd=path.parent, capture_output=True, text=True, timeout=_BUILD_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            raise LaunchError(f"--setup_file {given}: its build takes more than {_BUILD_TIMEOUT_S} s") from None
        if done.returncode == 0 and list(Path(folder).glob("*.tar.gz")):
            return
        lines = f"{done.stdout}\n{done.stderr}".strip().splitlines()
        said = lines[-1].strip() if lines else f"exit code {done.returncode}"
    raise LaunchError(f"--setup_file {given}: the package cannot be built: {said}")
