"""Which part takes the time: the pure functions in a plain loop, without Beam. `python -m bench.stages --mb 300`.

CPU time (user and system) of one process, in ms per MB of input, and the functions that take most of it.
"""

from __future__ import annotations

import argparse
import cProfile
import io
import pstats
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from bench.__main__ import RESULTS, machine
from bench.mix import generate
from taskreel.io.names import SegmentName
from taskreel.io.segments import Segment
from taskreel.io.stores import Store, open_store
from taskreel.transforms.admit import Admission, Consents
from taskreel.transforms.build import BuildOptions, build_span
from taskreel.transforms.discover import Selection
from taskreel.transforms.spans import spans
from taskreel.transforms.steps import Draft
from taskreel.transforms.write import Shard, WriteOptions, write_shard

AS_OF_US = 1_900_000_000_000_000


class Stages:
    """CPU seconds by stage."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        began_s = time.process_time()
        yield
        self.seconds[name] += time.process_time() - began_s


def road(source: str, target: Store, stage: Stages) -> int:
    """All spans of an input into one shard; the bytes read."""
    store, selection = open_store(source), Selection.of_input(source)
    names = [SegmentName.parse(entry.name) for day in selection.days(store) for entry in selection.entries(store, day)]
    admission = Admission(Consents(store), AS_OF_US)
    drafts: list[bytes] = []
    read_bytes = 0
    for person in sorted({name.participant for name in names}):
        for span in spans((name for name in names if name.participant == person), gap_ms=600_000):
            segments = []
            for name in span.segments:
                fetched: Future[bytes] = Future()
                with stage("read"):
                    fetched.set_result(store.read(str(name)))
                read_bytes += len(fetched.result())
                with stage("prove, admit, decode"):
                    segment = admission.admit(name, fetched)
                assert isinstance(segment, Segment)
                segments.append(segment)
            with stage("merge, reduce, cut"):
                built = build_span(segments, BuildOptions())
            with stage("encode drafts"):
                drafts += [draft.to_bytes() for draft in built.drafts]
    with target.staged() as staged:
        with stage("write the shard"):
            shard = Shard([Draft.from_bytes(data) for data in drafts])
            write_shard(shard, store, staged.path, WriteOptions(store.url, target.url))
        with stage("sha256 of the shard"):
            staged.sha256()
    return read_bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mb", type=int, default=300)
    parser.add_argument("--work", default="/dev/shm")
    args = parser.parse_args()
    lines = [f"# python -m bench.stages --mb {args.mb}\n\n{machine()}. CPU ms per MB of input.\n"]
    for actions in (1, 5, 15):
        with tempfile.TemporaryDirectory(dir=args.work) as work:
            generate(open_store(f"{work}/in"), mb=args.mb, actions_a_picture=actions)
            stage = Stages()
            mb = road(f"{work}/in", open_store(f"{work}/out"), stage) / 1e6
            profile = cProfile.Profile()
            profile.runcall(road, f"{work}/in", open_store(f"{work}/out"), Stages())
        lines += [f"\n## {actions} actions a picture: {mb / stage.seconds.total():.0f} MB/s of CPU time\n"]
        lines += [f"- {name}: {seconds / mb * 1e3:.2f}" for name, seconds in stage.seconds.items()]
        lines += ["\n```", *_top(profile), "```"]
    text = "\n".join(lines) + "\n"
    print(text)
    (RESULTS / "stages.md").write_text(text)


def _top(profile: cProfile.Profile) -> list[str]:
    """The functions that take most of the time themselves, without places of this machine."""
    out = io.StringIO()
    pstats.Stats(profile, stream=out).strip_dirs().sort_stats("tottime").print_stats(14)
    rows = out.getvalue().splitlines()
    return [row for row in rows[rows.index(next(r for r in rows if "ncalls" in r)) :] if row.strip()]


if __name__ == "__main__":
    main()
