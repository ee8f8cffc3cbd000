"""The recorder with a scripted source: from events to segments in the outbox, and every event in the account."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from running_recorder import IDENTITY, Running, recording
from scripted_source import ScriptedSource, typed
from x_server import wait_for

from taskreel.capture.recorder import recorder as recorder_module
from taskreel.capture.recorder.control import NotRunningError, ask
from taskreel.capture.recorder.recorder import AlreadyRunningError, Conditions, Ended, Recorder
from taskreel.capture.recorder.session import Plan
from taskreel.capture.settings import Settings
from taskreel.capture.sources.guards import Guard, Withholds
from taskreel.capture.sources.protocol import Event, Picture, SourceUnavailableError, monotonic_us
from taskreel.io.kinds import Flag, Kind, picture_hash
from taskreel.io.names import SegmentName
from taskreel.io.segments import Segment, read_segment


def outbox(spool: Path) -> list[Segment]:
    """The segments in the outbox, by recording and seq; each is what its name says."""
    paths = sorted((spool / "outbox").rglob("*.parquet"))
    segments = [
        read_segment(SegmentName.parse(str(path.relative_to(spool / "outbox"))), path.read_bytes()) for path in paths
    ]
    return sorted(segments, key=lambda segment: (segment.name.recording, segment.name.first_seq))


def events(spool: Path) -> list[dict[str, Any]]:
    table = pa.concat_tables([segment.events.sort_by("seq") for segment in outbox(spool)])
    return table.to_pylist()


def balanced(running: Running) -> Ended:
    (ended,) = running.ended
    assert ended.account.imbalance == 0
    assert not ended.unsealed
    assert not list((running.spool / "recordings").iterdir()), "what is sealed leaves nothing behind"
    return ended


def test_what_a_source_hands_over_is_in_the_outbox(tmp_path: Path) -> None:
    with recording(tmp_path) as running:
        running.source.put(*typed("hello", monotonic_us()))
        running.wait_journaled(10)
    ended = balanced(running)
    assert (ended.account.journaled, ended.segments) == (10, 1)
    (segment,) = outbox(tmp_path)
    assert segment.header.final
    assert (segment.header.participant, segment.header.consent_id, segment.header.region) == ("p1", "c1", "eu")
    assert segment.header.screen is not None
    rows = events(tmp_path)
    assert "".join(row["text"] or "" for row in rows) == "hello"
    assert [row["seq"] for row in rows] == list(range(10))


def test_segments_are_cut_and_numbered_through(tmp_path: Path) -> None:
    with recording(tmp_path, segment_minutes=0.02) as running:
        running.source.put(Event(monotonic_us(), Kind.FOCUS, app="editor", title="a"))
        for n in range(30):
            running.source.put(Event(monotonic_us(), Kind.MOVE, x=256 * n, y=256))
            threading.Event().wait(0.1)
    ended = balanced(running)
    segments = outbox(tmp_path)
    assert len(segments) >= 2
    assert [segment.header.final for segment in segments] == [False] * (len(segments) - 1) + [True]
    rows = events(tmp_path)
    assert [row["seq"] for row in rows] == list(range(len(rows)))
    assert [row["x"] for row in rows if row["kind"] == Kind.MOVE] == [256 * n for n in range(30)]
    for segment in segments[1:]:
        first = segment.events.sort_by("seq").to_pylist()[0]
        assert (first["kind"], first["app"], first["flags"]) == (Kind.FOCUS, "editor", Flag.RESTATED)
    assert ended.account.own == len(segments) - 1


def test_pictures_come_with_their_events_and_equal_ones_once_a_segment(tmp_path: Path) -> None:
    picture = Picture(b"not really WebP", 800, 600, 42)
    with recording(tmp_path, with_pictures=True) as running:
        screens = running.pictures[-1]
        screens.show("k1", picture)
        screens.show("k1", None)
        screens.show("never", None)
        running.wait_journaled(3)
    ended = balanced(running)
    assert not ended.faults
    assert (running.statuses[-1]["state"], running.statuses[-1]["pictures"]) == ("stopped", 1), "also when it is over"
    rows = sorted(events(tmp_path), key=lambda row: row["seq"])
    assert [row["kind"] for row in rows] == [Kind.SCREEN, Kind.SCREEN, Kind.GAP]
    assert [row["picture_hash"] for row in rows] == [picture_hash(picture.data)] * 2 + [None]
    assert [row["picture_bytes"] for row in rows] == [len(picture.data), None, None]
    assert rows[2]["text"] == "picture_lost"


def test_what_is_withheld_or_lost_is_in_the_account_and_nowhere_else(tmp_path: Path) -> None:
    password = Guard("password", Withholds.KEYS, lead_us=0)
    with recording(tmp_path, Conditions(guards=[password])) as running:
        running.source.withhold("excluded", 7)
        running.source.lose("syn_dropped", 3)
        password.switch(True, monotonic_us())
        running.source.put(*typed("secret", monotonic_us()))
        wait_for(lambda: sum(ask(tmp_path, "status")["account"]["withheld"].values()) == 19, "withheld keys")
    ended = balanced(running)
    assert ended.account.withheld == {"excluded": 7, "password": 12}
    assert (ended.account.in_gaps, ended.account.gaps) == (3, {"syn_dropped": 1})
    assert sorted(row["text"] for row in events(tmp_path)) == ["syn_dropped", "withheld:password"]
    assert not any(b"secret"[:1] in path.name.encode() and path.is_file() for path in tmp_path.rglob("*.journal"))


def test_nothing_is_kept_between_pause_and_resume(tmp_path: Path) -> None:
    with recording(tmp_path, with_pictures=True) as running:
        running.source.put(*typed("a", monotonic_us()))
        running.wait_journaled(2)
        assert ask(tmp_path, "pause")["state"] == "paused"
        assert not running.pictures[-1].is_open or not wait_for(lambda: not running.pictures[-1].is_open, "no pictures")
        running.source.put(*typed("b", monotonic_us()))
        assert "paused" in ask(tmp_path, "mark", description="x")["error"]
        wait_for(lambda: ask(tmp_path, "status")["account"]["withheld"].get("paused") == 2, "withheld")
        assert ask(tmp_path, "resume")["state"] == "recording"
        assert len(running.pictures) == 2
        running.source.put(*typed("c", monotonic_us()))
        running.wait_journaled(4)
    balanced(running)
    kinds = [(Kind(row["kind"]).name, row["text"]) for row in events(tmp_path) if row["kind"] != Kind.KEY_UP]
    assert kinds == [
        ("KEY_DOWN", "a"),
        ("PAUSE", None),
        ("GAP", "withheld:paused"),
        ("RESUME", None),
        ("KEY_DOWN", "c"),
    ]


def test_tasks_are_marked(tmp_path: Path) -> None:
    with recording(tmp_path) as running:
        assert ask(tmp_path, "mark", description="write the report") == {"began": "write the report"}
        assert ask(tmp_path, "mark", end=True, outcome="done") == {"ended": "write the report"}
        wait_for(lambda: ask(tmp_path, "status")["account"]["own"] == 2, "marks")
    balanced(running)
    rows = [(row["kind"], row["text"], row["key"]) for row in events(tmp_path)]
    assert rows == [(Kind.MARK_START, "write the report", None), (Kind.MARK_END, None, "done")]


def test_a_task_that_was_not_begun_cannot_end(tmp_path: Path) -> None:
    with recording(tmp_path) as running:
        assert "no task was begun" in ask(tmp_path, "mark", end=True)["error"]
        ask(tmp_path, "mark", description="write the report")
        ask(tmp_path, "mark", end=True)
        assert "no task was begun" in ask(tmp_path, "mark", end=True)["error"]
    balanced(running)
    assert [Kind(row["kind"]) for row in events(tmp_path)] == [Kind.MARK_START, Kind.MARK_END]


def test_a_locked_screen_ends_the_recording_and_another_begins_after(tmp_path: Path) -> None:
    away: list[str | None] = [None]
    with recording(tmp_path, Conditions(away=lambda: away[0])) as running:
        running.source.put(*typed("a", monotonic_us()))
        away[0] = "locked"
        wait_for(lambda: running.statuses[-1]["state"] == "locked", "locked")
        assert not running.source.is_open
        assert "locked" in ask(tmp_path, "mark", description="x")["error"]
        away[0] = None
        wait_for(lambda: running.statuses[-1]["state"] == "recording", "recording again")
        running.source.put(*typed("b", monotonic_us()))
        running.wait_journaled(4)
    ended = balanced(running)
    assert ended.recordings == 2
    first, second = outbox(tmp_path)
    assert first.name.recording != second.name.recording
    assert (first.header.final, second.header.final) == (True, True)


def test_a_pause_outlasts_a_locked_screen(tmp_path: Path) -> None:
    away: list[str | None] = [None]
    with recording(tmp_path, Conditions(away=lambda: away[0]), with_pictures=True) as running:
        ask(tmp_path, "pause")
        away[0] = "locked"
        wait_for(lambda: running.statuses[-1]["state"] == "locked", "locked")
        away[0] = None
        wait_for(lambda: running.statuses[-1]["state"] == "paused", "paused as before")
        running.source.put(*typed("b", monotonic_us()))
        wait_for(lambda: ask(tmp_path, "status")["account"]["withheld"].get("paused") == 2, "withheld")
        assert not running.pictures[-1].is_open
        ask(tmp_path, "resume")
        running.source.put(*typed("c", monotonic_us()))
        running.wait_journaled(2)
        assert running.pictures[-1].is_open
    balanced(running)
    assert "".join(row["text"] for row in events(tmp_path) if row["kind"] == Kind.KEY_DOWN) == "c"


def test_a_pause_is_taken_while_the_screen_is_locked(tmp_path: Path) -> None:
    away: list[str | None] = [None]
    with recording(tmp_path, Conditions(away=lambda: away[0])) as running:
        away[0] = "locked"
        wait_for(lambda: running.statuses[-1]["state"] == "locked", "locked")
        assert ask(tmp_path, "pause")["is_paused"]
        away[0] = None
        wait_for(lambda: running.statuses[-1]["state"] == "paused", "paused")
    balanced(running)


def test_consent_that_ends_ends_the_recording(tmp_path: Path) -> None:
    refused: list[str | None] = [None]
    with recording(tmp_path, Conditions(refused=lambda: refused[0])) as running:
        running.source.put(*typed("a", monotonic_us()))
        running.wait_journaled(2)
        refused[0] = "consent 'c1' was withdrawn"
        wait_for(lambda: running.statuses[-1]["state"] == "stopped", "the end")
    ended = balanced(running)
    assert ended.reason == "consent_ended"
    assert "withdrawn" in ended.faults[0]


def test_a_source_that_loses_what_it_watches_ends_it_in_order(tmp_path: Path) -> None:
    with recording(tmp_path) as running:
        running.source.put(*typed("a", monotonic_us()))
        running.source.lose_all("the X server ended")
        wait_for(lambda: running.ended, "the end")
    ended = balanced(running)
    assert ended.reason == "source_lost"
    assert "the X server ended" in ended.faults[0]
    assert len(events(tmp_path)) == 2


def test_at_the_quota_it_stops_and_says_so(tmp_path: Path) -> None:
    has_room = [True]
    with recording(tmp_path, Conditions(has_room=lambda: has_room[0])) as running:
        running.source.put(*typed("a", monotonic_us()))
        has_room[0] = False
        wait_for(lambda: running.ended, "the end")
    ended = balanced(running)
    assert ended.reason == "quota"
    assert "quota" in ended.faults[0]
    assert len(events(tmp_path)) == 2, "what was recorded before is there"


def test_a_full_disk_ends_it_with_everything_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full until the reserve is given up."""
    import os

    real = os.write
    with recording(tmp_path) as running:
        running.source.put(*typed("a", monotonic_us()))
        running.wait_journaled(2)

        def write(descriptor: int, data: bytes) -> int:
            if (tmp_path / "reserve").exists() and "journal" in os.readlink(f"/proc/self/fd/{descriptor}"):
                raise OSError(28, "No space left on device")
            return real(descriptor, data)

        monkeypatch.setattr(os, "write", write)
        running.source.put(*typed("b", monotonic_us()))
        wait_for(lambda: running.ended, "the end")
        monkeypatch.undo()
    ended = balanced(running)
    assert ended.reason == "disk_full"
    assert "full" in ended.faults[0]
    assert "".join(row["text"] or "" for row in events(tmp_path)) == "ab"


def test_a_disk_that_takes_nothing_more_loses_only_the_last_moment_and_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    real = os.write
    with recording(tmp_path) as running:
        running.source.put(*typed("a", monotonic_us()))
        running.wait_journaled(2)

        def write(descriptor: int, data: bytes) -> int:
            if "journal" in os.readlink(f"/proc/self/fd/{descriptor}"):
                raise OSError(30, "Read-only file system")
            return real(descriptor, data)

        monkeypatch.setattr(os, "write", write)
        running.source.put(*typed("b", monotonic_us()))
        wait_for(lambda: running.ended, "the end")
        monkeypatch.undo()
    (ended,) = running.ended
    assert ended.account.imbalance == 0
    assert ended.account.gaps == {"disk_failed": 1}
    assert ended.account.in_gaps == 2
    assert "Read-only" in ended.faults[0]
    with recording(tmp_path) as running:  # the next start seals what was left
        pass
    assert "".join(row["text"] or "" for row in events(tmp_path)) == "a"


def test_the_hotkey_pauses_and_is_not_in_the_recording(tmp_path: Path) -> None:
    seen: list[Event] = []

    def hotkey(event: Event) -> tuple[bool, list[Event]]:
        """Keys 1 and 2 together."""
        seen.append(event)
        own = [one for one in seen if one.code in (1, 2)]
        is_complete = event.kind is Kind.KEY_DOWN and event.code == 2
        return is_complete, own if len(own) > 1 and event.code in (1, 2) else []

    with recording(tmp_path, hotkey=hotkey) as running:
        now_us = monotonic_us()
        running.source.put(Event(now_us, Kind.KEY_DOWN, code=1), *typed("x", now_us + 1))
        running.wait_journaled(3)  # on the disk already
        running.source.put(Event(monotonic_us(), Kind.KEY_DOWN, code=2))
        wait_for(lambda: running.statuses[-1]["state"] == "paused", "paused")
        running.source.put(Event(monotonic_us(), Kind.KEY_UP, code=2), Event(monotonic_us(), Kind.KEY_UP, code=1))
        wait_for(lambda: ask(tmp_path, "status")["account"]["withheld"].get("recorder_control") == 4, "own keys")
    balanced(running)
    rows = events(tmp_path)
    assert [row["text"] for row in rows if row["kind"] in (Kind.KEY_DOWN, Kind.KEY_UP)] == ["x", None]
    assert [row["seq"] for row in rows] == list(range(len(rows)))


def test_the_account_of_the_run_before_is_not_taken_for_this_ones(tmp_path: Path) -> None:
    account = tmp_path / recorder_module.ENDED
    account.write_text("{}")
    with recording(tmp_path):
        assert not account.exists()
    assert account.exists()


def test_only_one_recorder_uses_a_spool(tmp_path: Path) -> None:
    with recording(tmp_path), pytest.raises(AlreadyRunningError, match="process"):
        Recorder(Settings(tmp_path), IDENTITY, Plan(lambda: [ScriptedSource()])).run()
    with pytest.raises(NotRunningError, match="capture start"):
        ask(tmp_path, "status")


def test_a_source_that_cannot_be_opened_leaves_nothing_behind(tmp_path: Path) -> None:
    class Missing(ScriptedSource):
        def open(self) -> Any:
            raise SourceUnavailableError("no X server: set DISPLAY")

    other = ScriptedSource()
    with pytest.raises(SourceUnavailableError, match="DISPLAY"):
        Recorder(Settings(tmp_path), IDENTITY, Plan(lambda: [other, Missing()])).run()
    assert not other.is_open
    assert not list(tmp_path.rglob("*.journal"))


def test_a_spool_far_down_has_a_socket_all_the_same(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    with recording(deep):
        assert ask(deep, "status")["state"] == "recording"


def test_a_changed_geometry_begins_a_segment_of_its_own(tmp_path: Path) -> None:
    with recording(tmp_path) as running:
        running.source.put(*typed("a", monotonic_us()))
        running.wait_journaled(2)
        text = '{"width_px":1024,"height_px":768,"scale":1.0,"monitors":[[0,0,1024,768]]}'
        running.source.put(Event(monotonic_us(), Kind.GEOMETRY, text=text), *typed("b", monotonic_us()))
        running.wait_journaled(5)
    balanced(running)
    first, second = outbox(tmp_path)
    assert first.header.screen is not None
    assert second.header.screen is not None
    assert (first.header.screen.width_px, second.header.screen.width_px) == (800, 1024)


def test_a_longest_recording_is_followed_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "LONGEST_RECORDING_S", 0.5)
    with recording(tmp_path) as running:
        wait_for(lambda: len(running.sources) >= 3, "a third recording")
        running.source.put(*typed("a", monotonic_us()))
    balanced(running)
