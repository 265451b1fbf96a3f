"""`accelerate launch … -m tests.gpu_workers.several_runs FILE`: training runs one after the other in the
processes that the launcher started, which take longer to start than the runs.

FILE is a list of {"settings": …}. With "killed_at" the first process kills itself after that step, as a power
cut would; with "stopped_at" the run is asked to end when it has asked so often whether it should. "sharding"
is another way to share the model out than the launcher's, or null for none.
With --short-of-memory FILE has settings alone, and a whole ranking does not fit into the second process.
"""

import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from gpu_workers import train as command
from gpu_workers.kwise.config import parse_config
from gpu_workers.kwise.encoding import EncodedRanking
from gpu_workers.kwise.errors import Stopped, TrainingError
from gpu_workers.kwise.gradients import Outputs
from gpu_workers.kwise.launching import Sharding
from gpu_workers.kwise.policy import Policy
from gpu_workers.kwise.sharing import join_processes, leave_processes
from gpu_workers.kwise.trainer import train
from gpu_workers.saying import alone_on_standard_output, say


def main() -> None:
    torch.set_num_threads(1)
    # Layers are traced for the compiler and run as they are: what follows on that takes minutes.
    torch.compiler.set_default_backend("eager")
    started = join_processes()
    for run in json.loads(Path(sys.argv[1]).read_text()):
        share = started
        if "sharding" in run:
            share = replace(share, sharding=run["sharding"] and Sharding(**run["sharding"]))

        def told(event: str, killed_at: int | None = run.get("killed_at"), **values: Any) -> None:
            say(event, **values)
            if event == "step" and values["step"] == killed_at:
                os.kill(os.getpid(), signal.SIGKILL)

        asked = iter([False] * run.get("stopped_at", 10**6))
        try:
            train(parse_config(run["settings"]), told, lambda asked=asked: next(asked, True), share)
        except TrainingError as error:
            say("error", message=str(error))
        except Stopped:
            pass
        if share.first:
            say("over")
    leave_processes()


def short_of_memory() -> int:
    """The command itself, where learning from more than one response at a time is too much."""
    torch.set_num_threads(1)
    given = Policy.outputs

    def outputs(self: Policy, rankings: Sequence[EncodedRanking], k: int) -> Outputs:
        held = sum(len(ranking.responses) for ranking in rankings)
        if self.share.rank == 1 and torch.is_grad_enabled() and held > 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return given(self, rankings, k)

    Policy.outputs = outputs  # type: ignore[method-assign]
    return command.main([sys.argv[2]])


if __name__ == "__main__":
    if sys.argv[1] == "--short-of-memory":
        sys.exit(short_of_memory())
    with alone_on_standard_output():
        main()
