"""A local stand-in for Google Cloud Storage, for tests and benchmarks.

It speaks as much of the JSON API (google-cloud-storage, Beam) and of the XML API (object_store, so deltalake)
as these clients use, keeps everything in memory, and fails on demand:

    with GcsServer(buckets=["lake"], delay_s=0.05) as server:
        os.environ.update(server.env())
        write_deltalake("gs://lake/table", data, storage_options=server.delta_options())
        server.faults.add(Fault("GET /lake/.*parquet", "status", status=503, times=2))

As a process of its own: `python -m taskreel.rehearsal.gcs.server --port 9199 --delay-ms 50 --bucket lake`.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any, Self

from taskreel.rehearsal.gcs import json_api, xml_api
from taskreel.rehearsal.gcs.faults import Fault, Faults, LoggedRequest, RequestLog
from taskreel.rehearsal.gcs.messages import Request, Response, lower_case, wire_head
from taskreel.rehearsal.gcs.objects import Bucket, Content, Store, StoredObject

__all__ = ["Fault", "GcsServer", "client_env", "delta_options"]

PROJECT = "test-project"
CREDENTIALS = Path(__file__).with_name("credentials.json")


def client_env(url: str) -> dict[str, str]:
    """The environment with which google-cloud-storage and Beam talk to the stand-in at `url`.

    Beam looks for credentials even with an emulator, and retries in vain for some 22 s. A credentials file
    whose token does not expire within the millennium is found at once and never refreshed. And each new
    client (Beam makes one per operation) would ask for the bucket in a thread of its own, just to label its
    traces, so that logs would vary from run to run.
    """
    return {
        "STORAGE_EMULATOR_HOST": url,
        "GOOGLE_APPLICATION_CREDENTIALS": str(CREDENTIALS),
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA": "true",
    }


def delta_options(url: str) -> dict[str, str]:
    """The `storage_options` with which deltalake talks to the stand-in at `url`, without credentials.

    With `google_base_url` and `google_skip_signature` alone, object_store 0.13.2 reads, but asks Google for a
    token before it writes.
    """
    key: dict[str, object] = {"client_email": "", "private_key": "", "private_key_id": ""}
    key |= {"gcs_base_url": url, "disable_oauth": True}
    return {"google_service_account_key": json.dumps(key)}


class GcsServer:
    """The service: its objects, its faults, its delay and its log, behind HTTP on the loopback interface."""

    def __init__(self, buckets: Iterable[str] = (), delay_s: float = 0.0, port: int = 0):
        self.store = Store()
        self.faults = Faults()
        self.requests = RequestLog()
        self.delay_s = delay_s
        self.stopping = threading.Event()
        for name in buckets:
            self.create_bucket(name)
        self._http = HttpServer(port, self)
        self.port: int = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, args=(0.05,), name="gcs", daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._http.close_connections()

    def env(self) -> dict[str, str]:
        return client_env(self.url)

    def delta_options(self) -> dict[str, str]:
        return delta_options(self.url)

    def create_bucket(self, name: str) -> Bucket:
        return self.store.create_bucket(name)

    def objects(self, bucket: str) -> dict[str, StoredObject]:
        """The live objects by name, in order; their bytes are `.data`."""
        return self.store.bucket(bucket).snapshot()

    def put(self, bucket: str, name: str, data: bytes, **fields: Any) -> StoredObject:
        """Store an object without a request; `fields` are JSON metadata such as contentType."""
        return self.store.bucket(bucket).put(name, Content(data), fields)

    def load(self, root: Path) -> None:
        """Store the files of `root`, where each folder is a bucket."""
        for folder in sorted(path for path in root.iterdir() if path.is_dir()):
            self.create_bucket(folder.name)
            for file in sorted(path for path in folder.rglob("*") if path.is_file()):
                self.put(folder.name, file.relative_to(folder).as_posix(), file.read_bytes())

    def answer(self, request: Request) -> Response:
        """The true answer; what the stand-in fails to understand is a 400, as clients repeat after a 500."""
        api = json_api if request.path.startswith(json_api.PATH_STARTS) else xml_api
        try:
            return api.answer(self.store, request)
        except Exception as error:
            traceback.print_exc()
            return Response(400, {}, f"The stand-in failed: {error!r}".encode())


class HttpServer(ThreadingHTTPServer):
    """A thread for each connection; open connections are remembered, to close them with the server."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, gcs: GcsServer):
        super().__init__(("127.0.0.1", port), Handler)
        self.gcs = gcs
        self._connections: set[socket.socket] = set()

    def server_bind(self) -> None:
        """Without the name look-up of HTTPServer."""
        TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients may go away; anything else is reported."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection: reads requests, has them answered, and lets the faults strike."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: HttpServer

    def handle_any(self) -> None:
        """Each method; what follows is in the order in which a real request meets its fate."""
        gcs = self.server.gcs
        fault = gcs.faults.take(self.command, self.path)
        early = fault if fault and fault.strikes("request") else None
        late = fault if fault and fault.strikes("response") else None
        size = int(self.headers.get("Content-Length") or 0)
        if "Transfer-Encoding" in self.headers:  # none of the clients sends chunks, so they are not read
            self.close_connection = True
            return self.send(Response(411), 0)
        if early and early.action == "cut":
            self.rfile.read(size // 2)
            return self.cut(size // 2)
        body = self.rfile.read(size) if size else b""
        if gcs.delay_s:
            time.sleep(gcs.delay_s)
        if early and early.action == "timeout":
            return self.hang(early.hang_s, size)
        if early:
            return self.send(early.spoil(Response()), size)
        response = gcs.answer(Request(self.command, self.path, lower_case(self.headers), body, gcs.url))
        if late and late.action == "timeout":
            return self.hang(late.hang_s, size)
        self.send(late.spoil(response) if late else response, size, cut=bool(late and late.action == "cut"))

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = handle_any

    def send(self, response: Response, bytes_in: int, cut: bool = False) -> None:
        """Head and body without copies; a cut leaves half of the body, or nothing if there is no body."""
        head, body = wire_head(response), memoryview(response.body)
        if self.command == "HEAD":
            body = body[:0]
        if cut:
            head, body = head if len(body) else b"", body[: len(body) // 2]
            self.close_connection = True
        self.log(0 if cut else response.status, bytes_in, len(body))
        if len(body) < 2048:
            self.connection.sendall(head + body)
        else:
            self.connection.sendall(head)
            self.connection.sendall(body)

    def hang(self, hang_s: float, bytes_in: int) -> None:
        self.server.gcs.stopping.wait(hang_s)
        self.cut(bytes_in)

    def cut(self, bytes_in: int) -> None:
        self.log(0, bytes_in, 0)
        self.close_connection = True

    def log(self, status: int, bytes_in: int, bytes_out: int) -> None:
        """Into the server's log, before the client can know."""
        path, _, query = self.path.partition("?")
        entry = LoggedRequest(self.command, path, query, bytes_in, bytes_out, status)
        self.server.gcs.requests.add(entry)

    def log_message(self, *args: object) -> None:
        """Nothing on the console."""


def main() -> None:
    parser = argparse.ArgumentParser(description="A local stand-in for Google Cloud Storage.")
    parser.add_argument("--port", type=int, default=9199)
    parser.add_argument("--delay-ms", type=float, default=0.0, help="added to each request")
    parser.add_argument("--bucket", action="append", default=[], help="create a bucket (repeatable)")
    parser.add_argument("--root", type=Path, help="load the files of this folder's folders, the buckets")
    arguments = parser.parse_args()
    server = GcsServer(arguments.bucket, arguments.delay_ms / 1000, arguments.port)
    if arguments.root:
        server.load(arguments.root)
    with server:
        for name, value in server.env().items():
            print(f"export {name}={value}", flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
