from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from arena.errors import BadInput
from arena.services.uploads import KINDS, LARGEST, import_upload
from arena.views.entry import arena_page, enter_as_manager, person


class ImportForm(forms.Form):
    kind = forms.ChoiceField(
        choices=list(KINDS.items()),
        widget=forms.RadioSelect,
        label=gettext_lazy("What the file holds"),
    )
    file = forms.FileField(
        label=gettext_lazy("File"),
        widget=forms.ClearableFileInput(attrs={"accept": ".jsonl,.ndjson,.csv,.parquet"}),
    )
    show = forms.BooleanField(
        required=False,
        label=gettext_lazy("Use the prompts of imported votes in battles too"),
        help_text=gettext_lazy("Otherwise their votes only count in the ratings."),
    )


@never_cache
@require_http_methods(["GET", "POST"])
def imports(request: HttpRequest, slug: str) -> HttpResponse:
    """Prompts, responses or votes from a file; all of its rows or none."""
    arena = enter_as_manager(request, slug)
    form = ImportForm(request.POST or None, request.FILES or None, initial={"kind": "prompts"})
    if request.method == "POST" and form.is_valid():
        given: dict[str, Any] = form.cleaned_data
        try:
            report = import_upload(
                arena=arena,
                kind=given["kind"],
                upload=given["file"],
                show=given["show"],
                by=person(request),
            )
        except BadInput as error:
            form.add_error("file", str(error))
        else:
            messages.success(
                request,
                _("%(name)s: %(rows)s rows, %(added)s of them new.")
                % {"name": given["file"].name, "rows": report.rows, "added": report.added},
            )
            return redirect("manage", slug=slug)
    context = {**arena_page(request, arena, "imports"), "form": form, "limit": LARGEST // 2**20}
    return render(request, "arena/imports.html", context, status=400 if form.errors else 200)
