"""Battles across prompts: each response answers a prompt of its own, which is shown with it.

Joint preferences (Bansal et al. 2024, DOVE, arXiv 2404.00530): "which pair of question and answer is
better" brings out what comparisons under one prompt cannot.
"""

import secrets
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from django.utils.translation import gettext as _

from arena.errors import AllSeen, NotEnoughResponses
from arena.models import Arena, Contestant, Prompt, Slot, Voter
from arena.services.matchmaking import Draw, draw_group, in_batches, responses_to, shuffled

Choice = tuple[int, int]  # prompt, response


def draw_joint(*, arena: Arena, voter: Voter, k: int) -> Draw:
    """Contestants by the arena's strategy, each with a response to another prompt, none seen before.

    All prompts of a battle are of one split, so that no vote leads from what is trained on to what
    is held out. Raises NotEnoughResponses and AllSeen with the numbers.
    """
    rested = Contestant.objects.active().filter(arena=arena, weight__gt=0)
    drawable = dict(rested.values_list("pk", "weight"))
    rng = np.random.default_rng(secrets.randbits(128))
    most = 0
    for split in _splits(arena, rng):
        prompts = list(
            Prompt.objects.drawable().filter(arena=arena, split=split).values_list("pk", flat=True)
        )
        for batch in in_batches([prompts[place] for place in rng.permutation(len(prompts))]):
            unseen = _unseen(batch, drawable, voter)
            most = max(most, len(unseen))
            if len(unseen) < k:
                continue
            group = draw_group(arena=arena, voter=voter, k=k, among=unseen, rng=rng)
            responses = one_prompt_each([unseen[contestant] for contestant in group.contestants])
            if responses is not None:
                return Draw(None, group.contestants, responses, group.strategy, group.propensity)
    if Slot.objects.filter(battle__voter=voter, battle__arena=arena).exists():
        raise AllSeen(
            _("You have judged everything there is here. Thank you. New responses will bring new battles.")
        )
    raise NotEnoughResponses(
        _("A battle needs %(k)s contestants with responses to as many prompts; %(most)s have any so far.")
        % {"k": k, "most": most}
    )


def one_prompt_each(choices: Sequence[Sequence[Choice]]) -> tuple[int, ...] | None:
    """A response for each slot such that no two answer the same prompt; None where that cannot be.

    `choices` holds (prompt, response) by slot, the preferred first. Augmenting paths find an
    assignment whenever there is one.
    """
    slots: dict[int, int] = {}  # by prompt
    given: dict[int, int] = {}  # responses by slot

    def place(slot: int, tried: set[int]) -> bool:
        for prompt, response in choices[slot]:
            if prompt in tried:
                continue
            tried.add(prompt)
            if prompt not in slots or place(slots[prompt], tried):
                slots[prompt], given[slot] = slot, response
                return True
        return False

    if not all(place(slot, set()) for slot in range(len(choices))):
        return None
    return tuple(given[slot] for slot in range(len(choices)))


def _splits(arena: Arena, rng: np.random.Generator) -> list[str]:
    """The splits in a random order, those with more prompts sooner."""
    splits = list(Prompt.objects.drawable().filter(arena=arena).order_by().values_list("split", flat=True))
    return list(dict.fromkeys(splits[place] for place in rng.permutation(len(splits))))


def _unseen(batch: Sequence[int], drawable: dict[int, float], voter: Voter) -> dict[int, list[Choice]]:
    """By contestant, in random order: what answers these prompts and was never shown to this voter."""
    shown = set(
        Slot.objects.filter(battle__voter=voter, response__prompt__in=batch).values_list(
            "response_id", flat=True
        )
    )
    unseen: dict[int, list[Choice]] = defaultdict(list)
    for prompt, answers in responses_to(batch, drawable).items():
        for contestant, responses in answers.items():
            unseen[contestant] += [(prompt, one) for one in responses if one not in shown]
    return {contestant: shuffled(pairs) for contestant, pairs in unseen.items() if pairs}
