"""Who votes: a signed-in user, or a browser session under a pseudonym.

On sign-in the session's voter stays apart from the user's: what somebody did before
saying who they are is not put to their name.
"""

from typing import Any

from django.contrib.auth.models import User
from django.contrib.sessions.backends.base import SessionBase

from arena.models import Voter

SESSION_KEY = "voter"


def voter_of_session(session: SessionBase) -> Voter:
    """The session's voter, made at its first battle. The session keeps the pseudonym."""
    voter = _known_to_session(session)
    if voter is None:
        voter = Voter.objects.create()
        session[SESSION_KEY] = voter.pseudonym
    return voter


def voter_of_user(user: User) -> Voter:
    """The user's voter. Two first requests at once get the same one: the column is unique."""
    voter, _ = Voter.objects.get_or_create(user=user)
    voter.user = user  # spares the query where the user's rights are looked up
    return voter


def voter_for(request: Any) -> Voter:
    """The voter behind a request of Django or of the REST framework."""
    if request.user.is_authenticated:
        return voter_of_user(request.user)
    return voter_of_session(request.session)


def known_voter(request: Any) -> Voter | None:
    """The voter behind a request if there is one already; nobody is made."""
    if request.user.is_authenticated:
        return voter_of_user(request.user)
    return _known_to_session(request.session)


def _known_to_session(session: SessionBase) -> Voter | None:
    pseudonym = session.get(SESSION_KEY)
    if not pseudonym:
        return None
    return Voter.objects.filter(pseudonym=pseudonym, kind=Voter.Kind.PERSON, user=None).first()


def continue_as(session: SessionBase, voter: Voter) -> None:
    """The session goes on as this voter: somebody whom a panel knows, back in another browser."""
    if session.get(SESSION_KEY) != voter.pseudonym:
        session.cycle_key()
        session[SESSION_KEY] = voter.pseudonym
