"""A campaign in the garden: Ada, Bob and Cleo judge, Grace leads, Mallory has no business here."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from django.contrib.auth.models import User

from annotation.models import Annotator, Assignment, Campaign
from annotation.services import campaigns, crowd
from annotation.services.queue import Next, next_item
from arena.models import Arena, Membership, Vote
from arena.services.ballots import Ballot
from arena.services.votes import cast_vote
from tests import factories


@pytest.fixture(autouse=True)
def _after_commit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What follows a vote runs at once: in a test's own transaction it never would."""
    if "transactional_db" not in request.fixturenames and not _is_transactional(request):
        monkeypatch.setattr("annotation.services.keeper.transaction.on_commit", lambda act, robust: act())


def _is_transactional(request: pytest.FixtureRequest) -> bool:
    marker = request.node.get_closest_marker("django_db")
    return bool(marker and marker.kwargs.get("transaction"))


@pytest.fixture
def bob(open_arena: Arena, closed_arena: Arena) -> User:
    user = factories.make_user("bob")
    for arena in (open_arena, closed_arena):
        factories.make_member(arena, user, Membership.Role.ANNOTATOR)
    return user


@pytest.fixture
def cleo(open_arena: Arena, closed_arena: Arena) -> User:
    user = factories.make_user("cleo")
    for arena in (open_arena, closed_arena):
        factories.make_member(arena, user, Membership.Role.ANNOTATOR)
    return user


@pytest.fixture
def draft(open_arena: Arena) -> Callable[..., Campaign]:
    """`draft(overlap=2)` is a campaign that was not started, in the garden: pairs, six prompts."""

    def made(**fields: Any) -> Campaign:
        return campaigns.create_campaign(
            **{"arena": open_arena, "name": "Weeding", "k": 2, "overlap": 2, "batch": 3, **fields}
        )

    return made


@pytest.fixture
def started(draft: Callable[..., Campaign]) -> Callable[..., Campaign]:
    def made(**fields: Any) -> Campaign:
        return campaigns.start_campaign(campaign=draft(**fields))

    return made


def annotator_of(campaign: Campaign, user: User | None = None) -> Annotator:
    """This user's part in the campaign, or that of a new browser session."""
    if user is None:
        return crowd.join(campaign=campaign, voter=factories.make_voter())
    campaigns.invite(campaign=campaign, users=[user])
    return Annotator.objects.select_related("campaign__arena").get(campaign=campaign, voter__user=user)


def ask(annotator: Annotator) -> Next:
    """What the annotator is given next, as a new request sees it."""
    return next_item(
        annotator=Annotator.objects.select_related("campaign__arena", "voter").get(pk=annotator.pk)
    )


def leased(annotator: Annotator) -> Assignment:
    found = ask(annotator)
    assert found.assignment is not None, found.kind
    return found.assignment


def answer(assignment: Assignment, said: Mapping[str, Any] | None = None) -> Vote:
    """The annotator's answer; without one, the first slot above the others."""
    battle = assignment.battle
    ballot = Ballot.parse(said or {"ranks": list(range(1, battle.k + 1))}, battle.k)
    return cast_vote(battle=battle, voter=battle.voter, ballot=ballot)


def judge_all(annotator: Annotator, said: Mapping[str, Any] | None = None, most: int = 100) -> list[Vote]:
    """Judge until there is nothing more to judge."""
    votes = []
    for _ in range(most):
        found = ask(annotator)
        if found.assignment is None:
            break
        votes.append(answer(found.assignment, said))
    return votes
