"""The parameters of a flex template as the options of `taskreel run`. `dataflow/main.py` starts it.

A template hands each parameter over as `--name=value`, with underscores in names. What is none of `run`'s is Beam's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import typer.main

from taskreel.__main__ import app, main
from taskreel.app import BAD_USE

IMAGE = "TASKREEL_IMAGE"
"""The variable in which an image says its own name: workers get the image that launches them."""
_IMAGE_OPTION = "--sdk_container_image"
_YES_OR_NO = {"true": True, "false": False}


def launch(parameters: list[str]) -> None:
    """Run the pipeline with a template's parameters; ends the process with the exit codes of `taskreel`."""
    try:
        arguments = run_arguments(parameters, os.environ.get(IMAGE, ""))
    except ValueError as error:
        print(f"taskreel: {error}", file=sys.stderr)
        sys.exit(BAD_USE)
    main(["run", *arguments])


def run_arguments(parameters: list[str], image: str = "") -> list[str]:
    """The command line of `taskreel run`; raises `ValueError` that names the parameter.

    An empty value is as if it was not given, which is what a form sends. `image` is for the workers, unless the
    parameters name one.
    """
    options = run_options()
    arguments = [argument for parameter in parameters for argument in _arguments(parameter, options)]
    if image and not any(argument.partition("=")[0] == _IMAGE_OPTION for argument in arguments):
        arguments.append(f"{_IMAGE_OPTION}={image}")
    return arguments


def run_options() -> dict[str, Any]:
    """The options of `taskreel run` by the names that a template uses for them, such as `as_of`."""
    command = typer.main.get_command(app).commands["run"]  # type: ignore[attr-defined]
    return {
        option.opts[0].removeprefix("--").replace("-", "_"): option
        for option in command.params
        if option.opts[0].startswith("--")
    }


def _arguments(parameter: str, options: dict[str, Any]) -> Iterator[str]:
    name, is_given, value = parameter.removeprefix("--").partition("=")
    option = options.get(name.replace("-", "_"))
    if option is None or not is_given:
        yield parameter
        return
    given = option.opts[0]
    if option.is_flag:
        if value and _is_yes(name, value):
            yield given
    elif option.multiple:
        yield from (f"{given}={one.strip()}" for one in value.split(",") if one.strip())
    elif value:
        yield f"{given}={value}"


def _is_yes(name: str, value: str) -> bool:
    try:
        return _YES_OR_NO[value.lower()]
    except KeyError:
        raise ValueError(f"the parameter {name} is {value}: true or false is expected") from None
