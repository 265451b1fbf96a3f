"""The model in training: scores rankings and takes optimiser steps. What is kept of it: state.py."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from gpu_workers.kwise.config import TrainingConfig
from gpu_workers.kwise.encoding import EncodedRanking
from gpu_workers.kwise.errors import ShortOfMemory, TrainingError
from gpu_workers.kwise.gradients import Cache, Outputs, by_part, by_response
from gpu_workers.kwise.head import activation_mask, divergences, log_probabilities
from gpu_workers.kwise.metrics import by_group, join, nothing, watch
from gpu_workers.kwise.models import Base, needs_frozen_copy, open_base
from gpu_workers.kwise.objectives import Objective, Scores, TokenScores, winner_nll
from gpu_workers.kwise.objectives.rewards import scalar_rewards
from gpu_workers.kwise.online_kl import OnlineKl
from gpu_workers.kwise.optimiser import AdamW, Optimiser
from gpu_workers.kwise.reference import ReferenceCache
from gpu_workers.kwise.reward_model import given_by_head
from gpu_workers.kwise.schedules import easiest_first, split_batch
from gpu_workers.kwise.scoring import ScoringPath, by_owner, by_token
from gpu_workers.kwise.sharing import ALONE, Share
from gpu_workers.kwise.votes import VoteBatch, vote_batch

Found = TypeVar("Found")


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
    share: Share = ALONE
    tokens_seen: int = 0
    by_response: bool = False
    fresh_ratios: list[float] = field(default_factory=list)  # of the last step's fresh samples, see online_kl
    optimiser: Optimiser = field(init=False)

    def __post_init__(self) -> None:
        self.by_response = self.config.gradient_cache
        if self.base.frozen is None and needs_frozen_copy(self.config, self.objective):
            self.base.keep_frozen_copy()
        self.optimiser = self.base.optimiser or AdamW(self.trained(), self.config, self.share)
        self.base.model.train()
        if self.config.gradient_checkpointing:
            self.base.model.activation_checkpointing_enable()

    @property
    def scale(self) -> float:
        """Of rewards: beta, or one where the model gives rewards itself."""
        return 1.0 if self.objective.head else self.config.beta

    def trained(self) -> dict[str, torch.nn.Parameter]:
        """The parameters that are trained, by name; tied ones once."""
        return {name: p for name, p in self.base.model.named_parameters() if p.requires_grad}

    def outputs(self, rankings: Sequence[EncodedRanking], k: int) -> Outputs:
        """What the objective needs of the model, with its graph: log-probabilities of responses, (batch, K),
        or of their tokens, (batch, K, T); and the divergence from the reference at each token.
        """
        with self.base.precision():
            return self.base.with_weights(lambda: self._outputs(rankings, k))

    def _outputs(self, rankings: Sequence[EncodedRanking], k: int) -> Outputs:
        if self.objective.head:
            packed = self.score.name == "packed"
            return {"policy": given_by_head(self.base.model, rankings, k, packed=packed)}
        if self.objective.level == "responses":
            return {"policy": self.score(self.base.model, rankings, k)}
        predictions = self.score.predict(self.base.model, rankings)
        found = {"policy": by_token(log_probabilities(predictions), rankings, k)}
        if self.objective.level == "distributions":
            before = self._under_reference(lambda model: self.score.predict(model, rankings))
            found["divergence"] = by_token(divergences(predictions, before), rankings, k)
            owners = by_owner(rankings, k).to(before.states.device)
            found["mask"] = by_token(activation_mask(before.states, owners), rankings, k)
        return found

    def _under_reference(self, work: Callable[[Any], Found]) -> Found:
        """What `work` gives of the model that the policy began as, without a graph."""
        with torch.no_grad():
            if self.base.frozen is not None:
                frozen = self.base.frozen
                return frozen.with_weights(lambda: work(frozen.model))
            with self.base.model.disable_adapter():
                return work(self.base.model)

    @contextmanager
    def as_base(self) -> Iterator[None]:
        """The model with the weights it began with."""
        if self.config.method != "full":
            with self.base.model.disable_adapter():
                yield
            return
        original = open_base(self.config, in_main_memory=self.share.sharded).model.state_dict()
        with self.optimiser.lent({name: original[name] for name in self.trained()}):
            yield

    def scores(self, outputs: Outputs, rankings: Sequence[EncodedRanking], k: int) -> Scores:
        """The outputs beside the reference's."""
        device, policy = self.base.device, outputs["policy"]
        lengths = torch.tensor([[*r.lengths, *[0.0] * (k - len(r.lengths))] for r in rankings], device=device)
        if self.objective.head:
            rewards = scalar_rewards(policy, self.objective.name)
            given = TokenScores(policy, torch.zeros_like(policy))
            return Scores(rewards, torch.zeros_like(rewards), lengths, given)
        known = self.reference.tensor(rankings, k).to(device)
        if self.objective.level == "responses":
            return Scores(policy, known, lengths)
        tokens = TokenScores(policy, known, outputs.get("divergence"), outputs.get("mask"))
        return Scores(policy.sum(dim=2), known.sum(dim=2), lengths, tokens)

    def votes(self, rankings: Sequence[EncodedRanking], k: int) -> VoteBatch:
        votes = vote_batch(
            [ranking.ranks for ranking in rankings],
            [ranking.weight for ranking in rankings],
            k,
            shares=[ranking.shares for ranking in rankings],
            rewards=[ranking.rewards for ranking in rankings],
        )
        return votes.to(self.base.device)

    def loss_of(self, scores: Scores, votes: VoteBatch, stage: float = 1.0) -> Tensor:
        """(batch,) loss of each ranking. `stage`: how far the run is, from 0 to 1, for a curriculum."""
        told = easiest_first(votes, stage) if self.config.curriculum == "easy-to-hard" else votes
        losses = self.objective(scores, told, beta=self.config.beta, **self.config.objective_options)
        if self.config.sft_weight and not self.objective.has_nll:
            losses = losses + self.config.sft_weight * winner_nll(scores, votes)
        return losses

    def losses(
        self, rankings: Sequence[EncodedRanking], k: int, stage: float = 1.0
    ) -> tuple[Tensor, Scores, VoteBatch]:
        """(batch,) loss of each ranking, with the scores and votes that it came from."""
        scores = self.scores(self.outputs(rankings, k), rankings, k)
        votes = self.votes(rankings, k)
        return self.loss_of(scores, votes, stage), scores, votes

    def step(self, batch: Sequence[EncodedRanking], rate: float, stage: float = 1.0) -> dict[str, Any]:
        """One optimiser step on `batch`, and what was seen. Halves the micro-batch where memory does not do,
        and goes on one response at a time where one ranking is too much.

        Raises TrainingError where the loss or the gradient is not a number, and where one response does not
        fit.
        """
        while True:
            self.optimiser.clear()
            failed = None
            try:
                total, scores, votes = self._gradient(batch, stage)
                if self.config.online_kl:
                    self._hold_near(batch)
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                failed = error
            if failed and self.share.sharded:
                self._take_less(batch)
                # The others are in the middle of a pass, where they cannot be told to take less.
                raise ShortOfMemory
            if not self.share.any(failed is not None):
                break
            self._take_less(batch)
        return self._apply(batch, rate, total, scores, votes)

    def _take_less(self, batch: Sequence[EncodedRanking]) -> None:
        limit, tokens = self.micro_batch, self.config.micro_batch_tokens
        largest = max(
            len(part)
            for own in self.share.all_of(batch)
            for part in split_batch(own, limit=limit, tokens=tokens)
        )
        if largest == 1 and self.by_response:
            longest = max(ranking.packed_length for ranking in batch)
            raise TrainingError(
                f"One response of a ranking of {longest} tokens does not fit in memory. "
                "Set gradient_checkpointing, method lora or a smaller max_length."
            )
        if largest == 1:
            self.by_response = True
        self.micro_batch = max(1, largest // 2)
        if self.base.device.type == "cuda":
            torch.cuda.empty_cache()

    def _gradient(self, batch: Sequence[EncodedRanking], stage: float) -> tuple[float, Scores, VoteBatch]:
        """Adds this process's part of the step's gradient up. Returns its loss, and the scores of its
        rankings.
        """
        k = max(len(ranking.responses) for ranking in batch)
        # Divided by the weight of the whole batch, the parts' gradients add up to that of the batch,
        # however cut.
        weight = sum(ranking.weight for ranking in batch)
        own = self.share.of(batch)
        parts = split_batch(own, limit=self.micro_batch, tokens=self.config.micro_batch_tokens)
        if self.by_response or self.objective.over_batch:
            return self._cached_gradient(batch, own, parts, k, weight, stage)
        total, seen = 0.0, []
        for part in parts:
            losses, scores, votes = self.losses(part, k, stage)
            loss = (losses * votes.weights).sum() / weight
            loss.backward()
            total += float(loss.detach())
            seen.append((scores.detach(), votes))
        for _ in range(self._behind(batch)):
            self._send_nothing_back(batch)
        return total, *join(seen or [nothing(k)])

    def _hold_near(self, batch: Sequence[EncodedRanking]) -> None:
        """Add the gradient of the KL to the reference on fresh samples."""
        penalty = OnlineKl(
            self.base,
            self.score,
            self._under_reference,
            self.share,
            weight=self.config.online_kl,
            tokens=self.config.micro_batch_tokens,
        )
        limit = 1 if self.by_response else self.micro_batch
        self.fresh_ratios = penalty.add(batch, limit=limit, send_back=Tensor.backward)

    def _behind(self, batch: Sequence[EncodedRanking]) -> int:
        """How many passes through a shared out model this process has less in this step than another: each
        takes all processes.
        """
        if not self.share.sharded:
            return 0
        passes = [self._passes(own) for own in self.share.all_of(batch)]
        return max(passes) - passes[self.share.rank]

    def _passes(self, own: Sequence[EncodedRanking]) -> int:
        if self.by_response:
            return sum(len(ranking.responses) for ranking in own)
        return len(split_batch(own, limit=self.micro_batch, tokens=self.config.micro_batch_tokens))

    def _spare(self, batch: Sequence[EncodedRanking]) -> Outputs:
        """A pass that takes as little as there is, for the sake of the others."""
        least = min(batch, key=lambda ranking: ranking.packed_length)
        spare = least.only(0) if self.by_response else least
        return self.outputs([spare], len(spare.responses))

    def _send_nothing_back(self, batch: Sequence[EncodedRanking]) -> None:
        """Take part in a pass of the others; the gradient is zero."""
        outputs = [values for values in self._spare(batch).values() if values.requires_grad]
        torch.autograd.backward([(values * 0).sum() for values in outputs])

    def _cached_gradient(
        self,
        batch: Sequence[EncodedRanking],
        own: Sequence[EncodedRanking],
        parts: Sequence[Sequence[EncodedRanking]],
        k: int,
        weight: float,
        stage: float,
    ) -> tuple[float, Scores, VoteBatch]:
        scores, votes = nothing(k)
        if own:
            pieces = by_response(own) if self.by_response else by_part(own, parts)
            cache = Cache(pieces, self.outputs, len(own), k)
            scores, votes = self.scores(cache.outputs, own, k), self.votes(own, k)
        for _ in range(self._behind(batch)):
            with torch.no_grad():
                self._spare(batch)
        of_all, all_votes, counted = scores, votes, 1.0
        if self.objective.over_batch and self.share.world > 1:
            of_all, all_votes = self._with_others(scores, votes)
            counted = 1 / self.share.world  # every process has the loss of all
        if not len(of_all.policy):
            return 0.0, scores, votes
        loss = (self.loss_of(of_all, all_votes, stage) * all_votes.weights).sum() / weight
        if own:
            loss.backward()
            cache.send_back()
        for _ in range(self._behind(batch)):
            self._send_nothing_back(batch)
        return float(loss.detach()) * counted, scores.detach(), votes

    def _with_others(self, scores: Scores, votes: VoteBatch) -> tuple[Scores, VoteBatch]:
        """The step's scores of all processes; only this one's have a graph."""
        told = self.share.gather((scores.detach(), votes))
        told[self.share.rank] = (replace(scores, tokens=None), votes)
        return join(told)

    def _apply(
        self, batch: Sequence[EncodedRanking], rate: float, loss: float, scores: Scores, votes: VoteBatch
    ) -> dict[str, Any]:
        norm = self.optimiser.step(rate)
        told = self.share.gather((loss, scores, votes))
        total = sum(part for part, _, _ in told)
        if not (math.isfinite(total) and math.isfinite(norm)):
            raise TrainingError(
                f"The loss is {total:g} and the gradient's norm {norm:g}: the run cannot go on. "
                f"Lower the learning rate ({self.config.learning_rate:g} now) or check the base."
            )
        tokens = sum(ranking.packed_length for ranking in batch)
        self.tokens_seen += tokens
        numbers = {
            "loss": round(total, 6),
            "grad_norm": round(norm, 6),
            "learning_rate": rate,
            "tokens": tokens,
        }
        if self.config.online_kl:
            numbers["online_kl"] = round(sum(self.fresh_ratios) / len(self.fresh_ratios), 6)
        seen = join([(part, voted) for _, part, voted in told])
        return {**numbers, **watch(*seen, beta=self.scale)}

    def evaluate(self, rankings: Sequence[EncodedRanking]) -> dict[str, Any]:
        """Loss and what is watched on `rankings`, without training on them."""
        k = max(len(ranking.responses) for ranking in rankings)
        total, seen, groups = 0.0, [], []
        with torch.no_grad():
            for part in split_batch(rankings, limit=16, tokens=self.config.micro_batch_tokens):
                losses, scores, votes = self.losses(part, k)
                total += float((losses * votes.weights).sum())
                groups += [ranking.group for ranking in part]
                seen.append((scores.detach(), votes))
        loss = total / sum(ranking.weight for ranking in rankings)
        scores, votes = join(seen)
        return {
            "rankings": len(rankings),
            "loss": round(loss, 6),
            **watch(scores, votes, beta=self.scale),
            "groups": by_group(groups, scores, votes),
        }
