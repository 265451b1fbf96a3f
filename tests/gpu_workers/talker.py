"""A child process that does what its first argument says; see test_demo_models."""

import json
import os
import signal
import sys
import time
from typing import Any


def say(**event: Any) -> None:
    print(json.dumps(event), flush=True)


if __name__ == "__main__":
    exec(sys.argv[1], {"say": say, "os": os, "sys": sys, "signal": signal, "time": time})
