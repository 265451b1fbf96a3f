"""Every objective that TRL 1.16 has too, against TRL's own code: the same log-probabilities, the same loss.

TRL's losses live in methods of its trainers. They are called on a stand-in that has what the method reads,
with a model that returns given log-probabilities; no weights are involved. Loss and gradient must agree, for
K = 2 and for the six pairs of K = 4.
"""

import os
import warnings
from collections import defaultdict
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from gpu_workers.kwise.objectives import OBJECTIVES, Scores, TokenScores
from gpu_workers.kwise.votes import vote_batch

os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from trl.experimental.cpo.cpo_trainer import CPOTrainer
    from trl.experimental.orpo.orpo_trainer import ORPOTrainer
    from trl.trainer.dpo_trainer import DPOTrainer
    from trl.trainer.kto_trainer import KTOTrainer
    from trl.trainer.reward_trainer import RewardTrainer

BETA, PROMPT = 0.3, 2
ACCELERATOR = SimpleNamespace(
    device=torch.device("cpu"), gather_for_metrics=lambda values: values, gather=lambda values: values
)


class World:
    """Rankings of K with the first response best and so on, with log-probabilities of every token."""

    def __init__(self, k: int, batch: int = 3, dtype: torch.dtype = torch.float64) -> None:
        generator = torch.Generator().manual_seed(k)
        self.lengths = torch.randint(2, 7, (batch, k), generator=generator)
        self.within = torch.arange(6) < self.lengths[:, :, None]
        policy, reference = (
            -3 * torch.rand(batch, k, 6, generator=generator, dtype=dtype) * self.within for _ in "pr"
        )
        self.policy, self.reference = policy.requires_grad_(), reference
        self.pairs = [(b, i, j) for b in range(batch) for i, j in combinations(range(k), 2)]
        self.votes = vote_batch([list(range(1, k + 1))] * batch)

    def scores(self) -> Scores:
        tokens = TokenScores(self.policy, self.reference)
        return Scores(self.policy.sum(dim=2), self.reference.sum(dim=2), self.lengths, tokens)

    def chosen_then_rejected(self, values: Tensor) -> Tensor:
        """(2 pairs, ...) as TRL's collator stacks them."""
        better = torch.stack([values[b, i] for b, i, _ in self.pairs])
        worse = torch.stack([values[b, j] for b, _, j in self.pairs])
        return torch.cat([better, worse])


def outputs(log_probs: Tensor) -> SimpleNamespace:
    nothing = torch.zeros_like(log_probs)
    return SimpleNamespace(log_probs=log_probs, entropy=nothing, mean_logits=nothing, is_top1=nothing > 1)


def theirs(world: World, loss_type: list[str], **settings: Any) -> Tensor:
    """The loss of TRL's DPOTrainer on all pairs of the rankings."""
    own, before = (world.chosen_then_rejected(values) for values in (world.policy, world.reference))
    mask = world.chosen_then_rejected(world.within.long())
    prompts = torch.zeros(len(mask), PROMPT, dtype=torch.long)
    padding = torch.zeros(len(mask), PROMPT - 1, dtype=own.dtype)
    ref_chosen, ref_rejected = before.sum(dim=1).chunk(2)
    inputs = {
        "input_ids": torch.ones(len(mask), PROMPT + 6, dtype=torch.long),
        "attention_mask": torch.ones(len(mask), PROMPT + 6),
        "completion_mask": torch.cat([prompts, mask], dim=1),
        "ref_chosen_logps": ref_chosen,
        "ref_rejected_logps": ref_rejected,
    }
    references = outputs(torch.cat([padding, before], dim=1))
    model = Given(torch.cat([padding, own], dim=1))
    given: dict[str, Any] = {
        "model": model,
        "accelerator": ACCELERATOR,
        "args": SimpleNamespace(discopop_tau=0.05, gradient_checkpointing_kwargs=None),
        "aux_loss_enabled": False,
        "ld_alpha": None,
        "precompute_ref_logps": True,
        "ref_model": lambda **inputs: references,
        "f_divergence_type": "reverse_kl",
        "f_alpha_divergence_coef": 0.5,
        "beta": BETA,
        "label_smoothing": 0.0,
        "loss_types": loss_type,
        "loss_weights": [1.0] * len(loss_type),
        "use_weighting": False,
        "_metrics": defaultdict(lambda: defaultdict(list)),
        "_total_train_tokens": 0,
        "_tp_size": 1,
    }
    trainer = SimpleNamespace(**{**given, **settings})
    return DPOTrainer._compute_loss(trainer, model, inputs, False)


class Given(torch.nn.Module):
    """A model that has its answer already."""

    is_gradient_checkpointing = False

    def __init__(self, log_probs: Tensor) -> None:
        super().__init__()
        self.answer = outputs(log_probs)

    def forward(self, **inputs: Any) -> SimpleNamespace:
        return self.answer


def check_equal(world: World, mine: Tensor, peer: Tensor) -> None:
    (own,) = torch.autograd.grad(mine, world.policy, retain_graph=True)
    (other,) = torch.autograd.grad(peer, world.policy, retain_graph=True)
    own, other = own * world.within, other * world.within
    assert mine.item() == pytest.approx(peer.item(), abs=1e-5)
    assert (own - other).norm() / other.norm() < 1e-4
    assert other.norm() > 1e-3


SMOOTH = {"label_smoothing": 0.2}
CASES: list[tuple[str, dict[str, float], list[str], dict[str, Any]]] = [
    ("dpo", {}, ["sigmoid"], {}),
    ("robust-dpo", SMOOTH, ["robust"], SMOOTH),
    ("hinge", {}, ["hinge"], {}),
    ("ipo", {}, ["ipo"], {}),
    ("nca-pair", {}, ["nca_pair"], {}),
    ("bco-pair", {}, ["bco_pair"], {}),
    ("apo-zero", {}, ["apo_zero"], {}),
    ("apo-down", {}, ["apo_down"], {}),
    ("discopop", {}, ["discopop"], {}),
    ("dpo-norm", {}, ["sigmoid_norm"], {}),
    ("aot", SMOOTH, ["aot"], SMOOTH),
    ("aot-unpaired", SMOOTH, ["aot_unpaired"], SMOOTH),
    ("ld-dpo", {"alpha": 0.4}, ["sigmoid"], {"ld_alpha": 0.4, "precompute_ref_logps": False}),
    ("f-dpo-forward-kl", {}, ["sigmoid"], {"f_divergence_type": "forward_kl"}),
    ("f-dpo-js", {}, ["sigmoid"], {"f_divergence_type": "js_divergence"}),
    (
        "f-dpo-alpha",
        {"alpha": 0.3},  # at .5 it is its own counterpart
        ["sigmoid"],
        {"f_divergence_type": "alpha_divergence", "f_alpha_divergence_coef": 0.3},
    ),
]
# What TRL writes for two responses only; the listwise form of ours is the published one for K.
PAIRS_ONLY: list[tuple[str, dict[str, float], list[str], dict[str, Any]]] = [
    ("plackett-luce", {}, ["sigmoid"], {}),
    ("nca", {}, ["nca_pair"], {}),
    ("sppo", {}, ["sppo_hard"], {}),
    ("exo", {"tau": 1 / 1.3862943611198906}, ["exo_pair"], SMOOTH),  # log(.8 / .2)
]


@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize(("name", "options", "loss_type", "settings"), CASES, ids=[case[0] for case in CASES])
def test_the_loss_and_its_gradient_are_trls(k, name, options, loss_type, settings):
    # TRL's clamp of this one knows no float64.
    world = World(k, dtype=torch.float32 if name == "f-dpo-alpha" else torch.float64)

    mine = OBJECTIVES[name](world.scores(), world.votes, beta=BETA, **options).mean()

    check_equal(world, mine, theirs(world, loss_type, **settings))


@pytest.mark.parametrize(
    ("name", "options", "loss_type", "settings"), PAIRS_ONLY, ids=[case[0] for case in PAIRS_ONLY]
)
def test_for_two_responses_the_listwise_loss_is_trls(name, options, loss_type, settings):
    world = World(2)

    mine = OBJECTIVES[name](world.scores(), world.votes, beta=BETA, **options).mean()

    check_equal(world, mine, theirs(world, loss_type, **settings))


def test_rpo_is_trls_sum_of_sigmoid_and_sft_for_winners_of_one_length():
    world = World(2, batch=1)

    mine = OBJECTIVES["rpo"](world.scores(), world.votes, beta=BETA, alpha=0.7).mean()

    # TRL's sft is the mean over all tokens of the batch: the same for one pair.
    check_equal(world, mine, theirs(world, ["sigmoid", "sft"], loss_weights=[1.0, 0.7]))


def test_cpo_simpo_and_orpo_are_trls():
    world = World(2)
    scores, sums = world.scores(), world.chosen_then_rejected(world.policy).sum(dim=1)
    means = sums / world.chosen_then_rejected(world.lengths)
    settings = {"alpha": 0.0, "beta": BETA, "label_smoothing": 0.0, "accelerator": ACCELERATOR}
    cpo = SimpleNamespace(**settings, loss_type="sigmoid")
    simpo = SimpleNamespace(**settings, loss_type="simpo", simpo_gamma=0.5)
    nll = -means.chunk(2)[0].mean()

    def ours(name: str, **options: float) -> Tensor:
        return OBJECTIVES[name](scores, world.votes, beta=BETA, **options).mean()

    check_equal(world, ours("cpo", alpha=0.0), CPOTrainer.cpo_loss(cpo, *sums.chunk(2))[0].mean())
    check_equal(world, ours("simpo", gamma=0.5), CPOTrainer.cpo_loss(simpo, *means.chunk(2))[0].mean())
    ratio = ORPOTrainer.odds_ratio_loss(SimpleNamespace(**settings), *means.chunk(2))[0].mean()
    check_equal(world, ours("orpo"), nll - ratio)


def test_kto_is_trls_with_the_same_estimate_of_the_divergence():
    world = World(2)
    scores = world.scores()
    anchor = scores.log_ratios.detach().mean()
    assert anchor > 0.01  # or the clamp at zero would hide it
    rows, references = world.chosen_then_rejected(world.policy), world.chosen_then_rejected(world.reference)
    batch = {
        "label": torch.tensor([True] * 3 + [False] * 3),
        "input_ids": torch.ones(6, 7, dtype=torch.long),
        "attention_mask": torch.ones(6, 7),
        "completion_mask": torch.cat(
            [torch.zeros(6, 1, dtype=torch.long), world.chosen_then_rejected(world.within.long())], dim=1
        ),
        "ref_logps": references.sum(dim=1),
        "ref_KL_logps": torch.zeros(1, dtype=torch.float64),
    }
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=True),
        accelerator=ACCELERATOR,
        aux_loss_enabled=False,
        precompute_ref_logps=True,
        calculate_KL=True,
        loss_type="kto",
        beta=BETA,
        desirable_weight=1.0,
        undesirable_weight=1.0,
        _compute_kl_logps=lambda model, inputs: anchor[None],
        _metrics=defaultdict(lambda: defaultdict(list)),
        _total_train_tokens=0,
        _tp_size=1,
    )

    peer = KTOTrainer._compute_loss(trainer, Given(rows), batch, False)

    check_equal(world, OBJECTIVES["kto"](scores, world.votes, beta=BETA).mean(), peer)


@pytest.mark.parametrize("k", [2, 4])
def test_the_reward_models_loss_is_trls(k):
    world = World(k)
    sums = world.policy.sum(dim=2)  # stand for the head's rewards
    scores = Scores(sums, torch.zeros_like(sums), world.lengths)
    rewards = world.chosen_then_rejected(world.policy).sum(dim=1)
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=True),
        accelerator=ACCELERATOR,
        args=SimpleNamespace(center_rewards_coefficient=None),
        _metrics=defaultdict(lambda: defaultdict(list)),
        _total_train_tokens=0,
        _tp_size=1,
    )
    batch = {"attention_mask": torch.ones(len(rewards), 1)}

    peer = RewardTrainer.compute_loss(
        trainer, lambda **inputs: SimpleNamespace(logits=rewards[:, None]), batch
    )

    mine = OBJECTIVES["reward-bradley-terry"](scores, world.votes, beta=BETA, label_smoothing=0.0).mean()
    check_equal(world, mine, peer)
