"""The command `taskreel plan`: what a day of many people takes."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from taskreel.app import JsonOption, app, duration_s, fail


@app.command(epilog="Example: taskreel plan --people 10000 --hours 10 --deadline 8h")
def plan(
    people: Annotated[int, typer.Option(help="How many record.", min=1)],
    hours: Annotated[float, typer.Option(help="Each so many hours a day.", min=0.01, max=24)],
    kb_per_minute: Annotated[float, typer.Option(help="What one person records.", min=0.1)] = 200.0,
    segment_minutes: Annotated[float, typer.Option(help="Length of a segment.", min=0.05)] = 5.0,
    keep_days: Annotated[float, typer.Option(help="How long segments and dataset are kept.", min=0)] = 30.0,
    deadline: Annotated[str, typer.Option(help="Within this time the run has to end, e.g. 8h.")] = "8h",
    workers: Annotated[int, typer.Option(help="Use so many workers instead of what the deadline asks for.", min=0)] = 0,
    mb_per_s: Annotated[float, typer.Option(help="What one core gets done, MB/s; as measured.", min=0.1)] = 50.0,
    prices: Annotated[str, typer.Option(help='Your own prices, JSON: {"vcpu_hour": 0.05, …}.')] = "{}",
    json_: JsonOption = False,
) -> None:
    """Estimate the bytes, workers, hours, storage and money of a day's run on Dataflow, from stated prices."""
    from taskreel.pipelines.planning import Prices, Workload, estimate

    try:
        chosen = Prices(**{name: float(value) for name, value in dict(json.loads(prices)).items()})
    except json.JSONDecodeError:
        fail(f"""--prices {prices}: is no JSON; give it as '{{"vcpu_hour": 0.05}}'""")
    except (ValueError, TypeError) as error:
        fail(f"--prices: {error}; known are {', '.join(Prices.__dataclass_fields__)}")
    try:
        workload = Workload(people, hours, kb_per_minute, segment_minutes, keep_days)
        deadline_h = duration_s("--deadline", deadline) / 3600
        found = estimate(workload, deadline_h=deadline_h, workers=workers, prices=chosen, mb_per_s_per_vcpu=mb_per_s)
    except ValueError as error:
        fail(str(error))
    if json_:
        print(json.dumps(found.to_dict()))
        return
    machine = found.assumptions["machine"]
    print(f"{people:,} people for {hours:g} h a day, {kb_per_minute:g} KB a minute each:")
    print(f"  segments   {found.segments:>12,}   {found.input_bytes / 1e12:.3g} TB a day")
    print(f"  dataset    {'':12}   {found.output_bytes / 1e12:.3g} TB a day")
    print(f"  work       {found.vcpu_hours:>12.1f}   core hours, at {mb_per_s:g} MB/s a core")
    print(f"  workers    {found.workers:>12,}   with {machine['vcpus']} cores, {machine['memory_gb']:g} GB each")
    print(f"  time       {found.wall_hours:>12.1f}   hours, with the start of the workers")
    for name, usd in found.run_usd.items():
        print(f"  {name:10} {usd:>12.2f}   USD a run")
    print(f"  together   {found.total_run_usd:>12.2f}   USD a run")
    print(f"  storage    {found.storage_usd_month:>12.2f}   USD a month, with {keep_days:g} days kept")
    print(
        "Prices are about the list prices of us-central1 in 2025: compare them with those of today, or give --prices."
    )
