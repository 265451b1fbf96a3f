"""Who belongs to an arena, invitations to it, and the page of who may do what."""

from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from arena.api.errors import status_of
from arena.errors import ArenaError, SignInNeeded
from arena.models import Arena
from arena.services import access, invitations, members
from arena.views.entry import PageRequest, arena_page, enter_as_manager, person

DAYS = 14


class InvitationForm(forms.Form):
    """What an invitation needs. Who may give which role is the service's to say."""

    email = forms.EmailField(
        required=False,
        label=gettext_lazy("E-mail address"),
        help_text=gettext_lazy("The link is sent there and works once. Empty: you get a link to pass on."),
    )
    note = forms.CharField(
        required=False,
        max_length=120,
        label=gettext_lazy("Whom it is for"),
        help_text=gettext_lazy("The name of the group, for your own record: “panel of May”."),
    )
    max_uses = forms.IntegerField(
        min_value=1,
        max_value=invitations.MOST_USES,
        initial=1,
        required=False,
        label=gettext_lazy("For how many people"),
    )
    last_day = forms.DateField(
        required=False,
        label=gettext_lazy("Last day"),
        # Browsers read this one form in every language, and take any other for no date.
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text=gettext_lazy("Empty: it does not end by itself."),
    )

    def __init__(self, data: Any = None, *, roles: list[tuple[str, str]]) -> None:
        in_two_weeks = timezone.localdate() + timedelta(days=DAYS)
        super().__init__(data, label_suffix="", prefix="invite", initial={"last_day": in_two_weeks})
        self.fields["role"] = forms.ChoiceField(
            choices=roles, initial="annotator", label=gettext_lazy("Role")
        )
        self.order_fields(["role", "note", "max_uses", "last_day", "email"])

    def wanted(self) -> dict[str, Any]:
        """The arguments of `invite`. The last day counts to its end."""
        data = self.cleaned_data
        day = data["last_day"]
        ends = None if day is None else timezone.make_aware(datetime.combine(day, time.max))
        return {
            "role": data["role"],
            "email": data["email"],
            "note": data["note"],
            "max_uses": data["max_uses"] or 1,
            "expires_at": ends,
        }


@never_cache
@require_GET
def member_list(request: PageRequest, slug: str) -> HttpResponse:
    return _page(request, enter_as_manager(request, slug))


@require_POST
def add(request: PageRequest, slug: str) -> HttpResponse:
    """Add somebody who has an account, by name."""
    arena, by = enter_as_manager(request, slug), _signed_in(request)
    name, role = request.POST.get("username", ""), request.POST.get("role", "")
    try:
        member = members.add_member(arena=arena, username=name, role=role, by=by)
    except ArenaError as error:
        return _page(request, arena, added=name, role=role, add_problem=str(error), status=status_of(error))
    messages.success(request, _("%(user)s belongs to the arena now.") % {"user": member.user})
    return redirect("members", slug=slug)


@require_POST
def change(request: PageRequest, slug: str, pk: int) -> HttpResponse:
    """Give a member another role."""
    arena, by = enter_as_manager(request, slug), _signed_in(request)
    member = members.get_member(arena=arena, pk=pk)
    member = members.change_role(member=member, role=request.POST.get("role", ""), by=by)
    messages.success(request, _("The role of %(user)s is changed.") % {"user": member.user})
    return redirect("members", slug=slug)


@require_POST
def remove(request: PageRequest, slug: str, pk: int) -> HttpResponse:
    arena, by = enter_as_manager(request, slug), _signed_in(request)
    member = members.get_member(arena=arena, pk=pk)
    members.remove_member(member=member, by=by)
    messages.success(
        request,
        _("%(user)s does not belong to the arena any more. Their votes stay.") % {"user": member.user},
    )
    if access.may_manage(arena=arena, user=by):
        return redirect("members", slug=slug)
    return redirect("home")  # a lead who left


@never_cache
@require_POST
def invite(request: PageRequest, slug: str) -> HttpResponse:
    """Make an invitation. Its link is on the page that answers, and nowhere else ever after."""
    arena, by = enter_as_manager(request, slug), _signed_in(request)
    form = InvitationForm(request.POST, roles=members.grantable(arena=arena, user=by))
    if not form.is_valid():
        return _page(request, arena, form=form, status=400)
    try:
        invitation, link = invitations.invite(arena=arena, by=by, **form.wanted())
    except ArenaError as error:
        form.add_error(None, str(error))
        return _page(request, arena, form=form, status=status_of(error))
    return _page(request, arena, made=invitation, link=link, status=201)


@require_POST
def revoke(request: PageRequest, slug: str, pk: int) -> HttpResponse:
    arena, by = enter_as_manager(request, slug), _signed_in(request)
    invitations.revoke(invitation=invitations.get_invitation(arena=arena, pk=pk), by=by)
    messages.success(request, _("The invitation is revoked: its link works no more."))
    return redirect("members", slug=slug)


@never_cache
@require_http_methods(["GET", "POST"])
def invitation(request: PageRequest, token: str) -> HttpResponse:
    """What a link leads to: who invites to what, and a button to join."""
    found = invitations.find(token)
    user = person(request)
    if user is None:
        # Lets this browser make an account although signing up is closed (arena/accounts.py).
        request.session[invitations.SESSION_KEY] = token
    elif request.method == "POST":
        member = invitations.accept(token=token, user=user)
        messages.success(request, _("Welcome to %(arena)s.") % {"arena": member.arena.name})
        return redirect("vote" if member.role != "viewer" else "leaderboard", slug=member.arena.slug)
    role = dict(access.who())[found.role]
    return render(request, "arena/invitation.html", {"invitation": found, "role": role})


@require_GET
def roles(request: PageRequest) -> HttpResponse:
    """Who may do what, from the one table that decides it."""
    context = {"rows": access.table_of_rights(), "who": [name for _key, name in access.who()]}
    return render(request, "arena/roles.html", context)


def _page(
    request: PageRequest,
    arena: Arena,
    *,
    form: InvitationForm | None = None,
    status: int = 200,
    **shown: Any,
) -> HttpResponse:
    user = _signed_in(request)
    choices = members.grantable(arena=arena, user=user)
    context = {
        **arena_page(request, arena, "members"),
        "members": members.members_of(arena),
        "invitations": invitations.invitations_of(arena),
        "roles": choices,
        "may_grant": {role for role, _name in choices},
        "names": dict(access.who()),
        "form": form or InvitationForm(roles=choices),
        "now": timezone.now(),
        **shown,
    }
    return render(request, "arena/members.html", context, status=status)


def _signed_in(request: PageRequest) -> Any:
    user = person(request)
    if user is None:
        raise SignInNeeded(_("Sign in first."))
    return user
