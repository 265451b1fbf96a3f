"""The lead's forms: what voters are asked, and the survey before the first battle."""

import re
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from arena.services.judgement import (
    MOST_CRITERIA,
    Judgement,
    judgement_data,
    parse_judgement,
)

NEEDS = [
    ("off", gettext_lazy("Not asked")),
    ("optional", gettext_lazy("Asked, may be left empty")),
    ("required", gettext_lazy("Asked, must be answered")),
]
UNDO = [
    ("", gettext_lazy("Only where names are never shown")),
    ("yes", gettext_lazy("Yes: names are shown after a second press")),
    ("no", gettext_lazy("No")),
]


class Plain(forms.Form):
    """A form whose labels end without a colon."""

    def __init__(self, data: Any = None, **options: Any) -> None:
        super().__init__(data, **{**options, "label_suffix": ""})


class JudgementForm(Plain):
    """All parts but the criteria, which have rows of their own."""

    guidelines = forms.CharField(
        label=gettext_lazy("Guidelines"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text=gettext_lazy("Shown beside the responses. Markdown."),
    )
    ask = forms.ChoiceField(
        label=gettext_lazy("The question"),
        widget=forms.RadioSelect,
        choices=[
            ("ranking", gettext_lazy("Rank all responses, ties allowed")),
            ("best", gettext_lazy("Choose the best one")),
            ("strength", gettext_lazy("Which of two is better, and how much (−3 to 3)")),
        ],
    )
    all_bad = forms.BooleanField(label=gettext_lazy("“All bad” can be answered"), required=False)
    skip = forms.BooleanField(label=gettext_lazy("“Cannot judge” can be answered"), required=False)
    report = forms.BooleanField(label=gettext_lazy("Responses can be reported"), required=False)
    confidence = forms.ChoiceField(label=gettext_lazy("How sure the voter is"), choices=NEEDS)
    reason_need = forms.ChoiceField(label=gettext_lazy("The reason"), choices=NEEDS)
    reason_tags = forms.CharField(
        label=gettext_lazy("Reasons to tick"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=gettext_lazy("One a line."),
    )
    reason_text = forms.BooleanField(label=gettext_lazy("The reason has a text"), required=False)
    min_length = forms.IntegerField(
        label=gettext_lazy("Least length of a required text"),
        min_value=0,
        required=False,
        help_text=gettext_lazy("In characters."),
    )
    spans = forms.BooleanField(label=gettext_lazy("Passages are marked as good or bad"), required=False)
    parts = forms.ChoiceField(
        label=gettext_lazy("Parts of a response"),
        choices=[
            ("off", gettext_lazy("Not judged")),
            ("good_bad", gettext_lazy("Each is marked good or bad")),
            ("preference", gettext_lazy("The best one of each row of parts is chosen")),
        ],
    )
    split = forms.ChoiceField(
        label=gettext_lazy("A part is"),
        choices=[("paragraph", gettext_lazy("a paragraph")), ("step", gettext_lazy("a step of a list"))],
    )
    rewrite = forms.BooleanField(
        label=gettext_lazy("The best response can be rewritten"),
        required=False,
        help_text=gettext_lazy("A rewrite becomes a response of its own, with a person as its author."),
    )
    rewrites_compete = forms.BooleanField(
        label=gettext_lazy("Rewrites are drawn for battles too"), required=False
    )
    undo = forms.ChoiceField(
        label=gettext_lazy("A vote can be undone until the next battle"), choices=UNDO, required=False
    )

    def fields_named(self, *names: str) -> list[forms.BoundField]:
        return [self[name] for name in names]

    def answers(self) -> list[forms.BoundField]:
        return self.fields_named("all_bad", "skip", "report", "undo")

    def why(self) -> list[forms.BoundField]:
        return self.fields_named("confidence", "reason_need", "reason_text", "reason_tags", "min_length")

    def inside(self) -> list[forms.BoundField]:
        return self.fields_named("spans", "parts", "split", "rewrite", "rewrites_compete")


class CriterionForm(Plain):
    label = forms.CharField(label=gettext_lazy("Name"), required=False, max_length=80)
    key = forms.CharField(
        label=gettext_lazy("Key"),
        required=False,
        max_length=40,
        help_text=gettext_lazy("Its name in data. Empty: made from the name."),
    )
    kind = forms.ChoiceField(
        label=gettext_lazy("Answered by"),
        choices=[
            ("rank", gettext_lazy("a rank for each")),
            ("scale", gettext_lazy("0 to 100 for each")),
            ("choice", gettext_lazy("the best one, or no difference")),
        ],
    )
    weight = forms.FloatField(label=gettext_lazy("Weight"), min_value=0, required=False)
    guideline = forms.CharField(
        label=gettext_lazy("Guideline"), required=False, widget=forms.Textarea(attrs={"rows": 2})
    )

    def __init__(self, data: Any = None, **options: Any) -> None:
        super().__init__(data, **options)
        self.fields["weight"].widget.attrs["step"] = "any"


CriterionForms = forms.formset_factory(
    CriterionForm, extra=2, max_num=MOST_CRITERIA, validate_max=True, can_delete=True
)


def initial_of(form: Judgement, guidelines: str) -> dict[str, Any]:
    """The form's values as the fields show them."""
    undo = "" if form.undo is None else "yes" if form.undo else "no"
    return {
        **{name: value for name, value in judgement_data(form).items() if name in JudgementForm.base_fields},
        "guidelines": guidelines,
        "reason_need": form.reason.need,
        "reason_tags": "\n".join(form.reason.tags),
        "reason_text": form.reason.text,
        "min_length": form.reason.min_length,
        "undo": undo,
    }


def criteria_of(form: Judgement) -> list[dict[str, Any]]:
    return [dict(one) for one in judgement_data(form)["criteria"]]


def judgement_in(main: JudgementForm, rows: Any) -> Judgement:
    """The form of the judgement that valid fields mean; raises BadInput with the service's sentence."""
    data = main.cleaned_data
    undo = {"yes": True, "no": False}.get(data["undo"])
    return parse_judgement(
        {
            **{name: data[name] for name in ("ask", "all_bad", "skip", "report", "confidence", "spans")},
            **{name: data[name] for name in ("parts", "split", "rewrite", "rewrites_compete")},
            "reason": {
                "need": data["reason_need"],
                "tags": [line.strip() for line in data["reason_tags"].splitlines() if line.strip()],
                "text": data["reason_text"],
                "min_length": data["min_length"] or 0,
            },
            "undo": undo,
            "criteria": [_criterion(row) for row in rows.cleaned_data if _is_filled(row)],
        }
    )


def _is_filled(row: dict[str, Any]) -> bool:
    return bool(row) and not row.get("DELETE") and bool(row.get("label") or row.get("key"))


def _criterion(row: dict[str, Any]) -> dict[str, Any]:
    key = row["key"] or re.sub(r"\W+", "_", row["label"].lower(), flags=re.ASCII).strip("_")[:40]
    return {
        "key": key if key[:1].isalpha() else f"criterion_{key}".strip("_"),
        "label": row["label"],
        "kind": row["kind"],
        "weight": 1.0 if row["weight"] is None else row["weight"],
        "guideline": row["guideline"],
    }


class SurveyForm(Plain):
    consent = forms.CharField(
        label=gettext_lazy("Text of consent"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 8}),
        help_text=gettext_lazy(
            "Markdown. Voters must agree to it before their first battle; a new text is asked again. "
            "Empty: no consent is asked."
        ),
    )


class QuestionForm(Plain):
    label = forms.CharField(label=gettext_lazy("Question"), required=False, max_length=200)
    kind = forms.ChoiceField(
        label=gettext_lazy("Answered by"),
        choices=[
            ("one", gettext_lazy("one of the choices")),
            ("several", gettext_lazy("any of the choices")),
            ("text", gettext_lazy("a short text")),
        ],
    )
    choices = forms.CharField(
        label=gettext_lazy("Choices"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=gettext_lazy("One a line."),
    )
    key = forms.CharField(required=False, widget=forms.HiddenInput)


QuestionForms = forms.formset_factory(QuestionForm, extra=2, max_num=20, validate_max=True, can_delete=True)


def questions_in(rows: Any) -> list[dict[str, Any]]:
    """The questions that valid rows mean. A question keeps its key when its text is mended."""
    filled = [row for row in rows.cleaned_data if row and not row.get("DELETE") and row.get("label")]
    taken = {row["key"] for row in filled if row["key"]}
    free = (f"q{number}" for number in range(1, 100) if f"q{number}" not in taken)
    return [
        {
            "key": row["key"] or next(free),
            "label": row["label"],
            "kind": row["kind"],
            "choices": [line.strip() for line in row["choices"].splitlines() if line.strip()],
        }
        for row in filled
    ]


def first_fault(*filled: Any) -> str:
    """One sentence that names the field, for the note above the form."""
    for form in filled:
        for one in getattr(form, "forms", [form]):
            for name, faults in one.errors.items():
                label = one.fields[name].label if name in one.fields else ""
                return f"{label}: {' '.join(faults)}" if label else " ".join(faults)
    return _("Something is not filled in as it should be. Look at the fields below.")
