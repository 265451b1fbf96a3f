"""One training run from its settings to its result, in an order that leaves nothing half written.

Everything that can be wrong with the input is found before the output folder is touched. After that the run
can be killed at any moment: called again with the same settings it goes on from its last checkpoint.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from gpu_workers.kwise import fresh, reference
from gpu_workers.kwise.checkpoints import load_newest, save_checkpoint
from gpu_workers.kwise.config import TrainingConfig
from gpu_workers.kwise.data import RankingData
from gpu_workers.kwise.encoding import EncodedRanking
from gpu_workers.kwise.errors import ShortOfMemory, Stopped
from gpu_workers.kwise.models import Base, check_base, needs_frozen_copy
from gpu_workers.kwise.objectives import Objective
from gpu_workers.kwise.opening import open_trainable, open_trained
from gpu_workers.kwise.outcome import write_model
from gpu_workers.kwise.output import held_output
from gpu_workers.kwise.policy import Policy, is_out_of_memory
from gpu_workers.kwise.preparation import Splits, encode, objective_of, read_data
from gpu_workers.kwise.reference import ReferenceCache
from gpu_workers.kwise.schedules import learning_rate
from gpu_workers.kwise.scoring import PATHS, choose_path
from gpu_workers.kwise.sharding import check_sharded
from gpu_workers.kwise.sharing import ALONE, Share
from gpu_workers.kwise.state import restore, snapshot, take_no_more, write_down_less
from gpu_workers.kwise.trial import try_out

Emit = Callable[..., None]  # emit("step", step=1, loss=…)


def train(
    config: TrainingConfig,
    emit: Emit,
    stop: Callable[[], bool] = lambda: False,
    share: Share = ALONE,
) -> dict[str, Any]:
    """Run, or go on with, the training that `config` describes. Returns the summary that its manifest has.

    `emit` is told of each event; `stop` is asked between steps. Raises TrainingError with a sentence for
    the user, and Stopped after the state was saved.
    """
    objective = objective_of(config)
    if share.sharding:
        check_sharded(config, share.sharding)
    check_base(Path(config.base))
    data = read_data(config, objective)
    if config.threads:
        torch.set_num_threads(config.threads)
    if config.sft_epochs and not config.dry_run:
        config = _warmed_up(config, emit, stop, share)
    base = open_trainable(config, objective, in_main_memory=share.sharded)
    splits = encode(base, config, data, objective)
    if config.dry_run:
        with TemporaryDirectory() as folder:
            bare = replace(config, reference_cache=folder)
            return Run(bare, objective, data, base, splits, Path(folder), emit, stop, share).go()
    with held_output(config, data, base, share) as output:
        return Run(config, objective, data, base, splits, output, emit, stop, share).go()


def _warmed_up(config: TrainingConfig, emit: Emit, stop: Callable[[], bool], share: Share) -> TrainingConfig:
    """The settings with a base that has learnt the best responses first: a run of its own, in OUTPUT/warm.

    The preference steps take that model for their reference, not the cold one.
    """
    output = Path(config.output) / "warm"
    first = replace(
        config,
        sft_epochs=0,
        objective="sft",
        objective_options={},
        curriculum="none",
        epochs=config.sft_epochs,
        output=str(output),
        kl_prompts=0,
        online_kl=0.0,
    )

    def told(event: str, **values: Any) -> None:
        if event == "step":
            emit("warm", step=values["step"], steps=values["steps"], loss=values["loss"])
        elif event in ("notice", "reference"):
            emit(event, **values)

    train(first, told, stop, share)
    share.wait()
    return replace(config, base=str(output / "model"))


class Run:
    """One attempt at a run, with all its parts open."""

    def __init__(
        self,
        config: TrainingConfig,
        objective: Objective,
        data: RankingData,
        base: Base,
        splits: Splits,
        output: Path,
        emit: Emit,
        stop: Callable[[], bool],
        share: Share = ALONE,
    ) -> None:
        self.config, self.data, self.base, self.output = config, data, base, output
        self.emit = emit if share.first else lambda event, **values: None
        self.stop, self.share = lambda: share.any(stop()), share
        self.rankings, self.held_out = splits.train, splits.held_out
        self.per_epoch = -(-len(self.rankings) // config.batch_size)
        self.steps = self.per_epoch * config.epochs
        self.parameters = sum(p.numel() for p in base.model.parameters() if p.requires_grad)
        if needs_frozen_copy(config, objective):
            base.keep_frozen_copy()
        if config.compile:
            base.compile()
        if share.sharding:
            base.share_out(share.sharding, config)
        self.path, notice = base.with_weights(
            partial(choose_path, base.model, self.rankings[0], config.scoring)
        )
        if notice:
            self.emit("notice", message=notice)
        cache = Path(config.reference_cache) if config.reference_cache else output / "state" / "reference"
        kind = f"{base.numbers}-{self.path}"
        known = ReferenceCache(
            cache,
            base_sha256=base.sha256,
            kind=kind,
            by_token=objective.level != "responses",
            rank=share.rank,
        )
        path = PATHS[self.path]
        self.policy = Policy(base, config, objective, known, path, config.micro_batch, share)
        self.before = output / "state" / "before.json"
        self.saved_at = time.monotonic()
        self.saved_step = -1
        self.speed = 0.0  # tokens a second, a running mean

    def go(self) -> dict[str, Any]:
        finished = self.output / "model" / "manifest.json"
        if self.share.any(finished.exists()):
            # Killed after the result was written: say so again.
            return self._done(json.loads(finished.read_text()))
        if self.config.dry_run:
            return try_out(self)
        self._score_reference()
        step = self._resume()
        self.emit("started", **self._describe(step))
        if step == 0 and self.held_out:
            seen = self._evaluate(step)
            if self.share.first:
                self.before.write_text(json.dumps(seen))
        while step < self.steps:
            if self.stop():
                self._save(step)
                raise Stopped(f"The run was asked to end; {step} of {self.steps} steps are saved.")
            step = self._step(step)
            if (
                step < self.steps
                and self.config.eval_every_steps
                and step % self.config.eval_every_steps == 0
            ):
                self._evaluate(step)
        self._save(step)
        return self._finish()

    def _score_reference(self) -> None:
        def note(done: int, total: int) -> None:
            self.emit("reference", done=done, total=total)

        if self.policy.objective.head:
            return  # rewards have none
        self.policy.reference.adopt(
            [*self.data.train, *self.data.held_out], revision=self.base.sha256, dtype=self.base.numbers
        )
        # Under LoRA a fresh adapter changes nothing, and the resumed weights are not in yet.
        reference.fill(
            self.policy.reference,
            self.base.model,
            [*self.rankings, *self.held_out],
            PATHS[self.path],
            precision=self.base.precision,
            stop=self.stop,
            note=note,
            tokens=self.config.micro_batch_tokens,
            share=self.share,
            with_weights=self.base.with_weights,
        )

    def _resume(self) -> int:
        found = load_newest(self.output / "state", lambda message: self.emit("notice", message=message))
        if found is not None:
            restore(self.policy, found)
            self.saved_step = found.step
        if take_no_more(self.policy, self.output / "state"):
            self.emit("notice", message=f"Memory ran out before: {self._at_a_time()} at a time from here.")
        return 0 if found is None else found.step

    def _describe(self, step: int) -> dict[str, Any]:
        return {
            "step": step,
            "steps": self.steps,
            "resumed": step > 0,
            "objective": self.config.objective,
            "rankings": len(self.rankings),
            "held_out": len(self.held_out),
            "parameters": self.parameters,
            "device": str(self.base.device),
            "dtype": self.base.numbers,
            "scoring": self.path,
            "processes": self.share.world,
            "sharded": self.share.sharded,
            "data": asdict(self.data.report),
        }

    def batch(self, step: int) -> list[EncodedRanking]:
        """The rankings of one step: every epoch is a shuffle that its number and the seed decide."""
        epoch, place = divmod(step, self.per_epoch)
        shuffled = torch.Generator().manual_seed(self.config.seed * 1_000_003 + epoch)
        order = torch.randperm(len(self.rankings), generator=shuffled).tolist()
        chosen = order[place * self.config.batch_size : (place + 1) * self.config.batch_size]
        return [self.rankings[i] for i in chosen]

    def _step(self, step: int) -> int:
        began, before = time.perf_counter(), (self.policy.micro_batch, self.policy.by_response)
        rate, stage = learning_rate(self.config, step, self.steps), (step + 1) / self.steps
        try:
            seen = self.policy.step(self.batch(step), rate, stage)
        except ShortOfMemory:
            write_down_less(self.policy, self.output / "state")
            then = f"Run it again: it goes on from its last checkpoint, {self._at_a_time()} at a time."
            raise ShortOfMemory(then) from None
        if (self.policy.micro_batch, self.policy.by_response) != before:
            self.emit("notice", message=f"Memory ran out: {self._at_a_time()} at a time from here.")
        step += 1
        speed = seen["tokens"] / (time.perf_counter() - began)
        self.speed = speed if not self.speed else 0.9 * self.speed + 0.1 * speed
        epoch = round(step / self.per_epoch, 3)
        self.emit("step", step=step, steps=self.steps, epoch=epoch, tokens_per_second=round(speed, 1), **seen)
        due = self.share.any(time.monotonic() - self.saved_at >= self.config.checkpoint_every_seconds)
        if due or step - max(self.saved_step, 0) >= self.config.checkpoint_every_steps:
            self._save(step)
        return step

    def _at_a_time(self) -> str:
        if self.policy.by_response:
            return "one response"
        return f"{self.policy.micro_batch} rankings"

    def _save(self, step: int) -> None:
        if step == self.saved_step:
            return
        state = snapshot(self.policy, step)
        if self.share.first:
            save_checkpoint(self.output / "state", state)
        self.saved_at, self.saved_step = time.monotonic(), step
        self.emit("checkpoint", step=step)

    def _evaluate(self, step: int) -> dict[str, Any] | None:
        if not self.held_out:
            return None
        seen = self.policy.evaluate(self.held_out)
        self.emit("eval", step=step, steps=self.steps, **seen)
        return seen

    def _finish(self) -> dict[str, Any]:
        last = self._evaluate(self.steps)
        summary = {
            "steps": self.steps,
            "rankings": len(self.rankings),
            "held_out_rankings": len(self.held_out),
            "data": asdict(self.data.report),
            "tokens": self.policy.tokens_seen,
            "tokens_per_second": round(self.speed, 1),
            "scoring": self.path,
            "before": self._before(),
            "after": last,
            "fresh": self._of_samples(),
        }
        # Shared out or in four bits, the model is opened once more: the result is whole.
        again = self.share.sharded or self.base.quantised
        trained = self.policy.optimiser.values(keep=self.share.first) if again else {}
        if not self.share.first:
            self.share.wait()
            return summary
        objective = self.policy.objective
        base = open_trained(self.config, objective, trained) if again else self.base
        folder = write_model(base, self.config, self.data, summary, objective)
        self.share.wait()
        return self._done(json.loads((folder / "manifest.json").read_text()))

    def _before(self) -> dict[str, Any] | None:
        """The held-out figures of the base, kept from before the first step."""
        return dict(json.loads(self.before.read_text())) if self.before.exists() else None

    def _of_samples(self) -> dict[str, Any] | None:
        """What fresh samples say of the trained model; None where it writes nothing or memory is short."""
        if self.policy.objective.head:
            return None
        asked = [one.prompt for one in self.held_out or self.rankings]
        longest = max(len(response) for one in self.rankings for response in one.responses)
        try:
            return fresh.compare_with_base(self.policy, self.data, asked, longest=longest)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            if self.share.sharded:
                raise ShortOfMemory("Set kl_prompts to 0 and run it again: it goes on.") from None
            self.emit("notice", message="There was no memory left to sample fresh responses; no KL is given.")
            return None

    def _done(self, manifest: dict[str, Any]) -> dict[str, Any]:
        folder = os.fspath(self.output / "model")
        self.emit("done", step=self.steps, steps=self.steps, model=folder, summary=manifest["summary"])
        return dict(manifest["summary"])
