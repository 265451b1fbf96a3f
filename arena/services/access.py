"""Who may do what. The only place that knows: docs/roles.md and the page of rules are made from it.

Staff may do all. In an open arena everybody votes and sees the leaderboard; a closed one
is for its members.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from arena.errors import NotAllowed, NotFound, SignInNeeded
from arena.models import Arena, Membership

Role = Membership.Role
MANAGING = {Role.OWNER, Role.LEAD}
VOTING = MANAGING | {Role.ANNOTATOR}


@dataclass(frozen=True)
class Right:
    """Something that some roles of an arena may do; staff may do everything."""

    key: str
    sentence: str | Promise
    roles: frozenset[str]
    # Anybody at all in an open arena, signed in or not.
    everybody_if_open: bool = False


SEE = Right(
    "see",
    gettext_lazy("See the arena, its leaderboard and its contestants"),
    frozenset(Role.values),
    everybody_if_open=True,
)
VOTE = Right(
    "vote",
    gettext_lazy("Vote, and see one's own votes"),
    frozenset(VOTING),
    everybody_if_open=True,
)
MANAGE = Right(
    "manage",
    gettext_lazy(
        "Run the study: contestants, prompts, the judgement form, campaigns, data sets, training runs, "
        "the dashboard, quality, review and webhooks"
    ),
    frozenset(MANAGING),
)
INVITE = Right(
    "invite",
    gettext_lazy("See who belongs to the arena; invite, add and remove annotators and viewers"),
    frozenset(MANAGING),
)
OWN = Right(
    "own",
    gettext_lazy("Appoint and remove leads and owners; change the arena's settings"),
    frozenset({Role.OWNER}),
)
FOUND = Right("found", gettext_lazy("Make a new arena (whoever owns one already)"), frozenset({Role.OWNER}))
INSTALL = Right(
    "install", gettext_lazy("Use the admin: every table of this installation, users too"), frozenset()
)
RIGHTS: Sequence[Right] = (SEE, VOTE, MANAGE, INVITE, OWN, FOUND, INSTALL)


def get_arena(*, slug: str, user: User | AnonymousUser) -> Arena:
    """The arena of that name, if this user may see it.

    Raises NotFound, in the same words where it does not exist and where it is not for this
    user, and SignInNeeded where nobody is signed in and the arena is closed.
    """
    arena = Arena.objects.filter(slug=slug).first()
    if arena is None:
        raise NotFound(_('There is no arena "%(slug)s".') % {"slug": slug})
    if arena.access == Arena.Access.OPEN:
        return arena
    if not user.is_authenticated:
        raise SignInNeeded(_("This arena is closed. Sign in to enter it."))
    if not user.is_staff and role_of(arena=arena, user=user) is None:
        raise NotFound(_('There is no arena "%(slug)s".') % {"slug": slug})
    return arena


def role_of(*, arena: Arena, user: User | AnonymousUser) -> str | None:
    """The user's role in this arena, or None. Staff need none."""
    if isinstance(user, AnonymousUser):
        return None
    return arena.memberships.filter(user=user).values_list("role", flat=True).first()


def has(right: Right, *, arena: Arena, user: User | AnonymousUser) -> bool:
    """Whether the table above gives this user that right in this arena."""
    if user.is_staff or (right.everybody_if_open and arena.access == Arena.Access.OPEN):
        return True
    return role_of(arena=arena, user=user) in right.roles


def rights_of(*, arena: Arena, user: User | AnonymousUser) -> frozenset[str]:
    """The keys of the rights that this user has in this arena."""
    role = None if user.is_staff else role_of(arena=arena, user=user)
    is_open = arena.access == Arena.Access.OPEN
    return frozenset(
        right.key
        for right in RIGHTS
        if user.is_staff or role in right.roles or (right.everybody_if_open and is_open)
    )


def may_vote(*, arena: Arena, user: User | AnonymousUser) -> None:
    """Raises SignInNeeded or NotAllowed where this user may not vote."""
    if has(VOTE, arena=arena, user=user):
        return
    if not user.is_authenticated:
        raise SignInNeeded(_("This arena is closed. Sign in to vote."))
    raise NotAllowed(_("You may not vote in this arena. Ask one of its leads to make you an annotator."))


def may_manage(*, arena: Arena, user: User | AnonymousUser) -> bool:
    return has(MANAGE, arena=arena, user=user)


def require_manager(*, arena: Arena, user: User | AnonymousUser) -> None:
    """Raises SignInNeeded or NotAllowed where this user does not manage the arena."""
    if may_manage(arena=arena, user=user):
        return
    if not user.is_authenticated:
        raise SignInNeeded(_("This is for the leads of the arena. Sign in first."))
    raise NotAllowed(_("This is for the leads of the arena. Ask one of them to do it, or to make you one."))


def require_owner(*, arena: Arena, user: User | AnonymousUser) -> None:
    """Raises SignInNeeded or NotAllowed where this user does not own the arena."""
    if has(OWN, arena=arena, user=user):
        return
    if not user.is_authenticated:
        raise SignInNeeded(_("This is for the owners of the arena. Sign in first."))
    raise NotAllowed(_("This is for the owners of the arena. Ask one of them to do it."))


def may_found(user: User | AnonymousUser) -> bool:
    """Whether this user may make an arena."""
    if isinstance(user, AnonymousUser):
        return False
    return user.is_staff or Membership.objects.filter(user=user, role__in=FOUND.roles).exists()


def managed_arenas(user: User | AnonymousUser) -> QuerySet[Arena]:
    """The arenas this user manages."""
    if user.is_staff:
        return Arena.objects.all()
    if isinstance(user, AnonymousUser):
        return Arena.objects.none()
    return Arena.objects.filter(memberships__user=user, memberships__role__in=MANAGING)


def voting_in(user: User | AnonymousUser) -> Q:
    """Of rows of arenas: whether this user may vote there."""
    if user.is_staff:
        return Q(pk__isnull=False)
    is_open = Q(access=Arena.Access.OPEN)
    if isinstance(user, AnonymousUser):
        return is_open
    return is_open | Q(
        Exists(Membership.objects.filter(arena=OuterRef("pk"), user=user, role__in=VOTE.roles))
    )


def table_of_rights() -> list[tuple[str, list[tuple[str, bool]]]]:
    """For the page of rules and docs/roles.md: each right's sentence and (who, may they) in `WHO`'s order."""
    rows = []
    for right in RIGHTS:
        shares = [(name, key in right.roles or key == "staff") for key, name in who()]
        if right.everybody_if_open:
            shares[0] = (shares[0][0], True)
        rows.append((str(right.sentence), shares))
    return rows


def who() -> list[tuple[str, str]]:
    """Everybody that the table tells apart, in its order: (key, name on the screen)."""
    return [
        ("outsider", _("Anybody, in an open arena")),
        (Role.VIEWER.value, _("Viewer")),
        (Role.ANNOTATOR.value, _("Annotator")),
        (Role.LEAD.value, _("Lead")),
        (Role.OWNER.value, _("Owner")),
        ("staff", _("Staff")),
    ]
