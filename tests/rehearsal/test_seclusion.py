"""What a worker that is rehearsed sees of the machine that launched the job."""

from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from taskreel.rehearsal.seclusion import hide

EARLY = "before"
"""A folder in which Python looks for modules before those of the environment."""
NOT_THERE = "of the launching machine; a worker does not have it"


@pytest.fixture(params=["this", "another"])
def worker(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The Python of a worker from which a folder `home` is hidden, but for `home/seen`, and the rest of /tmp.

    Another one has a `sitecustomize` that is found first, as Debian's.
    """
    (tmp_path / "home" / "seen").mkdir(parents=True)
    for name in ("home/notes", "home/seen/notes"):
        (tmp_path / name).write_text("words")
    folder = tmp_path / "worker"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    if request.param == "another":
        (folder / EARLY).mkdir()
        (folder / EARLY / "sitecustomize.py").write_text("")
    hide(site_packages, [tmp_path / "home", Path("/tmp")], [tmp_path / "home" / "seen", folder])
    return folder / "bin" / "python"


def fault(worker: Path, program: str, *arguments: object) -> str:
    """The last line of what a program says that fails, "" of one that does not."""
    command = [str(worker), "-c", f"import os, pathlib, sys; it = pathlib.Path(sys.argv[1])\n{program}"]
    variables = {"PYTHONPATH": str(worker.parents[1] / EARLY)}
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, cwd="/", env=variables, check=False
    )
    return done.stderr.strip().rpartition("\n")[2] if done.returncode else ""


@pytest.mark.parametrize(
    "program",
    ["it.read_text()", "open(it, 'w')", "os.listdir(it.parent)", "it.unlink()", "os.mkdir(it.parent / 'new')"],
)
def test_a_file_of_the_launcher_is_not_there(worker: Path, tmp_path: Path, program: str) -> None:
    assert NOT_THERE in fault(worker, program, tmp_path / "home" / "notes")
    assert fault(worker, program, tmp_path / "home" / "seen" / "notes") == ""


def test_a_worker_may_make_files_of_its_own_in_tmp_and_sees_no_others(worker: Path) -> None:
    place = Path("/tmp") / f"taskreel-test-{uuid.uuid4().hex}"
    makes = "it.write_text('x'); it.read_text(); it.unlink(); it.mkdir(); (it / 'y').write_text('x'); os.listdir(it)"
    try:
        assert fault(worker, makes, place) == ""
        assert NOT_THERE in fault(worker, "(it / 'y').read_text()", place)
        assert NOT_THERE in fault(worker, "(it / 'y').write_text('z')", place)
    finally:
        (place / "y").unlink()
        place.rmdir()


def test_files_of_the_system_are_there(worker: Path) -> None:
    assert fault(worker, "it.read_text()", "/proc/self/status") == ""
    assert fault(worker, "it.read_bytes()", "/etc/passwd") == ""
