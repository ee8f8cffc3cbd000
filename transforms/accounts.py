"""Accounts: where every segment and event went, as data that crosses the pipeline and is committed with it.

Beam's metrics may count a retried bundle twice; an account is an element like any other, so it cannot.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping


class Account:
    """Whole numbers by dotted name. Adding accounts is associative and commutative."""

    def __init__(self, counts: Mapping[str, int] | None = None) -> None:
        self._counts: Counter[str] = Counter(counts or {})

    def add(self, name: str, count: int) -> None:
        """Add to one number."""
        self._counts[name] += count

    def __getitem__(self, name: str) -> int:
        return self._counts[name]

    def under(self, prefix: str) -> dict[str, int]:
        """The numbers whose names begin with `prefix`, without it, sorted, zeros left out."""
        found = {name[len(prefix) :]: count for name, count in self._counts.items() if name.startswith(prefix)}
        return {name: found[name] for name in sorted(found) if found[name]}

    def as_dict(self) -> dict[str, int]:
        """All numbers but zeros, sorted by name."""
        return self.under("")

    @classmethod
    def total(cls, accounts: Iterable[Mapping[str, int]]) -> Account:
        """The sum of some accounts."""
        total = cls()
        for account in accounts:
            total._counts.update(account)
        return total

    def imbalances(self) -> list[str]:
        """What does not add up, in words; empty when every segment and event is accounted for."""
        faults = []
        segments = sum(self[f"segments.{fate}"] for fate in ("built", "refused", "dead", "waiting", "late"))
        if self["segments.read"] != segments:
            faults.append(f"{self['segments.read']} segments read, {segments} written, refused, dead, waiting or late")
        events = self["events.in_steps"] + sum(self.under("events.dropped.").values())
        events += self["events.waiting"] + self["events.late"]
        if self["events.read"] != events:
            faults.append(f"{self['events.read']} events read, {events} in steps, dropped, waiting or late")
        return faults
