"""How a staged graph is made to run in processes of this machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

import grpc
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2 as proto

from taskreel.rehearsal.environment import WorkerEnvironment
from taskreel.rehearsal.workers import Running, Worker, _start_script, with_workers_at


def graph() -> proto.Pipeline:
    made = proto.Pipeline()
    docker = made.components.environments["python"]
    docker.urn = common_urns.environments.DOCKER.urn
    docker.capabilities.append("a capability")
    docker.dependencies.add().type_urn = common_urns.artifact_types.URL.urn
    for name in ("Read", "Read/Parse", "Build", "Build/Map/Inner", "Write"):
        made.components.transforms[name].unique_name = name
        made.components.transforms[name].environment_id = "python"
    made.components.transforms["Group"].unique_name = "Group"  # the runner's own
    made.components.windowing_strategies["w"].environment_id = "python"
    return made


def test_steps_take_turns_among_processes_and_parts_of_a_step_stay_together() -> None:
    components = with_workers_at(graph(), "localhost:7", 2).components
    where = {step.unique_name: step.environment_id for step in components.transforms.values()}
    assert where["Read"] == where["Read/Parse"]
    assert where["Build"] == where["Build/Map/Inner"]
    assert {where[name] for name in ("Read", "Build", "Write")} == set(components.environments)
    assert where["Group"] == ""
    assert components.windowing_strategies["w"].environment_id in components.environments


def test_each_process_is_started_by_the_pool_and_has_nothing_to_fetch() -> None:
    before = graph()
    made = with_workers_at(before, "localhost:7", 3)
    assert len(made.components.environments) == 3
    for environment in made.components.environments.values():
        assert environment.urn == common_urns.environments.EXTERNAL.urn
        assert proto.ExternalPayload.FromString(environment.payload).endpoint.url == "localhost:7"
        assert list(environment.capabilities) == ["a capability"]
        assert not environment.dependencies
    assert before == graph(), "the staged graph stays as it is"


def test_a_worker_starts_whatever_its_folder_is_called(tmp_path: Path) -> None:
    folder = tmp_path / "it's a $HOME"
    python = folder / "python" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$@"; env')
    python.chmod(0o700)
    worker = Worker(folder, WorkerEnvironment(folder / "python", folder / "staged"))
    script = _start_script(worker, {"WORDS": "two 'words'"})
    subprocess.run([str(script), "--id=a b"], check=True)
    said = worker.said.splitlines()
    assert said[0] == f"{folder / 'boot.py'} --id=a b"
    assert "WORDS=two 'words'" in said
    assert f"HOME={folder / 'home'}" in said


def test_a_job_is_stopped_though_its_runner_has_ended(tmp_path: Path) -> None:
    class Gone:
        def wait_until_finish(self) -> None: ...

        def cancel(self) -> None:
            raise grpc.RpcError

    running = Running(Gone(), Worker(tmp_path, WorkerEnvironment(tmp_path, tmp_path)))
    running.cancel()
    assert running.is_cancelled
