"""The project as it is shipped: a copy, so that builds at the same time are not in each other's way."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
_LEFT_OUT = ("tests/", "bench/", "docs/", "examples/", ".ci/")


def project_copy(folder: Path) -> Path:
    """Copy the files that git knows of, and those that it will; gives the copy's `setup.py`."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    for name in names:
        if not name.startswith(_LEFT_OUT) and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder / "setup.py"
