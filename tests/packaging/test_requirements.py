"""requirements-worker.txt: exact pins, those of constraints.txt, of what Beam's image for workers does not bring."""

from __future__ import annotations

import runpy
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

import pytest
import setuptools
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
WORKER = {"python_version": "3.11", "python_full_version": "3.11.0", "sys_platform": "linux"}
BEAM = "apache-beam"


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What setup.py says."""
    said: dict[str, Any] = {}
    monkeypatch.setattr(setuptools, "setup", lambda **values: said.update(values))
    runpy.run_path(str(ROOT / "setup.py"))
    return said


def pins(name: str) -> dict[str, str]:
    """(name → version) of a file of pins; what is no exact pin fails."""
    lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
    found = dict(line.split("==") for line in lines)
    return {canonicalize_name(package): version for package, version in found.items()}


def closure(texts: Iterable[str]) -> set[str]:
    """The names of some requirements, and of all that these need on a worker."""
    todo = [Requirement(text) for text in texts]
    seen: dict[str, set[str]] = {}
    while todo:
        wanted = todo.pop()
        name = canonicalize_name(wanted.name)
        extras = {"", *wanted.extras} - seen.get(name, set())
        seen.setdefault(name, set()).update(extras)
        todo += [one for one in _requires(name) if any(_is_needed(one, extra) for extra in extras)]
    return set(seen)


def _requires(name: str) -> list[Requirement]:
    try:
        return [Requirement(text) for text in requires(name) or ()]
    except PackageNotFoundError:  # of another version of Python
        return []


def _is_needed(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(WORKER | {"extra": extra})


def test_they_are_what_a_worker_needs_beside_beam(setup: dict[str, Any]) -> None:
    named = [*setup["install_requires"], *setup["extras_require"]["gcp"]]
    direct = [text for text in named if Requirement(text).name != BEAM]
    brought = closure([text for text in named if Requirement(text).name == BEAM])
    needed = closure(direct) - brought | {canonicalize_name(Requirement(text).name) for text in direct}
    assert set(pins("requirements-worker.txt")) == needed


def test_their_versions_are_those_of_the_constraints(setup: dict[str, Any]) -> None:
    constraints = pins("constraints.txt")
    worker = pins("requirements-worker.txt")
    assert worker == {name: constraints[name] for name in worker}


def test_the_constraints_are_within_what_the_package_allows(setup: dict[str, Any]) -> None:
    constraints = pins("constraints.txt")
    for text in (*setup["install_requires"], *setup["extras_require"]["gcp"]):
        wanted = Requirement(text)
        assert wanted.specifier.contains(constraints[canonicalize_name(wanted.name)]), text
