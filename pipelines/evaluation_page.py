"""The numbers of an evaluation as a page for a terminal."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from taskreel.io.times import iso_from_us

_MOST_FINDINGS = 10
_OBSERVATIONS = {
    "image_at_or_after_action": "image at or after its action (must never be)",
    "approach_image_at_or_after_action": "approach image at or after the action (must never be)",
    "approach_image_after_image": "approach image later than the image",
    "image_age_wrong": "age of the image not above 0, or not the difference of the times",
    "image_missing": "no image, where the truth has one",
    "image_differs": "another image than the truth's",
}


def render(values: dict[str, Any]) -> Group:
    """All tables, most important first. `values` is what `evaluate` or `evaluate_joined` gives."""
    parts: list[RenderableType] = [_head(values), _segmentations(values)]
    if "actions" in values:
        parts += [_actions(values["actions"]), _columns(values["actions"]), _observations(values["observations"])]
    parts += [_cuts(values), _findings(values["findings"])]
    return Group(*(part for pair in parts for part in (pair, Text())))


def _head(values: dict[str, Any]) -> Table:
    grid = Table.grid(padding=(0, 2))
    if values["kind"] == "truth":
        grid.add_row("truth", values["truth"])
        grid.add_row("dataset", f"{values['dataset']}  (version {values['version']})")
        if others := values["without_truth"]:
            grid.add_row("no truth", f"of {', '.join(others[:3])}{' …' if len(others) > 3 else ''}: left out")
        marked = values["marked_episodes"]
        tasks = f"{marked} episodes begin at a marker" if marked else "not marked"
        grid.add_row("tasks", f"{values['episodes']} episodes, {values['residues']} residues; {tasks}")
    else:
        grid.add_row("joined", ", ".join(values["folders"]))
        grid.add_row(
            "recordings", f"{len(values['recordings'])}, joined {values['repeats']} times, seed {values['seed']}"
        )
    people, sessions, steps = values["participants"], values["sessions"], values["steps"]
    grid.add_row("steps", f"{steps} in {sessions} sessions of {people} people, without the recorder's own")
    grid.add_row("boundaries", f"{values['boundaries']}, without the starts of sessions")
    return grid


def _segmentations(values: dict[str, Any]) -> Table:
    strict_s, wide_s = values["tolerances_s"]
    table = _table("Boundaries", "cuts by", "cuts")
    for tolerance_s in (strict_s, wide_s):
        for name in ("precision", "recall", "F1"):
            table.add_column(f"{name}\n{tolerance_s} s", justify="right")
    table.add_column("Rand\nindex", justify="right")
    table.caption = f"Within {strict_s} s and {wide_s} s; the Rand index is adjusted for chance, within sessions"
    for name, score in values["segmentations"].items():
        near, far = score[f"within_{strict_s}_s"], score[f"within_{wide_s}_s"]
        shares = [_share(one[key]) for one in (near, far) for key in ("precision", "recall", "f1")]
        table.add_row(_label(name, score), str(near["found"]), *shares, _share(score["adjusted_rand_index"]))
    return table


def _label(name: str, score: dict[str, Any]) -> str:
    gap_s = score.get("gap_s")
    return {
        "idle_gap": f"idle gap {gap_s} s",
        "idle_gap_best": f"best gap {gap_s} s",
        "window_change": "window change",
    }.get(name, name)


def _actions(actions: dict[str, Any]) -> Table:
    columns = ("truth", "exact", "different", "missed", "spurious")
    table = _table("Actions", "action", *columns, "exact rate")
    table.show_footer = True
    for name, counts in sorted(actions["by_type"].items(), key=lambda item: (-item[1]["truth"], item[0])):
        rate = _share(counts["exact"] / counts["truth"] if counts["truth"] else None, digits=4)
        table.add_row(name, *(str(counts[column]) for column in columns), rate)
    totals = ["all", *(str(actions[column]) for column in columns), _share(actions["exact_rate"], digits=4)]
    for column, total in zip(table.columns, totals, strict=True):
        column.footer = total
    return table


def _columns(actions: dict[str, Any]) -> Table:
    grid = Table.grid(padding=(0, 2))
    differ = ", ".join(f"{name} {count}" for name, count in actions["different_columns"].items())
    grid.add_row("different in", differ or "nothing")
    grid.add_row("compared", ", ".join(actions["columns_compared"]))
    grid.add_row("not compared", ", ".join(actions["columns_not_compared"]) or "nothing")
    return grid


def _observations(observations: dict[str, int]) -> Table:
    table = _table("Observations", "observation", "errors")
    for name, words in _OBSERVATIONS.items():
        table.add_row(words, str(observations[name]))
    table.caption = f"{observations['steps']} steps, {observations['compared']} compared with the truth's picture"
    return table


def _cuts(values: dict[str, Any]) -> Table:
    strict_s, wide_s = values["tolerances_s"]
    columns = ("boundaries", f"right, {strict_s} s", f"right, {wide_s} s")
    table = _table("Why it was cut", "cut reason", "confidence", *columns)
    for cut in values["cuts"]:
        counts = (cut["boundaries"], cut["right"], cut["nearly_right"])
        table.add_row(cut["cut_reason"], f"{cut['confidence']:.1f}", *map(str, counts))
    return table


def _findings(findings: list[dict[str, Any]]) -> RenderableType:
    by_kind = {kind: [one for one in findings if one["kind"] == kind] for kind in ("missed", "invented", "moved")}
    title = "What to look at: " + ", ".join(f"{len(found)} {kind}" for kind, found in by_kind.items())
    if not findings:
        return Text(title, style="italic")
    table = _table(title, "boundary", "when (UTC)", "participant", "between tasks", "off by", "cut")
    table.columns[1].no_wrap, table.columns[1].min_width = True, len("2026-01-05 09:00:00")
    for found in by_kind.values():
        for one in found[:_MOST_FINDINGS]:
            table.add_row(*_finding(one))
    more = sum(max(0, len(found) - _MOST_FINDINGS) for found in by_kind.values())
    table.caption = f"and {more} more: --json has all" if more else None
    return table


def _finding(one: dict[str, Any]) -> tuple[str, ...]:
    when = iso_from_us(one["time_us"])[:19].replace("T", " ")
    before, after = ("none" if one[side] is None else str(one[side]) for side in ("before", "after"))
    off = "–" if one["off_us"] is None else f"{one['off_us'] / 1e6:.1f} s"
    cut = f"{one['cut_reason']} {one['confidence']:.2f}" if one["cut_reason"] else ""
    return one["kind"], when, one["participant"], f"{before}, {after}", off, cut


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", caption_justify="left", box=SIMPLE_HEAD, show_edge=False)
    table.pad_edge, table.padding = False, (0, 1, 0, 0)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    return table


def _share(value: float | None, *, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
