"""A local stand-in for the jobs of the Dataflow service: it takes a job, tells how it stands, passes on what is asked.

It speaks as much of the REST API v1b3 as Beam's client uses. A request is parsed by the very message classes of that
client, so a field that the service does not know is refused; and what `check` finds is answered as the service would,
with 400. Nothing runs here: who plays the workers reads `next_job`, and tells the job's state.
"""

from __future__ import annotations

import json
import queue
import re
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from google.cloud import dataflow_v1beta3 as dataflow
from google.cloud.dataflow_v1beta3 import JobState as State
from google.protobuf.json_format import ParseError

_JOBS = re.compile(r"/v1b3/projects/[^/]+(/locations/(?P<region>[^/]+))?/jobs(?P<rest>/.*|:aggregated)?")
_ENDED = (State.JOB_STATE_DONE, State.JOB_STATE_FAILED, State.JOB_STATE_CANCELLED, State.JOB_STATE_DRAINED)


@dataclass
class Job:
    """A job that was taken: what was asked for, how it stands, and what was said of it."""

    request: dataflow.Job
    id: str = field(default_factory=lambda: f"rehearsed-{uuid.uuid4().hex[:12]}")
    state: State = State.JOB_STATE_PENDING
    asked: threading.Event = field(default_factory=threading.Event)
    """Set when somebody asks for another state: drain or cancel."""
    asked_state: State = State.JOB_STATE_UNKNOWN
    errors: list[str] = field(default_factory=list)
    counters: dict[tuple[str, str], int] = field(default_factory=dict)
    """What the workers have counted, by namespace and name."""

    @property
    def is_streaming(self) -> bool:
        """Whether it runs until it is stopped."""
        return bool(self.request.type_ == dataflow.JobType.JOB_TYPE_STREAMING)

    def ask(self, state: State) -> None:
        """Ask for another state, as a person does at the console."""
        self.asked_state = state
        self.asked.set()

    def end(self, state: State, error: str = "") -> None:
        """It has ended; the launcher, which asks, learns how and why."""
        if error:
            self.errors.append(error)
        self.state = state

    def message(self) -> dataflow.Job:
        """The job as the service would tell it."""
        told = dataflow.Job(self.request)
        told.id, told.current_state, told.project_id = self.id, self.state, self.request.project_id
        return told


class JobsService:
    """The service on a port of the loopback interface; `check` names the faults of a request, none takes it."""

    def __init__(self, check: Callable[[dataflow.Job], list[str]]) -> None:
        self.jobs: dict[str, Job] = {}
        self.refused: list[list[str]] = []
        self._check = check
        self._new: queue.Queue[Job] = queue.Queue()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True

    @property
    def endpoint(self) -> str:
        """For `--dataflow_endpoint`; by name, as Beam's client refuses an address."""
        return f"http://localhost:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, args=(0.05,), name="jobs", daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def next_job(self, timeout_s: float) -> Job | None:
        """The next job that was taken, None if there is none in this time."""
        try:
            return self._new.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """(status, JSON) of a request."""
        found = _JOBS.fullmatch(path)
        if not found:
            return _error(404, f"the rehearsal does not know {method} {path}")
        job_id, _, part = (found["rest"] or "").removeprefix("/").partition("/")
        if method == "POST" and not job_id:
            return self._create(body)
        if method == "GET" and job_id in ("", ":aggregated"):
            return 200, {"jobs": [_json(job.message()) for job in self.jobs.values()]}
        job = self.jobs.get(job_id)
        if job is None:
            return _error(404, f"there is no job {job_id}")
        if method == "PUT":
            return _update(job, body)
        if part == "messages":
            return 200, {"jobMessages": [_message(n, text) for n, text in enumerate(job.errors)]}
        if part == "metrics":
            return 200, {"metrics": [told for name, value in job.counters.items() for told in _metric(*name, value)]}
        return 200, _json(job.message())

    def _create(self, body: bytes) -> tuple[int, dict[str, Any]]:
        try:
            request = _parsed(body)
        except ValueError as error:
            return _error(400, str(error))
        try:
            faults = self._check(request)
        except Exception as error:  # without an answer the client would try for long
            faults = [f"the rehearsal could not check the request ({error!r}); please report this"]
        if faults:
            self.refused.append(faults)
            return _error(400, "; ".join(faults))
        job = Job(request)
        self.jobs[job.id] = job
        self._new.put(job)
        return 200, _json(job.message())


def _parsed(body: bytes) -> dataflow.Job:
    """Raises `ValueError`."""
    try:
        return dataflow.Job.from_json(body.decode(), ignore_unknown_fields=False)
    except (ParseError, ValueError) as error:
        raise ValueError(f"the job cannot be read: {error}") from error


def _update(job: Job, body: bytes) -> tuple[int, dict[str, Any]]:
    try:
        asked = _parsed(body).requested_state
    except ValueError as error:
        return _error(400, str(error))
    if job.state in _ENDED:
        return _error(400, f"job {job.id} has ended")
    job.ask(asked)
    return 200, _json(job.message())


def _json(message: dataflow.Job) -> dict[str, Any]:
    return dict(json.loads(dataflow.Job.to_json(message, always_print_fields_with_no_presence=False)))


def _message(number: int, text: str) -> dict[str, Any]:
    time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"id": str(number), "time": time, "messageText": text, "messageImportance": "JOB_MESSAGE_ERROR"}


def _metric(namespace: str, name: str, value: int) -> list[dict[str, Any]]:
    """Of each metric the service tells what is committed, and what was tried: here the same."""
    contexts: tuple[dict[str, str], ...] = ({}, {"tentative": "true"})
    return [
        {"name": {"origin": "user", "name": name, "context": {"namespace": namespace} | more}, "scalar": value}
        for more in contexts
    ]


def _error(status: int, message: str) -> tuple[int, dict[str, Any]]:
    name = {400: "INVALID_ARGUMENT", 404: "NOT_FOUND"}[status]
    return status, {"error": {"code": status, "message": message, "status": name}}


def _handler(service: JobsService) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, answer = service.answer(self.command, self.path.partition("?")[0], body)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = handle_any  # noqa: N815

        def log_message(self, *args: object) -> None:
            """Nothing on the console."""

    return Handler
