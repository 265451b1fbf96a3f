"""The model in training: scores rankings, takes optimiser steps, and gives and takes its whole state."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gpu_workers.kwise.checkpoints import Checkpoint
from gpu_workers.kwise.config import TrainingConfig
from gpu_workers.kwise.encoding import EncodedRanking
from gpu_workers.kwise.errors import TrainingError
from gpu_workers.kwise.metrics import join, watch
from gpu_workers.kwise.models import Base
from gpu_workers.kwise.objectives import Objective, Scores, winner_nll
from gpu_workers.kwise.reference import ReferenceCache
from gpu_workers.kwise.scoring import ScoringPath
from gpu_workers.kwise.votes import VoteBatch, vote_batch


def learning_rate(config: TrainingConfig, step: int, steps: int) -> float:
    """The rate at `step`, from 0: a linear warm-up, then the schedule, never below a thousandth."""
    warm = math.ceil(config.warmup * steps)
    if step < warm:
        return config.learning_rate * (step + 1) / warm
    along = (step - warm) / max(1, steps - warm)
    share = {"constant": 1.0, "linear": 1 - along, "cosine": 0.5 * (1 + math.cos(math.pi * along))}
    return config.learning_rate * max(share[config.schedule], 1e-3)


def split_batch(
    batch: Sequence[EncodedRanking], *, limit: int | None, tokens: int
) -> list[list[EncodedRanking]]:
    """The batch in parts that go through the model together.

    Alike in length, at most `limit` rankings and, padding counted, `tokens` tokens each; never less than one.
    """
    parts: list[list[EncodedRanking]] = []
    for ranking in sorted(batch, key=lambda ranking: ranking.packed_length, reverse=True):
        room = parts and len(parts[-1]) < (limit or len(batch))
        if room and (len(parts[-1]) + 1) * parts[-1][0].packed_length <= tokens:
            parts[-1].append(ranking)
        else:
            parts.append([ranking])
    return parts


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the device, or this machine, had no memory left for a tensor."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


@dataclass
class Policy:
    """Model, optimiser, objective and reference of one run."""

    base: Base
    config: TrainingConfig
    objective: Objective
    reference: ReferenceCache
    score: ScoringPath
    micro_batch: int | None = None
    tokens_seen: int = 0
    optimiser: torch.optim.Optimizer = field(init=False)

    def __post_init__(self) -> None:
        self.optimiser = torch.optim.AdamW(
            self.trained().values(), lr=self.config.learning_rate, weight_decay=self.config.weight_decay
        )
        self.base.model.train()
        if self.config.gradient_checkpointing:
            self.base.model.activation_checkpointing_enable()

    def trained(self) -> dict[str, torch.nn.Parameter]:
        """The parameters that are trained, by name; tied ones once."""
        return {name: p for name, p in self.base.model.named_parameters() if p.requires_grad}

    def losses(self, rankings: Sequence[EncodedRanking], k: int) -> tuple[Tensor, Scores, VoteBatch]:
        """(batch,) loss of each ranking, with the scores and votes that it came from."""
        device = self.base.device
        lengths = [[len(response) for response in ranking.responses] for ranking in rankings]
        votes = vote_batch([r.ranks for r in rankings], [r.weight for r in rankings], k).to(device)
        with self.base.precision():
            policy = self.score(self.base.model, rankings, k)
        scores = Scores(
            policy=policy,
            reference=self.reference.tensor(rankings, k).to(device),
            lengths=torch.tensor([row + [0] * (k - len(row)) for row in lengths], device=device),
        )
        losses = self.objective(scores, votes, beta=self.config.beta, **self.config.objective_options)
        if self.config.sft_weight:
            losses = losses + self.config.sft_weight * winner_nll(scores, votes)
        return losses, scores, votes

    def step(self, batch: Sequence[EncodedRanking], rate: float) -> dict[str, Any]:
        """One optimiser step on `batch`, and what was seen. Halves the micro-batch where memory does not do.

        Raises TrainingError where the loss or the gradient is not a number, and where one ranking does not
        fit.
        """
        while True:
            try:
                return self._step(batch, rate)
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                self._halve(batch)

    def _halve(self, batch: Sequence[EncodedRanking]) -> None:
        parts = split_batch(batch, limit=self.micro_batch, tokens=self.config.micro_batch_tokens)
        largest = max(map(len, parts))
        if largest == 1:
            raise TrainingError(
                f"One ranking of {parts[0][0].packed_length} tokens does not fit in memory. "
                "Set gradient_checkpointing, method lora or a smaller max_length."
            )
        self.micro_batch = largest // 2
        self.optimiser.zero_grad(set_to_none=True)
        if self.base.device.type == "cuda":
            torch.cuda.empty_cache()

    def _step(self, batch: Sequence[EncodedRanking], rate: float) -> dict[str, Any]:
        k = max(len(ranking.responses) for ranking in batch)
        # Divided by the weight of the whole batch, the parts' gradients add up to that of the batch,
        # however cut.
        weight = sum(ranking.weight for ranking in batch)
        self.optimiser.zero_grad(set_to_none=True)
        total, seen = 0.0, []
        for part in split_batch(batch, limit=self.micro_batch, tokens=self.config.micro_batch_tokens):
            losses, scores, votes = self.losses(part, k)
            loss = (losses * votes.weights).sum() / weight
            loss.backward()
            total += float(loss.detach())
            seen.append((Scores(scores.policy.detach(), scores.reference, scores.lengths), votes))
        norm = float(torch.nn.utils.clip_grad_norm_(self.trained().values(), self.config.max_grad_norm))
        if not (math.isfinite(total) and math.isfinite(norm)):
            raise TrainingError(
                f"The loss is {total:g} and the gradient's norm {norm:g}: the run cannot go on. "
                f"Lower the learning rate ({self.config.learning_rate:g} now) or check the base."
            )
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        tokens = sum(ranking.packed_length for ranking in batch)
        self.tokens_seen += tokens
        numbers = {
            "loss": round(total, 6),
            "grad_norm": round(norm, 6),
            "learning_rate": rate,
            "tokens": tokens,
        }
        return {**numbers, **watch(*join(seen), beta=self.config.beta)}

    def evaluate(self, rankings: Sequence[EncodedRanking]) -> dict[str, Any]:
        """Loss and what is watched on `rankings`, without training on them."""
        k = max(len(ranking.responses) for ranking in rankings)
        total, seen = 0.0, []
        with torch.no_grad():
            for part in split_batch(rankings, limit=16, tokens=self.config.micro_batch_tokens):
                losses, scores, votes = self.losses(part, k)
                total += float((losses * votes.weights).sum())
                seen.append((scores, votes))
        loss = total / sum(ranking.weight for ranking in rankings)
        return {
            "rankings": len(rankings),
            "loss": round(loss, 6),
            **watch(*join(seen), beta=self.config.beta),
        }

    def snapshot(self, step: int) -> Checkpoint:
        """All that a new process needs to go on after `step` steps as if this one had."""
        generators = {"cpu": torch.get_rng_state()}
        if self.base.device.type == "cuda":
            generators["cuda"] = torch.cuda.get_rng_state(self.base.device)
        state = {
            "optimiser": self.optimiser.state_dict(),
            "generators": generators,
            "micro_batch": self.micro_batch,
            "tokens_seen": self.tokens_seen,
        }
        return Checkpoint(step, {name: p.detach().cpu() for name, p in self.trained().items()}, state)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Take over the state of a checkpoint. Raises TrainingError where it is of another model."""
        trained = self.trained()
        if set(trained) != set(checkpoint.weights):
            raise TrainingError(
                "The checkpoint in the output folder is of another model. Choose another folder."
            )
        with torch.no_grad():
            for name, parameter in trained.items():
                parameter.copy_(checkpoint.weights[name])
        state: Mapping[str, Any] = checkpoint.state
        self.optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["generators"]["cpu"])
        if self.base.device.type == "cuda" and "cuda" in state["generators"]:
            torch.cuda.set_rng_state(state["generators"]["cuda"], self.base.device)
        self.micro_batch = state["micro_batch"]
        self.tokens_seen = state["tokens_seen"]
