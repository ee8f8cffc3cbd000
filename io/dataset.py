"""Read a dataset: its episodes and steps at a version.

>>> dataset = taskreel.io.dataset.open("out/dataset")                     # doctest: +SKIP
>>> dataset.episodes().num_rows, dataset.steps(["action", "text"]).num_rows  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.exceptions import DeltaError

from taskreel.io.schemas import STEP_SCHEMA
from taskreel.io.stores import LocalStore, Store, open_store
from taskreel.io.tables import STEPS, Commit, File, commit_of, read_episodes, step_files


@dataclass(frozen=True)
class Dataset:
    """A dataset at one version of `episodes`. Later commits do not change what it reads."""

    store: Store
    commit: Commit

    @property
    def version(self) -> int:
        """The version of the table `episodes`."""
        return self.commit.version

    @cached_property
    def _episodes(self) -> pa.Table:
        return read_episodes(self.store, self.version)

    def episodes(self) -> pa.Table:
        """All episodes and residues (`EPISODE_SCHEMA`), in order of participant and time."""
        return self._episodes

    def shards(self, split: str | None = None) -> list[File]:
        """The files of this version's steps, sorted by name."""
        files = step_files(self.store, self._episodes)
        return [file for file in files if split is None or file.path.startswith(f"{split}-")]

    def open_shard(self, file: File) -> pq.ParquetFile:
        """A shard as a Parquet file."""
        name = f"{STEPS}/{file.path}"
        if isinstance(self.store, LocalStore):
            return pq.ParquetFile(self.store.root / name)
        return pq.ParquetFile(pa.BufferReader(self.store.read(name)))

    def iter_steps(self, columns: list[str] | None = None, split: str | None = None) -> Iterator[pa.Table]:
        """The steps (`STEP_SCHEMA`), shard by shard."""
        for file in self.shards(split):
            yield self.open_shard(file).read(columns=columns)

    def steps(self, columns: list[str] | None = None, split: str | None = None) -> pa.Table:
        """All steps of some splits in one table; leave out the image columns unless it is small."""
        schema = STEP_SCHEMA if columns is None else pa.schema([STEP_SCHEMA.field(name) for name in columns])
        return pa.concat_tables([part.cast(schema) for part in self.iter_steps(columns, split)])

    def report(self) -> dict[str, Any]:
        """What the run that made this version wrote with it: as-of, options, runner, numbers."""
        return self.commit.metadata


def open(path: str, version: int | None = None) -> Dataset:  # noqa: A001
    """The dataset in a folder or at a `gs://` place; raises `FileNotFoundError` if it or its version is not there."""
    store = open_store(path)
    try:
        commit = commit_of(store, version)
    except DeltaError as error:
        raise FileNotFoundError(f"{path}: has no version {version}, or one that cannot be opened ({error})") from error
    if commit is None and version is not None and commit_of(store) is not None:
        raise FileNotFoundError(f"{path}: has no version {version} any more; `taskreel versions` lists those it has")
    if commit is None:
        raise FileNotFoundError(f"{path}: holds no dataset (no Delta table `episodes`)")
    return Dataset(store, commit)
