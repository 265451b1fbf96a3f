"""The KL to the base on what the policy writes now, as a penalty in every step (HyPO).

Votes bear on the texts that were voted on. Whatever else the policy comes to write meanwhile nobody judged,
and no loss of those votes keeps it near the base: E_{y ~ pi}[log pi(y|x) - log pi_ref(y|x)] is seen on fresh
samples only. Song et al. 2024 (HyPO, arXiv 2406.01462) add it, weighed, to an offline objective: here with
one fresh response to the prompt of each ranking of the step. Its gradient is E[rho grad log pi(y|x)], rho
the log-ratio; what the step's other samples have on average is taken from rho first, which changes nothing
but the variance (leave-one-out: Kool et al. 2019; Ahmadian et al. 2024, arXiv 2402.14740).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from gpu_workers.backends.base import Sampling
from gpu_workers.backends.decoding import Row, decode
from gpu_workers.kwise.encoding import EncodedRanking
from gpu_workers.kwise.models import Base
from gpu_workers.kwise.schedules import split_batch
from gpu_workers.kwise.scoring import ScoringPath
from gpu_workers.kwise.sharing import Share


@dataclass(frozen=True)
class OnlineKl:
    """What the penalty needs of a run. `reference` does work with the model that pi_ref is of, without a
    graph; `weight` is how much a nat counts beside the loss of a ranking; `tokens` how many go through the
    model together.
    """

    base: Base
    score: ScoringPath
    reference: Callable[[Callable[[Any], Tensor]], Tensor]
    share: Share
    weight: float
    tokens: int

    def add(
        self,
        batch: Sequence[EncodedRanking],
        *,
        limit: int | None,
        send_back: Callable[[Tensor], None],
    ) -> list[float]:
        """Send the penalty of this process's part of a step's rankings back. Returns log pi less log pi_ref
        of each text that all processes wrote for the step, in nats.
        """
        # From the run's own generator: a run that goes on draws the same. By place: several processes too.
        seed = int(torch.randint(2**31 - 1, ()))
        own = self.share.of(list(enumerate(batch)))
        longest = max(len(response) for ranking in batch for response in ranking.responses)
        prompts = [(*ranking.prompt, *ranking.opening(0)) for _, ranking in own]
        written, policy = self._write(prompts, [seed + place for place, _ in own], longest)
        ratios = policy - self.reference(partial(self._scored, written, limit))
        told = [value for part in self.share.gather(ratios.tolist()) for value in part]
        slopes = self.weight * beside_the_others(ratios, told) / len(batch)
        for part, places in self._parts(written, limit):
            with self.base.precision():
                scored = self.score(self.base.model, part, 1)[:, 0]
            send_back((scored * slopes[places].to(scored.device)).sum())
        return told

    def _write(
        self, prompts: Sequence[tuple[int, ...]], seeds: Sequence[int], longest: int
    ) -> tuple[list[EncodedRanking], Tensor]:
        """One text for each prompt at temperature 1, and (n,) its log-probability."""
        if not prompts:
            return [], torch.zeros(0)
        end = int(self.base.tokenizer.eos_token_id)
        room = max(1, min(longest, self.base.context - max(map(len, prompts))))
        sampling = Sampling(temperature=1.0, top_p=1.0, top_k=0, repetition_penalty=1.0, max_new_tokens=room)
        rows = [Row(prompt=place, seed=seed) for place, seed in enumerate(seeds)]
        self.base.model.eval()  # with a cache, and without dropout
        try:
            # With a cache every length would be compiled anew.
            with self.base.precision(), torch.compiler.set_stance("force_eager"):
                decode(
                    self.base.model,
                    [list(prompt) for prompt in prompts],
                    rows,
                    sampling=sampling,
                    stop={end},
                    pad=end,
                )
        finally:
            self.base.model.train()
        written = [
            EncodedRanking("", prompt, (tuple(row.tokens),), (1,))
            for prompt, row in zip(prompts, rows, strict=True)
        ]
        return written, torch.tensor([row.log_probability for row in rows])

    def _scored(self, written: Sequence[EncodedRanking], limit: int | None, model: Any) -> Tensor:
        """(n,) the log-probability of each text under a model."""
        found = torch.zeros(len(written))
        with self.base.precision():
            for part, places in self._parts(written, limit):
                found[places] = self.score(model, part, 1)[:, 0].float().cpu()
        return found

    def _parts(
        self, written: Sequence[EncodedRanking], limit: int | None
    ) -> list[tuple[list[EncodedRanking], list[int]]]:
        """The texts that go through the model together, and their places."""
        places = {id(one): place for place, one in enumerate(written)}
        parts = split_batch(written, limit=limit, tokens=self.tokens)
        return [(part, [places[id(one)] for one in part]) for part in parts]


def beside_the_others(ratios: Tensor, all_ratios: Sequence[float]) -> Tensor:
    """(n,) each value less the mean of all the other ones of the step; a single one stays as it is."""
    return ratios - (sum(all_ratios) - ratios) / max(len(all_ratios) - 1, 1)
