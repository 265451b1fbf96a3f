"""Online training in the browser: open a round, let people or a reward model vote, train, and again."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from arena.errors import BadInput
from arena.models import Arena, TrainingRun
from arena.services import overview, rounds
from arena.services.judges import MOST_AT_ONCE
from arena.services.training import LEAST_RANKINGS, reward_models_of
from arena.views.entry import PageRequest, arena_page, enter_as_manager, person


class RoundForm(forms.Form):
    """What opens a round."""

    def __init__(self, arena: Arena, data: Any = None, initial: dict[str, Any] | None = None) -> None:
        super().__init__(data, initial=initial, label_suffix="")
        bases = overview.trainable(arena).exclude(pk__in=[one.pk for one in rounds.samplings_of(arena)])
        self.fields["base"] = forms.ModelChoiceField(
            bases,
            label=_("Base"),
            empty_label=None if bases else _("There is none with a checkpoint yet"),
            help_text=_("The contestant that is to become better."),
        )
        self.fields["samplings"] = forms.IntegerField(
            min_value=rounds.LEAST,
            max_value=rounds.MOST,
            initial=arena.k,
            label=_("Samplings"),
            help_text=_("So many of it compete, each with chance of its own, at temperature 1."),
        )
        self.fields["alone"] = forms.BooleanField(
            required=False,
            initial=True,
            label=_("Retire everybody else meanwhile"),
            help_text=_("So that every vote is of this round. Giving it up brings them back."),
        )


class ModelVotesForm(forms.Form):
    """How many battles of the round a reward model votes on."""

    battles = forms.IntegerField(
        min_value=1, max_value=MOST_AT_ONCE, initial=100, label=gettext_lazy("Battles")
    )

    def __init__(self, arena: Arena, data: Any = None) -> None:
        super().__init__(data, label_suffix="")
        self.fields["reward_model"] = forms.ModelChoiceField(
            reward_models_of(arena), label=_("Reward model"), empty_label=None
        )


@never_cache
@require_http_methods(["GET", "POST"])
def online_rounds(request: PageRequest, slug: str) -> HttpResponse:
    """The rounds that are open, those that were, and a form for the next."""
    arena = enter_as_manager(request, slug)
    form = RoundForm(arena, request.POST or None, initial={"base": request.GET.get("base")})
    if request.method == "POST" and form.is_valid():
        try:
            made = rounds.open_round(**form.cleaned_data, by=person(request))
        except BadInput as error:
            form.add_error(None, str(error))
        else:
            sentence = ngettext(
                "The round is open. %(count)s sampling writes its responses now; let people vote then.",
                "The round is open. %(count)s samplings write their responses now; let people vote then.",
                len(made),
            )
            messages.success(request, sentence % {"count": len(made)})
            return redirect("online_rounds", slug=slug)
    context = {
        **arena_page(request, arena, "training_runs"),
        "rounds": rounds.open_rounds(arena),
        "past": rounds.past_rounds(arena),
        "form": form,
        "votes_form": ModelVotesForm(arena),
        "reward_models": reward_models_of(arena),
        "least": LEAST_RANKINGS,
    }
    return render(request, "arena/rounds.html", context, status=400 if form.errors else 200)


@require_POST
def model_votes(request: PageRequest, slug: str, pk: int) -> HttpResponse:
    """Let a reward model vote in the round, as a judge."""
    arena = enter_as_manager(request, slug)
    form = ModelVotesForm(arena, request.POST)
    if not form.is_valid():
        messages.error(
            request, _("Choose a reward model, and from 1 to %(most)s battles.") % {"most": MOST_AT_ONCE}
        )
        return redirect("online_rounds", slug=slug)
    base = overview.get_contestant(arena=arena, pk=pk)
    data = form.cleaned_data
    try:
        job = rounds.let_vote(
            base=base, run=data["reward_model"], battles=data["battles"], by=person(request)
        )
    except BadInput as error:
        messages.error(request, str(error))
        return redirect("online_rounds", slug=slug)
    return redirect("job", pk=job.pk)


@require_POST
def end(request: PageRequest, slug: str, pk: int) -> HttpResponse:
    """Export the round's votes, and train the base on them."""
    arena = enter_as_manager(request, slug)
    base = overview.get_contestant(arena=arena, pk=pk)
    try:
        data_set = rounds.end_round(base=base, reward_model=_learnt_from(request, arena), by=person(request))
    except BadInput as error:
        messages.error(request, str(error))
        return redirect("online_rounds", slug=slug)
    messages.success(
        request,
        _("Data set %(number)s is being written; %(base)s is trained on it then.")
        % {"number": data_set.number, "base": base.name},
    )
    return redirect("online_rounds", slug=slug)


@require_POST
def give_up(request: PageRequest, slug: str, pk: int) -> HttpResponse:
    """Retire the round's samplings, and bring the others back."""
    arena = enter_as_manager(request, slug)
    base = overview.get_contestant(arena=arena, pk=pk)
    try:
        back = rounds.give_up_round(base=base, by=person(request))
    except BadInput as error:
        messages.error(request, str(error))
    else:
        sentence = ngettext(
            "The round is over. %(count)s contestant competes again; the votes stay.",
            "The round is over. %(count)s contestants compete again; the votes stay.",
            len(back),
        )
        messages.success(request, sentence % {"count": len(back)})
    return redirect("online_rounds", slug=slug)


def _learnt_from(request: PageRequest, arena: Arena) -> TrainingRun | None:
    """The reward model whose votes are to be learnt from too."""
    number = request.POST.get("reward_model", "")
    return (
        reward_models_of(arena).filter(pk=number).first() if number.isdecimal() and len(number) < 19 else None
    )
