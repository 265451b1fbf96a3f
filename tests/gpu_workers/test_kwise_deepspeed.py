"""A model that DeepSpeed shares out among processes: two real ones, by `accelerate launch`, on CPUs."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from gpu_workers.kwise.config import parse_config
from gpu_workers.kwise.trainer import train
from tests.gpu_workers import kwise_world as world
from tests.gpu_workers.launched import LAUNCH, assert_alike, events, launch, run, settings
from tests.gpu_workers.test_train import Events

OFFLOADED = {"offload_optimizer": {"device": "cpu"}}
IN_PARTS = {"stage3_param_persistence_threshold": 0}  # the smallest weights too


def zero(stage: int, **settings: Any) -> dict[str, Any]:
    return {"way": "deepspeed", "stage": stage, "zero": settings}


# Nine rankings in steps of two, three or five: one process has less to do, and makes up for it.
WAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "stage 3": (zero(3, **IN_PARTS), {"batch_size": 5}),
    "stage 2": (zero(2), {"batch_size": 5}),
    "stage 1": (zero(1), {"batch_size": 3, "micro_batch": 1}),
    "stage 3, lora": (zero(3, **IN_PARTS), {"method": "lora", "batch_size": 3, "micro_batch": 1}),
    "stage 2, lora": (zero(2), {"method": "lora", "batch_size": 3}),
    "stage 3, one response at a time": (
        zero(3, **IN_PARTS),
        {"gradient_cache": True, "gradient_checkpointing": True, "batch_size": 3},
    ),
    "stage 2, a loss of the whole step": (zero(2), {"objective": "kto", "batch_size": 2}),
    "stage 3, a reward model": (zero(3), {"objective": "reward-davidson", "batch_size": 5}),
    "stage 3, a frozen copy beside it": (zero(3), {"objective": "tdpo", "batch_size": 5}),
    "stage 2, offloaded": (zero(2, **OFFLOADED), {"batch_size": 5}),
    "stage 3, offloaded": (
        zero(3, **OFFLOADED, **IN_PARTS, offload_param={"device": "cpu"}),
        {"batch_size": 5},
    ),
}

# A run that each goes on with where the one before was asked to end; each leg asks once for the reference,
# and before each step.
RELAY: list[dict[str, Any]] = [
    {"sharding": zero(3, **IN_PARTS), "stopped_at": 3},
    {"sharding": {"way": "fsdp"}, "stopped_at": 2},
    {"sharding": zero(1), "stopped_at": 2},
    {"sharding": None, "stopped_at": 2},
    {"sharding": zero(2), "stopped_at": 3},
    {"sharding": zero(3, **OFFLOADED), "stopped_at": 3},
]
RELAYED = {"batch_size": 2}
ASTRAY = {"learning_rate": 1e30, "batch_size": 5, "checkpoint_every_steps": 1}
KILLED = {"batch_size": 3, "method": "lora", "checkpoint_every_steps": 2}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("deepspeed")
    world.write_base(made / "base")
    world.write_data_set(made / "data", world.rankings_by_shortness(9), world.rankings_by_shortness(3))
    return made


@pytest.fixture(scope="module")
def shared_out(folder) -> dict[str, list[dict[str, Any]]]:
    """What two processes said of each way to train, of a run that one way after the other goes on with, of
    two that go astray and of one in which they were killed; all in one start of them.
    """
    runs: list[dict[str, Any]] = [
        {"settings": settings(folder, f"two {name}", **changes), "sharding": sharding}
        for name, (sharding, changes) in WAYS.items()
    ]
    relay = settings(folder, "relay", **RELAYED)
    runs += [{"settings": relay, **leg} for leg in RELAY]
    runs += [{"settings": settings(folder, "dry", dry_run=True)}]
    runs += [
        {"settings": settings(folder, f"astray {stage}", **ASTRAY), "sharding": zero(stage)}
        for stage in (2, 3)
    ]
    runs += [{"settings": settings(folder, "killed", **KILLED), "killed_at": 3}]
    status, said, errors = launch(folder, runs, "--use_deepspeed", "--zero_stage=3")
    legs = [f"leg {number}" for number in range(len(RELAY))]
    found = dict(zip([*WAYS, *legs, "dry", "astray 2", "astray 3", "killed"], said, strict=True))
    assert found["killed"], errors
    assert status != 0
    return found


@pytest.mark.parametrize("way", WAYS)
def test_deepspeed_gives_the_weights_of_one_process(folder, shared_out, way):
    _, changes = WAYS[way]
    alone = Events()
    train(parse_config(settings(folder, f"one {way}", **changes)), alone)

    together = Events(shared_out[way])
    (started,) = together.of("started")
    assert (started["processes"], started["sharded"]) == (2, True)
    assert started["parameters"] == alone.of("started")[0]["parameters"]
    for one, two in zip(alone.of("step"), together.of("step"), strict=True):
        assert two["loss"] == pytest.approx(one["loss"], abs=2e-5)
        assert two["grad_norm"] == pytest.approx(one["grad_norm"], rel=1e-3)
    assert_alike(folder / f"two {way}", folder / f"one {way}")


def test_the_result_is_an_ordinary_checkpoint(folder, shared_out):
    model = AutoModelForCausalLM.from_pretrained(folder / "two stage 3" / "model")

    assert sum(p.numel() for p in model.parameters()) == sum(
        p.numel() for p in world.make_model().parameters()
    )
    assert (folder / "two stage 3, lora" / "adapter" / "adapter_model.safetensors").is_file()
    summary = shared_out["stage 3"][-1]["summary"]
    assert summary["fresh"]["samples"] == 2
    assert summary["before"]["accuracy"] == 0.5  # the reference is the policy before the first step
    (dry,) = shared_out["dry"]
    assert dry["summary"]["dry_run"]
    assert not (folder / "dry").exists()


def test_what_one_way_began_every_other_goes_on_with(folder, shared_out):
    legs = [Events(shared_out[f"leg {number}"]) for number in range(len(RELAY))]
    last = Events()
    train(parse_config(settings(folder, "relay", **RELAYED)), last)
    train(parse_config(settings(folder, "whole relay", **RELAYED)), Events())

    assert [[one["step"] for one in leg.of("checkpoint")] for leg in legs] == [[2], [3], [4], [5], [7], [9]]
    assert [one["step"] for one in last.of("step")] == [10]
    assert_alike(folder / "relay", folder / "whole relay")


@pytest.mark.parametrize("stage", [2, 3])
def test_a_loss_that_is_no_number_ends_the_run_before_anything_of_it_is_saved(folder, shared_out, stage):
    said = Events(shared_out[f"astray {stage}"])

    assert "the run cannot go on. Lower the learning rate" in said.of("error")[0]["message"]
    assert [one["step"] for one in said.of("checkpoint")] == [one["step"] for one in said.of("step")]
    assert not (folder / f"astray {stage}" / "model").exists()


def test_one_process_keeps_the_optimisers_state_in_main_memory(folder):
    """The whole command, as it is typed."""
    file = folder / "alone.json"
    file.write_text(json.dumps(settings(folder, "alone", batch_size=5, kl_prompts=0)))

    done = run(
        [
            *(part for part in LAUNCH if part != "--num_processes=2"),
            *("--num_processes=1", "--use_deepspeed", "--zero_stage=2", "--offload_optimizer_device=cpu"),
            *("-m", "gpu_workers.train", str(file)),
        ]
    )

    train(parse_config(settings(folder, "as ever", batch_size=5, kl_prompts=0)), Events())
    assert done.returncode == 0, done.stderr
    (started,) = Events(events(done.stdout)).of("started")
    assert (started["processes"], started["sharded"]) == (1, True)
    assert_alike(folder / "alone", folder / "as ever")


def test_killed_processes_are_gone_on_with_by_one_without_deepspeed(folder, shared_out):
    assert [one["step"] for one in shared_out["killed"] if one["event"] == "checkpoint"] == [2]
    assert not (folder / "killed" / "model").exists()
    shutil.copytree(folder / "killed", folder / "rest")

    rest = Events()
    train(parse_config(settings(folder, "rest", **KILLED)), rest)
    train(parse_config(settings(folder, "whole", **KILLED)), Events())

    assert [one["step"] for one in rest.of("step")] == [3, 4, 5, 6]
    assert_alike(folder / "rest", folder / "whole")
