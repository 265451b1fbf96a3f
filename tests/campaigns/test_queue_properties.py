"""Whatever happens in whatever order, the queue's promises hold: a machine that tries to break them."""

from datetime import timedelta
from typing import ClassVar

from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from annotation.models import Annotator, Assignment, Item
from annotation.services import campaigns, crowd, places, standing
from annotation.services.queue import next_item
from arena.errors import ArenaError
from arena.models import Battle, Vote
from arena.services.ballots import Ballot
from arena.services.votes import cast_vote, rule_on_vote
from tests import factories

PEOPLE = 4
people = st.integers(0, PEOPLE - 1)
State = Assignment.State
HOLDING = [State.LEASED, State.VOTED]


class Queue(RuleBasedStateMachine):
    """Four annotators of a campaign of three battles, two votes each, in a transaction of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.block = transaction.atomic()
        self.block.__enter__()
        arena = factories.make_pool(contestants=3, prompts=3)
        draft = campaigns.create_campaign(
            arena=arena, name="Weeding", k=2, overlap=2, batch=2, repeat_every=3, repeat_gap=1
        )
        self.campaign = campaigns.start_campaign(campaign=draft)
        self.people = [crowd.join(campaign=draft, voter=factories.make_voter()).pk for _ in range(PEOPLE)]
        self.skipped: set[tuple[int, int]] = set()

    def teardown(self) -> None:
        self.block.__exit__(_Undo, _Undo(), None)

    def person(self, number: int) -> Annotator:
        return Annotator.objects.select_related("campaign__arena", "voter").get(pk=self.people[number])

    def battles_of(self, number: int) -> list[Assignment]:
        mine = Assignment.objects.filter(annotator=self.people[number]).select_related(
            "battle__arena", "battle__voter"
        )
        return list(mine.order_by("-id")[:3])

    def vote(self, assignment: Assignment, said: dict[str, object]) -> None:
        battle = Battle.objects.select_related("arena", "voter").get(pk=assignment.battle_id)
        try:
            cast_vote(battle=battle, voter=battle.voter, ballot=Ballot.parse(said, 2))
        except ArenaError:
            return
        if "skip" in said:
            self.skipped.add((assignment.item_id, assignment.annotator_id))

    @rule(number=people)
    def asks(self, number: int) -> None:
        found = next_item(annotator=self.person(number))
        if found.assignment is not None:
            self.check_given(number, found.assignment)
        if found.kind in ("nothing_left", "wait"):
            assert self.is_held_for(number) == (found.kind == "wait"), found.kind

    @rule(number=people, which=st.integers(0, 2), first=st.booleans())
    def votes(self, number: int, which: int, first: bool) -> None:
        """On any battle they ever had: the current one, an old one, one that ran out."""
        held = self.battles_of(number)
        if which < len(held):
            self.vote(held[which], {"ranks": [1, 2] if first else [2, 1]})

    @rule(number=people)
    def skips(self, number: int) -> None:
        held = self.battles_of(number)
        if held:
            self.vote(held[0], {"skip": "I do not know the subject"})

    @rule(number=people)
    def runs_out_of_time(self, number: int) -> None:
        Assignment.objects.filter(annotator=self.people[number], state=State.LEASED).update(
            leased_until=timezone.now() - timedelta(seconds=1)
        )

    @rule()
    def leases_are_looked_through(self) -> None:
        places.expire_due(self.campaign)

    @rule(number=people)
    def gives_back(self, number: int) -> None:
        for assignment in self.battles_of(number)[:1]:
            places.give_back(assignment)

    @rule(back=st.booleans())
    def a_vote_is_ruled_on(self, back: bool) -> None:
        vote = Vote.objects.filter(kind="ranking").order_by("?").first()
        if vote is not None:
            try:
                rule_on_vote(vote=vote, action="restored" if back else "quarantined", reason="test", by=None)
            except ArenaError:
                return

    @precondition(lambda self: Vote.objects.count() >= 3)
    @rule(number=people, action=st.sampled_from(["excluded", "paused", "reinstated"]))
    def is_ruled_on(self, number: int, action: str) -> None:
        try:
            standing.rule_on_annotator(annotator=self.person(number), action=action, reason="test", by=None)
        except ArenaError:
            return

    def check_given(self, number: int, given: Assignment) -> None:
        assert given.annotator_id == self.people[number]
        assert (given.item_id, given.annotator_id) not in self.skipped, "a skipped item came again"
        done = Vote.objects.filter(battle__assignment__item=given.item_id, voter=self.person(number).voter_id)
        assert given.repetition or not done.exists(), "a judged item came again that is no repeat"

    def is_held_for(self, number: int) -> bool:
        """Whether somebody else holds an item that this person could still be asked."""
        mine = Assignment.objects.filter(annotator=self.people[number]).exclude(state=State.EXPIRED)
        open_to = Item.objects.exclude(pk__in=mine.values("item"))
        return Assignment.objects.filter(item__in=open_to, state=State.LEASED, purpose="").exists()

    @invariant()
    def no_item_has_more_than_it_wants(self) -> None:
        for item in Item.objects.all():
            holders = Assignment.objects.filter(item=item, state__in=HOLDING, purpose="")
            assert item.held == holders.count() <= (item.wanted or 0)

    @invariant()
    def valid_votes_are_those_that_count(self) -> None:
        counted = Vote.objects.counted().filter(battle__purpose="").exclude(kind="skip")
        voted = Assignment.objects.filter(state=State.VOTED, purpose="")
        assert set(voted.values_list("battle", flat=True)) <= set(counted.values_list("battle", flat=True))

    @invariant()
    def nobody_has_two_battles_open(self) -> None:
        for pk in self.people:
            assert Assignment.objects.filter(annotator=pk, state=State.LEASED).count() <= 1

    @invariant()
    def finished_is_finished(self) -> None:
        self.campaign.refresh_from_db()
        voted = Assignment.objects.filter(state=State.VOTED, purpose="").count()
        assert voted <= self.campaign.votes_wanted


class _Undo(Exception):
    """Rolls a machine's database back."""


class TestQueue(TestCase):
    """Hypothesis' machine in Django's test case."""

    machine: ClassVar = Queue

    def test_the_promises_hold_in_every_order(self) -> None:
        from hypothesis.stateful import run_state_machine_as_test

        run_state_machine_as_test(
            Queue,
            settings=settings(
                max_examples=12,
                stateful_step_count=40,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
