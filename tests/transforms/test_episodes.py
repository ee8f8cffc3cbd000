"""Episodes, against a second implementation in plain Python that tries every segmentation."""

import itertools
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import BEGIN_US

from taskreel.transforms.actions.rules import ActionFlag
from taskreel.transforms.episodes import Episode, EpisodeOptions, Task, cut_episodes
from taskreel.transforms.episodes.code_length import ONE_BIT, log2_fixed
from taskreel.transforms.episodes.contexts import context
from taskreel.transforms.episodes.segmentation import Prices, cheapest
from taskreel.transforms.episodes.units import Units, units_of

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US


# ------------------------------------------------------------------------------------------------ sessions by hand


class Worker:
    """Somebody at work: rows of an action table, one after the other."""

    def __init__(self):
        self.now_us = BEGIN_US
        self.rows = []

    def act(self, app, title, url=None, *, action="click", keys=None, device=0, flags=0):
        """One action of half a second, two seconds after the last."""
        row = {"action": action, "start_us": self.now_us, "end_us": self.now_us + SECOND_US // 2, "device": device}
        self.rows.append(row | {"app": app, "title": title, "url": url, "keys": keys, "flags": flags})
        self.now_us += 2_500_000

    def rest(self, seconds):
        self.now_us += seconds * SECOND_US

    def work(self, documents, minutes, stay=7):
        """Go around some documents, `stay` actions (of 2.5 s) in each."""
        until_us = self.now_us + minutes * MINUTE_US
        for app, title in itertools.cycle(documents):
            for _ in range(stay):
                self.act(app, title)
            if self.now_us >= until_us:
                return

    @property
    def actions(self):
        return action_table(self.rows)

    @property
    def place(self):
        """Of the next action."""
        return len(self.rows)


def action_table(rows):
    word = pa.dictionary(pa.int32(), pa.string())
    types = {"start_us": pa.int64(), "end_us": pa.int64(), "device": pa.int32(), "flags": pa.int32()}
    names = ["action", "start_us", "end_us", "device", "app", "title", "url", "keys", "flags"]
    rows = [{"flags": 0} | row for row in rows]
    return pa.table({name: pa.array([row.get(name) for row in rows], types.get(name, word)) for name in names})


WRITING = [("Writer", "Report.odt - Writer"), ("Calc", "Figures.ods - Calc"), ("Mail", "Re: figures - Mail")]
BOOKING = [("Writer", "Trip.odt - Writer"), ("Travel", "Trains - Travel"), ("Travel", "Hotels - Travel")]


def firsts(episodes):
    return [episode.first for episode in episodes]


def test_a_change_of_the_working_set_is_cut_and_switches_within_it_are_not():
    worker = Worker()
    worker.work(WRITING, 12)
    place = worker.place
    worker.work(BOOKING, 12)
    first, second = cut_episodes(worker.actions, [], EpisodeOptions())
    # The action before the change leads there: it belongs to either, and no pause tells to which.
    assert second.first in (place - 1, place)
    assert (first.cut_reason, first.confidence, second.cut_reason) == ("session", 1.0, "context")
    assert second.confidence > 0.5


def test_two_tasks_in_one_application_with_different_documents_are_cut():
    worker = Worker()
    worker.work([("Writer", "A.odt"), ("Writer", "B.odt")], 12)
    place = worker.place
    worker.work([("Writer", "C.odt"), ("Writer", "D.odt")], 12)
    episodes = cut_episodes(worker.actions, [], EpisodeOptions())
    assert firsts(episodes) in ([0, place - 1], [0, place])


@pytest.mark.parametrize("seconds", [10, 60, 120])
def test_an_interruption_that_returns_is_not_cut(seconds):
    worker = Worker()
    worker.work(WRITING, 6)
    for _ in range(seconds * 2 // 5):
        worker.act("Chat", "Somebody - Chat")
    worker.work(WRITING, 6)
    assert firsts(cut_episodes(worker.actions, [], EpisodeOptions())) == [0]


def test_a_pause_within_a_task_is_not_cut_however_long():
    worker = Worker()
    worker.work(WRITING, 6)
    worker.rest(400)
    worker.work(WRITING, 6)
    assert firsts(cut_episodes(worker.actions, [], EpisodeOptions())) == [0]


def test_where_documents_do_not_tell_the_pause_and_the_completion_do():
    """The mail is used in both tasks, right before and right after the cut."""
    for rest, keys, place_of_cut in [(90, None, 0), (0, "ctrl+enter", 0), (90, "meta+s", 0)]:
        worker = Worker()
        worker.work([*WRITING, ("Mail", "Inbox - Mail")], 12)
        worker.act("Mail", "Inbox - Mail", action="hotkey" if keys else "click", keys=keys)
        worker.rest(rest)
        place = worker.place + place_of_cut
        for _ in range(4):
            worker.act("Mail", "Inbox - Mail")
        worker.work([*BOOKING, ("Mail", "Inbox - Mail")], 12)
        assert firsts(cut_episodes(worker.actions, [], EpisodeOptions())) == [0, place]


def test_without_any_window_pauses_and_completions_cut_with_low_confidence():
    worker, places = Worker(), []
    for _ in range(2):
        worker.work([(None, None)], 12)
        worker.act(None, None, action="hotkey", keys="ctrl+enter")
        worker.rest(60)
        places.append(worker.place)
    worker.work([(None, None)], 12)
    episodes = cut_episodes(worker.actions, [], EpisodeOptions())
    assert firsts(episodes) == [0, *places]
    assert {episode.cut_reason for episode in episodes[1:]} == {"idle"}
    assert all(0 < episode.confidence <= 0.3 for episode in episodes[1:])


def test_without_any_window_a_minute_alone_does_not_cut():
    worker = Worker()
    worker.work([(None, None)], 12)
    worker.rest(60)
    worker.work([(None, None)], 12)
    assert firsts(cut_episodes(worker.actions, [], EpisodeOptions())) == [0]


def test_a_wait_is_idle_time_and_hides_no_completion():
    def cut_with(waits):
        worker = Worker()
        worker.work([(None, None)], 12)
        worker.act(None, None, action="hotkey", keys="meta+s")
        for _ in range(waits):
            worker.act(None, None, action="wait")
        worker.rest(60)
        place = worker.place
        worker.work([(None, None)], 12)
        return firsts(cut_episodes(worker.actions, [], EpisodeOptions())) == [0, place]

    assert cut_with(0)
    assert cut_with(1)
    assert cut_with(2)


def test_a_short_piece_that_fits_neither_neighbor_is_residue():
    worker = Worker()
    worker.work(WRITING, 12)
    worker.rest(300)
    first = worker.place
    for title in "aabbccdd":
        worker.act("Games", title)
    worker.rest(300)
    end = worker.place
    worker.work(BOOKING, 12)
    episodes = cut_episodes(worker.actions, [], EpisodeOptions())
    assert [(e.first, e.end, e.kind) for e in episodes] == [
        (0, first, "episode"),
        (first, end, "residue"),
        (end, worker.place, "episode"),
    ]


def test_two_devices_at_once_are_cut_where_both_change():
    worker = Worker()
    for documents in (WRITING, BOOKING):
        place = worker.place
        for step in range(300):
            app, title = documents[0] if step % 2 else documents[1 + step // 20 % 2]
            worker.act(app, title, device=step % 2)
    episodes = cut_episodes(worker.actions, [], EpisodeOptions())
    assert len(episodes) == 2
    start_us = worker.actions.column("start_us").to_pylist()
    assert abs(start_us[episodes[1].first] - start_us[place]) <= 30 * SECOND_US


# ------------------------------------------------------------------------------------------------ marks and limits


def test_marked_tasks_are_episodes_and_all_else_is_residue():
    worker = Worker()
    worker.work(WRITING, 10)
    tasks = [
        Task(BEGIN_US + MINUTE_US, BEGIN_US + 3 * MINUTE_US, "Write", "success"),
        Task(BEGIN_US + 3 * MINUTE_US, BEGIN_US + 4 * MINUTE_US, "Check", None),
        Task(BEGIN_US + 9 * MINUTE_US, None, "Send", None),
    ]
    episodes = cut_episodes(worker.actions, tasks, EpisodeOptions())
    assert [e.task and e.task.description for e in episodes] == [None, "Write", "Check", None, "Send"]
    assert [e.kind for e in episodes] == ["residue", "episode", "episode", "residue", "episode"]
    assert [e.cut_reason for e in episodes] == ["session", *["marker"] * 4]
    assert [e.confidence for e in episodes] == [1.0] * 5
    start_us = worker.actions.column("start_us").to_pylist()
    for episode in episodes:
        for row in range(episode.first, episode.end):
            inside = [t for t in tasks if t.start_us <= start_us[row] < (t.end_us or 2**62)]
            assert inside == ([episode.task] if episode.task else [])


def test_a_terminate_belongs_to_the_task_that_it_ends():
    end_us = BEGIN_US + 10 * SECOND_US
    rows = [
        {"action": "click", "start_us": BEGIN_US + 1, "end_us": BEGIN_US + 2, "device": 0},
        {"action": "terminate", "start_us": end_us, "end_us": end_us, "device": 0},
        {"action": "click", "start_us": end_us, "end_us": end_us + 1, "device": 0},
    ]
    tasks = [Task(BEGIN_US, end_us, "first", "success"), Task(end_us, None, "second", None)]
    episodes = cut_episodes(action_table(rows), tasks, EpisodeOptions())
    assert [(e.first, e.end, e.task) for e in episodes] == [(0, 2, tasks[0]), (2, 3, tasks[1])]


@pytest.mark.parametrize("is_marked", [True, False])
def test_what_is_longer_than_the_limits_is_cut(is_marked):
    worker = Worker()
    worker.work([("Writer", "Novel.odt")], 30)
    tasks = [Task(BEGIN_US, None, "Write", None)] if is_marked else []
    by_steps = cut_episodes(worker.actions, tasks, EpisodeOptions(max_steps=100))
    by_time = cut_episodes(worker.actions, tasks, EpisodeOptions(max_minutes=7))
    assert max(e.end - e.first for e in by_steps) <= 100
    start_us = worker.actions.column("start_us").to_numpy()
    assert max(start_us[e.end - 1] - start_us[e.first] for e in by_time) < 7 * MINUTE_US
    for episodes in (by_steps, by_time):
        assert [e.cut_reason for e in episodes[1:]] == ["limit"] * (len(episodes) - 1)
        assert {e.confidence for e in episodes[1:]} == {0.0}


@pytest.mark.parametrize("is_marked", [True, False])
def test_the_recorders_own_controls_at_the_ends_are_residue(is_marked):
    worker = Worker()
    worker.act("Writer", "A.odt", action="press", keys="enter", flags=ActionFlag.RECORDER_CONTROL)
    worker.work(WRITING, 5)
    worker.act("Writer", "A.odt", action="hotkey", keys="ctrl+alt+p", flags=ActionFlag.RECORDER_CONTROL)
    worker.work(WRITING, 5)
    end = worker.place
    worker.act("Writer", "A.odt", action="hotkey", keys="ctrl+alt+q", flags=ActionFlag.RECORDER_CONTROL)
    tasks = [Task(BEGIN_US, None, "Write", None)] if is_marked else []
    episodes = cut_episodes(worker.actions, tasks, EpisodeOptions())
    assert [(e.first, e.end, e.kind, e.cut_reason, e.confidence) for e in episodes] == [
        (0, 1, "residue", "session", 1.0),
        (1, end, "episode", "marker" if is_marked else "recorder", 1.0),
        (end, end + 1, "residue", "recorder", 1.0),
    ]
    alone = cut_episodes(worker.actions.slice(0, 1), tasks, EpisodeOptions())
    assert [(e.first, e.end, e.kind, e.cut_reason) for e in alone] == [(0, 1, "residue", "session")]


def test_a_short_session_that_is_not_cut_is_an_episode():
    worker = Worker()
    worker.work(WRITING, 0.5)
    worker.rest(30)
    worker.work(BOOKING, 0.2)
    (episode,) = cut_episodes(worker.actions, [], EpisodeOptions())
    assert (episode.kind, episode.cut_reason) == ("episode", "session")
    (alone,) = cut_episodes(worker.actions.slice(0, 1), [], EpisodeOptions())
    assert alone.kind == "residue"


def test_no_actions_no_episodes():
    assert cut_episodes(action_table([]), [], EpisodeOptions()) == []


@pytest.mark.parametrize("name", list(EpisodeOptions.__dataclass_fields__))
def test_an_option_below_zero_is_refused_by_its_name(name):
    with pytest.raises(ValueError, match=name):
        EpisodeOptions(**{name: -1})


# ------------------------------------------------------------------------------------------------ contexts


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("Writer", "Report.odt - Writer", None), ("Writer", "*Report.odt - Writer", None)),
        (("Code", "main.py - project", None), ("Code", "● main.py - project", None)),
        (("Chat", "(3) Chat", None), ("Chat", "Chat", None)),
        (("Mail", "Inbox (12) - me", None), ("Mail", "Inbox - me", None)),
        (("Files", "Copying 3 % - Files", None), ("Files", "Copying 98% - Files", None)),
        (("Terminal", "⠋ make", None), ("Terminal", "⠙ make", None)),
        (("Web", "A", "https://www.a.example/x/?q=1#top"), ("Web", "B", "https://a.example/x")),
        (("Writer", None, None), ("writer", "", "")),
    ],
)
def test_what_changes_while_one_works_on_a_document_is_no_part_of_it(one, other):
    assert context(*one) == context(*other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("Files", "copy (2).txt", None), ("Files", "copy (3).txt", None)),
        (("Terminal", "~/a", None), ("Terminal", "/a", None)),
        (("Web", "A", "https://a.example/x"), ("Web", "A", "https://a.example/y")),
        (("Writer", "A", None), ("Calc", "A", None)),
        (("Writer", "Invoice 2024", None), ("Writer", "Invoice 2025", None)),
    ],
)
def test_documents_that_differ_stay_apart(one, other):
    assert context(*one) != context(*other)


def test_a_url_that_is_none_falls_back_on_the_title():
    assert context("Web", "A page", "http://[broken") == ("web", "a page")
    assert context("Web", "A page", "about:blank") == ("web", "a page")


# ------------------------------------------------------------------------------------------------ the oracle


def log2(value):
    """log2 of an integer, rounded down, in 1/ONE_BIT: by the size of a power, in whole numbers."""
    return (value**ONE_BIT).bit_length() - 1


def told(units, first, end, options):
    """The code length of a piece, visit by visit, as `docs/episodes.md` gives it."""
    everywhere = Counter()
    for document, program, weight in zip(units.document, units.program, units.weight, strict=True):
        everywhere.update({("d", document): int(weight), ("p", program): int(weight), "all": int(weight)})
    bits, here = 0, Counter()
    for unit in range(first, end):
        document, program = ("d", units.document[unit]), ("p", units.program[unit])
        for _ in range(units.weight[unit]):
            draw = log2(here["all"] + options.novelty)
            if here[document]:
                bits += draw - log2(here[document])
            else:
                way = log2(everywhere["all"] + options.elsewhere) - log2(options.novelty)
                if here[program]:
                    way = min(way, log2(everywhere[program]) - log2(here[program]))
                bits += 2 * draw - log2(options.novelty) - log2(everywhere[document]) + way
            here.update((document, program, "all"))
    return bits


def price_of_piece(units, first, end, options):
    lasts_us, longest_us = int(units.end_us[end - 1] - units.start_us[first]), int(options.residue_seconds * SECOND_US)
    discount = options.residue_bits * ONE_BIT * max(0, longest_us - lasts_us) // longest_us
    return told(units, first, end, options) - discount


def is_within_limits(units, first, end, options):
    steps = int(units.first[end] - units.first[first])
    lasts_us = int(units.last_us[end - 1] - units.start_us[first])
    return end - first == 1 or (steps <= options.max_steps and lasts_us < options.max_minutes * MINUTE_US)


def price_of_cut(units, unit, options):
    if not unit:
        return 0
    scale = int(options.idle_scale_s * SECOND_US)
    idle_us = int(units.idle_us[unit])
    if not units.is_blind:
        idle_us = min(idle_us, int(options.longest_idle_s * SECOND_US))
    idle = options.idle_bits * (log2(idle_us + scale) - log2(scale))
    cut_bits = options.blind_cut_bits if units.is_blind else options.cut_bits
    return (cut_bits - options.completion_bits * int(units.completes[unit])) * ONE_BIT - idle


def every_segmentation(units, options):
    """All that are within the limits, as (what it costs, its cuts from the last to the first)."""
    n = len(units)
    pairs = [pair for pair in itertools.combinations(range(n + 1), 2) if is_within_limits(units, *pair, options)]
    price = {pair: price_of_piece(units, *pair, options) + price_of_cut(units, pair[0], options) for pair in pairs}
    for size in range(n):
        for cuts in itertools.combinations(range(1, n), size):
            bounds = list(itertools.pairwise([0, *cuts, n]))
            if all(pair in price for pair in bounds):
                yield sum(price[pair] for pair in bounds), [0, *cuts][::-1]


@st.composite
def sessions_of_units(draw):
    """Up to nine units, of up to four documents in two programs."""
    n = draw(st.integers(1, 9))

    def whole(least, most):
        return np.array(draw(st.lists(st.integers(least, most), min_size=n, max_size=n)), np.int64)

    document = whole(0, 3)
    idle_us, lasts_us = whole(0, 400) * SECOND_US, whole(0, 600) * SECOND_US
    start_us = BEGIN_US + np.cumsum(idle_us + np.concatenate([[0], lasts_us[:-1]]))
    first = np.concatenate([[0], np.cumsum(whole(1, 40))])
    return Units(
        first=first,
        program=document // 2,
        document=document,
        weight=whole(0, 4),
        start_us=start_us,
        last_us=start_us + lasts_us // 2,
        end_us=start_us + lasts_us,
        idle_us=idle_us,
        completes=whole(0, 1).astype(bool),
        is_blind=draw(st.booleans()),
    )


@st.composite
def option_sets(draw):
    return EpisodeOptions(
        max_steps=draw(st.sampled_from([1, 30, 100, 1000])),
        max_minutes=draw(st.sampled_from([0.5, 10.0, 30.0, 60.0])),
        cut_bits=draw(st.integers(0, 20)),
        blind_cut_bits=draw(st.integers(0, 20)),
        idle_bits=draw(st.integers(0, 4)),
        completion_bits=draw(st.integers(0, 5)),
        longest_idle_s=draw(st.sampled_from([15.0, 300.0])),
        novelty=draw(st.integers(1, 4)),
        elsewhere=draw(st.sampled_from([1, 200])),
        residue_bits=draw(st.sampled_from([0, 5, 15])),
        residue_seconds=draw(st.sampled_from([5.0, 60.0])),
    )


@settings(max_examples=100, deadline=None)
@given(sessions_of_units(), option_sets())
def test_the_segmentation_is_the_cheapest_of_all(units, options):
    _, begins = min(every_segmentation(units, options))
    assert [piece.first for piece in cheapest(Prices(units, options))] == begins[::-1]


@settings(max_examples=100, deadline=None)
@given(sessions_of_units(), option_sets())
def test_the_margin_of_a_cut_is_what_the_session_costs_more_without_it(units, options):
    prices = Prices(units, options)
    for before, after in itertools.pairwise(cheapest(prices)):
        apart = sum(price_of_piece(units, piece.first, piece.end, options) for piece in (before, after))
        cut = price_of_cut(units, after.first, options)
        together = price_of_piece(units, before.first, after.end, options)
        assert prices.weigh(before, after).margin == together - apart - cut


@given(st.one_of(st.integers(1, 2000), st.integers(1, 2**63 - 1)))
def test_log2_is_exact_to_its_last_part(value):
    assert log2_fixed(np.array([value])).tolist() == [log2(value)]


# ------------------------------------------------------------------------------------------------ any action table

words = st.sampled_from([None, "", "a", "(1) a", "*b", "日本", "http://[x", "https://h.example/p?q", "\0"])


@st.composite
def action_tables(draw):
    """Actions in order of a first event; a wait may begin before the action before it, another device's too."""
    now_us, rows = draw(st.sampled_from([0, BEGIN_US])), []
    for _ in range(draw(st.integers(0, 40))):
        now_us += draw(st.sampled_from([0, 1, SECOND_US, 5 * SECOND_US, 60 * SECOND_US, 599 * SECOND_US]))
        start_us = max(0, now_us - draw(st.sampled_from([0, 0, 0, 7, 3 * SECOND_US])))
        kind = draw(st.sampled_from(["click", "write", "hotkey", "wait", "terminate"]))
        row = {"action": kind, "start_us": start_us, "end_us": now_us + draw(st.sampled_from([0, 5, MINUTE_US]))}
        row["flags"] = draw(st.sampled_from([0, 0, 0, int(ActionFlag.RECORDER_CONTROL)]))
        row |= {"device": draw(st.integers(0, 1)), "keys": draw(st.sampled_from([None, "ctrl+s", "alt+tab"]))}
        rows.append(row | {name: draw(words) for name in ("app", "title", "url")})
    return action_table(rows)


@st.composite
def task_lists(draw):
    times = sorted(draw(st.lists(st.integers(0, 3_000_000_000), max_size=6, unique=True)))
    pairs = list(zip(times[::2], times[1::2], strict=False))
    return [Task(BEGIN_US + a, BEGIN_US + b, None, None) for a, b in pairs]


@settings(max_examples=150, deadline=None)
@given(action_tables(), st.one_of(st.just([]), task_lists()), option_sets())
def test_every_action_is_in_one_episode_within_the_limits(actions, tasks, options):
    episodes = cut_episodes(actions, tasks, options)
    assert episodes == cut_episodes(actions, tasks, options)
    assert [row for e in episodes for row in range(e.first, e.end)] == list(range(actions.num_rows))
    start_us = np.maximum.accumulate(actions.column("start_us").to_numpy()) if actions.num_rows else []
    for episode in episodes:
        assert 1 <= episode.end - episode.first <= options.max_steps
        lasts_us = start_us[episode.end - 1] - start_us[episode.first]
        assert lasts_us < options.max_minutes * MINUTE_US
        assert 0 <= episode.confidence <= 1
        assert round(100 * episode.confidence) / 100 == episode.confidence
        assert episode.cut_reason in {"marker", "session", "recorder", "idle", "context", "completion", "limit"}
        assert episode.kind == "residue" or (episode.task is not None) == bool(tasks)
        assert isinstance(episode, Episode)


@settings(max_examples=100, deadline=None)
@given(action_tables().filter(lambda table: table.num_rows > 0))
def test_units_are_runs_of_one_document(actions):
    units = units_of(actions)
    documents = [context(*row.values()) for row in actions.select(["app", "title", "url"]).to_pylist()]
    assert units.first[0] == 0
    assert units.first[-1] == actions.num_rows
    for first, end in itertools.pairwise(units.first.tolist()):
        assert first < end
        assert len({document for document in documents[first:end] if document != ("", "")}) <= 1


def test_names_of_types_do_not_matter():
    """The action table may hold words as strings or as dictionaries."""
    worker = Worker()
    worker.work(WRITING, 12)
    worker.work(BOOKING, 12)
    actions = worker.actions
    plain = pa.table(
        {
            name: actions.column(name).cast(pa.string())
            if pa.types.is_dictionary(actions.schema.field(name).type)
            else actions.column(name)
            for name in actions.column_names
        }
    )
    assert cut_episodes(plain, [], EpisodeOptions()) == cut_episodes(actions, [], EpisodeOptions())
