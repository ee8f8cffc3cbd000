"""The source package: all that a worker needs and nothing else, and it runs where there is no checkout."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import apache_beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.stager import Stager

ROOT = Path(__file__).parents[2]
FOLDERS = ("capture", "io", "pipelines", "rehearsal", "taskreel", "transforms")
MOST_BYTES = 600_000
"""It is staged at each launch, and each worker fetches it before it can begin."""
ALSO = {
    "MANIFEST.in",
    "README.md",
    "constraints.txt",
    "pyproject.toml",
    "rehearsal/gcs/credentials.json",
    "requirements-worker.txt",
    "setup.py",
    "taskreel/py.typed",
}
SITE = Path(apache_beam.__file__).parents[1]
"""Where the dependencies are."""


def modules() -> set[str]:
    """Every module of the working tree, by the name under which it is imported."""
    names = set()
    for path in (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        names.add(".".join(parts if parts[0] == "taskreel" else ("taskreel", *parts)).removesuffix(".__init__"))
    return names


def run_there(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python with the installed folder and the dependencies on its path, and no `.pth` that leads to a checkout."""
    environment = {"PYTHONPATH": f"{installed}:{SITE}", "PATH": "/usr/bin:/bin", "HOME": str(installed)}
    command = [sys.executable, "-S", "-P", *arguments]
    return subprocess.run(command, cwd=installed, env=environment, capture_output=True, text=True)


def test_the_sdist_has_every_module_and_what_goes_with_them_and_nothing_else(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        found = {member.name.partition("/")[2] for member in archive if member.isfile()}
    python = {str(path.relative_to(ROOT)) for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
    services = {str(path.relative_to(ROOT)) for path in (ROOT / "capture" / "packaging").iterdir() if path.is_file()}
    made = {name for name in found if name.startswith("taskreel.egg-info/")} | {"PKG-INFO", "setup.cfg"}
    assert found - made == python | services | ALSO


def test_the_sdist_is_small(sdist: Path) -> None:
    assert sdist.stat().st_size < MOST_BYTES


def test_a_list_left_behind_by_another_sdist_brings_nothing_in(checkout: Path, sdist: Path) -> None:
    left = checkout / "taskreel.egg-info" / "SOURCES.txt"
    left.write_text(left.read_text() + "tests/conftest.py\ndocs/options.md\nexamples/ducktrack/events.jsonl\n")
    again = [sys.executable, "setup.py", "--quiet", "sdist", "--dist-dir", "again"]
    assert subprocess.run(again, cwd=checkout, capture_output=True).returncode == 0
    with tarfile.open(checkout / "again" / sdist.name) as archive:
        assert [name for name in archive.getnames() if "/tests" in name or "/docs" in name or "/examples" in name] == []


def test_a_checkout_is_left_with_nothing_that_git_would_see(checkout: Path, tmp_path: Path) -> None:
    """Beam's stager runs setup.py in place, and names a folder for what is made."""
    copy = tmp_path / "copy"
    shutil.copytree(checkout, copy, ignore=shutil.ignore_patterns("*.egg-info", "dist", "again"))
    before = set(copy.rglob("*"))
    command = [sys.executable, "setup.py", "--quiet", "sdist", "--dist-dir", str(tmp_path / "staged")]
    assert subprocess.run(command, cwd=copy, capture_output=True).returncode == 0
    new = {path.relative_to(copy).parts[0] for path in set(copy.rglob("*")) - before}
    assert new == {"taskreel.egg-info"}
    assert "*.egg-info/" in (ROOT / ".gitignore").read_text().splitlines()


def test_beam_stages_it_and_the_list_of_the_packages_here_and_nothing_else(checkout: Path, tmp_path: Path) -> None:
    options = PipelineOptions([f"--setup_file={checkout / 'setup.py'}"])
    staged = Stager.extract_staging_tuple_iter(Stager.create_job_resources(options, str(tmp_path)))
    names = {name: Path(path) for path, name, _ in staged}
    assert set(names) == {"workflow.tar.gz", "submission_environment_dependencies.txt"}
    with tarfile.open(names["workflow.tar.gz"]) as archive:
        assert "taskreel-0.1.0/transforms/build.py" in archive.getnames()


def test_what_pip_installs_from_it_is_every_module(installed: Path) -> None:
    code = "import importlib.util, json, sys; names = json.loads(sys.argv[1]); " + (
        "print(json.dumps([n for n in names if not ((s := importlib.util.find_spec(n)) and s.origin "
        "and s.origin.startswith(sys.argv[2]))]))"
    )
    done = run_there(installed, "-c", code, json.dumps(sorted(modules())), str(installed))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def test_what_workers_run_is_imported_without_a_checkout(installed: Path) -> None:
    """And without what only a recorder needs."""
    parts = ("taskreel.io", "taskreel.transforms", "taskreel.pipelines")
    names = sorted(name for name in modules() if name.startswith(parts))
    code = f"import importlib; [importlib.import_module(name) for name in {names}]"
    done = run_there(installed, "-c", code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [["--help"], ["run", "--help"]])
def test_the_command_answers_without_a_checkout(installed: Path, command: list[str]) -> None:
    done = run_there(installed, "-m", "taskreel", *command)
    assert done.returncode == 0, done.stderr
    assert "segments" in done.stdout


def test_the_package_brings_its_types_and_the_credentials_of_the_stand_in(installed: Path) -> None:
    assert (installed / "taskreel" / "py.typed").exists()
    assert (installed / "taskreel" / "rehearsal" / "gcs" / "credentials.json").exists()


@pytest.mark.parametrize("name", ["taskreel", "taskreel.__main__"])
def test_an_import_is_fast_since_it_brings_no_beam_and_no_arrow(installed: Path, name: str) -> None:
    heavy = ("apache_beam", "deltalake", "google", "grpc", "numpy", "pyarrow")
    done = run_there(installed, "-c", f"import sys, {name}; print([m for m in {heavy} if m in sys.modules])")
    assert done.stdout.strip() == "[]", done.stderr
