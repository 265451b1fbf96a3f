"""The form of a new training run. Whether the run can be is the service's to say."""

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from arena.models import Arena, TrainingRun
from arena.services import overview
from arena.services.objectives import GROUPS, USUAL
from arena.services.training import reward_models_of
from arena.services.training_plans import suggested_settings, written
from arena.services.training_settings import CHOICES, PARAMETERS, VOTE_WEIGHTS

NUMBERS = {
    "beta": (
        gettext_lazy("Beta"),
        gettext_lazy("How closely the new model stays to the base: larger stays closer."),
    ),
    "learning_rate": (
        gettext_lazy("Learning rate"),
        gettext_lazy(
            "The size of a step. 4e-4 suits models of a million parameters, 5e-6 those of billions."
        ),
    ),
    "epochs": (gettext_lazy("Epochs"), gettext_lazy("How often each ranking is seen.")),
    "batch_size": (gettext_lazy("Batch size"), gettext_lazy("Rankings per step.")),
    "sft_weight": (
        gettext_lazy("SFT weight"),
        gettext_lazy("How much the preferred responses are also learnt as they are. 0 turns it off."),
    ),
    "seed": (gettext_lazy("Seed"), gettext_lazy("The same seed and data give the same run.")),
    "sft_epochs": (
        gettext_lazy("Warm-up epochs"),
        gettext_lazy("Passes over the best responses first, for a base that cannot answer yet."),
    ),
}
WHOLE = {"epochs", "batch_size", "seed", "sft_epochs"}
PICKED = {
    "method": (
        gettext_lazy("What is trained"),
        {
            "full": gettext_lazy("All weights"),
            "lora": gettext_lazy("An adapter (LoRA)"),
            "qlora": gettext_lazy("An adapter on four-bit weights (QLoRA, needs bitsandbytes on the worker)"),
        },
    ),
    "credit": (
        gettext_lazy("What the vote is about"),
        {
            "whole": gettext_lazy("The whole response"),
            "spans": gettext_lazy("The parts that voters marked"),
            "first-step": gettext_lazy("The first line in which responses differ"),
        },
    ),
    "curriculum": (
        gettext_lazy("Order"),
        {
            "none": gettext_lazy("All pairs from the start"),
            "easy-to-hard": gettext_lazy("Clear pairs first (pairwise objectives)"),
        },
    ),
}
SWITCHES = {
    "merge_votes": gettext_lazy("Votes on the same responses become shares"),
    "gradient_checkpointing": gettext_lazy("Save memory: compute activations twice"),
    "gradient_cache": gettext_lazy("Save more memory: one response at a time"),
}
WEIGHTS = {
    "reliability": gettext_lazy("How often the voter agrees with others"),
    "confidence": gettext_lazy("How sure the voter was"),
    "strength": gettext_lazy("How much better the best was"),
    "propensity": gettext_lazy("How rarely the battle is drawn"),
}
ADVANCED = ("objective_options", "vote_weights", "reward_model", *PICKED, *SWITCHES, "sft_epochs")


def _number(name: str) -> forms.Field:
    """The field of a training parameter, with the service's default and limits."""
    default, least, most = PARAMETERS[name]
    label, help_text = NUMBERS[name]
    common: dict[str, Any] = {"initial": default, "required": False, "help_text": help_text, "label": label}
    if name in WHOLE:
        return forms.IntegerField(min_value=int(least), max_value=int(most), **common)
    field = forms.FloatField(min_value=least, max_value=most, **common)
    field.widget.attrs["step"] = "any"
    return field


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
        if value := run.parameters.get(name):
            asked[name] = value
    options = run.parameters.get("objective_options") or {}
    if options:
        asked["objective_options"] = written(options)
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
            self.fields[name] = _number(name)
        self.fields["objective_options"] = forms.CharField(
            required=False,
            label=_("Options of the objective"),
            help_text=_("As name=number, separated by commas. Empty: its own defaults."),
        )
        self.fields["vote_weights"] = forms.MultipleChoiceField(
            choices=[(name, WEIGHTS[name]) for name in VOTE_WEIGHTS],
            required=False,
            label=_("Votes count more by"),
            widget=forms.CheckboxSelectMultiple,
        )
        self.fields["reward_model"] = forms.ModelChoiceField(
            reward_models_of(arena),
            required=False,
            label=_("Reward model"),
            empty_label=_("None"),
            help_text=_("For objectives that need one, and for the win rate against the base."),
        )
        for name, (label, words) in PICKED.items():
            options = [(option, words[option]) for option in CHOICES[name]]
            self.fields[name] = forms.ChoiceField(choices=options, required=False, label=label)
        for name, label in SWITCHES.items():
            self.fields[name] = forms.BooleanField(required=False, label=label)

    def clean_objective_options(self) -> dict[str, float]:
        options = {}
        for part in filter(None, (one.strip() for one in self.cleaned_data["objective_options"].split(","))):
            name, _equals, value = part.partition("=")
            try:
                options[name.strip()] = float(value)
            except ValueError:
                raise ValidationError(
                    _('"%(part)s" is not name=number, as in tau=0.2.') % {"part": part}
                ) from None
        return options

    def essentials(self) -> list[forms.BoundField]:
        return [self[name] for name in ("base", "data_set", "name", "objective")]

    def numbers(self) -> list[forms.BoundField]:
        return [self[name] for name in NUMBERS if name not in ADVANCED]

    def advanced(self) -> list[forms.BoundField]:
        return [self[name] for name in ADVANCED]

    def opens_advanced(self) -> bool:
        """Whether one of the further settings is wrong, or is not what it is without a word."""
        given = {name: self[name].value() for name in ADVANCED}
        usual = {"sft_epochs": 0, **{name: CHOICES[name][0] for name in PICKED}}
        set_ones = [name for name, value in given.items() if value and str(value) != str(usual.get(name))]
        return bool(set_ones) or any(name in self.errors for name in ADVANCED)

    def wanted(self) -> dict[str, Any]:
        """The arguments of `request_training`."""
        data = self.cleaned_data
        parameters = {name: data[name] for name in NUMBERS if data[name] is not None}
        for name in (*PICKED, *SWITCHES, "vote_weights", "objective_options"):
            if data[name] and data[name] != CHOICES.get(name, ("",))[0]:
                parameters[name] = data[name]
        if data["reward_model"]:
            parameters["reward_model"] = data["reward_model"].pk
        if not parameters.get("sft_epochs"):
            parameters.pop("sft_epochs", None)
        return {
            "base": data["base"],
            "data_set": data["data_set"],
            "name": data["name"] or None,
            "objective": data["objective"],
            "parameters": parameters,
            "held_back": data["held_back"],
        }
