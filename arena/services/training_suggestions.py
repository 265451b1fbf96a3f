"""Settings to begin a training run with, each with its reason: what measured best in docs/benchmarks.md."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _

from arena.models import Contestant, DataSet
from arena.services.training_facts import DataFacts, ModelFacts, read_data_facts, read_model_facts

FEW_RANKINGS, MANY_RANKINGS = 500, 3_000
LARGE_MODEL = 1_000_000_000  # parameters: from here an adapter is trained
POOR_AGREEMENT = 0.7
MOST_SLIPS = 0.4  # share of votes reckoned to be wrong; half of them would say nothing
MANY_TIES = 0.3
LOOKS = 5  # at held-out prompts on the way


@dataclass(frozen=True)
class Suggestion:
    """A setting to begin with, and why."""

    name: str
    value: Any
    reason: str

    @property
    def written(self) -> Any:
        return written(self.value)


def written(value: Any) -> Any:
    """A setting as people write it in the form: an objective's options as name=number."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={number}" for name, number in value.items())
    return value


def suggested_settings(*, base: Contestant, data_set: DataSet) -> dict[str, Any]:
    """The objective and the settings to begin with, by name."""
    data, model = read_data_facts(data_set), read_model_facts(Path(base.checkpoint))
    return {one.name: one.value for one in suggest(data, model)}


def suggest(data: DataFacts, model: ModelFacts) -> tuple[Suggestion, ...]:
    """Settings to begin with, each with its reason."""
    found = _suggested_objective(data)
    large = model.parameters >= LARGE_MODEL
    if large:
        found.append(
            Suggestion("method", "lora", _("The base is large: an adapter takes an eighth of the memory."))
        )
    rate = 4e-4 * (1e6 / max(model.parameters, 1e6)) ** 0.5 * (10 if large else 1)
    found.append(
        Suggestion(
            "learning_rate",
            float(f"{max(rate, 1e-6):.1g}"),
            _("Falls with the root of the base's %(millions)s million parameters.")
            % {"millions": f"{model.parameters / 1e6:.3g}"},
        )
    )
    return (*found, *_suggested_pace(data))


def _suggested_pace(data: DataFacts) -> list[Suggestion]:
    """How far and in how many steps, by how many rankings there are."""
    few, many = data.informative < FEW_RANKINGS, data.informative >= MANY_RANKINGS
    epochs, batch = (4, 4) if few else (1, 32) if many else (2, 8)
    near = _("Few rankings: stay close to the base.") if few else _("Enough rankings to move further.")
    often = _("So that each of %(count)s rankings is seen often enough, and not learnt by heart.")
    size = (
        _("Several hundred steps teach more than a few large ones.")
        if few
        else _("Larger steps are steadier where there is enough data.")
    )
    found = [
        Suggestion("beta", 0.3 if few else 0.1, near),
        Suggestion("epochs", epochs, often % {"count": data.informative}),
        Suggestion("batch_size", batch, size),
        Suggestion("sft_weight", 0.5, _("Keeps the best responses from becoming less likely.")),
    ]
    if data.held_out:
        steps = -(-data.informative // batch) * epochs
        looks = _("Five looks on the way show where it begins to learn by heart.")
        found.append(Suggestion("eval_every_steps", max(1, steps // LOOKS), looks))
    return found


def _suggested_objective(data: DataFacts) -> list[Suggestion]:
    """The objective, with its options where they matter: what measured best in docs/benchmarks.md."""
    listwise = any(k > 2 for k, _count in data.by_k)
    if data.agreement is not None and data.agreement < POOR_AGREEMENT:
        slips = slips_at(data.agreement)
        reason = _("Voters agree on %(share)s of what several judged: every pair, with soft labels.")
        reckoned = _(
            "As if %(slips)s of the votes were slips. In our benchmark, with a fifth of them turned round, "
            "this ended highest on average."
        )
        return [
            Suggestion("objective", "dpo", reason % {"share": f"{data.agreement:.0%}"}),
            Suggestion("objective_options", {"label_smoothing": slips}, reckoned % {"slips": f"{slips:.0%}"}),
        ]
    if not listwise and data.tie_share > MANY_TIES:
        reason = _("%(share)s of the votes have ties: they are learnt from too.")
        return [Suggestion("objective", "davidson", reason % {"share": f"{data.tie_share:.0%}"})]
    if listwise:
        reason = _("Rankings of three and more are read whole, and ties stay ties.")
        return [Suggestion("objective", "adpo-list", reason)]
    return [Suggestion("objective", "dpo", _("The votes are pairs."))]


def slips_at(agreement: float) -> float:
    """The share e of votes that are slips, where two voters agree so often and all mean the same:
    agreement = (1 - e)^2 + e^2.
    """
    return min(MOST_SLIPS, round((1 - sqrt(max(0.0, 2 * agreement - 1))) / 2, 2))
