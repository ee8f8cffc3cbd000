"""Rehearse a launch on Dataflow, on this machine.

The real DataflowRunner submits to stand-ins of the service and of the store, the request is checked, and the job runs
in an environment that has only what was staged.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from apache_beam.portability.api import beam_runner_api_pb2 as proto
from google.cloud import dataflow_v1beta3 as dataflow
from google.cloud.dataflow_v1beta3 import JobState as State
from google.protobuf.json_format import MessageToDict

from taskreel.rehearsal import places, workers
from taskreel.rehearsal.environment import InstallError
from taskreel.rehearsal.gcs.server import GcsServer
from taskreel.rehearsal.job_request import options_of, request_faults, unstable_labels
from taskreel.rehearsal.jobs_service import Job, JobsService
from taskreel.rehearsal.launcher import PLACE, Launch, Launcher, RehearsalError, check, launcher
from taskreel.rehearsal.remedies import explained

_AGAIN = f"{PLACE}/again"
"""Where a second launch stages."""
_POLL_S = 0.2
_QUIET_S = 10.0
"""A stream that has committed, and then has not for so long, has taken up what is there."""
_LAUNCHER_ENDS_S = 60.0


@dataclass(frozen=True)
class Part:
    """One part of a rehearsal: what was done, how long it took, and what is wrong, if anything."""

    name: str
    wall_s: float
    faults: tuple[str, ...] = ()


@dataclass
class Report:
    """What came of a rehearsal: its parts in order; the first that has faults is the last."""

    parts: list[Part] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        """All that is wrong; nothing if the launch would have gone well."""
        return [fault for part in self.parts for fault in part.faults]


class _Failed(Exception):
    """A part has these faults; there is no next one."""

    def __init__(self, *faults: str) -> None:
        super().__init__(*faults)
        self.faults = faults


def rehearse(launch: Launch, begins: Callable[[str], None] = lambda name: None) -> tuple[Report, dict[str, bytes]]:
    """Play a launch to its end: a report, and the objects below the output by name. `begins` hears of each part.

    Raises `RehearsalError` for what cannot be rehearsed.
    """
    check(launch)
    report = Report()
    buckets = places.buckets_of([*launch.options, launch.input, launch.output, PLACE])
    with (
        tempfile.TemporaryDirectory(prefix="taskreel-rehearsal-", ignore_cleanup_errors=True) as folder,
        GcsServer(sorted(buckets)) as gcs,
        JobsService(lambda job: request_faults(job, lambda place: places.read(gcs, place))) as jobs,
        contextlib.suppress(_Failed),
    ):
        rehearsal = _Rehearsal(launch, gcs, jobs, Path(folder), report, begins)
        places.put(gcs, launch.output, places.files_below(launch.before))
        files = places.files_below(launch.sample)
        for number, come in enumerate(places.halves(files) if launch.is_streaming else [files], 1):
            places.put(gcs, launch.input, come)
            rehearsal.play(number)
        return report, places.objects_below(gcs, launch.output)
    return report, {}


@dataclass
class _Rehearsal:
    """The stand-ins of one rehearsal, and what is done with them."""

    launch: Launch
    gcs: GcsServer
    jobs: JobsService
    folder: Path
    report: Report
    begins: Callable[[str], None]

    def play(self, number: int) -> None:
        """A job from its launch to its end. Raises `_Failed` after the first part that has faults."""
        life = f", life {number}" if self.launch.is_streaming else ""
        command = self.launch.command(f"--dataflow_endpoint={self.jobs.endpoint}")
        with launcher(command, self.gcs.env(), self.folder / f"launcher{number}.log") as launched:
            with self._part(f"launch{life}"):
                job = self._submitted(launched)
            graph = proto.Pipeline.FromString(self._read(str(options_of(job.request)["pipelineUrl"])) or b"")
            with self._launched_again() if number == 1 else contextlib.nullcontext() as second:
                with self._part(f"install{life}"):
                    worker = self._installed(job, graph, self.folder / f"worker{number}")
                if second:
                    with self._part("second launch: the same labels"):
                        self._check_labels(graph, second)
            with self._part(f"run{life}"):
                try:
                    self._run(job, graph, worker)
                except workers.PrismError as error:
                    raise RehearsalError(f"Prism, which stands in for the service, {explained(str(error))}") from error
            with self._part(f"end of the launcher{life}"):
                self._check_end(launched, job)

    @contextlib.contextmanager
    def _part(self, name: str) -> Iterator[None]:
        """Time a part, and take down its faults."""
        self.begins(name)
        began_s, faults = time.monotonic(), tuple[str, ...]()
        try:
            yield
        except _Failed as failed:
            faults = failed.faults
            raise
        finally:
            self.report.parts.append(Part(name, time.monotonic() - began_s, faults))

    def _read(self, place: str) -> bytes | None:
        return places.read(self.gcs, place)

    def _submitted(self, launched: Launcher) -> Job:
        until_s = time.monotonic() + self.launch.patience_s
        while time.monotonic() < until_s:
            code = launched.process.poll()  # asked first: what it submitted before its end is then found
            job = self.jobs.next_job(_POLL_S)
            if job:
                job.state = State.JOB_STATE_RUNNING
                return job
            if self.jobs.refused:
                raise _Failed(*self.jobs.refused[-1])
            if code == 0:
                raise _Failed("the launcher ended without a job: does the program call pipeline.run()?")
            if code is not None:
                raise _Failed(launched.failure)
        raise _Failed(f"the launcher has submitted no job within {self._patience}")

    def _launched_again(self) -> contextlib.AbstractContextManager[Launcher]:
        """A second launch of the same job, which only describes it: there is no job. It goes on meanwhile."""
        more = (f"--template_location={_AGAIN}/job.json", f"--staging_location={_AGAIN}", "--job_name=again")
        command = self.launch.command(f"--dataflow_endpoint={self.jobs.endpoint}", *more)
        return launcher(command, self.gcs.env(), self.folder / "again.log")

    def _check_labels(self, graph: proto.Pipeline, second: Launcher) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):  # a program may go on when its graph is staged
            second.process.wait(self.launch.patience_s)
        objects = places.objects_below(self.gcs, _AGAIN)
        found = [data for name, data in objects.items() if name.endswith("/pipeline.pb")]
        if not found and second.process.poll() is None:
            raise _Failed(f"a second launch is not done after {self._patience}")
        if not found:
            raise _Failed(f"a second launch fails: {explained(second.said, at_launch=True)}")
        faults = unstable_labels(graph, proto.Pipeline.FromString(found[-1]))
        if faults:
            raise _Failed(*faults)

    @property
    def _patience(self) -> str:
        return f"{self.launch.patience_s:.0f} s (--patience)"

    def _installed(self, job: Job, graph: proto.Pipeline, folder: Path) -> workers.Worker:
        beam_version = str(MessageToDict(dataflow.Job.pb(job.request).environment.user_agent)["version"])
        try:
            worker = workers.set_up(folder, graph, self._read, beam_version)
        except InstallError as error:
            raise _Failed(explained(str(error))) from error
        found = worker.environment.versions("apache-beam")["apache-beam"]
        if found != beam_version:
            raise _Failed(
                f"what was staged brings Beam {found} to the workers, and the job was made by {beam_version}: "
                f"ask for apache-beam=={beam_version} in install_requires, or launch with {found}"
            )
        workers.seclude(worker, beam_version, _launchers_folders(self.launch))
        return worker

    def _run(self, job: Job, graph: proto.Pipeline, worker: workers.Worker) -> None:
        """Until it has ended, somebody has stopped it, or a stream has taken up what there is."""
        variables = workers.store_variables(self.gcs.env(), worker.folder / "credentials")
        prism, processes = self.launch.prism, self.launch.worker_processes
        until_s = time.monotonic() + self.launch.patience_s
        stream = _Stream(lambda: len(places.objects_below(self.gcs, f"{self.launch.output}/episodes/_delta_log")))
        with workers.running(graph, options_of(job.request), worker, variables, prism, processes) as running:
            while not running.has_ended and not job.asked.is_set() and time.monotonic() < until_s:
                if job.is_streaming and stream.is_quiet():
                    job.ask(State.JOB_STATE_CANCELLED)
                time.sleep(_POLL_S)
            if not running.has_ended:
                running.cancel()
            error = running.error
            job.counters = {} if error else running.counters()
        if error:
            job.end(State.JOB_STATE_FAILED, error)
            raise _Failed(explained(error))
        if running.is_cancelled:
            job.end(State.JOB_STATE_CANCELLED)
        else:
            job.end(State.JOB_STATE_DONE)
        if running.is_cancelled and not job.asked.is_set():
            raise _Failed(self._too_slow(job))

    def _too_slow(self, job: Job) -> str:
        if not job.is_streaming:
            return f"the job was not done after {self._patience}"
        return (
            f"the stream was not quiet, or had not committed, after {self._patience}: it takes up days within "
            "--lateness-h of now, or of --clock; is the sample older?"
        )

    def _check_end(self, launched: Launcher, job: Job) -> None:
        try:
            code = launched.process.wait(_LAUNCHER_ENDS_S)
        except subprocess.TimeoutExpired:
            raise _Failed(f"the launcher still waits for job {job.id}, which has ended") from None
        if code:
            raise _Failed(
                f"the job ended well, the launcher with exit code {code}: {explained(launched.said, at_launch=True)}"
            )


class _Stream:
    """Whether a stream has taken up what is there: it has committed since it began, and then has been quiet."""

    def __init__(self, commits: Callable[[], int]) -> None:
        self._commits = commits
        self._first = self._last = commits()
        self._since_s = time.monotonic()

    def is_quiet(self) -> bool:
        """Look again."""
        now = self._commits()
        if now != self._last:
            self._last, self._since_s = now, time.monotonic()
        return now != self._first and time.monotonic() - self._since_s > _QUIET_S


def _launchers_folders(launch: Launch) -> list[Path]:
    """The folders of this machine in which a launcher's files lie; workers do not see them."""
    found = [Path.cwd(), Path.home(), Path(tempfile.gettempdir()), Path(sys.prefix), Path(__file__).parents[1]]
    found += [Path(word).absolute().parent for word in launch.main if word.endswith(".py")]
    found += [launch.sample] if launch.sample else []
    return [folder for folder in found if str(folder.resolve()) not in ("/", "/usr", "/etc")]
