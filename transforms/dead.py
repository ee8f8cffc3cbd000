"""Dead letters: what could not be used or was not permitted, with the reason. One JSON line each, never content."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from taskreel.io.consent import Refusal
from taskreel.transforms.accounts import Account

DEAD, REFUSED = "dead", "refused"
FUTURE = "future"
"""Events that lie after the run's time: once they do no more, the segment is looked at again."""
UNREADABLE = "unreadable"
"""A file that was listed, and was not there when it was to be read."""


@dataclass(frozen=True)
class Dead:
    """A file that is in no shard. `kind` is `dead` (cannot be used) or `refused` (may not be).

    `code` is for counting, `message` says what is wrong and what to do, `exception` is the type of what was raised.
    `events` is what its name claims, 0 if that cannot be known. A refusal was decided by the content of the consent
    record `consent_id`, whose sha256 is `consent_sha256` ("" for a record that is not there): when it changes, the
    segment is looked at again.
    """

    segment: str
    kind: str
    code: str
    message: str
    exception: str
    size_bytes: int
    events: int
    consent_id: str = ""
    consent_sha256: str = ""

    @classmethod
    def of_error(cls, segment: str, code: str, error: Exception, *, size_bytes: int, events: int = 0) -> Dead:
        """A file that cannot be used."""
        return cls(segment, DEAD, code, str(error), type(error).__name__, size_bytes, events)

    @classmethod
    def of_refusal(
        cls, segment: str, refusal: Refusal, consent_id: str, consent_sha256: str, *, size_bytes: int, events: int
    ) -> Dead:
        """A segment that may not be used, by what a consent record says."""
        facts = (segment, REFUSED, refusal.code, refusal.message, "Refusal", size_bytes, events)
        return cls(*facts, consent_id, consent_sha256)

    def to_json(self) -> str:
        """One line with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True)

    def account(self) -> Account:
        """What it adds to the run's numbers."""
        account = Account()
        account.add(f"segments.{self.kind}", 1)
        account.add(f"segments.{self.kind}.{self.code}", 1)
        account.add("events.read", self.events)
        account.add(f"events.dropped.{self.kind}_segment", self.events)
        return account


def dead_letters(lines: Iterable[str]) -> bytes:
    """The dead-letter file: one line each, sorted."""
    return "".join(f"{line}\n" for line in sorted(lines)).encode()
