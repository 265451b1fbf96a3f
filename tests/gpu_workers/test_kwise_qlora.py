"""QLoRA: an adapter trained on four-bit weights, here on the CPU."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import bitsandbytes
import pytest
import torch
from safetensors.torch import load_file

from gpu_workers.kwise import models
from gpu_workers.kwise.config import TrainingConfig, parse_config
from gpu_workers.kwise.errors import Stopped, TrainingError
from gpu_workers.kwise.objectives import OBJECTIVES
from gpu_workers.kwise.opening import open_trainable
from gpu_workers.kwise.preparation import encode, read_data
from gpu_workers.kwise.scoring import packed_log_probabilities
from gpu_workers.kwise.trainer import train
from tests.gpu_workers import kwise_world as world
from tests.gpu_workers.test_train import Events


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def settings(tmp_path) -> dict[str, Any]:
    # Four bits go by blocks of 64 numbers.
    world.write_base(tmp_path / "base", hidden_size=64, intermediate_size=128)
    world.write_data_set(tmp_path / "data", world.rankings_by_shortness(12), world.rankings_by_shortness(3))
    return {
        "base": str(tmp_path / "base"),
        "data": str(tmp_path / "data"),
        "output": str(tmp_path / "out"),
        "method": "qlora",
        "device": "cpu",
        "batch_size": 4,
        "learning_rate": 3e-3,
        "threads": 1,
        "epochs": 2,
        "kl_prompts": 2,
        "checkpoint_every_steps": 2,
    }


def adapter_gradient(base: models.Base, config: TrainingConfig) -> dict[str, torch.Tensor]:
    """Of the log-probabilities of four rankings, after a pass without gradient such as the reference's."""
    objective = OBJECTIVES["dpo"]
    several = encode(base, config, read_data(config, objective), objective).train[:4]
    with torch.no_grad():
        packed_log_probabilities(base.model.eval(), several, 4)
    packed_log_probabilities(base.model.train(), several, 4)[:, 0].sum().backward()
    return {name: p.grad for name, p in base.model.named_parameters() if p.grad is not None}


def moved(base: models.Base) -> models.Base:
    """With an adapter that does something: a fresh one sends no gradient to its first half."""
    drawn = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in base.model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=drawn))
    return base


def test_the_gradient_is_that_of_an_adapter_on_the_rounded_weights(settings):
    config = parse_config(settings)
    four_bit = open_trainable(config, OBJECTIVES["dpo"])
    whole = open_trainable(replace(config, method="lora"), OBJECTIVES["dpo"])
    rounded, changed = dict(whole.model.named_parameters()), 0.0
    for name, parameter in four_bit.model.named_parameters():
        if isinstance(parameter, bitsandbytes.nn.Params4bit):
            exact = bitsandbytes.functional.dequantize_4bit(parameter.data, parameter.quant_state)
            changed = max(changed, float((rounded[name] - exact).detach().abs().max()))
            rounded[name].data.copy_(exact)
    assert changed > 1e-3  # they are rounded indeed

    one, other = (adapter_gradient(moved(base), config) for base in (four_bit, whole))

    assert one.keys() == other.keys()
    for name, slope in one.items():
        assert torch.allclose(slope, other[name], rtol=1e-3, atol=1e-4 * float(other[name].abs().max())), name


def test_a_run_learns_and_leaves_a_whole_model_with_the_adapter_merged(settings):
    events = Events()

    train(parse_config({**settings, "epochs": 6}), events)

    output = Path(settings["output"])
    assert events.of("started")[0]["dtype"] == "float32-nf4"
    assert events.of("eval")[-1]["loss"] < events.of("eval")[0]["loss"] - 0.2
    base, result, adapter = (
        load_file(folder / file)
        for folder, file in (
            (Path(settings["base"]), "model.safetensors"),
            (output / "model", "model.safetensors"),
            (output / "adapter", "adapter_model.safetensors"),
        )
    )
    assert {name: tensor.dtype for name, tensor in result.items()} == {
        name: tensor.dtype for name, tensor in base.items()
    }
    place = "model.layers.0.self_attn.q_proj"
    first, second = (adapter[f"base_model.model.{place}.lora_{half}.weight"] for half in "AB")
    given = json.loads((output / "adapter" / "adapter_config.json").read_text())
    expected = base[f"{place}.weight"] + given["lora_alpha"] / given["r"] * second @ first
    assert torch.allclose(result[f"{place}.weight"], expected, atol=1e-6)
    assert (result[f"{place}.weight"] - base[f"{place}.weight"]).abs().max() > 1e-3


def test_a_run_that_was_ended_goes_on_to_the_same_weights(settings, tmp_path):
    train(parse_config(settings), Events())
    asked = iter([False] * 5)
    halted = parse_config({**settings, "output": str(tmp_path / "halted")})

    with pytest.raises(Stopped):
        train(halted, Events(), lambda: next(asked, True))
    train(halted, Events())

    one, other = (
        load_file(folder / "model" / "model.safetensors")
        for folder in (tmp_path / "out", tmp_path / "halted")
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_reference_in_four_bits_is_not_mixed_up_with_the_whole_one(settings, tmp_path):
    cache = {"reference_cache": str(tmp_path / "cache")}
    train(parse_config({**settings, **cache, "method": "lora", "output": str(tmp_path / "whole")}), Events())
    events = Events()

    train(parse_config({**settings, **cache}), events)

    assert events.of("reference")
    assert events.of("eval")[0]["winner_log_ratio"] == pytest.approx(0, abs=1e-5)


def test_without_bitsandbytes_it_is_refused_with_what_to_install(settings, monkeypatch):
    monkeypatch.setattr(models, "find_spec", lambda name: None)

    with pytest.raises(TrainingError, match=r"needs the package bitsandbytes \(pip install"):
        train(parse_config(settings), Events())

    assert not Path(settings["output"]).exists()


def test_a_device_that_cannot_is_named():
    with pytest.raises(TrainingError, match="an NVIDIA GPU or a CPU, not on meta"):
        models.quantisation(torch.device("meta"), torch.float32)
