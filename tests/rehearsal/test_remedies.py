"""A traceback becomes one line with what to do."""

from __future__ import annotations

import pytest

from taskreel.rehearsal.remedies import explained

TRACEBACK = 'Traceback (most recent call last):\n  File "steps.py", line 3, in process\n    {line}\n{error}\n\nnote'


@pytest.mark.parametrize(
    ("line", "error", "words"),
    [
        ("import words", "ModuleNotFoundError: No module named 'words'", "install_requires"),
        ("x", "NameError: name 'LEVEL' is not defined", "LEVEL is set in the main program"),
        ("x", "AttributeError: Can't get attribute 'Work' on <module '__main__' (built-in)>", "Work is in the main"),
        ('os.environ["OFFICE"]', "KeyError: 'OFFICE'", "OFFICE is set where the job is launched"),
        ("x", "TypeError: cannot pickle 'generator' object", "holds a generator"),
        ("x", "google.auth.exceptions.DefaultCredentialsError: none", "gcloud auth"),
    ],
)
def test_what_is_known_has_a_remedy(line: str, error: str, words: str) -> None:
    said = explained(TRACEBACK.format(line=line, error=error))
    assert words in said
    assert error in said
    assert "\n" not in said


def test_a_key_that_is_missing_elsewhere_is_no_variable() -> None:
    said = explained(TRACEBACK.format(line='row["OFFICE"]', error="KeyError: 'OFFICE'"))
    assert said == "KeyError: 'OFFICE'"


def test_what_a_launcher_lacks_is_not_said_of_workers() -> None:
    for error in ("ModuleNotFoundError: No module named 'words'", "NameError: name 'LEVEL' is not defined"):
        assert explained(TRACEBACK.format(line="x", error=error), at_launch=True) == error
    lock = TRACEBACK.format(line="x", error="TypeError: cannot pickle 'generator' object")
    assert "holds a generator" in explained(lock, at_launch=True)


def test_a_package_is_to_blame_only_for_its_build() -> None:
    build = "subprocess.CalledProcessError: Command '['python', 'setup.py', 'sdist']' returned non-zero exit status 1."
    assert "cannot be built" in explained(TRACEBACK.format(line="x", error=f"RuntimeError: Full trace: {build}"))
    said = "taskreel: --setup_file ./setup.py: there is no such file"
    assert explained(said) == said


def test_a_panic_of_prism_is_its_first_line() -> None:
    assert explained("panic in stage.Execute: EOF\n\ngoroutine 7 [running]:\n\tstage.go:78") == (
        "panic in stage.Execute: EOF"
    )


def test_what_is_not_known_is_said_as_it_is_but_not_at_length() -> None:
    assert explained("taskreel: --input x: there is no folder x\n") == "taskreel: --input x: there is no folder x"
    assert explained("") == "nothing was said"
    assert len(explained("ValueError: " + "x" * 5000)) < 300


def test_a_line_of_taskreel_that_names_an_option_stands_for_itself() -> None:
    line = "taskreel: --setup_file setup.py: Beam needs its folder, too; give --setup_file=./setup.py"
    assert explained(f"{line}\n") == line


def test_what_a_command_line_says_in_a_frame_is_a_line() -> None:
    lines = ("Usage: taskreel run", "╭─ Error ──╮", "│ Option '--final' does not │", "│ take a value. │", "╰────╯")
    assert explained("\n".join(lines)) == "Option '--final' does not take a value."
