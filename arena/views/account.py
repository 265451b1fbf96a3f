from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from arena.errors import SignInNeeded
from arena.services import tokens
from arena.views.entry import PageRequest, person


@never_cache
@require_http_methods(["GET", "POST"])
def account(request: PageRequest) -> HttpResponse:
    """One's own account: password, e-mail addresses, and the API token, which is shown once."""
    user = person(request)
    if user is None:
        raise SignInNeeded(_("Sign in to see your account."))
    made = ""
    if request.POST.get("act") == "renew":
        made = tokens.renew_token(user)
    elif request.POST.get("act") == "revoke":
        tokens.revoke_token(user)
        messages.success(request, _("The token is revoked."))
        return redirect("account")
    context = {"here": "account", "token": made, "token_since": tokens.token_since(user)}
    return render(request, "arena/account.html", context)
