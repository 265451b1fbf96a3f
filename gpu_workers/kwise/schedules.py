"""What changes over a run: the rate, the order of difficulty, and how a step is cut."""

import math
from collections.abc import Sequence

import torch

from gpu_workers.kwise.config import TrainingConfig
from gpu_workers.kwise.encoding import EncodedRanking
from gpu_workers.kwise.votes import VoteBatch


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


def easiest_first(votes: VoteBatch, stage: float) -> VoteBatch:
    """The pairs of this stage of a curriculum, from 0 (the run's start) to 1.

    Curry-DPO: Pattnaik et al. 2024, arXiv 2403.07230, with all pairs of a ranking rather than three.

    Pairs whose standings lie far apart are easy. All pairs come in with time: at stage t those at least
    (1 - t) of the widest gap apart.
    """
    standing = votes.standing()
    apart = (standing[:, :, None] - standing[:, None, :]).abs()
    widest = apart.amax(dim=(1, 2), keepdim=True)
    return votes.only(apart >= (1 - stage) * widest - torch.finfo(apart.dtype).eps * 8)
