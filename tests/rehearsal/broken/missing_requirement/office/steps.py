"""The step of this job."""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam
import polars


class Work(beam.DoFn):
    """Works."""

    def process(self, element: int) -> Iterator[int]:
        """Work."""
        yield len(polars.Series([element]))
