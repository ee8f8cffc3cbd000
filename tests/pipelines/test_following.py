"""A job that runs elsewhere: how it goes, and how it ended, is asked of its result."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from apache_beam.metrics.execution import MetricKey, MetricResult
from apache_beam.metrics.metric import MetricName
from apache_beam.runners.dataflow.dataflow_runner import DataflowRuntimeException
from apache_beam.runners.runner import PipelineState
from google.cloud import dataflow_v1beta3 as dataflow
from inputs import publish_people, run_args, taskreel
from shipped import project_copy

from taskreel.pipelines import following
from taskreel.pipelines.errors import JobFailedError
from taskreel.pipelines.following import counted, followed
from taskreel.pipelines.waiting import wait
from taskreel.rehearsal.gcs.server import GcsServer
from taskreel.rehearsal.jobs_service import Job, JobsService, State


class Result:
    """Of a job in the cloud, as far as it is looked at."""

    def __init__(self, state: str = PipelineState.DONE, error: str = "", **counters: int) -> None:
        self.state, self._error, self._counters = state, error, counters

    def job_id(self) -> str:
        return "2026-11-30_1"

    def wait_until_finish(self) -> None:
        if self.state != PipelineState.DONE:
            raise DataflowRuntimeException(
                f"Dataflow pipeline failed. State: {self.state}, Error:\n{self._error}", self
            )

    def metrics(self) -> Any:
        return self

    def query(self) -> dict[str, list[MetricResult]]:
        keys = [MetricKey("step", MetricName("taskreel", name)) for name in self._counters]
        return {"counters": [MetricResult(key, self._counters[key.metric.name], None) for key in keys]}


def test_a_job_in_the_cloud_is_followed_by_its_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_CLOUD_EVERY_S", 0.01)
    shown: list[dict[str, int]] = []
    with followed(lambda totals, elapsed_s: shown.append(totals), in_the_cloud=True) as run:
        assert run.folder == "", "a folder of this machine is nothing for workers in the cloud"
        run.result = Result(segments=7, shards=2)
        _wait_until(lambda: {"segments": 7, "shards": 2} in shown)


def test_a_run_on_this_machine_is_followed_by_a_folder_that_is_gone_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(following, "_HERE_EVERY_S", 0.01)
    shown: list[dict[str, int]] = []
    with followed(lambda totals, elapsed_s: shown.append(totals), in_the_cloud=False) as run:
        (Path(run.folder) / "1-a").write_text('{"segments": 3}')
        (Path(run.folder) / "2-b").write_text('{"segments": 4}')
        _wait_until(lambda: {"segments": 7} in shown)
    assert not Path(run.folder).exists()


def _wait_until(is_so: Any) -> None:
    until_s = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < until_s
        time.sleep(0.01)


def test_a_stream_may_be_stopped_and_a_batch_not() -> None:
    for state in (PipelineState.CANCELLED, PipelineState.DRAINED, PipelineState.UPDATED):
        wait(Result(state), may_be_stopped=True)
        with pytest.raises(JobFailedError, match=f"job 2026-11-30_1 is {state}"):
            wait(Result(state))


def test_a_failed_job_says_its_last_line_and_no_more() -> None:
    error = "Traceback (most recent call last):\n  File x\nValueError: no\n"
    with pytest.raises(JobFailedError) as caught:
        wait(Result(PipelineState.FAILED, error), may_be_stopped=True)
    assert str(caught.value) == "job 2026-11-30_1 is FAILED: ValueError: no"
    wait(Result())


def test_counters_of_a_job_are_read_by_beams_client_of_dataflow() -> None:
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.dataflow.dataflow_metrics import DataflowMetrics
    from apache_beam.runners.dataflow.internal.apiclient import DataflowApplicationClient

    with JobsService(lambda job: []) as jobs:
        job = Job(dataflow.Job(name="nightly"), counters={("taskreel", "waiting"): 3, ("other", "waiting"): 4})
        jobs.jobs[job.id] = job
        words = ["--project=office", "--region=us-east1", f"--dataflow_endpoint={jobs.endpoint}", "--no_auth"]
        client = DataflowApplicationClient(PipelineOptions(words))
        metrics = DataflowMetrics(client, SimpleNamespace(job_id=lambda: job.id, is_in_terminal_state=lambda: True))
        assert counted(SimpleNamespace(metrics=lambda: metrics)) == {"waiting": 3}


def test_a_launcher_whose_job_fails_ends_with_a_line_and_1(gcs: GcsServer, tmp_path: Path) -> None:
    publish_people("gs://lake/in")
    with JobsService(lambda job: []) as jobs:
        options = [
            *("--runner=DataflowRunner", "--project=office", "--region=us-east1", "--temp_location=gs://lake/temp"),
            *(f"--dataflow_endpoint={jobs.endpoint}", "--no_auth"),
            f"--setup_file={project_copy(tmp_path / 'project')}",
        ]
        command = [*taskreel(*run_args("gs://lake/in", "gs://lake/out")), *options]
        launcher = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | gcs.env())
        job = jobs.next_job(60)
        assert job is not None, launcher.communicate()[1]
        job.state = State.JOB_STATE_RUNNING
        job.end(State.JOB_STATE_FAILED, "Traceback (most recent call last):\nValueError: a worker has failed")
        _, said = launcher.communicate(timeout=60)
    assert launcher.returncode == 1
    assert said.splitlines()[-1] == f"taskreel: job {job.id} is FAILED: ValueError: a worker has failed"
    assert "DataflowRuntimeException" not in said
