"""Before anything is spent: what the data set holds, what a run would take, and settings to begin with."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from statistics import median
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from arena.models import Contestant, DataSet, TrainingRun
from arena.services.training_facts import DataFacts, ModelFacts, read_data_facts, read_model_facts
from arena.services.training_suggestions import POOR_AGREEMENT, Suggestion, suggest

ADAPTER_SHARE = 0.01  # of the parameters, at rank 16
LOOKED_AT, MOST_RUNS = 20, 5


@dataclass(frozen=True)
class Time:
    """How long a run would take by each of so many earlier ones: the middle, the least and the most."""

    seconds: float
    least: float
    most: float
    runs: int


@dataclass(frozen=True)
class Plan:
    """What a run would be. memory in bytes, also by what takes it; time None where nothing has run here."""

    data: DataFacts
    model: ModelFacts
    steps: int
    memory: int
    memory_parts: Mapping[str, int]
    time: "Time | None"
    suggestions: tuple[Suggestion, ...]
    cautions: tuple[str, ...]

    @property
    def seconds(self) -> float | None:
        return self.time.seconds if self.time else None

    @property
    def suggested(self) -> dict[str, Any]:
        return {suggestion.name: suggestion.value for suggestion in self.suggestions}


def plan_training(*, base: Contestant, data_set: DataSet, parameters: Mapping[str, Any]) -> Plan:
    """The plan of a run with these settings; what is not set is taken from the suggestions."""
    data, model = read_data_facts(data_set), read_model_facts(Path(base.checkpoint))
    suggestions = suggest(data, model)
    settings = {**{one.name: one.value for one in suggestions}, **parameters}
    parts = memory_parts(model, settings)
    batch, epochs = int(settings.get("batch_size", 8)), int(settings.get("epochs", 2))
    return Plan(
        data=data,
        model=model,
        steps=-(-data.informative // batch) * epochs,
        memory=sum(parts.values()),
        memory_parts=parts,
        time=_time(data, model, epochs),
        suggestions=suggestions,
        cautions=_cautions(data, model),
    )


def memory_parts(model: ModelFacts, settings: Mapping[str, Any]) -> dict[str, int]:
    """About how many bytes a run holds at its peak, by what takes them.

    Full training keeps weights, gradients and two moments in 32 bits (16 bytes per parameter); an adapter
    keeps the base in 16 bits, or in four for QLoRA. With online_kl full training keeps the base beside it.
    Activations: some forty numbers per token, layer and hidden unit, ten times fewer with checkpointing;
    logits of one piece.
    """
    method = settings.get("method", "full")
    adapter = model.parameters * ADAPTER_SHARE * 16
    weights = {
        "full": 16.0 * model.parameters,
        "lora": 2.0 * model.parameters + adapter,
        "qlora": 0.6 * model.parameters + adapter,
    }[method]
    if method == "full" and settings.get("online_kl"):
        weights += 4.0 * model.parameters
    tokens = min(int(settings.get("micro_batch_tokens", 8192)), 8192)
    per_token = 40 * model.layers * model.hidden * (0.1 if settings.get("gradient_checkpointing") else 1)
    width = 4 if method == "full" else 2
    logits = min(2**25, tokens * model.vocabulary) * 8
    return {"weights": int(weights), "activations": int(tokens * per_token * width), "logits": logits}


def _cautions(data: DataFacts, model: ModelFacts) -> tuple[str, ...]:
    """What may spoil the run, in sentences."""
    found = []
    if data.informative < 100:
        found.append(_("Under a hundred rankings seldom teach more than one trait. Collect more votes."))
    if not data.held_out:
        found.append(_("No held-out prompt was voted on: nothing will tell learning from memory."))
    if data.voters == 1:
        found.append(_("All votes are of one voter: the model will learn this person's taste."))
    if data.agreement is not None and data.agreement < POOR_AGREEMENT:
        share = f"{data.agreement:.0%}"
        found.append(_("Voters agree on only %(share)s of what several judged.") % {"share": share})
    if model.context and data.longest_tokens > model.context:
        found.append(_("Some responses are longer than the base can read; they are left out and counted."))
    return tuple(found)


def in_words(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 90:
        count = max(1, round(seconds))
        return ngettext("%(count)s second", "%(count)s seconds", count) % {"count": count}
    if seconds < 5400:
        return _("%(count)s minutes") % {"count": round(seconds / 60)}
    return _("%(count)s hours") % {"count": f"{seconds / 3600:.1f}"}


def _time(data: DataFacts, model: ModelFacts, epochs: int) -> Time | None:
    """From the speed of the newest runs in this installation whose base is of known size: time goes with
    tokens times parameters.
    """
    k = sum(k * count for k, count in data.by_k) / max(1, sum(count for _k, count in data.by_k))
    tokens = data.informative * (k + 1) * data.response_tokens * epochs
    newest = TrainingRun.objects.exclude(completed_at=None).select_related("base").order_by("-pk")[:LOOKED_AT]
    found = []
    for run in newest:
        speed = run.summary.get("tokens_per_second")
        other = read_model_facts(Path(run.base.checkpoint)).parameters
        if isinstance(speed, int | float) and isfinite(speed) and speed > 0 and other and model.parameters:
            found.append(float(tokens / speed * model.parameters / other))
    found = found[:MOST_RUNS]
    return Time(median(found), min(found), max(found), len(found)) if found else None
