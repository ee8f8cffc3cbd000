"""How many bits it takes to tell which documents an episode visits.

The code is adaptive and starts anew in each episode: a document that the episode has often visited is cheap, one that
it has not is dear (a Chinese restaurant process), less so if the episode knows its program (an escape, as in PPM).
So an episode with a working set of its own is cheap to tell, and a switch within the working set costs little.

Lengths are integers in 1/`ONE_BIT` bit, computed without floats, so that no decision depends on a processor.
"""

from __future__ import annotations

import math

import numpy as np

from taskreel.transforms.episodes.units import Units

ONE_BIT = 1 << 8
"""A bit has this many parts: far finer than anything that is known about people."""


def _root_of_two(part: int) -> int:
    """The least integer that is at least 2^(62 + part / ONE_BIT). Nested integer roots are the exact integer root."""
    root = power = 1 << (62 * ONE_BIT + part)
    for _ in range(ONE_BIT.bit_length() - 1):
        root = math.isqrt(root)
    return root + (root**ONE_BIT < power)


_POWERS = np.array([1 << whole for whole in range(63)], np.int64)
_MANTISSAS = np.array([_root_of_two(part) for part in range(ONE_BIT)], np.int64)


def log2_fixed(values: np.ndarray) -> np.ndarray:
    """log2 of integers above 0, rounded down, in 1/`ONE_BIT`; int64 of the same shape, exact."""
    whole = np.searchsorted(_POWERS, values, side="right") - 1
    part = np.searchsorted(_MANTISSAS, values << (62 - whole), side="right") - 1
    return whole * ONE_BIT + part


class Code:
    """The code of one session's units.

    `novelty`: how readily an episode takes up another document, in visits. `elsewhere`: visits of documents that this
    session does not know; so few visits of one in a short session do not make it common.
    """

    def __init__(self, units: Units, novelty: int, elsewhere: int) -> None:
        self._units, self._novelty = units, novelty
        self._before = np.concatenate([[0], np.cumsum(units.weight)])
        self._log2 = log2_fixed(np.maximum(np.arange(self._before[-1] + novelty + 1), 1))
        self._log2_gamma = np.concatenate([[0], np.cumsum(self._log2)])
        self._document_before, of_document = _running(units.document, units.weight)
        self._program_before, of_program = _running(units.program, units.weight)
        self._of_program = self._log2[of_program]
        self._spared = self._log2[novelty] + self._log2[of_document]
        self._anywhere = log2_fixed(self._before[-1:] + elsewhere) - self._log2[novelty]
        self.begin(0)

    def begin(self, first: int) -> None:
        """An episode begins at this unit: nothing is known."""
        document, program, weight = self._units.document, self._units.program, self._units.weight
        self.first = first
        self._known_documents = np.zeros(document.max() + 1, np.int64)
        self._known_programs = np.zeros(program.max() + 1, np.int64)
        np.add.at(self._known_documents, document[:first], weight[:first])
        np.add.at(self._known_programs, program[:first], weight[:first])

    def advance(self) -> None:
        """The episode begins one unit later."""
        units, first = self._units, self.first
        self._known_documents[units.document[first]] += units.weight[first]
        self._known_programs[units.program[first]] += units.weight[first]
        self.first += 1

    def bits(self, end: int) -> np.ndarray:
        """The length of each unit from where the episode begins to `end` (exclusive), in 1/`ONE_BIT` bit."""
        rows = slice(self.first, end)
        weight = self._units.weight[rows]
        visits = self._before[rows] - self._before[self.first] + self._novelty
        known = self._document_before[rows] - self._known_documents[self._units.document[rows]]
        bits = self._log2_gamma[visits + weight] - self._log2_gamma[visits]
        bits -= self._log2_gamma[known + weight] - self._log2_gamma[known]
        new = np.flatnonzero((known == 0) & (weight > 0))
        bits[new] += self._log2[visits[new]] + self._introduced(self.first + new)
        return bits

    def _introduced(self, new: np.ndarray) -> np.ndarray:
        """The way to a document that is new to the episode: by its program if that is known, or from anywhere."""
        known = self._program_before[new] - self._known_programs[self._units.program[new]]
        by_program = np.where(known > 0, self._of_program[new] - self._log2[known], self._anywhere)
        return np.minimum(by_program, self._anywhere) - self._spared[new]


def _running(number: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each unit, the weight before it of the units with the same number, and their weight in all."""
    order = np.argsort(number, kind="stable")
    before = np.cumsum(weight[order]) - weight[order]
    first = np.flatnonzero(np.diff(number[order], prepend=-1))
    before -= np.repeat(before[first], np.diff(np.append(first, len(order))))
    total = np.zeros(number.max() + 1, np.int64)
    np.add.at(total, number, weight)
    result = np.empty_like(before)
    result[order] = before
    return result, total[number]
