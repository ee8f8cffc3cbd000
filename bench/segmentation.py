"""How long it takes to cut a long session into episodes: `python -m bench.segmentation`. Plain Python, no Beam."""

from __future__ import annotations

import argparse
import time

import numpy as np
import pyarrow as pa

from bench.__main__ import RESULTS, machine
from taskreel.transforms.episodes import EpisodeOptions, cut_episodes

_SECOND_US = 1_000_000


def session(actions: int, hours: float) -> pa.Table:
    """Somebody who changes windows every 17 s, among four documents that are others every 12 minutes."""
    rng = np.random.default_rng(7)
    start_us = np.sort(rng.integers(0, int(hours * 3600 * _SECOND_US), actions))
    visit, task = start_us // (17 * _SECOND_US), start_us // (720 * _SECOND_US)
    document = 4 * task + rng.integers(0, 4, visit[-1] + 1)[visit]
    words = pa.array([f"Document {number}.txt" for number in range(document.max() + 1)])
    return pa.table(
        {
            "action": pa.repeat("click", actions),
            "start_us": start_us,
            "end_us": start_us + 100_000,
            "device": pa.repeat(pa.scalar(0, pa.int32()), actions),
            "app": pa.array([f"App {number % 6}" for number in document.tolist()]),
            "title": words.take(pa.array(document)),
            "url": pa.nulls(actions, pa.string()),
            "keys": pa.nulls(actions, pa.string()),
            "flags": pa.repeat(pa.scalar(0, pa.int32()), actions),
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=12)
    args = parser.parse_args()
    lines = [f"# python -m bench.segmentation --hours {args.hours:g}\n\n{machine()}. The best of five.\n"]
    lines += ["| actions | episodes | ms | actions a second |", "|---|---|---|---|"]
    for actions in (1_000, 5_000, 20_000, 80_000):
        table, seconds = session(actions, args.hours), []
        for _ in range(5):
            began_s = time.perf_counter()
            episodes = cut_episodes(table, [], EpisodeOptions())
            seconds.append(time.perf_counter() - began_s)
        lines.append(f"| {actions} | {len(episodes)} | {1000 * min(seconds):.0f} | {actions / min(seconds):.0f} |")
    text = "\n".join(lines) + "\n"
    print(text)
    (RESULTS / "segmentation.md").write_text(text)


if __name__ == "__main__":
    main()
