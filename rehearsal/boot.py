"""What a worker's container runs first, here by its own Python: learn where the runner is, then be an SDK worker.

It is copied beside the worker's environment and imports nothing of taskreel: the worker may not have it. Its arguments
are those of Beam's container contract. A worker that ends by an exception leaves it in the file `died`.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from pathlib import Path


def main() -> None:
    """Be a worker until the runner hangs up."""
    parser = argparse.ArgumentParser()
    for name in ("id", "logging_endpoint", "artifact_endpoint", "provision_endpoint", "control_endpoint"):
        parser.add_argument(f"--{name}", default="")
    arguments = parser.parse_args()
    folder = Path(__file__).parent
    os.environ |= {
        "WORKER_ID": arguments.id,
        "LOGGING_API_SERVICE_DESCRIPTOR": f'url: "{arguments.logging_endpoint}"',
        "CONTROL_API_SERVICE_DESCRIPTOR": f'url: "{arguments.control_endpoint}"',
        "SEMI_PERSISTENT_DIRECTORY": str(folder),
        "PIPELINE_OPTIONS_FILE": str(folder / "options.json"),
    }
    try:
        from apache_beam.runners.worker import sdk_worker, sdk_worker_main

        # Workers number their metrics, each from 1 on, and Prism 2.77 keeps one list of these numbers for all of them.
        sdk_worker.SHORT_ID_CACHE._last_short_id = int(arguments.id.rpartition("_")[2]) << 20
        sdk_worker_main.main(sys.argv)
    except BaseException:
        (folder / "died").write_text(traceback.format_exc(), encoding="utf-8")
        raise


if __name__ == "__main__":
    main()
