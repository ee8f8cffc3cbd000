"""A step holds 11 MB of data, which go into the graph."""

import random
import sys

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from office.steps import Work


def main(arguments: list[str]) -> None:
    with beam.Pipeline(options=PipelineOptions(arguments)) as pipeline:
        table = random.Random(1).randbytes(8_300_000)  # a third more, as text in the graph
        _ = pipeline | beam.Create([1, 2, 3]) | "Work" >> beam.ParDo(Work(table))


if __name__ == "__main__":
    main(sys.argv[1:])
