"""The step of this job."""

from __future__ import annotations

import os
from collections.abc import Iterator

import apache_beam as beam


class Work(beam.DoFn):
    """Works."""

    def process(self, element: int) -> Iterator[int]:
        """Work."""
        yield element + int(os.environ["OFFICE_LEVEL"])
