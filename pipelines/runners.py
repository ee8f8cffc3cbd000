"""Which runner runs, said plainly.

Beam's name `DirectRunner` is a switch that downloads and prefers Prism, falls back without saying so, and so runs
one of three runners. Here it is always the in-process FnApiRunner; any other runner is what its name says.
"""

from __future__ import annotations

from typing import Any

from apache_beam.options.pipeline_options import DirectOptions, GoogleCloudOptions, PipelineOptions, StandardOptions
from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.portability.fn_api_runner import fn_runner
from apache_beam.runners.portability.portable_runner import JobServiceHandle
from apache_beam.runners.runner import _RUNNER_MAP

DIRECT = "DirectRunner"
_IN_THE_CLOUD = ("DataflowRunner", "TestDataflowRunner")


def runner_name(options: PipelineOptions) -> str:
    """The name of the runner's class, however it was given: Beam takes `dataflow`, any case, and the whole path."""
    given = options.view_as(StandardOptions).runner or DIRECT
    path = _RUNNER_MAP.get(given.lower()) or _RUNNER_MAP.get(f"{given.lower()}runner") or given
    return str(path).rpartition(".")[2]


def is_cloud(options: PipelineOptions) -> bool:
    """Whether the workers are Dataflow's: machines of Google's, in a region."""
    return runner_name(options) in _IN_THE_CLOUD


class TemplateStagedError(RuntimeError):
    """Nothing runs yet: with `--template_location` a job is described there, and another service submits it."""


def resolve_runner(options: PipelineOptions) -> tuple[Any, str]:
    """The runner to hand to `beam.Pipeline`, and a name that says which one it really is."""
    name = runner_name(options)
    if name not in (DIRECT, "FnApiRunner"):
        return options.view_as(StandardOptions).runner, name
    direct = options.view_as(DirectOptions)
    encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options())
    provision = fn_runner.ExtendedProvisionInfo(beam_provision_api_pb2.ProvisionInfo(pipeline_options=encoded))
    workers = direct.direct_num_workers or 1
    return fn_runner.FnApiRunner(provision_info=provision), (
        f"{DIRECT} (FnApiRunner, {direct.direct_running_mode or 'in_memory'}, {workers} worker{'s' * (workers != 1)})"
    )


def can_stream(options: PipelineOptions) -> bool:
    """Whether the runner waits for a source that is polled; those within the process end it early."""
    return runner_name(options) not in (DIRECT, "FnApiRunner", "BundleBasedDirectRunner", "SwitchingDirectRunner")


def check_submitted(result: Any, options: PipelineOptions) -> None:
    """Raise `TemplateStagedError` if a job was only described, so that there is nothing to wait for."""
    if not getattr(result, "has_job", True):
        place = options.view_as(GoogleCloudOptions).template_location
        raise TemplateStagedError(f"the job is described in {place}; nothing runs until it is submitted")
