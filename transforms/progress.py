"""Progress of a local run: each worker process keeps its totals in a small file, the launcher adds them up.

For people to look at, and for nothing else: exact numbers are accounts. Without a folder nothing is written; the same
numbers are Beam's metrics (`taskreel.transforms.metrics`), which are counted in any case.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
from collections import Counter
from pathlib import Path

from taskreel.transforms import metrics

_WRITE_EVERY_S = 0.5


class Progress:
    """Totals of one DoFn instance, under names of metrics."""

    def __init__(self, folder: str) -> None:
        self._file = Path(folder) / f"{os.getpid()}-{uuid.uuid4().hex}" if folder else None
        self._totals: Counter[str] = Counter()
        self._written_s = 0.0

    def add(self, **counts: int) -> None:
        """Count some more."""
        metrics.count(**counts)
        self._totals.update(counts)
        if time.monotonic() - self._written_s > _WRITE_EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Write the totals now; at the end of a bundle."""
        self._written_s = time.monotonic()
        if self._file:
            with contextlib.suppress(OSError):
                self._file.write_text(json.dumps(self._totals))


def read_progress(folder: Path) -> dict[str, int]:
    """The sum over all workers."""
    total: Counter[str] = Counter()
    for file in folder.iterdir():
        with contextlib.suppress(OSError, ValueError):
            total.update(json.loads(file.read_text()))
    return dict(total)
