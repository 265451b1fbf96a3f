import numpy as np
import pytest
from django.utils import timezone

from arena.models import Battle
from tests import factories


@pytest.fixture
def panel(open_arena, ada):
    """Six people judge every prompt of the garden, mostly alike; Ada is one of them.

    Gives the voters by name: ada, ben, cleo, dora, emil, finn.
    """
    contestants = list(open_arena.contestants.order_by("id")[:3])
    prompts = list(open_arena.prompts.order_by("id"))
    voters = {"ada": factories.make_voter(user=ada)}
    for name in ("ben", "cleo", "dora", "emil", "finn"):
        voters[name] = factories.make_voter(user=factories.make_user(name))
    rng = np.random.default_rng(5)
    for voter in voters.values():
        for prompt in prompts:
            cast(open_arena, voter, prompt, rng.permutation(contestants).tolist(), rng)
    return voters


def cast(arena, voter, prompt, shown, rng, *, ranks=None, ms=20_000, lapse=0.2, **fields):
    """A vote in the order of the contestants' ids or the reverse, mostly, on slots in the order given."""
    if ranks is None:
        # Every other prompt the other way round: answers must not be all the same.
        order = sorted((one.pk for one in shown), reverse=prompt.pk % 2 == 1)
        ranks = [1 + order.index(one.pk) for one in shown]
        if rng.random() < lapse:
            ranks = [ranks[1], ranks[0], *ranks[2:]]
    vote = factories.make_vote(
        arena, ranks, contestants=shown, voter=voter, prompt=prompt, active_ms=ms, **fields
    )
    Battle.objects.filter(pk=vote.battle_id).update(shown_at=timezone.now())
    return vote
