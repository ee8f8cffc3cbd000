"""Chance, one number at a time: cheap draws from a seeded NumPy generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import fsum, sqrt
from typing import TypeVar

import numpy as np

_BLOCK = 4096
_Item = TypeVar("_Item")


class Dice:
    """Draws one by one from blocks, since a scalar draw from a NumPy generator costs ten times as much."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._block: list[float] = []

    def unit(self) -> float:
        """A number in [0, 1)."""
        if not self._block:
            self._block = self._rng.random(_BLOCK).tolist()
        return self._block.pop()

    def between(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * self.unit()

    def us(self, low_s: float, high_s: float) -> int:
        """A duration between two of seconds, in microseconds."""
        return int(1_000_000 * self.between(low_s, high_s))

    def whole(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return low + int((high - low + 1) * self.unit())

    def chance(self, share: float) -> bool:
        """True in this share of draws."""
        return self.unit() < share

    def choose(self, items: Sequence[_Item]) -> _Item:
        """One of the items."""
        return items[int(len(items) * self.unit())]

    def weighted(self, items: Sequence[_Item], weights: Sequence[float]) -> _Item:
        """One of the items, each as often as its weight says."""
        share = self.unit() * fsum(weights)
        for item, weight in zip(items, weights, strict=True):
            share -= weight
            if share < 0:
                return item
        return items[-1]

    def sample(self, items: Sequence[_Item], count: int) -> list[_Item]:
        """`count` different items, in random order."""
        left = list(items)
        return [left.pop(int(len(left) * self.unit())) for _ in range(count)]


@dataclass(frozen=True)
class Skewed:
    """Durations of which many are short and few long, in seconds: what is known of stays, tasks and pauses.

    A log-logistic distribution of shape 2, much like the log-normal one that is usually fitted to such times, but
    its quantiles take no more than a root. It is cut off at both ends, with nothing piled up there.
    """

    shortest_s: float
    longest_s: float
    scale_s: float

    def quantile(self, share: float) -> float:
        """The duration that this share of all stays below; `share` in [0, 1)."""
        low, high = (s * s / (s * s + self.scale_s * self.scale_s) for s in (self.shortest_s, self.longest_s))
        share = low + (high - low) * share
        return self.scale_s * sqrt(share / (1 - share))

    def us(self, dice: Dice) -> int:
        """A duration in microseconds."""
        return int(1_000_000 * self.quantile(dice.unit()))


@lru_cache(maxsize=256)
def skewed(mean_s: float, shortest_s: float, longest_s: float) -> Skewed:
    """The distribution between two ends that has a mean, or comes nearest to it."""
    low, high = shortest_s / 100, longest_s * 100
    for _ in range(40):
        middle = Skewed(shortest_s, longest_s, sqrt(low * high))
        if fsum(middle.quantile((step + 0.5) / 200) for step in range(200)) < 200 * mean_s:
            low = middle.scale_s
        else:
            high = middle.scale_s
    return Skewed(shortest_s, longest_s, sqrt(low * high))


def generators(count: int, *key: int) -> list[np.random.Generator]:
    """Independent generators for a key of whole numbers (seed, participant, …); the same key gives the same ones."""
    return [np.random.Generator(np.random.PCG64(seed)) for seed in np.random.SeedSequence(key).spawn(count)]
