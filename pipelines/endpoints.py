"""Whether the services that a launch names answer. Beam would wait for them without an end."""

from __future__ import annotations

import json
import socket
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions

from taskreel.pipelines.errors import LaunchError
from taskreel.pipelines.runners import runner_name

_CONNECT_S = 3.0
_LOCAL = ("localhost", "127.0.0.1", "::1")


def check_endpoints(options: PipelineOptions) -> None:
    """Raise `LaunchError` for a job service at which nothing listens, or an external worker pool of this machine."""
    portable = options.view_as(PortableOptions)
    if runner_name(options) == "PortableRunner" and not portable.job_endpoint:
        raise LaunchError("--job_endpoint: PortableRunner needs a job server; give one, such as localhost:8099")
    if portable.job_endpoint and portable.job_endpoint != "embed":
        _check("--job_endpoint", portable.job_endpoint, "start the job server, or mend the address", everywhere=True)
    if (portable.environment_type or "").upper() == "EXTERNAL":
        _check("--environment_config", _pool(portable), "start the worker pool, or mend the address", everywhere=False)


def _pool(portable: Any) -> str:
    """The address of the worker pool, which may be given in three ways."""
    config = portable.environment_config or portable.lookup_environment_option("external_service_address") or ""
    try:
        return str(json.loads(config).get("url", "")) if config.strip().startswith("{") else str(config)
    except json.JSONDecodeError as error:
        raise LaunchError(f"--environment_config: is no JSON ({error.msg}); give host:port") from None


def _check(option: str, address: str, remedy: str, *, everywhere: bool) -> None:
    """Open a connection and close it; if not to be reached from `everywhere`, only to this machine."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if "/" in address:  # a name for another resolver of gRPC's
        return
    if not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise LaunchError(f"{option} {address}: a host and a port are expected, such as localhost:8099")
    if not everywhere and host not in _LOCAL:
        return
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()
    except OSError as error:
        why = error.strerror or str(error)
        raise LaunchError(f"{option} {address}: nothing answers there ({why}); {remedy}") from error
