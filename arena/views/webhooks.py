"""An arena's webhooks: adding, changing, testing, and what was sent."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from arena.api.errors import status_of
from arena.errors import ArenaError, SignInNeeded
from arena.models import Arena, Webhook
from arena.services import webhooks
from arena.views.entry import PageRequest, arena_page, enter_as_manager, person


class WebhookForm(forms.Form):
    url = forms.CharField(
        max_length=500,
        label=gettext_lazy("Address"),
        help_text=gettext_lazy("Where messages are posted: https://example.org/hooks/arena"),
        widget=forms.URLInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    events = forms.MultipleChoiceField(
        label=gettext_lazy("Told when"), widget=forms.CheckboxSelectMultiple, required=False
    )
    paused = forms.BooleanField(
        required=False,
        label=gettext_lazy("Paused"),
        help_text=gettext_lazy("Nothing is written down or sent meanwhile."),
    )

    def __init__(self, data: Any = None, *, hook: Webhook | None = None) -> None:
        initial = (
            {"url": hook.url, "events": hook.events, "paused": hook.paused_at is not None}
            if hook
            else {"events": list(webhooks.EVENTS)}
        )
        super().__init__(data, initial=initial, label_suffix="")
        events = self.fields["events"]
        assert isinstance(events, forms.MultipleChoiceField)
        events.choices = [(key, _(sentence)) for key, sentence in webhooks.EVENTS.items()]
        if hook is None:
            del self.fields["paused"]


@never_cache
@require_http_methods(["GET", "POST"])
def webhook_list(request: PageRequest, slug: str) -> HttpResponse:
    """The webhooks, and the form for a new one. Its secret is on the answering page only."""
    arena = enter_as_manager(request, slug)
    form = WebhookForm(request.POST or None)
    if request.method == "GET":
        return _list(request, arena, form=WebhookForm())
    if not form.is_valid():
        return _list(request, arena, form=form, status=400)
    try:
        hook, secret = webhooks.add_webhook(
            arena=arena,
            url=form.cleaned_data["url"],
            events=form.cleaned_data["events"],
            by=_signed_in(request),
        )
    except ArenaError as error:
        form.add_error(None, str(error))
        return _list(request, arena, form=form, status=status_of(error))
    return _list(request, arena, form=WebhookForm(), secret=secret, made=hook, status=201)


@never_cache
@require_http_methods(["GET", "POST"])
def webhook(request: PageRequest, slug: str, pk: int) -> HttpResponse:
    """One webhook: its settings and its newest messages."""
    arena = enter_as_manager(request, slug)
    hook = webhooks.get_webhook(arena=arena, pk=pk)
    form = WebhookForm(request.POST or None, hook=hook)
    if request.method == "POST" and form.is_valid():
        try:
            webhooks.change_webhook(hook=hook, by=_signed_in(request), **form.cleaned_data)
        except ArenaError as error:
            form.add_error(None, str(error))
            return _one(request, arena, hook, form=form, status=status_of(error))
        messages.success(request, _("The webhook is saved."))
        return redirect("webhook", slug=slug, pk=pk)
    return _one(request, arena, hook, form=form, status=400 if form.is_bound else 200)


@require_POST
def test(request: PageRequest, slug: str, pk: int) -> HttpResponse:
    """Queue a test message."""
    arena = enter_as_manager(request, slug)
    webhooks.send_test(hook=webhooks.get_webhook(arena=arena, pk=pk))
    messages.success(request, _("A test message is on its way. Load this page again in a few seconds."))
    return redirect("webhook", slug=slug, pk=pk)


@never_cache
@require_POST
def renew(request: PageRequest, slug: str, pk: int) -> HttpResponse:
    """A new secret, shown on the page that answers."""
    arena = enter_as_manager(request, slug)
    hook = webhooks.get_webhook(arena=arena, pk=pk)
    secret = webhooks.renew_secret(hook=hook, by=_signed_in(request))
    return _one(request, arena, hook, form=WebhookForm(hook=hook), secret=secret)


@require_POST
def remove(request: PageRequest, slug: str, pk: int) -> HttpResponse:
    arena = enter_as_manager(request, slug)
    webhooks.remove_webhook(hook=webhooks.get_webhook(arena=arena, pk=pk), by=_signed_in(request))
    messages.success(request, _("The webhook is removed."))
    return redirect("webhooks", slug=slug)


@require_POST
def replay(request: PageRequest, slug: str, pk: int) -> HttpResponse:
    """Send a message again, under the same id."""
    arena = enter_as_manager(request, slug)
    delivery = webhooks.get_delivery(arena=arena, pk=pk)
    webhooks.send_again(delivery=delivery)
    messages.success(request, _("The message is sent again."))
    return redirect("webhook", slug=slug, pk=delivery.webhook_id)


@never_cache
@require_GET
def delivery(request: PageRequest, slug: str, pk: int) -> HttpResponse:
    """One message: what was sent, and what came of it."""
    arena = enter_as_manager(request, slug)
    found = webhooks.get_delivery(arena=arena, pk=pk)
    context = {**arena_page(request, arena, "webhooks"), "delivery": found}
    return render(request, "arena/webhook_delivery.html", context)


def _list(request: PageRequest, arena: Arena, *, status: int = 200, **shown: Any) -> HttpResponse:
    context = {**arena_page(request, arena, "webhooks"), "hooks": webhooks.webhooks_of(arena), **shown}
    return render(request, "arena/webhooks.html", context, status=status)


def _one(
    request: PageRequest, arena: Arena, hook: Webhook, *, status: int = 200, **shown: Any
) -> HttpResponse:
    deliveries = webhooks.deliveries_of(hook)
    context = {**arena_page(request, arena, "webhooks"), "hook": hook, "deliveries": deliveries, **shown}
    return render(request, "arena/webhook.html", context, status=status)


def _signed_in(request: PageRequest) -> Any:
    user = person(request)
    if user is None:
        raise SignInNeeded(_("Sign in first."))
    return user
