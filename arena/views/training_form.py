"""The form of a new training run. Whether the run can be is the service's to say."""

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from arena.models import Arena, TrainingRun
from arena.services import overview
from arena.services.judgement import judgement_of
from arena.services.objectives import GROUPS, OPTIONS, USUAL
from arena.services.training import reward_models_of
from arena.services.training_settings import CHOICES, VOTE_WEIGHTS
from arena.services.training_suggestions import suggested_settings, written
from arena.views.training_fields import (
    ADVANCED,
    ESSENTIAL,
    LORA,
    NUMBERS,
    PICKED,
    SECTIONS,
    SWITCHES,
    WEIGHTS,
    number,
    title_of,
    usual,
)


def _suggested(bases: Any, data_sets: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """What the form begins with: the plan's suggestions for the base and data set asked for, or the first."""
    base, data_set = _asked(bases, asked.get("base")), _asked(data_sets, asked.get("data_set"))
    if base is None or data_set is None:
        return {}
    try:
        suggested = suggested_settings(base=base, data_set=data_set)
    except (OSError, ValueError):
        return {}  # the files are gone or damaged, which starting the run will say
    return {name: written(value) for name, value in suggested.items()}


def _asked(rows: Any, pk: Any) -> Any:
    chosen = rows.filter(pk=pk).first() if str(pk).isdecimal() and len(str(pk)) <= 18 else None
    return chosen or rows.first()


def again(run: TrainingRun) -> str:
    """The query with which the form begins with this run's settings; what it has no field for is left out."""
    asked: dict[str, Any] = {"base": run.base_id, "data_set": run.data_set_id, "objective": run.objective}
    for name in (*NUMBERS, *PICKED, *SWITCHES, "vote_weights", "reward_model"):
        value = run.parameters.get(name)
        if value is not None and value is not False:
            asked[name] = value
    for name in ("objective_options", "criteria"):
        if value := run.parameters.get(name):
            asked[name] = written(value)
    lora = run.parameters.get("lora") or {}
    asked |= {field: lora[name] for field, name in LORA.items() if name in lora}
    if run.held_back:
        asked["held_back"] = "on"
    return urlencode(asked, doseq=True)


class DataSetChoice(forms.ModelChoiceField):
    def label_from_instance(self, obj: Any) -> str:
        rankings = obj.manifest["splits"]["train"]["informative"]
        sentence = ngettext(
            "Data set %(number)s: %(rankings)s ranking to learn from",
            "Data set %(number)s: %(rankings)s rankings to learn from",
            rankings,
        )
        return sentence % {"number": obj.number, "rankings": rankings}


class TrainingForm(forms.Form):
    """What a training run needs."""

    def __init__(self, data: Any = None, *, arena: Arena, initial: dict[str, Any] | None = None) -> None:
        bases, data_sets = overview.trainable(arena), overview.exported(arena)
        begun = {**_suggested(bases, data_sets, initial or {}), **(initial or {})}
        super().__init__(data, initial=begun, label_suffix="")
        self.fields["base"] = forms.ModelChoiceField(
            bases,
            label=_("Base"),
            empty_label=None if bases else _("There is none with a checkpoint yet"),
            help_text=_("The contestant to improve. It stays as it is; the result is a new contestant."),
        )
        self.fields["data_set"] = DataSetChoice(
            data_sets,
            label=_("Data set"),
            empty_label=None if data_sets else _("There is none yet: export one first"),
            help_text=_("Only its train split is learnt from."),
        )
        self.fields["name"] = forms.CharField(
            required=False,
            max_length=120,
            label=_("Name"),
            help_text=_("Of the new contestant. Empty: made from the base's name."),
        )
        self.fields["objective"] = forms.ChoiceField(
            choices=GROUPS,
            initial=USUAL,
            label=_("Objective"),
            help_text=_("How a ranking becomes a loss."),
        )
        self._add_settings(arena)
        self.fields["held_back"] = forms.BooleanField(
            required=False,
            label=_("Hold the result back"),
            help_text=_("It becomes a contestant once somebody promotes it. Else at once, and it is judged."),
        )

    def _add_settings(self, arena: Arena) -> None:
        for name in NUMBERS:
            self.fields[name] = number(name)
        self.fields["objective_options"] = NumbersField(
            example="tau=0.2",
            label=title_of("objective_options"),
            help_text=_("As name=number, separated by commas. Empty: the objective's own."),
        )
        self.fields["criteria"] = NumbersField(
            example="overall=1",
            label=title_of("criteria"),
            help_text=_criteria_help(arena),
        )
        self.fields["vote_weights"] = forms.MultipleChoiceField(
            choices=[(name, WEIGHTS[name]) for name in VOTE_WEIGHTS],
            required=False,
            label=title_of("vote_weights"),
            widget=forms.CheckboxSelectMultiple,
        )
        self.fields["reward_model"] = forms.ModelChoiceField(
            reward_models_of(arena),
            required=False,
            label=title_of("reward_model"),
            empty_label=_("None"),
            help_text=_("For objectives that need one, and for the win rate against the base."),
        )
        for name, (label, words) in PICKED.items():
            options = [(option, words[option]) for option in CHOICES[name]]
            self.fields[name] = forms.ChoiceField(choices=options, required=False, label=label)
        for name, label in SWITCHES.items():
            self.fields[name] = forms.BooleanField(required=False, label=label)

    def essentials(self) -> list[forms.BoundField]:
        return [self[name] for name in ("base", "data_set", "name", "objective")]

    def numbers(self) -> list[forms.BoundField]:
        return [self[name] for name in ESSENTIAL]

    def sections(self) -> list[tuple[Any, list[dict[str, Any]]]]:
        """The further settings by what they are for; `is_ticked` are those with boxes to tick."""
        ticked = {*SWITCHES, "vote_weights"}
        return [
            (title, [{"shown": self[name], "is_ticked": name in ticked} for name in names])
            for title, names in SECTIONS
        ]

    def options(self) -> list[tuple[str, str]]:
        """The objectives that have numbers of their own, and these."""
        return [(name, written(own)) for name, own in sorted(OPTIONS.items())]

    def opens_advanced(self) -> bool:
        """Whether one of the further settings is wrong, or is not what it is without a word."""
        # How often held-out prompts are looked at is always suggested, and nothing to look into.
        given = {name: self[name].value() for name in ADVANCED if name != "eval_every_steps"}
        set_ones = [name for name, value in given.items() if not _is_usual(name, value)]
        return bool(set_ones) or any(name in self.errors for name in ADVANCED)

    def wanted(self) -> dict[str, Any]:
        """The arguments of `request_training`; of the further settings what differs from the usual."""
        data = self.cleaned_data
        parameters = {name: data[name] for name in ESSENTIAL if data[name] is not None}
        for name in ADVANCED:
            if name not in LORA and name != "reward_model" and not _is_usual(name, data[name]):
                parameters[name] = data[name]
        if data["reward_model"]:
            parameters["reward_model"] = data["reward_model"].pk
        if lora := {inner: data[name] for name, inner in LORA.items() if not _is_usual(name, data[name])}:
            parameters["lora"] = lora
        return {
            "base": data["base"],
            "data_set": data["data_set"],
            "name": data["name"] or None,
            "objective": data["objective"],
            "parameters": parameters,
            "held_back": data["held_back"],
        }


def _is_usual(name: str, value: Any) -> bool:
    """Whether a setting of the form, as typed or as read, is what it is where nobody says anything."""
    if value is None or value is False or (isinstance(value, str | list | dict) and not value):
        return True
    try:
        return float(value) == usual(name)
    except (TypeError, ValueError):
        return bool(value == usual(name))


def _criteria_help(arena: Arena) -> str:
    """What the arena asks beside the ranking."""
    asked = ", ".join(f"{one.key}=0.5" for one in judgement_of(arena).criteria)
    if not asked:
        return _("This arena asks for no criteria: leave it empty.")
    return _("As in %(example)s. Empty: the ranking alone.") % {"example": f"overall=1, {asked}"}


class NumbersField(forms.CharField):
    """Several numbers by name, as name=number separated by commas."""

    def __init__(self, *, example: str, **options: Any) -> None:
        super().__init__(required=False, **options)
        self.example = example

    def to_python(self, value: Any) -> Any:
        numbers = {}
        for part in filter(None, (one.strip() for one in (value or "").split(","))):
            name, _equals, given = part.partition("=")
            try:
                numbers[name.strip()] = float(given)
            except ValueError:
                raise ValidationError(
                    _('"%(part)s" is not name=number, as in %(example)s.')
                    % {"part": part, "example": self.example}
                ) from None
        return numbers
