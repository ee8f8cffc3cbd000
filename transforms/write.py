"""Write: one shard from the drafts of its episodes. Pictures are read here, once, from the segments where they lie."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import zstandard

from taskreel.io.names import SegmentName
from taskreel.io.parts import ORDER
from taskreel.io.schemas import EPISODE_SCHEMA, STEP_SCHEMA
from taskreel.io.shards import RowGroupLimits, plan_row_groups
from taskreel.io.stores import Store, open_store
from taskreel.transforms import metrics
from taskreel.transforms.assign import ShardOptions, split_of
from taskreel.transforms.layout import OWN_SCHEMA, Contents, Layout, lay_out, publish_shard, write_layout
from taskreel.transforms.prefetch import prefetched
from taskreel.transforms.progress import Progress
from taskreel.transforms.steps import DRAFT_SCHEMA, STEP_FLAGS, Draft, Picture

_SKIPPED_AT_MOST_BYTES = 256 << 10
"""Pictures of a segment that lie this near are fetched with one request; what lies between is thrown away."""
_READ_AHEAD_BYTES = 32 << 20


@dataclass(frozen=True)
class WriteOptions:
    """Where segments and shards lie, and how row groups are cut."""

    root: str
    output: str
    limits: RowGroupLimits = field(default_factory=RowGroupLimits)
    prefetch: int = 16
    progress: str = ""


class WriteShards(beam.PTransform):
    """(shard key, drafts) → the shard's rows of `episodes`, as `encode_rows` writes them."""

    def __init__(self, options: WriteOptions) -> None:
        super().__init__()
        self.options = options

    def expand(self, drafts: Any) -> Any:
        """Group by shard, write each."""
        return drafts | "GroupByShard" >> beam.GroupByKey() | "WriteShard" >> beam.ParDo(_WriteDoFn(self.options))


class ShardDoFn(beam.DoFn):
    """What writes shards: the stores, and `write`."""

    def __init__(self, options: WriteOptions) -> None:
        self._options = options

    def setup(self) -> None:
        """Open the stores."""
        self._segments = open_store(self._options.root)
        self._output = open_store(self._options.output)
        self._progress = Progress(self._options.progress)

    def finish_bundle(self) -> None:
        """Say how far it is."""
        self._progress.flush()

    def write(self, key: str, drafts: Iterable[bytes]) -> bytes:
        """Write a shard of these drafts; the rows of `episodes` that say where they lie."""
        split, number, count = key.split("/")
        shard = Shard([Draft.from_bytes(data) for data in drafts])
        name, size_bytes = publish_shard(
            self._output,
            lambda path: write_shard(
                shard, self._segments, path, self._options, lambda size: metrics.count(picture_bytes=size)
            ),
            split=split,
            number=int(number),
            count=int(count),
        )
        self._progress.add(shards=1)
        metrics.observe(shard_bytes=size_bytes)
        return encode_rows(shard.episode_rows(split, name, size_bytes))


class _WriteDoFn(ShardDoFn):
    def process(self, element: tuple[str, Iterable[bytes]]) -> Iterator[bytes]:
        yield self.write(*element)


class Shard:
    """The episodes of one shard, in the order of its rows: participant, time, id."""

    def __init__(self, drafts: list[Draft]) -> None:
        self.drafts = sorted(drafts, key=lambda d: tuple(d.episode[k] for k in ORDER))
        self.lengths = np.array([draft.steps.num_rows for draft in self.drafts], np.int64)
        self.rows = int(self.lengths.sum())
        """How many steps it has."""

    def layout(self) -> tuple[Layout, list[_Place]]:
        """Its rows, and per number of a picture the place where it lies."""
        steps = pa.Table.from_batches([draft.steps for draft in self.drafts], DRAFT_SCHEMA)
        draft_of_row = np.repeat(np.arange(len(self.drafts)), self.lengths)
        places = [_Place(d.episode["participant"], picture) for d in self.drafts for picture in d.pictures]
        image, approach = self._places(steps, draft_of_row)
        columns = {
            **self._of_episode(draft_of_row),
            **self._of_source(steps, draft_of_row),
            **_times(steps),
            **_of_picture(places, image, approach),
            "flags": _flag_names(steps.column("flags")),
            "redactions": pa.array([[]] * self.rows, STEP_SCHEMA.field("redactions").type),
        }
        arrays = [columns[f.name] if f.name in columns else steps.column(f.name) for f in OWN_SCHEMA]
        layout = lay_out(pa.table(arrays, schema=OWN_SCHEMA), self.lengths)
        together = np.stack([image, approach], axis=1).ravel()
        return layout, [places[index] for index in together[layout.first_stored].tolist()]

    def episode_rows(self, split: str, shard: str, size_bytes: int) -> list[dict[str, Any]]:
        """The rows of `episodes`, now that it is known where the steps lie."""
        rows = []
        first_rows = np.cumsum([0, *self.lengths]).tolist()
        for draft, first_row in zip(self.drafts, first_rows, strict=False):
            place = {"shard": shard, "first_row": first_row, "shard_rows": self.rows, "shard_bytes": size_bytes}
            rows.append(episode_row(draft, split) | place)
        return rows

    def _places(self, steps: pa.Table, draft_of_row: np.ndarray) -> list[np.ndarray]:
        """Per row the index of its image, and of its approach image, in the pictures of all drafts; -1 for none."""
        first = np.cumsum([0] + [len(draft.pictures) for draft in self.drafts])[draft_of_row]
        columns = [pc.fill_null(steps.column(name), -1).to_numpy() for name in ("picture", "approach_picture")]
        return [np.where(column >= 0, column + first, -1) for column in columns]

    def _of_episode(self, draft_of_row: np.ndarray) -> dict[str, pa.Array]:
        facts = [draft.episode for draft in self.drafts]
        index = pa.array(draft_of_row)
        names = ("episode_id", "participant", "session_id", "reducer_version")
        columns = {name: pa.array([f[name] for f in facts], pa.string()).take(index) for name in names}
        first_rows = np.cumsum([0, *self.lengths])
        return columns | {"step": pa.array(np.arange(self.rows) - first_rows[draft_of_row], pa.int32())}

    def _of_source(self, steps: pa.Table, draft_of_row: np.ndarray) -> dict[str, pa.Array]:
        sources = [source for draft in self.drafts for source in draft.sources]
        first = np.cumsum([0] + [len(draft.sources) for draft in self.drafts])
        index = pa.array(first[draft_of_row] + steps.column("source").to_numpy())
        names = [name for name in STEP_SCHEMA.names if sources and hasattr(sources[0], name)]
        arrays = {n: pa.array([getattr(s, n) for s in sources], STEP_SCHEMA.field(n).type).take(index) for n in names}
        return arrays | {"monitor": pa.nulls(self.rows, pa.int32())}


@dataclass(frozen=True)
class _Place:
    """Where a picture lies: in a segment of a participant."""

    participant: str
    picture: Picture

    @property
    def segment(self) -> str:
        return str(SegmentName.from_file(self.participant, self.picture.file))

    @property
    def end(self) -> int:
        return self.picture.offset + self.picture.size_bytes


def write_shard(
    shard: Shard, segments: Store, path: str, options: WriteOptions, progress: Callable[[int], None] = lambda size: None
) -> None:
    """Write a shard's file, row group by row group, reading pictures ahead."""
    layout, places = shard.layout()
    sizes = [place.picture.size_bytes for place in places]
    groups = list(plan_row_groups(layout.image, layout.approach_image, sizes.__getitem__, options.limits))
    needed = [layout.used(first, end) for first, end in groups]
    reads = [read for group, numbers in enumerate(needed) for read in _plan_reads(places, group, numbers)]
    fetched = prefetched(
        reads,
        lambda read: segments.read_range(read.path, read.offset, read.length),
        size_bytes=lambda read: read.length,
        threads=options.prefetch if segments.is_remote else 0,
        budget_bytes=_READ_AHEAD_BYTES,
    )
    write_layout(layout, path, zip(groups, _contents(fetched, len(groups)), strict=True), progress)


def _contents(fetched: Iterator[tuple[_Read, Future[bytes]]], groups: int) -> Iterator[Contents]:
    """What was fetched, group by group: as many as there are, some perhaps without pictures."""
    ahead = next(fetched, None)
    for group in range(groups):
        contents: dict[int, memoryview] = {}
        while ahead is not None and ahead[0].group == group:
            contents |= ahead[0].cut(ahead[1].result())
            ahead = next(fetched, None)
        yield contents


@dataclass(frozen=True)
class _Read:
    """One request: a range of a segment, and the pictures in it as (number, offset in the range, size)."""

    group: int
    path: str
    offset: int
    length: int
    pictures: tuple[tuple[int, int, int], ...]

    def cut(self, data: bytes) -> dict[int, memoryview]:
        """The pictures' bytes, without copying them."""
        view = memoryview(data)
        return {number: view[offset : offset + size] for number, offset, size in self.pictures}


def _plan_reads(places: list[_Place], group: int, numbers: list[int]) -> Iterator[_Read]:
    """The requests for some pictures: one for those that lie close together in a segment."""
    run: list[int] = []
    for number in sorted(
        numbers, key=lambda n: (places[n].participant, places[n].picture.file, places[n].picture.offset, n)
    ):
        if run and not _is_near(places[run[-1]], places[number]):
            yield _read(places, group, run)
            run = []
        run.append(number)
    if run:
        yield _read(places, group, run)


def _is_near(before: _Place, place: _Place) -> bool:
    is_same = before.participant == place.participant and before.picture.file == place.picture.file
    return is_same and place.picture.offset - before.end <= _SKIPPED_AT_MOST_BYTES


def _read(places: list[_Place], group: int, run: list[int]) -> _Read:
    start = places[run[0]].picture.offset
    pictures = tuple((n, places[n].picture.offset - start, places[n].picture.size_bytes) for n in run)
    return _Read(group, places[run[0]].segment, start, max(places[n].end for n in run) - start, pictures)


def _of_picture(places: list[_Place], image: np.ndarray, approach: np.ndarray) -> dict[str, pa.Array]:
    pictures = [place.picture for place in places]
    hashes = pa.array([picture.hash for picture in pictures], pa.string())
    widths = pa.array([picture.width_px for picture in pictures], pa.int32())
    heights = pa.array([picture.height_px for picture in pictures], pa.int32())
    index = pa.array(image, mask=image < 0)
    return {
        "image_hash": hashes.take(index),
        "image_width_px": widths.take(index),
        "image_height_px": heights.take(index),
        "approach_image_hash": hashes.take(pa.array(approach, mask=approach < 0)),
    }


def _times(steps: pa.Table) -> dict[str, pa.Array]:
    start = steps.column("start_us")
    return {
        "end_us": pc.add(start, steps.column("duration_us")),
        "last_seq": pc.add(steps.column("first_seq"), pc.cast(steps.column("seqs"), pa.int64())),
        "image_time_us": pc.subtract(start, steps.column("image_age_us")),
        "approach_image_time_us": pc.subtract(start, steps.column("approach_image_age_us")),
    }


def _flag_names(flags: pa.ChunkedArray) -> pa.Array:
    values, place = np.unique(flags.to_numpy(), return_inverse=True)
    names = [[name for bit, name in enumerate(STEP_FLAGS) if value >> bit & 1] for value in values.tolist()]
    return pa.array(names, STEP_SCHEMA.field("flags").type).take(pa.array(place))


def episode_row(draft: Draft, split: str) -> dict[str, Any]:
    """A draft's row of `episodes`, not yet placed in a shard."""
    row = dict.fromkeys(EPISODE_SCHEMA.names) | draft.episode
    actions = json.dumps(draft.episode["actions"], sort_keys=True)
    return row | {"split": split, "steps": draft.steps.num_rows, "pictures": len(draft.pictures), "actions": actions}


def encode_rows(rows: list[dict[str, Any]]) -> bytes:
    """Rows of `episodes` as they cross the shuffle."""
    return encode_table(pa.Table.from_pylist(rows, schema=EPISODE_SCHEMA))


def encode_table(rows: pa.Table) -> bytes:
    """The same of a table (`EPISODE_SCHEMA`)."""
    [batch] = rows.combine_chunks().to_batches() or [pa.RecordBatch.from_pylist([], schema=EPISODE_SCHEMA)]
    return zstandard.compress(batch.serialize().to_pybytes())


def decode_rows(data: bytes) -> pa.RecordBatch:
    """What `encode_rows` wrote."""
    return pa.ipc.read_record_batch(pa.py_buffer(zstandard.decompress(data)), EPISODE_SCHEMA)


def encode_residue(element: tuple[str, str, bytes], options: ShardOptions) -> bytes:
    """The row of a draft that has no steps, and so lies in no shard."""
    return encode_residue_row(element[2], options)


def encode_residue_row(data: bytes, options: ShardOptions) -> bytes:
    """The same of the draft's bytes."""
    draft = Draft.from_bytes(data)
    return encode_rows([episode_row(draft, split_of(draft.episode["participant"], options))])
