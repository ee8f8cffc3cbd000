"""Launches that cannot be: one line that names the option or the place and the remedy, exit 2, nothing written."""

from __future__ import annotations

import json
import os
import socket
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import URLError

import pytest
from google.auth.exceptions import RefreshError
from inputs import ANNA, AS_OF, PEOPLE, command, copy_of, places, publish_people, run_args
from typer.testing import CliRunner

from taskreel.__main__ import app
from taskreel.io.consent import ConsentRecord
from taskreel.io.stores import GcsStore, StoreError, open_store
from taskreel.io.tables import commit_of
from taskreel.io.times import us_from_iso
from taskreel.pipelines.compaction import compact
from taskreel.pipelines.episodes import Launch, metadata
from taskreel.pipelines.errors import LaunchError
from taskreel.pipelines.job_region import People, allows, check_region
from taskreel.pipelines.launch import beam_options
from taskreel.pipelines.options import RunOptions
from taskreel.pipelines.preflight import people_of, places_of, preflight, region_of
from taskreel.pipelines.runners import can_stream, is_cloud, resolve_runner
from taskreel.pipelines.worker_package import check_package
from taskreel.rehearsal.gcs.server import Fault, GcsServer

IN, OUT, TMP = "gs://lake/in", "gs://lake/out", "gs://lake/tmp"
NEEDED = ["--project=p-1", "--region=us-central1", f"--temp_location={TMP}"]
DATAFLOW = ["--runner=DataflowRunner", *NEEDED, "--no_auth"]
PORTABLE = ["--runner=PortableRunner"]
SECRET = "AKIA-do-not-tell"


def refusal(*beam_args: str, input_: str = IN, output: str = OUT, **limits: object) -> str:
    """Why this launch cannot be."""
    run_places = places(input_, output, **limits)
    with pytest.raises((LaunchError, StoreError)) as caught:
        preflight(beam_options(list(beam_args)), places_of(run_places), people_of(run_places))
    line = str(caught.value)
    assert "\n" not in line
    return line


@pytest.fixture
def package(tmp_path: Path) -> str:
    """The option that ships a package, whatever is in it."""
    archive = tmp_path / "package.tar.gz"
    with tarfile.open(archive, "w:gz"):
        pass
    return f"--extra_package={archive}"


@pytest.fixture
def lake(gcs: GcsServer) -> GcsServer:
    """A bucket with the people's segments; they agreed to be recorded in the US."""
    publish_people(IN)
    return gcs


# --------------------------------------------------------------------------------------------- options, by themselves


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--runner=DataflowRunner"], ["--project", "give --project="]),
        (["--runner=dataflow"], ["--project"]),
        (["--runner=DATAFLOWRUNNER"], ["--project"]),
        (["--runner=apache_beam.runners.dataflow.dataflow_runner.DataflowRunner"], ["--project"]),
        (["--runner=DataflowRunner", "--project=p-1"], ["--region", "--region=europe-west1"]),
        (["--runner=DataflowRunner", "--project=p-1", "--region=us-east1"], ["--temp_location=gs://"]),
        ([*DATAFLOW, "--staging_location=/tmp/there"], ["--staging_location", "/tmp/there", "gs://"]),
        ([*DATAFLOW, "--project=12345"], ["12345", "project number"]),
        ([*DATAFLOW, "--job_name=My_Job"], ["job_name", "My_Job"]),
        ([*DATAFLOW, f"--job_name={'a' * 1025}"], ["--job_name", "1024"]),
        ([*DATAFLOW, "--num_workers=5", "--max_num_workers=3"], ["num_workers", "5", "3"]),
        ([*DATAFLOW, "--worker_region=us-central1", "--worker_zone=us-central1-a"], ["worker_region", "exclusive"]),
        ([*DATAFLOW, "--worker_region=europe-west1"], ["--worker_region europe-west1", "us-central1"]),
        ([*DATAFLOW, "--worker_zone=europe-west1-b"], ["--worker_zone europe-west1-b", "us-central1"]),
        ([*DATAFLOW, "--zone=europe-west1-b"], ["europe-west1-b", "us-central1"]),
        ([*DATAFLOW, "--worker_machine_type=very large"], ["--worker_machine_type", "n2-standard-4"]),
        ([*DATAFLOW, "--labels=Team=lab"], ["--labels Team=lab", "lower-case"]),
        ([*DATAFLOW, "--labels=team=the lab"], ["--labels team=the lab"]),
        ([*DATAFLOW, "--labels=1st=lab"], ["--labels 1st=lab"]),
        ([*DATAFLOW, f"--labels=team={'a' * 64}"], ["--labels", "63"]),
        ([*DATAFLOW, "--labels={'team': 'Lab'}"], ["--labels team=Lab"]),
        ([*DATAFLOW, *(f"--labels=k{n}=v" for n in range(65))], ["--labels", "65", "64"]),
        ([*DATAFLOW, "--streaming", "--flexrs_goal=COST_OPTIMIZED"], ["--flexrs_goal", "--streaming"]),
        ([*DATAFLOW, "--streaming", "--update"], ["job name", "updating"]),
        ([*DATAFLOW, "--update", "--job_name=mine"], ["--update", "--streaming"]),
        ([*DATAFLOW, '--transform_name_mapping={"a":"b"}'], ["--update"]),
        (["--runner=NoSuchRunner"], ["--runner NoSuchRunner"]),
        (["--runner=no.such.module.Runner"], ["--runner no.such.module.Runner", "import"]),
        ([*PORTABLE, "--environment_type=EXTERNAL"], ["external_service_address"]),
        ([*PORTABLE, "--environment_type=LOOPBACK"], ["--job_endpoint", "localhost:8099"]),
        ([*PORTABLE, "--job_endpoint=localhost:"], ["--job_endpoint localhost:", "localhost:8099"]),
        ([*PORTABLE, "--job_endpoint=localhost"], ["--job_endpoint localhost", "localhost:8099"]),
        ([*PORTABLE, "--job_endpoint=localhost:many"], ["--job_endpoint localhost:many"]),
        (
            [*PORTABLE, "--job_endpoint=embed", "--environment_type=EXTERNAL", "--environment_config=localhost"],
            ["--environment_config localhost", "host and a port"],
        ),
        (
            [*PORTABLE, "--job_endpoint=embed", "--environment_type=EXTERNAL", '--environment_config={"url": oops}'],
            ["--environment_config", "JSON"],
        ),
    ],
)
def test_an_option_that_cannot_be_names_itself_and_the_remedy(args: list[str], words: list[str]) -> None:
    """No store is there: what options alone tell is found before anybody is asked."""
    line = refusal(*args)
    assert all(word in line for word in words), line


@pytest.mark.parametrize("endpoint", ["http://localhost:8088", "https://dataflow.googleapis.com"])
def test_dataflow_options_that_are_good_pass_at_any_endpoint(lake: GcsServer, package: str, endpoint: str) -> None:
    args = [
        "--worker_zone=us-central1-a",
        "--num_workers=2",
        "--max_num_workers=2",
        "--worker_machine_type=n2-standard-4",
    ]
    labels = ["--labels=team=lab_1", "--labels=größe=klein", "--labels={'cost-center': '7'}", "--labels=alone"]
    options = beam_options([*DATAFLOW, package, "--job_name=a-1", *args, *labels, f"--dataflow_endpoint={endpoint}"])
    before = options.get_all_options()
    preflight(options, places_of(places(IN, OUT)), people_of(places(IN, OUT)))
    assert options.get_all_options() == before


@pytest.mark.parametrize(
    "option", ["s3_secret_access_key", "s3_access_key_id", "s3_session_token", "azure_connection_string"]
)
@pytest.mark.parametrize("runner", [[], DATAFLOW])
def test_a_secret_in_an_option_is_refused_and_not_repeated(option: str, runner: list[str]) -> None:
    line = refusal(*runner, f"--{option}={SECRET}")
    assert f"--{option}" in line
    assert SECRET not in line


def test_an_unknown_option_is_named_without_its_value() -> None:
    with pytest.raises(LaunchError, match="--s3_secret;") as caught:
        beam_options([f"--s3_secret={SECRET}"])
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("runner", "name", "streams"),
    [
        ("direct", "DirectRunner", False),
        ("directrunner", "DirectRunner", False),
        ("apache_beam.runners.direct.direct_runner.DirectRunner", "DirectRunner", False),
        ("prism", "PrismRunner", True),
        ("dataflow", "DataflowRunner", True),
    ],
)
def test_a_runner_is_known_by_any_name_that_beam_takes(runner: str, name: str, streams: bool) -> None:
    options = beam_options([f"--runner={runner}"])
    assert resolve_runner(options)[1].startswith(name)
    assert can_stream(options) is streams
    assert is_cloud(options) is (name == "DataflowRunner")


# -------------------------------------------------------------------------------------------------------- places


@pytest.mark.parametrize("option", ["--input", "--output"])
def test_a_folder_of_this_machine_is_no_place_for_dataflow(tmp_path: Path, option: str) -> None:
    line = refusal(*DATAFLOW, **{"input_" if option == "--input" else "output": str(tmp_path)})
    assert line.startswith(f"{option} {tmp_path}:")
    assert "gs://" in line


@pytest.mark.parametrize(
    ("option", "changes", "args"),
    [
        ("--input", {"input_": "gs://nowhere/in"}, []),
        ("--output", {"output": "gs://nowhere/out"}, []),
        ("--temp_location", {}, ["--temp_location=gs://nowhere/tmp"]),
        ("--staging_location", {}, ["--staging_location=gs://nowhere/staging"]),
    ],
)
def test_a_bucket_that_is_not_there_is_told_from_an_empty_one(
    lake: GcsServer, package: str, option: str, changes: dict[str, str], args: list[str]
) -> None:
    line = refusal(*DATAFLOW, package, *args, **changes)
    assert line.startswith(f"{option} gs://nowhere/")
    assert "no such bucket (404)" in line


@pytest.mark.parametrize(
    ("option", "match", "role"),
    [
        ("--input", r"GET .*/b/lake/o\?.*prefix=in", "storage.objectUser"),
        ("--output", r"GET .*/b/lake/o\?.*prefix=out", "storage.objectUser"),
        ("--output", r"POST .*uploadType=resumable", "storage.objectUser"),
        ("--temp_location", r"GET .*/b/lake/o\?.*prefix=tmp", "storage.objectUser"),
        ("--temp_location", r"GET /storage/v1/b/lake(\?.*)?$", "storage.bucketViewer"),
    ],
)
@pytest.mark.parametrize("status", [401, 403])
def test_a_place_without_permission_names_its_option_and_the_role(
    lake: GcsServer, package: str, option: str, match: str, role: str, status: int
) -> None:
    before = lake.objects("lake")
    fault = lake.faults.add(Fault(match, "status", status=status, times=100))
    line = refusal(*DATAFLOW, package)
    assert fault.fired
    assert line.startswith(f"{option} gs://lake/")
    assert (role if status == 403 else "gcloud auth application-default login") in line
    assert str(status) in line
    assert lake.objects("lake") == before


def test_an_upload_that_was_begun_to_see_whether_it_may_be_is_dropped(gcs: GcsServer) -> None:
    open_store(OUT).check_access(writes=True)
    begun, dropped = gcs.requests.find("POST .*uploadType=resumable"), gcs.requests.find("DELETE .*upload_id")
    assert len(begun) == len(dropped) == 1
    assert dropped[0].status == 499
    assert not gcs.objects("lake")


def test_an_output_in_a_folder_of_others_is_refused_at_once(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may write everywhere, so the answer of the system is played."""
    monkeypatch.setattr("os.access", lambda path, mode: not (Path(path) == tmp_path and mode & os.W_OK))
    line = refusal(input_=str(people), output=str(tmp_path / "deep" / "out"))
    assert line.startswith(f"--output {tmp_path}")
    assert "no permission" in line


@pytest.mark.parametrize("engine", ["flink", "spark"])
def test_a_job_server_that_cannot_be_fetched_is_one_line(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    def away(*_: object, **__: object) -> None:
        raise URLError("no way out")

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("apache_beam.utils.subprocess_server.urlopen", away)
    monkeypatch.setattr("apache_beam.utils.subprocess_server.JavaJarServer.JAR_CACHE", str(tmp_path / "jars"))
    line = one_line([*run_args(str(people), str(tmp_path / "out")), f"--runner={engine.title()}Runner"])
    assert f"--{engine}_job_server_jar" in line
    assert not (tmp_path / "out").exists()


def test_an_output_below_a_file_is_refused_at_once(people: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    line = refusal(input_=str(people), output=str(tmp_path / "file" / "out"))
    assert line == f"--output {tmp_path}/file/out: {tmp_path}/file is a file, not a folder; choose another place"


def test_a_login_that_has_ended_is_one_line(lake: GcsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RefreshError("invalid_grant: Bad Request")

    monkeypatch.setattr("google.cloud.storage.bucket.Bucket.list_blobs", refuse)
    assert "gcloud auth application-default login" in refusal()


# ---------------------------------------------------------------------------------------------------- the package


def test_workers_without_a_package_are_refused(lake: GcsServer) -> None:
    line = refusal(*DATAFLOW)
    assert "--setup_file=./setup.py" in line
    assert "DataflowRunner" in line


@pytest.mark.parametrize(
    ("args", "is_refused"),
    [
        ([*PORTABLE, "--job_endpoint=embed"], True),
        ([*PORTABLE, "--environment_type=DOCKER"], True),
        (["--runner=FlinkRunner", "--environment_type=DOCKER"], True),
        ([*PORTABLE, "--environment_type=DOCKER", "--environment_config=registry/taskreel"], False),
        ([*PORTABLE, "--environment_type=LOOPBACK"], False),
        (["--runner=FlinkRunner"], False),
        (["--runner=PrismRunner", "--environment_type=LOOPBACK"], False),
        ([*DATAFLOW, "--sdk_container_image=registry/taskreel"], False),
        ([*DATAFLOW, "--prebuild_sdk_container_engine=cloud_build"], True),
        ([], False),
    ],
)
def test_a_package_is_needed_where_workers_begin_with_beams_image(args: list[str], is_refused: bool) -> None:
    if not is_refused:
        return check_package(beam_options(args))
    with pytest.raises(LaunchError, match=r"--setup_file=\./setup\.py"):
        check_package(beam_options(args))


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--setup_file={}/nowhere/setup.py", ["--setup_file", "there is no such file"]),
        ("--setup_file={}/other.py", ["--setup_file", "setup.py"]),
        ("--setup_file=setup.py", ["--setup_file=./setup.py"]),
        ("--extra_package={}/nowhere.tar.gz", ["--extra_package", "there is no such file"]),
        ("--extra_package={}/other.py", ["--extra_package", ".tar.gz"]),
        ("--extra_package={}/bad.tar.gz", ["--extra_package", "build it again"]),
        ("--extra_package={}/bad.whl", ["--extra_package", "build it again"]),
        ("--requirements_file={}/nowhere.txt", ["--requirements_file", "there is no such file"]),
    ],
)
def test_a_package_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, words: list[str]
) -> None:
    for name in ("other.py", "bad.tar.gz", "bad.whl", "setup.py"):
        (tmp_path / name).write_text("pass\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LaunchError) as caught:
        check_package(beam_options([*DATAFLOW, option.format(tmp_path)]))
    assert all(word in str(caught.value) for word in words), caught.value


def test_a_package_that_cannot_be_built_says_the_last_line_of_its_build(tmp_path: Path) -> None:
    (tmp_path / "setup.py").write_text("print('first')\nraise SystemExit('no compiler for this')\n")
    with pytest.raises(LaunchError, match=r"^--setup_file .*/setup.py: .* cannot be built: no compiler for this$"):
        check_package(beam_options([*DATAFLOW, f"--setup_file={tmp_path}/setup.py"]))


def test_a_package_that_can_be_built_passes_and_leaves_the_archive_nowhere(tmp_path: Path) -> None:
    (tmp_path / "setup.py").write_text("from setuptools import setup\nsetup(name='mine', version='1', py_modules=[])\n")
    check_package(beam_options([*DATAFLOW, f"--setup_file={tmp_path}/setup.py"]))
    assert not list(tmp_path.rglob("*.tar.gz"))


# ------------------------------------------------------------------------------------------- regions and consent


@pytest.mark.parametrize(
    ("regions", "cloud_region", "expected"),
    [
        (["us"], "us-central1", True),
        (["US"], "us-west4", True),
        (["eu"], "us-central1", False),
        (["us"], "northamerica-northeast1", False),
        (["ca"], "northamerica-northeast1", True),
        (["us"], "northamerica-south1", False),
        (["eu"], "europe-west1", True),
        (["eu"], "europe-west3", True),
        (["de"], "europe-west3", True),
        (["de"], "europe-west1", False),
        (["eu"], "europe-west2", False),
        (["gb"], "europe-west2", True),
        (["uk"], "europe-west2", True),
        (["eu"], "europe-west6", False),
        (["ch"], "europe-west6", True),
        (["eu", "us"], "us-east1", True),
        ([], "us-central1", False),
        (["eu"], "europe-west99", False),
        (["europe-west99"], "europe-west99", True),
        (["lab 7"], "europe-west1", False),
        (["europe"], "europe-west1", False),
    ],
)
def test_a_record_allows_cloud_regions_within_the_regions_it_names(
    regions: list[str], cloud_region: str, expected: bool
) -> None:
    assert allows(ConsentRecord("c", "p", regions=tuple(regions)), cloud_region) is expected


YESTERDAY, TOMORROW = us_from_iso("2026-01-31T00:00:00Z"), us_from_iso("2026-02-02T00:00:00Z")


@pytest.mark.parametrize(
    ("record", "participants", "is_refused"),
    [
        (ConsentRecord("c-7", "p7", regions=("eu",)), (), True),
        (ConsentRecord("c-7", "p7", regions=("eu",)), ("p7", ANNA), True),
        (ConsentRecord("c-7", "p7", regions=("eu",)), (ANNA,), False),
        (ConsentRecord("c-7", "p7", regions=("eu", "us")), (), False),
        (ConsentRecord("c-7", "p7", regions=("eu",), withdrawn_at_us=YESTERDAY), (), False),
        (ConsentRecord("c-7", "p7", regions=("eu",), withdrawn_at_us=TOMORROW), (), True),
        (ConsentRecord("c-7", "p7", regions=("eu",), valid_until_us=YESTERDAY), (), False),
        (ConsentRecord("c-7", "p7", regions=("eu",), valid_until_us=TOMORROW), (), True),
    ],
)
def test_records_of_those_who_are_chosen_and_still_agree_count(
    lake: GcsServer, package: str, record: ConsentRecord, participants: tuple[str, ...], is_refused: bool
) -> None:
    lake.put("lake", f"in/{record.path}", record.to_json())
    lake.put("lake", "in/consent/v1/broken.json", b"{")
    if is_refused:
        line = refusal(*DATAFLOW, package, participants=participants)
        assert all(word in line for word in ("--region us-central1", "1 consent record", "c-7", "eu", "--participants"))
    else:
        chosen = places(IN, OUT, participants=participants)
        preflight(beam_options([*DATAFLOW, package]), places_of(chosen), people_of(chosen))


def test_a_job_elsewhere_than_everybody_agreed_says_how_many(lake: GcsServer, package: str) -> None:
    line = refusal(*DATAFLOW, package, "--region=europe-west2")
    assert all(word in line for word in ("europe-west2", "gb", "4 consent records", f"c-{min(PEOPLE)}", "us"))


def test_a_runner_of_this_machine_asks_no_records(lake: GcsServer) -> None:
    preflight(beam_options(["--region=europe-west1"]), places_of(places(IN, OUT)), people_of(places(IN, OUT)))
    assert not lake.requests.find("consent")


def test_a_transfer_that_is_allowed_is_made_and_stands_in_the_commit(lake: GcsServer, package: str) -> None:
    allowed = places(IN, OUT, allow_region_transfer=True)
    options = beam_options([*DATAFLOW, package, "--region=europe-west1"])
    preflight(options, places_of(allowed), people_of(allowed))
    launch = Launch("run", None, "DataflowRunner", region=region_of(options))
    job = metadata(allowed, RunOptions(), launch)["job"]
    assert job == {"region": "europe-west1", "allow_region_transfer": True}


def test_a_job_of_this_machine_names_no_region() -> None:
    launch = Launch("run", None, "DirectRunner", region=region_of(beam_options(["--region=europe-west1"])))
    assert "job" not in metadata(places(IN, OUT), RunOptions(), launch)


def test_many_records_are_read_at_once(lake: GcsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(len(PEOPLE), timeout=20)  # breaks if they do not meet
    read = GcsStore.read

    def meet(store: GcsStore, name: str) -> bytes:
        together.wait()
        return read(store, name)

    monkeypatch.setattr(GcsStore, "read", meet)
    check_region("us-central1", People(IN, (), us_from_iso(AS_OF)))


# ------------------------------------------------------------------------------------------------------- endpoints


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port of this machine at which nothing listens, and which nobody else gets meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture
def open_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_job_service_that_does_not_answer_is_refused(people: Path, deaf_port: int) -> None:
    line = refusal(*PORTABLE, f"--job_endpoint=localhost:{deaf_port}", input_=str(people))
    assert line.startswith(f"--job_endpoint localhost:{deaf_port}: nothing answers")


@pytest.mark.parametrize("config", ["localhost:{}", '{{"url": "localhost:{}"}}'])
def test_a_worker_pool_of_this_machine_that_does_not_answer_is_refused(
    people: Path, deaf_port: int, config: str
) -> None:
    pool = ["--environment_type=EXTERNAL", f"--environment_config={config.format(deaf_port)}"]
    line = refusal(*PORTABLE, "--job_endpoint=embed", *pool, input_=str(people))
    assert line.startswith(f"--environment_config localhost:{deaf_port}: nothing answers")


def test_services_that_answer_or_that_only_workers_reach_pass(people: Path, tmp_path: Path, open_port: int) -> None:
    pool = ["--environment_type=EXTERNAL", "--environment_config=pool.invalid:50000"]
    options = beam_options([*PORTABLE, f"--job_endpoint=localhost:{open_port}", *pool])
    chosen = places(people, tmp_path / "out")
    preflight(options, places_of(chosen), people_of(chosen))


# ----------------------------------------------------------------------------------------------- by the commands


def one_line(args: list[str]) -> str:
    """What the command says; it ends with exit code 2."""
    result = CliRunner().invoke(app, args)
    assert result.exit_code == 2, (result.output, result.exception)
    [line] = result.stderr.strip().splitlines()
    assert result.stdout == ""
    return line


@pytest.mark.parametrize("way", [[], ["--incremental"]])
def test_run_refuses_before_anything_is_written(lake: GcsServer, package: str, way: list[str]) -> None:
    before = lake.objects("lake")
    args = [*run_args(IN, OUT), *way, *DATAFLOW, package, "--region=europe-west1"]
    assert "europe-west1" in one_line(args)
    assert lake.objects("lake") == before


def test_a_stream_refuses_before_anything_is_written(lake: GcsServer, package: str) -> None:
    before = lake.objects("lake")
    args = ["run", "--input", IN, "--output", OUT, "--streaming", *DATAFLOW, package, "--region=europe-west1"]
    assert "europe-west1" in one_line(args)
    assert lake.objects("lake") == before


def test_compact_refuses_what_run_refuses(plain: Path, tmp_path: Path) -> None:
    dataset = copy_of(plain, tmp_path / "out")
    assert f"DATASET {dataset}" in one_line(["compact", str(dataset), *DATAFLOW])


def test_a_dataset_that_may_not_be_read_is_said_in_plain_words(lake: GcsServer) -> None:
    lake.faults.add(Fault("(GET|HEAD) .*", "status", status=403, times=1000))
    assert f"{OUT}: no permission (403). Grant" in one_line(["compact", OUT])


def test_compact_asks_the_records_of_the_input(lake: GcsServer, package: str) -> None:
    CliRunner().invoke(app, run_args(IN, OUT))
    before = lake.objects("lake")
    with pytest.raises(LaunchError, match=r"--region europe-west1 .* 4 consent records"):
        compact(OUT, [*DATAFLOW, package, "--region=europe-west1"])
    assert lake.objects("lake") == before


def test_the_process_says_one_line_and_nothing_else(lake: GcsServer) -> None:
    before = lake.objects("lake")
    lake.faults.add(Fault("POST .*uploadType=resumable", "status", status=403, times=100))
    done = command(*run_args(IN, OUT))
    assert done.returncode == 2, done.stderr
    [line] = done.stderr.strip().splitlines()
    assert line.startswith("taskreel: --output gs://lake/out: no permission (403)")
    assert done.stdout == ""
    assert lake.objects("lake") == before


# --------------------------------------------------------------------------------------- what the service says


class _Refusing(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        message = "(1a2b): The workflow could not be created.\nCauses: Unknown\nnetwork."
        body = json.dumps({"error": {"code": 403, "message": message, "status": "PERMISSION_DENIED"}}).encode()
        self.send_response(403)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Nothing on the console."""


@pytest.fixture
def refusing_service() -> Iterator[str]:
    """A Dataflow that refuses each job; its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://localhost:{server.server_address[1]}"
        server.shutdown()


def test_a_job_that_the_service_refuses_is_one_line_with_its_words(
    lake: GcsServer, package: str, refusing_service: str
) -> None:
    done = command(*run_args(IN, OUT), *DATAFLOW, package, f"--dataflow_endpoint={refusing_service}")
    assert done.returncode == 2, done.stderr
    [line] = done.stderr.strip().splitlines()
    assert "Dataflow refuses the job (403)" in line
    assert "The workflow could not be created. Causes: Unknown network." in line
    assert not [name for name in lake.objects("lake") if name.startswith("out/")]
    assert commit_of(open_store(OUT)) is None
