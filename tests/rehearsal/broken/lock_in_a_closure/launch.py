"""A step is a function around a lock, which no worker can get."""

import multiprocessing
import sys

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions


def main(arguments: list[str]) -> None:
    with beam.Pipeline(options=PipelineOptions(arguments)) as pipeline:
        lock = multiprocessing.Lock()

        def work(element: int) -> int:
            with lock:
                return element

        _ = pipeline | beam.Create([1, 2, 3]) | "Work" >> beam.Map(work)


if __name__ == "__main__":
    main(sys.argv[1:])
