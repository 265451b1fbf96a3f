"""The gradient of a step, however it is taken: at once, one response at a time, on two processes."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from gpu_workers.kwise.config import TrainingConfig
from gpu_workers.kwise.encoding import EncodedRanking
from gpu_workers.kwise.head import Predictions, divergences, log_probabilities
from gpu_workers.kwise.models import Base
from gpu_workers.kwise.objectives import OBJECTIVES
from gpu_workers.kwise.policy import Policy
from gpu_workers.kwise.reference import ReferenceCache, fill
from gpu_workers.kwise.scoring import PATHS, packed_log_probabilities, plain_log_probabilities
from gpu_workers.kwise.state import restore, snapshot
from tests.gpu_workers import kwise_world as world
from tests.gpu_workers.test_kwise_scoring import make_rankings

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def make_policy(folder: Path, objective: str = "dpo", **settings: Any) -> Policy:
    """A policy a little away from its reference, on a tiny decoder in double precision."""
    model = world.make_model().double()
    base = Base(model, None, "0" * 64, folder, torch.device("cpu"), torch.float32, torch.float32)
    found = OBJECTIVES[objective]
    cache = ReferenceCache(folder, base_sha256="0" * 64, kind=objective, by_token=found.level != "responses")
    fill(
        cache,
        model,
        rankings(),
        packed_log_probabilities,
        precision=base.precision,
        stop=lambda: False,
        note=lambda done, total: None,
    )
    config = TrainingConfig(data="", base="", output="", **settings)
    policy = Policy(base, config, found, cache, packed_log_probabilities, config.micro_batch)
    noise = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=noise, dtype=torch.float64)
    return policy


def rankings() -> list[EncodedRanking]:
    return make_rankings(4)


def gradient(policy: Policy) -> tuple[float, dict[str, torch.Tensor]]:
    policy.optimiser.clear()
    loss, _, _ = policy._gradient(rankings(), 1.0)
    return loss, {name: p.grad.clone() for name, p in policy.trained().items() if p.grad is not None}


def check_alike(
    one: tuple[float, dict[str, torch.Tensor]], other: tuple[float, dict[str, torch.Tensor]]
) -> None:
    assert one[0] == pytest.approx(other[0], abs=1e-6)
    assert one[1].keys() == other[1].keys()
    for name, values in one[1].items():
        assert torch.allclose(values, other[1][name], rtol=1e-4, atol=1e-6), name
    assert max(values.abs().max() for values in one[1].values()) > 1e-3


# Of each kind: whole responses, batch-wide, tokens, distributions.
@pytest.mark.parametrize("objective", ["plackett-luce", "aot", "kto", "ld-dpo", "tdpo2", "sparsepo"])
def test_one_response_at_a_time_gives_the_same_gradient(tmp_path, objective):
    whole = gradient(make_policy(tmp_path / "whole", objective))

    single = gradient(make_policy(tmp_path / "single", objective, gradient_cache=True))

    check_alike(whole, single)


def test_one_response_at_a_time_never_holds_two(tmp_path, monkeypatch):
    policy = make_policy(tmp_path, gradient_cache=True)
    scored = policy.outputs
    seen: list[int] = []

    def counted(several, k):
        seen.extend(len(ranking.responses) for ranking in several)
        return scored(several, k)

    monkeypatch.setattr(policy, "outputs", counted)
    policy._gradient(rankings(), 1.0)

    assert set(seen) == {1}
    assert len(seen) == 2 * sum(len(ranking.responses) for ranking in rankings())  # without and with a graph


@pytest.mark.parametrize("objective", ["dr-dpo", "aot", "aot-unpaired", "kto", "bco"])
def test_an_objective_of_the_whole_step_does_not_see_how_the_step_is_cut(tmp_path, objective):
    whole = gradient(make_policy(tmp_path / "whole", objective))

    parts = gradient(make_policy(tmp_path / "parts", objective, micro_batch=1))

    check_alike(whole, parts)


def test_dropout_falls_the_same_way_in_both_passes_of_the_cache(tmp_path):
    torch.manual_seed(3)
    policy = make_policy(tmp_path, gradient_cache=True)
    for layer in policy.base.model.model.layers:
        layer.mlp.act_fn = torch.nn.Sequential(torch.nn.SiLU(), torch.nn.Dropout(0.5))
    policy.base.model.train()
    said: list[torch.Tensor] = []
    scored = policy.outputs

    def kept(several, k):
        found = scored(several, k)
        said.append(found["policy"].detach())
        return found

    policy.outputs = kept  # type: ignore[method-assign]
    policy._gradient(rankings(), 1.0)

    first, second = said[: len(said) // 2], said[len(said) // 2 :]
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    assert not torch.equal(scored(rankings(), 4)["policy"], scored(rankings(), 4)["policy"])  # it does fall


@pytest.mark.parametrize("pieces", [False, True])
def test_the_head_gives_autograds_own_numbers(monkeypatch, pieces):
    if pieces:
        monkeypatch.setattr("gpu_workers.kwise.head.HEAD_NUMBERS", 3 * 7)
    torch.manual_seed(0)
    head = torch.nn.Linear(5, 7).double()
    states = torch.randn(11, 5, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(0, 7, (11,))
    slope = torch.randn(11, dtype=torch.float64)
    logits = head(states)
    truth = logits.log_softmax(dim=1).gather(1, targets[:, None])[:, 0]
    expected = torch.autograd.grad(truth, [states, head.weight, head.bias], slope)

    found = log_probabilities(Predictions(states, targets, head))

    assert torch.allclose(found, truth, atol=1e-12)
    own = torch.autograd.grad(found, [states, head.weight, head.bias], slope)
    assert all(torch.allclose(one, other, atol=1e-12) for one, other in zip(own, expected, strict=True))


def test_the_divergence_of_two_distributions_is_the_published_sum():
    torch.manual_seed(0)
    logits, others = torch.randn(4, 6, dtype=torch.float64), torch.randn(4, 6, dtype=torch.float64)
    targets = torch.zeros(4, dtype=torch.long)

    found = divergences(Predictions(logits, targets, None), Predictions(others, targets, None))

    truth = F.kl_div(logits.log_softmax(1), others.log_softmax(1), log_target=True, reduction="none").sum(1)
    assert torch.allclose(found, truth, atol=1e-12)
    assert (found > 0.01).all()


def test_responses_to_prompts_of_their_own_are_scored_as_separate_sequences():
    model = world.make_model().double()
    apart = EncodedRanking("v", (), ((5, 6, 1), (7, 1)), (1, 2), openings=((2, 3), (4, 8, 9)))
    separate = [
        EncodedRanking("a", (2, 3), ((5, 6, 1),), (1,)),
        EncodedRanking("b", (4, 8, 9), ((7, 1),), (1,)),
    ]

    together = packed_log_probabilities(model, [apart], 2)[0]

    truth = torch.stack([plain_log_probabilities(model, [one], 1)[0, 0] for one in separate])
    assert torch.allclose(together, truth, atol=1e-9)
    assert torch.allclose(PATHS["plain"](model, [apart], 2)[0], truth, atol=1e-9)
    assert apart.response_key(0) == separate[0].response_key(0)


def test_tokens_count_what_they_are_told_to():
    model = world.make_model().double()
    plain = EncodedRanking("v", (2, 3), ((5, 6, 1), (7, 1)), (1, 2))
    weighed = EncodedRanking(
        "v", (2, 3), ((5, 6, 1), (7, 1)), (1, 2), token_weights=((1.0, 0.1, 0.0), (1.0, 1.0))
    )

    tokens = packed_log_probabilities.tokens(model, [plain], 2)[0]
    found = packed_log_probabilities(model, [weighed], 2)[0]

    assert found[0].item() == pytest.approx((tokens[0, 0] + 0.1 * tokens[0, 1]).item())
    assert found[1].item() == pytest.approx(tokens[1].sum().item())
    assert weighed.lengths == [1.1, 2.0]
    assert weighed.response_key(0) != plain.response_key(0)


def test_a_checkpoint_of_an_earlier_version_keeps_what_the_optimiser_remembers(tmp_path):
    policy = make_policy(tmp_path / "one")
    policy.step(rankings(), 1e-3)
    kept = snapshot(policy, 1)
    remembered = kept.state["optimiser"]
    by_number = {number: remembered[name] for number, name in enumerate(policy.trained())}
    earlier = {**kept.state, "optimiser": {"state": by_number, "param_groups": [{}]}}
    other = make_policy(tmp_path / "other")

    restore(other, replace(kept, state=earlier))

    found = other.optimiser.remembered(keep=True)
    assert found.keys() == remembered.keys()
    for name, known in remembered.items():
        for key, value in known.items():
            assert torch.equal(found[name][key], value), (name, key)
    assert max(known["exp_avg"].abs().max() for known in found.values()) > 0


# Port 0: any that is free. The rest is said so that accelerate need not guess it aloud.
TWO_PROCESSES = ("--multi_gpu", "--num_processes=2", "--num_machines=1", "--main_process_port=0")
TWO_PROCESSES += ("--mixed_precision=no", "--dynamo_backend=no")


def test_two_processes_take_the_same_steps_as_one(tmp_path):
    """Started by `accelerate launch`, on CPUs through gloo.

    Nine rankings in steps of five, and one chunk for the reference: the shares are uneven everywhere.
    """
    world.write_base(tmp_path / "base")
    world.write_data_set(tmp_path / "data", world.rankings_by_shortness(9), world.rankings_by_shortness(3))
    said = {}
    for name, launch in (
        ("one", [sys.executable]),
        ("two", [sys.executable, "-m", "accelerate.commands.launch", *TWO_PROCESSES]),
    ):
        settings = {
            "base": str(tmp_path / "base"),
            "data": str(tmp_path / "data"),
            "output": str(tmp_path / name),
            "objective": "kto",  # its loss looks at the whole step
            "online_kl": 0.1,  # and each text is written by its place in the step
            "learning_rate": 3e-3,
            "batch_size": 5,
            "kl_prompts": 0,
            "epochs": 2,
            "threads": 1,
        }
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps(settings))
        done = subprocess.run(
            [*launch, "-m", "gpu_workers.train", str(file)],
            capture_output=True,
            text=True,
            cwd=REPOSITORY,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        said[name] = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    started = {name: next(one for one in lines if one["event"] == "started") for name, lines in said.items()}
    assert [started[name]["processes"] for name in ("one", "two")] == [1, 2]
    steps = {name: [one for one in lines if one["event"] == "step"] for name, lines in said.items()}
    assert len(steps["one"]) == len(steps["two"]) == 4  # only the first process speaks
    for one, two in zip(steps["one"], steps["two"], strict=True):
        assert two["loss"] == pytest.approx(one["loss"], abs=2e-5)
        assert two["grad_norm"] == pytest.approx(one["grad_norm"], rel=1e-3)
        assert two["accuracy"] == pytest.approx(one["accuracy"])
        assert two["online_kl"] == pytest.approx(one["online_kl"], abs=1e-4)
    assert (tmp_path / "two" / "model" / "manifest.json").is_file()
    weights = [load_file(tmp_path / name / "model" / "model.safetensors") for name in ("one", "two")]
    for key, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][key], tensor, atol=1e-5, rtol=1e-4)
