"""Handing a job over to Dataflow: what the service or the way to it says against it, as one line."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from apache_beam.options.pipeline_options import PipelineOptions

from taskreel.pipelines.errors import LaunchError
from taskreel.pipelines.runners import is_cloud

_CLIENT = "apache_beam.runners.dataflow.internal.apiclient"
_LONGEST_CHARACTERS = 500


@contextlib.contextmanager
def submission(options: PipelineOptions) -> Iterator[None]:
    """Within it a job is submitted, but not waited for. Raises `LaunchError` if there is no job then.

    On other runners it does nothing: some of them run the whole job where others submit it.
    """
    if not is_cloud(options):
        yield
        return
    from apache_beam.runners.dataflow.internal.apiclient import DataflowJobAlreadyExistsError
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import GoogleAuthError

    with _quiet(_CLIENT):
        try:
            yield
        except GoogleAPICallError as error:
            if not error.code or error.code >= 500:  # not said of this job: it may go well in a moment
                raise
            raise LaunchError(f"Dataflow refuses the job ({error.code}): {_one_line(error.message)}") from error
        except GoogleAuthError as error:
            raise LaunchError(
                f"Dataflow is not asked, the login has ended ({type(error).__name__}): run "
                "`gcloud auth application-default login`"
            ) from error
        except DataflowJobAlreadyExistsError as error:
            raise LaunchError(f"--job_name: {_one_line(str(error))}") from error
        except (RuntimeError, ValueError) as error:
            raise LaunchError(f"the job cannot be handed over to Dataflow: {_one_line(str(error))}") from error


@contextlib.contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Without the pages that a logger of Beam's writes before it raises the same."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_CHARACTERS else f"{line[:_LONGEST_CHARACTERS]} …"
