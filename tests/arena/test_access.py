import pytest
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore

from arena.errors import NotAllowed, NotFound, SignInNeeded
from arena.models import Arena, Voter
from arena.services import access
from arena.services.voters import voter_of_session, voter_of_user
from tests import factories

pytestmark = pytest.mark.django_db

# role: (may see, may vote, may manage) in a closed arena; None is a signed-in outsider.
RIGHTS = {
    "anonymous": (False, False, False),
    None: (False, False, False),
    "viewer": (True, False, False),
    "annotator": (True, True, False),
    "lead": (True, True, True),
    "owner": (True, True, True),
    "staff": (True, True, True),
}


def person(arena, role):
    if role == "anonymous":
        return AnonymousUser()
    user = factories.make_user(is_staff=role == "staff")
    if role not in (None, "staff"):
        factories.make_member(arena, user, role)
    return user


def is_let(act, **arguments):
    try:
        act(**arguments)
    except (NotAllowed, NotFound):
        return False
    return True


@pytest.mark.parametrize("role", RIGHTS)
def test_a_closed_arena_lets_each_role_do_its_own(closed_arena, role):
    user = person(closed_arena, role)

    rights = (
        is_let(access.get_arena, slug="cellar", user=user),
        is_let(access.may_vote, arena=closed_arena, user=user),
        is_let(access.require_manager, arena=closed_arena, user=user),
    )

    assert rights == RIGHTS[role]
    assert access.may_manage(arena=closed_arena, user=user) == RIGHTS[role][2]
    assert (closed_arena in access.managed_arenas(user)) == RIGHTS[role][2]
    assert (closed_arena in Arena.objects.visible_to(user)) == RIGHTS[role][0]


@pytest.mark.parametrize("role", RIGHTS)
def test_in_an_open_arena_everybody_votes_and_leads_manage(open_arena, role):
    user = person(open_arena, role)

    access.may_vote(arena=open_arena, user=user)
    assert access.get_arena(slug="garden", user=user) == open_arena
    assert access.may_manage(arena=open_arena, user=user) == RIGHTS[role][2]


def test_a_lead_of_one_arena_is_nobody_in_the_other(closed_arena, mallory):
    factories.make_member(factories.make_arena("own"), mallory, "owner")

    with pytest.raises(NotFound):
        access.get_arena(slug="cellar", user=mallory)
    assert list(access.managed_arenas(mallory).values_list("slug", flat=True)) == ["own"]


def test_who_is_not_signed_in_is_asked_to(closed_arena):
    for act in (
        lambda: access.get_arena(slug="cellar", user=AnonymousUser()),
        lambda: access.may_vote(arena=closed_arena, user=AnonymousUser()),
        lambda: access.require_manager(arena=closed_arena, user=AnonymousUser()),
    ):
        with pytest.raises(SignInNeeded, match="Sign in"):
            act()


def test_an_unknown_arena_is_named():
    with pytest.raises(NotFound, match='There is no arena "nowhere"'):
        access.get_arena(slug="nowhere", user=AnonymousUser())


# Voters


def test_a_session_keeps_its_voter(db):
    session = SessionStore()

    first = voter_of_session(session)

    assert voter_of_session(session) == first
    assert session["voter"] == first.pseudonym
    assert Voter.objects.get().user is None


def test_a_session_cannot_borrow_the_voter_of_a_user(ada):
    session = SessionStore()
    session["voter"] = voter_of_user(ada).pseudonym

    assert voter_of_session(session).user is None


def test_signing_in_keeps_the_two_voters_apart(client, open_arena, ada):
    client.post("/api/v1/battles/", {"arena": "garden"}, content_type="application/json")
    client.force_login(ada)
    client.post("/api/v1/battles/", {"arena": "garden"}, content_type="application/json")

    assert set(Voter.objects.values_list("user", flat=True)) == {None, ada.pk}
