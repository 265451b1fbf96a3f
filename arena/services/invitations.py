"""Links that make people members. The link's secret is shown once and kept as a digest only."""

import hashlib
import secrets
from datetime import datetime

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.core.validators import EmailValidator
from django.db import transaction
from django.db.models import F, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from arena.errors import BadInput, NotFound
from arena.models import Arena, Invitation, Membership
from arena.services import access, audit, members

MOST_USES = 10_000
# In the session of who opened a link: lets them make an account (arena/accounts.py).
SESSION_KEY = "invitation"


def invite(
    *,
    arena: Arena,
    role: str,
    by: User,
    email: str = "",
    note: str = "",
    max_uses: int = 1,
    expires_at: datetime | None = None,
) -> tuple[Invitation, str]:
    """A new invitation and its link, which is never to be had again.

    With an e-mail address it is for one person, and the link is sent there. Raises
    NotAllowed and BadInput; where the mail cannot be sent, nothing is kept.
    """
    members.check_may_grant(arena=arena, role=role, by=by)
    _check(email, max_uses, expires_at)
    token = secrets.token_urlsafe(32)
    link = settings.PUBLIC_URL + reverse("invitation", args=[token])
    with transaction.atomic():
        invitation = Invitation.objects.create(
            arena=arena,
            role=role,
            token_sha256=_digest(token),
            email=email,
            note=note[:120],
            max_uses=1 if email else max_uses,
            expires_at=expires_at,
            created_by=by,
        )
        details = {"arena": arena.slug, "role": role, "uses": invitation.max_uses}
        audit.record(action="invitation made", target=invitation, actor=by, details=details)
    if email:
        _send(invitation, link)
    return invitation, link


def revoke(*, invitation: Invitation, by: User) -> None:
    """End an invitation. Who came by it stays a member."""
    members.check_may_grant(arena=invitation.arena, role=invitation.role, by=by)
    if Invitation.objects.filter(pk=invitation.pk, revoked_at=None).update(revoked_at=timezone.now()):
        audit.record(action="invitation revoked", target=invitation, actor=by)


def find(token: str) -> Invitation:
    """The invitation of that link while it can be used. Raises NotFound, in the same words for all else."""
    usable = Invitation.objects.usable().select_related("arena")
    invitation = usable.filter(token_sha256=_digest(token)).first()
    if invitation is None:
        raise NotFound(
            _("This invitation is not valid any more, or never was. Ask whoever sent it for a new one.")
        )
    return invitation


def opens_sign_up(token: str) -> bool:
    """Whether somebody who holds this link may make an account."""
    return bool(token) and Invitation.objects.usable().filter(token_sha256=_digest(token)).exists()


@transaction.atomic
def accept(*, token: str, user: User) -> Membership:
    """Make the user a member. Who is one already keeps the higher of the two roles.

    Of people who share the last use of a link one gets in. Raises NotFound.
    """
    invitation = find(token)
    known = Membership.objects.filter(arena=invitation.arena, user=user).first()
    if known is not None and _place(known.role) <= _place(invitation.role):
        return known
    if not Invitation.objects.usable().filter(pk=invitation.pk).update(uses=F("uses") + 1):
        raise NotFound(_("This invitation was used up just now. Ask whoever sent it for a new one."))
    member, _made = Membership.objects.update_or_create(
        arena=invitation.arena,
        user=user,
        defaults={"role": invitation.role, "invitation": invitation},
    )
    details = {"arena": invitation.arena.slug, "role": member.role}
    audit.record(action="invitation accepted", target=invitation, actor=user, details=details)
    return member


def invitations_of(arena: Arena) -> QuerySet[Invitation]:
    return Invitation.objects.filter(arena=arena).select_related("created_by")


def get_invitation(*, arena: Arena, pk: int) -> Invitation:
    invitation = invitations_of(arena).select_related("arena").filter(pk=pk).first()
    if invitation is None:
        raise NotFound(_("There is no such invitation."))
    return invitation


def _check(email: str, max_uses: int, expires_at: datetime | None) -> None:
    if email:
        try:
            EmailValidator()(email)
        except ValidationError:
            raise BadInput(_('"%(email)s" is not an e-mail address.') % {"email": email}) from None
    if not 1 <= max_uses <= MOST_USES:
        raise BadInput(_("An invitation is for 1 to %(most)s people.") % {"most": MOST_USES})
    if expires_at is not None and expires_at <= timezone.now():
        raise BadInput(_("The invitation would end in the past. Choose a later day."))


def _send(invitation: Invitation, link: str) -> None:
    names = dict(access.who())
    facts = {"arena": invitation.arena.name, "role": names[invitation.role], "link": link}
    message = EmailMessage(
        subject=" ".join((_("Invitation to %(arena)s") % facts).split()),
        body=_(
            "You are invited to %(arena)s as: %(role)s.\n\nOpen this link to join:\n%(link)s\n\n"
            "It is for you alone and works once. If you did not expect it, ignore this message."
        )
        % facts,
        to=[invitation.email],
    )
    try:
        message.send()
    except OSError as error:
        invitation.delete()
        raise BadInput(
            _("The mail could not be sent (%(error)s). Nothing was kept; make a link instead.")
            % {"error": error}
        ) from error


def _place(role: str) -> int:
    return members.ORDER.index(Membership.Role(role))


def _digest(token: str) -> str:
    """The tokens are 256 random bits: a plain digest cannot be turned back or guessed."""
    return hashlib.sha256(token.encode()).hexdigest()
