"""Freshness: how far a dataset is behind its input. Lag, backlog, and the last commit.

Looked at from outside, so it is known also while runs fail. Reads the last commit, the newest parts of `episodes`, and
the names of the days on which something can wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow.compute as pc

from taskreel.io.stores import Store, open_store
from taskreel.io.tables import EPISODES, Commit, commit_of, open_table, read_episodes, table_files
from taskreel.pipelines.incremental import days_to_list
from taskreel.pipelines.options import IncrementalOptions, RunOptions, RunPlaces
from taskreel.transforms.dead import Dead
from taskreel.transforms.discover import Selection, named
from taskreel.transforms.discover_new import day_of
from taskreel.transforms.known import Base, KnownFiles, longest_of

_DAY = len("YYYY-MM-DD")
"""Paths of parts of `episodes` begin with their day."""


@dataclass(frozen=True)
class Backlog:
    """Segments of the listed days that the dataset does not list, and their size: they wait, or were just published."""

    segments: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class State:
    """A dataset and its input at a time of the input's store. None where there is no dataset, or no event in it."""

    now_us: int
    backlog: Backlog
    version: int | None = None
    committed_us: int | None = None
    newest_event_us: int | None = None

    @property
    def lag_s(self) -> float | None:
        """How long ago the newest event that is in the dataset happened."""
        return _age_s(self.now_us, self.newest_event_us)

    @property
    def commit_age_s(self) -> float | None:
        """How long ago the last commit was."""
        return _age_s(self.now_us, self.committed_us)


def _age_s(now_us: int, then_us: int | None) -> float | None:
    """Never less than nothing: two clocks are compared."""
    return None if then_us is None else max(0, now_us - then_us) / 1e6


def state_of(input_: str, output_: str, lateness_h: float) -> State:
    """A look at a dataset and its input. Costs what is listed of the last days, and not what is there."""
    output = open_store(output_)
    before = commit_of(output)
    selection = _selection(input_, before)
    now_us = open_store(selection.root).now_us()
    backlog = _backlog(selection, RunPlaces(input_, output_, now_us), lateness_h, before)
    if before is None:
        return State(now_us, backlog)
    committed_us, newest_us = _freshness(output)
    return State(now_us, backlog, before.version, committed_us, newest_us)


def _freshness(output: Store) -> tuple[int | None, int | None]:
    """When the last commit was, and when the newest event happened that is in an episode or a residue."""
    table = open_table(output, EPISODES)
    if table is None:
        return None, None
    committed_us = int(table.history(1)[0]["timestamp"]) * 1000
    days = sorted({path[:_DAY] for path in table_files(table)})
    ends = read_episodes(output, table.version(), ["end_us"], days=days[-2:])["end_us"]  # an episode may cross midnight
    return committed_us, pc.max(ends).as_py()


def _selection(input_: str, before: Commit | None) -> Selection:
    """What the dataset was made of: by its commit, as runs may have had limits."""
    made = (before.metadata if before else {}).get("input")
    return Selection(**(made | {"participants": tuple(made["participants"])})) if made else Selection.of_input(input_)


def _backlog(selection: Selection, places: RunPlaces, lateness_h: float, before: Commit | None) -> Backlog:
    run = _run_options(before)
    days = days_to_list(places, run, IncrementalOptions(lateness_h=lateness_h, rescan_days=0), before)
    base = Base(places.output, before and before.version, before and before.metadata.get("dead_letter"))
    store = open_store(selection.root)
    known = KnownFiles(base, longest_of(run.spans))
    folders = days.of(selection.days(store))
    committed = known.of_days(day for folder in folders if (day := day_of(folder)))
    waiting = [size for folder in folders for size in _new(selection, store, folder, known, committed)]
    return Backlog(len(waiting), sum(waiting))


def _new(
    selection: Selection, store: Store, folder: str, known: KnownFiles, committed: set[tuple[str, str]]
) -> Iterator[int]:
    """The sizes of the segments below a folder that a dataset does not know."""
    for entry in selection.entries(store, folder):
        found = named(entry)
        is_known = isinstance(found, Dead) or entry.name in known.dead or (found.participant, found.file) in committed
        if not is_known:
            yield entry.size_bytes


def _run_options(before: Commit | None) -> RunOptions:
    """As much of the options of a dataset as decides about its spans."""
    made = (before.metadata if before else {}).get("options", {})
    names = ("session_gap_s", "clock_correction_s", "longest_span_h")
    return RunOptions(**{name: made[name] for name in names if name in made})
