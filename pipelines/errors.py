"""What a launch raises when it cannot be, or was for nothing."""

from __future__ import annotations


class LaunchError(ValueError):
    """A launch that cannot be: one line that says what is wrong and what to do. Nothing was written."""


class LostRaceError(RuntimeError):
    """Another run has committed since this one began; nothing was changed."""


class JobFailedError(RuntimeError):
    """A job that Dataflow took has failed, or was stopped before its end; the message has its id and the reason."""


def one_line(text: str) -> str:
    """What a library says over several lines, as one."""
    return " ".join(text.split())
