"""The commands of the capture client: `taskreel capture …`."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taskreel.app import BUSY, FAULTS, GOOD, JsonOption, app, duration_s, fail

if TYPE_CHECKING:
    from taskreel.capture.recorder.recorder import Ended
    from taskreel.capture.settings import Settings

capture = typer.Typer(
    name="capture",
    help="Record your own work at this computer, with your consent; see, pause and stop it at any time.",
    no_args_is_help=True,
    epilog="Exit codes: 0 good, 1 faults found, 2 bad use or bad input, 3 busy (a recorder runs already).",
)
app.add_typer(capture)

_UNITS = {"": 1, "k": 1000, "M": 1000**2, "G": 1000**3}
_STOP_PATIENCE_S = 180.0
_SMALLEST_QUOTA = 10_000_000
"""Bytes: the reserve for the end of a recording, and room for a few segments."""
_LONGEST_MARK = 2000
"""Characters: it fits into a request to the recorder, however they are encoded."""


def _default_spool() -> Path:
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "taskreel"


SpoolOption = Annotated[
    Path, typer.Option(help="The folder where recordings lie until they are published.", default_factory=_default_spool)
]


@capture.command(epilog="Example: taskreel capture start --participant p17 --region eu --exclude-app '*signal*'")
def start(
    spool: SpoolOption,
    participant: Annotated[str, typer.Option(help="The pseudonym of a consent record; not needed with one only.")] = "",
    region: Annotated[str, typer.Option(help="Where you are, as the consent record names it, e.g. eu.")] = "",
    sources: Annotated[
        str, typer.Option(help="x11, screens, evdev, with commas; what this session can give, if not named.")
    ] = "",
    pictures: Annotated[bool, typer.Option("--pictures/--no-pictures", help="Whether to take pictures.")] = True,
    pictures_per_s: Annotated[float, typer.Option(help="At most so many pictures a second.", min=0.01, max=60)] = 2.0,
    heartbeat: Annotated[str, typer.Option(help="A picture at least so often while the screen changes.")] = "30s",
    exclude_app: Annotated[
        list[str] | None, typer.Option(help="Never record this program, e.g. '*signal*'; more than once.")
    ] = None,
    exclude_title: Annotated[
        list[str] | None, typer.Option(help="Never record windows with this title, e.g. '*bank*'; more than once.")
    ] = None,
    pause_hotkey: Annotated[str, typer.Option(help="Keys that pause and resume.")] = "ctrl+alt+shift+p",
    input_: Annotated[
        list[str] | None,
        typer.Option("--input", help="A file, pipe, unix:/path or tcp:host:port with struct input_event."),
    ] = None,
    layout: Annotated[str, typer.Option(help="The keyboard layout, where no X server says it, e.g. de.")] = "",
    segment_minutes: Annotated[float, typer.Option(help="Length of a segment.", min=0.05, max=720)] = 5.0,
    quota: Annotated[str, typer.Option(help="What the spool may take on the disk, e.g. 2G.")] = "2G",
    display: Annotated[str, typer.Option(help="The X display, if not $DISPLAY.")] = "",
    json_: JsonOption = False,
) -> None:
    """Record until `taskreel capture stop`, Ctrl-C or SIGTERM. Nothing is recorded without a consent record.

    A line, an icon (where there is a tray) and the file state.json in the spool show that it records. What is sealed
    waits in the spool for `taskreel publish`.
    """
    from taskreel.capture.hotkeys import Chord
    from taskreel.capture.recorder.admission import NotPermittedError, admitted, region_of
    from taskreel.capture.recorder.machine import chosen_sources, plan_for
    from taskreel.capture.recorder.recorder import AlreadyRunningError
    from taskreel.capture.recorder.recording import Identity
    from taskreel.capture.settings import PASSWORD_MANAGERS, PRIVATE_TITLES, Settings
    from taskreel.capture.sources.protocol import SourceUnavailableError

    try:
        settings = Settings(
            spool,
            display=display,
            excluded_apps=(*PASSWORD_MANAGERS, *(exclude_app or ())),
            excluded_titles=(*PRIVATE_TITLES, *(exclude_title or ())),
            pause_hotkey=pause_hotkey,
            has_pictures=pictures,
            pictures_per_s=pictures_per_s,
            heartbeat_s=duration_s("--heartbeat", heartbeat),
            input_streams=tuple(input_ or ()),
            layout=layout,
            segment_minutes=segment_minutes,
            quota_bytes=_quota_bytes(quota),
        )
        chord = Chord.parse(pause_hotkey)
        record = admitted(spool, participant, region)
        names = chosen_sources(settings, [name for name in sources.split(",") if name])
        plan = plan_for(settings, names)
    except (ValueError, NotPermittedError, SourceUnavailableError) as error:
        fail(str(error))
    try:
        identity = Identity(
            record.participant,
            _device(spool),
            record.consent_id,
            record.version,
            region_of(record, region),
            int(-time.timezone // 60 if not time.localtime().tm_isdst else -time.altzone // 60),
        )
        ended = _run(settings, identity, plan, chord)
    except AlreadyRunningError as error:
        fail(str(error), BUSY)
    except SourceUnavailableError as error:
        fail(f"{error}{_no_display(display)}")
    except OSError as error:
        fail(f"{error.filename or f'--spool {spool}'}: {error.strerror or error}")
    _tell_end(spool, ended.to_dict(), json_)
    raise typer.Exit(FAULTS if ended.faults or ended.account.imbalance else GOOD)


def _no_display(display: str) -> str:
    """What to add to why there is no input: a desktop may be there, and nobody said where (over ssh)."""
    is_known = display or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return "" if is_known else ". DISPLAY is not set: to record an X11 desktop, start in its session or use --display"


def _run(settings: Settings, identity: Any, plan: Any, chord: Any) -> Ended:
    """Record, with everything that watches and shows it."""
    from taskreel.capture.indicators import Indicators
    from taskreel.capture.recorder.desk import Desk
    from taskreel.capture.recorder.recorder import Recorder
    from taskreel.capture.watchers import Watchers

    watchers = Watchers(settings)
    desk = Desk(settings, identity, watchers.session)
    recorder = Recorder(settings, identity, plan, desk.conditions(watchers.start()), desk.show, _hotkey(chord))
    if unseen := _unseen(watchers.absent):
        print(
            f"taskreel: this machine does not tell of {' and '.join(unseen)}: what you type there may be recorded "
            "(`taskreel capture doctor` says why)",
            file=sys.stderr,
        )
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: recorder.stop())
    desk.indicators = Indicators(settings, recorder.toggle_pause)
    try:
        return recorder.run()
    finally:
        desk.indicators.close()
        watchers.stop()


def _unseen(absent: Mapping[str, str]) -> list[str]:
    """What the notice promises to leave out, and no watcher tells of: `absent` has the watchers that see nothing."""
    watchers = {"password fields": {"passwords"}, "a locked screen": {"logind", "screen locker"}}
    return [what for what, names in watchers.items() if names <= absent.keys() or "buses" in absent]


def _hotkey(chord: Any) -> Any:
    def find(event: Any) -> tuple[bool, list[Any]]:
        state = chord.feed(event)
        return state.is_complete, [*state.earlier, *([event] if state.is_part or state.is_complete else [])]

    return find


@capture.command(epilog="Example: taskreel capture status --json")
def status(spool: SpoolOption, json_: JsonOption = False) -> None:
    """Say what the recorder does, what it has kept and what it has not. Exit code 1 if none runs."""
    answer = _ask(spool, "status", is_json=json_)
    if json_:
        print(json.dumps(answer, sort_keys=True))
        return
    account = answer["account"]
    print(f"{answer['state']}: {answer['participant']}, under consent {answer['consent_id']} (process {answer['pid']})")
    print(f"  {account['journaled']:,} events kept, {sum(account['withheld'].values()):,} withheld{_reasons(account)}")
    print(f"  {answer['segments']} segments sealed, {answer['unsealed']} to be sealed")
    for fault in answer["faults"]:
        print(f"  {fault}")


@capture.command(epilog="Example: taskreel capture pause")
def pause(spool: SpoolOption, json_: JsonOption = False) -> None:
    """Keep nothing until `taskreel capture resume` (or the hotkey, or a click on the icon)."""
    _tell(_ask(spool, "pause", is_json=json_), json_, lambda answer: answer["state"])


@capture.command(epilog="Example: taskreel capture resume")
def resume(spool: SpoolOption, json_: JsonOption = False) -> None:
    """Record again after a pause."""
    _tell(_ask(spool, "resume", is_json=json_), json_, lambda answer: answer["state"])


@capture.command(
    epilog='Examples: taskreel capture mark "write the report"; taskreel capture mark --end --outcome done'
)
def mark(
    spool: SpoolOption,
    description: Annotated[str, typer.Argument(help="The task that you begin, in your own words.")] = "",
    end: Annotated[bool, typer.Option("--end", help="The task has ended.")] = False,
    outcome: Annotated[str, typer.Option(help="With --end: how it went, e.g. done or failed.")] = "",
    json_: JsonOption = False,
) -> None:
    """Say which task you begin, or that it has ended."""
    if end == bool(description.strip()):
        fail('give a description ("write the report") or --end')
    if max(len(description), len(outcome)) > _LONGEST_MARK:
        fail(f"a mark has at most {_LONGEST_MARK:,} characters")
    if outcome and not end:
        fail(f"--outcome {outcome}: an outcome goes with --end")
    arguments = {"end": True, "outcome": outcome or None} if end else {"description": description}
    _tell(_ask(spool, "mark", is_json=json_, **arguments), json_, lambda answer: "ended" if end else "began")


@capture.command(epilog="Example: taskreel capture stop")
def stop(spool: SpoolOption, json_: JsonOption = False) -> None:
    """Stop recording, wait until all is sealed, and say where every event is."""
    from taskreel.capture.recorder.recorder import ENDED, is_running

    _ask(spool, "stop", is_json=json_)
    until = time.monotonic() + _STOP_PATIENCE_S
    while is_running(spool):
        if time.monotonic() > until:
            fail("the recorder still seals segments; `taskreel capture status` tells how far it is", BUSY)
        time.sleep(0.1)
    try:
        facts = json.loads((spool / ENDED).read_text(encoding="utf-8"))
    except FileNotFoundError:
        fail("the recorder was killed, or could not write its account: the next start seals what it left", FAULTS)
    _tell_end(spool, facts, json_)
    raise typer.Exit(FAULTS if facts["faults"] or facts["account"]["imbalance"] else GOOD)


@capture.command(epilog="Examples: taskreel capture show --last 2m; taskreel capture show --last 1h --pictures seen")
def show(
    spool: SpoolOption,
    last: Annotated[str, typer.Option(help="How far back, e.g. 90s, 10m or 8h.")] = "10m",
    pictures: Annotated[Path | None, typer.Option(help="Also write the pictures of sealed segments here.")] = None,
    json_: JsonOption = False,
) -> None:
    """Show what was recorded: every event, also what is still to be sealed. Exit code 1 if there is nothing.

    With --json a line an event, as it will be published.
    """
    from taskreel.capture.showing import recorded, save_pictures, sentences

    try:
        since_us = time.time_ns() // 1000 - round(duration_s("--last", last) * 1_000_000)
        rows = recorded(spool, since_us)
        count = save_pictures(spool, since_us, pictures) if pictures else 0
    except (ValueError, OSError) as error:  # also of a damaged segment
        fail(str(error))
    for line in (json.dumps(row, sort_keys=True) for row in rows) if json_ else sentences(rows):
        print(line)
    if pictures:
        print(f"{count} pictures in {pictures}", file=sys.stderr)
    if not rows:
        print(f"taskreel: --spool {spool}: nothing was recorded in the last {last}", file=sys.stderr)
    raise typer.Exit(GOOD if rows else FAULTS)


@capture.command(epilog="Example: taskreel capture consent --participant p17 --region eu --purpose coding --days 90")
def consent(
    spool: SpoolOption,
    participant: Annotated[str, typer.Option(help="Your pseudonym: lower-case letters and digits, e.g. p17.")],
    region: Annotated[str, typer.Option(help="Where you are recorded, e.g. eu.")],
    purpose: Annotated[list[str] | None, typer.Option(help="What it may be used for; more than once.")] = None,
    days: Annotated[int, typer.Option(help="For how long it holds.", min=1, max=36_500)] = 365,
    yes: Annotated[bool, typer.Option("--yes", help="You have read the notice and agree; do not ask.")] = False,
) -> None:
    """Sign off that you may be recorded: shows what is recorded, asks, and writes the record into the spool."""
    from taskreel.capture.spool import Spool
    from taskreel.io.consent import ConsentRecord
    from taskreel.io.names import SegmentName, SegmentNameError

    try:
        SegmentName(participant, "r", 0, 0, 0, 0, "0")
    except SegmentNameError as error:
        fail(f"--participant {participant}: {error}")
    if not region.strip():
        fail("--region: where you are recorded is expected, e.g. eu")
    print(NOTICE, file=sys.stderr)
    if not yes and not typer.confirm("Do you agree to be recorded?", err=True):
        fail("nothing was written", FAULTS)
    now_us = time.time_ns() // 1000
    record = ConsentRecord(
        f"{participant}-{now_us // 1_000_000}",
        participant,
        purposes=tuple(purpose or ("general_assistance",)),
        regions=(region,),
        valid_from_us=now_us,
        valid_until_us=now_us + days * 86_400_000_000,
        notice=NOTICE,
    )
    try:
        print(Spool(spool).open().keep_consent(record))
    except OSError as error:
        fail(f"--spool {spool}: the record cannot be written: {error.strerror}")


@capture.command(epilog="Example: taskreel capture withdraw")
def withdraw(
    spool: SpoolOption,
    participant: Annotated[str, typer.Option(help="Whose consent, if the spool has records of several people.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Withdraw your consent, for all that was recorded under it: nothing more is recorded, sent or used.

    A recorder stops within a second. What waits to be sent is not sent any more; `taskreel publish` tells the store,
    and the next full run leaves out what it has. Files that are in the store already have to be deleted there.
    """
    from dataclasses import replace

    from taskreel.capture.recorder.admission import NotPermittedError, consent_records
    from taskreel.capture.spool import Spool

    try:
        records = consent_records(spool)
    except NotPermittedError as error:
        fail(str(error))
    mine = [one for one in records if one.withdrawn_at_us is None and participant in ("", one.participant)]
    people = sorted({one.participant for one in mine})
    if not mine:
        fail(f"{spool}: there is no consent to withdraw{f' of {participant}' if participant else ''}", FAULTS)
    if len(people) > 1:
        fail(f"there are consent records of {len(people)} people: name one by --participant")
    if not yes and not typer.confirm(f"Withdraw the consent of {people[0]} ({len(mine)} records)?", err=True):
        fail("nothing was changed", FAULTS)
    for one in mine:
        print(Spool(spool).open().keep_consent(replace(one, withdrawn_at_us=time.time_ns() // 1000)))
    print("Withdrawn. Now run `taskreel publish`, so that the store is told, too.", file=sys.stderr)


NOTICE = (
    "taskreel records, while its line or icon shows it: the keys that you press and what they write, the pointer, the "
    "windows that you use with their titles, and pictures of the screen. Nothing is kept while the screen is locked. "
    "Under X11 no keys are kept while a password field that says so has the focus or a program has the keyboard for "
    "itself, and no events and no pixels of the programs and private windows that are excluded. Not every program says "
    "what it is: `taskreel capture doctor` tells what can be known here. You can pause it (the hotkey, a click on the "
    "icon, `taskreel capture pause`), stop it, delete what is in the spool before it is published, and withdraw your "
    "consent at any time (`taskreel capture withdraw`)."
)


@capture.command(epilog="Example: taskreel capture doctor")
def doctor(
    spool: SpoolOption,
    display: Annotated[str, typer.Option(help="The X display, if not $DISPLAY.")] = "",
    json_: JsonOption = False,
) -> None:
    """Say what this machine can record, what is missing, and what mends it. Exit code 1 if it cannot record."""
    from taskreel.capture.doctor import examine
    from taskreel.capture.settings import Settings

    report = examine(Settings(spool, display=display))
    if json_:
        print(json.dumps(report.to_dict()))
    else:
        for finding in report.findings:
            print(f"{finding.state:8} {finding.name}: {finding.sentence}")
            if finding.remedy:
                print(f"{'':8}   {finding.remedy}")
        print(report.summary)
    raise typer.Exit(GOOD if report.can_record else FAULTS)


def _ask(spool: Path, command: str, *, is_json: bool = False, **arguments: Any) -> dict[str, Any]:
    from taskreel.capture.recorder.control import NotRunningError, ask

    try:
        answer = ask(spool, command, **arguments)
    except NotRunningError as error:
        if is_json:
            print(json.dumps({"state": "stopped"}))
        fail(str(error), FAULTS)
    except OSError as error:
        fail(f"--spool {spool}: the recorder cannot be asked: {error.strerror}")
    if "error" in answer:
        fail(str(answer["error"]), FAULTS)
    return answer


def _tell(answer: dict[str, Any], is_json: bool, sentence: Any) -> None:
    print(json.dumps(answer, sort_keys=True) if is_json else sentence(answer))


def _tell_end(spool: Path, facts: dict[str, Any], is_json: bool) -> None:
    from taskreel.capture.spool import Spool

    if is_json:
        print(json.dumps(facts, sort_keys=True))
        return
    account = facts["account"]
    sign = "=" if not account["imbalance"] else "≠"
    print(
        f"{account['produced']:,} events came {sign} {account['journaled']:,} kept + {account['in_gaps']:,} in gaps"
        f"{_counts(account['gaps'])} + {sum(account['withheld'].values()):,} withheld{_counts(account['withheld'])}"
    )
    waiting = len(Spool(spool).unsent())
    print(
        f"segments: {facts['segments']} sealed, {waiting} wait to be published "
        f"(`taskreel publish --spool {shlex.quote(str(spool))} --to PLACE`); recording ended: {facts['reason']}"
    )
    for fault in facts["faults"]:
        print(f"taskreel: {fault}", file=sys.stderr)


def _reasons(account: dict[str, Any]) -> str:
    return _counts(account["withheld"])


def _counts(counts: dict[str, int]) -> str:
    return f" ({', '.join(f'{reason} {count:,}' for reason, count in sorted(counts.items()))})" if counts else ""


def _quota_bytes(text: str) -> int:
    number, unit = (text[:-1], text[-1:]) if text[-1:] in _UNITS and text[-1:] else (text, "")
    try:
        size = int(float(number) * _UNITS[unit])
    except (ValueError, OverflowError):
        size = 0
    if size < _SMALLEST_QUOTA:
        raise ValueError(f"--quota {text}: at least 10M are expected, such as 500M or 2G")
    return size


def _device(spool: Path) -> str:
    """This device's id: random, made once, and in no way the machine's name."""
    import secrets

    path = spool / "device"
    if not path.exists():
        spool.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(f"d{secrets.token_hex(4)}\n", encoding="utf-8")
    return path.read_text(encoding="utf-8").strip()
