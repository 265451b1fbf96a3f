"""`python -m gpu_workers.demo` with the tiny recipe in the place of the demo's."""

import sys

from gpu_workers.demo import __main__ as command
from gpu_workers.demo import recipe
from tests.gpu_workers.small import TINY

if __name__ == "__main__":
    recipe.DEMO = TINY
    sys.exit(command.main([*sys.argv[1:], "--threads", "1"]))
