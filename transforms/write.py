"""Write: one shard from the drafts of its episodes. Pictures are read here, once, from the segments where they lie."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import zstandard

from taskreel.io.names import SegmentName
from taskreel.io.schemas import EPISODE_SCHEMA, IMAGE_COLUMNS, STEP_SCHEMA
from taskreel.io.shards import RowGroupLimits, ShardWriter, plan_row_groups, shard_name
from taskreel.io.stores import Store, open_store
from taskreel.io.tables import STEPS
from taskreel.transforms.assign import ShardOptions, split_of
from taskreel.transforms.prefetch import prefetched
from taskreel.transforms.progress import Progress
from taskreel.transforms.steps import STEP_FLAGS, Draft, Picture

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


class _WriteDoFn(beam.DoFn):
    def __init__(self, options: WriteOptions) -> None:
        self._options = options

    def setup(self) -> None:
        self._segments = open_store(self._options.root)
        self._output = open_store(self._options.output)
        self._progress = Progress(self._options.progress)

    def process(self, element: tuple[str, Iterable[bytes]]) -> Iterator[bytes]:
        key, drafts = element
        split, number, count = key.split("/")
        shard = Shard([Draft.from_bytes(data) for data in drafts])
        with self._output.staged() as staged:
            write_shard(shard, self._segments, staged.path, self._options, lambda size: self._progress.add(bytes=size))
            name = shard_name(split, int(number), int(count), staged.sha256())
            staged.publish(f"{STEPS}/{name}")
        size_bytes = self._output.size_bytes(f"{STEPS}/{name}") or 0
        self._progress.add(shards=1)
        yield encode_rows(shard.episode_rows(split, name, size_bytes))

    def finish_bundle(self) -> None:
        self._progress.flush()


class Shard:
    """The episodes of one shard, in the order of its rows: participant, time, id."""

    def __init__(self, drafts: list[Draft]) -> None:
        self.drafts = sorted(
            drafts, key=lambda d: tuple(d.episode[k] for k in ("participant", "start_us", "episode_id"))
        )
        self.first_rows = np.cumsum([0] + [draft.steps.num_rows for draft in self.drafts])
        self.pictures: list[tuple[str, Picture]] = []
        """(participant, picture), distinct by hash: nobody's step shows what another's recording says it is."""
        self._picture_number: dict[tuple[str, str], int] = {}

    @property
    def rows(self) -> int:
        """How many steps it has."""
        return int(self.first_rows[-1])

    def columns(self) -> tuple[pa.Table, np.ndarray, np.ndarray]:
        """All columns of `STEP_SCHEMA` but the images, and per row the numbers of its image and approach image."""
        steps = pa.Table.from_batches([draft.steps for draft in self.drafts])
        draft_of_row = np.repeat(np.arange(len(self.drafts)), np.diff(self.first_rows))
        picture = self._numbers("picture")
        approach = self._numbers("approach_picture")
        approach_row = _first_row_with(approach, picture, draft_of_row)
        columns = {
            **self._of_episode(draft_of_row),
            **self._of_source(steps, draft_of_row),
            **_times(steps),
            **self._of_picture(picture, approach),
            "approach_image_row": pa.array(approach_row, pa.int32(), mask=approach_row < 0),
            **self._neighbors(draft_of_row),
            "flags": _flag_names(steps.column("flags")),
            "redactions": pa.array([[]] * self.rows, STEP_SCHEMA.field("redactions").type),
        }
        plain = [field for field in STEP_SCHEMA if field.name not in IMAGE_COLUMNS]
        arrays = [columns[f.name] if f.name in columns else steps.column(f.name) for f in plain]
        table = pa.table(arrays, schema=pa.schema(plain))
        return table, picture, np.where(approach_row >= 0, -1, approach)

    def episode_rows(self, split: str, shard: str, size_bytes: int) -> list[dict[str, Any]]:
        """The rows of `episodes`, now that it is known where the steps lie."""
        rows = []
        for draft, first_row in zip(self.drafts, self.first_rows.tolist(), strict=False):
            place = {"shard": shard, "first_row": first_row, "shard_rows": self.rows, "shard_bytes": size_bytes}
            rows.append(episode_row(draft, split) | place)
        return rows

    def _numbers(self, column: str) -> np.ndarray:
        parts = []
        for draft in self.drafts:
            known = [self._number(draft.episode["participant"], picture) for picture in draft.pictures]
            local = pc.fill_null(draft.steps.column(column), -1).to_numpy()
            parts.append(np.array([*known, -1])[local])
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def _number(self, participant: str, picture: Picture) -> int:
        key = participant, picture.hash
        if key not in self._picture_number:
            self._picture_number[key] = len(self.pictures)
            self.pictures.append((participant, picture))
        return self._picture_number[key]

    def _of_episode(self, draft_of_row: np.ndarray) -> dict[str, pa.Array]:
        facts = [draft.episode for draft in self.drafts]
        index = pa.array(draft_of_row)
        names = ("episode_id", "participant", "session_id", "reducer_version")
        columns = {name: pa.array([f[name] for f in facts], pa.string()).take(index) for name in names}
        return columns | {"step": pa.array(np.arange(self.rows) - self.first_rows[draft_of_row], pa.int32())}

    def _of_source(self, steps: pa.Table, draft_of_row: np.ndarray) -> dict[str, pa.Array]:
        sources = [source for draft in self.drafts for source in draft.sources]
        first = np.cumsum([0] + [len(draft.sources) for draft in self.drafts])
        index = pa.array(first[draft_of_row] + steps.column("source").to_numpy())
        names = [name for name in STEP_SCHEMA.names if sources and hasattr(sources[0], name)]
        arrays = {n: pa.array([getattr(s, n) for s in sources], STEP_SCHEMA.field(n).type).take(index) for n in names}
        return arrays | {"monitor": pa.nulls(self.rows, pa.int32())}

    def _of_picture(self, picture: np.ndarray, approach: np.ndarray) -> dict[str, pa.Array]:
        hashes = pa.array([p.hash for _, p in self.pictures], pa.string())
        index = pa.array(picture, mask=picture < 0)
        widths = pa.array([p.width_px for _, p in self.pictures], pa.int32())
        heights = pa.array([p.height_px for _, p in self.pictures], pa.int32())
        return {
            "image_hash": hashes.take(index),
            "image_width_px": widths.take(index),
            "image_height_px": heights.take(index),
            "approach_image_hash": hashes.take(pa.array(approach, mask=approach < 0)),
        }

    def _neighbors(self, draft_of_row: np.ndarray) -> dict[str, pa.Array]:
        rows = np.arange(self.rows)
        is_first, is_last = rows == self.first_rows[draft_of_row], rows == self.first_rows[draft_of_row + 1] - 1
        return {
            "previous_row": pa.array(rows - 1, pa.int32(), mask=is_first),
            "next_row": pa.array(rows + 1, pa.int32(), mask=is_last),
        }


def write_shard(
    shard: Shard, segments: Store, path: str, options: WriteOptions, progress: Callable[[int], None] = lambda size: None
) -> None:
    """Write a shard's file, row group by row group, reading pictures ahead."""
    columns, picture, approach = shard.columns()
    sizes = np.array([p.size_bytes for _, p in shard.pictures] or [0])
    groups = plan_row_groups(picture, approach, sizes, options.limits)
    needed = [_distinct(picture[a:b], approach[a:b]) for a, b in groups]
    reads = [read for group, numbers in enumerate(needed) for read in _plan_reads(shard, group, numbers)]
    fetched = prefetched(
        reads,
        lambda read: segments.read_range(read.path, read.offset, read.length),
        size_bytes=lambda read: read.length,
        threads=options.prefetch if segments.is_remote else 0,
        budget_bytes=_READ_AHEAD_BYTES,
    )
    with ShardWriter(path) as writer:
        ahead = next(fetched, None)
        for group, (first, end) in enumerate(groups):
            contents: dict[int, Any] = {}
            while ahead is not None and ahead[0].group == group:
                contents |= ahead[0].cut(ahead[1].result())
                ahead = next(fetched, None)
            writer.write(columns.slice(first, end - first), _images(picture, approach, contents, first, end))
            progress(sum(len(content) for content in contents.values()))


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


def _distinct(*columns: np.ndarray) -> list[int]:
    together = np.unique(np.concatenate(columns))
    return [int(number) for number in together[together >= 0]]


def _plan_reads(shard: Shard, group: int, numbers: list[int]) -> Iterator[_Read]:
    """The requests for some pictures: one for those that lie close together in a segment."""
    places = sorted((shard.pictures[n][0], shard.pictures[n][1].file, shard.pictures[n][1].offset, n) for n in numbers)
    run: list[tuple[str, str, int, int]] = []
    for place in places:
        if run and not _is_near(shard, run[-1], place):
            yield _read(shard, group, run)
            run = []
        run.append(place)
    if run:
        yield _read(shard, group, run)


def _is_near(shard: Shard, before: tuple[str, str, int, int], place: tuple[str, str, int, int]) -> bool:
    end = before[2] + shard.pictures[before[3]][1].size_bytes
    return before[:2] == place[:2] and place[2] - end <= _SKIPPED_AT_MOST_BYTES


def _read(shard: Shard, group: int, run: list[tuple[str, str, int, int]]) -> _Read:
    participant, file, start, _ = run[0]
    pictures = tuple((n, offset - start, shard.pictures[n][1].size_bytes) for _, _, offset, n in run)
    length = max(offset + size for _, offset, size in pictures)
    return _Read(group, str(SegmentName.from_file(participant, file)), start, length, pictures)


def _images(
    picture: np.ndarray, approach: np.ndarray, contents: dict[int, Any], first: int, end: int
) -> dict[str, tuple[np.ndarray, list[Any]]]:
    images = {}
    for name, numbers in (("image", picture[first:end]), ("approach_image", approach[first:end])):
        used, place = np.unique(numbers, return_inverse=True)
        shift = int(len(used) and used[0] < 0)
        images[name] = (place - shift, [contents[int(number)] for number in used[shift:]])
    return images


def _first_row_with(approach: np.ndarray, picture: np.ndarray, draft_of_row: np.ndarray) -> np.ndarray:
    """Per row, the first row of its episode whose image is this row's approach image, or -1."""
    if not len(picture):
        return np.zeros(0, np.int64)
    span = int(max(picture.max(), approach.max())) + 2
    shown = draft_of_row * span + picture + 1
    wanted = draft_of_row * span + approach + 1
    values, rows = np.unique(shown, return_index=True)
    index = np.minimum(np.searchsorted(values, wanted), len(values) - 1)
    return np.where((values[index] == wanted) & (approach >= 0), rows[index], -1)


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
    batch = pa.RecordBatch.from_pylist(rows, schema=EPISODE_SCHEMA)
    return zstandard.compress(batch.serialize().to_pybytes())


def decode_rows(data: bytes) -> pa.RecordBatch:
    """What `encode_rows` wrote."""
    return pa.ipc.read_record_batch(pa.py_buffer(zstandard.decompress(data)), EPISODE_SCHEMA)


def encode_residue(element: tuple[str, str, bytes], options: ShardOptions) -> bytes:
    """The row of a draft that has no steps, and so lies in no shard."""
    participant, _, data = element
    return encode_rows([episode_row(Draft.from_bytes(data), split_of(participant, options))])
