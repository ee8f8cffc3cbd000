"""The simulator: people at work, acted out, with the truth of what they did beside the segments.

It writes what capture clients write, so that pipelines can be tried at any size without anybody's recording. What
is acted out is known exactly: `truth/participant=<p>/` says which actions and episodes a correct reducer must find.

    from taskreel.capture.simulator import SimulationOptions, simulate
    simulate(LocalStore("/tmp/segments"), SimulationOptions(participants=3, minutes=20))

How hard people are, and why so, is in `docs/simulator.md`. The parts, each on what is above it: `dice` and `people`;
`documents`, `windows` and `screens`, what there is to see; `script`, what is done; `acts`, `mouse` and `keyboard`, how;
`behaviors`, `tasks` and `workday`, why; `pointer`, `typing_`, `recording` and `truth`, what is written of it.

The same options give the same bytes: all chance comes from a seeded PCG64, and arithmetic on random numbers is
limited to what IEEE 754 fixes (no exp, log or sin, whose last bit differs by processor).
"""

from taskreel.capture.simulator.cohort import SimulationSummary, simulate
from taskreel.capture.simulator.options import SimulationOptions

__all__ = ["SimulationOptions", "SimulationSummary", "simulate"]
