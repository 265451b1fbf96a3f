from typing import Any

from django import forms

from arena.models import Arena
from arena.services import overview
from arena.services.training import OBJECTIVES, PARAMETERS

NUMBERS = {
    "beta": "How closely the new model stays to the base: larger stays closer.",
    "learning_rate": "The size of a step. 3e-4 suits small models; 1e-6 to 1e-5 suits large ones.",
    "epochs": "How often each ranking is seen.",
    "batch_size": "Rankings per step.",
    "sft_weight": "How much the preferred responses are also learnt as they are. 0 turns it off.",
    "seed": "The same seed and data give the same run.",
}
LABELS = {"sft_weight": "SFT weight"}
WHOLE = {"epochs", "batch_size", "seed"}


def _number(name: str, help_text: str) -> forms.Field:
    """The field of a training parameter, with the service's default and limits."""
    default, least, most = PARAMETERS[name]
    common = {"initial": default, "required": False, "help_text": help_text, "label": LABELS.get(name)}
    if name in WHOLE:
        return forms.IntegerField(min_value=int(least), max_value=int(most), **common)
    field = forms.FloatField(min_value=least, max_value=most, **common)
    field.widget.attrs["step"] = "any"
    return field


class DataSetChoice(forms.ModelChoiceField):
    def label_from_instance(self, obj: Any) -> str:
        rankings = obj.manifest["splits"]["train"]["informative"]
        return f"Data set {obj.number}: {rankings} rankings to learn from"


class TrainingForm(forms.Form):
    """What a training run needs. Whether the run can be is the service's to say."""

    def __init__(self, data: Any = None, *, arena: Arena, initial: dict[str, Any] | None = None) -> None:
        super().__init__(data, initial=initial, label_suffix="")
        bases, data_sets = overview.trainable(arena), overview.exported(arena)
        self.fields["base"] = forms.ModelChoiceField(
            bases,
            empty_label=None if bases else "There is none with a checkpoint yet",
            help_text="The contestant to improve. It stays as it is; the result is a new contestant.",
        )
        self.fields["data_set"] = DataSetChoice(
            data_sets,
            empty_label=None if data_sets else "There is none yet: export one first",
            help_text="Only its train split is learnt from.",
        )
        self.fields["name"] = forms.CharField(
            required=False,
            max_length=120,
            help_text="Of the new contestant. Empty: made from the base's name.",
        )
        self.fields["objective"] = forms.ChoiceField(
            choices=OBJECTIVES, help_text="How a ranking becomes a loss."
        )
        for name, help_text in NUMBERS.items():
            self.fields[name] = _number(name, help_text)

    def essentials(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name not in NUMBERS]

    def numbers(self) -> list[forms.BoundField]:
        return [self[name] for name in NUMBERS]

    def wanted(self) -> dict[str, Any]:
        """The arguments of `request_training`."""
        data = self.cleaned_data
        return {
            "base": data["base"],
            "data_set": data["data_set"],
            "name": data["name"] or None,
            "objective": data["objective"],
            "parameters": {name: data[name] for name in NUMBERS if data[name] is not None},
        }
