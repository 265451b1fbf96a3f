"""Who votes: a signed-in user, or a browser session under a pseudonym.

On sign-in the session's voter stays apart from the user's: what somebody did before
saying who they are is not put to their name.
"""

from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.contrib.sessions.backends.base import SessionBase

from arena.models import Voter

SESSION_KEY = "voter"


def voter_of_session(session: SessionBase) -> Voter:
    """The session's voter, made at its first battle. The session keeps the pseudonym."""
    pseudonym = session.get(SESSION_KEY)
    if pseudonym:
        voter = Voter.objects.filter(pseudonym=pseudonym, kind=Voter.Kind.PERSON, user=None).first()
        if voter is not None:
            return voter
    voter = Voter.objects.create()
    session[SESSION_KEY] = voter.pseudonym
    return voter


def voter_of_user(user: AbstractBaseUser) -> Voter:
    """The user's voter. Two first requests at once get the same one: the column is unique."""
    voter, _ = Voter.objects.select_related("user").get_or_create(user=user)
    return voter


def voter_for(request: Any) -> Voter:
    """The voter behind a request of Django or of the REST framework."""
    if request.user.is_authenticated:
        return voter_of_user(request.user)
    return voter_of_session(request.session)
