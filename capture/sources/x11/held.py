"""A release goes where its press went: one whose press was withheld is withheld, too, wherever it happens."""

from __future__ import annotations


class Held:
    """The keys or buttons that are down, and why their presses were withheld (None: they were kept)."""

    def __init__(self) -> None:
        self._reasons: dict[int, str | None] = {}

    def press(self, number: int, reason: str | None) -> None:
        """One went down, and was withheld for a reason, or kept."""
        self._reasons[number] = reason

    def reason(self, number: int, now: str | None) -> str | None:
        """Why something of this key is withheld; if its press was not seen, the reason as of now decides."""
        return self._reasons.get(number, now)

    def release(self, number: int, now: str | None) -> str | None:
        """One went up: why this is withheld, or None."""
        return self._reasons.pop(number, now)
