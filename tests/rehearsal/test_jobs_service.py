"""The stand-in of the jobs service, asked by Google's own client."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import BadRequest, NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import dataflow_v1beta3 as dataflow

from taskreel.rehearsal.jobs_service import JobsService, State

NAMES = {"project_id": "office", "location": "us-central1"}


@pytest.fixture
def service() -> Iterator[JobsService]:
    with JobsService(lambda job: ["--job_name: no", "--region: no"] if job.name == "bad" else []) as running:
        yield running


@pytest.fixture
def jobs(service: JobsService) -> dataflow.JobsV1Beta3Client:
    return _client(dataflow.JobsV1Beta3Client, service)


def _client(kind: type, service: JobsService) -> dataflow.JobsV1Beta3Client:
    options = ClientOptions(api_endpoint=service.endpoint)
    return kind(credentials=AnonymousCredentials(), client_options=options, transport="rest")


def create(jobs: dataflow.JobsV1Beta3Client, **fields: object) -> dataflow.Job:
    return jobs.create_job(dataflow.CreateJobRequest(**NAMES, job=dataflow.Job(**fields)))


def test_a_job_is_taken_and_told_of(service: JobsService, jobs: dataflow.JobsV1Beta3Client) -> None:
    made = create(jobs, name="nightly", type_="JOB_TYPE_STREAMING")
    taken = service.next_job(1)
    assert taken is not None
    assert (taken.id, taken.request.name, taken.is_streaming) == (made.id, "nightly", True)
    assert service.next_job(0.01) is None
    taken.state = State.JOB_STATE_RUNNING
    told = jobs.get_job(dataflow.GetJobRequest(**NAMES, job_id=made.id))
    assert (told.name, told.current_state) == ("nightly", State.JOB_STATE_RUNNING)
    assert [job.id for job in jobs.list_jobs(dataflow.ListJobsRequest(**NAMES))] == [made.id]


def test_a_job_with_faults_is_refused_with_all_of_them(service: JobsService, jobs: dataflow.JobsV1Beta3Client) -> None:
    with pytest.raises(BadRequest, match="--job_name: no; --region: no"):
        create(jobs, name="bad")
    assert service.next_job(0.01) is None
    assert service.refused == [["--job_name: no", "--region: no"]]


def test_a_check_that_fails_is_a_refusal_and_no_silence() -> None:
    def check(_: dataflow.Job) -> list[str]:
        raise KeyError("x")

    with JobsService(check) as service, pytest.raises(BadRequest, match=r"could not check the request \(KeyError"):
        create(_client(dataflow.JobsV1Beta3Client, service), name="nightly")


def test_what_is_no_job_is_refused(service: JobsService, jobs: dataflow.JobsV1Beta3Client) -> None:
    place = "/v1b3/projects/p/locations/r/jobs"
    there = f"{place}/{create(jobs, name='nightly').id}"
    for body in (b"", b'{"name": "x", "colour": "red"}', b'{"name": 7'):
        for method, path in (("POST", place), ("PUT", there)):
            status, answer = service.answer(method, path, body)
            assert status == 400, body
            assert answer["error"]["status"] == "INVALID_ARGUMENT"


def test_a_person_asks_for_another_state(service: JobsService, jobs: dataflow.JobsV1Beta3Client) -> None:
    made = create(jobs, name="nightly")
    asked = dataflow.Job(requested_state=State.JOB_STATE_DRAINING)
    jobs.update_job(dataflow.UpdateJobRequest(**NAMES, job_id=made.id, job=asked))
    taken = service.jobs[made.id]
    assert taken.asked.is_set()
    assert taken.asked_state == State.JOB_STATE_DRAINING
    taken.end(State.JOB_STATE_DRAINED)
    with pytest.raises(BadRequest, match="has ended"):
        jobs.update_job(dataflow.UpdateJobRequest(**NAMES, job_id=made.id, job=asked))


def test_why_a_job_has_failed_is_among_its_messages(service: JobsService, jobs: dataflow.JobsV1Beta3Client) -> None:
    made = create(jobs, name="nightly")
    service.jobs[made.id].end(State.JOB_STATE_FAILED, "ModuleNotFoundError: no")
    client = _client(dataflow.MessagesV1Beta3Client, service)
    said = list(client.list_job_messages(dataflow.ListJobMessagesRequest(**NAMES, job_id=made.id)))
    assert [message.message_text for message in said] == ["ModuleNotFoundError: no"]


def test_what_was_counted_is_among_its_metrics(service: JobsService, jobs: dataflow.JobsV1Beta3Client) -> None:
    made = create(jobs, name="nightly")
    service.jobs[made.id].counters = {("taskreel", "segments"): 7}
    client = _client(dataflow.MetricsV1Beta3Client, service)
    committed, tried = client.get_job_metrics(dataflow.GetJobMetricsRequest(**NAMES, job_id=made.id)).metrics
    assert (tried.name.name, tried.name.context["namespace"], tried.scalar) == ("segments", "taskreel", 7)
    assert (committed.name.name, committed.scalar) == ("segments", 7)


def test_a_job_that_is_not_there_is_not_found(jobs: dataflow.JobsV1Beta3Client) -> None:
    with pytest.raises(NotFound):
        jobs.get_job(dataflow.GetJobRequest(**NAMES, job_id="none"))
