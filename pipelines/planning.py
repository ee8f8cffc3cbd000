"""What a day of many people takes: bytes, workers, hours, storage and money. Arithmetic, with its assumptions named."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

MB_PER_S_PER_VCPU = 50.0
"""Read, merged, cut and written by one core: 53 with 50 ms a request to the store, 91 to 118 on a local disk
(`bench/results/2026-11-24-slow_store.md`, `2026-11-24-pipeline.md`)."""
OUTPUT_SHARE = 0.98
"""Bytes of shards a byte of segments (the same file: 0.971 to 0.984)."""
SHUFFLED_SHARE = 0.004
"""Bytes that go between workers a byte of segments (the same file: 0.1 to 0.39 %)."""
READS_A_SEGMENT, WRITES_A_SEGMENT = 4, 1
"""Requests: a footer, the events, and the pictures by ranges; one upload by the recorder's publisher."""
START_H = 0.1
"""Until Dataflow's workers run: 3 to 6 minutes."""
HOURS_A_MONTH, DAYS_A_MONTH = 730, 30.4


@dataclass(frozen=True)
class Prices:
    """List prices in US dollars, about those of us-central1 in 2025, from memory: compare them with today's."""

    vcpu_hour: float = 0.056
    memory_gb_hour: float = 0.003557
    shuffled_gb: float = 0.011
    disk_gb_hour: float = 0.000054
    storage_gb_month: float = 0.020
    thousand_writes: float = 0.005
    thousand_reads: float = 0.0004


@dataclass(frozen=True)
class Workload:
    """Who records, each for so many hours of a day; 200 KB a minute is a desktop with pictures before actions."""

    people: int
    hours: float
    kb_per_minute: float = 200.0
    segment_minutes: float = 5.0
    keep_days: float = 30.0

    @property
    def input_bytes(self) -> float:
        """A day's segments."""
        return self.people * self.hours * 60 * self.kb_per_minute * 1000

    @property
    def segments(self) -> int:
        """A day's files."""
        return math.ceil(self.people * self.hours * 60 / self.segment_minutes)


@dataclass(frozen=True)
class Machine:
    """A worker: 2 vCPU with 4 GB each (n2-standard-2); a run takes less than 1 GB, and disks only hold the system."""

    vcpus: int = 2
    memory_gb: float = 8.0
    disk_gb: float = 25.0


@dataclass(frozen=True)
class Estimate:
    """What a day takes. Money in US dollars: of one run, by what it is for, and of a month of what is kept."""

    input_bytes: float
    output_bytes: float
    shuffled_bytes: float
    segments: int
    vcpu_hours: float
    workers: int
    wall_hours: float
    run_usd: dict[str, float]
    storage_usd_month: float
    assumptions: dict[str, Any] = field(default_factory=dict)

    @property
    def total_run_usd(self) -> float:
        """One run."""
        return sum(self.run_usd.values())

    def to_dict(self) -> dict[str, Any]:
        """For a program."""
        return asdict(self) | {"total_run_usd": self.total_run_usd}


def estimate(
    workload: Workload,
    *,
    deadline_h: float = 8.0,
    workers: int = 0,
    machine: Machine = Machine(),
    prices: Prices = Prices(),
    mb_per_s_per_vcpu: float = MB_PER_S_PER_VCPU,
) -> Estimate:
    """A day's run that ends within `deadline_h`, or by so many `workers` if that is given.

    Raises `ValueError` for a deadline that is over before the workers have started.
    """
    if deadline_h <= START_H and not workers:
        raise ValueError(f"a deadline of {deadline_h:g} h is less than the start of the workers takes ({START_H:g} h)")
    vcpu_hours = workload.input_bytes / (mb_per_s_per_vcpu * 1e6) / 3600
    workers = workers or max(1, math.ceil(vcpu_hours / machine.vcpus / (deadline_h - START_H)))
    wall_hours = START_H + vcpu_hours / (workers * machine.vcpus)
    worker_hours = workers * wall_hours
    shuffled_bytes = workload.input_bytes * SHUFFLED_SHARE
    output_bytes = workload.input_bytes * OUTPUT_SHARE
    kept_gb = (workload.input_bytes + output_bytes) / 1e9 * workload.keep_days
    run_usd = {
        "cores": worker_hours * machine.vcpus * prices.vcpu_hour,
        "memory": worker_hours * machine.memory_gb * prices.memory_gb_hour,
        "disks": worker_hours * machine.disk_gb * prices.disk_gb_hour,
        "shuffle": shuffled_bytes / 1e9 * prices.shuffled_gb,
        "requests": workload.segments
        / 1000
        * (READS_A_SEGMENT * prices.thousand_reads + WRITES_A_SEGMENT * prices.thousand_writes),
    }
    return Estimate(
        workload.input_bytes,
        output_bytes,
        shuffled_bytes,
        workload.segments,
        vcpu_hours,
        workers,
        wall_hours,
        run_usd,
        kept_gb * prices.storage_gb_month,
        {
            "workload": asdict(workload),
            "machine": asdict(machine),
            "prices_usd": asdict(prices),
            "mb_per_s_per_vcpu": mb_per_s_per_vcpu,
            "output_share": OUTPUT_SHARE,
            "shuffled_share": SHUFFLED_SHARE,
            "start_hours": START_H,
        },
    )
