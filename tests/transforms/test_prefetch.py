import threading
import time

import pytest

from taskreel.transforms.prefetch import prefetched


class Fetcher:
    """Counts what is fetched at once and what was fetched but not yet taken."""

    def __init__(self, pause_s=0.0, fail=()):
        self.pause_s, self.fail = pause_s, fail
        self.lock = threading.Lock()
        self.started, self.at_once, self.most_at_once, self.taken, self.most_ahead = [], 0, 0, 0, 0
        self.threads = set()

    def __call__(self, item):
        with self.lock:
            self.started.append(item)
            self.threads.add(threading.current_thread())
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            self.most_ahead = max(self.most_ahead, sum(self.started) - self.taken)
        time.sleep(self.pause_s)
        with self.lock:
            self.at_once -= 1
        if item in self.fail:
            raise OSError(f"item {item}")
        return item * 10

    def all_of(self, items, *, pause_s=0.0, **options):
        options = {"size_bytes": lambda item: item, "threads": 4, "budget_bytes": 10} | options
        for item, future in prefetched(items, self, **options):
            assert future.done()
            yield item, future.exception() or future.result()
            time.sleep(pause_s)
            with self.lock:
                self.taken += item


@pytest.mark.parametrize("threads", [0, 1, 4])
def test_results_come_in_the_order_of_their_items(threads):
    slow_first = [3, 1, 2, 1, 3, 1] * 5
    found = list(Fetcher(0.001).all_of(iter(slow_first), threads=threads))
    assert found == [(item, item * 10) for item in slow_first]


@pytest.mark.parametrize("threads", [0, 1, 4])
def test_no_items_give_no_results(threads):
    assert list(Fetcher().all_of([], threads=threads)) == []


def test_no_more_bytes_are_under_way_or_waiting_than_the_budget():
    fetcher = Fetcher()
    list(fetcher.all_of([2, 3, 4, 1, 1, 1, 1, 5, 5, 2] * 5, pause_s=0.002))
    assert 5 < fetcher.most_ahead <= 10


def test_an_item_larger_than_the_budget_is_fetched_alone():
    fetcher = Fetcher()
    assert [item for item, _ in fetcher.all_of([3, 50, 3, 60, 2], pause_s=0.002)] == [3, 50, 3, 60, 2]
    assert fetcher.most_ahead == 60


def test_several_are_fetched_at_once_by_no_more_threads_than_allowed():
    fetcher = Fetcher(0.02)
    begin = time.monotonic()
    list(fetcher.all_of([1] * 30, threads=3))
    assert fetcher.most_at_once == len(fetcher.threads) == 3
    assert time.monotonic() - begin < 30 * 0.02


def test_without_threads_each_is_fetched_when_it_is_its_turn():
    fetcher = Fetcher()
    results = fetcher.all_of([1, 2, 3], threads=0)
    assert fetcher.started == []
    assert next(results) == (1, 10)
    assert fetcher.started == [1]
    assert fetcher.threads == {threading.current_thread()}


@pytest.mark.parametrize("threads", [0, 1, 4])
def test_a_failure_comes_in_its_place_and_its_neighbors_are_well(threads):
    found = list(Fetcher(fail=(2,)).all_of([1, 2, 3, 2, 1], threads=threads))
    assert [item for item, _ in found] == [1, 2, 3, 2, 1]
    assert [result if isinstance(result, int) else str(result) for _, result in found] == [
        10,
        "item 2",
        30,
        "item 2",
        10,
    ]


def test_who_stops_early_waits_for_no_more_than_what_has_begun():
    fetcher = Fetcher(0.05)
    results = fetcher.all_of([1] * 1000, threads=2, budget_bytes=100)
    next(results)
    begin = time.monotonic()
    results.close()
    assert time.monotonic() - begin < 1
    assert len(fetcher.started) < 20


def test_items_are_taken_from_their_source_only_as_far_as_the_budget_reaches():
    taken = []

    def source():
        for item in range(100):
            taken.append(item)
            yield 1

    next(Fetcher().all_of(source()))
    assert len(taken) <= 12


def test_threads_end_with_the_work():
    before = threading.active_count()
    list(Fetcher().all_of([1] * 20))
    assert threading.active_count() == before
