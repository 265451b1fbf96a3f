"""Who may do what in an arena. The only place that knows.

Staff may do all. Owners and leads manage, annotators vote, viewers look on. In an open
arena everybody votes and sees the leaderboard; a closed one is for its members.
"""

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import QuerySet

from arena.errors import NotAllowed, NotFound, SignInNeeded
from arena.models import Arena, Membership

MANAGING = {Membership.Role.OWNER, Membership.Role.LEAD}
VOTING = MANAGING | {Membership.Role.ANNOTATOR}


def get_arena(*, slug: str, user: User | AnonymousUser) -> Arena:
    """The arena of that name, if this user may see it.

    Raises NotFound, in the same words where it does not exist and where it is not for this
    user, and SignInNeeded where nobody is signed in and the arena is closed.
    """
    arena = Arena.objects.filter(slug=slug).first()
    if arena is None:
        raise NotFound(f'There is no arena "{slug}".')
    if arena.access == Arena.Access.OPEN:
        return arena
    if not user.is_authenticated:
        raise SignInNeeded("This arena is closed. Sign in to enter it.")
    if not user.is_staff and role_of(arena=arena, user=user) is None:
        raise NotFound(f'There is no arena "{slug}".')
    return arena


def role_of(*, arena: Arena, user: User | AnonymousUser) -> str | None:
    """The user's role in this arena, or None. Staff need none."""
    if isinstance(user, AnonymousUser):
        return None
    return arena.memberships.filter(user=user).values_list("role", flat=True).first()


def may_vote(*, arena: Arena, user: User | AnonymousUser) -> None:
    """Raises SignInNeeded or NotAllowed where this user may not vote."""
    if arena.access == Arena.Access.OPEN or user.is_staff:
        return
    if not user.is_authenticated:
        raise SignInNeeded("This arena is closed. Sign in to vote.")
    if role_of(arena=arena, user=user) not in VOTING:
        raise NotAllowed("You may not vote in this arena. Ask one of its leads to make you an annotator.")


def may_manage(*, arena: Arena, user: User | AnonymousUser) -> bool:
    if user.is_staff:
        return True
    return role_of(arena=arena, user=user) in MANAGING


def require_manager(*, arena: Arena, user: User | AnonymousUser) -> None:
    """Raises SignInNeeded or NotAllowed where this user does not manage the arena."""
    if may_manage(arena=arena, user=user):
        return
    if not user.is_authenticated:
        raise SignInNeeded("This is for the leads of the arena. Sign in first.")
    raise NotAllowed("This is for the leads of the arena. Ask one of them to do it, or to make you one.")


def managed_arenas(user: User | AnonymousUser) -> QuerySet[Arena]:
    """The arenas this user manages."""
    if user.is_staff:
        return Arena.objects.all()
    if isinstance(user, AnonymousUser):
        return Arena.objects.none()
    return Arena.objects.filter(memberships__user=user, memberships__role__in=MANAGING)
