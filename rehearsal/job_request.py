"""What is wrong with a request for a Dataflow job, as far as the service, or one of its workers, would find out.

Pure: the request, the staged graph, and a way to read what was staged. Limits are those of Google's page "Quotas and
limits" of Dataflow (a job's graph has at most 10 MB), names those of its REST reference (`projects.locations.jobs`).
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2 as proto
from google.cloud import dataflow_v1beta3 as dataflow
from google.protobuf.json_format import MessageToDict

from taskreel.pipelines.dataflow_options import is_job_label, is_job_name

Read = Callable[[str], bytes | None]
"""The bytes that were staged at a `gs://` place, None if there is nothing."""

GRAPH_LIMIT_BYTES = 10_000_000
_SECRET_NAME = re.compile(r"pass(word|wd|phrase)|secret|api_?key|access_?key|private_?key|auth_?token|credential", re.I)
_SECRET_VALUE = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bya29\.|\bAIza[\w-]{30,}")
_PLACE_OF_SECRET = re.compile(r"projects/[^/]+/secrets/")
"""Where a secret lies in Secret Manager; a worker that may read it does."""
_AT_THE_LAUNCHER = {
    "setup_file",
    "requirements_file",
    "requirements_cache",
    "extra_packages",
    "sdk_location",
    "dataflow_job_file",
}
"""Options whose paths are used where the job is launched, and nowhere else."""


@dataclass(frozen=True)
class Staged:
    """A file that workers fetch: where it lies, how it is called there, and the sha256 that it has to have."""

    url: str
    name: str
    sha256: str


def options_of(job: dataflow.Job) -> dict[str, Any]:
    """The pipeline options, as workers get them: a number in the request is a double, and 8 is no 8.0 here."""
    given = MessageToDict(dataflow.Job.pb(job).environment.sdk_pipeline_options).get("options", {})
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() else value for name, value in given.items()
    }


def staged_files(graph: proto.Pipeline) -> list[Staged]:
    """What the environments of a graph depend on; raises `ValueError` for what no worker could fetch."""
    found = {}
    for environment in graph.components.environments.values():
        for dependency in environment.dependencies:
            if dependency.type_urn != common_urns.artifact_types.URL.urn:
                raise ValueError(f"a dependency of the workers is not staged ({dependency.type_urn})")
            place = proto.ArtifactUrlPayload.FromString(dependency.type_payload)
            role = proto.ArtifactStagingToRolePayload.FromString(dependency.role_payload)
            found[place.url] = Staged(place.url, role.staged_name or place.url.rpartition("/")[2], place.sha256)
    return list(found.values())


def labels(graph: proto.Pipeline) -> list[str]:
    """The labels of all steps; by them the service knows a step again when a job is updated."""
    return sorted(step.unique_name for step in graph.components.transforms.values())


def request_faults(job: dataflow.Job, read: Read) -> list[str]:
    """What is wrong with a request, each with what to do; nothing if the service would take it."""
    missing = _missing(job)
    if missing:
        return [f"the request lacks {', '.join(missing)}: is this Beam's DataflowRunner?"]
    return [*_name_faults(job), *_option_faults(options_of(job)), *_worker_faults(job), *_graph_faults(job, read)]


def _missing(job: dataflow.Job) -> list[str]:
    """The fields that a request has to have, and has not."""
    environment = job.environment
    agent = MessageToDict(dataflow.Job.pb(job).environment.user_agent)
    version = MessageToDict(dataflow.Job.pb(job).environment.version)
    fields = {
        "type": job.type_,
        "clientRequestId": job.client_request_id,
        "environment.tempStoragePrefix": environment.temp_storage_prefix,
        "environment.userAgent": agent.get("name") and agent.get("version"),
        "environment.version": version.get("major") and version.get("job_type"),
        "environment.workerPools": environment.worker_pools,
    }
    return [name for name, value in fields.items() if not value]


def _name_faults(job: dataflow.Job) -> Iterator[str]:
    if not is_job_name(job.name):
        yield (
            f"the job name {job.name[:80]!r} is none: give --job_name of lower-case letters, digits and -, at most 1024"
        )
    for name, value in (MessageToDict(dataflow.Job.pb(job)).get("labels") or {}).items():
        if not is_job_label(name, str(value)):
            yield f"the job's label {name}={value} is none: --labels takes lower-case letters, digits, - and _"


def _option_faults(options: Mapping[str, Any]) -> Iterator[str]:
    for name, value in sorted(options.items()):
        texts = [str(one) for one in value] if isinstance(value, list) else [str(value)]
        if _is_secret(name, value) or any(_SECRET_VALUE.search(text) for text in texts):
            yield f"--{name} carries a secret, and all who see the job see its options: use ADC, or Secret Manager"
        if name in _AT_THE_LAUNCHER:
            continue
        for text in texts:
            if text.startswith("/") and Path(text).exists():
                yield f"--{name} {text}: a path of this machine, which no worker has; copy it to gs://, or ship it"


def _is_secret(name: str, value: Any) -> bool:
    """Whether an option is called like a secret, and holds more than a yes, a no, or the place of one."""
    return bool(
        _SECRET_NAME.search(name) and value and not isinstance(value, bool) and not _PLACE_OF_SECRET.search(str(value))
    )


def _worker_faults(job: dataflow.Job) -> Iterator[str]:
    agent = MessageToDict(dataflow.Job.pb(job).environment.user_agent)
    for pool in job.environment.worker_pools:
        images = {image.container_image for image in pool.sdk_harness_container_images}
        if not images:
            yield "the request names no container image for the workers: is this Beam's DataflowRunner?"
        for image in images:
            yield from _image_faults(image, str(agent.get("name")), str(agent.get("version")))
        most = pool.autoscaling_settings.max_num_workers
        if most and pool.num_workers > most:
            yield f"--num_workers {pool.num_workers} is more than --max_num_workers {most}"


def _image_faults(image: str, sdk_name: str, sdk_version: str) -> Iterator[str]:
    """Of Beam's own images the version is known; of others the rehearsal learns when it installs."""
    own = re.search(r"/beam_python(?P<python>[\d.]+)_sdk:(?P<beam>[\w.]+)$", image)
    if not own:
        return
    if own["beam"] != sdk_version:
        yield f"the workers' image has Beam {own['beam']}, the launcher {sdk_version}: leave out --sdk_container_image"
    if f"Python {own['python']} SDK" not in sdk_name:
        yield f"the workers' image has Python {own['python']}, the launcher is {sdk_name}: launch with that Python"


def _graph_faults(job: dataflow.Job, read: Read) -> Iterator[str]:
    options = options_of(job)
    place = str(options.get("pipelineUrl", ""))
    content = read(place) if place else None
    if content is None:
        yield f"the graph is not staged ({place or 'no place is named'}): may you write to --staging_location?"
        return
    if hashlib.sha256(content).hexdigest() != options.get("pipelineProtoHash"):
        yield f"what is staged is not the graph that was sent ({place}): do two launches share --staging_location?"
    if len(content) > GRAPH_LIMIT_BYTES:
        yield (
            f"the graph has {len(content) / 1e6:.1f} MB, and the service takes {GRAPH_LIMIT_BYTES / 1e6:.0f}: "
            "a step holds data; read it from a file, or give it as a side input"
        )
    graph = proto.Pipeline.FromString(content)
    yield from _label_faults(graph)
    yield from _staging_faults(job, graph, read)


def _label_faults(graph: proto.Pipeline) -> Iterator[str]:
    for label, times in Counter(labels(graph)).items():
        if label and times > 1:
            yield f"{times} steps have the label {label!r}: give each a label of its own"


def _staging_faults(job: dataflow.Job, graph: proto.Pipeline, read: Read) -> Iterator[str]:
    try:
        staged = staged_files(graph)
    except ValueError as error:
        yield f"{error}: give --temp_location and --staging_location in a bucket"
        return
    for file in staged:
        content = read(file.url)
        if content is None:
            yield f"{file.url} is not there: is --staging_location cleaned while jobs start?"
        elif hashlib.sha256(content).hexdigest() != file.sha256:
            yield f"{file.url} is not what was staged (another sha256): do two launches share --staging_location?"
    places = {url.replace("gs:/", "storage.googleapis.com", 1) for url in (file.url for file in staged)}
    for pool in job.environment.worker_pools:
        for package in pool.packages:
            if package.location not in places:
                yield f"the package {package.name} is at {package.location}, which the graph does not know"


def unstable_labels(first: proto.Pipeline, second: proto.Pipeline) -> list[str]:
    """Faults of labels that differ between two launches of the same job: an update would lose their state."""
    mine, others = set(labels(first)), set(labels(second))
    return [
        f"the label {label!r} is another one at each launch: make labels of constants, without --auto_unique_labels"
        for label in sorted(mine - others)[:3]
    ]
