"""The cheapest segmentation of a session, by dynamic programming: exact, in integers.

Each piece is an episode or a residue, whichever is likelier to be as long as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from taskreel.transforms.episodes.code_length import ONE_BIT, Code, log2_fixed
from taskreel.transforms.episodes.model import SECOND_US, EpisodeOptions
from taskreel.transforms.episodes.units import Units

_LOG2_E = ONE_BIT * 1_442_695 // 1_000_000
_A_WEEK_S = 604_800
"""Longer pieces cost no more; so the tables of prices have a bound."""
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
    """What cuts and pieces of one session cost, in 1/`ONE_BIT` bit."""

    def __init__(self, units: Units, options: EpisodeOptions) -> None:
        self.units = units
        self.code = Code(units, options.novelty, options.elsewhere)
        self.idle = options.idle_bits * _doublings(units.idle_us, options)
        self.completion = options.completion_bits * ONE_BIT * units.completes
        self.cut = options.cut_bits * ONE_BIT - self.idle - self.completion
        self.cut[0] = 0
        self.reach = _reach(units, options)
        longest_s = min(int(units.end_us[-1] - units.start_us[0]) // SECOND_US, _A_WEEK_S)
        self._episode_s = _episode_lengths(longest_s, options)
        self._residue_s = _residue_lengths(longest_s, options)
        self._length_s = np.minimum(self._episode_s, self._residue_s)

    def pieces(self, first: int, end: int) -> np.ndarray:
        """Of the pieces from unit `first`, where the code begins, to each of the units before `end`."""
        return np.cumsum(self.code.bits(end)) + self._length_s[self._seconds(first, end)]

    def is_residue(self, piece: Piece) -> bool:
        """Whether a piece is more likely a residue than an episode, by its length."""
        seconds = self._seconds(piece.first, piece.end)[-1]
        return bool(self._residue_s[seconds] < self._episode_s[seconds])

    def weigh(self, before: Piece, after: Piece) -> Evidence:
        """The cut between two neighbors."""
        context, length = (
            whole - first - second
            for whole, first, second in zip(
                *(self._parts(piece) for piece in (Piece(before.first, after.end), before, after)), strict=True
            )
        )
        cut = after.first
        return Evidence(
            margin=context + length - int(self.cut[cut]),
            context=context,
            idle=int(self.idle[cut]),
            completion=int(self.completion[cut]),
        )

    def _parts(self, piece: Piece) -> tuple[int, int]:
        """The price of a piece for its documents, and for its length."""
        self.code.begin(piece.first)
        seconds = self._seconds(piece.first, piece.end)[-1]
        return int(self.code.bits(piece.end).sum()), int(self._length_s[seconds])

    def _seconds(self, first: int, end: int) -> np.ndarray:
        return np.minimum((self.units.end_us[first:end] - self.units.start_us[first]) // SECOND_US, _A_WEEK_S)


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
    longest_us = int(options.max_minutes * 60 * SECOND_US)
    by_steps = np.searchsorted(units.first, units.first[:-1] + options.max_steps, side="right") - 1
    by_time = np.searchsorted(units.last_us, units.start_us + longest_us)
    return np.maximum(np.minimum(by_steps, by_time), np.arange(len(units)) + 1)


def _doublings(idle_us: np.ndarray, options: EpisodeOptions) -> np.ndarray:
    scale_us, longest_us = int(options.idle_scale_s * SECOND_US), int(options.longest_idle_s * SECOND_US)
    return log2_fixed(np.minimum(idle_us, longest_us) + scale_us) - log2_fixed(np.array([scale_us]))


def _episode_lengths(longest_s: int, options: EpisodeOptions) -> np.ndarray:
    """By seconds: minus the log of a gamma density, so that it is 0 for the typical length."""
    seconds = np.maximum(np.arange(longest_s + 1), 1)
    typical_s = max(1, int(options.typical_minutes * 60))
    shorter = log2_fixed(np.array([typical_s])) - log2_fixed(seconds)
    return options.length_bits * (shorter + _LOG2_E * seconds // typical_s - _LOG2_E)


def _residue_lengths(longest_s: int, options: EpisodeOptions) -> np.ndarray:
    """By seconds: minus the log of an exponential density, so that it is `-residue_bits` for none."""
    typical_s = max(1, int(options.residue_seconds))
    return _LOG2_E * np.arange(longest_s + 1) // typical_s - options.residue_bits * ONE_BIT
