"""The units that are shipped: hardened, apart from one another, and with commands that exist."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

import taskreel.capture
from taskreel.__main__ import app

FOLDER = Path(taskreel.capture.__file__).parent / "packaging"
SYSTEM_UNITS = ("taskreel-reader.service", "taskreel-uploader.service")


def options(unit: str) -> dict[str, str]:
    lines = (FOLDER / unit).read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


@pytest.mark.parametrize("unit", SYSTEM_UNITS)
def test_a_unit_may_do_no_more_than_it_needs(unit: str) -> None:
    asked = options(unit)
    for name, value in {
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "NoNewPrivileges": "yes",
        "CapabilityBoundingSet": "",
        "SystemCallFilter": "@system-service",
        "DevicePolicy": "closed",
        "User": "taskreel",
    }.items():
        assert asked[name] == value


def test_the_reader_has_devices_and_no_network_and_the_uploader_the_other_way_round() -> None:
    reader, uploader = map(options, SYSTEM_UNITS)
    assert reader["PrivateNetwork"] == "yes"
    assert reader["DeviceAllow"] == "char-input r"
    assert uploader["PrivateDevices"] == "yes"
    assert "DeviceAllow" not in uploader
    assert "PrivateNetwork" not in uploader


@pytest.mark.parametrize("unit", [*SYSTEM_UNITS, "taskreel-capture.service"])
def test_its_command_and_options_exist(unit: str) -> None:
    words = shlex.split(options(unit)["ExecStart"])[1:]
    command = [word for word in words[:2] if not word.startswith("-")]
    shown = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"}).output
    for word in words:
        if word.startswith("--"):
            assert word in shown


@pytest.mark.parametrize("unit", [*SYSTEM_UNITS, "taskreel-capture.service"])
def test_nothing_runs_hidden(unit: str) -> None:
    assert options(unit)["Description"].startswith("taskreel: ")
