"""docs/operations.md: its commands are taken by the command line, and what it alerts on is told."""

from __future__ import annotations

import re
import shlex
from argparse import ArgumentError, ArgumentParser
from pathlib import Path
from typing import Any

import pytest
import typer.main
from apache_beam.options.pipeline_options import PipelineOptions
from typer.testing import CliRunner

import taskreel.__main__
from taskreel.pipelines.launch import beam_options
from taskreel.pipelines.runners import can_stream
from taskreel.template import run_arguments
from taskreel.transforms.metrics import COUNTERS, DISTRIBUTIONS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
BLOCKS = "\n".join(re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)).replace("\\\n", " ")
RUNS = [line for line in BLOCKS.splitlines() if line.startswith("taskreel run")]
OF_DATAFLOW = PAGE.partition("## On Dataflow")[2].partition("\n## On Flink")[0]


def section(title: str) -> str:
    return PAGE.partition(f"### {title}\n")[2].partition("\n#")[0]


def options_of_beam() -> set[str]:
    parser = ArgumentParser(add_help=False)
    for options in PipelineOptions.__subclasses__():
        try:
            options._add_argparse_args(parser)
        except (ArgumentError, AttributeError):
            continue
    return set(parser._option_string_actions)


@pytest.mark.parametrize("line", RUNS, ids=range(len(RUNS)))
def test_the_commands_of_the_page_are_taken(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    launched: list[tuple[Any, ...]] = []
    for name in ("_run", "_stream"):
        monkeypatch.setattr(taskreel.__main__, name, lambda *given: launched.append(given))
    monkeypatch.setattr(taskreel.__main__, "_store_time_us", lambda input_: 0)
    done = CliRunner().invoke(taskreel.__main__.app, shlex.split(line)[1:])
    assert done.exit_code == 0, done.stderr
    [(*_, for_beam, _)] = launched
    options = beam_options(for_beam)
    assert can_stream(options) or "--streaming" not in line


def test_the_page_has_a_command_for_each_way() -> None:
    ways = ("--setup_file=./setup.py", "--sdk_container_image", "--streaming", "FlinkRunner", "SparkRunner", "EXTERNAL")
    assert [way for way in ways if not any(way in line for line in RUNS)] == []


def test_the_parameters_of_the_template_on_the_page_are_options_of_run() -> None:
    [given] = re.findall(r"--parameters=(input.*)$", BLOCKS, re.MULTILINE)
    arguments = run_arguments([f"--{one}" for one in given.split(",")])
    assert arguments == ["--input=gs://lake/people", "--output=gs://lake/dataset", "--incremental"]


def test_every_option_that_is_spoken_of_for_dataflow_exists() -> None:
    own = {name for one in typer.main.get_command(taskreel.__main__.app).commands.values() for name in _names(one)}
    prose = re.sub(r"^```.*?^```", "", OF_DATAFLOW, flags=re.MULTILINE | re.DOTALL)
    spoken = set(re.findall(r"`(--[a-z_-]+)", prose)) - {"--parameters"}  # gcloud's
    assert len(spoken) > 20
    assert spoken - own - options_of_beam() == set()


def _names(command: Any) -> list[str]:
    return [name for parameter in command.params for name in getattr(parameter, "opts", ())]


def test_alerts_are_on_metrics_that_are_told() -> None:
    named = re.findall(r"`([a-z_]+?)(?:_(?:COUNT|MIN|MAX|MEAN))?`", section("What to alert on"))
    assert len(named) > 10
    assert set(named) <= {*COUNTERS, *DISTRIBUTIONS}
