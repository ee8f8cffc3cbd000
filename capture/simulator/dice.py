"""Chance, one number at a time: cheap draws from a seeded NumPy generator."""

from __future__ import annotations

from collections.abc import Sequence
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

    def sample(self, items: Sequence[_Item], count: int) -> list[_Item]:
        """`count` different items, in random order."""
        left = list(items)
        return [left.pop(int(len(left) * self.unit())) for _ in range(count)]


def generators(count: int, *key: int) -> list[np.random.Generator]:
    """Independent generators for a key of whole numbers (seed, participant, …); the same key gives the same ones."""
    return [np.random.Generator(np.random.PCG64(seed)) for seed in np.random.SeedSequence(key).spawn(count)]
