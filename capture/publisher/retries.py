"""When a request is tried again, and when it is given up.

The client of Google Cloud Storage would repeat requests itself, but it does not read `Retry-After` (google-api-core
2.44, tried), cannot be interrupted, and may wait for no time at all. So it is handed this decorator instead.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from taskreel.io.uploads import Repeat, UnconfirmedError

_GROWTH_LIMIT = 30  # doublings, so that no number grows beyond all bounds


class StoppedError(Exception):
    """The publisher was asked to end."""


@dataclass(frozen=True)
class RetryOptions:
    """Pauses grow from `first_s` to `longest_s`, each twice the one before, drawn at random from the upper half.

    What a server asks for by `Retry-After` is kept at least. A request is given up when the next pause would end more
    than `give_up_s` after the first try; an upload that the store does not confirm, after `uploads`.
    """

    first_s: float = 1.0
    longest_s: float = 60.0
    give_up_s: float = 180.0
    uploads: int = 3

    def __post_init__(self) -> None:
        if not 0 < self.first_s <= self.longest_s or self.give_up_s < 0 or self.uploads < 1:
            raise ValueError("pauses have to be longer than 0 s, and there has to be one upload at least")

    def pause_s(self, tries: int, asked_s: float = 0.0) -> float:
        """How long to wait after so many tries. Never less than asked; many clients do not come back at once."""
        grown_s = min(self.first_s * 2 ** min(tries - 1, _GROWTH_LIMIT), self.longest_s)
        drawn_s = random.uniform(grown_s / 2, grown_s)
        return max(drawn_s, asked_s + random.uniform(0, self.first_s) if asked_s else 0.0)


def requests_repeated(
    options: RetryOptions, stopped: threading.Event, on_wait: Callable[[float], None] = lambda seconds: None
) -> Repeat:
    """Repeats requests whose failure may pass. Raises the last error, or `StoppedError`."""
    from tenacity import stop_before_delay

    return _retrying(options, stopped, on_wait, is_worth_it=_is_transient, stop=stop_before_delay(options.give_up_s))


def uploads_repeated(
    options: RetryOptions, stopped: threading.Event, on_wait: Callable[[float], None] = lambda seconds: None
) -> Repeat:
    """Repeats whole uploads that the store did not confirm. Raises the last error, or `StoppedError`."""
    from tenacity import stop_after_attempt

    def is_unconfirmed(error: BaseException) -> bool:
        return isinstance(error, UnconfirmedError)

    return _retrying(options, stopped, on_wait, is_worth_it=is_unconfirmed, stop=stop_after_attempt(options.uploads))


def _retrying(
    options: RetryOptions,
    stopped: threading.Event,
    on_wait: Callable[[float], None],
    *,
    is_worth_it: Callable[[BaseException], bool],
    stop: Any,
) -> Repeat:
    from tenacity import RetryCallState, Retrying, retry_if_exception

    def pause_s(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return options.pause_s(state.attempt_number, _asked_s(error) if error else 0.0)

    def sleep(seconds: float) -> None:
        on_wait(seconds)
        if stopped.wait(seconds):
            raise StoppedError

    return Retrying(retry=retry_if_exception(is_worth_it), wait=pause_s, stop=stop, sleep=sleep, reraise=True).wraps


def _is_transient(error: BaseException) -> bool:
    from taskreel.io.gcs_uploads import is_transient

    return is_transient(error)


def _asked_s(error: BaseException) -> float:
    if isinstance(error, UnconfirmedError):
        return 0.0
    from taskreel.io.gcs_uploads import retry_after_s

    return retry_after_s(error)
