"""The streaming job: what is published from now on, committed every few seconds. Wiring only.

Names come from a watch of recent days; what is committed near them goes in first, so a stream that starts again goes on
from the dataset. What it cannot take up goes to `late/`, for the next incremental run.
"""

from __future__ import annotations

import apache_beam as beam

from taskreel.io.names import SegmentName
from taskreel.io.stores import open_store
from taskreel.io.tables import Commit
from taskreel.pipelines.episodes import Launch, metadata, selection
from taskreel.pipelines.options import RunOptions, RunPlaces, StreamingOptions
from taskreel.transforms.add import AddAgainAndAgain
from taskreel.transforms.build import ACCOUNT, BuildUnits, Parts, ReadOptions
from taskreel.transforms.commit import LATE as LATE_PART
from taskreel.transforms.commit import ChangeOptions
from taskreel.transforms.discover import DEAD
from taskreel.transforms.known import Base, longest_of
from taskreel.transforms.late import Late
from taskreel.transforms.reconcile import Reconcile, ReconcileOptions
from taskreel.transforms.reload import ReloadSpans, reloaded_days
from taskreel.transforms.sessionize import LATE, SessionizeNames, Stream
from taskreel.transforms.stream_time import StreamTime
from taskreel.transforms.watching import WatchNames, WatchOptions, first_polled_ms
from taskreel.transforms.write import WriteOptions
from taskreel.transforms.write_units import PourOptions, WriteUnits


def streaming_pipeline(
    pipeline: beam.Pipeline,
    places: RunPlaces,
    options: RunOptions,
    chosen: StreamingOptions,
    launch: Launch,
    before: Commit | None,
) -> None:
    """Wire the road: watch, sessionize with what is known, build, collect and write, commit again and again."""
    segments = selection(places)
    time = StreamTime(segments.root, int(chosen.publish_deadline_s * 1000), chosen.clock)
    lateness_ms = int(chosen.lateness_h * 3_600_000)
    closed_after_ms = options.spans.gap_ms + lateness_ms
    begun_ms = time.watermark_ms()
    first_ms = first_polled_ms(begun_ms, closed_after_ms)
    watch = WatchOptions(segments, time, first_ms, closed_after_ms, chosen.poll_every_s)
    base = Base.of(places.output, before)
    read = ReadOptions(
        segments.root, places.as_of_us, options.spans.gap_ms, options.prefetch, launch.progress, True, time
    )
    write = WriteOptions(segments.root, places.output, options.row_groups, options.prefetch, launch.progress)
    facts = metadata(places, options, launch) | {"kind": "streaming"}
    commit = ChangeOptions(
        places.output, launch.run_id, None, facts, options.spans, options.shards, options.row_groups, rebase=True
    )

    watched = pipeline | "Watch" >> WatchNames(watch)
    days = reloaded_days(first_ms, begun_ms, options.spans)
    committed = pipeline | "Reload" >> ReloadSpans(base, days, first_ms)
    names = (watched.names, committed) | "Names" >> beam.Flatten()
    stream = Stream(time, lateness_ms, first_ms - 1, begun_ms)
    spans = names | "Spans" >> SessionizeNames(options.spans, stream)
    built = spans.spans | "SpreadSpans" >> beam.Reshuffle() | "BuildUnits" >> BuildUnits(read, options.build)
    pour = PourOptions(chosen.writers, time.real_s(chosen.close_every_s))
    written = built | "WriteUnits" >> WriteUnits(write, options.shards, pour)

    dead = watched[DEAD] | "DeadLetters" >> beam.Map(_dead_part).with_output_types(Parts)
    too_late = spans[LATE] | "TooLate" >> beam.Map(_late_part, segments.root).with_output_types(Parts)
    old = ReconcileOptions(
        watch, places.output, longest_of(options.spans), chosen.reconcile_days, chosen.reconcile_every_s
    )
    found = pipeline | "Reconcile" >> Reconcile(old) | "FoundLate" >> beam.Map(_found_part).with_output_types(Parts)
    together = (written, dead, too_late, found) | "Parts" >> beam.Flatten()
    _ = together | "AddChanges" >> AddAgainAndAgain(commit, time, time.real_s(chosen.commit_every_s))


def _dead_part(line: str) -> Parts:
    return [(DEAD, line.encode()), (ACCOUNT, b'{"segments.read":1}')]


def _late_part(element: tuple[str, str], root: str) -> Parts:
    participant, file = element
    size_bytes = open_store(root).size_bytes(str(SegmentName.from_file(participant, file))) or 0
    return _found_part(Late(participant, file, size_bytes, "span_closed").to_json())


def _found_part(line: str) -> Parts:
    return [(LATE_PART, line.encode())]
