import random
from collections import Counter

import numpy as np
import pytest
from django.utils import timezone

from arena.errors import AllSeen, NotEnoughResponses
from arena.models import Arena, Battle, Prompt, Response, Slot
from arena.services import matchmaking, vote_log
from arena.services.ballots import Ballot
from arena.services.battles import start_battle
from arena.services.matchmaking import draw_battle, what_is_known
from arena.services.votes import cast_vote, rule_on_vote
from ranking.matchmaking import STRATEGIES, Posterior
from tests import factories

pytestmark = pytest.mark.django_db


def judge(arena, voter, k=None):
    battle = start_battle(arena=arena, voter=voter, k=k)
    cast_vote(battle=battle, voter=voter, ballot=Ballot.parse({"ranks": [1] * battle.k}, battle.k))
    return battle


def ids(arena):
    return list(arena.contestants.order_by("id").values_list("id", flat=True))


def test_the_responses_are_the_contestants_own_answers_to_the_prompt(open_arena):
    battle = start_battle(arena=open_arena, voter=factories.make_voter())

    slots = list(battle.slots.select_related("response"))
    assert len({slot.contestant_id for slot in slots}) == 4
    for slot in slots:
        assert slot.response.contestant_id == slot.contestant_id
        assert slot.response.prompt_id == battle.prompt_id
    assert 0 < battle.propensity <= 1


@pytest.mark.parametrize("strategy", Arena.Strategy.values)
def test_every_strategy_of_the_arena_draws_battles(strategy):
    assert set(Arena.Strategy.values) <= set(STRATEGIES)
    arena = factories.make_pool(strategy=strategy)
    factories.make_vote(arena)

    battle = start_battle(arena=arena, voter=factories.make_voter())

    assert battle.strategy == strategy
    assert battle.slots.count() == 4


def test_a_voter_never_sees_a_response_again():
    arena, voter = factories.make_pool(contestants=5, prompts=7, k=2), factories.make_voter()
    shown = Counter()
    for _ in range(7 * 2):  # two battles of two for each prompt; one answer is left over
        shown.update(judge(arena, voter).slots.values_list("response_id", flat=True))

    with pytest.raises(AllSeen, match="judged everything"):
        start_battle(arena=arena, voter=voter)
    assert set(shown.values()) == {1}
    assert len(shown) == 7 * 4
    assert start_battle(arena=arena, voter=factories.make_voter())  # others go on


def test_what_was_skipped_counts_as_seen():
    arena, voter = factories.make_pool(contestants=4, prompts=1), factories.make_voter()
    battle = start_battle(arena=arena, voter=voter)
    cast_vote(battle=battle, voter=voter, ballot=Ballot.parse({"skip": "not my field"}, 4))

    with pytest.raises(AllSeen):
        start_battle(arena=arena, voter=voter)


def test_a_second_sample_is_new_to_the_voter():
    arena, voter = factories.make_pool(contestants=2, prompts=1, k=2), factories.make_voter()
    first = judge(arena, voter)
    for contestant in arena.contestants.all():
        factories.make_response(arena.prompts.get(), contestant, sample=1)

    second = judge(arena, voter)

    assert set(second.slots.values_list("response__sample", flat=True)) == {1}
    assert second.prompt_id == first.prompt_id


def test_prompts_that_the_voter_has_not_met_come_first():
    arena, voter = factories.make_pool(contestants=6, prompts=5, k=2), factories.make_voter()

    met = [judge(arena, voter).prompt_id for _ in range(5)]

    assert len(set(met)) == 5


def test_who_rests_or_is_retired_does_not_compete():
    arena = factories.make_pool(contestants=6, prompts=4, k=4)
    resting, retired = arena.contestants.all()[:2]
    type(resting).objects.filter(pk=resting.pk).update(weight=0)
    type(retired).objects.filter(pk=retired.pk).update(retired_at=timezone.now())

    for _ in range(10):
        start_battle(arena=arena, voter=factories.make_voter())

    assert not Slot.objects.filter(contestant__in=[resting, retired]).exists()


def test_a_retired_prompt_is_not_asked():
    arena = factories.make_pool(prompts=3)
    kept = arena.prompts.first()
    Prompt.objects.exclude(pk=kept.pk).update(retired_at=timezone.now())

    for _ in range(5):
        assert start_battle(arena=arena, voter=factories.make_voter()).prompt_id == kept.pk


@pytest.mark.parametrize("what", ["contestant", "prompt"])
def test_an_open_battle_ends_when_what_it_shows_is_retired(open_arena, what):
    voter = factories.make_voter()
    battle = start_battle(arena=open_arena, voter=voter, k=2)
    shown = battle.prompt if what == "prompt" else battle.slots.first().contestant
    type(shown).objects.filter(pk=shown.pk).update(retired_at=timezone.now())

    again = start_battle(arena=open_arena, voter=voter, k=2)

    assert again.pk != battle.pk
    battle.refresh_from_db()
    assert battle.closed_at is not None
    seen = set(battle.slots.values_list("response_id", flat=True))
    assert seen.isdisjoint(again.slots.values_list("response_id", flat=True))


def test_too_few_responses_are_counted_for_the_reader():
    arena = factories.make_arena()
    for _ in range(4):
        factories.make_contestant(arena)
    prompt = factories.make_prompt(arena)
    for contestant in arena.contestants.all()[:3]:
        factories.make_response(prompt, contestant)

    with pytest.raises(NotEnoughResponses, match=r"needs 4 .* so far is 3") as refusal:
        start_battle(arena=arena, voter=factories.make_voter())

    assert not isinstance(refusal.value, AllSeen)
    assert not Battle.objects.exists()


def test_the_first_answered_prompt_is_found_among_many():
    arena = factories.make_pool(contestants=4, prompts=0)
    for _ in range(150):
        factories.make_prompt(arena)
    answered = arena.prompts.last()
    for contestant in arena.contestants.all():
        factories.make_response(answered, contestant)

    assert start_battle(arena=arena, voter=factories.make_voter()).prompt_id == answered.pk


def test_slots_are_shuffled_without_regard_to_the_contestant(monkeypatch):
    """Chi-squared of slot by contestant over 400 battles of 4 of 4: 9 degrees of freedom."""
    monkeypatch.setattr(matchmaking, "_random", random.Random(7))
    arena = factories.make_pool(contestants=4, prompts=1, strategy="random")
    voter = factories.make_voter()

    seen = Counter()
    for _ in range(400):
        seen.update(enumerate(draw_battle(arena=arena, voter=voter, k=4).contestants))

    assert sum((count - 100) ** 2 / 100 for count in seen.values()) < 27.9  # p = .001
    assert len(seen) == 16


def test_a_draw_cannot_be_foretold():
    assert type(matchmaking._random) is random.SystemRandom


# What the votes say


def test_votes_are_worked_in_as_they_come(open_arena):
    first, second, *_ = open_arena.contestants.order_by("id")
    order, before = what_is_known(open_arena, ids(open_arena))
    factories.make_vote(open_arena, contestants=[first, second])

    _, after = what_is_known(open_arena, ids(open_arena))

    assert order == ids(open_arena)
    assert np.allclose(after.mean, before.updated([0, 1], [1, 2]).mean)
    assert after.mean[0] > after.mean[1]


def test_skips_and_all_bad_say_nothing_of_the_order(open_arena):
    factories.make_vote(open_arena, kind="skip")
    factories.make_vote(open_arena, kind="all_bad")

    assert not what_is_known(open_arena, ids(open_arena))[1].mean.any()


def test_a_vote_taken_out_is_forgotten(open_arena, grace):
    first, second, *_ = open_arena.contestants.order_by("id")
    kept = factories.make_vote(open_arena, contestants=[first, second])
    out = factories.make_vote(open_arena, contestants=[second, first])
    what_is_known(open_arena, ids(open_arena))
    rule_on_vote(vote=out, action="quarantined", reason="a bot", by=grace)

    known = what_is_known(open_arena, ids(open_arena))[1]

    alone = Posterior.refit(5, [[0, 1]], [kept.ranks])
    assert np.allclose(known.mean, alone.mean, atol=1e-4)


def test_a_new_contestant_joins_what_is_known(open_arena):
    first, second, *_ = open_arena.contestants.order_by("id")
    factories.make_vote(open_arena, contestants=[first, second])
    before = what_is_known(open_arena, ids(open_arena))[1]
    newcomer = factories.make_contestant(open_arena)
    factories.make_vote(open_arena, contestants=[newcomer, second])

    order, after = what_is_known(open_arena, ids(open_arena))

    assert order[-1] == newcomer.pk
    assert np.allclose(after.mean, before.extended(1).updated([5, 1], [1, 2]).mean)


def test_many_votes_are_fitted_anew(open_arena):
    first, second, *_ = open_arena.contestants.order_by("id")
    what_is_known(open_arena, ids(open_arena))
    for _ in range(matchmaking.REFIT_AFTER + 1):
        factories.make_vote(open_arena, contestants=[first, second])

    known = what_is_known(open_arena, ids(open_arena))[1]

    votes = [vote.ranks for vote in vote_log.read_votes(open_arena)]
    assert np.allclose(known.mean, Posterior.refit(5, [[0, 1]] * len(votes), votes).mean, atol=1e-3)


def test_battles_that_others_judge_now_are_not_asked_again(open_arena):
    first, second, *_ = open_arena.contestants.order_by("id")
    place = {contestant: index for index, contestant in enumerate(ids(open_arena))}
    voter = factories.make_voter()
    factories.make_battle(open_arena, contestants=[first, second])
    factories.make_battle(open_arena, contestants=[second, first], closed_at=timezone.now())
    own = factories.make_battle(open_arena, voter, contestants=[first, second])
    stale = factories.make_battle(open_arena, contestants=[first, second])
    Battle.objects.filter(pk=stale.pk).update(created_at=timezone.now() - matchmaking.IN_FLIGHT_FOR)

    assert matchmaking._in_flight(open_arena, own.voter, place) == [[0, 1]]


# The log as it is kept


def test_only_new_votes_are_read(open_arena, django_assert_num_queries):
    for _ in range(3):
        factories.make_vote(open_arena)
    vote_log.read_votes(open_arena)
    with django_assert_num_queries(1):
        assert len(vote_log.read_votes(open_arena)) == 3

    new = factories.make_vote(open_arena, [2, 1, 1, 4])
    with django_assert_num_queries(2):
        votes = vote_log.read_votes(open_arena)

    assert (votes[-1].id, votes[-1].ranks) == (new.pk, (2, 1, 1, 4))
    assert votes[-1].group == tuple(
        new.battle.slots.order_by("position").values_list("contestant", flat=True)
    )


def test_a_vote_that_appears_late_is_read_after_all(open_arena):
    first, second = factories.make_vote(open_arena), factories.make_vote(open_arena)
    vote_log.read_votes(open_arena)
    # As PostgreSQL may: the first one's transaction ends after the second was read.
    kept = vote_log._kept[open_arena.pk].votes
    del kept[0]

    votes = vote_log.read_votes(open_arena, vote_log.marks(open_arena))

    assert [vote.id for vote in votes] == [first.pk, second.pk]


def test_a_thousand_prompts_of_ten_contestants_need_no_more_queries(django_assert_max_num_queries):
    arena = factories.make_arena()
    contestants = [factories.make_contestant(arena) for _ in range(10)]
    Prompt.objects.bulk_create(
        Prompt(arena=arena, key=f"p{n}", messages=[{"role": "user", "content": f"{n}?"}]) for n in range(1000)
    )
    Response.objects.bulk_create(
        Response(prompt=prompt, contestant=contestant, text="text", sha256="0")
        for prompt in arena.prompts.all()
        for contestant in contestants
    )
    voter = factories.make_voter()

    with django_assert_max_num_queries(15):
        start_battle(arena=arena, voter=voter)
