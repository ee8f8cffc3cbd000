"""The step of this job."""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam


class Work(beam.DoFn):
    """Works."""

    def __init__(self, table: bytes) -> None:
        self.table = table

    def process(self, element: int) -> Iterator[int]:
        """Work."""
        yield element + len(self.table)
