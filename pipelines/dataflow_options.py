"""Which options Dataflow would refuse, as far as they themselves tell. Pure: nothing is asked of the service.

Beam checks its options when a pipeline is made, and raises all that it found as one error of many lines; with
`--dataflow_endpoint=http://localhost:…` it leaves most of it out. Here its checks always run, on a copy (they change
options), and what the service refuses beyond them is added.
"""

from __future__ import annotations

import ast
import copy
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, StandardOptions, WorkerOptions
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator

from taskreel.pipelines.errors import LaunchError, one_line
from taskreel.pipelines.runners import is_cloud

_JOB_NAME = re.compile(r"[a-z]([-a-z0-9]{0,1022}[a-z0-9])?")
"""From google-cloud-dataflow-client's `Job.name`; Beam's own pattern has no length."""
_MACHINE_TYPE = re.compile(r"([a-z0-9-]+/)*[a-z][a-z0-9]*-[a-z0-9][a-z0-9-]*")
"""A family and a size, such as n2-standard-4; also with its zone before it."""
_LABELS, _LABEL_CHARACTERS, _LABEL_BYTES = 64, 63, 128


def is_job_name(text: str) -> bool:
    """Whether a job may be called like this."""
    return bool(_JOB_NAME.fullmatch(text))


def is_job_label(key: str, value: str) -> bool:
    """Whether a job may have this label; see `Job.labels` of google-cloud-dataflow-client."""
    return key != "" and _are_of(key[0], "Ll", "Lo") and _is_label(key) and _is_label(value)


def check_options(options: PipelineOptions) -> None:
    """Raise `LaunchError` for the first option that Beam, or Dataflow if it is to run there, refuses."""
    views = copy.deepcopy(options)
    cloud = is_cloud(options)
    validator = _Validator(views, cloud)
    for error in validator.validate():
        raise LaunchError(f"an option of Beam is not as it has to be: {_said(error)}")
    if not cloud:
        return
    google, workers = views.view_as(GoogleCloudOptions), views.view_as(WorkerOptions)
    for problem in (*_needed(google), *_places(validator, google)):
        raise LaunchError(problem)
    for error in validator.validate_cloud_options(google):
        raise LaunchError(f"an option of Dataflow is not as it has to be: {_said(error)}")
    for problem in (*_names(google), *_workers(google, workers), *_streaming(options, google), *_labels(google)):
        raise LaunchError(problem)


class _Validator(PipelineOptionsValidator):
    """Beam's checks without those that ask the cloud: which also make a bucket where none is named."""

    OPTIONS = [options for options in PipelineOptionsValidator.OPTIONS if options is not GoogleCloudOptions]  # noqa: RUF012

    def __init__(self, options: PipelineOptions, cloud: bool) -> None:
        super().__init__(options, None)
        self._cloud = cloud

    def is_service_runner(self) -> bool:
        """Also at an endpoint of this machine, so that a rehearsal refuses what the service would."""
        return self._cloud

    def validate_endpoint_url(self, endpoint_url: str) -> bool:
        """Beam's has no place for a port, which a stand-in needs."""
        return endpoint_url.startswith("http://localhost:") or bool(super().validate_endpoint_url(endpoint_url))


def _needed(google: Any) -> Iterator[str]:
    if not google.project:
        yield "--project: DataflowRunner needs one, the id of a Google Cloud project; give --project=my-project"
    if not google.region:
        yield "--region: DataflowRunner needs to be told where its workers are; give one, such as --region=europe-west1"
    if not google.temp_location and not google.staging_location:
        yield "--temp_location: DataflowRunner needs a gs:// place; give --temp_location=gs://my-bucket/tmp"


def _places(validator: PipelineOptionsValidator, google: Any) -> Iterator[str]:
    for name in ("temp_location", "staging_location"):
        if getattr(google, name):
            for error in validator.validate_gcs_path(google, name):
                yield f"--{name} {getattr(google, name)}: {_said(error)}; give --{name}=gs://my-bucket/tmp"


def _names(google: Any) -> Iterator[str]:
    if google.job_name and not is_job_name(google.job_name):
        yield (
            f"--job_name {google.job_name[:80]}: Dataflow takes lower-case letters, digits and hyphens, "
            "a letter first, no hyphen last, at most 1024"
        )


def _workers(google: Any, workers: Any) -> Iterator[str]:
    """Since Beam 2.44 Dataflow runs no workers outside of the job's region ("Dataflow regions" in its documents)."""
    zone, region = workers.worker_zone or "", workers.worker_region or google.region
    if region != google.region:
        yield f"--worker_region {region}: is not --region {google.region}, and Dataflow wants it to be; leave it out"
    if zone and zone.rpartition("-")[0] != google.region:
        yield f"--worker_zone {zone}: does not lie in --region {google.region}; name a zone of it, or leave it out"
    if workers.machine_type and not _MACHINE_TYPE.fullmatch(workers.machine_type):
        yield f"--worker_machine_type {workers.machine_type}: is no machine type; one is n2-standard-4"


def _streaming(options: PipelineOptions, google: Any) -> Iterator[str]:
    streams = options.view_as(StandardOptions).streaming
    if streams and google.flexrs_goal:
        yield "--flexrs_goal: is for batch jobs; leave it out with --streaming"
    if google.update and not streams:
        yield "--update: is for streaming jobs; leave it out, or give --streaming"


def _labels(google: Any) -> Iterator[str]:
    pairs = [pair for label in google.labels or () for pair in _pairs(label)]
    if len(pairs) > _LABELS:
        yield f"--labels: {len(pairs)} are given, Dataflow takes {_LABELS}; leave some out"
    for key, value in pairs:
        if not is_job_label(key, value):
            yield (
                f"--labels {key[:80]}={value[:80]}: Dataflow takes lower-case letters, digits, _ and - in key and "
                f"value, a letter first in the key, at most {_LABEL_CHARACTERS}; such as --labels=team=lab"
            )


def _pairs(label: str) -> list[tuple[str, str]]:
    """As Beam reads a label: key=value, or a dictionary as Python writes it."""
    if "{" not in label:
        key, _, value = label.partition("=")
        return [(key, value)]
    try:
        return [(str(key), str(value)) for key, value in ast.literal_eval(label).items()]
    except (ValueError, SyntaxError, AttributeError):
        return [(label, "")]


def _is_label(text: str) -> bool:
    letters = text.replace("_", "").replace("-", "")
    fits = len(text) <= _LABEL_CHARACTERS and len(text.encode()) <= _LABEL_BYTES
    return fits and _are_of(letters, "Ll", "Lo", "Nd", "Nl", "No")


def _are_of(text: str, *categories: str) -> bool:
    return all(unicodedata.category(character) in categories for character in text)


def _said(error: str) -> str:
    return one_line(error).rstrip(".")
