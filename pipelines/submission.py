"""Handing a job over to Dataflow: what the service or the way to it says against it, as one line."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from apache_beam.options.pipeline_options import PipelineOptions

from taskreel.pipelines.errors import LaunchError, one_line
from taskreel.pipelines.runners import is_cloud, runner_name

_CLIENT = "apache_beam.runners.dataflow.internal.apiclient"
_LONGEST_CHARACTERS = 500
_NOT_FETCHED = "Unable to fetch remote job server jar"


@contextlib.contextmanager
def submission(options: PipelineOptions) -> Iterator[None]:
    """Within it a job is submitted, but not waited for. Raises `LaunchError` if there is no job then.

    On other runners it only knows a job server that cannot be fetched: some run the whole job where others submit it.
    """
    if not is_cloud(options):
        with _job_server(options):
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
            raise LaunchError(f"Dataflow refuses the job ({error.code}): {_said(error.message)}") from error
        except GoogleAuthError as error:
            raise LaunchError(
                f"Dataflow is not asked, the login has ended ({type(error).__name__}): run "
                "`gcloud auth application-default login`"
            ) from error
        except DataflowJobAlreadyExistsError as error:
            raise LaunchError(f"--job_name: {_said(str(error))}") from error
        except (RuntimeError, ValueError) as error:
            raise LaunchError(f"the job cannot be handed over to Dataflow: {_said(str(error))}") from error


@contextlib.contextmanager
def _job_server(options: PipelineOptions) -> Iterator[None]:
    """Beam fetches the job server of an engine by its own means, and has one error for all that can be in its way."""
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith(_NOT_FETCHED):
            raise
        name = runner_name(options)
        jar = f"--{name.removesuffix('Runner').lower()}_job_server_jar"
        raise LaunchError(
            f"--runner {name}: its job server cannot be fetched from Maven; give {jar}=FILE, or start one and give "
            "--job_endpoint=localhost:8099"
        ) from error


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


def _said(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= _LONGEST_CHARACTERS else f"{line[:_LONGEST_CHARACTERS]} …"
