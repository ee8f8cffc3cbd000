"""`make evaluate`: how good cuts, actions and observations are, on cohorts with seeds that nobody tuned on.

For each seed: simulate, run, evaluate, with marked tasks and without; and a smaller cohort with drawn screens, for the
observations. Prints tables and writes them, with the command and the machine, to `bench/results/`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.__main__ import RESULTS, machine, markdown, table
from taskreel.transforms.evaluation.cuts import BEST_IDLE_GAP, IDLE_GAP, TASKREEL, WINDOW_CHANGE

AS_OF = "2027-01-01T00:00:00Z"
FAMILIES = {
    "marked": ("--screens", "reuse", "--markers"),
    "not marked": ("--screens", "reuse", "--no-markers"),
    "drawn screens": ("--screens", "draw", "--markers"),
}
SEGMENTATIONS = (TASKREEL, IDLE_GAP, BEST_IDLE_GAP, WINDOW_CHANGE)
Values = dict[str, Any]


def taskreel(*args: str) -> str:
    """What a command prints; raises if it is refused (exit 1 says that something is bad, which is what we measure)."""
    done = subprocess.run([sys.executable, "-m", "taskreel", *args], capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"taskreel {' '.join(args)}: exit {done.returncode}: {done.stderr}")
    return done.stdout


def evaluated(seed: int, participants: int, minutes: float, options: tuple[str, ...], work: Path) -> Values:
    """One cohort, made, run and evaluated; its files are gone afterwards."""
    place, dataset = str(work / "in"), str(work / "out")
    size = ("--participants", str(participants), "--minutes", str(minutes))
    taskreel("simulate", "--out", place, "--seed", str(seed), *size, *options)
    taskreel("run", "--input", place, "--output", dataset, "--as-of", AS_OF, "--json")
    values: Values = json.loads(taskreel("evaluate", "--truth", place, "--dataset", dataset, "--json"))
    shutil.rmtree(work)
    return values


def cut_rows(family: str, results: list[Values]) -> Iterator[Values]:
    """A row a segmentation: precision, recall and F1 over all boundaries of all seeds, and the worst seed's F1."""
    for name in SEGMENTATIONS:
        scores = [values["segmentations"][name] for values in results]
        row: Values = {"cohort": family, "cuts by": name}
        for tolerance_s in results[0]["tolerances_s"]:
            within = [score[f"within_{tolerance_s}_s"] for score in scores]
            truth, found, matched = (sum(one[key] for one in within) for key in ("truth", "found", "matched"))
            row |= {
                "boundaries": truth,
                "cuts": found,
                f"precision {tolerance_s} s": share(matched, found),
                f"recall {tolerance_s} s": share(matched, truth),
                f"F1 {tolerance_s} s": share(2 * matched, truth + found),
                f"worst F1 {tolerance_s} s": worst(one["f1"] for one in within),
            }
        indices = [score["adjusted_rand_index"] or 0.0 for score in scores]
        yield row | {"mean Rand index": round(sum(indices) / len(indices), 4)}


def action_rows(results: list[Values]) -> Iterator[Values]:
    """A row a type of action, over all seeds."""
    totals: dict[str, Counter[str]] = {}
    for values in results:
        for name, counts in values["actions"]["by_type"].items():
            totals.setdefault(name, Counter()).update(counts)
            totals.setdefault("all", Counter()).update(counts)
    for name, counts in sorted(totals.items(), key=lambda item: (-item[1]["truth"], item[0])):
        yield {"action": name, **counts, "exact rate": share(counts["exact"], counts["truth"])}


def reason_rows(family: str, results: list[Values]) -> Iterator[Values]:
    """A row a reason and confidence, over all seeds."""
    counts: dict[tuple[str, float], Counter[str]] = {}
    for cut in (cut for values in results for cut in values["cuts"]):
        numbers = {name: cut[name] for name in ("boundaries", "right", "nearly_right")}
        counts.setdefault((cut["cut_reason"], cut["confidence"]), Counter()).update(numbers)
    for (reason, confidence), numbers in sorted(counts.items()):
        yield {"cohort": family, "cut reason": reason, "confidence": confidence, **numbers}


def total(results: list[Values], *path: str) -> Counter[str]:
    """Counts added up over all seeds."""
    sums: Counter[str] = Counter()
    for values in results:
        for name in path:
            values = values[name]
        sums.update(values)
    return sums


def worst(values: Iterable[float | None]) -> float | str:
    """The smallest that is defined, four digits, or a dash."""
    return min((round(value, 4) for value in values if value is not None), default="–")


def share(part: int, whole: int) -> float | str:
    """Four digits, or a dash for nothing of nothing."""
    return round(part / whole, 4) if whole else "–"


def report(results: dict[str, list[Values]], command: str, out: Path) -> None:
    """Print the tables and write them."""
    every = [values for family in results.values() for values in family]
    tables = {
        "Cuts": [row for family, values in results.items() for row in cut_rows(family, values)],
        "Why it was cut": [row for family, values in results.items() for row in reason_rows(family, values)],
        "Actions": list(action_rows(every)),
        "Columns that differ": [dict(total(every, "actions", "different_columns"))],
        "Observations": [{"cohort": family} | total(values, "observations") for family, values in results.items()],
    }
    lines = [f"# make evaluate, {today()}", f"`{command}`. {machine()}.", "Definitions: `docs/evaluation.md`."]
    for title, rows in tables.items():
        Console(width=220).print(title, table(rows))
        lines += [f"## {title}", markdown(rows) if any(rows) else "None."]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n\n".join(lines) + "\n")


def today() -> str:
    """The day, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%d")


def main() -> None:
    """Simulate, run, evaluate, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="2000-2019", help="first and last, e.g. 1-9 for a trial")
    parser.add_argument("--participants", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=240)
    parser.add_argument("--drawn-seeds", type=int, default=2, help="of the seeds, how many with drawn screens")
    parser.add_argument("--drawn-participants", type=int, default=2)
    parser.add_argument("--drawn-minutes", type=float, default=60)
    parser.add_argument("--out", type=Path, default=RESULTS / f"{today()}-evaluation.md")
    args = parser.parse_args()
    first, _, last = args.seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    results: dict[str, list[Values]] = {}
    with tempfile.TemporaryDirectory(prefix="taskreel-evaluation-") as work:
        for family, options in FAMILIES.items():
            is_drawn = "draw" in options
            size = (args.drawn_participants, args.drawn_minutes) if is_drawn else (args.participants, args.minutes)
            for seed in seeds[: args.drawn_seeds] if is_drawn else seeds:
                values = evaluated(seed, *size, options, Path(work) / "cohort")
                results.setdefault(family, []).append(values)
                print(f"{family}, seed {seed}: {values['segmentations']['taskreel']}", flush=True)
    report(results, "python -m bench.evaluation " + " ".join(sys.argv[1:]), args.out)


if __name__ == "__main__":
    main()
