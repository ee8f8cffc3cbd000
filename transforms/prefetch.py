"""Read ahead with a few threads, in order, within a bound of bytes.

On object stores a request costs 50 ms, so one worker needs many under way. Not for work that needs the CPU: use it
for requests alone, and see to it that what is fetched is used up quickly.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetched(
    items: Iterable[Item],
    fetch: Callable[[Item], Result],
    *,
    size_bytes: Callable[[Item], int],
    threads: int,
    budget_bytes: int,
) -> Iterator[tuple[Item, Future[Result]]]:
    """Each item with the future of `fetch(item)`, in order, done or failed when it is yielded.

    At most `budget_bytes` of results are under way or waiting (but always one item), by at most `threads` threads;
    with no threads each item is fetched when it is its turn.
    """
    if threads <= 0:
        for item in items:
            yield item, _called(fetch, item)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[tuple[Item, Future[Result]]] = deque()
        held_bytes = 0
        try:
            for item in items:
                while waiting and held_bytes + size_bytes(item) > budget_bytes:
                    held_bytes -= size_bytes(waiting[0][0])
                    yield _done(*waiting.popleft())
                waiting.append((item, pool.submit(fetch, item)))
                held_bytes += size_bytes(item)
            while waiting:
                yield _done(*waiting.popleft())
        finally:
            for _, future in waiting:
                future.cancel()


def _done(item: Item, future: Future[Result]) -> tuple[Item, Future[Result]]:
    future.exception()
    return item, future


def _called(fetch: Callable[[Item], Result], item: Item) -> Future[Result]:
    future: Future[Result] = Future()
    try:
        future.set_result(fetch(item))
    except Exception as error:
        future.set_exception(error)
    return future
