"""The form of a contestant, for each backend its own fields. What is allowed is the service's to say."""

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from arena.models import Arena, Contestant
from arena.services.contestant_places import adapters_for, checkpoints_for

Backend = Contestant.Backend
SAMPLING = ("temperature", "top_p", "max_new_tokens", "seed")
BUDGET = ("tokens", "money", "price_in", "price_out")
OF_BACKEND = {
    Backend.TRANSFORMERS: ("checkpoint", "hub_name", "revision", "adapter", "system_prompt", *SAMPLING),
    Backend.OPENAI: ("endpoint", "endpoint_model", "key", "system_prompt", *SAMPLING, *BUDGET),
    Backend.CUSTOM: ("endpoint", "key", "system_prompt", *BUDGET),
    Backend.UPLOADED: (),
}
LABELS = {
    Backend.TRANSFORMERS: gettext_lazy("A checkpoint"),
    Backend.OPENAI: gettext_lazy("An OpenAI-compatible endpoint"),
    Backend.CUSTOM: gettext_lazy("An endpoint of your own"),
    Backend.UPLOADED: gettext_lazy("Finished responses"),
}
MADE_ELSEWHERE = (Backend.UPLOADED,)


class ContestantForm(forms.Form):
    """Without a contestant: of a new one. Once it has responses, what made them is not asked."""

    name = forms.CharField(max_length=120, label=gettext_lazy("Name"))
    description = forms.CharField(
        required=False,
        max_length=2000,
        label=gettext_lazy("Description"),
        help_text=gettext_lazy("Shown on its page, to everybody who may see the arena."),
    )
    weight = forms.FloatField(
        min_value=0,
        max_value=1000,
        initial=1,
        label=gettext_lazy("Weight"),
        help_text=gettext_lazy("How often it is drawn beside the others; 0 rests it."),
    )
    checkpoint = forms.ChoiceField(
        required=False,
        label=gettext_lazy("Checkpoint"),
        help_text=gettext_lazy("What lies in the installation's folder of models. Safetensors only."),
    )
    hub_name = forms.CharField(
        required=False,
        max_length=200,
        label=gettext_lazy("Or a model of the hub"),
        help_text=gettext_lazy("As owner/name. Which ones is up to ARENA_HUB_MODELS."),
    )
    revision = forms.CharField(
        required=False,
        max_length=120,
        label=gettext_lazy("Revision"),
        help_text=gettext_lazy("Of a model of the hub: a commit or a tag."),
    )
    adapter = forms.ChoiceField(
        required=False,
        label=gettext_lazy("LoRA adapter"),
        help_text=gettext_lazy("Put on the checkpoint. Safetensors only."),
    )
    endpoint = forms.CharField(
        max_length=500,
        label=gettext_lazy("Address"),
        help_text=gettext_lazy("Like http://127.0.0.1:8001/v1. Its host must be in ARENA_ENDPOINT_HOSTS."),
    )
    endpoint_model = forms.CharField(
        max_length=200, label=gettext_lazy("Model"), help_text=gettext_lazy("The model's name there.")
    )
    key = forms.CharField(
        required=False,
        max_length=2000,
        label=gettext_lazy("Key"),
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "off"}),
    )
    forget_key = forms.BooleanField(required=False, label=gettext_lazy("Forget the kept key"))
    system_prompt = forms.CharField(
        required=False,
        max_length=20_000,
        strip=False,
        label=gettext_lazy("System prompt"),
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    temperature = forms.FloatField(required=False, label=gettext_lazy("Temperature"))
    top_p = forms.FloatField(required=False, label="Top-p")
    max_new_tokens = forms.IntegerField(required=False, label=gettext_lazy("Longest answer, tokens"))
    seed = forms.IntegerField(required=False, label=gettext_lazy("Seed"))
    tokens = forms.IntegerField(required=False, min_value=0, label=gettext_lazy("At most, tokens"))
    money = forms.FloatField(required=False, min_value=0, label=gettext_lazy("At most, money"))
    price_in = forms.FloatField(
        required=False, min_value=0, label=gettext_lazy("Price of a million tokens read")
    )
    price_out = forms.FloatField(
        required=False, min_value=0, label=gettext_lazy("Price of a million tokens written")
    )
    parameters = forms.CharField(
        required=False,
        label=gettext_lazy("Other parameters"),
        help_text=gettext_lazy('As JSON, like {"top_k": 40}.'),
    )
    capabilities = forms.CharField(
        required=False,
        label=gettext_lazy("What it can do"),
        help_text=gettext_lazy('As JSON, like {"languages": ["en"], "turns": 5}. Empty: text, any language.'),
    )

    def __init__(
        self,
        arena: Arena,
        backend: str,
        data: Any = None,
        *,
        contestant: Contestant | None = None,
        fixed: bool = False,
    ) -> None:
        super().__init__(data, initial=_initial(contestant) if contestant else None, label_suffix="")
        self.backend, self.contestant = Backend(backend), contestant
        mine = OF_BACKEND[self.backend]
        wanted = {"name", "description", "weight"} | set(mine)
        if self.backend not in MADE_ELSEWHERE:
            wanted |= {"parameters", "capabilities"}
        if fixed:
            wanted -= {
                *SAMPLING,
                "checkpoint",
                "hub_name",
                "revision",
                "adapter",
                "endpoint",
                "endpoint_model",
            }
            wanted -= {"system_prompt", "parameters"}
        if contestant is not None and contestant.endpoint_key_sealed:
            wanted |= {"forget_key"} if "key" in wanted else set()
        for name in set(self.fields) - wanted:
            del self.fields[name]
        self._fill_choices(arena, contestant)

    def _fill_choices(self, arena: Arena, contestant: Contestant | None) -> None:
        for name, places in (("checkpoint", checkpoints_for), ("adapter", adapters_for)):
            field = self.fields.get(name)
            if isinstance(field, forms.ChoiceField):
                found = places(arena)
                field.choices = [("", _("None")), *((one.path, one.name) for one in found)]
        if "key" in self.fields:
            kept = contestant is not None and bool(contestant.endpoint_key_sealed)
            self.fields["key"].help_text = (
                _("A key is kept, encrypted; it is shown to nobody. Empty leaves it as it is.")
                if kept
                else _("Kept encrypted and shown to nobody. A new address needs it anew.")
            )

    def clean_parameters(self) -> dict[str, Any]:
        return _object(self.cleaned_data["parameters"])

    def clean_capabilities(self) -> dict[str, Any]:
        return _object(self.cleaned_data["capabilities"])

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("checkpoint") and given.get("hub_name"):
            self.add_error("hub_name", _("Name a folder or a model of the hub, not both."))
        return given

    def wanted(self) -> dict[str, Any]:
        """The arguments of `add_contestant` and `change_contestant`: what the form asks, nothing else."""
        given, asked = self.cleaned_data, self.fields.keys()
        plain = ("name", "description", "weight", "revision", "adapter", "endpoint", "endpoint_model")
        fields = {name: given[name] for name in (*plain, "system_prompt", "capabilities") if name in asked}
        if "checkpoint" in asked:
            fields["checkpoint"] = given["checkpoint"] or given["hub_name"]
        if "parameters" in asked:
            sampling = {name: given[name] for name in SAMPLING if given.get(name) is not None}
            fields["parameters"] = {**given["parameters"], **sampling}
        if "tokens" in asked:
            fields["budget"] = {name: given[name] for name in BUDGET if given.get(name) is not None}
        return fields

    def new_key(self) -> str | None:
        """The key to keep, "" to forget the kept one, None to leave it."""
        if self.cleaned_data.get("forget_key"):
            return ""
        return self.cleaned_data.get("key", "").strip() or None


def _initial(contestant: Contestant) -> dict[str, Any]:
    plain = ("name", "description", "weight", "revision", "adapter", "endpoint", "endpoint_model")
    known = {name: contestant.parameters[name] for name in SAMPLING if name in contestant.parameters}
    others = {name: value for name, value in contestant.parameters.items() if name not in SAMPLING}
    if contestant.backend == Backend.CUSTOM:  # its parameters are its own, whatever they are called
        known, others = {}, contestant.parameters
    return {
        **{name: getattr(contestant, name) for name in (*plain, "system_prompt")},
        **known,
        **contestant.budget,
        "checkpoint": contestant.checkpoint,
        "parameters": json.dumps(others, ensure_ascii=False) if others else "",
        "capabilities": json.dumps(contestant.capabilities, ensure_ascii=False)
        if contestant.capabilities
        else "",
    }


def _object(text: str) -> dict[str, Any]:
    if not text.strip():
        return {}
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ValidationError(_('This is no JSON object. Write it like {"top_k": 40}.'))
    return value
