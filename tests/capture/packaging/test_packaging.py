"""What an administrator installs: each service can do only its own work, says what it is, and calls what exists."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest
import typer.main

from taskreel.__main__ import app
from taskreel.capture.sources.evdev.access import GROUP

PACKAGING = Path(__file__).parents[3] / "capture" / "packaging"
SYSTEM = ("taskreel-reader.service", "taskreel-uploader.service")
USER = ("taskreel-capture.service", "taskreel-publish.service")
SPOOL = "/var/lib/taskreel"

ALWAYS = {
    "NoNewPrivileges": "yes",
    "RestrictSUIDSGID": "yes",
    "RestrictNamespaces": "yes",
    "RestrictRealtime": "yes",
    "LockPersonality": "yes",
    "MemoryDenyWriteExecute": "yes",
    "SystemCallArchitectures": "native",
}
SHUT_IN = ALWAYS | {
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "DevicePolicy": "closed",
    "CapabilityBoundingSet": "",
    "AmbientCapabilities": "",
    "ReadWritePaths": SPOOL,
    "UMask": "0007",
    **{f"Protect{what}": "yes" for what in ("Clock", "ControlGroups", "Hostname")},
    **{f"ProtectKernel{what}": "yes" for what in ("Logs", "Modules", "Tunables")},
}


def unit(name: str) -> dict[str, list[str]]:
    """A unit's settings, each with its values in order."""
    settings: dict[str, list[str]] = {}
    for line in (PACKAGING / name).read_text().splitlines():
        if line and not line.startswith(("#", "[")):
            key, _, value = line.partition("=")
            settings.setdefault(key, []).append(value)
    return settings


@pytest.mark.parametrize("name", [*SYSTEM, *USER])
def test_a_unit_is_shut_in(name: str) -> None:
    settings = unit(name)
    for key, value in (SHUT_IN if name in SYSTEM else ALWAYS).items():
        assert settings[key] == [value], key
    assert settings["SystemCallFilter"][0] == "@system-service"
    assert settings["MemoryMax"]


def test_the_reader_has_devices_and_no_network_the_uploader_the_network_and_no_devices() -> None:
    reader, uploader = unit(SYSTEM[0]), unit(SYSTEM[1])
    assert reader["PrivateNetwork"] == ["yes"]
    assert reader["RestrictAddressFamilies"] == ["AF_UNIX"]
    assert reader["DeviceAllow"] == ["char-input r"]
    assert reader["SupplementaryGroups"] == [GROUP]
    assert "PrivateDevices" not in reader
    assert uploader["PrivateDevices"] == ["yes"]
    assert not {"DeviceAllow", "SupplementaryGroups", "PrivateNetwork"} & uploader.keys()
    assert reader["User"] != uploader["User"]
    assert reader["Group"] == uploader["Group"]


@pytest.mark.parametrize("name", [*SYSTEM, *USER])
def test_nothing_runs_hidden(name: str) -> None:
    settings = unit(name)
    described = settings["Description"][0]
    assert described.startswith("taskreel: ")
    assert re.search("record", described)
    if "capture start" in settings["ExecStart"][0]:
        assert any("consent/v1/*.json" in path for path in settings["ConditionPathExistsGlob"])
    if name == SYSTEM[0]:
        assert "wall" in settings["ExecStartPost"][0]


@pytest.mark.parametrize("name", [*SYSTEM, *USER])
def test_the_commands_exist(name: str) -> None:
    words = shlex.split(unit(name)["ExecStart"][0])
    command: click.Command = typer.main.get_command(app)
    while isinstance(command, click.Group) or hasattr(command, "commands"):
        words = words[1:]
        command = command.commands[words[0]]  # type: ignore[union-attr]
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= options


@pytest.mark.parametrize("name", [*SYSTEM, *USER])
def test_variables_are_in_the_file_that_is_to_be_filled_in(name: str) -> None:
    used = set(re.findall(r"\$\{(\w+)\}", unit(name)["ExecStart"][0]))
    files = [PACKAGING / "taskreel-reader.env", PACKAGING / "taskreel-uploader.env"]
    known = {line.partition("=")[0] for file in files for line in file.read_text().splitlines()}
    assert used <= known
    assert not used or unit(name)["EnvironmentFile"]


@pytest.mark.parametrize("name", [*SYSTEM, *USER])
def test_systemd_understands_it(name: str, tmp_path: Path) -> None:
    """Where systemd is installed, it says so itself; everywhere, no setting is misspelled as far as this list knows."""
    text = (PACKAGING / name).read_text()
    assert [line for line in text.splitlines() if line.startswith("[")] == ["[Unit]", "[Service]", "[Install]"]
    if not shutil.which("systemd-analyze"):
        return
    copy = tmp_path / name
    copy.write_text(re.sub(r"(?<=^ExecStart=)\S+", "/bin/true", text, flags=re.M))
    scope = ["--user"] if name in USER else []
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", "--man=no", *scope, str(copy)],
        capture_output=True,
        text=True,
        timeout=60,
        env={"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    complaints = [line for line in done.stderr.splitlines() if name in line]
    assert complaints == []


@pytest.mark.parametrize(("name", "worst"), [(SYSTEM[0], 1.0), (SYSTEM[1], 1.6)])
def test_how_exposed_systemd_takes_it_to_be(name: str, worst: float) -> None:
    """From 0, shut in, to 10. Where systemd is not installed, the settings above are the proof."""
    assert unit(name)["ProtectSystem"] == ["strict"]
    if not shutil.which("systemd-analyze"):
        return
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(PACKAGING / name)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    told = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert told, done.stderr
    assert float(told[1]) <= worst


def rules() -> list[list[tuple[str, str, str]]]:
    """The lines of the udev rule as (key, operator, value)."""
    lines = (PACKAGING / "70-taskreel-input.rules").read_text().splitlines()
    parsed = []
    for line in lines:
        if line and not line.startswith("#"):
            found = re.findall(r'([A-Z]+(?:\{\w+\})?)(==|!=|\+=|=)"([^"]*)"(?:, |$)', line)
            assert "".join(f'{key}{sign}"{value}", ' for key, sign, value in found).removesuffix(", ") == line
            parsed.append(found)
    return parsed


def granted(properties: dict[str, str]) -> str:
    """What the rule does with a device: a very small udev."""
    label, run = "", ""
    for line in rules():
        if label and ("LABEL", "=", label) not in line:
            continue
        label = ""
        matches = [
            (properties.get(re.sub(r"ENV\{(\w+)\}", r"\1", key), ""), sign, value)
            for key, sign, value in line
            if sign in ("==", "!=")
        ]
        if all((_matches(value, pattern)) == (sign == "==") for value, sign, pattern in matches):
            run += "".join(value for key, _, value in line if key == "RUN")
            label = next((value for key, _, value in line if key == "GOTO"), "")
    assert not label, "a GOTO without its LABEL"
    return run


def _matches(value: str, pattern: str) -> bool:
    return value.startswith(pattern[:-1]) if pattern.endswith("*") else value == pattern


DEVICE = {"ACTION": "add", "SUBSYSTEM": "input", "KERNEL": "event3"}


@pytest.mark.parametrize("kind", ["KEY", "KEYBOARD", "MOUSE", "POINTINGSTICK", "TOUCHPAD", "TOUCHSCREEN", "TABLET"])
def test_the_rule_lets_one_group_read_what_a_person_works_with(kind: str) -> None:
    run = granted(DEVICE | {f"ID_INPUT_{kind}": "1"})
    assert run == f"/usr/bin/setfacl --modify group:{GROUP}:r $env{{DEVNAME}}"


@pytest.mark.parametrize(
    "device",
    [
        DEVICE | {"ID_INPUT_JOYSTICK": "1"},
        DEVICE | {"ID_INPUT_ACCELEROMETER": "1"},
        DEVICE | {"ID_INPUT_KEY": "1", "ACTION": "remove"},
        DEVICE | {"ID_INPUT_MOUSE": "1", "KERNEL": "mouse0"},
        DEVICE | {"ID_INPUT_MOUSE": "1", "SUBSYSTEM": "usb"},
    ],
)
def test_and_nothing_else(device: dict[str, str]) -> None:
    assert granted(device) == ""


def test_users_and_the_spool_are_made_as_the_units_name_them(tmp_path: Path) -> None:
    told = [line.split() for line in (PACKAGING / "taskreel-sysusers.conf").read_text().splitlines() if line[:1] != "#"]
    groups = {line[1] for line in told if line[0] == "g"}
    users = {line[1] for line in told if line[0] == "u"}
    members = {(line[1], line[2]) for line in told if line[0] == "m"}
    reader, uploader = unit(SYSTEM[0]), unit(SYSTEM[1])
    assert users == {reader["User"][0], uploader["User"][0]}
    assert {GROUP, reader["Group"][0]} == groups
    assert (reader["User"][0], GROUP) in members
    assert (uploader["User"][0], GROUP) not in members
    spool = [line for line in (PACKAGING / "taskreel-tmpfiles.conf").read_text().splitlines() if line.startswith("d ")]
    assert spool == [f"d {SPOOL} 2770 {reader['User'][0]} {reader['Group'][0]} -"]
    if shutil.which("systemd-sysusers"):
        (tmp_path / "etc").mkdir()
        command = ["systemd-sysusers", f"--root={tmp_path}", str(PACKAGING / "taskreel-sysusers.conf")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        made = {line.split(":")[0] for line in (tmp_path / "etc" / "passwd").read_text().splitlines()}
        assert users <= made, done.stderr


def test_every_file_is_named_for_the_administrator() -> None:
    page = (PACKAGING / "README.md").read_text()
    assert all(f"`{path.name}`" in page for path in PACKAGING.iterdir() if path.name != "README.md")
