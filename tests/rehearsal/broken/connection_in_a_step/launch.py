"""A step is a function around an open connection, which no worker can get."""

import sqlite3
import sys

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions


def main(arguments: list[str]) -> None:
    with beam.Pipeline(options=PipelineOptions(arguments)) as pipeline:
        connection = sqlite3.connect(":memory:")

        def work(element: int) -> int:
            return element + connection.total_changes

        _ = pipeline | beam.Create([1, 2, 3]) | "Work" >> beam.Map(work)


if __name__ == "__main__":
    main(sys.argv[1:])
