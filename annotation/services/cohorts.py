"""People who came by one invitation, tested as one: accounts too quiet to be seen one by one add up."""

from dataclasses import dataclass

import numpy as np

from annotation.services import vote_facts
from annotation.services.vote_facts import Facts
from arena.models import Arena, Invitation, Voter
from ranking import Votes, fit
from ranking.integrity import cohort_test
from ranking.surplus import scores

LEVEL = 0.05
LEAST_VOTERS, LEAST_OTHERS = 3, 50


@dataclass(frozen=True)
class Cohort:
    """`reason` says why there is no test; otherwise the e-value and the contestant that it is about."""

    invitation: Invitation
    voters: int
    votes: int
    evidence: float
    contestant: str
    z: float
    suspect: bool
    reason: str = ""


def cohorts_of(arena: Arena) -> list[Cohort]:
    """Each invitation's people against a board that is fitted without them."""
    invitations = {one.pk: one for one in Invitation.objects.filter(arena=arena)}
    voters = Voter.objects.filter(
        user__memberships__arena=arena, user__memberships__invitation__in=invitations
    ).values_list("user__memberships__invitation", "pk")
    members: dict[int, list[int]] = {}
    for invitation, voter in voters:
        members.setdefault(invitation, []).append(voter)
    if not members:
        return []
    facts = vote_facts.read_facts(arena)
    ranked = facts.chosen(np.array([vote.ranks is not None for vote in facts.votes], dtype=bool))
    names = dict(arena.contestants.values_list("pk", "name"))
    return [_tested(invitations[pk], own, ranked, names) for pk, own in members.items()]


def _tested(invitation: Invitation, members: list[int], facts: Facts, names: dict[int, str]) -> Cohort:
    mine = np.isin(facts.voter, members)
    own, others = facts.chosen(mine), facts.chosen(~mine)
    voters = len(set(own.voter.tolist()))
    untested = Cohort(invitation, voters, len(own.votes), 1.0, "", 0.0, False)
    if voters < LEAST_VOTERS:
        return _because(untested, "few_voters")
    if len(others.votes) < LEAST_OTHERS:
        return _because(untested, "few_others")
    known = sorted({one for vote in others.votes for one in vote.group})
    place = {one: row for row, one in enumerate(known)}
    board = fit(
        Votes.from_rankings(
            [str(one) for one in known],
            [[place[one] for one in vote.group] for vote in others.votes],
            [vote.ranks or () for vote in others.votes],
        ),
        prior="estimated",
    )
    met = [row for row, vote in enumerate(own.votes) if set(vote.group) <= place.keys()]
    found = scores(
        [[place[one] for one in own.votes[row].group] for row in met],
        [own.votes[row].ranks or () for row in met],
        own.voter[met],
        board.strengths,
    )
    test = cohort_test(found, own.voter, len(known))
    contestant = names.get(known[test.contestant], "")
    evidence = float(np.exp(min(test.log_e, 50.0)))
    return Cohort(invitation, voters, len(own.votes), evidence, contestant, test.z, test.is_suspect(LEVEL))


def _because(cohort: Cohort, reason: str) -> Cohort:
    return Cohort(cohort.invitation, cohort.voters, cohort.votes, 1.0, "", 0.0, False, reason)
