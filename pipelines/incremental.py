"""The incremental job: what the dataset does not list yet, added to it in one commit. Wiring only.

A bounded run that builds on a version: it finds what is new, plans by names which spans are over, builds these whole,
and commits rows that replace those of the spans they share segments with. What waits is found again by the next run.
"""

from __future__ import annotations

from typing import Any

import apache_beam as beam

from taskreel.io.tables import Commit
from taskreel.io.times import iso_from_us, us_from_iso
from taskreel.pipelines.episodes import Launch, build_and_write, metadata, selection
from taskreel.pipelines.options import IncrementalOptions, RunOptions, RunPlaces
from taskreel.transforms.add import AddChanges
from taskreel.transforms.build import ACCOUNT, DEAD, TAKEN
from taskreel.transforms.commit import ROWS, ChangeOptions
from taskreel.transforms.discover_new import Days, DiscoverNew, NewsOptions
from taskreel.transforms.known import Base, longest_of
from taskreel.transforms.take import ACCOUNT as WAITING
from taskreel.transforms.take import TakeOptions, TakeSpans


def incremental_pipeline(
    pipeline: beam.Pipeline,
    places: RunPlaces,
    options: RunOptions,
    chosen: IncrementalOptions,
    launch: Launch,
    before: Commit | None,
) -> Any:
    """Wire the road: discover what is new, take what is over, build, assign, write, commit the changes."""
    watermark_us = chosen.watermark_us(places.as_of_us)
    base = Base.of(places.output, before)
    news = NewsOptions(
        selection(places),
        base,
        longest_of(options.spans),
        days_to_list(places, options, chosen, before),
        places.as_of_us,
        chosen.retry_dead,
        options.prefetch,
    )
    take = TakeOptions(base, options.spans, None if chosen.final else watermark_us // 1000, launch.progress)
    facts = metadata(places, options, launch) | {"kind": "incremental", "watermark": iso_from_us(watermark_us)}
    commit = ChangeOptions(
        places.output, launch.run_id, launch.base_version, facts, options.spans, options.shards, options.row_groups
    )

    found = pipeline | "Discover" >> DiscoverNew(news)
    planned = {"names": found.names, "still_dead": found.still_dead} | "TakeSpans" >> TakeSpans(take)
    made = build_and_write(planned.spans, places, options, launch, adds=True)
    dead = (found.dead, made[DEAD]) | "DeadLetters" >> beam.Flatten()
    discovered = found.dead | "CountNames" >> beam.Map(lambda line: '{"segments.read": 1}')
    account = (made[ACCOUNT], discovered, planned[WAITING]) | "Accounts" >> beam.Flatten()
    changes = {ROWS: made[ROWS], ACCOUNT: account, DEAD: dead, TAKEN: made[TAKEN]}
    return changes | "AddChanges" >> AddChanges(commit)


def days_to_list(places: RunPlaces, options: RunOptions, chosen: IncrementalOptions, before: Commit | None) -> Days:
    """The days within lateness, or on which something may wait since the version before, and some older ones.

    What waits ended less than a gap before the watermark, and a span begins at most 2 x its longest length before its
    end (a cell of the grid, and a segment as long as that). So no list of waiting names has to be kept.
    """
    if before is None or chosen.final or chosen.rescan:
        return Days()
    since_us = us_from_iso(before.metadata.get("watermark") or before.metadata["as_of"])
    since_ms = min(since_us, chosen.watermark_us(places.as_of_us)) // 1000
    open_ms = 2 * longest_of(options.spans) + options.spans.gap_ms
    return Days(since_ms - max(int(chosen.lateness_h * 3_600_000), open_ms), chosen.rescan_days, places.as_of_us)
