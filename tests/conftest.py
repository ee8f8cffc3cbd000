"""What tests share: the support modules, a private environment for stores, Prism if it was built."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

SUPPORT = Path(__file__).parent / "support"
PIPELINES = Path(__file__).parent / "pipelines"
"""Where `inputs` is: a small input with everything in it."""
sys.path[:0] = [str(SUPPORT), str(PIPELINES)]

from taskreel.io import stores  # noqa: E402
from taskreel.rehearsal.gcs.server import GcsServer  # noqa: E402

settings.register_profile("taskreel", deadline=None)  # speed is measured in bench/, not here
settings.load_profile("taskreel")

EXAMPLES = Path(__file__).parent.parent / "examples"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests come first: one that began last would leave the other cores idle."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[GcsServer]:
    """A local GCS with the bucket `lake`, to which all clients of this process and its children go."""
    with GcsServer(buckets=["lake"]) as server:
        for name, value in server.env().items():
            monkeypatch.setenv(name, value)
        _forget_clients()
        yield server
    _forget_clients()


def _forget_clients() -> None:
    stores._gcs_client.cache_clear()
    stores._gcs_store.cache_clear()


@pytest.fixture(scope="session")
def prism_options() -> list[str]:
    """The options that run a pipeline on Prism, built by `make prism`."""
    prism = os.environ.get("TASKREEL_PRISM")
    if not prism or not Path(prism).exists():
        if os.environ.get("CI"):
            pytest.fail("Prism was not built: `make test` builds it")
        pytest.skip("TASKREEL_PRISM names no Prism binary; `make test` builds it with Go")
    return ["--runner=PrismRunner", f"--prism_location={prism}", "--environment_type=LOOPBACK"]


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published input. Read it only: `copy_of` makes one to change."""
    from inputs import publish_all

    folder = tmp_path_factory.mktemp("people")
    publish_all(folder)
    return folder


@pytest.fixture(scope="session")
def plain(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset that a plain run makes of `people`. Read it only."""
    from inputs import run

    folder = tmp_path_factory.mktemp("plain") / "dataset"
    run(people, folder)
    return folder
