"""The package as it goes to workers: an sdist of a copy of this checkout, and what pip makes of it in an empty one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_MADE = ("*.egg-info", "__pycache__", ".[!.]*", "build", "dist", "out")
"""What lies in a checkout and is made there; `.git`, `.venv` and the caches begin with a dot."""


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this checkout in which nothing was made yet."""
    copy = tmp_path_factory.mktemp("checkout") / "taskreel"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*_MADE))
    return copy


@pytest.fixture(scope="session")
def sdist(checkout: Path) -> Path:
    """What Beam makes for `--setup_file`, by its own command."""
    command = [sys.executable, "setup.py", "--quiet", "sdist"]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [made] = (checkout / "dist").iterdir()
    return made


@pytest.fixture(scope="session")
def installed(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package alone, as pip builds and installs it from the sdist."""
    target = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    done = subprocess.run([*pip, "--target", target, sdist], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target
