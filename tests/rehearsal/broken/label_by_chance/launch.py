"""A label is another one at each launch, so no update of the job finds its state."""

import sys
import uuid

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from office.steps import Work


def main(arguments: list[str]) -> None:
    with beam.Pipeline(options=PipelineOptions(arguments)) as pipeline:
        _ = pipeline | beam.Create([1, 2, 3]) | f"Work{uuid.uuid4()}" >> beam.ParDo(Work())


if __name__ == "__main__":
    main(sys.argv[1:])
