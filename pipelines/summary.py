"""What a run came to, for people: a table of the dataset, where everything went, and what to type next."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from taskreel.io.dataset import Dataset
from taskreel.io.tables import totals_of
from taskreel.pipelines.launch import Outcome
from taskreel.transforms.accounts import Account

_OPEN = ("waiting", "late")
"""What a batch run has none of."""


def facts(dataset: Dataset) -> dict[str, Any]:
    """A dataset in numbers, as `inspect --json` prints them: `run_facts`, and what needs all of `episodes` to be read.

    `segments`, `events`, `reasons` and `seq_gaps` are of the run that made the version: of what it read.
    """
    episodes = dataset.episodes()
    splits = {}
    for split in ("train", "validation", "test"):
        files = dataset.shards(split)
        splits[split] = {
            "shards": len(files),
            "steps": sum(file.rows for file in files),
            "bytes": sum(file.size_bytes for file in files),
        }
    return run_facts(dataset) | {
        "participants": len(episodes.column("participant").unique()),
        "splits": splits,
        "actions": _action_counts(episodes),
        "spans": len(episodes.column("span_id").unique()),
        "revised_spans": len(episodes.filter(pc.greater(episodes.column("revision"), 0)).column("span_id").unique()),
    }


def run_facts(dataset: Dataset) -> dict[str, Any]:
    """What was written with a version, in numbers: costs the same however much is in the dataset."""
    account = Account(dataset.report().get("account", {}))
    totals = totals_of(dataset.store, dataset.commit)
    return {
        "version": dataset.version,
        "kind": dataset.report().get("kind", "batch"),
        "as_of": dataset.report().get("as_of"),
        "watermark": dataset.report().get("watermark"),
        "runner": dataset.report().get("runner"),
        **totals,
        "segments": {
            "read": account["segments.read"],
            "written": account["segments.built"],
            "refused": account["segments.refused"],
            "dead": account["segments.dead"],
            "waiting": account["segments.waiting"],
            "late": account["segments.late"],
        },
        "segments_bytes": account["bytes.read"],
        "reasons": account.under("segments.refused.") | account.under("segments.dead."),
        "events": {
            "read": account["events.read"],
            "in_steps": account["events.in_steps"],
            "dropped": account.under("events.dropped."),
            "waiting": account["events.waiting"],
            "late": account["events.late"],
        },
        "seq_gaps": account["events.gaps"],
        "dead_letter": dataset.report().get("dead_letter"),
        "imbalances": dataset.report().get("imbalances", []),
    }


def render(dataset: Dataset, values: dict[str, Any], *, wall_s: float | None = None) -> Group:
    """The same (`facts` or `run_facts`) as a page for a terminal."""
    lines = Table.grid(padding=(0, 2))
    lines.add_row("dataset", f"{dataset.store.url}  (version {values['version']}, as of {values['as_of']})")
    lines.add_row("runner", str(values["runner"]))
    if wall_s is not None:
        read_mb = values["segments_bytes"] / 1e6
        lines.add_row("wall time", f"{wall_s:.1f} s for {read_mb:.1f} MB of segments: {read_mb / wall_s:.1f} MB/s")
    if "participants" in values:
        lines.add_row("people", str(values["participants"]))
    lines.add_row("episodes", f"{values['episodes']} (and {values['residues']} residues that belong to no task)")
    of_run = "" if values["kind"] == "batch" else f" ({values['kind']} run)"
    if values.get("revised_spans"):
        lines.add_row(
            "revised", f"{values['revised_spans']} of {values['spans']} spans were built again for late segments"
        )
    if values["watermark"]:
        lines.add_row("watermark", f"{values['watermark']}: what had not ended a gap before waits")
    lines.add_row(f"segments{of_run}", _counts(_without_zeros(values["segments"], *_OPEN)))
    lines.add_row(f"events{of_run}", _events(values["events"]))
    if values["seq_gaps"]:
        lines.add_row("gaps", f"{values['seq_gaps']} places where a recording's seq is not gapless")
    if values["dead_letter"]:
        reasons = _counts(values["reasons"]) or "nothing more"
        lines.add_row("not used", f"{reasons} (see {dataset.store.url_of(values['dead_letter'])})")
    for imbalance in values["imbalances"]:
        lines.add_row("IMBALANCE", imbalance)
    if "splits" not in values:
        return Group(lines)
    return Group(lines, Text(), _splits(values["splits"]), Text(), _actions(values["actions"]))


def _action_counts(episodes: pa.Table) -> dict[str, int]:
    total: Counter[str] = Counter()
    for counts in episodes.column("actions").to_pylist():
        total.update(json.loads(counts))
    return dict(sorted(total.items()))


def next_command(dataset: Dataset) -> str:
    """What a person types next."""
    is_elsewhere = sys.argv[0].endswith("/taskreel") and not shutil.which("taskreel")
    program = os.path.relpath(sys.argv[0]) if is_elsewhere else "taskreel"
    return f"{program} verify {dataset.store.url}"


def nothing_new(place: str, outcome: Outcome) -> str:
    """The line that ends a run which had nothing to commit."""
    state = "there is no dataset yet" if outcome.version is None else f"the dataset stays at version {outcome.version}"
    waiting = f"{outcome.waiting} segments wait until their spans are over; " if outcome.waiting else ""
    return f"{place}: nothing new; {waiting}{state}"


def _splits(splits: dict[str, dict[str, int]]) -> Table:
    table = Table("split", "shards", "steps", "MB")
    for split, row in splits.items():
        table.add_row(split, str(row["shards"]), str(row["steps"]), f"{row['bytes'] / 1e6:.1f}")
    return table


def _actions(actions: dict[str, int]) -> Table:
    table = Table("action", "steps")
    for action, count in sorted(actions.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(action, str(count))
    return table


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items())


def _events(events: dict[str, Any]) -> str:
    dropped = _counts(events["dropped"] | _without_zeros({k: events[k] for k in _OPEN}, *_OPEN)) or "none"
    return f"{events['read']} read, {events['in_steps']} in steps; in none: {dropped}"


def _without_zeros(counts: dict[str, int], *names: str) -> dict[str, int]:
    """Counts, without those of some names that are nought."""
    return {name: count for name, count in counts.items() if count or name not in names}


def print_summary(dataset: Dataset, values: dict[str, Any], console: Console, *, wall_s: float) -> None:
    """The page that ends a run."""
    console.print(render(dataset, values, wall_s=wall_s))
    console.print(f"\nnext: {next_command(dataset)}", markup=False, highlight=False)
