"""Launches that go wrong on real workers are found in the rehearsal, each with what to do about it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

BROKEN = Path(__file__).parent / "broken"

FAULTS = {
    "missing_requirement": ("run", "polars can be imported where the job is launched", "install_requires"),
    "lock_in_a_closure": ("launch", "holds a lock of processes", "setup()"),
    "connection_in_a_step": ("launch", "holds a sqlite3.Connection", "setup()"),
    "module_beside_the_launcher": ("run", "office can be imported where the job is launched", "into that package"),
    "label_twice": ("launch", "two steps have the label Work", '"Name" >> step'),
    "graph_of_11_mb": ("launch", "the graph has 11.", "the service takes 10"),
    "state_of_main": ("run", "LEVEL is in the main program", "move it into the package"),
    "file_of_the_launcher": ("run", "words.txt is a file of the launching machine", "package_data"),
    "data_left_out": ("run", "office/words.txt is not in the package", "package_data"),
    "no_such_release": ("install", "zstandard>=999 is asked for", "install_requires"),
    "another_python": ("install", "the workers' Python is another", "python_requires"),
    "variable_of_the_launcher": ("run", "OFFICE_LEVEL is set where the job is launched", "as an option"),
    "secret_option": ("launch", "--s3_secret_access_key carries a secret", "ADC"),
    "label_by_chance": ("second launch: the same labels", "is another one at each launch", "constants"),
}
MORE_OPTIONS = {"secret_option": ["--s3_secret_access_key=not-a-secret"]}


def rehearsed(folder: Path, prism: str, *options: str) -> tuple[int, dict[str, list[str]]]:
    """Exit code, and the faults of each part of a rehearsal."""
    command = [sys.executable, "-m", "taskreel", "rehearse", "dataflow", "--main", str(folder / "launch.py")]
    done = subprocess.run(
        [*command, f"--setup_file={folder / 'setup.py'}", "--patience=2m", "--prism", prism, "--json", *options],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.stdout, done.stderr
    assert "Traceback" not in done.stderr
    report = json.loads(done.stdout)
    return done.returncode, {part["name"]: part["faults"] for part in report["parts"]}


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[str], Path]:
    """Copies a launch: a build leaves files beside its setup.py."""
    return lambda name: Path(shutil.copytree(BROKEN / name, tmp_path / name))


@pytest.fixture
def prism(prism_options: list[str]) -> str:
    return prism_options[1].partition("=")[2]


def test_every_launch_of_the_list_has_its_fault_here() -> None:
    assert {path.name for path in BROKEN.iterdir() if path.is_dir()} == {*FAULTS, "sound"}
    assert len(FAULTS) >= 10


@pytest.mark.prism
@pytest.mark.slow
def test_what_is_sound_goes_well(prism: str, copied: Callable[[str], Path]) -> None:
    code, parts = rehearsed(copied("sound"), prism)
    assert list(parts) == ["launch", "install", "second launch: the same labels", "run", "end of the launcher"]
    assert not any(parts.values())
    assert code == 0


@pytest.mark.prism
@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_what_is_broken_is_found_and_said_with_a_remedy(name: str, prism: str, copied: Callable[[str], Path]) -> None:
    code, parts = rehearsed(copied(name), prism, *MORE_OPTIONS.get(name, []))
    where, *words = FAULTS[name]
    assert {part for part, faults in parts.items() if faults} == {where}
    (fault,) = parts[where]
    assert all(word in fault for word in words), fault
    assert "\n" not in fault
    assert "not-a-secret" not in fault
    assert code == 1
