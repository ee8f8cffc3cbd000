"""How many examples a costly property test tries: few in `make test`, many in `make soak`. Mark it `examples`."""

from __future__ import annotations

import os


def examples(count: int, in_soak: int) -> int:
    """The number for this run; `make soak` sets `TASKREEL_SOAK`."""
    return in_soak if os.environ.get("TASKREEL_SOAK") else count
