"""From a person's hands to a dataset, with real parts: an X server, programs, the recorder, the pipeline."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image
from x_programs import GTK, QT, Program, start_manager
from x_server import Injector, XServer, end, wait_for
from xcffib.xproto import CW, ButtonPressEvent, EventMask

from taskreel.io import dataset as datasets
from taskreel.io.kinds import Kind
from taskreel.io.names import SegmentName
from taskreel.io.segments import read_segment

SHIFT, ENTER = 50, 36
US = {
    name: code
    for first, row in ((10, "1234567890-="), (24, "qwertyuiop[]"), (38, "asdfghjkl;'`"), (51, "\\zxcvbnm,./"))
    for code, name in enumerate(row, first)
} | {" ": 65}


@dataclass
class Desk:
    """A person at work: an X server with a terminal, a GTK and a Qt program, and a recorder that runs."""

    x: XServer
    injector: Injector
    program: Program
    spool: Path
    folder: Path

    def taskreel(self, *arguments: str | Path, code: int = 0) -> str:
        command = [sys.executable, "-m", "taskreel", *map(str, arguments)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=200, check=False, env=self.x.env(), cwd=self.folder
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def capture(self, *arguments: str) -> dict[str, Any]:
        return dict(json.loads(self.taskreel("capture", *arguments, "--spool", self.spool, "--json")))

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "taskreel", "capture", "start", "--spool", str(self.spool), *options]
        process = self.x.start(*command)
        wait_for(lambda: (self.spool / "control.sock").exists(), "the recorder", 60)
        wait_for(lambda: self.capture("status")["state"] == "recording", "recording", 60)
        return process

    def place(self, title: str) -> tuple[int, int, int, int]:
        """Where the window with a title lies: x, y, width, height."""
        words = dict(
            line.strip().split(":", 1)
            for line in self.x.run("xwininfo", "-name", title).splitlines()
            if ":" in line and line.startswith("  ")
        )
        names = ("Absolute upper-left X", "Absolute upper-left Y", "Width", "Height")
        left, top, width, height = (int(words[name]) for name in names)
        return left, top, width, height

    def middle(self, title: str) -> tuple[int, int]:
        left, top, width, height = self.place(title)
        return left + width // 2, top + height // 2

    def click_on(self, title: str) -> None:
        self.injector.move(*self.middle(title))
        self.injector.click()
        pattern = f'"{title}"'
        wait_for(lambda: pattern in self.active(), f"{title} to have the focus")

    def active(self) -> str:
        window = self.x.run("xprop", "-root", "_NET_ACTIVE_WINDOW").rsplit(" ", 1)[-1].strip()
        try:
            return self.x.run("xprop", "-id", window, "WM_NAME", "_NET_WM_NAME")
        except subprocess.CalledProcessError:
            return ""  # none, or it has gone

    def type(self, text: str) -> None:
        for character in text:
            if character.isupper():
                self.injector.tap(SHIFT, US[character.lower()])
            else:
                self.injector.tap(US[character])

    def kept(self) -> int:
        return int(self.capture("status")["account"]["journaled"])

    def layout(self, name: str) -> None:
        self.x.run("setxkbmap", "-layout", name)
        time.sleep(0.3)  # a program that types right after may be ahead of the terminal's own keymap

    def terminal(self, title: str) -> Path:
        got, ready = self.folder / f"{title}.got", self.folder / f"{title}.ready"
        self.x.start(
            *("xterm", "-u8", "-title", title, "-geometry", "60x12+20+40", "-e"),
            *("sh", "-c", f"stty -icanon -echo; echo >{ready}; cat >{got}"),
        )
        wait_for(ready.exists, "a terminal")
        wait_for(lambda: title in self.active(), "a terminal with the focus")
        return got

    def program_in(self, source: str, name: str, title: str) -> None:
        self.x.start("/usr/bin/python3", "-c", source.format(name=name, title=title))
        wait_for(lambda: title in self.active(), title)

    def events(self) -> list[dict[str, Any]]:
        """All that was recorded, in order."""
        tables = []
        for path in sorted((self.spool / "outbox").rglob("*.parquet")):
            name = SegmentName.parse(str(path.relative_to(self.spool / "outbox")))
            tables.append(read_segment(name, path.read_bytes()).events)
        return list(pa.concat_tables(tables).sort_by([("time_us", "ascending"), ("seq", "ascending")]).to_pylist())

    def dataset(self) -> list[dict[str, Any]]:
        """Publish, run the pipeline, and give the steps in order."""
        lake, out = self.folder / "lake", self.folder / "out"
        self.taskreel("publish", "--spool", self.spool, "--to", lake)
        assert not list((self.spool / "outbox").rglob("*.parquet")), "what the store has leaves the outbox"
        self.taskreel("run", "--input", lake, "--output", out)
        self.taskreel("verify", out)
        return list(datasets.open(str(out)).steps().sort_by("start_us").to_pylist())


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with XServer() as x:
        start_manager(x)
        injector, program = Injector(x.display), Program(x.display)
        desk = Desk(x, injector, program, tmp_path / "spool", tmp_path)
        desk.taskreel("capture", "consent", "--spool", desk.spool, "--participant", "p1", "--region", "eu", "--yes")
        yield desk
        injector.close()
        program.close()


def written(steps: list[dict[str, Any]]) -> str:
    return "".join(step["text"] or "" for step in steps if step["action"] == "write")


@pytest.mark.slow
def test_what_was_done_is_in_the_dataset(desk: Desk) -> None:
    got = desk.terminal("notes")
    desk.program_in(GTK, "gtkpad", "gtk pad")
    desk.program_in(QT, "qtpad", "qt pad")
    recorder = desk.start("--no-pictures")
    desk.capture("mark", "write some notes")

    desk.click_on("notes")
    desk.type("hello World 123")
    desk.layout("de")
    for keycode in (29, 52, 34, 20):  # z, y, ü, ß on a German keyboard
        desk.injector.tap(keycode)
    desk.layout("fr")
    for keycode in (34, 26, 24):  # dead circumflex, e; then a
        desk.injector.tap(keycode)
    desk.layout("us")
    desk.injector.tap(ENTER)
    wait_for(lambda: got.exists() and got.read_text().endswith("\n"), "the text in the terminal")

    notes, clicks = desk.middle("notes"), [desk.middle("gtk pad"), desk.middle("qt pad")]
    desk.click_on("gtk pad")
    time.sleep(0.7)  # longer than a double click
    desk.click_on("qt pad")
    time.sleep(0.7)
    x, y = clicks[1]
    desk.injector.move(x, y + 40)
    desk.injector.click()
    desk.injector.click()
    time.sleep(0.7)
    desk.injector.move(x - 60, y + 20)
    desk.injector.button(1, True)
    for step in range(1, 13):
        desk.injector.move(x - 60 + 10 * step, y + 20)
    desk.injector.button(1, False)
    for _ in range(3):
        desk.injector.click(5)
    desk.capture("mark", "--end", "--outcome", "done")
    ended = desk.capture("stop")
    assert recorder.wait(30) == 0
    assert ended["account"]["imbalance"] == 0
    assert not ended["faults"]

    steps = desk.dataset()
    assert written(steps) == got.read_text().strip() == "hello World 123zyüßêa"
    pointer = [step for step in steps if step["action"] in ("click", "doubleClick", "dragTo", "scroll")]
    assert [(step["action"], step["x"], step["y"]) for step in pointer] == [
        ("click", *notes),
        ("click", *clicks[0]),
        ("click", *clicks[1]),
        ("doubleClick", x, y + 40),
        ("dragTo", x - 60, y + 20),
        ("scroll", x + 60, y + 20),
    ]
    assert (pointer[4]["to_x"], pointer[4]["to_y"]) == (x + 60, y + 20)
    assert [step["app"] for step in pointer] == ["XTerm", "gtkpad", "qtpad", "qtpad", "qtpad", "qtpad"]
    assert {step["app"] for step in steps if step["action"] == "write"} == {"XTerm"}
    titles = {event["title"] for event in (*_published(desk),) if event["kind"] == Kind.FOCUS}
    assert {"notes", "gtk pad", "qt pad"} <= titles


def _published(desk: Desk) -> list[dict[str, Any]]:
    lake = desk.folder / "lake"
    tables = [
        read_segment(SegmentName.parse(str(path.relative_to(lake))), path.read_bytes()).events
        for path in lake.rglob("segments/**/*.parquet")
    ]
    return list(pa.concat_tables(tables).to_pylist())


@pytest.mark.slow
def test_what_must_not_be_kept_is_not_on_the_disk(desk: Desk) -> None:
    got = desk.terminal("notes")
    vault = desk.program.window((600, 100, 300, 200), app="KeePassXC", title="vault of secrets")
    wait_for(lambda: vault in desk.program.clients(), "the excluded window")
    recorder = desk.start("--no-pictures")
    desk.click_on("notes")
    desk.type("open")
    wait_for(lambda: desk.kept() >= 8, "kept keys")

    grabber = Program(desk.x.display)
    grabber.core.GrabKeyboard(False, grabber.root, 0, 1, 1).reply()
    desk.type("qzqzqz")
    grabber.core.UngrabKeyboard(0)
    grabber.core.GetInputFocus().reply()
    time.sleep(0.5)  # the guard's lead: what is typed right after a grab is not kept either
    desk.click_on("vault of secrets")
    desk.type("jkjkjk")
    desk.click_on("notes")
    time.sleep(0.5)
    desk.type("end")
    desk.injector.tap(ENTER)
    wait_for(lambda: got.exists() and got.read_text().endswith("\n"), "the text in the terminal")
    ended = desk.capture("stop")
    assert recorder.wait(30) == 0
    grabber.close()

    events = desk.events()
    downs = [event["code"] for event in events if event["kind"] in (Kind.KEY_DOWN, Kind.KEY_UP)]
    assert "".join(event["text"] or "" for event in events if event["kind"] == Kind.KEY_DOWN) == "openend"
    assert not {US[letter] - 8 for letter in "qzjk"} & set(downs)
    assert not any("vault" in (event["title"] or "") for event in events)
    withheld = ended["account"]["withheld"]
    assert withheld["keyboard_grab"] == 12
    assert sum(count for reason, count in withheld.items() if reason != "keyboard_grab") >= 12
    assert ended["account"]["imbalance"] == 0
    everything = b"".join(path.read_bytes() for path in desk.spool.rglob("*") if path.is_file())
    assert b"vault of" not in everything


def test_nothing_is_recorded_without_consent(tmp_path: Path) -> None:
    with XServer() as x:
        command = [sys.executable, "-m", "taskreel", "capture", "start", "--spool", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, env=x.env(), timeout=60, check=False)
    assert done.returncode == 2
    assert "capture consent" in done.stderr
    assert not list(tmp_path.rglob("*.journal"))


def test_a_wayland_session_is_refused_with_the_reason(tmp_path: Path) -> None:
    with XServer() as x:
        environ = x.env() | {"WAYLAND_DISPLAY": "wayland-0"}
        base = [sys.executable, "-m", "taskreel", "capture"]
        consent = ["consent", "--spool", str(tmp_path), "--participant", "p1", "--region", "eu", "--yes"]
        subprocess.run([*base, *consent], capture_output=True, timeout=60, check=True)
        start = ["start", "--spool", str(tmp_path), "--sources", "x11"]
        done = subprocess.run([*base, *start], capture_output=True, text=True, env=environ, timeout=60, check=False)
    assert done.returncode == 2
    assert "Wayland" in done.stderr
    assert "evdev" in done.stderr


def test_a_second_recorder_is_busy_and_commands_without_one_say_so(desk: Desk) -> None:
    first = desk.start("--no-pictures")
    second = [sys.executable, "-m", "taskreel", "capture", "start", "--spool", str(desk.spool), "--no-pictures"]
    done = subprocess.run(second, capture_output=True, text=True, env=desk.x.env(), timeout=60, check=False)
    assert done.returncode == 3
    assert str(first.pid) in done.stderr
    end(first)
    assert first.returncode == 0, "SIGTERM ends it in order"
    assert (
        "capture start"
        in subprocess.run(
            [sys.executable, "-m", "taskreel", "capture", "pause", "--spool", str(desk.spool)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        ).stderr
    )


BLUE, RED = 0x2020C0, 0xC02020
PLACE = (500, 300, 400, 300)


class Changing:
    """A window with some drawing that turns from blue to red when it is clicked."""

    def __init__(self, display: str) -> None:
        self._program = Program(display)
        self.window = self._program.window(PLACE, app="Changing", title="changing")
        self._program.core.ChangeWindowAttributes(
            self.window, CW.BackPixel | CW.EventMask, [BLUE, EventMask.ButtonPress]
        )
        self._program.core.ClearArea(False, self.window, 0, 0, 0, 0)
        self._program.core.GetInputFocus().reply()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self.is_red = False

    def _serve(self) -> None:
        while not isinstance(self._program.connection.wait_for_event(), ButtonPressEvent):
            pass
        self._program.core.ChangeWindowAttributes(self.window, CW.BackPixel, [RED])
        self._program.core.ClearArea(False, self.window, 0, 0, 0, 0)
        self._program.core.GetInputFocus().reply()
        self.is_red = True


@pytest.mark.slow
def test_a_clicks_picture_shows_the_window_as_it_was_before(desk: Desk) -> None:
    changing = Changing(desk.x.display)
    wait_for(lambda: changing.window in desk.program.clients(), "the window")
    desk.program_in(GTK, "gtkpad", "gtk pad")
    recorder = desk.start()
    wait_for(lambda: desk.capture("status")["pictures"] >= 1, "the first picture")
    desk.injector.move(*desk.middle("changing"))
    desk.injector.click()
    wait_for(lambda: changing.is_red, "the red window")
    wait_for(lambda: desk.capture("status")["pictures"] >= 2, "the picture afterwards")
    desk.click_on("gtk pad")
    ended = desk.capture("stop")
    assert recorder.wait(60) == 0
    assert ended["account"]["imbalance"] == 0

    desk.dataset()
    steps = datasets.open(str(desk.folder / "out"))
    rows = [row for part in steps.iter_steps() for row in part.sort_by("start_us").to_pylist()]
    first, second = (row for row in rows if row["action"] == "click")
    assert color(first, *desk.middle("changing")) == pytest.approx((0x20, 0x20, 0xC0), abs=12)
    assert color(second, *desk.middle("changing")) == pytest.approx((0xC0, 0x20, 0x20), abs=12)


def color(step: dict[str, Any], x: int, y: int) -> tuple[int, ...]:
    """Of a pixel of the screen that a step shows."""
    with Image.open(io.BytesIO(step["image"]["bytes"])) as image:
        assert image.size == (1280, 800)
        return tuple(image.convert("RGB").getpixel((x, y)))


@pytest.mark.slow
def test_the_pause_keys_pause_and_are_not_in_the_recording(desk: Desk) -> None:
    desk.terminal("notes")
    recorder = desk.start("--no-pictures")
    chord = (37, 64, SHIFT, US["p"])  # ctrl, alt, shift, p
    desk.type("before")
    wait_for(lambda: desk.kept() >= 12, "kept keys")
    desk.injector.tap(*chord)
    wait_for(lambda: desk.capture("status")["state"] == "paused", "the pause")
    desk.type("qzj")
    desk.injector.tap(*chord)
    wait_for(lambda: desk.capture("status")["state"] == "recording", "the end of the pause")
    desk.type("after")
    wait_for(lambda: desk.kept() >= 22, "kept keys")
    ended = desk.capture("stop")
    assert recorder.wait(60) == 0
    assert ended["account"]["imbalance"] == 0

    events = desk.events()
    keys = [event for event in events if event["kind"] in (Kind.KEY_DOWN, Kind.KEY_UP)]
    assert "".join(event["text"] or "" for event in keys) == "beforeafter"
    assert {event["key"] for event in keys} == set("beforeafter"), "none of the keys that pause is in it"
    kinds = [Kind(event["kind"]) for event in events if event["kind"] in (Kind.PAUSE, Kind.RESUME)]
    assert kinds == [Kind.PAUSE, Kind.RESUME]


def test_a_forwarded_keyboard_is_recorded_without_a_desktop(desk: Desk) -> None:
    """As a Raspberry Pi forwards one: `struct input_event` through a pipe."""
    pipe = desk.folder / "keyboard"
    os.mkfifo(pipe)
    recorder = desk.start("--input", str(pipe), "--layout", "de")
    with pipe.open("wb", buffering=0) as stream:
        for key in (35, 18, 26):  # h, e, and the key right of p: ü on a German keyboard
            for value in (1, 0):
                now = time.monotonic()
                stamp = (int(now), int(now % 1 * 1e6))
                stream.write(struct.pack("<qqHHi", *stamp, 1, key, value) + struct.pack("<qqHHi", *stamp, 0, 0, 0))
        wait_for(lambda: desk.kept() >= 6, "kept keys")
        ended = desk.capture("stop")
    assert recorder.wait(60) == 0
    assert ended["account"]["journaled"] == ended["account"]["produced"] == 6
    assert "".join(event["text"] or "" for event in desk.events()) == "heü"
