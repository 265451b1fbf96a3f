"""How far the policy has moved, seen on text that it writes itself."""

from collections.abc import Sequence
from typing import Any

import torch

from gpu_workers.kwise.encoding import EncodedRanking
from gpu_workers.kwise.models import Base
from gpu_workers.kwise.scoring import ScoringPath

BATCH = 32


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
        with torch.no_grad(), base.precision():
            rows = base.model.generate(
                input_ids=tokens.to(base.device),
                attention_mask=real.to(base.device),
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                max_new_tokens=longest,
                pad_token_id=end,
                eos_token_id=end,
            )
        for prompt, row in zip(chunk, rows[:, width:].tolist(), strict=True):
            ended = row.index(end) + 1 if end in row else len(row)
            fresh.append(EncodedRanking("", prompt, (tuple(row[:ended]),), (1,)))
    return fresh


def sequence_log_probabilities(
    base: Base, model: Any, fresh: Sequence[EncodedRanking], score: ScoringPath
) -> list[float]:
    """Of each fresh response under `model`, in nats."""
    values: list[float] = []
    for at in range(0, len(fresh), BATCH):
        with torch.no_grad(), base.precision():
            values += score(model, fresh[at : at + BATCH], 1)[:, 0].tolist()
    return values


def describe(
    fresh: Sequence[EncodedRanking], policy: list[float], reference: list[float], end: int
) -> dict[str, Any]:
    """The sequence KL to the reference in nats, with its standard error, and the shape of the texts."""
    ratios = torch.tensor(policy) - torch.tensor(reference)
    lengths = torch.tensor([float(len(ranking.responses[0])) for ranking in fresh])
    distinct = len({ranking.responses[0] for ranking in fresh}) / len(fresh)
    return {
        "samples": len(fresh),
        "sequence_kl": round(float(ratios.mean()), 4),
        "sequence_kl_se": round(float(ratios.std() / len(fresh) ** 0.5), 4) if len(fresh) > 1 else None,
        "length": round(float(lengths.mean()), 2),
        "ended": round(sum(ranking.responses[0][-1] == end for ranking in fresh) / len(fresh), 4),
        "distinct": round(distinct, 4),
    }
