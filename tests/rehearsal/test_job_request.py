"""What is wrong with a request for a job, told from the request alone and from what was staged."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2 as proto
from google.cloud import dataflow_v1beta3 as dataflow
from google.protobuf.struct_pb2 import Struct

from taskreel.rehearsal.job_request import GRAPH_LIMIT_BYTES, labels, options_of, request_faults, unstable_labels

IMAGE = "gcr.io/cloud-dataflow/v1beta3/beam_python3.11_sdk:2.77.0"
PACKAGE = b"what setup.py made"


def struct(values: dict[str, Any]) -> Struct:
    made = Struct()
    made.update(values)
    return made


def graph(*steps: str, package: bytes = PACKAGE, url: str = "gs://lake/staging/workflow.tar.gz") -> proto.Pipeline:
    made = proto.Pipeline()
    for number, step in enumerate(steps or ("Read", "Read/Impulse", "Write")):
        made.components.transforms[f"t{number}"].unique_name = step
    dependency = made.components.environments["e"].dependencies.add()
    dependency.type_urn = common_urns.artifact_types.URL.urn
    place = proto.ArtifactUrlPayload(url=url, sha256=hashlib.sha256(package).hexdigest())
    dependency.type_payload = place.SerializeToString()
    dependency.role_payload = proto.ArtifactStagingToRolePayload(staged_name="workflow.tar.gz").SerializeToString()
    return made


class Launched:
    """A request and what it staged, as Beam's DataflowRunner makes them."""

    def __init__(self, made: proto.Pipeline, **options: Any) -> None:
        content = made.SerializeToString()
        self.store: dict[str, bytes] = {
            "gs://lake/staging/pipeline.pb": content,
            "gs://lake/staging/workflow.tar.gz": PACKAGE,
        }
        staged = {
            "pipelineUrl": "gs://lake/staging/pipeline.pb",
            "pipelineProtoHash": hashlib.sha256(content).hexdigest(),
        }
        self.job = dataflow.Job(name="nightly-7", type_="JOB_TYPE_BATCH", client_request_id="1")
        environment = self.job.environment
        environment.temp_storage_prefix = "storage.googleapis.com/lake/temp"
        environment.user_agent = struct({"name": "Apache Beam Python 3.11 SDK", "version": "2.77.0"})
        environment.version = struct({"major": "8", "job_type": "FNAPI_BATCH"})
        environment.sdk_pipeline_options = struct({"options": staged | options})
        pool = dataflow.WorkerPool(kind="harness")
        pool.packages = [
            dataflow.Package(name="workflow.tar.gz", location="storage.googleapis.com/lake/staging/workflow.tar.gz")
        ]
        pool.sdk_harness_container_images = [dataflow.SdkHarnessContainerImage(container_image=IMAGE)]
        environment.worker_pools = [pool]

    @property
    def faults(self) -> list[str]:
        return request_faults(self.job, self.store.get)


def test_a_sound_request_has_no_faults() -> None:
    assert Launched(graph()).faults == []


def test_numbers_among_the_options_come_as_they_were_given() -> None:
    assert options_of(Launched(graph(), workers=8, share=0.5).job)["workers"] == 8
    assert type(options_of(Launched(graph(), workers=8).job)["workers"]) is int
    assert options_of(Launched(graph(), share=0.5).job)["share"] == 0.5


def change(what: str) -> Callable[[Launched], None]:
    def changed(launched: Launched) -> None:
        job, store, pool = launched.job, launched.store, launched.job.environment.worker_pools[0]
        match what:
            case "job name":
                job.name = "Nightly_7"
            case "label":
                job.labels = struct({"Team": "x"})
            case "no pools":
                job.environment.worker_pools = []
            case "no request id":
                job.client_request_id = ""
            case "no sdk version":
                job.environment.user_agent = struct({"name": "Apache Beam"})
            case "another beam":
                pool.sdk_harness_container_images[0].container_image = IMAGE.replace("2.77.0", "2.70.0")
            case "another python":
                pool.sdk_harness_container_images[0].container_image = IMAGE.replace("3.11", "3.12")
            case "too many workers":
                pool.num_workers, pool.autoscaling_settings.max_num_workers = 9, 3
            case "package is gone":
                del store["gs://lake/staging/workflow.tar.gz"]
            case "package is another":
                store["gs://lake/staging/workflow.tar.gz"] = b"of another launch"
            case "graph is gone":
                del store["gs://lake/staging/pipeline.pb"]
            case "graph is another":
                store["gs://lake/staging/pipeline.pb"] = graph("Other").SerializeToString()
            case "package that the graph does not know":
                pool.packages.append(dataflow.Package(name="x.tar.gz", location="storage.googleapis.com/lake/x.tar.gz"))

    return changed


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("job name", "--job_name"),
        ("label", "--labels"),
        ("no pools", "environment.workerPools"),
        ("no request id", "clientRequestId"),
        ("no sdk version", "environment.userAgent"),
        ("another beam", "image has Beam 2.70.0"),
        ("another python", "image has Python 3.12"),
        ("too many workers", "--num_workers 9 is more than --max_num_workers 3"),
        ("package is gone", "workflow.tar.gz is not there"),
        ("package is another", "another sha256"),
        ("graph is gone", "the graph is not staged"),
        ("graph is another", "not the graph that was sent"),
        ("package that the graph does not know", "x.tar.gz"),
    ],
)
def test_one_thing_that_is_wrong_is_the_one_fault(what: str, words: str) -> None:
    launched = Launched(graph())
    change(what)(launched)
    (fault,) = launched.faults
    assert words in fault


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("s3_secret_access_key", "x"),
        ("database_password", "x"),
        ("api_key", "x"),
        ("note", "-----BEGIN RSA PRIVATE KEY-----"),
        ("experiments", ["a", "ya29.not-a-token"]),
    ],
)
def test_a_secret_is_found_and_not_said(option: str, value: Any) -> None:
    (fault,) = Launched(graph(), **{option: value}).faults
    assert f"--{option} carries a secret" in fault
    assert "ya29" not in fault
    assert "BEGIN" not in fault


def test_what_only_sounds_like_a_secret_is_none() -> None:
    options = {
        "dataflow_kms_key": "projects/p/k",
        "s3_secret_access_key": "",
        "database_password": "projects/office/secrets/database/versions/7",
        "checks_credentials": True,
    }
    assert Launched(graph(), **options).faults == []


def test_names_that_the_service_takes_are_taken() -> None:
    launched = Launched(graph())
    launched.job.name = "n" * 1024
    launched.job.labels = struct({"größe": "groß_1"})
    assert launched.faults == []


def test_a_path_of_the_launching_machine_is_found(tmp_path: Any) -> None:
    (fault,) = Launched(graph(), words=str(tmp_path)).faults
    assert "a path of this machine" in fault
    here = {name: str(tmp_path) for name in ("setup_file", "requirements_cache")}
    assert Launched(graph(), **here, words="/not/there").faults == []


def test_a_graph_may_have_10_mb_and_no_more() -> None:
    limit = GRAPH_LIMIT_BYTES - len(graph("").SerializeToString())
    assert Launched(graph("x" * (limit - 100))).faults == []
    (fault,) = Launched(graph("x" * (limit + 100))).faults
    assert "the graph has 10.0 MB" in fault


def test_labels_are_unique_and_the_same_at_each_launch() -> None:
    (fault,) = Launched(graph("Read", "Write", "Write")).faults
    assert "2 steps have the label 'Write'" in fault
    assert labels(graph("b", "a")) == ["a", "b"]
    assert unstable_labels(graph("a", "b"), graph("b", "a")) == []
    (fault,) = unstable_labels(graph("a", "b-17"), graph("a", "b-18"))
    assert "b-17" in fault


def test_what_is_not_staged_in_a_bucket_is_a_fault() -> None:
    made = graph()
    made.components.environments["e"].dependencies[0].type_urn = common_urns.artifact_types.FILE.urn
    (fault,) = Launched(made).faults
    assert "--staging_location" in fault
