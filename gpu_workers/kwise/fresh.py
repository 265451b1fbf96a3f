"""How far the policy has moved, seen on text that it writes itself."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from gpu_workers.kwise.data import Ranking, RankingData
from gpu_workers.kwise.encoding import EncodedRanking, encode_prompt
from gpu_workers.kwise.metrics import error_of_ratio
from gpu_workers.kwise.models import Base
from gpu_workers.kwise.policy import Policy
from gpu_workers.kwise.reward_model import RewardModel
from gpu_workers.kwise.scoring import ScoringPath

BATCH = 32


def compare_with_base(
    policy: Policy, data: RankingData, asked: Sequence[tuple[int, ...]], *, longest: int
) -> dict[str, Any] | None:
    """Sequence KL and shape of fresh samples of at most `longest` tokens on some of the prompts `asked`, with
    the shape of the base's own as "before", and with a reward model how often it likes them better than the
    base's. None where no prompt is wanted.
    """
    base, config = policy.base, policy.config
    prompts = [prompt for prompt in dict.fromkeys(asked) if prompt][: config.kl_prompts]
    if not prompts:
        return None
    longest = min(longest, base.context - max(map(len, prompts)))
    samples = sample_responses(base, prompts, longest=longest, seed=config.seed)
    own = sequence_log_probabilities(base, base.model, samples, policy.score)
    with policy.as_base():
        before = sequence_log_probabilities(base, base.model, samples, policy.score)
        parents = sample_responses(base, prompts, longest=longest, seed=config.seed + 1)
    end = base.tokenizer.eos_token_id
    seen = {**divergence(own, before), **describe(samples, end), "before": describe(parents, end)}
    return {**seen, **(win_rate(policy, data, samples, parents) if config.reward_model else {})}


def win_rate(
    policy: Policy, data: RankingData, samples: Sequence[EncodedRanking], parents: Sequence[EncodedRanking]
) -> dict[str, float | None]:
    """How often the reward model likes a fresh sample better than the parent's on the same prompt, with the
    standard error over prompts.
    """
    base, config = policy.base, policy.config
    judge = RewardModel.open(Path(config.reward_model or ""), config)
    chats = messages_by_prompt(base, [*data.held_out, *data.train], config.system_prompt)
    sure = [
        judge.prefers(chats[one.prompt], text_of(base, one), text_of(base, other), config.system_prompt)
        for one, other in zip(samples, parents, strict=True)
    ]
    return {
        "win_rate": round(sum(sure) / len(sure), 4),
        "win_rate_se": error_of_ratio(torch.tensor(sure), torch.ones(len(sure))),
    }


def sample_responses(
    base: Base, prompts: Sequence[tuple[int, ...]], *, longest: int, seed: int
) -> list[EncodedRanking]:
    """One response per prompt from the model as it is, at temperature 1, as rankings of one response."""
    torch.manual_seed(seed)
    end = base.tokenizer.eos_token_id
    fresh = []
    base.model.eval()
    for at in range(0, len(prompts), BATCH):
        chunk = prompts[at : at + BATCH]
        width = max(map(len, chunk))
        # Prompts end at the same column, so that all answers begin together.
        tokens = torch.tensor([[end] * (width - len(prompt)) + list(prompt) for prompt in chunk])
        real = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in chunk])
        # With a cache every length would be compiled anew.
        with torch.no_grad(), base.precision(), torch.compiler.set_stance("force_eager"):
            write = partial(
                base.model.generate,
                input_ids=tokens.to(base.device),
                attention_mask=real.to(base.device),
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                max_new_tokens=longest,
                pad_token_id=end,
                eos_token_id=end,
                synced_gpus=base.gathering is not None,
            )
            rows = base.with_weights(write)
        for prompt, row in zip(chunk, rows[:, width:].tolist(), strict=True):
            ended = row.index(end) + 1 if end in row else len(row)
            fresh.append(EncodedRanking("", prompt, (tuple(row[:ended]),), (1,)))
    return fresh


def text_of(base: Base, one: EncodedRanking) -> str:
    """What was written, without its end."""
    return str(base.tokenizer.decode(one.responses[0], skip_special_tokens=True))


def messages_by_prompt(
    base: Base, rankings: Sequence[Ranking], system_prompt: str | None
) -> dict[tuple[int, ...], Sequence[Mapping[str, str]]]:
    """The chat that each prompt's tokens stand for."""
    found: dict[tuple[int, ...], Sequence[Mapping[str, str]]] = {}
    for ranking in rankings:
        own = [{"role": "system", "content": ranking.system}] if ranking.system else []
        chat = [*own, *ranking.messages]
        if chat:
            found[encode_prompt(base.tokenizer, chat, system_prompt or "")] = chat
    return found


def sequence_log_probabilities(
    base: Base, model: Any, fresh: Sequence[EncodedRanking], score: ScoringPath
) -> list[float]:
    """Of each fresh response under `model`, in nats."""
    values: list[float] = []
    for at in range(0, len(fresh), BATCH):
        with torch.no_grad(), base.precision():
            scored = base.with_weights(partial(score, model, fresh[at : at + BATCH], 1))
        values += scored[:, 0].tolist()
    return values


def divergence(policy: Sequence[float], reference: Sequence[float]) -> dict[str, float | None]:
    """The sequence KL to the reference in nats, from samples of the policy, with its standard error."""
    ratios = torch.tensor(policy) - torch.tensor(reference)
    return {
        "sequence_kl": round(float(ratios.mean()), 4),
        "sequence_kl_se": error_of_ratio(ratios, torch.ones_like(ratios)),
    }


def describe(fresh: Sequence[EncodedRanking], end: int) -> dict[str, Any]:
    """How many texts these are, and their shape."""
    lengths = torch.tensor([float(len(ranking.responses[0])) for ranking in fresh])
    return {
        "samples": len(fresh),
        "length": round(float(lengths.mean()), 2),
        "ended": round(sum(ranking.responses[0][-1] == end for ranking in fresh) / len(fresh), 4),
        "distinct": round(len({ranking.responses[0] for ranking in fresh}) / len(fresh), 4),
        "repetition": round(sum(repetition(one.responses[0]) for one in fresh) / len(fresh), 4),
    }


def repetition(tokens: Sequence[int], size: int = 4) -> float:
    """Share of the runs of four tokens that were there before in the same response."""
    runs = [tuple(tokens[at : at + size]) for at in range(len(tokens) - size + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0
