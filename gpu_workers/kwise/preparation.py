"""From the settings of a run to rankings in tokens: what is read, merged, weighed and left out."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from gpu_workers.kwise.config import TrainingConfig
from gpu_workers.kwise.data import Ranking, RankingData, read_rankings
from gpu_workers.kwise.encoding import EncodedRanking, encode_rankings
from gpu_workers.kwise.errors import TrainingError
from gpu_workers.kwise.merging import merge_votes, weigh_criteria
from gpu_workers.kwise.models import Base
from gpu_workers.kwise.objectives import Objective, find_objective
from gpu_workers.kwise.reward_model import RewardModel
from gpu_workers.kwise.weighing import weigh


@dataclass(frozen=True)
class Splits:
    """The rankings of a run, ready for the model."""

    train: list[EncodedRanking]
    held_out: list[EncodedRanking]


def objective_of(config: TrainingConfig) -> Objective:
    """The objective, checked against the other settings. Raises TrainingError."""
    objective = find_objective(config.objective, config.objective_options)
    if objective.needs_rewards and not config.reward_model:
        raise TrainingError(
            f"The objective {objective.name} needs explicit rewards. "
            "Set reward_model to the folder of a reward model."
        )
    if objective.head and config.online_kl:
        raise TrainingError(
            f"The objective {objective.name} trains a reward model, which writes nothing. Set online_kl to 0."
        )
    if config.credit != "whole" and objective.level != "responses":
        raise TrainingError(f"The objective {objective.name} looks at all tokens; set credit to whole.")
    if config.curriculum != "none" and objective.family not in ("pairwise", "absolute", "tokens"):
        raise TrainingError(
            f"A curriculum goes by pairs, and {objective.name} reads whole rankings. "
            "Choose a pairwise objective, or set curriculum to none."
        )
    return objective


def read_data(config: TrainingConfig, objective: Objective) -> RankingData:
    """The data set's rankings, with criteria, merged votes and weights as the settings say."""
    data = read_rankings(
        Path(config.data), uses_ties=objective.uses_ties, uses_all_bad=objective.uses_all_bad
    )
    data.report.agreement = agreement(data.train)
    train, held_out = (_prepared(config, rankings, data) for rankings in (data.train, data.held_out))
    if config.reward_model:
        train, held_out = _with_rewards(config, train), _with_rewards(config, held_out)
    return replace(data, train=train, held_out=held_out)


def _with_rewards(config: TrainingConfig, rankings: list[Ranking]) -> list[Ranking]:
    """The rankings with what the reward model gives each response."""
    judge = RewardModel.open(Path(config.reward_model or ""), config)
    rewards = judge.score(rankings, config.system_prompt)
    return [replace(one, rewards=row) for one, row in zip(rankings, rewards, strict=True)]


def _prepared(config: TrainingConfig, rankings: list[Ranking], data: RankingData) -> list[Ranking]:
    if config.criteria and rankings:
        rankings = weigh_criteria(rankings, config.criteria)
    if config.vote_weights:
        rankings = weigh(rankings, config.vote_weights)
    if config.merge_votes:
        before = len(rankings)
        rankings = merge_votes(rankings)
        data.report.merged += before - len(rankings)
    return rankings


def agreement(rankings: Sequence[Ranking]) -> float | None:
    """Share of agreeing opinions among all pairs of voters who ordered the same two responses; None where
    nobody did.
    """
    said: dict[tuple[str, str, str], list[bool]] = defaultdict(list)
    for ranking in rankings:
        places = [10**6 if rank is None else rank for rank in ranking.ranks]
        for i, j in combinations(range(len(places)), 2):
            one, other = sorted((ranking.texts[i], ranking.texts[j]))
            if places[i] != places[j] and one != other:
                first = i if ranking.texts[i] == one else j
                said[(ranking.prompt_id, one, other)].append(places[first] < places[i + j - first])
    alike = pairs = 0
    for opinions in said.values():
        for one_said, other_said in combinations(opinions, 2):
            alike += one_said == other_said
            pairs += 1
    return round(alike / pairs, 4) if pairs else None


def encode(base: Base, config: TrainingConfig, data: RankingData, objective: Objective) -> Splits:
    """The rankings in tokens of the base. Raises TrainingError where none fits."""
    longest = min(base.context, config.max_length or base.context)
    train, held_out = (
        encode_rankings(
            base.tokenizer,
            rankings,
            longest=longest,
            system_prompt=config.system_prompt,
            report=data.report,
            uses_ties=objective.uses_ties,
            uses_all_bad=objective.uses_all_bad,
            credit=config.credit,
        )
        for rankings in (data.train, data.held_out)
    )
    if not train:
        raise TrainingError(
            f"None of the {len(data.train)} rankings fits into {longest} tokens. "
            "Use a base with a longer context."
        )
    return Splits(train, held_out)
