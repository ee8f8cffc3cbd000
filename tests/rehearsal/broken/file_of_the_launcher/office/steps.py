"""The step of this job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam


class Work(beam.DoFn):
    """Works."""

    def __init__(self, words: str) -> None:
        self.words = words

    def process(self, element: int) -> Iterator[int]:
        """Work."""
        yield element + len(Path(self.words).read_text())
