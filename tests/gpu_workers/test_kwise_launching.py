"""What the launcher says about sharing the model out, and what of it is taken."""

import json
from pathlib import Path
from typing import Any

import pytest

from gpu_workers.kwise import launching
from gpu_workers.kwise.errors import TrainingError
from gpu_workers.kwise.launching import Sharding, read_launcher
from gpu_workers.kwise.sharing import Share, join_processes


@pytest.fixture
def launcher(monkeypatch):
    """The environment that `accelerate launch` makes, as far as a test says."""

    def said(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return said


def deepspeed_file(folder: Path, **values: Any) -> str:
    file = folder / "zero.json"
    file.write_text(json.dumps(values))
    return str(file)


def test_without_a_launcher_nothing_is_shared_out():
    assert read_launcher() is None


def test_the_usual_settings_of_fsdp_are_taken(launcher):
    launcher(
        ACCELERATE_USE_FSDP="true",
        FSDP_SHARDING_STRATEGY="FULL_SHARD",
        FSDP_RESHARD_AFTER_FORWARD="true",
        FSDP_OFFLOAD_PARAMS="false",
    )

    assert read_launcher() == Sharding("fsdp")
    launcher(FSDP_OFFLOAD_PARAMS="true")
    assert read_launcher() == Sharding("fsdp", offloads=True)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        (
            "FSDP_SHARDING_STRATEGY",
            "HYBRID_SHARD",
            "fsdp_sharding_strategy is HYBRID_SHARD; this trainer shards",
        ),
        ("FSDP_RESHARD_AFTER_FORWARD", "false", "shards with true"),
        ("FSDP_ACTIVATION_CHECKPOINTING", "true", "Set gradient_checkpointing in the run's settings"),
    ],
)
def test_a_launcher_that_wants_weights_shared_out_otherwise_is_told(launcher, name, value, sentence):
    launcher(ACCELERATE_USE_FSDP="true", **{name: value})

    with pytest.raises(TrainingError, match=sentence):
        read_launcher()


def test_one_process_has_nobody_to_share_with(launcher):
    launcher(ACCELERATE_USE_FSDP="true", WORLD_SIZE="1")

    assert join_processes() == Share()


def test_deepspeed_that_is_not_installed_is_a_sentence(launcher, monkeypatch):
    launcher(ACCELERATE_USE_DEEPSPEED="true")
    monkeypatch.setattr(launching, "find_spec", lambda name: None)

    with pytest.raises(TrainingError, match="not installed here"):
        read_launcher()


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_the_stage_is_the_launchers(launcher, stage):
    launcher(
        ACCELERATE_USE_DEEPSPEED="true",
        ACCELERATE_DEEPSPEED_ZERO_STAGE=str(stage),
        ACCELERATE_GRADIENT_ACCUMULATION_STEPS="1",
        ACCELERATE_DEEPSPEED_ZERO3_INIT="true",
    )

    found = read_launcher()

    assert found == Sharding("deepspeed", stage, offloads=False, zero={"stage": stage})
    assert found.of_weights == (stage == 3)


def test_stage_0_shares_nothing_out(launcher):
    launcher(ACCELERATE_USE_DEEPSPEED="true", ACCELERATE_DEEPSPEED_ZERO_STAGE="0")

    assert read_launcher() is None


def test_offloading_is_the_launchers(launcher):
    launcher(
        ACCELERATE_USE_DEEPSPEED="true",
        ACCELERATE_DEEPSPEED_ZERO_STAGE="3",
        ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE="cpu",
        ACCELERATE_DEEPSPEED_OFFLOAD_PARAM_DEVICE="none",
    )

    found = read_launcher()

    assert found is not None
    assert found.offloads
    assert found.zero == {"stage": 3, "offload_optimizer": {"device": "cpu"}}


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("DEEPSPEED_ZERO_STAGE", "4", "the stages 0 to 3; the launcher wants 4"),
        ("DEEPSPEED_ZERO_STAGE", "three", "the stages 0 to 3; the launcher wants three"),
        ("DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE", "nvme", "offload to nvme; this trainer offloads to cpu"),
        ("DEEPSPEED_OFFLOAD_PARAM_DEVICE", "cpu", "at ZeRO stage 3 alone. Set --zero_stage 3"),
        ("GRADIENT_ACCUMULATION_STEPS", "4", "gradient_accumulation_steps is 4; say it by micro_batch"),
        ("GRADIENT_CLIPPING", "0.5", "gradient_clipping is 0.5; say it by max_grad_norm"),
        ("DEEPSPEED_CONFIG_FILE", "/nowhere.json", "/nowhere.json cannot be read"),
    ],
)
def test_what_deepspeed_is_not_for_here_is_told(launcher, name, value, sentence):
    launcher(ACCELERATE_USE_DEEPSPEED="true", **{f"ACCELERATE_{name}": value})

    with pytest.raises(TrainingError, match=sentence):
        read_launcher()


def test_a_usual_configuration_file_is_taken(launcher, tmp_path):
    file = deepspeed_file(
        tmp_path,
        train_batch_size="auto",
        train_micro_batch_size_per_gpu="auto",
        gradient_accumulation_steps=1,
        gradient_clipping="auto",
        optimizer={"type": "AdamW", "params": {"lr": "auto", "weight_decay": "auto"}},
        scheduler={"type": "WarmupLR", "params": {"warmup_num_steps": "auto"}},
        fp16={"enabled": "auto", "loss_scale": 0, "initial_scale_power": 16},
        bf16={"enabled": False},
        steps_per_print=100,
        zero_optimization={
            "stage": 3,
            "offload_param": {"device": "cpu", "pin_memory": True},
            "overlap_comm": True,
            "reduce_bucket_size": "auto",
            "stage3_gather_16bit_weights_on_model_save": True,
        },
    )
    launcher(ACCELERATE_USE_DEEPSPEED="true", ACCELERATE_DEEPSPEED_CONFIG_FILE=file)

    offload = {"device": "cpu", "pin_memory": True}
    zero = {"stage": 3, "offload_param": offload, "overlap_comm": True}
    assert read_launcher() == Sharding("deepspeed", 3, offloads=True, zero=zero)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"train_batch_size": 16}, "sets train_batch_size; say it by batch_size in the run's settings"),
        ({"train_micro_batch_size_per_gpu": 1}, "say it by micro_batch"),
        ({"optimizer": {"type": "Adam", "params": {"lr": 1e-3}}}, "sets optimizer; say it by learning_rate"),
        ({"scheduler": {"type": "WarmupLR", "params": {"warmup_num_steps": 9}}}, "by schedule and warmup"),
        ({"fp16": {"enabled": True}}, "sets fp16; say it by dtype"),
        ({"bf16": {"enabled": True}}, "sets bf16; say it by dtype"),
        (
            {"zero_optimization": {"zero_quantized_weights": True}},
            "zero_quantized_weights, which is not",
        ),
        ({"zero_optimization": {"offload_optimizer": {"device": "nvme"}}}, "offload to nvme"),
        ({"zero_optimization": {"stage": 0, "offload_optimizer": {"device": "cpu"}}}, "stages 1 to 3"),
        ({"zero_optimization": 3}, "is no object of settings"),
        ({"pipeline": {}}, "sets pipeline, which is not done here"),
    ],
)
def test_what_a_configuration_file_decides_over_the_runs_settings_is_told(
    launcher, tmp_path, values, sentence
):
    file = deepspeed_file(tmp_path, **values)
    launcher(ACCELERATE_USE_DEEPSPEED="true", ACCELERATE_DEEPSPEED_CONFIG_FILE=file)

    with pytest.raises(TrainingError, match=sentence):
        read_launcher()
