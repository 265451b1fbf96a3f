"""Training runs in two processes that `accelerate launch` starts, and what is compared of their results."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

REPOSITORY = Path(__file__).parents[2]
# Port 0: any that is free. The rest is said so that accelerate need not guess it aloud.
LAUNCH = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes=2"]
LAUNCH += ["--num_machines=1", "--main_process_port=0", "--mixed_precision=no", "--dynamo_backend=no"]
SEVERAL_RUNS = "tests.gpu_workers.several_runs"


def settings(folder: Path, name: str, **changes: Any) -> dict[str, Any]:
    places = {"base": str(folder / "base"), "data": str(folder / "data"), "output": str(folder / name)}
    return {**places, "learning_rate": 3e-3, "epochs": 2, "threads": 1, "kl_prompts": 2, **changes}


def launch(
    folder: Path, runs: list[dict[str, Any]], *way: str
) -> tuple[int, list[list[dict[str, Any]]], str]:
    """The status of two processes that make these runs, what each run said, and the standard error."""
    file = folder / "runs.json"
    file.write_text(json.dumps(runs))
    done = run([*LAUNCH, *way, "-m", SEVERAL_RUNS, str(file)])
    said: list[list[dict[str, Any]]] = [[]]
    for event in events(done.stdout):
        if event["event"] == "over":
            said.append([])
        else:
            said[-1].append(event)
    return done.returncode, said, done.stderr


def run(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=900,  # only where it hangs
    )


def events(output: str) -> list[dict[str, Any]]:
    """What was said on standard output, where the launcher may log too."""
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def weights(output: Path) -> dict[str, torch.Tensor]:
    return {
        f"{file.name} {name}": tensor
        for file in sorted(output.glob("model/*.safetensors"))
        for name, tensor in load_file(file).items()
    }


def assert_alike(output: Path, other: Path) -> None:
    """The results of two runs are the same but for rounding."""
    one, two = weights(output), weights(other)
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        # A constant added to all rewards changes no loss: AdamW makes steps of the rounding alone.
        if name != "reward_head.safetensors rewards.bias":
            torch.testing.assert_close(tensor, two[name], atol=5e-5, rtol=1e-4, msg=name)


def apart(output: Path, other: Path) -> float:
    """How far the weights of two results are apart at most."""
    one, two = weights(output), weights(other)
    return max(float((one[name] - two[name]).abs().max()) for name in one)
