"""Builds the demo's checkpoints into a cache folder: each appears whole, and none is built twice.

FOLDER/HASH/NAME is a finished checkpoint (safetensors, tokenizer, generation settings);
FOLDER/HASH/state.pt is how far the base run is. Ended at any moment and started again, a
build goes on from its last snapshot; started twice at once, the second waits for the first.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from gpu_workers.demo.recipe import Model, Recipe
from gpu_workers.demo.text import train_tokenizer
from gpu_workers.demo.training import Run, new_model

Say = Callable[..., None]
TELL_EVERY = 1.0  # seconds between two progress lines


def build(recipe: Recipe, folder: Path, say: Say) -> Path:
    """Make what is missing and return FOLDER/HASH.

    `say(event, **values)` hears "checkpoint" once for each contestant, as soon as its
    checkpoint is there, "progress" about every second, and "done".
    """
    home = folder / recipe.digest()
    home.mkdir(parents=True, exist_ok=True)
    started, used = time.monotonic(), time.process_time()
    with _alone(folder / f"{home.name}.lock"):
        _Build(recipe, home, say).run()
    say(
        "done",
        folder=str(home),
        seconds=round(time.monotonic() - started, 1),
        cpu_seconds=round(time.process_time() - used, 1),
    )
    return home


class _Build:
    def __init__(self, recipe: Recipe, home: Path, say: Say) -> None:
        self.recipe = recipe
        self.home = home
        self.say = say
        self.total = recipe.course.steps + sum(model.taste.steps for model in recipe.models if model.taste)
        self.done = 0
        self._told = 0.0

    def run(self) -> None:
        transformers_logging.disable_progress_bar()
        missing = [model for model in self.recipe.models if not (self.home / model.name).is_dir()]
        for model in self.recipe.models:
            if model not in missing:
                self._announce(model)
        if missing:
            tokenizer = train_tokenizer(
                vocabulary=self.recipe.size.vocabulary,
                samples=self.recipe.tokenizer_texts,
                seed=self.recipe.course.seed,
            )
            self._snapshots([model for model in missing if model.taste is None], tokenizer)
            for model in missing:
                if model.taste is not None:
                    self._tasted(model, tokenizer)
        (self.home / "state.pt").unlink(missing_ok=True)

    def _snapshots(self, missing: list[Model], tokenizer: PreTrainedTokenizerFast) -> None:
        """The base's course, with a checkpoint at each step that a model is missing at."""
        if not missing:
            return
        seed = self.recipe.course.seed
        run = Run(new_model(self.recipe.size, tokenizer, seed=seed), tokenizer, self.recipe.course)
        # Snapshots already there are not made again, but a state behind the missing one is needed.
        self._resume(run, min(model.step for model in missing))
        for model in sorted(missing, key=lambda one: one.step):
            run.advance(model.step, self._tell)
            self._keep(model, run.model, tokenizer)
            _write(self.home / "state.pt", lambda file: torch.save(run.state(), file))
        self.done = self.recipe.course.steps

    def _tasted(self, model: Model, tokenizer: PreTrainedTokenizerFast) -> None:
        """A course on top of the whole base."""
        assert model.taste is not None
        base = next(one for one in self.recipe.models if one.taste is None and one.step == model.step)
        copy: Any = AutoModelForCausalLM.from_pretrained(self.home / base.name, dtype=torch.float32)
        run = Run(copy, tokenizer, model.taste)
        before = self.done = max(self.done, self.recipe.course.steps)
        run.advance(model.taste.steps, lambda step, loss: self._tell(before + step, loss))
        self.done = before + model.taste.steps
        self._keep(model, run.model, tokenizer)

    def _resume(self, run: Run, step: int) -> None:
        file = self.home / "state.pt"
        try:
            state = torch.load(file, weights_only=True)
        except FileNotFoundError:
            return
        except Exception as error:
            # A spoiled file leads the unpickler to raise whatever it stumbles over.
            self.say("notice", message=f"{file} cannot be read ({error!r}); the base is trained anew.")
            return
        if state["step"] <= step:
            run.restore(state)

    def _keep(self, model: Model, trained: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
        """Write the checkpoint beside its place, then move it there: it is whole or absent."""
        unfinished = self.home / f"{model.name}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        trained.save_pretrained(unfinished)
        tokenizer.save_pretrained(unfinished)
        unfinished.rename(self.home / model.name)
        self._announce(model)

    def _announce(self, model: Model) -> None:
        for entry in self.recipe.entries:
            if entry.model == model.name:
                self.say(
                    "checkpoint",
                    name=entry.name,
                    folder=str(self.home / model.name),
                    parameters=entry.parameters,
                    description=entry.description,
                )

    def _tell(self, step: int, loss: float) -> None:
        now = time.monotonic()
        if now - self._told >= TELL_EVERY:
            self._told = now
            self.say("progress", done=step, total=self.total, loss=round(loss, 4))


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold the lock file; another build of the same models waits here."""
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _write(file: Path, write: Callable[[Path], None]) -> None:
    unfinished = file.with_name(f"{file.name}.unfinished")
    write(unfinished)
    with unfinished.open("rb") as handle:
        os.fsync(handle.fileno())
    unfinished.rename(file)
