"""Rehearse a launch on Dataflow, on this machine.

The real DataflowRunner submits to stand-ins of the service and of the store, the request is checked, and the job runs
in an environment that has only what was staged.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from apache_beam.portability.api import beam_runner_api_pb2 as proto
from google.cloud import dataflow_v1beta3 as dataflow
from google.cloud.dataflow_v1beta3 import JobState as State
from google.protobuf.json_format import MessageToDict

from taskreel.rehearsal import workers
from taskreel.rehearsal.environment import InstallError
from taskreel.rehearsal.gcs.server import GcsServer
from taskreel.rehearsal.job_request import options_of, request_faults, unstable_labels
from taskreel.rehearsal.jobs_service import Job, JobsService
from taskreel.rehearsal.remedies import explained

BUCKET = "taskreel-rehearsal"
PLACE = f"gs://{BUCKET}"
_DEFAULTS = ("--project=rehearsal", "--region=us-central1", f"--temp_location={PLACE}/temp")
_IMAGE = "--sdk_container_image"
_POLL_S = 0.2
_QUIET_S = 10.0
"""A stream that has committed, and then has not for so long, has taken up what is there."""
_LAUNCHER_ENDS_S = 60.0


class RehearsalError(ValueError):
    """A rehearsal that cannot be: one line that says what is wrong and what to do."""


@dataclass(frozen=True)
class Launch:
    """What is rehearsed: a program, its options, and what lies in the store when it begins."""

    main: tuple[str, ...]
    """The command, up to its options: of `taskreel run`, or of a program that takes Beam's options."""
    options: tuple[str, ...]
    prism: str
    """Prism's binary."""
    sample: Path | None = None
    """A folder with segments and consent records."""
    input: str = f"{PLACE}/in"
    """Where the sample lies in the store."""
    output: str = f"{PLACE}/out"
    before: Path | None = None
    """A folder with the dataset that lies at the output when the job begins."""
    patience_s: float = 600.0
    """So long each part may take."""
    worker_processes: int = 2
    """The steps are spread over so many."""

    @property
    def is_streaming(self) -> bool:
        """Whether it runs until it is stopped."""
        return "--streaming" in self.options

    def command(self, *more: str) -> list[str]:
        """With the options that a launch has to have, where they are not given."""
        given = {option.partition("=")[0] for option in self.options}
        defaults = [option for option in _DEFAULTS if option.partition("=")[0] not in given]
        return [*self.main, *self.options, *defaults, "--runner=DataflowRunner", "--no_auth", *more]


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
    """A part has faults; there is no next one."""


def rehearse(launch: Launch, begins: Callable[[str], None] = lambda name: None) -> tuple[Report, dict[str, bytes]]:
    """Play a launch to its end: a report, and the objects below the output by name. `begins` hears of each part.

    Raises `RehearsalError` for what cannot be rehearsed.
    """
    _check(launch)
    report = Report()
    with (
        tempfile.TemporaryDirectory(prefix="taskreel-rehearsal-") as folder,
        GcsServer(sorted(_buckets(launch))) as gcs,
        JobsService(lambda job: request_faults(job, _reader(gcs))) as jobs,
        contextlib.suppress(_Failed),
    ):
        stage = _Stage(launch, gcs, jobs, Path(folder), report, begins)
        _load(gcs, launch.output, _files(launch.before))
        lives = _halves(launch.sample) if launch.is_streaming else [_files(launch.sample)]
        for number, files in enumerate(lives, 1):
            _load(gcs, launch.input, files)
            stage.play(f", life {number}" if launch.is_streaming else "")
        return report, _objects(gcs, launch.output)
    return report, {}


class _Stage:
    """The machines of one rehearsal."""

    def __init__(
        self,
        launch: Launch,
        gcs: GcsServer,
        jobs: JobsService,
        folder: Path,
        report: Report,
        begins: Callable[[str], None],
    ) -> None:
        self.launch, self.gcs, self.jobs, self.folder = launch, gcs, jobs, folder
        self.report, self.begins = report, begins
        self.read = _reader(gcs)

    def play(self, life: str) -> None:
        """A job from its launch to its end. Raises `_Failed` after the first part that has faults."""
        with self._launcher(life) as launcher:
            with self._part(f"launch{life}") as faults:
                job = self._submitted(launcher, faults)
            graph = proto.Pipeline.FromString(self.read(str(options_of(job.request)["pipelineUrl"])) or b"")
            with ThreadPoolExecutor(1) as pool:
                again = None if life.endswith("2") else pool.submit(self._graph_again)
                with self._part(f"install{life}") as faults:
                    worker = self._installed(job, graph, life, faults)
                if again:
                    with self._part("second launch: the same labels") as faults:
                        faults += _label_faults(graph, again)
            with self._part(f"run{life}") as faults:
                faults += self._run(job, graph, worker)
            with self._part(f"end of the launcher{life}") as faults:
                faults += self._ended(launcher, job)

    @contextlib.contextmanager
    def _part(self, name: str) -> Iterator[list[str]]:
        """Time a part, and take down its faults; a failure inside is for `faults` to tell."""
        self.begins(name)
        began_s, faults = time.monotonic(), list[str]()
        try:
            yield faults
        finally:
            self.report.parts.append(Part(name, time.monotonic() - began_s, tuple(faults)))
        if faults:
            raise _Failed

    @contextlib.contextmanager
    def _launcher(self, life: str) -> Iterator[subprocess.Popen[bytes]]:
        """The process that launches; it does not outlive the rehearsal."""
        with self._log(life).open("wb") as log:
            process = subprocess.Popen(
                self.launch.command(f"--dataflow_endpoint={self.jobs.endpoint}"),
                env=os.environ | self.gcs.env(),
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
            self._log_file = self._log(life)
            try:
                yield process
            finally:
                process.kill()
                process.wait()

    def _log(self, life: str) -> Path:
        return self.folder / f"launcher{life.replace(' ', '').replace(',', '-')}.log"

    def _said(self) -> str:
        return self._log_file.read_text(encoding="utf-8", errors="replace")

    def _submitted(self, launcher: subprocess.Popen[bytes], faults: list[str]) -> Job:
        until_s = time.monotonic() + self.launch.patience_s
        while time.monotonic() < until_s:
            job = self.jobs.next_job(_POLL_S)
            if job:
                job.state = State.JOB_STATE_RUNNING
                return job
            if self.jobs.refused:
                faults += self.jobs.refused[-1]
                raise _Failed
            if launcher.poll() is not None:
                faults.append(self._no_job(launcher.returncode))
                raise _Failed
        faults.append(f"the launcher has submitted no job within {self.launch.patience_s:.0f} s")
        raise _Failed

    def _no_job(self, code: int) -> str:
        if code == 0:
            return "the launcher ended without a job: does the program call pipeline.run()?"
        return explained(self._said())

    def _graph_again(self) -> proto.Pipeline | str:
        """The graph that a second launch of the same job makes, without a job; or why there is none."""
        place = f"{PLACE}/again"
        more = (f"--template_location={place}/job.json", f"--staging_location={place}", "--job_name=again")
        done = subprocess.run(
            self.launch.command(f"--dataflow_endpoint={self.jobs.endpoint}", *more),
            env=os.environ | self.gcs.env(),
            capture_output=True,
            text=True,
            timeout=self.launch.patience_s,
            check=False,
        )
        found = [data for name, data in _objects(self.gcs, place).items() if name.endswith("/pipeline.pb")]
        return proto.Pipeline.FromString(found[-1]) if found else explained(done.stderr)

    def _installed(self, job: Job, graph: proto.Pipeline, life: str, faults: list[str]) -> workers.Worker:
        beam_version = str(MessageToDict(dataflow.Job.pb(job.request).environment.user_agent)["version"])
        folder = self.folder / f"worker{len(self.jobs.jobs)}"
        try:
            worker = workers.set_up(folder, graph, self.read, beam_version)
        except InstallError as error:
            faults.append(explained(str(error)))
            raise _Failed from error
        found = worker.environment.versions("apache-beam")["apache-beam"]
        if found != beam_version:
            faults.append(
                f"what was staged brings Beam {found} to the workers, and the job was made by {beam_version}: "
                f"ask for apache-beam=={beam_version} in install_requires, or launch with {found}"
            )
            raise _Failed
        workers.seclude(worker, beam_version, self._hidden())
        return worker

    def _hidden(self) -> list[Path]:
        """The folders of this machine in which a launcher's files lie."""
        places = [Path.cwd(), Path.home(), Path(tempfile.gettempdir()), Path(sys.prefix), Path(__file__).parents[1]]
        places += [Path(word).absolute().parent for word in self.launch.main if Path(word).suffix == ".py"]
        places += [self.launch.sample] if self.launch.sample else []
        return [place for place in places if str(place.resolve()) not in ("/", "/usr", "/etc")]

    def _run(self, job: Job, graph: proto.Pipeline, worker: workers.Worker) -> list[str]:
        variables = workers.store_variables(self.gcs.env(), worker.folder / "credentials")
        options = options_of(job.request)
        until_s = time.monotonic() + self.launch.patience_s
        quiet = _Quiet(lambda: len(_objects(self.gcs, f"{self.launch.output}/episodes/_delta_log")))
        prism, processes = self.launch.prism, self.launch.worker_processes
        with workers.running(graph, options, worker, variables, prism, processes) as running:
            while not running.has_ended and not job.asked.is_set():
                if time.monotonic() > until_s:
                    job.end(State.JOB_STATE_FAILED, "it took too long")
                    return [f"the job was not done after {self.launch.patience_s:.0f} s (--patience)"]
                if job.is_streaming and quiet.is_over():
                    job.ask(State.JOB_STATE_CANCELLED)
                time.sleep(_POLL_S)
            if job.asked.is_set():
                running.cancel()
                job.end(State.JOB_STATE_CANCELLED)
                return []
            error = running.error
        job.end(State.JOB_STATE_FAILED if error else State.JOB_STATE_DONE, error)
        return [explained(error)] if error else []

    def _ended(self, launcher: subprocess.Popen[bytes], job: Job) -> list[str]:
        try:
            code = launcher.wait(_LAUNCHER_ENDS_S)
        except subprocess.TimeoutExpired:
            return [f"the launcher still waits for job {job.id}, which has ended"]
        return [f"the job ended well, the launcher with exit code {code}: {explained(self._said())}"] if code else []


class _Quiet:
    """Whether a stream has taken up what is there: it has committed since it began, and has not for some time."""

    def __init__(self, commits: Callable[[], int]) -> None:
        self._commits = commits
        self._first = self._last = commits()
        self._since_s = time.monotonic()

    def is_over(self) -> bool:
        """Look again."""
        now = self._commits()
        if now != self._last:
            self._last, self._since_s = now, time.monotonic()
        return now != self._first and time.monotonic() - self._since_s > _QUIET_S


def _check(launch: Launch) -> None:
    if any(option.startswith(_IMAGE) for option in launch.options):
        raise RehearsalError(
            f"{_IMAGE}: a rehearsal cannot look into an image; leave it out, and give what is installed in it, by "
            "--setup_file or --extra_package"
        )
    if not Path(launch.prism).is_file():
        raise RehearsalError(f"there is no Prism at {launch.prism or 'any known place'}: make prism, or give --prism")


def _label_faults(graph: proto.Pipeline, again: Future[proto.Pipeline | str]) -> list[str]:
    second = again.result()
    return [f"a second launch fails: {second}"] if isinstance(second, str) else unstable_labels(graph, second)


def _buckets(launch: Launch) -> set[str]:
    """The buckets of all places that are named; in the rehearsal they are there."""
    words = [word for option in launch.options for word in (option, option.partition("=")[2])]
    places = [word for word in [*words, launch.input, launch.output, PLACE] if word.startswith("gs://")]
    return {place.removeprefix("gs://").partition("/")[0] for place in places}


def _files(folder: Path | None) -> list[tuple[str, Path]]:
    """(name below the folder, file), sorted; nothing where there is no folder."""
    if folder is None:
        return []
    return sorted((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file())


def _halves(sample: Path | None) -> list[list[tuple[str, Path]]]:
    """What is there when a stream starts for the first time, and what comes before the second."""
    files = _files(sample)
    segments = [file for file in files if file[0].startswith("segments/")]
    early = segments[: -(-len(segments) // 2)]
    return [[file for file in files if file not in segments or file in early], segments[len(early) :]]


def _load(gcs: GcsServer, place: str, files: Sequence[tuple[str, Path]]) -> None:
    bucket, prefix = _split(place)
    for name, path in files:
        gcs.put(bucket, f"{prefix}{name}", path.read_bytes())


def _objects(gcs: GcsServer, place: str) -> dict[str, bytes]:
    """The objects below a place, by their names there."""
    bucket, prefix = _split(place)
    found = gcs.objects(bucket).items()
    return {name.removeprefix(prefix): bytes(stored.data) for name, stored in found if name.startswith(prefix)}


def _split(place: str) -> tuple[str, str]:
    bucket, _, prefix = place.removeprefix("gs://").rstrip("/").partition("/")
    return bucket, f"{prefix}/" if prefix else ""


def _reader(gcs: GcsServer) -> Callable[[str], bytes | None]:
    def read(url: str) -> bytes | None:
        bucket, _, name = url.removeprefix("gs://").partition("/")
        stored = gcs.objects(bucket).get(name) if bucket in {one.name for one in gcs.store.buckets()} else None
        return bytes(stored.data) if stored else None

    return read


def with_taskreel_run(launch: Launch, input_: str, output: str) -> Launch:
    """The launch of `taskreel run` on a place in the stand-in's store."""
    main = (sys.executable, "-m", "taskreel", "run", "--input", input_, "--output", output)
    return replace(launch, main=main, input=input_, output=output)
