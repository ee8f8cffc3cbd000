"""Telemetry of a watch: what monitors ask for, over HTTP, on this machine only.

`/healthz` answers 200 while runs end well and in time, else 503 with the reason. `/metrics` is for Prometheus; the
names below are an interface, and documented in `docs/operations.md`.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from taskreel.pipelines.watch import BAD_USE, COMMITTED, FAILED, LOST_RACE, NOTHING_NEW, Cycle, Health

_RUN_BUCKETS_S = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
_LOOPBACK = "127.0.0.1"


class Telemetry:
    """The metrics of a watch, and its health."""

    def __init__(self, every_s: float) -> None:
        self._health = Health(every_s)
        self.registry = registry = CollectorRegistry()
        self._runs = Counter("taskreel_runs", "Runs by how they ended", ["outcome"], registry=registry)
        for outcome in (COMMITTED, NOTHING_NEW, LOST_RACE, FAILED, BAD_USE):
            self._runs.labels(outcome)  # a series that is there from the start has a rate from the start
        self._run_s = Histogram("taskreel_run_seconds", "How long runs took", buckets=_RUN_BUCKETS_S, registry=registry)
        self._gauges = {
            name: Gauge(f"taskreel_{name}", help_, registry=registry)
            for name, help_ in (
                ("lag_seconds", "Age of the newest event that is in the dataset, by the store's time"),
                ("backlog_segments", "Segments of the listed days that the dataset does not list"),
                ("backlog_bytes", "Their size"),
                ("dataset_version", "Version of the dataset"),
                ("last_commit_timestamp_seconds", "When the dataset last changed"),
                ("last_success_timestamp_seconds", "When a run last ended well, by this machine's clock"),
            )
        }
        for gauge in self._gauges.values():
            gauge.set(float("nan"))  # not known yet

    def ended(self, cycle: Cycle) -> None:
        """A cycle has ended."""
        self._health.ended(cycle, time.monotonic())
        self._runs.labels(cycle.outcome).inc()
        self._run_s.observe(cycle.run_s)
        if cycle.is_good:
            self._gauges["last_success_timestamp_seconds"].set(time.time())
        if (state := cycle.state) is None:
            return
        self._set("lag_seconds", state.lag_s)
        self._set("backlog_segments", state.backlog.segments)
        self._set("backlog_bytes", state.backlog.bytes)
        self._set("dataset_version", state.version)
        self._set("last_commit_timestamp_seconds", state.committed_us and state.committed_us / 1e6)

    def _set(self, name: str, value: float | None) -> None:
        if value is not None:
            self._gauges[name].set(value)

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """(status, content type, body) of a GET."""
        if path == "/metrics":
            return 200, CONTENT_TYPE_LATEST, generate_latest(self.registry)
        if path == "/healthz":
            reason = self._health.reason(time.monotonic())
            return (503 if reason else 200), "text/plain; charset=utf-8", f"{reason or 'good'}\n".encode()
        return 404, "text/plain; charset=utf-8", b"/healthz and /metrics are here\n"


def served(telemetry: Telemetry, port: int) -> contextlib.AbstractContextManager[int]:
    """Answer on this machine's loopback interface; gives the port (0 chooses one). Raises `OSError` if it is taken."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = telemetry.answer(self.path.partition("?")[0])
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Nothing on the console."""

    return _serving(ThreadingHTTPServer((_LOOPBACK, port), Handler))


@contextlib.contextmanager
def _serving(server: ThreadingHTTPServer) -> Iterator[int]:
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="telemetry", daemon=True)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()
