"""Before anything is spent: what the data set holds, what a run would take, and settings to begin with."""

import json
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, sqrt
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from arena.models import Contestant, DataSet, TrainingRun
from arena.services.data_sets import data_set_folder

MOST_ROWS = 20_000  # read for the report
MOST_HEAD = 2**27  # bytes of a safetensors head
CHARACTERS_PER_TOKEN = 3.5  # of English under the usual vocabularies; only an estimate is wanted
FEW_RANKINGS, MANY_RANKINGS = 500, 3_000
LARGE_MODEL = 1_000_000_000  # parameters: from here an adapter is trained
POOR_AGREEMENT = 0.7
MOST_SLIPS = 0.4  # share of votes reckoned to be wrong; half of them would say nothing
MANY_TIES = 0.3
ADAPTER_SHARE = 0.01  # of the parameters, at rank 16
Agreement = float | None


@dataclass(frozen=True)
class DataFacts:
    """What the train split holds. agreement: share of pairs of voters who agree on the same two responses."""

    votes: int
    informative: int
    held_out: int
    with_ties: int
    all_tied: int
    all_bad: int
    voters: int
    prompts: int
    agreement: Agreement
    by_k: tuple[tuple[int, int], ...]
    response_tokens: float
    longest_tokens: float

    @property
    def tie_share(self) -> float:
        return self.with_ties / self.informative if self.informative else 0.0


@dataclass(frozen=True)
class ModelFacts:
    parameters: int
    layers: int
    hidden: int
    vocabulary: int
    context: int


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


@dataclass(frozen=True)
class Plan:
    """What a run would be. memory in bytes; seconds None where nothing like it has run here yet."""

    data: DataFacts
    model: ModelFacts
    steps: int
    memory: int
    seconds: float | None
    suggestions: tuple[Suggestion, ...]
    cautions: tuple[str, ...]

    @property
    def suggested(self) -> dict[str, Any]:
        return {suggestion.name: suggestion.value for suggestion in self.suggestions}


def plan_training(*, base: Contestant, data_set: DataSet, parameters: Mapping[str, Any]) -> Plan:
    """The plan of a run with these settings; what is not set is taken from the suggestions."""
    data, model = read_data_facts(data_set), read_model_facts(Path(base.checkpoint))
    suggestions = suggest(data, model)
    settings = {**{one.name: one.value for one in suggestions}, **parameters}
    batch, epochs = int(settings.get("batch_size", 8)), int(settings.get("epochs", 2))
    return Plan(
        data=data,
        model=model,
        steps=-(-data.informative // batch) * epochs,
        memory=memory_of(model, settings),
        seconds=_seconds(base, data, model, epochs),
        suggestions=suggestions,
        cautions=_cautions(data, model),
    )


def suggested_settings(*, base: Contestant, data_set: DataSet) -> dict[str, Any]:
    """The objective and the settings to begin with, by name."""
    data, model = read_data_facts(data_set), read_model_facts(Path(base.checkpoint))
    return {one.name: one.value for one in suggest(data, model)}


def read_data_facts(data_set: DataSet) -> DataFacts:
    """What the K-wise files of a data set hold, from at most the first twenty thousand votes."""
    folder = data_set_folder(data_set) / "kwise"
    rows: list[dict[str, Any]] = []
    for file in sorted(folder.glob("train-*.parquet")):
        columns = ["prompt_id", "ranks", "kind", "voter", "responses"]
        rows += pq.read_table(file, columns=columns).slice(0, MOST_ROWS - len(rows)).to_pylist()
    ordered = [row for row in rows if row["ranks"] is not None and len(set(row["ranks"])) > 1]
    lengths = [len(one["text"]) / CHARACTERS_PER_TOKEN for row in ordered for one in row["responses"]]
    return DataFacts(
        votes=data_set.manifest["splits"]["train"].get("votes", len(rows)),
        informative=data_set.manifest["splits"]["train"]["informative"],
        held_out=data_set.manifest["splits"]["held_out"]["informative"],
        with_ties=sum(_has_ties(row["ranks"]) for row in ordered),
        all_tied=sum(row["ranks"] is not None and len(set(row["ranks"])) < 2 for row in rows),
        all_bad=sum(row["kind"] == "all_bad" for row in rows),
        voters=len({row["voter"] for row in rows}),
        prompts=len({row["prompt_id"] for row in rows}),
        agreement=_agreement(ordered),
        by_k=tuple(sorted(Counter(len(row["responses"]) for row in ordered).items())),
        response_tokens=sum(lengths) / len(lengths) if lengths else 0.0,
        longest_tokens=max(lengths, default=0.0),
    )


def _has_ties(ranks: Sequence[int | None]) -> bool:
    ranked = [rank for rank in ranks if rank is not None]
    return len(set(ranked)) < len(ranked)


def _agreement(rows: Sequence[Mapping[str, Any]]) -> Agreement:
    """Of all pairs of votes that order the same two responses, the share that order them alike."""
    first: Counter[tuple[str, str]] = Counter()
    both: Counter[tuple[str, str]] = Counter()
    for row in rows:
        places = [10**6 if rank is None else rank for rank in row["ranks"]]
        names = [one["id"] for one in row["responses"]]
        for i, one in enumerate(names):
            for j, other in enumerate(names):
                if one < other and places[i] != places[j]:
                    both[(one, other)] += 1
                    first[(one, other)] += places[i] < places[j]
    alike = pairs = 0
    for key, count in both.items():
        up = first[key]
        alike += (up * (up - 1) + (count - up) * (count - up - 1)) // 2
        pairs += count * (count - 1) // 2
    return round(alike / pairs, 3) if pairs else None


def read_model_facts(folder: Path) -> ModelFacts:
    """The size of a checkpoint from its settings and the heads of its files; zeros where unknown."""
    file = folder / "config.json"
    told = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    told = {**told, **(told.get("text_config") or {})}

    def number(*names: str) -> int:
        return next((int(told[name]) for name in names if isinstance(told.get(name), int)), 0)

    return ModelFacts(
        parameters=sum(_count(part) for part in folder.glob("*.safetensors")),
        layers=number("num_hidden_layers", "n_layer"),
        hidden=number("hidden_size", "n_embd"),
        vocabulary=number("vocab_size"),
        context=number("max_position_embeddings", "n_positions"),
    )


def _count(file: Path) -> int:
    """The numbers in one safetensors file: its head is eight bytes of length and then JSON."""
    try:
        with file.open("rb") as handle:
            (length,) = struct.unpack("<Q", handle.read(8))
            head = json.loads(handle.read(min(length, MOST_HEAD)))
    except (struct.error, ValueError):
        return 0  # the trainer will say what is wrong with it
    total = 0
    for name, tensor in head.items():
        if name != "__metadata__":
            size = 1
            for side in tensor["shape"]:
                size *= side
            total += size
    return total


def memory_of(model: ModelFacts, settings: Mapping[str, Any]) -> int:
    """About how many bytes a run holds at its peak: weights, gradients, optimiser, activations.

    Full training keeps weights, gradients and two moments in 32 bits (16 bytes per parameter); an adapter
    keeps the base in 16 bits, or in four for QLoRA. Activations: some forty numbers per token, layer
    and hidden unit, ten times fewer with checkpointing; logits of one piece.
    """
    method = settings.get("method", "full")
    adapter = model.parameters * ADAPTER_SHARE * 16
    weights = {
        "full": 16.0 * model.parameters,
        "lora": 2.0 * model.parameters + adapter,
        "qlora": 0.6 * model.parameters + adapter,
    }[method]
    tokens = min(int(settings.get("micro_batch_tokens", 8192)), 8192)
    per_token = 40 * model.layers * model.hidden * (0.1 if settings.get("gradient_checkpointing") else 1)
    width = 4 if method == "full" else 2
    logits = min(2**25, tokens * model.vocabulary) * 8
    return int(weights + tokens * per_token * width + logits)


def suggest(data: DataFacts, model: ModelFacts) -> tuple[Suggestion, ...]:
    """Settings to begin with, each with its reason."""
    few, many = data.informative < FEW_RANKINGS, data.informative >= MANY_RANKINGS
    large = model.parameters >= LARGE_MODEL
    found = _suggested_objective(data)
    if large:
        found.append(
            Suggestion("method", "lora", _("The base is large: an adapter takes an eighth of the memory."))
        )
    rate = 4e-4 * (1e6 / max(model.parameters, 1e6)) ** 0.5 * (10 if large else 1)
    found += [
        Suggestion(
            "learning_rate",
            float(f"{max(rate, 1e-6):.1g}"),
            _("Falls with the root of the base's %(millions)s million parameters.")
            % {"millions": f"{model.parameters / 1e6:.3g}"},
        ),
        Suggestion(
            "beta",
            0.3 if few else 0.1,
            _("Few rankings: stay close to the base.") if few else _("Enough rankings to move further."),
        ),
        Suggestion(
            "epochs",
            4 if few else 1 if many else 2,
            _("So that each of %(count)s rankings is seen often enough, and not learnt by heart.")
            % {"count": data.informative},
        ),
        Suggestion(
            "batch_size",
            4 if few else 32 if many else 8,
            _("Several hundred steps teach more than a few large ones.")
            if few
            else _("Larger steps are steadier where there is enough data."),
        ),
        Suggestion("sft_weight", 0.5, _("Keeps the best responses from becoming less likely.")),
    ]
    return tuple(found)


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


def _seconds(base: Contestant, data: DataFacts, model: ModelFacts, epochs: int) -> float | None:
    """From the speed of the newest run in this installation whose base is of known size: time goes with
    tokens times parameters.
    """
    newest = TrainingRun.objects.exclude(completed_at=None).select_related("base").order_by("-pk")[:20]
    for run in newest:
        speed = run.summary.get("tokens_per_second")
        other = read_model_facts(Path(run.base.checkpoint)).parameters
        if isinstance(speed, int | float) and isfinite(speed) and speed > 0 and other and model.parameters:
            k = sum(k * count for k, count in data.by_k) / max(1, sum(count for _k, count in data.by_k))
            tokens = data.informative * (k + 1) * data.response_tokens * epochs
            return float(tokens / speed * model.parameters / other)
    return None
