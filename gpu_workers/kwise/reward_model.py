"""Reward models: a head on a decoder that says how much the voters would like a response.

Trained by the same run as a policy, under the objectives of the family "reward". Saved as a checkpoint of
transformers with the head beside it in reward_head.safetensors and reward.json. What it is used for: explicit
rewards of an objective, the win rate of samples, choosing among candidates, and a named judge.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from gpu_workers.kwise.config import TrainingConfig
from gpu_workers.kwise.data import DataReport, Ranking
from gpu_workers.kwise.encoding import EncodedRanking, encode_rankings
from gpu_workers.kwise.errors import TrainingError
from gpu_workers.kwise.models import Base, open_base
from gpu_workers.kwise.objectives import OBJECTIVES, Objective
from gpu_workers.kwise.objectives.rewards import scalar_rewards
from gpu_workers.kwise.scoring import mask_dtype, pack, tree_mask

WEIGHTS, FACTS = "reward_head.safetensors", "reward.json"
BATCH = 16


class RewardHead(torch.nn.Module):
    """`width` numbers of a response's last state; of a mixture the second half, its gate, of the prompt's."""

    def __init__(self, size: int, width: int, *, gated: bool) -> None:
        super().__init__()
        self.gated = gated
        self.rewards = torch.nn.Linear(size, width // 2 if gated else width)
        self.gate = torch.nn.Linear(size, width // 2) if gated else None
        torch.nn.init.normal_(self.rewards.weight, std=size**-0.5 / 4)
        torch.nn.init.zeros_(self.rewards.bias)

    def forward(self, last: Tensor, prompt: Tensor) -> Tensor:
        """(n, width) of the states of n responses' last tokens and of their prompts' last, (n, size) each."""
        last, prompt = last.to(self.rewards.weight.dtype), prompt.to(self.rewards.weight.dtype)
        rewards = self.rewards(last)
        return rewards if self.gate is None else torch.cat([rewards, self.gate(prompt)], dim=1)


def add_reward_head(base: Base, objective: Objective, seed: int) -> None:
    """Put a fresh head on the base's model, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        size = base.model.get_input_embeddings().weight.shape[1]
        head = RewardHead(size, objective.head, gated=objective.name == "reward-mixture")
    base.model.add_module("reward_head", head.to(base.device))


def given_by_head(model: Any, rankings: Sequence[EncodedRanking], k: int, *, packed: bool) -> Tensor:
    """(batch, K, width) of every response, zero for absent slots."""
    states = _packed_ends(model, rankings) if packed else _plain_ends(model, rankings)
    given = model.reward_head(*states).float()
    places = [n * k + slot for n, ranking in enumerate(rankings) for slot in range(len(ranking.responses))]
    whole = given.new_zeros(len(rankings) * k, given.shape[1])
    where = torch.tensor(places, device=given.device)
    return whole.index_add(0, where, given).view(len(rankings), k, -1)


def _decoder(model: Any) -> Any:
    return (model.get_base_model() if hasattr(model, "get_base_model") else model).get_decoder()


def _packed_ends(model: Any, rankings: Sequence[EncodedRanking]) -> tuple[Tensor, Tensor]:
    device = next(model.parameters()).device
    packed = pack(rankings).to(device)
    hidden = _decoder(model)(
        input_ids=packed.tokens,
        position_ids=packed.positions,
        attention_mask=tree_mask(packed.branches, mask_dtype(model)),
        use_cache=False,
    ).last_hidden_state
    length = packed.tokens.shape[1]
    last, prompt = [], []
    for row, ranking in enumerate(rankings):
        at = row * length + len(ranking.prompt)
        for slot, response in enumerate(ranking.responses):
            opening = ranking.opening(slot)
            prompt.append(at + len(opening) - 1 if opening else row * length + len(ranking.prompt) - 1)
            at += len(opening) + len(response)
            last.append(at - 1)
    flat = hidden.flatten(0, 1)
    return flat[torch.tensor(last, device=device)], flat[torch.tensor(prompt, device=device)]


def _plain_ends(model: Any, rankings: Sequence[EncodedRanking]) -> tuple[Tensor, Tensor]:
    device = next(model.parameters()).device
    rows = [
        ((*ranking.prompt, *ranking.opening(slot)), response)
        for ranking in rankings
        for slot, response in enumerate(ranking.responses)
    ]
    length = max(len(prompt) + len(response) for prompt, response in rows)
    tokens, real = (torch.zeros(len(rows), length, dtype=torch.long) for _ in "tr")
    for number, (prompt, response) in enumerate(rows):
        line = (*prompt, *response)
        tokens[number, : len(line)] = torch.tensor(line)
        real[number, : len(line)] = 1
    hidden = _decoder(model)(
        input_ids=tokens.to(device), attention_mask=real.to(device), use_cache=False
    ).last_hidden_state
    every = torch.arange(len(rows), device=device)
    ends = torch.tensor([len(prompt) + len(response) - 1 for prompt, response in rows], device=device)
    begins = torch.tensor([len(prompt) - 1 for prompt, _ in rows], device=device)
    return hidden[every, ends], hidden[every, begins]


def write_head(head: RewardHead, objective: Objective, folder: Path) -> None:
    """Keep the head beside its checkpoint in `folder`."""
    save_file(
        {name: p.detach().cpu().contiguous() for name, p in head.state_dict().items()}, folder / WEIGHTS
    )
    (folder / FACTS).write_text(json.dumps({"schema_version": 1, "objective": objective.name}))


@dataclass(frozen=True)
class RewardModel:
    """An open reward model."""

    base: Base
    objective: Objective

    @classmethod
    def open(cls, folder: Path, like: TrainingConfig) -> "RewardModel":
        """The reward model in `folder`, on the device and with the numbers of a run. Raises TrainingError."""
        if not (folder / FACTS).is_file() or not (folder / WEIGHTS).is_file():
            raise TrainingError(
                f"The folder {folder} holds no reward model. Train one: its objectives begin with reward-."
            )
        objective = OBJECTIVES[json.loads((folder / FACTS).read_text())["objective"]]
        base = open_base(replace(like, base=str(folder), method="full"))
        add_reward_head(base, objective, seed=0)
        base.model.reward_head.load_state_dict(load_file(folder / WEIGHTS))
        base.model.eval()
        return cls(base, objective)

    def score(self, rankings: Sequence[Ranking], system_prompt: str | None = None) -> list[tuple[float, ...]]:
        """The rewards of each ranking's responses, by slot."""
        found: list[tuple[float, ...]] = []
        for at in range(0, len(rankings), BATCH):
            encoded = encode_rankings(
                self.base.tokenizer,
                [_any_order(ranking) for ranking in rankings[at : at + BATCH]],
                longest=2**30,
                system_prompt=system_prompt,
                report=DataReport(),
                uses_ties=True,
            )
            found += self.of_tokens(encoded)
        return found

    def of_tokens(self, rankings: Sequence[EncodedRanking]) -> list[tuple[float, ...]]:
        """The same for rankings in this model's tokens."""
        k = max(len(ranking.responses) for ranking in rankings)
        with torch.no_grad(), self.base.precision():
            given = given_by_head(self.base.model, rankings, k, packed=False)
        rewards = []
        for row, ranking in zip(given, rankings, strict=True):
            own = row[None, : len(ranking.responses)]
            rewards.append(tuple(scalar_rewards(own, self.objective.name)[0].tolist()))
        return rewards

    def prefers(
        self,
        messages: Sequence[Mapping[str, str]],
        one: str,
        other: str,
        system_prompt: str | None = None,
    ) -> float:
        """The probability that voters like `one` better than `other` as an answer to `messages`."""
        pair = Ranking("", "", tuple(messages), None, (one, other), (1, 2))
        first, second = self.score([pair], system_prompt)[0]
        # Of two responses a GPM's rewards are the score of the pair and its opposite, at temperature .1.
        sharpness = 5.0 if self.objective.name == "reward-gpm" else 1.0
        return float(torch.sigmoid(torch.tensor(sharpness * (first - second))))


def _any_order(ranking: Ranking) -> Ranking:
    """The ranking with an order, so that it is encoded whatever the vote said."""
    return replace(ranking, ranks=tuple(range(1, len(ranking.texts) + 1)), shares=None)
