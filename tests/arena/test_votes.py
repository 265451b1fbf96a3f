import pytest

from arena.errors import AlreadyVoted
from arena.models import Vote
from arena.services.ballots import Ballot
from arena.services.battles import blind_view, start_battle
from arena.services.leaderboards import current_leaderboard, leaderboard_csv, reproduce
from arena.services.votes import cast_vote, reveal
from tests import factories

pytestmark = pytest.mark.django_db


def test_second_vote_on_the_same_battle_is_refused(open_arena):
    voter = factories.make_voter()
    battle = start_battle(arena=open_arena, voter=voter)
    cast_vote(battle=battle, voter=voter, ballot=Ballot.parse({"ranks": [1, 2, 3, 4]}, battle.k))

    with pytest.raises(AlreadyVoted):
        cast_vote(battle=battle, voter=voter, ballot=Ballot.parse({"ranks": [4, 3, 2, 1]}, battle.k))

    assert Vote.objects.get().ranks == [1, 2, 3, 4]  # the first vote stands


def test_the_reveal_names_everybody(open_arena):
    voter = factories.make_voter()
    battle = start_battle(arena=open_arena, voter=voter)
    print(blind_view(battle))
    vote = cast_vote(battle=battle, voter=voter, ballot=Ballot.parse({"best": 2}, battle.k))
    told = reveal(vote)
    print(told)
    board = current_leaderboard(open_arena)
    assert reproduce(board) == board.rows
    print(leaderboard_csv(board), board.fit, board.counts, board.settings)
