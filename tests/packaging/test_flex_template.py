"""The flex template: what its form asks for is what `taskreel run` takes, and what builds it asks for what it needs."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.cloud.dataflow_v1beta3.types import TemplateMetadata
from typer.testing import CliRunner

import taskreel.__main__
from taskreel.rehearsal.gcs.server import GcsServer
from taskreel.template import run_arguments, run_options

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "dataflow"
PARAMETERS: list[dict[str, Any]] = json.loads((FOLDER / "metadata.json").read_text())["parameters"]
NAMES = [parameter["name"] for parameter in PARAMETERS]
FALSE_EXAMPLES = {
    "input": ["lake/people", "gs://", "/lake"],
    "as_of": ["yesterday"],
    "final": ["yes", "True "],
    "lateness_h": ["2d", "-1"],
    "participants": ["p 1", "p1,"],
    "publish_deadline": ["15 minutes"],
    "rule": ["drag_px", "drag_px=1,,a=2"],
    "split_percent": ["90,10"],
}


SEGMENT = "r1_0_99_1767603600000_1767603660000_0123456789ab.parquet"
SECRET = "of-the-environment-alone"
NEEDING = ("final", "lateness_h", "publish_deadline", "rescan", "retry_dead")
NEEDS_MORE = {"incremental": "true"}


def example(parameter: dict[str, Any]) -> str:
    return str(parameter["helpText"].rpartition(" Example: ")[2])


# ------------------------------------------------------------------------------------------------------ metadata


def test_the_metadata_is_of_the_form_that_the_service_takes() -> None:
    said = TemplateMetadata.from_json((FOLDER / "metadata.json").read_text())  # an unknown field is an error
    assert said.name
    assert said.description
    assert (said.streaming, said.supports_at_least_once, said.supports_exactly_once) == (True, False, True)
    assert all(one.name and one.label and one.help_text and one.regexes for one in said.parameters)


def test_each_parameter_is_an_option_of_run_and_each_option_that_run_must_have_is_one() -> None:
    options = run_options()
    assert set(NAMES) <= set(options)
    assert len(set(NAMES)) == len(NAMES)
    asked = {parameter["name"] for parameter in PARAMETERS if not parameter.get("isOptional")}
    assert asked == {name for name, option in options.items() if option.required}


@pytest.mark.parametrize("parameter", PARAMETERS, ids=NAMES)
def test_the_pattern_of_a_parameter_takes_its_example_and_run_takes_it_too(
    parameter: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    [pattern] = parameter["regexes"]
    assert re.fullmatch(pattern, example(parameter))
    assert (pattern[0], pattern[-1]) == ("^", "$")
    assert not re.fullmatch(pattern, "x\ny")
    launched: list[tuple[Any, ...]] = []
    for name in ("_run", "_stream"):
        monkeypatch.setattr(taskreel.__main__, name, lambda *given: launched.append(given))
    monkeypatch.setattr(taskreel.__main__, "_store_time_us", lambda input_: 0)
    least = {"input": "gs://a/b", "output": "gs://a/c"} | (NEEDS_MORE if parameter["name"] in NEEDING else {})
    given = least | {parameter["name"]: example(parameter)}
    done = CliRunner().invoke(taskreel.__main__.app, ["run", *run_arguments([f"--{k}={v}" for k, v in given.items()])])
    assert done.exit_code == 0, done.stderr
    [(*_, for_beam, _)] = launched
    assert for_beam == []


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, some in FALSE_EXAMPLES.items() for value in some])
def test_the_pattern_of_a_parameter_refuses_what_run_would_refuse(name: str, value: str) -> None:
    [parameter] = [one for one in PARAMETERS if one["name"] == name]
    assert not re.fullmatch(parameter["regexes"][0], value)


# ------------------------------------------------------------------------------------------------- the parameters


def test_parameters_become_the_options_of_run() -> None:
    given = ["--input=gs://a/b", "--as_of=2026-01-01", "--incremental=true", "--final=false", "--rule=drag_px=1, a=2"]
    beams = ["--runner=DataflowRunner", "--job_name=x=y", "--save_main_session", "--labels={}"]
    assert run_arguments([*beams, *given]) == [
        *beams,
        "--input=gs://a/b",
        "--as-of=2026-01-01",
        "--incremental",
        "--rule=drag_px=1",
        "--rule=a=2",
    ]


def test_a_field_of_a_form_that_is_left_empty_is_not_given() -> None:
    assert run_arguments(["--as_of=", "--incremental=", "--rule=", "--participants="]) == []


def test_a_flag_that_is_given_as_one_is_kept() -> None:
    assert run_arguments(["--streaming", "--streaming=True"]) == ["--streaming", "--streaming"]


def test_a_flag_that_is_neither_true_nor_false_is_refused() -> None:
    with pytest.raises(ValueError, match="the parameter final is ja: true or false is expected"):
        run_arguments(["--final=ja"])


def test_workers_get_the_image_of_the_launcher_unless_another_is_named() -> None:
    assert run_arguments([], "registry/name:1") == ["--sdk_container_image=registry/name:1"]
    assert run_arguments(["--sdk_container_image=o:2"], "registry/name:1") == ["--sdk_container_image=o:2"]


@pytest.mark.parametrize("way", [["--incremental=true", "--final=true"], ["--streaming=true", "--final=false"]])
def test_the_launcher_describes_a_job_and_does_not_wait_for_it(gcs: GcsServer, tmp_path: Path, way: list[str]) -> None:
    """The real DataflowRunner, as the launcher of a template calls it: the service submits what it describes."""
    gcs.put("lake", "in/segments/v1/day=2026-01-05/participant=p1/" + SEGMENT, b"")
    template = [
        "--runner=DataflowRunner",
        "--project=test-project",
        "--region=europe-west1",
        "--temp_location=gs://lake/tmp",
    ]
    template += ["--template_location=gs://lake/launches/1/job_object", "--job_name=taskreel", "--no_auth"]
    parameters = ["--input=gs://lake/in", "--output=gs://lake/out", *way, "--as_of="]
    done = subprocess.run(
        [sys.executable, FOLDER / "main.py", *template, *parameters],
        env=os.environ | {"TASKREEL_IMAGE": "registry/name:1", "TASKREEL_TOKEN": SECRET},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, "nothing runs until" in done.stderr) == (0, True), done.stderr
    job = json.loads(gcs.objects("lake")["launches/1/job_object"].data)
    [pool] = job["environment"]["workerPools"]
    assert {one["containerImage"] for one in pool["sdkHarnessContainerImages"]} == {"registry/name:1"}
    assert (job["type"] == "JOB_TYPE_STREAMING") == ("--streaming=true" in way)
    key = json.loads(Path(os.environ["GOOGLE_APPLICATION_CREDENTIALS"]).read_text())
    secrets = [SECRET, *(str(key[name]) for name in key if name in ("token", "refresh_token", "client_secret"))]
    staged = [bytes(found.data) for found in gcs.objects("lake").values()]
    assert [secret for secret in secrets for data in staged if secret.encode() in data] == []


def test_the_launcher_ends_with_a_clear_line_for_a_bad_parameter() -> None:
    command = [sys.executable, FOLDER / "main.py", "--input=a", "--output=b", "--final=ja"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (
        2,
        "taskreel: the parameter final is ja: true or false is expected\n",
    )


# ----------------------------------------------------------------------------------------------- building of it


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A docker and a gcloud that note how they are called."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("docker", "gcloud"):
        tool = folder / name
        tool.write_text(f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/calls\n')
        tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    return folder


GIVEN = {"IMAGE": "registry/name:1", "TEMPLATE": "gs://lake/taskreel.json"}


def make(checkout: Path, tools: Path | None, **given: str) -> subprocess.CompletedProcess[str]:
    """`make flex-template` with these tools, or none."""
    bare = tools.parent / "bare" if tools else checkout.parent / "bare"
    bare.mkdir(exist_ok=True)
    for name in ("sh", "make", "rm", "mkdir", "mv", "cp", "ls"):
        (bare / name).unlink(missing_ok=True)
        (bare / name).symlink_to(str(shutil.which(name)))
    variables = [f"{name}={value}" for name, value in given.items()]
    return subprocess.run(
        ["make", "flex-template", f"VENV={Path(sys.executable).parents[1]}", *variables],
        cwd=checkout,
        env={"PATH": f"{tools}:{bare}" if tools else str(bare)},
        capture_output=True,
        text=True,
    )


def test_the_image_is_built_and_pushed_and_then_the_template_is_written(checkout: Path, tools: Path) -> None:
    done = make(checkout, tools, **GIVEN)
    assert done.returncode == 0, done.stderr
    calls = (tools.parent / "calls").read_text().splitlines()
    assert [call.split()[:2] for call in calls] == [
        ["docker", "version"],
        ["docker", "build"],
        ["docker", "push"],
        ["gcloud", "dataflow"],
    ]
    assert "--build-arg IMAGE=registry/name:1 --tag registry/name:1 build/image" in calls[1]
    assert calls[3].startswith("gcloud dataflow flex-template build gs://lake/taskreel.json --image registry/name:1")


def test_what_the_image_copies_is_in_the_folder_that_it_is_built_in_and_nothing_else_is(
    checkout: Path, tools: Path
) -> None:
    assert make(checkout, tools, **GIVEN).returncode == 0
    recipe = (FOLDER / "Dockerfile").read_text()
    copied = {name for line in re.findall(r"^COPY (?!--from)(.+)$", recipe, re.MULTILINE) for name in line.split()[:-1]}
    assert {path.name for path in (checkout / "build" / "image").iterdir()} == copied


def test_the_image_has_the_beam_and_the_python_of_the_package() -> None:
    recipe = (FOLDER / "Dockerfile").read_text()
    [beam] = re.findall(r"^apache-beam==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert f"ARG BEAM={beam}\n" in recipe
    assert "ARG PYTHON=3.11\n" in recipe
    assert "python311-template-launcher-base" in recipe


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, ["IMAGE=''", "TEMPLATE=''"]),
        (GIVEN | {"IMAGE": "registry/name"}, ["the tag is missing"]),
        (GIVEN | {"IMAGE": "registry:5000/name"}, ["the tag is missing"]),
        (GIVEN | {"IMAGE": "registry/name:latest"}, ["a tag of its own is needed"]),
        (GIVEN | {"TEMPLATE": "taskreel.json"}, ["TEMPLATE='taskreel.json'"]),
    ],
)
def test_what_is_not_given_is_said_before_anything_is_done(
    checkout: Path, tools: Path, given: dict[str, str], said: list[str]
) -> None:
    done = make(checkout, tools, **given)
    assert done.returncode != 0
    assert [text for text in said if text not in done.stderr] == []
    calls = tools.parent / "calls"
    assert not calls.exists() or calls.read_text() == "docker version\n"


def test_tools_that_are_not_there_are_named_before_anything_is_done(checkout: Path, tools: Path) -> None:
    shutil.rmtree(checkout / "build", ignore_errors=True)
    done = make(checkout, None, **GIVEN)
    assert done.returncode != 0
    assert "docker is not there" in done.stderr
    assert "gcloud is not there" in done.stderr
    (tools / "docker").write_text("#!/bin/sh\nexit 1\n")
    assert "its daemon does not answer" in make(checkout, tools, **GIVEN).stderr
    assert not (checkout / "build").exists()
