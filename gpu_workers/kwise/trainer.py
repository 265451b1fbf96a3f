"""One training run from its settings to its result, in an order that leaves nothing half written.

Everything that can be wrong with the input is found before the output folder is touched. After that the run
can be killed at any moment: called again with the same settings it goes on from its last checkpoint.
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from gpu_workers.kwise import fresh, reference
from gpu_workers.kwise.checkpoints import load_newest, save_checkpoint
from gpu_workers.kwise.config import FREE_TO_CHANGE, TrainingConfig
from gpu_workers.kwise.data import RankingData, read_rankings
from gpu_workers.kwise.encoding import EncodedRanking, encode_rankings
from gpu_workers.kwise.errors import Stopped, TrainingError
from gpu_workers.kwise.models import Base, add_lora, check_base, open_base
from gpu_workers.kwise.objectives import Objective, find_objective
from gpu_workers.kwise.outcome import code_hash, write_model
from gpu_workers.kwise.policy import Policy, is_out_of_memory, learning_rate
from gpu_workers.kwise.reference import ReferenceCache
from gpu_workers.kwise.scoring import PATHS, choose_path

Emit = Callable[..., None]  # emit("step", step=1, loss=…)


def train(config: TrainingConfig, emit: Emit, stop: Callable[[], bool] = lambda: False) -> dict[str, Any]:
    """Run, or go on with, the training that `config` describes. Returns the summary that its manifest has.

    `emit` is told of each event; `stop` is asked between steps. Raises TrainingError with a sentence for
    the user, and Stopped after the state was saved.
    """
    objective = find_objective(config.objective, config.objective_options)
    check_base(Path(config.base))
    data = read_rankings(Path(config.data), uses_ties=objective.uses_ties)
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    base = open_base(config)
    splits = _encode(base, config, data, objective)
    if config.method == "lora":
        add_lora(base, config)
    with _output(config, data, base) as output:
        return Run(config, objective, data, base, splits, output, emit, stop).go()


def _encode(
    base: Base, config: TrainingConfig, data: RankingData, objective: Objective
) -> dict[str, list[EncodedRanking]]:
    longest = min(base.context, config.max_length or base.context)
    splits = {
        name: encode_rankings(
            base.tokenizer,
            rankings,
            longest=longest,
            system_prompt=config.system_prompt,
            report=data.report,
            uses_ties=objective.uses_ties,
        )
        for name, rankings in (("train", data.train), ("held_out", data.held_out))
    }
    if not splits["train"]:
        raise TrainingError(
            f"None of the {len(data.train)} rankings fits into {longest} tokens. "
            "Use a base with a longer context."
        )
    return splits


@contextmanager
def _output(config: TrainingConfig, data: RankingData, base: Base) -> Iterator[Path]:
    """The output folder, held by this process alone, and checked to be of this very run."""
    output = Path(config.output)
    state = output / "state"
    state.mkdir(parents=True, exist_ok=True)
    with (state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingError(
                f"Another training process is writing to {output}. Wait for it to end."
            ) from None
        _check_same_run(state / "run.json", config, data, base)
        yield output


def _check_same_run(file: Path, config: TrainingConfig, data: RankingData, base: Base) -> None:
    settings = {name: value for name, value in config.as_dict().items() if name not in FREE_TO_CHANGE}
    now = {**settings, "data": data.sha256, "base": base.sha256, "code": code_hash()}
    now = json.loads(json.dumps(now))
    if not file.exists():
        draft = file.with_suffix(".draft")
        draft.write_text(json.dumps(now, indent=1))
        draft.replace(file)
        return
    before = json.loads(file.read_text())
    changed = sorted(name for name in now | before if now.get(name) != before.get(name))
    if changed:
        raise TrainingError(
            f"The output folder {config.output} holds a run with another {', '.join(changed)}. "
            "Choose an empty folder, or put that back to go on with it."
        )


class Run:
    """One attempt at a run, with all its parts open."""

    def __init__(
        self,
        config: TrainingConfig,
        objective: Objective,
        data: RankingData,
        base: Base,
        splits: dict[str, list[EncodedRanking]],
        output: Path,
        emit: Emit,
        stop: Callable[[], bool],
    ) -> None:
        self.config, self.data, self.base, self.output = config, data, base, output
        self.emit, self.stop = emit, stop
        self.rankings, self.held_out = splits["train"], splits["held_out"]
        self.per_epoch = -(-len(self.rankings) // config.batch_size)
        self.steps = self.per_epoch * config.epochs
        self.path, notice = choose_path(base.model, self.rankings[0], config.scoring)
        if notice:
            emit("notice", message=notice)
        cache = Path(config.reference_cache) if config.reference_cache else output / "state" / "reference"
        kind = f"{str(base.compute_dtype).removeprefix('torch.')}-{self.path}"
        known = ReferenceCache(cache, base_sha256=base.sha256, kind=kind)
        self.policy = Policy(base, config, objective, known, PATHS[self.path], config.micro_batch)
        self.before = output / "state" / "before.json"
        self.saved_at = time.monotonic()
        self.saved_step = -1

    def go(self) -> dict[str, Any]:
        finished = self.output / "model" / "manifest.json"
        if finished.exists():
            # Killed after the result was written: say so again.
            return self._done(json.loads(finished.read_text()))
        self._score_reference()
        step = self._resume()
        self.emit("started", **self._describe(step))
        if step == 0 and self.held_out:
            self.before.write_text(json.dumps(self._evaluate(step)))
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
        )

    def _resume(self) -> int:
        found = load_newest(self.output / "state", lambda message: self.emit("notice", message=message))
        if found is None:
            return 0
        self.policy.restore(found)
        self.saved_step = found.step
        return found.step

    def _describe(self, step: int) -> dict[str, Any]:
        return {
            "step": step,
            "steps": self.steps,
            "resumed": step > 0,
            "objective": self.config.objective,
            "rankings": len(self.rankings),
            "held_out": len(self.held_out),
            "parameters": sum(p.numel() for p in self.policy.trained().values()),
            "device": str(self.base.device),
            "dtype": str(self.base.compute_dtype).removeprefix("torch."),
            "scoring": self.path,
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
        began, limit = time.perf_counter(), self.policy.micro_batch
        seen = self.policy.step(self.batch(step), learning_rate(self.config, step, self.steps))
        if self.policy.micro_batch != limit:
            message = f"Memory ran out: {self.policy.micro_batch} rankings at a time from here."
            self.emit("notice", message=message)
        step += 1
        speed = seen["tokens"] / (time.perf_counter() - began)
        epoch = round(step / self.per_epoch, 3)
        self.emit("step", step=step, steps=self.steps, epoch=epoch, tokens_per_second=round(speed, 1), **seen)
        due = time.monotonic() - self.saved_at >= self.config.checkpoint_every_seconds
        if due or step - max(self.saved_step, 0) >= self.config.checkpoint_every_steps:
            self._save(step)
        return step

    def _save(self, step: int) -> None:
        if step == self.saved_step:
            return
        save_checkpoint(self.output / "state", self.policy.snapshot(step))
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
            "scoring": self.path,
            "before": self._before(),
            "after": last,
            "fresh": self._sample(),
        }
        folder = write_model(self.base, self.config, self.data, summary)
        return self._done(json.loads((folder / "manifest.json").read_text()))

    def _before(self) -> dict[str, Any] | None:
        """The held-out figures of the base, kept from before the first step."""
        return dict(json.loads(self.before.read_text())) if self.before.exists() else None

    def _sample(self) -> dict[str, Any] | None:
        """Sequence KL and shape of fresh samples on held-out prompts (training prompts where none is held
        out).
        """
        prompts = list(dict.fromkeys(r.prompt for r in self.held_out or self.rankings))[
            : self.config.kl_prompts
        ]
        if not prompts:
            return None
        longest = max(len(response) for r in self.rankings for response in r.responses)
        longest = min(longest, self.base.context - max(map(len, prompts)))
        model, score = self.base.model, PATHS[self.path]
        try:
            samples = fresh.sample_responses(self.base, prompts, longest=longest, seed=self.config.seed)
            policy = fresh.sequence_log_probabilities(self.base, model, samples, score)
            with self._as_base():
                before = fresh.sequence_log_probabilities(self.base, model, samples, score)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            self.emit("notice", message="There was no memory left to sample fresh responses; no KL is given.")
            return None
        return fresh.describe(samples, policy, before, self.base.tokenizer.eos_token_id)

    @contextmanager
    def _as_base(self) -> Iterator[None]:
        """The model with the weights it began with."""
        if self.config.method == "lora":
            with self.base.model.disable_adapter():
                yield
            return
        trained = {name: p.detach().clone() for name, p in self.policy.trained().items()}
        original = open_base(self.config).model.state_dict()
        try:
            with torch.no_grad():
                for name, parameter in self.policy.trained().items():
                    parameter.copy_(original[name])
            yield
        finally:
            with torch.no_grad():
                for name, parameter in self.policy.trained().items():
                    parameter.copy_(trained[name])

    def _done(self, manifest: dict[str, Any]) -> dict[str, Any]:
        folder = os.fspath(self.output / "model")
        self.emit("done", step=self.steps, steps=self.steps, model=folder, summary=manifest["summary"])
        return dict(manifest["summary"])
