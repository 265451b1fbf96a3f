from pathlib import Path
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from arena.errors import BadInput
from arena.models import Arena, DataSet
from arena.services import overview
from arena.services.archives import zipped
from arena.services.curation import LEAST, request_curation
from arena.services.data_sets import (
    DEFAULT_FORMATS,
    FORMATS,
    data_set_folder,
    request_data_set,
    verify_data_set,
)
from arena.services.training import reward_models_of
from arena.views.entry import arena_page, enter_as_manager, person
from arena.views.outputs import shown


@never_cache
@require_http_methods(["GET", "POST"])
def data_sets(request: HttpRequest, slug: str) -> HttpResponse:
    """The arena's data sets; POST asks for the next one."""
    arena = enter_as_manager(request, slug)
    chosen: list[str] = list(DEFAULT_FORMATS)
    problem = ""
    if request.method == "POST":
        chosen = request.POST.getlist("formats")
        try:
            data_set = request_data_set(arena=arena, formats=chosen, by=person(request))
        except BadInput as error:
            problem = str(error)
        else:
            messages.success(
                request, _("Data set %(number)s is being written.") % {"number": data_set.number}
            )
            return redirect("data_set", slug=slug, number=data_set.number)
    context = {
        **arena_page(request, arena, "data_sets"),
        "data_sets": overview.data_sets_of(arena),
        "formats": [
            (name, _(one.description).replace("`", ""), name in chosen) for name, one in FORMATS.items()
        ],
        "problem": problem,
    }
    return render(request, "arena/data_sets.html", context, status=400 if problem else 200)


@never_cache
@require_http_methods(["GET", "POST"])
def data_set(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """One data set: its card, its files and their checksums. POST has a reward model choose of it."""
    arena = enter_as_manager(request, slug)
    one = overview.get_data_set(arena=arena, number=number)
    form = CurationForm(arena, request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            curated = request_curation(data_set=one, by=person(request), **form.cleaned_data)
        except BadInput as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, _("Data set %(number)s is being written.") % {"number": curated.number})
            return redirect("data_set", slug=slug, number=curated.number)
    context = {
        **arena_page(request, arena, "data_sets"),
        "data_set": one,
        "job": one.job,
        "form": form,
        "curated": one.filters.get("curation"),
        **_contents(one),
    }
    return render(request, "arena/data_set.html", context, status=400 if form.errors else 200)


class CurationForm(forms.Form):
    """What a reward model is to keep of a data set."""

    keep = forms.ChoiceField(
        choices=[
            ("agreeing", gettext_lazy("the votes that it finds likely")),
            (
                "best-of-n",
                gettext_lazy("of the responses to each prompt the one it likes best over the worst"),
            ),
        ],
        label=gettext_lazy("Keep"),
    )
    least = forms.FloatField(
        min_value=0,
        max_value=1,
        initial=LEAST,
        label=gettext_lazy("Least probability"),
        help_text=gettext_lazy(
            "Of a vote's pairs on average, by the reward model; votes below are left out."
        ),
    )

    def __init__(self, arena: Arena, data: Any = None) -> None:
        super().__init__(data, label_suffix="")
        self.fields["reward_model"] = forms.ModelChoiceField(
            reward_models_of(arena), label=_("Reward model"), empty_label=None
        )
        self.fields["least"].widget.attrs["step"] = "any"
        self.order_fields(["reward_model", "keep", "least"])


@never_cache
@require_GET
def download(request: HttpRequest, slug: str, number: int) -> HttpResponseBase:
    """The whole folder as a zip, after its checksums were verified."""
    arena = enter_as_manager(request, slug)
    one = overview.get_data_set(arena=arena, number=number)
    return zip_of(one)


def zip_of(data_set: DataSet) -> StreamingHttpResponse:
    """The verified folder as a zip, for the page and the API. Raises BadInput where a file has changed."""
    verify_data_set(data_set)
    name = f"{data_set.arena.slug}-data-set-{data_set.number}"
    response = StreamingHttpResponse(zipped(data_set_folder(data_set), name), content_type="application/zip")
    response["Content-Disposition"] = f'attachment; filename="{name}.zip"'
    return response


def _contents(data_set: DataSet) -> dict[str, Any]:
    if data_set.completed_at is None:
        return {}
    files = [{"path": path, **facts} for path, facts in sorted(data_set.manifest["files"].items())]
    return {"files": files, "card": _card(data_set_folder(data_set))}


def _card(folder: Path) -> str:
    """README.md without its YAML head, as HTML. Empty where the file is gone: the checksums tell."""
    file = folder / "README.md"
    if not file.is_file():
        return ""
    text = file.read_text()
    if text.startswith("---\n"):
        text = text.split("\n---\n", 1)[-1]
    return shown(text)
