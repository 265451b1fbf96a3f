"""What a lead fills in for a campaign. Whether it can be is the services' to say."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from annotation.models import Campaign
from annotation.services.thresholds import LIMITS
from arena.models import Arena, Prompt
from arena.models.arenas import LARGEST_BATTLE, SMALLEST_BATTLE

# measure: what it says, limit and number of answers to begin with.
MEASURES: dict[str, tuple[Any, float, int]] = {
    "gold": (_("Gold questions: fewer right than (share)"), 0.7, 5),
    "checks": (_("Instructions: not followed at least (times)"), 2, 2),
    "repeats": (_("Repeats: less agreement with oneself than (share)"), 0.6, 4),
    "speed": (_("Speed: half of the answers in less than (seconds)"), 3, 10),
    "position": (_("Position: the same slot first, by chance less likely than (p)"), 0.001, 20),
    "skips": (_("Skips: more than (share)"), 0.5, 10),
}
ACTS = [
    ("", _("nothing")),
    ("warn", _("warn")),
    ("pause", _("pause")),
    ("exclude", _("exclude")),
]
TIME = {"type": "datetime-local"}
# Fields that are a setting of the campaign as they are.
PLAIN = (
    "name", "instructions", "k", "method", "per_prompt", "overlap", "batch", "most_each", "lease_minutes",
    "opens_at", "closes_at", "gold_every", "repeat_every", "repeat_gap", "checks_every", "pass_mark",
    "tries", "open_link", "pay_per_battle", "panel", "code_complete", "code_screened_out",
)  # fmt: skip


class CampaignForm(forms.Form):
    """All settings of a campaign. Of one that was started those that fix its battles are shut."""

    name = forms.CharField(max_length=120, label=_("Name"))
    instructions = forms.CharField(
        required=False,
        widget=forms.Textarea,
        label=_("Instructions"),
        help_text=_("What annotators read before they start and beside every battle. Markdown."),
    )
    tags = forms.CharField(
        required=False, label=_("Tags"), help_text=_("Prompts with any of these, with commas. Empty: all.")
    )
    split = forms.ChoiceField(
        required=False,
        choices=[("", _("all")), (Prompt.Split.TRAIN, _("training")), (Prompt.Split.HELD_OUT, _("held out"))],
        label=_("Split"),
    )
    keys = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        label=_("Prompts by key"),
        help_text=_("One on each line. Empty: all that the tags and the split let through."),
    )
    most = forms.IntegerField(required=False, min_value=1, label=_("At most so many prompts"))
    contestants = forms.MultipleChoiceField(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label=_("Contestants"),
        help_text=_("None chosen: all that compete."),
    )
    k = forms.IntegerField(
        min_value=SMALLEST_BATTLE, max_value=LARGEST_BATTLE, label=_("Responses per battle")
    )
    method = forms.ChoiceField(
        choices=Campaign.Method.choices, initial=Campaign.Method.DRAWN, label=_("Battles")
    )
    per_prompt = forms.IntegerField(min_value=1, max_value=1000, initial=1, label=_("Battles per prompt"))
    overlap = forms.IntegerField(
        min_value=1,
        max_value=1000,
        initial=3,
        label=_("Votes per battle"),
        help_text=_("Each by another person."),
    )
    batch = forms.IntegerField(
        min_value=1,
        max_value=1000,
        initial=20,
        label=_("Drawn ahead"),
        help_text=_("More are drawn when needed."),
    )
    most_each = forms.IntegerField(
        required=False, min_value=1, label=_("Battles per person"), help_text=_("Empty: no limit.")
    )
    lease_minutes = forms.IntegerField(
        min_value=1,
        max_value=1440,
        initial=15,
        label=_("Minutes per battle"),
        help_text=_("Then it is free for others; working on it renews the time."),
    )
    opens_at = forms.DateTimeField(
        required=False,
        widget=forms.DateTimeInput(attrs=TIME, format="%Y-%m-%dT%H:%M"),
        label=_("Opens"),
        help_text=_("UTC. Empty: at the start."),
    )
    closes_at = forms.DateTimeField(
        required=False,
        widget=forms.DateTimeInput(attrs=TIME, format="%Y-%m-%dT%H:%M"),
        label=_("Closes"),
        help_text=_("UTC. Empty: with the last vote."),
    )
    gold_every = forms.IntegerField(
        min_value=0, max_value=1000, initial=0, label=_("Gold questions: one in"), help_text=_("0: none.")
    )
    repeat_every = forms.IntegerField(
        min_value=0, max_value=1000, initial=0, label=_("Repeats: one in"), help_text=_("0: none.")
    )
    repeat_gap = forms.IntegerField(
        min_value=1, max_value=1000, initial=5, label=_("Repeats: not before so many others")
    )
    checks_every = forms.IntegerField(
        min_value=0,
        max_value=1000,
        initial=0,
        label=_("Instructions to follow: one in"),
        help_text=_("0: none. A clear instruction above a battle."),
    )
    pass_mark = forms.IntegerField(
        min_value=0, max_value=100, initial=80, label=_("Pass mark of the qualification, %")
    )
    tries = forms.IntegerField(min_value=1, max_value=10, initial=2, label=_("Tries"))
    open_link = forms.BooleanField(required=False, label=_("Open link: whoever has it takes part"))
    pay_per_battle = forms.DecimalField(
        required=False, min_value=0, max_digits=8, decimal_places=3, label=_("Pay per battle")
    )
    currency = forms.CharField(required=False, max_length=3, label=_("Currency"), help_text=_("Such as EUR."))
    panel = forms.ChoiceField(required=False, choices=Campaign.Panel.choices, label=_("Panel"))
    participant = forms.CharField(required=False, max_length=40, label=_("Parameter of the participant"))
    study = forms.CharField(required=False, max_length=40, label=_("Parameter of the study"))
    session = forms.CharField(required=False, max_length=40, label=_("Parameter of the session"))
    return_url = forms.CharField(
        required=False,
        max_length=500,
        label=_("Address to return to"),
        help_text=_("https://…, with {code}, {participant}, {study} or {session}."),
    )
    code_complete = forms.CharField(required=False, max_length=40, label=_("Code when done"))
    code_screened_out = forms.CharField(required=False, max_length=40, label=_("Code when not qualified"))

    PARTS = {
        "what": ("tags", "split", "most", "keys"),
        "how": ("k", "method", "per_prompt", "overlap", "batch"),
        "who": ("most_each", "lease_minutes", "opens_at", "closes_at"),
        "checks": ("gold_every", "repeat_every", "repeat_gap", "checks_every", "pass_mark", "tries"),
        "pay": ("pay_per_battle", "currency", "code_complete", "code_screened_out"),
        "panel_fields": ("panel", "participant", "study", "session", "return_url"),
    }
    FIXED = ("tags", "split", "most", "keys", "contestants", "k", "method", "per_prompt", "overlap",
             "gold_every", "repeat_every", "checks_every", "pass_mark", "tries")  # fmt: skip

    def __init__(self, data: Any = None, *, arena: Arena, campaign: Campaign | None = None) -> None:
        super().__init__(data, label_suffix="", initial=initial_of(campaign) if campaign else {"k": arena.k})
        chosen = arena.contestants.filter(retired_at=None).order_by("id").values_list("id", "name")
        self.fields["contestants"].choices = [(str(pk), name) for pk, name in chosen]  # type: ignore[attr-defined]
        self.started = campaign is not None and campaign.state != Campaign.State.DRAFT
        for measure, (_label, limit, after) in MEASURES.items():
            least, most = LIMITS[measure]
            number = forms.FloatField(required=False, min_value=least, max_value=most, initial=limit)
            number.widget.attrs["step"] = "any"
            self.fields[f"{measure}_limit"] = number
            self.fields[f"{measure}_after"] = forms.IntegerField(
                required=False, min_value=1, max_value=1000, initial=after
            )
            self.fields[f"{measure}_act"] = forms.ChoiceField(required=False, choices=ACTS)
        if self.started:
            for name in self.FIXED:
                self.fields[name].disabled = True

    def part(self, name: str) -> list[forms.BoundField]:
        return [self[field] for field in self.PARTS[name]]

    def parts(self) -> dict[str, list[forms.BoundField]]:
        return {name: self.part(name) for name in self.PARTS}

    def thresholds(self) -> list[dict[str, Any]]:
        """A row per measure: its sentence and its three fields."""
        return [
            {"label": label, **{part: self[f"{measure}_{part}"] for part in ("limit", "after", "act")}}
            for measure, (label, _limit, _after) in MEASURES.items()
        ]

    def wanted(self) -> dict[str, Any]:
        """The arguments of `create_campaign` and `change_campaign`."""
        data = self.cleaned_data
        keys = [line.strip() for line in data["keys"].splitlines() if line.strip()]
        tags = [tag.strip() for tag in data["tags"].split(",") if tag.strip()]
        return {
            **{name: data[name] for name in PLAIN},
            "currency": data["currency"].upper(),
            "prompt_filter": {
                name: value
                for name, value in (
                    ("tags", tags),
                    ("split", data["split"]),
                    ("keys", keys),
                    ("most", data["most"]),
                )
                if value
            },
            "contestants": [int(one) for one in data["contestants"]],
            "panel_settings": {
                name: data[name] for name in ("participant", "study", "session", "return_url")
            },
            "rules": [
                {
                    "measure": measure,
                    "limit": data[f"{measure}_limit"],
                    "after": data[f"{measure}_after"],
                    "act": data[f"{measure}_act"],
                }
                for measure in MEASURES
                if data[f"{measure}_act"]
            ],
        }


def initial_of(campaign: Campaign) -> dict[str, Any]:
    """A campaign as the form shows it."""
    chosen = campaign.prompt_filter
    names = [name for name in CampaignForm.base_fields if hasattr(campaign, name)]
    initial = {name: getattr(campaign, name) for name in names}
    initial.update(
        tags=", ".join(chosen.get("tags", [])),
        split=chosen.get("split", ""),
        keys="\n".join(chosen.get("keys", [])),
        most=chosen.get("most"),
        contestants=[str(pk) for pk in campaign.contestants],
        **campaign.panel_settings,
    )
    for rule in campaign.rules:
        initial |= {f"{rule['measure']}_{part}": rule[part] for part in ("limit", "after", "act")}
    return initial
