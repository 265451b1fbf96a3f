"""Samples of one prompt that differ on purpose: a ladder of temperatures, and distance from those before.

Temperature alone gives one view in other words: Zhang et al. (Community Alignment, 2025) found that
samples drawn independently agree far more than people do, and that asking for a difference (samples
that are negatively correlated) widens the choice that voters have.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from arena.models import Contestant
from arena.services import responses
from arena.services.diversity import diversity
from arena.services.responses import PromptRequest

# What the model is told of earlier samples: of each, so much is enough to keep away from it.
LONGEST_EARLIER = 1500
MEASURED_SETS = 200


class Variety:
    """How one contestant's samples are made to differ; see `VARIETY` in arena/services/contestants.py."""

    def __init__(self, contestant: Contestant) -> None:
        self._contestant = contestant
        self._ladder: Sequence[float] = contestant.parameters.get("temperature_ladder", [])
        self._contrast = bool(contestant.parameters.get("contrast"))
        self.penalty = float(contestant.parameters.get("diversity_penalty", 0.0))
        # A sample must know those before it: one round of samples is made after the other.
        self.by_rounds = self._contrast or self.penalty > 0

    def temperature(self, sample: int) -> float | None:
        """The rung of this sample; None without a ladder."""
        return float(self._ladder[sample % len(self._ladder)]) if self._ladder else None

    def earlier(self, wanted: Iterable[PromptRequest]) -> Mapping[int, list[str]]:
        """What was written before to the prompts of later samples, where that is to be avoided."""
        prompts = {one.prompt_id for one in wanted if one.sample} if self.by_rounds else set()
        if not prompts:
            return {}
        return responses.siblings(contestant=self._contestant, prompt_ids=prompts)

    def messages(self, asked: PromptRequest, earlier: Sequence[str]) -> tuple[Mapping[str, Any], ...]:
        """The prompt's messages, with the earlier samples and the wish for another view in the last one."""
        if not (self._contrast and asked.sample and earlier):
            return tuple(asked.messages)
        last = asked.messages[-1]
        if not isinstance(last.get("content"), str):
            return tuple(asked.messages)
        told = "\n".join(f"- {' '.join(text[:LONGEST_EARLIER].split())}" for text in earlier[: asked.sample])
        content = (
            f"{last['content']}\n\n(Others have answered this so:\n{told}\n"
            "Answer it yourself, differently in substance: another view, other priorities or other facts, "
            "just as helpful and true. Do not mention the other answers.)"
        )
        return (*asked.messages[:-1], {**last, "content": content})

    def avoid(self, asked: PromptRequest, earlier: Sequence[str]) -> tuple[str, ...]:
        """The earlier samples that this one keeps away from token by token."""
        return tuple(earlier[: asked.sample]) if self.penalty else ()

    def measured(self, samples: int, prompt_ids: Sequence[int] | None) -> float | None:
        """The mean diversity of the sets of this contestant's samples; None where there is one of each."""
        if samples < 2:
            return None
        sets = responses.sample_sets(contestant=self._contestant, prompt_ids=prompt_ids, limit=MEASURED_SETS)
        found = [value for texts in sets if (value := diversity(texts)) is not None]
        return round(sum(found) / len(found), 4) if found else None
