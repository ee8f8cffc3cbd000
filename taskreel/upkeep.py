"""Commands on the versions of a dataset: compact, versions, rollback, vacuum."""

from __future__ import annotations
