"""Wait for a job, wherever it runs: until it has ended, was stopped, or has failed."""

from __future__ import annotations

from typing import Any

from apache_beam.runners.runner import PipelineState

from taskreel.pipelines.errors import JobFailedError

_STOPPED = (PipelineState.CANCELLED, PipelineState.DRAINED, PipelineState.UPDATED)


def wait(result: Any, *, may_be_stopped: bool = False) -> None:
    """Until the end. A stream may be stopped: cancelled, drained, or replaced by an update. Raises `JobFailedError`."""
    try:
        result.wait_until_finish()
    except Exception as error:
        if type(error).__name__ != "DataflowRuntimeException":  # its module needs the extra `gcp`
            raise
        if may_be_stopped and result.state in _STOPPED:
            return
        raise JobFailedError(f"job {result.job_id()} is {result.state}: {_reason(str(error))}") from error


def _reason(text: str) -> str:
    """The last line of an error: in a traceback it says what happened."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason was given"
