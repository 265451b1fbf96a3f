"""The KL to the base on fresh samples as a part of the loss (HyPO)."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from gpu_workers.kwise.config import parse_config
from gpu_workers.kwise.encoding import EncodedRanking
from gpu_workers.kwise.errors import Stopped, TrainingError
from gpu_workers.kwise.models import Base
from gpu_workers.kwise.online_kl import OnlineKl, beside_the_others
from gpu_workers.kwise.scoring import packed_log_probabilities
from gpu_workers.kwise.sharing import ALONE
from gpu_workers.kwise.trainer import train
from tests.gpu_workers import kwise_world as world
from tests.gpu_workers.test_train import Events


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def settings(tmp_path) -> dict[str, Any]:
    world.write_base(tmp_path / "base")
    world.write_data_set(tmp_path / "data", world.rankings_by_shortness(12), world.rankings_by_shortness(6))
    return {
        "base": str(tmp_path / "base"),
        "data": str(tmp_path / "data"),
        "output": str(tmp_path / "out"),
        "batch_size": 4,
        "learning_rate": 3e-3,
        "threads": 1,
        "epochs": 4,
        "online_kl": 0.3,
        "checkpoint_every_steps": 2,
    }


def moved(seed: int) -> Any:
    model = world.make_model()
    drawn = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=drawn)
    return model


def test_the_gradient_is_that_of_the_kl_itself():
    """Of texts of one token the KL is a sum over the vocabulary."""
    policy, reference, prompt = moved(1), world.make_model(), (2, 7, 9, 3)
    asked = torch.tensor([prompt])
    own, before = (model(input_ids=asked).logits[0, -1].log_softmax(-1) for model in (policy, reference))
    exact = (own.exp() * (own - before.detach())).sum()
    exact.backward()
    expected = torch.cat([p.grad.flatten() for p in policy.parameters()])
    policy.zero_grad()
    base = Base(policy, world.make_tokenizer(), "", Path(), torch.device("cpu"), torch.float32, torch.float32)
    under_reference = torch.no_grad()(lambda work: work(reference))
    penalty = OnlineKl(base, packed_log_probabilities, under_reference, ALONE, 2.0, 10**6)
    torch.manual_seed(0)

    ratios = penalty.add(
        [EncodedRanking("", prompt, ((5,), (6,)), (1, 2))] * 4000,
        limit=None,
        send_back=lambda loss: loss.backward(),
    )

    found = torch.cat([p.grad.flatten() for p in policy.parameters()])
    assert exact.item() > 0.1
    assert sum(ratios) / len(ratios) == pytest.approx(exact.item(), rel=0.1)
    # Four thousand samples: their gradient is off by a little, twice the weight by far more.
    assert float((found - 2 * expected).norm() / (2 * expected).norm()) < 0.2


def test_what_the_others_have_is_taken_off_and_one_alone_stays():
    values = torch.tensor([3.0, 1.0])

    assert beside_the_others(values, [3.0, 1.0, 8.0]).tolist() == [3 - 4.5, 1 - 5.5]
    assert beside_the_others(values[:1], [3.0]).tolist() == [3.0]


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_run_stays_nearer_to_its_base_and_says_how_near(settings, method):
    ways = {}
    for weight in (0.0, 0.3):
        events = Events()
        told = {**settings, "method": method, "online_kl": weight, "output": f"{settings['output']}{weight}"}
        ways[weight] = (train(parse_config(told), events), events)

    (free, said_free), (held, said) = ways[0.0], ways[0.3]
    assert held["fresh"]["sequence_kl"] < free["fresh"]["sequence_kl"] - 0.5
    assert "online_kl" not in said_free.of("step")[0]
    first, *_, last = (step["online_kl"] for step in said.of("step"))
    assert first == pytest.approx(0, abs=1e-3)  # the policy is the base yet
    assert last > 0.01
    assert said.of("eval")[-1]["loss"] < said.of("eval")[0]["loss"]  # and it learns


@pytest.mark.parametrize("changes", [{}, {"gradient_cache": True}, {"objective": "kto"}, {"micro_batch": 1}])
def test_a_run_that_was_ended_goes_on_to_the_same_weights(settings, tmp_path, changes):
    told = {**settings, **changes, "epochs": 2}
    train(parse_config(told), Events())
    asked = iter([False] * 5)
    halted = parse_config({**told, "output": str(tmp_path / "halted")})

    with pytest.raises(Stopped):
        train(halted, Events(), lambda: next(asked, True))
    train(halted, Events())

    one, other = (
        load_file(tmp_path / folder / "model" / "model.safetensors") for folder in ("out", "halted")
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"objective": "reward-davidson"}, "reward-davidson trains a reward model, which writes nothing"),
        ({"online_kl": -1}, "online_kl is -1; accepted is a number from 0"),
    ],
)
def test_what_it_does_not_go_with_is_refused(settings, changes, sentence):
    with pytest.raises(TrainingError, match=sentence):
        train(parse_config({**settings, **changes}), Events())

    assert not Path(settings["output"]).exists()


def test_the_warm_up_is_not_held_to_the_cold_base(settings):
    events = Events()

    train(replace(parse_config({**settings, "epochs": 1}), sft_epochs=2), events)

    assert events.of("step")[0]["online_kl"] == pytest.approx(0, abs=1e-3)  # of the warmed base
    warm = (Path(settings["output"]) / "warm" / "model" / "manifest.json").read_text()
    assert '"online_kl": 0' in warm
