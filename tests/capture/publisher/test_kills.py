"""A publisher that is killed at any instant of an upload: after the next one, every segment is there once and whole."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from spool_files import PLACES, a_segment, broken_names, consent, contents, killed_at, spool_with

from taskreel.capture.publisher.publish import PublishOptions, publish_once
from taskreel.capture.spool import OUTBOX, SENT, Spool
from taskreel.io.stores import LocalStore, open_store
from taskreel.rehearsal.gcs.server import GcsServer

COMMAND = [
    sys.executable,
    "-c",
    "import taskreel.publishing, taskreel.upkeep; from taskreel.app import app; app()",
    "publish",
]
NUMBERS = range(6)
SIZE_BYTES = 600_000


def kill_amid(spool: Path, to: str, is_far_enough: Callable[[], bool], then_s: float, *args: str) -> bool:
    """Kill a publisher so long after it got somewhere; whether it was still alive."""
    command = [*COMMAND, "--spool", str(spool), "--to", to, "--bandwidth", "6M", *args]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and not is_far_enough():
            time.sleep(0.001)
        time.sleep(then_s)
        process.kill()
    return process.returncode == -signal.SIGKILL


KILLS = pytest.mark.parametrize(
    "kills", [pytest.param(10, marks=pytest.mark.slow), pytest.param(200, marks=pytest.mark.soak)]
)


@KILLS
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("place", ["gcs", "folder"])
def test_a_kill_at_any_instant_costs_nothing(place: str, kills: int, gcs: GcsServer, tmp_path: Path) -> None:
    dice = random.Random(kills)
    expected = {str(name): data for name, data in (a_segment(number, SIZE_BYTES) for number in NUMBERS)}
    expected["consent/v1/c1.json"] = consent().to_json()
    killed = amid = 0
    for kill in range(kills):
        root = tmp_path / str(kill)
        spool = a_spool(root / "spool")
        gcs.create_bucket(f"b{kill}")
        to = f"gs://b{kill}" if place == "gcs" else str(root / "store")
        args = ["--remove-sent"] if kill % 2 else []
        there = partial(found, gcs, kill, root, place)
        files = dice.randrange(len(expected))
        killed += kill_amid(spool.root, to, lambda: len(there()) >= files, dice.uniform(0, 0.15), *args)  # noqa: B023

        assert there().items() <= expected.items()
        amid += 0 < len(there()) < len(expected)
        assert broken_names(spool.root) == []
        for number in NUMBERS:
            name = a_segment(number, SIZE_BYTES)[0]
            places = [part for part in PLACES if spool.path_of(part, name).exists()]
            assert places == [OUTBOX] or (places in ([SENT], []) and str(name) in there())

        assert publish_once(Spool(spool.root), open_store(to), PublishOptions()).exit_code == 0
        assert there() == expected
        assert spool.unsent() == []
    assert killed > kills // 2
    assert amid > kills // 4


def a_spool(root: Path) -> Spool:
    spool = spool_with(root, *NUMBERS, size_bytes=SIZE_BYTES)
    spool.keep_consent(consent())
    return spool


def found(gcs: GcsServer, kill: int, root: Path, place: str) -> dict[str, bytes]:
    if place == "gcs":
        return {name: bytes(item.data) for name, item in gcs.objects(f"b{kill}").items()}
    return contents(root / "store") if (root / "store").exists() else {}


def test_a_kill_before_any_call_of_the_system_costs_nothing(tmp_path: Path) -> None:
    """The same, at every call that changes the spool or a folder as the store."""
    expected = {str(name): data for name, data in (a_segment(0), a_segment(1))}
    for at in range(200):
        spool = spool_with(tmp_path / str(at) / "spool", 0, 1)
        store = LocalStore(str(tmp_path / str(at) / "store"))
        was_killed = killed_at(at, lambda spool=spool, store=store: publish_once(spool, store, PublishOptions()))
        there = contents(store.root) if store.root.exists() else {}
        assert there.items() <= expected.items()
        for name in (a_segment(0)[0], a_segment(1)[0]):
            (part,) = (part for part in PLACES if spool.path_of(part, name).exists())
            assert part == OUTBOX or str(name) in there
        publish_once(spool, store, PublishOptions())
        assert contents(store.root) == contents(spool.root / SENT) == expected
        if not was_killed:
            break
    assert 20 < at < 200
