"""What can be known to be wrong before a job is built: its options, its places, its package, its region.

`preflight` is called once for each launch, by whatever launches; so a launch that is rehearsed has it, too. Cheap
checks come first. It writes nothing into a store.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass

from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, StandardOptions
from apache_beam.runners.runner import create_runner

from taskreel.io.stores import GcsStore, StoreError, open_store
from taskreel.pipelines.dataflow_options import check_options
from taskreel.pipelines.endpoints import check_endpoints
from taskreel.pipelines.episodes import selection
from taskreel.pipelines.errors import LaunchError
from taskreel.pipelines.job_region import People, check_region
from taskreel.pipelines.options import RunPlaces
from taskreel.pipelines.runners import is_cloud, runner_name
from taskreel.pipelines.worker_package import check_package

_SECRETS = ("s3_access_key_id", "s3_secret_access_key", "s3_session_token", "azure_connection_string")
"""Options of Beam that carry a secret: they would stand in the job graph, in logs and in the service's pages."""


@dataclass(frozen=True)
class Place:
    """Where a job reads, or writes if `is_written`, and the option that says so."""

    option: str
    url: str
    is_written: bool = False


def places_of(places: RunPlaces) -> list[Place]:
    """The places of a run."""
    return [Place("--input", selection(places).root), Place("--output", places.output, is_written=True)]


def people_of(places: RunPlaces) -> People:
    """Whose recordings a run handles."""
    chosen = selection(places)
    return People(chosen.root, chosen.participants, places.as_of_us, places.allow_region_transfer)


def preflight(options: PipelineOptions, places: Sequence[Place], people: People) -> None:
    """Raise `LaunchError`, or `StoreError` for a store as such, if the job cannot be launched like this."""
    _check_secrets(options)
    _check_runner(options)
    check_options(options)
    if is_cloud(options):
        _check_reach(places)
    check_endpoints(options)
    for place in places:
        _check_access(place)
    if is_cloud(options):
        _check_staging(options)
        check_region(region_of(options), people)
    check_package(options)


def region_of(options: PipelineOptions) -> str:
    """The cloud region of the workers; "" if they are not in the cloud."""
    return str(options.view_as(GoogleCloudOptions).region or "") if is_cloud(options) else ""


def _check_secrets(options: PipelineOptions) -> None:
    given = options.get_all_options(drop_default=True)
    for name in _SECRETS:
        if given.get(name):
            raise LaunchError(
                f"--{name}: a secret does not belong into options, which the job carries along; taskreel reads folders "
                "and gs://, by Application Default Credentials. Leave it out"
            )


def _check_runner(options: PipelineOptions) -> None:
    name = runner_name(options)
    given = options.view_as(StandardOptions).runner or name
    try:
        create_runner(given)
        if is_cloud(options):
            importlib.import_module("apache_beam.runners.dataflow.internal.apiclient")
    except (ImportError, AttributeError) as error:
        if is_cloud(options):
            raise LaunchError(f"--runner {given}: needs the extra `gcp`: pip install 'taskreel[gcp]'") from error
        raise LaunchError(f"--runner {given}: cannot be imported ({error})") from error
    except (ValueError, TypeError) as error:
        raise LaunchError(f"--runner {given}: there is no such runner; one is DataflowRunner") from error


def _check_reach(places: Sequence[Place]) -> None:
    for place in places:
        if not place.url.startswith("gs://"):
            raise LaunchError(
                f"{place.option} {place.url}: Dataflow's workers do not reach this machine's disk; give a gs:// place"
            )


def _check_access(place: Place) -> None:
    try:
        open_store(place.url).check_access(writes=place.is_written)
    except StoreError as error:
        raise LaunchError(f"{place.option} {error}") from error


def _check_staging(options: PipelineOptions) -> None:
    google = options.view_as(GoogleCloudOptions)
    for option in ("temp_location", "staging_location"):
        url = getattr(google, option)
        if not url:
            continue
        store = open_store(url)
        try:
            assert isinstance(store, GcsStore)  # `check_options` has seen to it
            store.check_staging()
        except StoreError as error:
            raise LaunchError(f"--{option} {error}") from error
