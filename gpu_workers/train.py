"""`python -m gpu_workers.train CONFIG.json`: a training run as a process of its own.

Prints one JSON object a line: {"event": "started" | "reference" | "step" | "checkpoint" | "eval" | "notice" |
"done" | "stopped" | "error", ...}. Ends with 0 when the model is written, 1 after an error (also one
sentence on standard error), and 143 when it was asked to end (SIGTERM) and has saved its state; run again,
it goes on.
"""

import argparse
import ctypes
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from gpu_workers.saying import alone_on_standard_output, say

STOPPED = 143


def die_with(parent: int) -> None:
    """Have Linux kill this process when `parent`, which started it, is gone: no run without its worker."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1 is PR_SET_PDEATHSIG
    if os.getppid() != parent:
        raise SystemExit(STOPPED)  # it was gone before we asked


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m gpu_workers.train",
        description="Fine-tune a checkpoint on the rankings of a K-wise data set, or go on with that.",
    )
    parser.add_argument("config", type=Path, help="settings as JSON: data, base, output, …")
    parser.add_argument("--die-with", type=int, metavar="PID", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    given = _arguments(arguments)
    if given.die_with:
        die_with(given.die_with)
    with alone_on_standard_output():
        return _train(given.config)


def _train(config: Path) -> int:
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Threads that wait must sleep: where web and generation want the same cores, spinning costs tenfold.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # After the signals: loading torch takes seconds.
    from gpu_workers.kwise.config import read_config
    from gpu_workers.kwise.errors import Stopped, TrainingError
    from gpu_workers.kwise.sharing import join_processes, leave_processes, lost_another
    from gpu_workers.kwise.trainer import train

    try:
        train(read_config(config), say, stop.is_set, join_processes())
    except TrainingError as error:
        say("error", message=str(error))
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        # A full or read-only disk, most likely; what was saved before is whole.
        sentence = f"{error.strerror or error} ({error.filename or 'the output folder'})."
        say("error", message=sentence)
        print(sentence, file=sys.stderr)
        return 1
    except RuntimeError as error:
        if not lost_another(error):
            raise
        sentence = "Another process of this run has ended; what it said tells why."
        say("error", message=sentence)
        print(sentence, file=sys.stderr)
        return 1
    except Stopped as reason:
        say("stopped", message=str(reason))
        return STOPPED
    finally:
        leave_processes()
    return 0


if __name__ == "__main__":
    sys.exit(main())
