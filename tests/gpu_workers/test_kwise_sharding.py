"""A model shared out among processes (FSDP): two real ones, started by `accelerate launch`, on CPUs."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from gpu_workers.kwise.config import parse_config
from gpu_workers.kwise.errors import ShortOfMemory, TrainingError
from gpu_workers.kwise.launching import Sharding
from gpu_workers.kwise.policy import Policy
from gpu_workers.kwise.sharding import check_sharded
from gpu_workers.kwise.sharing import Share
from gpu_workers.kwise.trainer import train
from tests.gpu_workers import kwise_world as world
from tests.gpu_workers.launched import (
    LAUNCH,
    SEVERAL_RUNS,
    assert_alike,
    events,
    launch,
    run,
    settings,
    weights,
)
from tests.gpu_workers.test_kwise_gradients import make_policy, rankings
from tests.gpu_workers.test_train import Events

# Nine rankings in steps of two, three or five: one process has less to do, and makes up for it.
WAYS: dict[str, dict[str, Any]] = {
    "full": {"batch_size": 5},
    "lora": {"method": "lora", "batch_size": 3, "micro_batch": 1},
    "one response at a time": {"gradient_cache": True, "gradient_checkpointing": True, "batch_size": 3},
    "a loss of the whole step, often of one ranking": {"objective": "kto", "batch_size": 2},
    "by token, each response alone": {"objective": "ld-dpo", "scoring": "plain", "batch_size": 5},
    "a reward model": {"objective": "reward-davidson", "batch_size": 5},
    "weights in main memory": {"batch_size": 5},
    "compiled layers": {
        "batch_size": 9,
        "compile": True,
        "learning_rate": 1e-2,
        "kl_prompts": 0,
        "epochs": 1,
    },
    "a frozen copy beside it": {"objective": "tdpo", "batch_size": 5},
    "whole distributions without a copy": {
        "objective": "sparsepo",
        "method": "lora",
        "batch_size": 3,
        "gradient_cache": True,
    },
}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("sharded")
    world.write_base(made / "base")
    world.write_data_set(made / "data", world.rankings_by_shortness(9), world.rankings_by_shortness(3))
    return made


KILLED = {"batch_size": 3, "checkpoint_every_steps": 2}
STOPPED = {"method": "lora", "lora": {"r": 4}, "batch_size": 3}


@pytest.fixture(scope="module")
def shared_out(folder) -> dict[str, list[dict[str, Any]]]:
    """What two processes said of each way to train, of a run asked to end and gone on with, and of one in
    which they were killed; all in one start of them.
    """
    runs: list[dict[str, Any]] = [
        {
            "settings": settings(folder, f"two {name}", **WAYS[name]),
            "sharding": {"way": "fsdp", "offloads": name == "weights in main memory"},
        }
        for name in WAYS
    ]
    stopped = {"settings": settings(folder, "two stopped", **STOPPED)}
    # Once for the reference's chunk, and before each step.
    runs += [{**stopped, "stopped_at": 4}, stopped]
    runs += [{"settings": settings(folder, "dry", dry_run=True)}]
    runs += [{"settings": settings(folder, "killed", **KILLED), "killed_at": 3}]
    status, said, errors = launch(folder, runs, "--use_fsdp")
    found = dict(zip([*WAYS, "stopped", "gone on", "dry", "killed"], said, strict=True))
    assert found["killed"], errors
    assert status != 0
    return found


@pytest.mark.parametrize("way", WAYS)
def test_sharing_the_model_out_gives_the_weights_of_one_process(folder, shared_out, way):
    alone = Events()
    train(parse_config(settings(folder, f"one {way}", **{**WAYS[way], "compile": False})), alone)

    together = Events(shared_out[way])
    (started,) = together.of("started")
    assert (started["processes"], started["sharded"]) == (2, True)
    for one, two in zip(alone.of("step"), together.of("step"), strict=True):
        assert two["loss"] == pytest.approx(one["loss"], abs=2e-5)
        assert two["grad_norm"] == pytest.approx(one["grad_norm"], rel=1e-3)
    assert_alike(folder / f"two {way}", folder / f"one {way}")
    base = load_file(folder / "base" / "model.safetensors")
    found = weights(folder / f"two {way}")
    moved = max((found[f"model.safetensors {name}"] - value).abs().max() for name, value in base.items())
    assert moved > 5e-3  # a hundred times further than the two are apart


def test_the_result_is_an_ordinary_checkpoint(folder, shared_out):
    model = AutoModelForCausalLM.from_pretrained(folder / "two full" / "model")

    assert sum(p.numel() for p in model.parameters()) == sum(
        p.numel() for p in world.make_model().parameters()
    )
    assert (folder / "two lora" / "adapter" / "adapter_model.safetensors").is_file()
    summary = shared_out["full"][-1]["summary"]
    assert summary["fresh"]["samples"] == 2
    assert summary["before"]["accuracy"] == 0.5  # the reference is the policy before the first step


def test_a_run_asked_to_end_goes_on_where_it_was(folder, shared_out):
    stopped, rest = Events(shared_out["stopped"]), Events(shared_out["gone on"])
    train(parse_config(settings(folder, "one stopped", **STOPPED)), Events())

    assert [one["step"] for one in stopped.of("checkpoint")] == [3]
    assert [one["step"] for one in rest.of("started")] == [3]
    assert [one["step"] for one in rest.of("step")] == [4, 5, 6]
    assert_alike(folder / "two stopped", folder / "one stopped")


def test_a_dry_run_of_several_processes_leaves_nothing(folder, shared_out):
    (said,) = shared_out["dry"]

    assert said["summary"]["dry_run"]
    assert said["summary"]["rankings"] == 9
    assert not (folder / "dry").exists()


def test_killed_processes_are_gone_on_with_by_as_many_or_by_one(folder, shared_out):
    killed = settings(folder, "killed", **KILLED)
    assert [one["step"] for one in shared_out["killed"] if one["event"] == "checkpoint"] == [2]
    assert not Path(killed["output"], "model").exists()
    shutil.copytree(killed["output"], folder / "rest")

    status, (together, _), errors = launch(folder, [{"settings": killed}], "--use_fsdp")
    alone = Events()
    train(parse_config(settings(folder, "rest", **KILLED)), alone)
    train(parse_config(settings(folder, "whole", **KILLED)), Events())

    assert status == 0, errors
    for rest in (Events(together), alone):
        assert [one["step"] for one in rest.of("started")] == [2]
        assert not rest.of("reference")  # it was kept
        assert [one["step"] for one in rest.of("step")] == [3, 4, 5, 6]
    for name in ("killed", "rest"):
        assert_alike(folder / name, folder / "whole")


@pytest.mark.parametrize(
    ("way", "changes", "sentence"),
    [
        ("fsdp", {"method": "qlora"}, "Four-bit weights cannot be sharded"),
        ("deepspeed", {"method": "qlora"}, "launch without FSDP or DeepSpeed"),
        ("deepspeed", {"compile": True}, "Under DeepSpeed the model is not compiled"),
    ],
)
def test_what_does_not_go_with_sharding_is_refused(way, changes, sentence):
    config = parse_config({"data": "d", "base": "b", "output": "o", **changes})

    with pytest.raises(TrainingError, match=sentence):
        check_sharded(config, Sharding(way))


def test_what_does_not_go_with_sharding_is_refused_before_anything_is_written(folder):
    config = parse_config(settings(folder, "refused", method="qlora"))

    with pytest.raises(TrainingError, match="launch without FSDP"):
        train(config, Events(), share=Share(0, 2, Sharding()))

    assert not Path(config.output).exists()


def test_memory_that_runs_out_in_one_of_them_ends_the_step_with_a_sentence(tmp_path, monkeypatch):
    """The others are in the middle of a pass: nobody can take less by halves."""
    policy = make_policy(tmp_path)
    policy.share = Share(0, 1, Sharding())

    def no_memory(self: Policy, asked: Any, k: int) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(Policy, "outputs", no_memory)

    with pytest.raises(ShortOfMemory, match="Memory ran out in one of the processes that share the model"):
        policy.step(rankings(), 1e-3)

    assert policy.micro_batch == 2  # half of four


def test_processes_started_again_after_memory_ran_out_take_less(folder):
    """A whole ranking does not fit into the second process: twice they begin again, with half as much and
    then with single responses, from the checkpoint of the step before.
    """
    changes = {"batch_size": 5, "checkpoint_every_steps": 1}
    file = folder / "short.json"
    file.write_text(json.dumps(settings(folder, "short", **changes)))

    done = run(
        [*LAUNCH, "--use_fsdp", "--max_restarts=3", "-m", SEVERAL_RUNS, "--short-of-memory", str(file)]
    )

    train(parse_config(settings(folder, "roomy", **changes)), Events())
    said = Events(events(done.stdout))
    told = [one["message"] for one in said.of("error") if "Memory ran out" in one["message"]]
    assert done.returncode == 0, done.stderr
    assert [sentence.split(", ")[1] for sentence in told] == [
        "1 rankings at a time.",
        "one response at a time.",
    ]
    assert "Run it again: it goes on from its last checkpoint" in told[0]
    assert [one["message"] for one in said.of("notice")][-1].endswith("one response at a time from here.")
    assert [one["step"] for one in said.of("step")] == [1, 2, 3, 4]
    assert_alike(folder / "short", folder / "roomy")
