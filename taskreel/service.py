"""Commands that run for long: watch, supervise."""

from __future__ import annotations
