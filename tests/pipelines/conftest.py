"""What the end-to-end tests share: an input that is small and has everything, and the dataset of a plain run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from inputs import publish_all, run


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published input. Read it only: `copy_of` makes one to change."""
    folder = tmp_path_factory.mktemp("people")
    publish_all(folder)
    return folder


@pytest.fixture(scope="session")
def plain(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset that a plain run makes of `people`. Read it only."""
    folder = tmp_path_factory.mktemp("plain") / "dataset"
    run(people, folder)
    return folder
