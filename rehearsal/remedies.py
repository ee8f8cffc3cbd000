"""What to do about an error with which a launch or a worker ends: one line for a person, from a traceback."""

from __future__ import annotations

import re

_LONGEST_CHARACTERS = 240
_OPTION_SAID = "taskreel: --"
"""So begins a line of taskreel's own that names an option, and says what to do about it."""

_ON_A_WORKER: tuple[tuple[str, str], ...] = (
    (
        r"FileNotFoundError: .*of the launching machine.*?: '(?P<it>[^']+)'",
        "{it} is a file of the launching machine, which no worker has: ship it in the package (package_data), or put "
        "it into the store",
    ),
    (
        r"FileNotFoundError: .*site-packages/(?P<it>[^']+)'",
        "{it} is not in the package that was shipped: name it in package_data of its setup.py (and in MANIFEST.in)",
    ),
    (
        r"ModuleNotFoundError: No module named '(?P<it>[^']+)'",
        "{it} can be imported where the job is launched, and not on a worker: name its package in install_requires of "
        "the setup.py that is shipped, or move the module into that package",
    ),
    (
        r"module '__main__' has no attribute '(?P<it>[^']+)'|Can't get attribute '(?P<also>[^']+)' on <module '__main",
        "{it} is in the main program, which a worker does not run: move it into the package, or hand it over as an "
        "argument",
    ),
    (
        r"NameError: name '(?P<it>[^']+)' is not defined",
        "{it} is set in the main program, which a worker does not run: move it into the package, or import it in the "
        "step",
    ),
    (
        r"os\.environ.*KeyError: '(?P<it>[^']+)'",
        "the variable {it} is set where the job is launched, and not on a worker: read it at launch, and hand its "
        "value over as an option (a secret never: workers read it from Secret Manager)",
    ),
)
"""What a worker lacks, and the launcher has."""

_ANYWHERE: tuple[tuple[str, str], ...] = (
    (
        r"No matching distribution found for (?P<it>[^\s(]+)",
        "{it} is asked for, and no package index has it for the workers' Python: mend install_requires",
    ),
    (
        r"requires a different Python: (?P<it>[^\n]+)",
        "the workers' Python is another than the package allows ({it}): mend python_requires, or launch with that "
        "Python",
    ),
    (
        r"cannot pickle '(?P<it>[^']+)'|(?P<lock>Lock) objects should only be shared between processes",
        "a step holds a {it}, which cannot be sent to a worker: make it in the DoFn's setup(), not in __init__ or "
        "around a function",
    ),
    (
        r"transform with label \"(?P<it>[^\"]+)\" already exists",
        'two steps have the label {it}: give each a label of its own ("Name" >> step)',
    ),
    (
        r"DefaultCredentialsError",
        "there are no credentials: gcloud auth application-default login",
    ),
    (
        r"(?P<it>setup\.py)', 'sdist'",
        "the package of --setup_file cannot be built: try it by hand, `python {it} sdist` in its folder",
    ),
)


def remedy(text: str, *, at_launch: bool = False) -> str:
    """What to do about an error of a worker, or of the launcher; "" if that is not known."""
    for pattern, sentence in _ANYWHERE if at_launch else _ON_A_WORKER + _ANYWHERE:
        found = re.search(pattern, text, re.DOTALL if "environ" in pattern else 0)
        if found:
            names = found.groupdict()
            return sentence.format(it=names.get("it") or names.get("also") or "lock of processes")
    return ""


def last_line(text: str) -> str:
    """The line that says what happened: in Python's traceback the last that is no frame, in Go's the first.

    A command line that is badly used says it in a frame of lines.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if "goroutine " in text:
        return lines[0]
    said = [line for line in lines if re.match(r"(taskreel: |[\w.]*(Error|Exception|Refused)\b)", line)]
    framed = [line.strip("│ ") for line in lines if line.startswith("│")]
    if framed and not said:
        return " ".join(framed)
    return (said or lines or ["nothing was said"])[-1]


def explained(text: str, *, at_launch: bool = False) -> str:
    """An error in one line: what to do about it, where that is known, and what was said."""
    what = shortened(last_line(text))
    do = "" if what.startswith(_OPTION_SAID) else remedy(text, at_launch=at_launch)
    return f"{do} ({what})" if do else what


def shortened(line: str) -> str:
    """A line of a length that a person reads."""
    return line if len(line) <= _LONGEST_CHARACTERS else f"{line[:_LONGEST_CHARACTERS]} …"
