"""The package reads a file of its own, which its setup.py does not name."""

import sys

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from office.steps import Work


def main(arguments: list[str]) -> None:
    with beam.Pipeline(options=PipelineOptions(arguments)) as pipeline:
        _ = pipeline | beam.Create([1, 2, 3]) | "Work" >> beam.ParDo(Work())


if __name__ == "__main__":
    main(sys.argv[1:])
