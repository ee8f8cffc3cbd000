"""A step reads a file by its path on the launching machine."""

import sys
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from office.steps import Work


def main(arguments: list[str]) -> None:
    with beam.Pipeline(options=PipelineOptions(arguments)) as pipeline:
        words = Path(__file__).with_name("words.txt").absolute()
        _ = pipeline | beam.Create([1, 2, 3]) | "Work" >> beam.ParDo(Work(str(words)))


if __name__ == "__main__":
    main(sys.argv[1:])
