"""`python -m gpu_workers.train` as users and workers run it: a real process, killed and asked to stop."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from gpu_workers.kwise import trainer
from gpu_workers.kwise.checkpoints import Checkpoint, load_newest, save_checkpoint
from gpu_workers.kwise.config import TrainingConfig, parse_config
from gpu_workers.kwise.errors import Stopped, TrainingError
from gpu_workers.kwise.policy import Policy
from gpu_workers.kwise.schedules import learning_rate
from gpu_workers.kwise.trainer import train
from gpu_workers.train import main
from tests.gpu_workers import kwise_world as world

REPOSITORY = Path(__file__).parents[2]


class Events(list[dict[str, Any]]):
    """What a run said."""

    def __call__(self, event: str, **values: Any) -> None:
        self.append({"event": event, **values})

    def of(self, event: str) -> list[dict[str, Any]]:
        return [said for said in self if said["event"] == event]


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> dict[str, str]:
    """A base and a data set: 24 rankings to train on and 8 held out."""
    folder = tmp_path_factory.mktemp("world")
    world.write_base(folder / "base")
    rows = world.rankings_by_shortness(24), world.rankings_by_shortness(8, seed=9)
    world.write_data_set(folder / "data", *rows)
    return {"base": str(folder / "base"), "data": str(folder / "data")}


@pytest.fixture
def settings(places, tmp_path) -> dict[str, Any]:
    return {
        **places,
        "output": str(tmp_path / "out"),
        "threads": 1,
        "learning_rate": 3e-3,
        "checkpoint_every_steps": 2,
        "kl_prompts": 4,
    }


def run(settings: dict[str, Any], **changes: Any) -> tuple[dict[str, Any], Events]:
    events = Events()
    return train(parse_config({**settings, **changes}), events), events


def weights(settings: dict[str, Any]) -> dict[str, torch.Tensor]:
    return load_file(Path(settings["output"]) / "model" / "model.safetensors")


@pytest.fixture
def start(settings) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """`start(epochs=2)` is the trainer in a process of its own."""
    with ExitStack() as stack:

        def started(**changes: Any) -> subprocess.Popen[str]:
            file = Path(settings["output"]).parent / "config.json"
            file.write_text(json.dumps({**settings, **changes}))
            process = subprocess.Popen(
                [sys.executable, "-m", "gpu_workers.train", str(file)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=REPOSITORY,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
            stack.callback(process.kill)
            return stack.enter_context(process)

        yield started


def events_of(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    watchdog = threading.Timer(300, process.kill)
    watchdog.start()
    assert process.stdout is not None
    for line in process.stdout:
        yield json.loads(line)
    process.wait()
    watchdog.cancel()


def test_a_run_learns_the_voters_order_and_leaves_a_checkpoint_that_opens(settings, places):
    summary, events = run(settings, epochs=8, sft_weight=0)

    steps = events.of("step")
    assert [said["step"] for said in steps] == list(range(1, 25))
    assert steps[-1]["accuracy"] > 0.9
    assert steps[-1]["rewards_by_place"][0] > steps[-1]["rewards_by_place"][-1]
    assert events.of("eval")[0]["accuracy"] == 0.5  # policy and reference are the same before the first step
    assert summary["before"]["loss"] == events.of("eval")[0]["loss"]
    assert summary["fresh"]["samples"] == 4
    folder = Path(settings["output"]) / "model"
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert AutoTokenizer.from_pretrained(folder).eos_token_id == 1
    base = load_file(Path(places["base"]) / "model.safetensors")
    moved = max(
        (value - base[name]).abs().max() for name, value in model.state_dict().items() if name in base
    )
    assert moved > 1e-3


def test_the_manifest_names_data_base_code_and_result(settings, places):
    _, events = run(settings, epochs=1, parent="garden-small", objective="dpo")

    manifest = json.loads((Path(settings["output"]) / "model" / "manifest.json").read_text())
    assert manifest["parent"] == "garden-small"
    assert manifest["objective"] == "dpo"
    assert manifest["data"]["number"] == 1
    for part in ("data", "base", "code", "result"):
        assert len(manifest[part]["sha256"]) == 64, part
    assert manifest["result"]["sha256"] != manifest["base"]["sha256"]
    assert str(Path(places["base"]).parent) not in json.dumps(manifest)  # no path of this machine
    assert events[-1]["event"] == "done"


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_run_stopped_anywhere_goes_on_to_the_very_same_weights(settings, tmp_path, method):
    changes = {"method": method, "lora": {"r": 4, "dropout": 0.1}, "epochs": 3}
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    run(settings, output=str(whole), **changes)

    starts = []
    for _ in range(20):
        asked = iter([False] * 4)  # two or three steps at a time, the reference counted
        events = Events()
        config = parse_config({**settings, **changes, "output": str(pieces)})
        try:
            train(config, events, lambda asked=asked: next(asked, True))
        except Stopped:
            starts += [said["step"] for said in events.of("started")]
            continue
        break

    assert len(starts) >= 2
    assert starts == sorted(set(starts))
    one, other = (load_file(folder / "model" / "model.safetensors") for folder in (whole, pieces))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_killed_and_then_an_ended_process_go_on_to_the_very_same_weights(settings, start, tmp_path):
    whole = {**settings, "output": str(tmp_path / "whole")}
    run(whole, epochs=50, checkpoint_every_steps=10_000)

    first = start(epochs=50)
    for said in events_of(first):
        if said["event"] == "checkpoint":
            first.send_signal(signal.SIGKILL)
    # SIGTERM: the state is saved, though no checkpoint is due, and the process ends.
    second = start(epochs=50, checkpoint_every_steps=10_000)
    events = []
    for said in events_of(second):
        events.append(said)
        if len([one for one in events if one["event"] == "step"]) == 3:
            second.send_signal(signal.SIGTERM)
    stopped = load_newest(Path(settings["output"]) / "state", print)
    _, rest = run(settings, epochs=50, checkpoint_every_steps=10_000)

    assert first.returncode == -signal.SIGKILL
    assert second.returncode == 143, second.stderr.read()
    begun = next(said for said in events if said["event"] == "started")
    assert begun["resumed"]
    assert [said["event"] for said in events[-2:]] == ["checkpoint", "stopped"]
    assert stopped is not None
    assert stopped.step == [said for said in events if said["event"] == "step"][-1]["step"]
    assert 2 <= begun["step"] < stopped.step < 150
    assert rest.of("started")[0]["step"] == stopped.step
    assert all(torch.equal(value, weights(settings)[name]) for name, value in weights(whole).items())


def test_bad_input_ends_with_one_sentence_and_writes_nothing(settings, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(signal, "signal", lambda *arguments: None)  # the test's own process keeps its own
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**settings, "objective": "placket-luce"}))

    status = main([str(file)])

    said = capsys.readouterr()
    sentence = 'There is no objective "placket-luce". Did you mean "plackett-luce"?'
    assert status == 1
    assert json.loads(said.out) == {"event": "error", "message": sentence}
    assert said.err.strip() == sentence
    assert not Path(settings["output"]).exists()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda base: None, "There is no checkpoint folder"),
        (lambda base: base.mkdir(), "it has no config.json"),
        (
            lambda base: world.write_base(base) and (base / "model.safetensors").rename(base / "m.bin"),
            "safetensors",
        ),
        (
            lambda base: world.write_base(base) and (base / "model.safetensors").write_bytes(b"no"),
            "cannot be opened",
        ),
        (lambda base: world.write_base(base, eos=False), "no end-of-text token"),
        (lambda base: world.write_base(base, max_position_embeddings=4), "rankings fits into 4 tokens"),
    ],
)
def test_a_base_that_cannot_be_used_is_refused_and_nothing_is_written(settings, tmp_path, spoil, sentence):
    spoil(tmp_path / "base")

    with pytest.raises(TrainingError, match=sentence):
        run(settings, base=str(tmp_path / "base"))

    assert not Path(settings["output"]).exists()


def test_an_output_of_other_settings_is_not_gone_on_with(settings):
    run(settings, epochs=1)

    with pytest.raises(TrainingError, match="holds a run with another beta, epochs"):
        run(settings, epochs=2, beta=0.2)

    assert len(json.loads((Path(settings["output"]) / "model" / "manifest.json").read_text())) > 5


def test_a_finished_run_asked_again_says_done_and_trains_nothing(settings):
    first, _ = run(settings, epochs=1)
    before = weights(settings)

    second, events = run(settings, epochs=1)

    assert [said["event"] for said in events] == ["done"]
    assert second == json.loads(json.dumps(first))
    assert all(torch.equal(value, before[name]) for name, value in weights(settings).items())


def test_two_processes_do_not_write_to_one_output(settings):
    config = parse_config({**settings, "epochs": 1})
    seen = Events()

    def during(event: str, **values: Any) -> None:
        if event == "started":
            with pytest.raises(TrainingError, match="Another training process is writing"):
                train(config, seen)

    train(config, during)

    assert not seen.of("step")


def test_micro_batches_give_the_gradient_of_the_whole_batch(settings, tmp_path):
    for name, size in (("whole", 8), ("parts", 3)):
        run(settings, epochs=1, micro_batch=size, output=str(tmp_path / name))

    whole, parts = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("whole", "parts"))
    assert all(torch.allclose(whole[name], parts[name], atol=2e-5) for name in whole)


def test_running_out_of_memory_halves_the_micro_batch_and_goes_on(settings, monkeypatch):
    scored = Policy.outputs

    def short_of_memory(self, rankings, k):
        if len(rankings) > 2 and torch.is_grad_enabled():
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return scored(self, rankings, k)

    monkeypatch.setattr(Policy, "outputs", short_of_memory)

    _, events = run(settings, epochs=1)

    assert [said["message"] for said in events.of("notice")] == [
        "Memory ran out: 2 rankings at a time from here."
    ]
    assert len(events.of("step")) == 3
    assert events[-1]["event"] == "done"


def test_a_ranking_too_large_for_the_memory_goes_on_one_response_at_a_time(settings, monkeypatch):
    scored = Policy.outputs

    def short_of_memory(self, rankings, k):
        if k > 1 and torch.is_grad_enabled():
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
        return scored(self, rankings, k)

    monkeypatch.setattr(Policy, "outputs", short_of_memory)

    _, events = run(settings, epochs=1)

    said = [said["message"] for said in events.of("notice")]
    assert said == ["Memory ran out: one response at a time from here."]
    assert events[-1]["event"] == "done"


def test_one_response_too_large_for_the_memory_ends_the_run_with_a_sentence(settings, monkeypatch):
    def no_memory(self, rankings, k):
        if torch.is_grad_enabled():
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
        return {"policy": torch.zeros(len(rankings), k)}

    monkeypatch.setattr(Policy, "outputs", no_memory)
    monkeypatch.setattr(trainer.Run, "_evaluate", lambda self, step: None)

    with pytest.raises(TrainingError, match=r"One response of a ranking of .* tokens does not fit in memory"):
        run(settings)


def test_a_loss_that_is_no_number_stops_the_run_and_is_not_saved(settings):
    with pytest.raises(TrainingError, match=r"the run cannot go on\. Lower the learning rate"):
        run(settings, learning_rate=1e30, warmup=0, checkpoint_every_steps=1000)

    assert not list((Path(settings["output"]) / "state").glob("checkpoint-*"))


def test_a_checkpoint_cut_short_is_passed_over_for_the_one_before(tmp_path):
    for step in (1, 2, 3):
        values = {"w": torch.full((4,), float(step))}
        save_checkpoint(tmp_path, Checkpoint(step, values, {"note": step}))
    newest = tmp_path / "checkpoint-00000003"
    (newest / "state.pt").write_bytes((newest / "state.pt").read_bytes()[:-20])
    notes: list[str] = []

    found = load_newest(tmp_path, notes.append)

    assert found is not None
    assert (found.step, found.state, found.weights["w"].tolist()) == (2, {"note": 2}, [2.0] * 4)
    assert notes == ["The checkpoint checkpoint-00000003 is passed over: state.pt is cut short or altered."]
    assert not (tmp_path / "checkpoint-00000001").exists()  # two are kept


def test_a_checkpoint_that_would_run_code_is_not_opened(tmp_path):
    save_checkpoint(tmp_path, Checkpoint(1, {"w": torch.zeros(1)}, {"code": print}))

    with pytest.raises(Exception, match="Weights only load failed"):
        load_newest(tmp_path, print)


def test_the_reference_stays_the_base_when_its_cache_is_lost(settings):
    """A resumed run must not take its half-trained policy for the reference."""
    asked = iter([False] * 6)
    with pytest.raises(Stopped):
        train(parse_config(settings), Events(), lambda: next(asked, True))
    for file in (Path(settings["output"]) / "state" / "reference").iterdir():
        file.unlink()

    _, events = run(settings)

    first = events.of("step")[0]
    assert events.of("started")[0]["resumed"]
    assert events.of("reference")  # scored again
    assert abs(first["winner_log_ratio"]) > 0.01  # the policy had moved away from the base already


@pytest.mark.parametrize(
    "changes",
    [
        {"objective": "davidson", "objective_options": {"nu": 2.0}},
        {"objective": "simpo", "beta": 2.0},
        {"scoring": "plain"},
        {"gradient_checkpointing": True},
        {"dtype": "bfloat16"},
        {"method": "lora", "gradient_checkpointing": True},
    ],
)
def test_each_way_to_train_moves_the_loss_down(settings, changes):
    _, events = run(settings, epochs=6, **changes)

    steps = [said["loss"] for said in events.of("step")]
    assert sum(steps[-3:]) < sum(steps[:3])


@pytest.mark.parametrize(
    ("schedule", "last"), [("constant", 1.0), ("linear", 0.125), ("cosine", 0.038060233744356645)]
)
def test_the_rate_warms_up_and_follows_its_schedule(schedule, last):
    config = TrainingConfig(data="d", base="b", output="o", learning_rate=1.0, schedule=schedule, warmup=0.2)

    rates = [learning_rate(config, step, 10) for step in range(10)]

    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[-1] == pytest.approx(last)


def test_a_dry_run_says_what_the_run_would_take_and_leaves_nothing(settings):
    summary, events = run(settings, epochs=3, dry_run=True)

    assert events[-1]["event"] == "done"
    assert summary["dry_run"]
    assert summary["steps"] == 9
    assert summary["estimated_seconds"] > 0
    assert summary["peak_memory_bytes"] > 2**24
    assert summary["data"]["informative"] == {"train": 24, "held_out": 8}
    assert not Path(settings["output"]).exists()


def test_a_run_says_how_far_it_could_have_come_and_for_whom(places, settings):
    _, events = run(settings, epochs=8)

    last = events.of("eval")[-1]
    assert last["idealised_accuracy"] >= last["ranking_accuracy"] - 0.05
    assert 0.5 < last["ranking_accuracy"] <= 1
    (group,) = last["groups"]  # all votes of this world are of one voter
    assert (group["group"], group["rankings"]) == ("x", 8)
    assert group["accuracy"] == pytest.approx(last["accuracy"], abs=1e-3)
