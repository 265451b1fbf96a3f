"""The figures of a finished run as the pages show them: what each is called and means, how sure it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from arena.models import TrainingRun
from arena.services.objectives import REWARD_MODELS
from arena.services.training_comparison import OF_TEXTS
from arena.services.training_reading import ENDLESS, LIMITS, Interval, interval_of, share_interval

Label = str | Promise
# Title, and what it means. In the order told.
FIGURES: dict[str, tuple[Label, Label]] = {
    "accuracy": (
        gettext_lazy("Held-out pairs in the voters' order"),
        gettext_lazy("By how far each response became likelier than under the base; half is guessing."),
    ),
    "kendall_tau": (
        gettext_lazy("Kendall's tau"),
        gettext_lazy("Of whole rankings: 1 is the voters' order, 0 guessing, -1 the order turned round."),
    ),
    "ranking_accuracy": (
        gettext_lazy("Pairs in order by probability itself"),
        gettext_lazy("Which of two the model would rather write, whatever the base thought."),
    ),
    "idealised_accuracy": (
        gettext_lazy("The same, had the votes been learnt perfectly"),
        gettext_lazy("What beta and the base leave room for: the mark to hold the line above against."),
    ),
    "loss": (
        gettext_lazy("Loss"),
        gettext_lazy("What training makes small. Risen here, the votes were learnt by heart."),
    ),
    "winner_log_ratio": (
        gettext_lazy("Log-probability of the best, against the base"),
        gettext_lazy("In nats. Below zero the responses that voters liked best became less likely."),
    ),
}
FRESH: dict[str, tuple[Label, Label]] = {
    "sequence_kl": (
        gettext_lazy("Sequence KL from the base, nats"),
        gettext_lazy("How far a whole response has moved; some nats are usual, tens are far."),
    ),
    "win_rate": (
        gettext_lazy("Win rate against the base, by the reward model"),
        gettext_lazy("A model's opinion of samples on the same prompts; half is no difference."),
    ),
    "length": (
        gettext_lazy("Length, tokens"),
        gettext_lazy("Voters often like longer texts without meaning to."),
    ),
    "ended": (
        gettext_lazy("Share that came to an end"),
        gettext_lazy("The others ran into the limit of length."),
    ),
    "distinct": (
        gettext_lazy("Share of different responses"),
        gettext_lazy("A model that always says the same has collapsed."),
    ),
    "repetition": (
        gettext_lazy("Share of repeated runs of four tokens"),
        gettext_lazy("Within one response."),
    ),
}


@dataclass(frozen=True)
class Figure:
    """interval: its 95 % interval as two numbers as shown, None where it is not known."""

    title: Label
    about: Label
    before: Any
    after: Any
    interval: tuple[Any, Any] | None


def held_out_figures(run: TrainingRun) -> list[Figure]:
    """What was seen on held-out prompts."""
    summary = run.summary
    before, after = summary.get("before") or {}, summary.get("after") or {}
    rewards = run.objective.startswith(REWARD_MODELS)
    return [
        Figure(
            title,
            about,
            rounded(before.get(name)),
            rounded(after[name]),
            _shown(interval_of(after, name, *LIMITS.get(name, ENDLESS))),
        )
        for name, (title, about) in FIGURES.items()
        if after.get(name) is not None and not (rewards and name in OF_TEXTS)
    ]


def sample_figures(run: TrainingRun) -> list[Figure]:
    """What was seen of fresh samples; the base's own beside them where they were taken."""
    fresh: Mapping[str, Any] = run.summary.get("fresh") or {}
    base: Mapping[str, Any] = fresh.get("before") or {}
    return [
        Figure(title, about, rounded(base.get(name)), rounded(fresh[name]), _shown(_sampled(fresh, name)))
        for name, (title, about) in FRESH.items()
        if fresh.get(name) is not None
    ]


def heading_of_held_out(run: TrainingRun) -> str:
    """What the figures on held-out prompts were measured on."""
    rankings = (run.summary.get("after") or {}).get("rankings")
    if not rankings:
        return _("On held-out prompts")
    said = ngettext("On %(count)s held-out ranking", "On %(count)s held-out rankings", rankings)
    return said % {"count": rankings}


def heading_of_samples(run: TrainingRun) -> str:
    """What the figures of fresh samples were measured on."""
    samples = (run.summary.get("fresh") or {}).get("samples")
    if not samples:
        return _("On fresh samples")
    said = ngettext("On %(count)s fresh sample", "On %(count)s fresh samples", samples)
    return said % {"count": samples}


def groups_of(run: TrainingRun) -> list[dict[str, Any]]:
    """Held-out accuracy by annotator group, with intervals."""
    groups = (run.summary.get("after") or {}).get("groups") or []
    return [
        {**group, "interval": _shown(interval_of(group, "accuracy", *LIMITS["accuracy"]))} for group in groups
    ]


def _sampled(fresh: Mapping[str, Any], name: str) -> Interval | None:
    if name == "ended" and fresh.get("samples"):
        return share_interval(fresh["ended"], fresh["samples"])
    return interval_of(fresh, name, *LIMITS.get(name, ENDLESS))


def _shown(found: Interval | None) -> tuple[Any, Any] | None:
    return (rounded(found.lower, 3), rounded(found.upper, 3)) if found else None


def rounded(value: Any, places: int = 4) -> Any:
    """Minus nought is nought."""
    return round(value, places) + 0.0 if isinstance(value, float) else value
