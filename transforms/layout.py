"""Layout: the rows of one shard, whether they come from drafts or from other shards, and how they become its file.

All that depends on which rows lie together is decided here, from the rows alone: the numbers of the pictures, which
row each row points at, the row groups. So a shard's bytes do not depend on where its rows came from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taskreel.io.schemas import IMAGE_COLUMNS, STEP_SCHEMA
from taskreel.io.shards import ShardWriter, shard_name
from taskreel.io.stores import Store
from taskreel.io.tables import STEPS

ROW_COLUMNS = ("previous_row", "next_row", "approach_image_row")
"""What counts rows of the shard."""

OWN_SCHEMA = pa.schema([field for field in STEP_SCHEMA if field.name not in (*IMAGE_COLUMNS, *ROW_COLUMNS)])
"""What a step says wherever it lies: `STEP_SCHEMA` without pictures and without numbers of rows."""

Contents = Mapping[int, bytes | memoryview]
"""The bytes of some pictures, by number."""


@dataclass(frozen=True)
class Layout:
    """The rows of a shard, in order. Arrays of shape (rows,) hold numbers of pictures, -1 for none."""

    steps: pa.Table
    """All columns of `STEP_SCHEMA` but the pictures."""
    image: np.ndarray
    """The picture in the column `image`."""
    approach_image: np.ndarray
    """The picture in the column `approach_image`; -1 where a row of the episode shows it as its `image`."""

    @property
    def first_stored(self) -> np.ndarray:
        """Per picture, where its bytes are stored first: 2 x row in the column `image`, + 1 in `approach_image`."""
        numbers, first = np.unique(np.stack([self.image, self.approach_image], axis=1).ravel(), return_index=True)
        return first[numbers >= 0]

    def used(self, first: int, end: int) -> list[int]:
        """The distinct pictures of some rows, rising."""
        return _distinct(self.image[first:end], self.approach_image[first:end])


def lay_out(own: pa.Table, lengths: Sequence[int] | np.ndarray) -> Layout:
    """The layout of episodes with these `lengths` in rows, one after the other; `own` are their steps (`OWN_SCHEMA`).

    Pictures are numbered in order of first use, distinct by participant and hash: nobody's step shows what another's
    recording says it is.
    """
    first_rows = np.cumsum([0, *lengths])
    episode = np.repeat(np.arange(len(lengths)), lengths)
    image, approach = _picture_numbers(own)
    approach_row = _first_row_with(approach, image, episode)
    columns = _neighbors(first_rows, episode) | {
        "approach_image_row": pa.array(approach_row, pa.int32(), mask=approach_row < 0)
    }
    fields = [field for field in STEP_SCHEMA if field.name not in IMAGE_COLUMNS]
    arrays = [columns[f.name] if f.name in columns else own.column(f.name) for f in fields]
    return Layout(pa.table(arrays, schema=pa.schema(fields)), image, np.where(approach_row >= 0, -1, approach))


def write_layout(
    layout: Layout,
    path: str,
    groups: Iterable[tuple[tuple[int, int], Contents]],
    progress: Callable[[int], None] = lambda size_bytes: None,
) -> None:
    """Write a shard's file: row group by row group, each with the contents of the pictures that it uses."""
    with ShardWriter(path) as writer:
        for (first, end), contents in groups:
            images = {
                "image": _indexed(layout.image[first:end], contents),
                "approach_image": _indexed(layout.approach_image[first:end], contents),
            }
            writer.write(layout.steps.slice(first, end - first), images)
            progress(sum(len(content) for content in contents.values()))


def publish_shard(
    store: Store, write: Callable[[str], None], *, split: str, number: int, count: int
) -> tuple[str, int]:
    """Publish what `write` writes to a local path as a shard; its name and its size in bytes."""
    with store.staged() as staged:
        write(staged.path)
        name = shard_name(split, number, count, staged.sha256())
        staged.publish(f"{STEPS}/{name}")
    return name, store.size_bytes(f"{STEPS}/{name}") or 0


def _picture_numbers(own: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Per row the numbers of its image and of its approach image, -1 for none."""
    columns = [own.column(name).combine_chunks() for name in ("image_hash", "approach_image_hash")]
    hashes = pa.concat_arrays(columns).dictionary_encode()
    code = pc.fill_null(hashes.indices, -1).to_numpy().reshape(2, own.num_rows).T.ravel().astype(np.int64)
    person = own.column("participant").combine_chunks().dictionary_encode().indices.to_numpy()
    key = np.where(code >= 0, np.repeat(person, 2) * np.int64(len(hashes.dictionary)) + code, -1)
    values, first, place = np.unique(key, return_index=True, return_inverse=True)
    first[values < 0] = -1
    rank = np.argsort(np.argsort(first)) - int(len(values) > 0 and values[0] < 0)
    numbers = rank[place].reshape(own.num_rows, 2)
    return numbers[:, 0], numbers[:, 1]


def _first_row_with(approach: np.ndarray, image: np.ndarray, episode: np.ndarray) -> np.ndarray:
    """Per row, the first row of its episode whose image is this row's approach image, or -1."""
    if not len(image):
        return np.zeros(0, np.int64)
    span = int(max(image.max(), approach.max())) + 2
    shown = episode * span + image + 1
    wanted = episode * span + approach + 1
    values, rows = np.unique(shown, return_index=True)
    index = np.minimum(np.searchsorted(values, wanted), len(values) - 1)
    return np.where((values[index] == wanted) & (approach >= 0), rows[index], -1)


def _neighbors(first_rows: np.ndarray, episode: np.ndarray) -> dict[str, pa.Array]:
    rows = np.arange(len(episode))
    is_first, is_last = rows == first_rows[episode], rows == first_rows[episode + 1] - 1
    return {
        "previous_row": pa.array(rows - 1, pa.int32(), mask=is_first),
        "next_row": pa.array(rows + 1, pa.int32(), mask=is_last),
    }


def _indexed(numbers: np.ndarray, contents: Contents) -> tuple[np.ndarray, list[bytes | memoryview]]:
    """Per row the index into the list of its distinct pictures, -1 for none, and that list, by rising number."""
    used, place = np.unique(numbers, return_inverse=True)
    none = int(len(used) > 0 and used[0] < 0)
    return place - none, [contents[int(number)] for number in used[none:]]


def _distinct(*columns: np.ndarray) -> list[int]:
    together = np.unique(np.concatenate(columns))
    return [int(number) for number in together[together >= 0]]
