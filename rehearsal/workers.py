"""Plays the workers of a Dataflow job: the staged files, a fresh environment with them, and the staged graph on Prism.

A worker sees what a machine in the cloud would: its own folder, a few variables, and the store. Of the machine that
launched the job it sees neither environment variables nor packages nor files.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2 as proto
from apache_beam.runners.portability import portable_runner
from apache_beam.runners.portability.prism_runner import PrismJobServer
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer

from taskreel.pipelines.following import counters_of
from taskreel.rehearsal import boot
from taskreel.rehearsal.environment import WorkerEnvironment, base_environment, worker_environment
from taskreel.rehearsal.job_request import Read, staged_files
from taskreel.rehearsal.seclusion import hide

_STOP_S = 10.0


@dataclass(frozen=True)
class Worker:
    """A machine that is played: its folder, and the environment in it."""

    folder: Path
    environment: WorkerEnvironment

    @property
    def death(self) -> str:
        """By what exception a worker process has ended, "" if none has."""
        return _text(self.folder / "died")

    @property
    def said(self) -> str:
        """What its processes printed: all there is of one that did not get as far as Python's exceptions."""
        return _text(self.folder / "log")


def set_up(folder: Path, graph: proto.Pipeline, read: Read, beam_version: str) -> Worker:
    """Fetch what was staged and install it, as a worker does when it starts. Raises `InstallError`."""
    staged = folder / "staged"
    staged.mkdir(parents=True)
    for file in staged_files(graph):
        (staged / file.name).write_bytes(read(file.url) or b"")
    environment = worker_environment(folder / "python", staged, beam_version)
    shutil.copyfile(boot.__file__, folder / "boot.py")
    return Worker(folder, environment)


def seclude(worker: Worker, beam_version: str, hidden: list[Path]) -> None:
    """From now on the worker does not see what is below `hidden`, but for its own environment and folder."""
    seen = [worker.folder, base_environment(beam_version), Path(sys.base_prefix)]
    hide(worker.environment.site_packages, hidden, seen)


class PrismError(RuntimeError):
    """Prism does not start, or does not take the graph; the message says which, and why."""


class Running:
    """A graph that runs on Prism, with processes in the worker's environment as its workers."""

    def __init__(self, result: portable_runner.PipelineResult, worker: Worker) -> None:
        self._result, self._worker = result, worker
        self._error = ""
        self.is_cancelled = False
        """Whether it was stopped before its end."""
        self._thread = threading.Thread(target=self._wait, name="rehearsed job", daemon=True)
        self._thread.start()

    @property
    def has_ended(self) -> bool:
        """Whether it ran to its end, failed, or was cancelled."""
        return not self._thread.is_alive() or bool(self._worker.death)

    @property
    def error(self) -> str:
        """Why it failed, "" if it did not; Python's traceback where a worker raised."""
        if self.is_cancelled:
            return ""
        if "get control connection" in self._error:  # Prism has waited for a worker in vain
            return self._worker.death or self._worker.said or self._error
        return self._error or self._worker.death

    def counters(self) -> dict[tuple[str, str], int]:
        """What the workers have counted, by namespace and name; nothing if the runner is gone."""
        try:
            return counters_of(self._result)
        except grpc.RpcError:
            return {}

    def cancel(self) -> None:
        """Stop it; what it has committed stays."""
        self.is_cancelled = True
        with contextlib.suppress(grpc.RpcError):  # it has ended, or Prism has
            self._result.cancel()
        self._thread.join(_STOP_S)

    def _wait(self) -> None:
        try:
            self._result.wait_until_finish()
        except Exception as error:
            self._error = str(error) or repr(error)


@contextlib.contextmanager
def running(
    graph: proto.Pipeline,
    options: Mapping[str, Any],
    worker: Worker,
    environment: Mapping[str, str],
    prism: str,
    processes: int,
) -> Iterator[Running]:
    """Run a staged graph; `options` are those of the job, `environment` are variables that a worker has.

    Its steps are spread over so many worker processes. Raises `PrismError`.
    """
    (worker.folder / "options.json").write_text(json.dumps({"options": dict(options)}), encoding="utf-8")
    address, pool = BeamFnExternalWorkerPoolServicer.start(
        use_process=True, container_executable=str(_start_script(worker, environment))
    )
    given = PipelineOptions.from_dictionary({**options, "prism_location": prism, "environment_type": "EXTERNAL"})
    server = PrismJobServer(given)
    try:
        result = _submitted(server, given, with_workers_at(graph, address, processes))
        yield Running(result, worker)
    finally:
        server.stop()
        pool.stop(_STOP_S).wait()


def _submitted(
    server: PrismJobServer, options: PipelineOptions, graph: proto.Pipeline
) -> portable_runner.PipelineResult:
    try:
        handle = portable_runner.JobServiceHandle(server.start(), options, retain_unknown_options=True)
        return portable_runner.PipelineResult(handle.job_service, *handle.submit(graph))
    except grpc.RpcError as error:
        raise PrismError(f"does not take the graph: {error.details()}") from error
    except (OSError, RuntimeError) as error:
        raise PrismError(f"does not start ({error}): make prism, or give another by --prism") from error


def with_workers_at(graph: proto.Pipeline, address: str, processes: int) -> proto.Pipeline:
    """The graph, whose containers are replaced by workers that a pool starts; the files are installed already.

    Prism starts one process an environment. So there are copies of each, and the steps take turns: what one step leaves
    in the memory of its process is not there for another, as on many machines.
    """
    changed = proto.Pipeline()
    changed.CopyFrom(graph)
    payload = proto.ExternalPayload()
    payload.endpoint.url = address
    environments = dict(graph.components.environments.items())
    changed.components.environments.clear()
    for name, environment in environments.items():
        for process in range(processes):
            copy = changed.components.environments[_of_process(name, process)]
            copy.CopyFrom(environment)
            copy.urn = common_urns.environments.EXTERNAL.urn
            copy.payload = payload.SerializeToString()
            del copy.dependencies[:]
    turns = {name: turn for turn, name in enumerate(sorted({_top(step) for step in _steps(graph)}))}
    for step in _steps(changed):
        step.environment_id = _of_process(step.environment_id, turns[_top(step)] % processes)
    for strategy in changed.components.windowing_strategies.values():
        strategy.environment_id = _of_process(strategy.environment_id, 0) if strategy.environment_id else ""
    return changed


def _steps(graph: proto.Pipeline) -> list[proto.PTransform]:
    """Those that run in a worker."""
    return [step for step in graph.components.transforms.values() if step.environment_id]


def _top(step: proto.PTransform) -> str:
    """The outermost step that this one is a part of: parts stay in one process, as they are fused."""
    return str(step.unique_name.partition("/")[0])


def _of_process(environment: str, process: int) -> str:
    return f"{environment}_{process}"


def _start_script(worker: Worker, environment: Mapping[str, str]) -> Path:
    """What the pool starts: a shell that forgets this process's environment, and boots a worker."""
    home = worker.folder / "home"
    home.mkdir(exist_ok=True)
    variables = {"HOME": str(home), "TMPDIR": str(home), "LANG": "C.UTF-8"}
    variables["PATH"] = f"{worker.environment.folder}/bin:/usr/bin:/bin"
    words = [f"{name}={value}" for name, value in (variables | dict(environment)).items()]
    command = ["env", "-i", *words, str(worker.environment.python), str(worker.folder / "boot.py")]
    script = worker.folder / "start"
    log = shlex.quote(str(worker.folder / "log"))
    script.write_text(
        f'#!/bin/sh\ncd {shlex.quote(str(home))} && exec {shlex.join(command)} "$@" >>{log} 2>&1\n', encoding="utf-8"
    )
    script.chmod(0o700)
    return script


def _text(file: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return file.read_text(encoding="utf-8", errors="replace")
    return ""


def store_variables(variables: Mapping[str, str], folder: Path) -> dict[str, str]:
    """A client's variables for the stand-in of the store, with the credentials file in a worker's own folder."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = dict(variables)
    name = "GOOGLE_APPLICATION_CREDENTIALS"
    if name in kept:
        kept[name] = str(shutil.copy(kept[name], str(folder / "credentials.json")))
    return kept
