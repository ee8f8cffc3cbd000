"""A step reads a variable that is set where the job is launched."""

import os
import sys

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from office.steps import Work


def main(arguments: list[str]) -> None:
    with beam.Pipeline(options=PipelineOptions(arguments)) as pipeline:
        _ = pipeline | beam.Create([1, 2, 3]) | "Work" >> beam.ParDo(Work())


if __name__ == "__main__":
    os.environ["OFFICE_LEVEL"] = "3"
    main(sys.argv[1:])
