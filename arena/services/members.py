"""Who belongs to an arena: adding, changing roles, removing. An arena always keeps an owner."""

from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Case, IntegerField, QuerySet, Value, When
from django.utils.translation import gettext as _

from arena.errors import BadInput, NotAllowed, NotFound
from arena.models import Arena, Membership
from arena.services import access, audit

Role = Membership.Role
# From the most to the least powerful.
ORDER = [Role.OWNER, Role.LEAD, Role.ANNOTATOR, Role.VIEWER]
FIELDS = (
    "slug",
    "name",
    "description",
    "modality",
    "k",
    "access",
    "reveal",
    "strategy",
    "joint",
    "own_prompts",
    "turns",
    "keep_own_prompts",
)


@transaction.atomic
def found_arena(*, by: User, **fields: Any) -> Arena:
    """A new arena of these `FIELDS`, owned by its founder. Raises NotAllowed."""
    if not access.may_found(by):
        raise NotAllowed(_("New arenas are made by staff and by those who own one. Ask one of them."))
    arena = Arena.objects.create(**{name: fields[name] for name in FIELDS if name in fields})
    Membership.objects.create(arena=arena, user=by, role=Role.OWNER)
    audit.record(action="arena made", target=arena, actor=by, details={"slug": arena.slug})
    return arena


@transaction.atomic
def change_arena(*, arena: Arena, by: User, **fields: Any) -> Arena:
    """Change the arena's settings, but never its slug: links and data sets name it. Raises NotAllowed."""
    access.require_owner(arena=arena, user=by)
    changed = [name for name in FIELDS if name != "slug" and name in fields]
    before = {name: getattr(arena, name) for name in changed}
    for name in changed:
        setattr(arena, name, fields[name])
    arena.save(update_fields=changed)
    changes = {name: [before[name], fields[name]] for name in changed if before[name] != fields[name]}
    if changes:
        audit.record(action="arena changed", target=arena, actor=by, details=changes)
    return arena


def members_of(arena: Arena) -> QuerySet[Membership]:
    """The members, the most powerful first."""
    whens = [When(role=role, then=Value(place)) for place, role in enumerate(ORDER)]
    order = Case(*whens, output_field=IntegerField())
    return Membership.objects.filter(arena=arena).select_related("user", "invitation").order_by(order, "pk")


def get_member(*, arena: Arena, pk: int) -> Membership:
    member = Membership.objects.filter(arena=arena, pk=pk).select_related("arena", "user").first()
    if member is None:
        raise NotFound(_("This person does not belong to the arena any more."))
    return member


def add_member(*, arena: Arena, username: str, role: str, by: User) -> Membership:
    """Give the user of that name (or e-mail address) a role. Raises NotAllowed and BadInput."""
    check_may_grant(arena=arena, role=role, by=by)
    user = _user_called(username.strip())
    try:
        with transaction.atomic():
            member = Membership.objects.create(arena=arena, user=user, role=role)
            _record("member added", member, by)
    except IntegrityError:
        raise BadInput(
            _("%(user)s belongs to this arena already. Change the role in the list.") % {"user": user}
        ) from None
    return member


@transaction.atomic
def change_role(*, member: Membership, role: str, by: User) -> Membership:
    """Give a member another role. Raises NotAllowed, and BadInput for the last owner."""
    member = _locked(member)
    check_may_grant(arena=member.arena, role=member.role, by=by)
    check_may_grant(arena=member.arena, role=role, by=by)
    if member.role == role:
        return member
    _keep_an_owner(member)
    before, member.role = member.role, role
    member.save(update_fields=["role"])
    _record("role changed", member, by, before=before)
    return member


@transaction.atomic
def remove_member(*, member: Membership, by: User) -> None:
    """Take somebody out of the arena; their votes stay. Everybody may leave by themselves."""
    member = _locked(member)
    if member.user_id != by.pk:
        check_may_grant(arena=member.arena, role=member.role, by=by)
    _keep_an_owner(member)
    _record("member removed", member, by)
    member.delete()


def check_may_grant(*, arena: Arena, role: str, by: User) -> None:
    """Raises NotAllowed where `by` may not give this role, or take it away, and BadInput for no role."""
    if role not in Role.values:
        raise BadInput(_("Choose one of the roles: %(roles)s.") % {"roles": ", ".join(Role.values)})
    right = access.OWN if role in access.MANAGING else access.INVITE
    if access.has(right, arena=arena, user=by):
        return
    if access.has(access.INVITE, arena=arena, user=by):
        raise NotAllowed(_("Only an owner of the arena appoints and removes leads and owners."))
    raise NotAllowed(_("Only the leads and owners of the arena decide who belongs to it."))


def grantable(*, arena: Arena, user: User) -> list[tuple[str, str]]:
    """The roles, with their names, that this user may give and take."""
    names = dict(access.who())
    roles = ORDER if access.has(access.OWN, arena=arena, user=user) else [Role.ANNOTATOR, Role.VIEWER]
    return [(role.value, names[role.value]) for role in reversed(roles)]


def _user_called(name: str) -> User:
    user = User.objects.filter(username=name, is_active=True).first()
    if user is None and "@" in name:
        found = User.objects.filter(email__iexact=name, is_active=True)[:2]
        user = found[0] if len(found) == 1 else None
    if user is None:
        raise BadInput(
            _('There is no user "%(name)s" here. Check the spelling, or send an invitation.') % {"name": name}
        )
    return user


def _locked(member: Membership) -> Membership:
    """The row as it is now, with its arena's members held: two owners who leave at once must not both go."""
    Arena.objects.select_for_update(no_key=True).get(pk=member.arena_id)
    return get_member(arena=member.arena, pk=member.pk)


def _keep_an_owner(member: Membership) -> None:
    if member.role != Role.OWNER:
        return
    if not Membership.objects.filter(arena=member.arena, role=Role.OWNER).exclude(pk=member.pk).exists():
        raise BadInput(_("An arena needs an owner, and this is the last one. Appoint another owner first."))


def _record(action: str, member: Membership, by: User, **details: str) -> None:
    facts = {"arena": member.arena.slug, "user": member.user.get_username(), "role": member.role}
    audit.record(action=action, target=member, actor=by, details={**facts, **details})
