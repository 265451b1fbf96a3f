"""The queue: who is given what, and what never happens."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from annotation.models import Annotator, Assignment, Campaign, Item
from annotation.services import campaigns, places, progress, queue, standing
from arena.errors import BattleClosed, NotAllowed, PlaceTaken
from arena.models import Battle, Slot, Vote, VoteRuling
from arena.services.votes import reveal, rule_on_vote
from tests.campaigns.conftest import annotator_of, answer, ask, judge_all, leased


def run_out(assignment):
    Assignment.objects.filter(pk=assignment.pk).update(leased_until=timezone.now() - timedelta(seconds=1))


def held(assignment):
    return Item.objects.get(pk=assignment.item_id).held


def test_the_campaign_ends_with_exactly_the_wanted_votes(started):
    campaign = started(overlap=2)
    people = [annotator_of(campaign) for _ in range(4)]

    for _ in range(20):
        for one in people:
            found = ask(one)
            if found.assignment:
                answer(found.assignment)

    campaign.refresh_from_db()
    assert campaign.state == Campaign.State.FINISHED
    assert (campaign.target, campaign.votes_wanted) == (6, 12)
    assert Vote.objects.count() == 12
    assert {ask(one).kind for one in people} == {"finished"}
    pairs = Assignment.objects.values_list("item", "annotator")
    assert len(set(pairs)) == len(pairs) == 12  # nobody judged an item twice


def test_items_are_drawn_ahead_in_batches_with_the_chance_that_chose_them(started):
    campaign = started(batch=2)

    assert (campaign.drawn, campaign.items.count()) == (2, 2)
    judge_all(annotator_of(campaign), most=3)

    campaign.refresh_from_db()
    assert campaign.drawn == 4
    assert all(0 < item.propensity <= 1 for item in campaign.items.all())
    assert {item.strategy for item in campaign.items.all()} == {"information"}
    battle = Battle.objects.first()
    assert battle.propensity == battle.assignment.item.propensity


def test_a_battle_is_served_again_until_it_is_answered_and_its_lease_renewed(started):
    one = annotator_of(started())
    first = leased(one)
    Assignment.objects.update(leased_until=timezone.now() + timedelta(seconds=1))

    again = leased(one)

    assert again.battle_id == first.battle_id
    assert again.leased_until > timezone.now() + timedelta(minutes=14)
    assert Battle.objects.count() == 1


def test_everybody_sees_the_same_responses_in_an_order_of_their_own(started):
    campaign = started(k=4, overlap=30, prompt_filter={"most": 1})
    orders = [
        tuple(
            Slot.objects.filter(battle=leased(annotator_of(campaign)).battle).values_list(
                "response", flat=True
            )
        )
        for _ in range(12)
    ]

    assert len({frozenset(order) for order in orders}) == 1
    assert len(set(orders)) > 1


def test_while_others_hold_the_last_places_one_waits(started):
    campaign = started(overlap=1, prompt_filter={"most": 1})
    ada, bob = annotator_of(campaign), annotator_of(campaign)
    held_by_ada = leased(ada)

    assert ask(bob).kind == "wait"

    run_out(held_by_ada)
    assert leased(bob).item_id == held_by_ada.item_id


def test_a_lease_that_ran_out_goes_to_somebody_else_and_the_late_vote_is_credited_only(started):
    campaign = started(overlap=1, prompt_filter={"most": 1})
    ada, bob = annotator_of(campaign), annotator_of(campaign)
    late = leased(ada)
    run_out(late)
    answer(leased(bob))

    with pytest.raises(PlaceTaken, match="somebody else has judged it"):
        answer(late)

    assert Vote.objects.count() == 1
    late.refresh_from_db()
    assert late.state == Assignment.State.LATE
    assert progress.own_progress(ada).judged == 1
    with pytest.raises(PlaceTaken):
        answer(late)


def test_a_late_vote_counts_where_its_place_is_still_free(started):
    campaign = started(overlap=2, prompt_filter={"most": 1})
    late = leased(annotator_of(campaign))
    run_out(late)
    places.expire_due(campaign)
    assert held(late) == 0

    answer(late)

    late.refresh_from_db()
    assert (late.state, held(late)) == (Assignment.State.VOTED, 1)


def test_one_who_comes_back_late_goes_on_with_the_same_battle(started):
    campaign = started(overlap=1, prompt_filter={"most": 1})
    ada, bob = annotator_of(campaign), annotator_of(campaign)
    mine = leased(ada)
    run_out(mine)
    places.expire_due(campaign)

    assert leased(ada).battle_id == mine.battle_id
    run_out(mine)
    theirs = leased(bob)
    assert ask(ada).kind == "wait"  # her item is Bob's now, and may come back
    places.give_back(theirs)
    assert leased(ada).battle_id == mine.battle_id
    answer(mine)


def test_one_whose_place_is_gone_goes_on_with_another_battle(started):
    campaign = started(overlap=1, prompt_filter={"most": 2})
    ada, bob = annotator_of(campaign), annotator_of(campaign)
    mine = leased(ada)
    run_out(mine)
    places.expire_due(campaign)
    places.claim(annotator=bob, items=campaign.items.filter(pk=mine.item_id))

    other = leased(ada)

    assert other.item_id != mine.item_id
    with pytest.raises(PlaceTaken):
        answer(mine)
    answer(other)


def test_a_skip_is_for_good_and_gives_the_place_to_somebody_else(started):
    campaign = started(overlap=1, prompt_filter={"most": 1})
    ada, bob = annotator_of(campaign), annotator_of(campaign)
    answer(leased(ada), {"skip": "I do not know the subject"})

    assert ask(ada).kind == "nothing_left"
    answer(leased(bob))

    campaign.refresh_from_db()
    assert campaign.state == Campaign.State.FINISHED


def test_each_item_is_given_to_as_many_as_are_wanted(started):
    campaign = started(overlap=3, prompt_filter={"most": 1})
    people = [annotator_of(campaign) for _ in range(5)]

    kinds = [ask(one).kind for one in people]

    assert kinds == ["battle"] * 3 + ["wait"] * 2
    assert Item.objects.get().held == 3


def test_the_database_refuses_more_places_than_are_wanted(started):
    campaign = started(overlap=1)

    with pytest.raises(IntegrityError), transaction.atomic():
        campaign.items.update(held=2)


def test_a_vote_that_is_ruled_out_gives_its_place_back_and_a_restored_one_takes_it(started):
    campaign = started(overlap=1, prompt_filter={"most": 1})
    vote = answer(leased(annotator_of(campaign)))
    campaign.refresh_from_db()
    assert campaign.state == Campaign.State.FINISHED

    rule_on_vote(vote=vote, action=VoteRuling.Action.QUARANTINED, reason="careless", by=None)
    campaigns.resume_campaign(campaign=campaign)

    bob = annotator_of(campaign)
    theirs = leased(bob)
    rule_on_vote(vote=vote, action=VoteRuling.Action.RESTORED, reason="a mistake", by=None)
    assert Assignment.objects.get(battle=vote.battle).state == Assignment.State.VOID  # the place is Bob's
    places.give_back(theirs)
    rule_on_vote(vote=vote, action=VoteRuling.Action.QUARANTINED, reason="once more", by=None)
    rule_on_vote(vote=vote, action=VoteRuling.Action.RESTORED, reason="once more", by=None)
    assert Assignment.objects.get(battle=vote.battle).state == Assignment.State.VOTED
    assert Item.objects.get().held == 1


def test_a_battle_of_a_campaign_is_answered_by_whoever_may_judge_in_it_only(started):
    campaign = started()
    ada = annotator_of(campaign)
    mine = leased(ada)
    standing.rule_on_annotator(annotator=ada, action="paused", reason="A talk first.", by=None)

    with pytest.raises(BattleClosed, match="given back"):
        answer(mine)
    assert ask(ada).kind == "paused"
    assert held(mine) == 0

    standing.rule_on_annotator(annotator=ada, action="reinstated", reason="We talked.", by=None)
    assert ask(ada).kind == "battle"


def test_while_the_campaign_rests_nothing_is_served_or_taken(started):
    campaign = started()
    ada = annotator_of(campaign)
    mine = leased(ada)
    campaigns.pause_campaign(campaign=campaign)

    assert ask(ada).kind == "resting"
    with pytest.raises(BattleClosed, match="rests"):
        answer(mine)

    campaigns.resume_campaign(campaign=campaign)
    answer(leased(ada))
    assert Vote.objects.count() == 1


def test_the_names_are_never_told_in_a_campaign(started):
    campaign = started()
    assert campaign.arena.reveal == "after_vote"

    told = reveal(answer(leased(annotator_of(campaign))))

    assert not told["revealed"]
    assert {slot["contestant"] for slot in told["slots"]} == {None}


def test_free_voting_and_a_campaign_have_a_battle_each(started, open_arena):
    from arena.services.battles import start_battle

    one = annotator_of(started())
    mine = leased(one)

    free = start_battle(arena=open_arena, voter=one.voter)

    assert free.pk != mine.battle_id
    assert leased(one).battle_id == mine.battle_id
    assert start_battle(arena=open_arena, voter=one.voter).pk == free.pk


def test_one_person_judges_no_more_than_meant_for_each(started):
    campaign = started(overlap=3, most_each=2)
    one = annotator_of(campaign)

    assert len(judge_all(one)) == 2
    assert ask(one).kind == "enough"


def test_before_it_opens_and_after_it_closes_nothing_is_served(started):
    hour = timedelta(hours=1)
    campaign = started(opens_at=timezone.now() + hour, closes_at=timezone.now() + 2 * hour)
    one = annotator_of(campaign)

    assert ask(one).kind == "not_open"
    Campaign.objects.update(opens_at=timezone.now() - hour)
    assert ask(one).kind == "battle"
    Campaign.objects.update(closes_at=timezone.now())
    assert ask(one).kind == "closed"
    answer(Assignment.objects.get())  # what was begun in time is taken


def test_a_stranger_to_the_battle_cannot_answer_it(started):
    from arena.errors import NotYourBattle
    from arena.services.ballots import Ballot
    from arena.services.votes import cast_vote

    campaign = started()
    mine, other = leased(annotator_of(campaign)), annotator_of(campaign)

    with pytest.raises(NotYourBattle):
        cast_vote(battle=mine.battle, voter=other.voter, ballot=Ballot.parse({"best": 0}, 2))


def test_an_excluded_annotator_is_refused_even_with_the_page_still_open(started):
    campaign = started()
    ada = annotator_of(campaign)
    mine = leased(ada)
    Annotator.objects.update(state=Annotator.State.EXCLUDED)

    with pytest.raises(NotAllowed, match="do not judge"):
        answer(mine)
    assert Vote.objects.count() == 0


def test_a_battle_fetched_ahead_at_the_same_moment_is_served_and_not_nothing_left(started, monkeypatch):
    """The page fetches the last battle ahead between this request's look for a lease and its search."""
    annotator = annotator_of(started(overlap=1, prompt_filter={"most": 1}))
    held, fetched = queue._held, []

    def look_then_lose(who):
        found = held(who)
        if not fetched:
            fetched.append(None)
            fetched[0] = ask(annotator)
        return found

    monkeypatch.setattr(queue, "_held", look_then_lose)

    found = ask(annotator)

    assert found.kind == "battle"
    assert found.assignment == fetched[0].assignment
