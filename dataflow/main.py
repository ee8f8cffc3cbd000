"""What the launcher of the flex template starts: the pipeline `taskreel.pipelines.episodes`, by `taskreel run`."""

import sys

from taskreel.template import launch

if __name__ == "__main__":
    launch(sys.argv[1:])
