"""Assign: which split and which shard an episode goes to. By stable hashes, so that nothing but the input decides."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import apache_beam as beam

from taskreel.io.schemas import SPLITS

_BUCKETS = 10_000


@dataclass(frozen=True)
class ShardOptions:
    """`split_percent` are the shares of train, validation and test, by participant, in whole percents."""

    target_shard_bytes: int = 256_000_000
    split_percent: tuple[int, int, int] = (90, 5, 5)

    def __post_init__(self) -> None:
        if self.target_shard_bytes < 1:
            raise ValueError("target_shard_bytes has to be positive")
        whole = all(isinstance(percent, int) and percent >= 0 for percent in self.split_percent)
        if not whole or len(self.split_percent) != len(SPLITS) or sum(self.split_percent) != 100:
            raise ValueError("split_percent needs three whole percents (train, validation, test) that add up to 100")


def split_of(participant: str, options: ShardOptions) -> str:
    """The split of all that a participant ever does, so that nobody is in two of them."""
    bucket = _hash("split", participant) % _BUCKETS
    bound = 0
    for split, percent in zip(SPLITS, options.split_percent, strict=True):
        bound += percent * _BUCKETS // 100
        if bucket < bound:
            return split
    return SPLITS[-1]


def shard_count(listed_bytes: int, options: ShardOptions) -> int:
    """How many shards a split has, from the listed sizes of its segments."""
    return max(1, -(-listed_bytes // options.target_shard_bytes))


def shard_of(episode_id: str, count: int) -> int:
    """The shard of an episode, of `count` in its split."""
    return _hash("shard", episode_id) % count


def shard_key(split: str, number: int, count: int) -> str:
    """The key by which a shard's episodes come together: a plain string, encoded alike in every SDK version."""
    return f"{split}/{number}/{count}"


def _hash(purpose: str, text: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{purpose}:{text}".encode(), digest_size=8).digest(), "big")


class ListedBytes(beam.PTransform):
    """Names with sizes, as `DiscoverSegments` gives them → (split, bytes of its segments)."""

    def __init__(self, options: ShardOptions) -> None:
        super().__init__()
        self.options = options

    def expand(self, names: Any) -> Any:
        """Sum the listed sizes by split."""
        return names | "SplitSizes" >> beam.Map(_split_size, self.options) | "SumSizes" >> beam.CombinePerKey(sum)


def _split_size(listed: tuple[str, tuple[str, int]], options: ShardOptions) -> tuple[str, int]:
    participant, (_, size_bytes) = listed
    return split_of(participant, options), size_bytes


class AssignShards(beam.PTransform):
    """((participant, episode id, draft), names with sizes) → (shard key, draft)."""

    def __init__(self, options: ShardOptions) -> None:
        super().__init__()
        self.options = options

    def expand(self, inputs: Any) -> Any:
        """`inputs` is the pair (drafts, names), names as `DiscoverSegments` gives them."""
        drafts, names = inputs
        listed = names | "ListedBytes" >> ListedBytes(self.options)
        return drafts | "Assign" >> beam.Map(_assign, self.options, beam.pvalue.AsDict(listed))


def _assign(draft: tuple[str, str, bytes], options: ShardOptions, listed: Mapping[str, int]) -> tuple[str, bytes]:
    participant, episode_id, data = draft
    split = split_of(participant, options)
    count = shard_count(listed.get(split, 0), options)
    return shard_key(split, shard_of(episode_id, count), count), data
