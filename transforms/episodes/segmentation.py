"""The cheapest segmentation of a session, by dynamic programming: exact, in integers.

Each piece is an episode, or a residue if it is short: one that is as short as that is cheaper, but still has to pay
for the cuts at its ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from taskreel.transforms.episodes.code_length import ONE_BIT, Code, log2_fixed
from taskreel.transforms.episodes.model import SECOND_US, EpisodeOptions
from taskreel.transforms.episodes.units import Units

_FAR = np.int64(1) << 60


@dataclass(frozen=True)
class Piece:
    """Units `first` to `end` (exclusive)."""

    first: int
    end: int


@dataclass(frozen=True)
class Evidence:
    """What speaks for a cut, in 1/`ONE_BIT` bit. `margin`: how much dearer the session is without it."""

    margin: int
    context: int
    idle: int
    completion: int


class Prices:
    """What cuts and pieces of one session cost, in 1/`ONE_BIT` bit. `is_blind`: as of its units."""

    def __init__(self, units: Units, options: EpisodeOptions) -> None:
        self.units = units
        self.code = Code(units, options.novelty, options.elsewhere)
        self.is_blind = units.is_blind
        idle_us = units.idle_us if self.is_blind else np.minimum(units.idle_us, _us(options.longest_idle_s))
        self.idle = options.idle_bits * _doublings(idle_us, _us(options.idle_scale_s))
        self.completion = options.completion_bits * ONE_BIT * units.completes
        cut_bits = options.blind_cut_bits if self.is_blind else options.cut_bits
        self.cut = cut_bits * ONE_BIT - self.idle - self.completion
        self.cut[0] = 0
        self.reach = _reach(units, options)
        self._residue_us, self._residue = _us(options.residue_seconds), options.residue_bits * ONE_BIT

    def pieces(self, first: int, end: int) -> np.ndarray:
        """Of the pieces from unit `first`, where the code begins, to each of the units before `end`."""
        return np.cumsum(self.code.bits(end)) - self._discounts(first, slice(first, end))

    def is_residue(self, piece: Piece) -> bool:
        """Whether a piece is too short for an episode."""
        return bool(self._shorter_us(piece.first, piece.end - 1) > 0)

    def weigh(self, before: Piece, after: Piece) -> Evidence:
        """The cut between two neighbors."""
        pieces = Piece(before.first, after.end), before, after
        told, told_before, told_after = (self._told(piece) for piece in pieces)
        spared, spared_before, spared_after = (int(self._discounts(piece.first, piece.end - 1)) for piece in pieces)
        context, cut = told - told_before - told_after, after.first
        return Evidence(
            margin=context - spared + spared_before + spared_after - int(self.cut[cut]),
            context=context,
            idle=int(self.idle[cut]),
            completion=int(self.completion[cut]),
        )

    def _told(self, piece: Piece) -> int:
        self.code.begin(piece.first)
        return int(self.code.bits(piece.end).sum())

    def _discounts(self, first: int, last: int | slice) -> np.ndarray:
        """Of pieces from one unit to others, for being short."""
        return self._residue * self._shorter_us(first, last) // self._residue_us

    def _shorter_us(self, first: int, last: int | slice) -> np.ndarray:
        """By how much pieces are shorter than the shortest episode, at least 0."""
        return np.maximum(self._residue_us - self.units.end_us[last] + self.units.start_us[first], 0)


def cheapest(prices: Prices) -> list[Piece]:
    """The cheapest segmentation. Of those that cost the same, the one whose last cut is earliest."""
    units = len(prices.units)
    best = np.full(units + 1, _FAR)
    best[0] = 0
    begin = np.zeros(units + 1, np.int64)
    prices.code.begin(0)
    for first in range(units):
        end = int(prices.reach[first])
        ends = slice(first + 1, end + 1)
        cost = best[first] + prices.cut[first] + prices.pieces(first, end)
        begin[ends] = np.where(cost < best[ends], first, begin[ends])
        best[ends] = np.minimum(cost, best[ends])
        prices.code.advance()
    pieces, end = [], units
    while end:
        pieces.append(Piece(int(begin[end]), end))
        end = pieces[-1].first
    return pieces[::-1]


def _reach(units: Units, options: EpisodeOptions) -> np.ndarray:
    """Where a piece that begins at each unit ends at the latest, for the limits; one unit it has at least."""
    longest_us = _us(60 * options.max_minutes)
    by_steps = np.searchsorted(units.first, units.first[:-1] + options.max_steps, side="right") - 1
    by_time = np.searchsorted(units.last_us, units.start_us + longest_us)
    return np.maximum(np.minimum(by_steps, by_time), np.arange(len(units)) + 1)


def _doublings(idle_us: np.ndarray, scale_us: int) -> np.ndarray:
    return log2_fixed(idle_us + scale_us) - log2_fixed(np.array([scale_us]))


def _us(seconds: float) -> int:
    return int(seconds * SECOND_US)
