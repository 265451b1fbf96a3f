"""`python -m gpu_workers.demo FOLDER`: train the demo's models into FOLDER, or find them there.

Prints one JSON object a line: {"event": "checkpoint" | "progress" | "notice" | "done" | "error", …}.
"""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_workers.saying import alone_on_standard_output, say
from gpu_workers.train import die_with

if TYPE_CHECKING:
    from gpu_workers.demo.recipe import Recipe

FEWEST_STEPS = 50


def shortened(recipe: "Recipe", steps: int) -> "Recipe":
    """The same models after the same shares of a shorter course."""
    models = tuple(
        replace(model, step=round(model.step * steps / recipe.course.steps)) for model in recipe.models
    )
    return replace(recipe, course=replace(recipe.course, steps=steps), models=models)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m gpu_workers.demo", description="Train the demo's models."
    )
    parser.add_argument("folder", type=Path, help="where the checkpoints go, and are found again")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="CPU threads")
    parser.add_argument("--steps", type=int, help="train for fewer steps than the recipe: sooner, and worse")
    parser.add_argument("--die-with", type=int, metavar="PID", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.die_with:
        die_with(given.die_with)
    with alone_on_standard_output():
        return _build(given)


def _build(given: argparse.Namespace) -> int:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Threads that wait must sleep: on a small machine others (web, generation) want the cores,
    # and threads that spin for each other then make a build ten times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # After the settings above, which torch reads when it is loaded.
    import torch

    from gpu_workers.demo.build import build
    from gpu_workers.demo.recipe import DEMO

    if given.steps is not None and not FEWEST_STEPS <= given.steps <= DEMO.course.steps:
        say("error", message=f"--steps is {given.steps}; it is {FEWEST_STEPS} to {DEMO.course.steps}.")
        return 1
    torch.set_num_threads(given.threads)
    try:
        build(DEMO if given.steps is None else shortened(DEMO, given.steps), given.folder, say)
    except OSError as error:
        say("error", message=f"{error.strerror or error} ({error.filename or given.folder}).")
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
