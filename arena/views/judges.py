"""An arena's judges: what each is worth, a new one, sending one to work, letting one go."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from arena.errors import BadInput
from arena.models import Arena, Judge
from arena.services import judges as service
from arena.services.judge_report import report_on
from arena.views.entry import PageRequest, arena_page, enter_as_manager, person


class JudgeForm(forms.Form):
    name = forms.CharField(max_length=120, label=gettext_lazy("Name"))
    model = forms.ChoiceField(
        label=gettext_lazy("Model"),
        help_text=gettext_lazy("The model of a contestant here, or a reward model that was trained here."),
    )
    instructions = forms.CharField(
        required=False,
        max_length=4000,
        label=gettext_lazy("What to look at"),
        help_text=gettext_lazy("Without any: the arena's guidelines. A reward model reads none."),
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    kin = forms.MultipleChoiceField(
        required=False,
        label=gettext_lazy("Its own family"),
        help_text=gettext_lazy("Whether it favours them is measured. None: those of the same model."),
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, arena: Arena, data: Any = None) -> None:
        super().__init__(data, label_suffix="")
        contestants, rewards = service.models_for(arena)
        model, kin = self.fields["model"], self.fields["kin"]
        assert isinstance(model, forms.ChoiceField)
        assert isinstance(kin, forms.ChoiceField)
        groups = [
            (_("Contestants"), [(f"contestant:{one.pk}", one.name) for one in contestants]),
            (_("Reward models"), [(f"reward:{one.pk}", one.name) for one in rewards]),
        ]
        model.choices = [(label, rows) for label, rows in groups if rows]
        names = arena.contestants.order_by("name").values_list("name", flat=True)
        kin.choices = [(name, name) for name in names]


@never_cache
@require_http_methods(["GET", "POST"])
def judges(request: PageRequest, slug: str) -> HttpResponse:
    """The judges: how far each agrees with people, what a person should look at, and a form for a new one."""
    arena = enter_as_manager(request, slug)
    form = JudgeForm(arena, request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            service.judge_of(arena=arena, **form.cleaned_data)
        except BadInput as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, _("The judge is there. Send it to work below."))
            return redirect("judges", slug=slug)
    context = {
        **arena_page(request, arena, "judges"),
        "judges": [{"judge": judge, "report": report_on(judge)} for judge in service.at_work(arena)],
        "retired": service.retired(arena),
        "form": form,
    }
    return render(request, "arena/judges.html", context, status=400 if form.errors else 200)


@require_POST
def start(request: PageRequest, slug: str, pk: int) -> HttpResponse:
    """Send a judge to work."""
    judge = _judge(request, slug, pk)
    try:
        limit = int(request.POST.get("limit", ""))
    except ValueError:
        messages.error(request, _("Say in a number how many battles to judge."))
        return redirect("judges", slug=slug)
    try:
        job = service.plan_judging(judge=judge, limit=limit, by=person(request))
    except BadInput as error:
        messages.error(request, str(error))
        return redirect("judges", slug=slug)
    return redirect("job", pk=job.pk)


@require_POST
def retire(request: PageRequest, slug: str, pk: int) -> HttpResponse:
    """Let a judge go; its votes stay."""
    judge = _judge(request, slug, pk)
    service.retire_judge(judge)
    messages.success(request, _("%(name)s judges no more. What it said stays.") % {"name": judge.name})
    return redirect("judges", slug=slug)


@require_POST
def bring_back(request: PageRequest, slug: str, pk: int) -> HttpResponse:
    """Have a retired judge again."""
    arena = enter_as_manager(request, slug)
    judge = get_object_or_404(service.retired(arena), pk=pk)
    service.bring_back_judge(judge)
    messages.success(request, _("%(name)s judges again. Send it to work below.") % {"name": judge.name})
    return redirect("judges", slug=slug)


def _judge(request: PageRequest, slug: str, pk: int) -> Judge:
    arena = enter_as_manager(request, slug)
    return get_object_or_404(service.at_work(arena), pk=pk)
