"""How a staged graph is made to run in processes of this machine."""

from __future__ import annotations

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2 as proto
from apache_beam.runners.portability.prism_runner import PrismJobServer

from taskreel.rehearsal import workers
from taskreel.rehearsal.launcher import RehearsalError
from taskreel.rehearsal.workers import with_workers_at


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


def test_a_prism_that_does_not_start_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    server = PrismJobServer(PipelineOptions())

    def start() -> None:
        raise RuntimeError("Service failed to start up with error 0")

    monkeypatch.setattr(server, "start", start)
    with pytest.raises(RehearsalError, match=r"--prism /bin/true: does not start .* make prism"):
        workers._started(server, "/bin/true")
