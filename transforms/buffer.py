"""Buffer: what a stream collects before it writes a shard or commits. Closed when there is enough, or after a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.coders import BytesCoder, StrUtf8Coder, TupleCoder, VarIntCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import Timestamp

from taskreel.transforms.build import Parts

Weighed = tuple[int, Parts]
"""How many bytes something will become, and its parts."""


@dataclass(frozen=True)
class BufferOptions:
    """When a buffer is closed: when it weighs `most_bytes`, or `after_s` after its first element, by the real clock."""

    most_bytes: int
    after_s: float


class BufferParts(beam.PTransform):
    """(key, `Weighed`) → (key, `Parts` of all that came since the last time). What came as one stays together."""

    def __init__(self, options: BufferOptions) -> None:
        super().__init__()
        self.options = options

    def expand(self, parts: Any) -> Any:
        """Apply the stateful DoFn; elements in the global window."""
        return parts | "Buffer" >> beam.ParDo(_BufferDoFn(self.options))


@beam.typehints.with_input_types(tuple[str, Weighed])
@beam.typehints.with_output_types(tuple[str, Parts])
class _BufferDoFn(beam.DoFn):
    """State per key: the parts, and their weight. A timer of the real clock closes it, or the end of the input."""

    PARTS = BagStateSpec("parts", TupleCoder([StrUtf8Coder(), BytesCoder()]))
    WEIGHT = ReadModifyWriteStateSpec("weight", VarIntCoder())
    AFTER = TimerSpec("after", TimeDomain.REAL_TIME)
    END = TimerSpec("end", TimeDomain.WATERMARK)

    def __init__(self, options: BufferOptions) -> None:
        self._options = options

    def process(
        self,
        element: tuple[str, Weighed],
        parts: Any = beam.DoFn.StateParam(PARTS),
        weight: Any = beam.DoFn.StateParam(WEIGHT),
        after: Any = beam.DoFn.TimerParam(AFTER),
        end: Any = beam.DoFn.TimerParam(END),
    ) -> Iterator[tuple[str, Parts]]:
        key, (weight_bytes, came) = element
        for part in came:
            parts.add(part)
        before_bytes = weight.read()
        total_bytes = (before_bytes or 0) + weight_bytes
        weight.write(total_bytes)
        if total_bytes >= self._options.most_bytes:
            yield from _closed(key, parts, weight)
        elif before_bytes is None:
            after.set(Timestamp.now() + self._options.after_s)
            end.set(GlobalWindow().max_timestamp())

    @on_timer(AFTER)
    def close_after_a_time(
        self,
        key: str = beam.DoFn.KeyParam,
        parts: Any = beam.DoFn.StateParam(PARTS),
        weight: Any = beam.DoFn.StateParam(WEIGHT),
    ) -> Iterator[tuple[str, Parts]]:
        yield from _closed(key, parts, weight)

    @on_timer(END)
    def close_at_the_end(
        self,
        key: str = beam.DoFn.KeyParam,
        parts: Any = beam.DoFn.StateParam(PARTS),
        weight: Any = beam.DoFn.StateParam(WEIGHT),
    ) -> Iterator[tuple[str, Parts]]:
        yield from _closed(key, parts, weight)


def _closed(key: str, parts: Any, weight: Any) -> Iterator[tuple[str, Parts]]:
    """Everything, in an order that does not depend on the runner; nothing if it was closed before."""
    found = sorted(parts.read())
    parts.clear()
    weight.clear()
    if found:
        yield key, found
