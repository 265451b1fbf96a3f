"""Building the demo's models: what comes out, what is found again, and what survives an interruption."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from arena import demo_corpus
from arena.demo_corpus import HELD_OUT, Style
from arena.models import Contestant, Job, Response
from arena.services import demo, leases
from gpu_workers import children, demo_task
from gpu_workers.children import ChildFailed
from gpu_workers.demo import __main__ as command
from gpu_workers.demo.build import build
from gpu_workers.demo.muon import Muon, orthogonalised
from gpu_workers.demo.recipe import DEMO
from gpu_workers.demo.text import batches, examples, train_tokenizer
from gpu_workers.demo.training import IGNORED, Run, _tensors, new_model
from tests.gpu_workers.small import COURSE, TINY


class Heard:
    """Keeps what a build says."""

    def __init__(self, stop_after: str = "") -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.stop_after = stop_after

    def __call__(self, event: str, **values: Any) -> None:
        self.events.append((event, values))
        if event == "checkpoint" and values["name"] == self.stop_after:
            raise KeyboardInterrupt

    @property
    def names(self) -> list[str]:
        return [values["name"] for event, values in self.events if event == "checkpoint"]


def weights(folder: Path) -> dict[str, Any]:
    return {file.name: file.read_bytes() for file in folder.glob("*.safetensors")}


def test_every_entry_has_a_checkpoint_that_transformers_opens(tmp_path: Path):
    heard = Heard()

    home = build(TINY, tmp_path, heard)

    assert heard.names == ["Early", "Whole", "Wild", "Tasted"]
    for event, values in heard.events:
        if event == "checkpoint":
            folder = Path(values["folder"])
            assert AutoModelForCausalLM.from_pretrained(folder).config.model_type == "llama"
            tokenizer = AutoTokenizer.from_pretrained(folder)
            assert tokenizer.eos_token_id is not None
            assert tokenizer.decode(tokenizer.encode("Grüße 🦊")) == "Grüße 🦊"
            assert not list(folder.glob("*.bin"))
    assert sorted(entry.name for entry in home.iterdir()) == ["early", "tasted", "whole"]
    assert heard.events[-1][0] == "done"


def test_the_models_differ_and_are_the_same_each_time(tiny_models: Path, tmp_path: Path):
    again = build(TINY, tmp_path, Heard())

    made = [weights(tiny_models / name) for name in ("early", "whole", "tasted")]
    assert [weights(again / name) for name in ("early", "whole", "tasted")] == made
    assert made[0] != made[1] != made[2]


def test_a_second_build_finds_all_and_trains_nothing(tmp_path: Path):
    home = build(TINY, tmp_path, Heard())
    before = {file: file.stat().st_mtime_ns for file in home.rglob("*")}
    heard = Heard()

    build(TINY, tmp_path, heard)

    assert heard.names == ["Early", "Whole", "Wild", "Tasted"]
    assert [event for event, _ in heard.events if event == "progress"] == []
    assert {file: file.stat().st_mtime_ns for file in home.rglob("*")} == before


@pytest.mark.parametrize("last", ["Early", "Whole", "Tasted"])
def test_an_interrupted_build_goes_on_to_the_same_models(last: str, tiny_models: Path, tmp_path: Path):
    with pytest.raises(KeyboardInterrupt):
        build(TINY, tmp_path, Heard(stop_after=last))

    home = build(TINY, tmp_path, Heard())

    for name in ("early", "whole", "tasted"):
        assert weights(home / name) == weights(tiny_models / name)


def test_a_spoiled_state_and_leftovers_are_trained_over(tiny_models: Path, tmp_path: Path):
    with pytest.raises(KeyboardInterrupt):
        build(TINY, tmp_path, Heard(stop_after="Early"))
    home = tmp_path / TINY.digest()
    (home / "state.pt").write_bytes(b"half a sta")
    (home / "whole.unfinished").mkdir()
    (home / "whole.unfinished" / "model.safetensors").write_bytes(b"half a mod")
    heard = Heard()

    build(TINY, tmp_path, heard)

    assert [event for event, _ in heard.events].count("notice") == 1
    assert weights(home / "whole") == weights(tiny_models / "whole")
    assert sorted(entry.name for entry in home.iterdir()) == ["early", "tasted", "whole"]


def test_another_recipe_has_another_name():
    other = replace(TINY, course=replace(TINY.course, seed=9))

    assert len({TINY.digest(), DEMO.digest(), other.digest()}) == 3
    assert TINY.digest() == replace(TINY).digest()


def test_the_demo_s_recipe_makes_what_the_arena_needs():
    assert len(DEMO.entries) >= 5
    assert len({entry.name for entry in DEMO.entries}) == len(DEMO.entries)
    assert {entry.model for entry in DEMO.entries} == {model.name for model in DEMO.models}
    steps = [model.step for model in DEMO.models]
    assert steps == sorted(steps)
    assert steps[-1] == DEMO.course.steps  # courses on top start from the whole base


def test_no_held_out_answer_is_learned():
    tokenizer = train_tokenizer(vocabulary=400, samples=100, seed=1)
    questions = {
        wording for prompt in demo_corpus.prompts() if prompt.split == HELD_OUT for wording in prompt.wordings
    }

    for example in examples(tokenizer, count=500, style=Style(), seed=1):
        text = tokenizer.decode(example.ids[: example.prompt])
        assert text.removeprefix("<|user|> ").removesuffix("<|end|><|assistant|>") not in questions


def test_an_example_is_what_the_chat_template_writes_and_only_the_answer_is_learned():
    tokenizer = train_tokenizer(vocabulary=400, samples=100, seed=1)
    found = examples(tokenizer, count=20, style=Style(), seed=1)
    ids, labels = _tensors(found, pad=int(tokenizer.pad_token_id))

    for example, row in zip(found, labels, strict=True):
        question, _, rest = tokenizer.decode(example.ids).partition("<|end|><|assistant|>")
        messages = [{"role": "user", "content": question.removeprefix("<|user|> ")}]
        prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        assert tokenizer(prompt, add_special_tokens=False)["input_ids"] == list(example.ids[: example.prompt])
        learned = row[row != IGNORED].tolist()
        assert f" {tokenizer.decode(learned)}" == rest
        assert learned[-1] == tokenizer.eos_token_id
    assert ids.shape == labels.shape


def test_a_word_is_the_same_token_at_the_start_and_after_a_sentence(tiny_models: Path):
    tokenizer: Any = AutoTokenizer.from_pretrained(tiny_models / "whole")
    alone = tokenizer("Once there was a fox.", add_special_tokens=False)["input_ids"]
    later = tokenizer("Of course. Once there was a fox.", add_special_tokens=False)["input_ids"]

    assert later[-len(alone) :] == alone  # no token could glue it: "Of course.Once"
    assert tokenizer.decode(alone) == "Once there was a fox."
    assert tokenizer.decode(later) == "Of course. Once there was a fox."


def test_each_example_is_in_one_batch():
    tokenizer = train_tokenizer(vocabulary=400, samples=100, seed=1)
    found = examples(tokenizer, count=96, style=Style(), seed=1)

    seen = [id(example) for batch in batches(found, size=8, seed=1) for example in batch]

    assert sorted(seen) == sorted(map(id, found))


def test_training_lowers_the_loss():
    tokenizer = train_tokenizer(vocabulary=400, samples=100, seed=1)
    course = replace(COURSE, steps=40, batch=8)
    run = Run(new_model(TINY.size, tokenizer, seed=1), tokenizer, course)
    losses: list[float] = []

    run.advance(40, lambda step, loss: losses.append(loss))

    assert losses[0] > 5.5
    assert sum(losses[-5:]) / 5 < losses[0] - 1.0


def test_muon_s_updates_have_singular_values_near_one():
    torch.manual_seed(0)
    matrices = torch.randn(3, 20, 50) * torch.tensor([1e-4, 1.0, 1e4])[:, None, None]

    for found in (orthogonalised(matrices), orthogonalised(matrices.mT)):
        values = torch.linalg.svdvals(found)
        assert values.min() > 0.4
        assert values.max() < 1.4


def test_our_muon_agrees_with_pytorch_s():
    torch.manual_seed(0)
    start = torch.randn(24, 24)
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    optimizers = [Muon([ours], lr=0.02), torch.optim.Muon([theirs], lr=0.02, weight_decay=0.0, ns_steps=4)]
    for _ in range(5):
        gradient = torch.randn(24, 24)
        for parameter, optimizer in zip((ours, theirs), optimizers, strict=True):
            parameter.grad = gradient.clone()
            optimizer.step()

    # PyTorch iterates in bfloat16: two to three digits.
    moved = (theirs - start).norm()
    assert (ours - theirs).norm() < 0.03 * moved
    assert moved > 0.1


# The command and the job


@pytest.fixture
def tiny_command(tmp_path: Path) -> list[str]:
    """A command line that builds the tiny recipe as `python -m gpu_workers.demo` builds the demo's."""
    script = (
        "import sys; from gpu_workers.demo import recipe, __main__ as command; "
        "from tests.gpu_workers.small import TINY; recipe.DEMO = TINY; sys.exit(command.main(sys.argv[1:]))"
    )
    return [sys.executable, "-c", script, str(tmp_path / "models"), "--threads", "1"]


def test_the_command_needs_no_django_and_prints_json_lines(tiny_command: list[str]):
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "ARENA"))}
    script = (
        tiny_command[2].replace("sys.exit(", "code = (")
        + "; assert 'arena.settings' not in sys.modules; sys.exit(code)"
    )

    ended = subprocess.run(
        [*tiny_command[:2], script, *tiny_command[3:]], capture_output=True, text=True, env=bare, timeout=600
    )

    assert ended.returncode == 0, ended.stderr
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [event["event"] for event in events if event["event"] != "progress"] == ["checkpoint"] * 4 + [
        "done"
    ]


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "file").write_text("in the way")

    status = command.main([str(tmp_path / "file" / "models"), "--threads", "1"])

    assert status == 1
    event = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert event["event"] == "error"
    assert "Not a directory" in event["message"]


def test_a_shorter_demo_has_the_same_models_sooner():
    short = command.shortened(DEMO, 250)

    assert [model.name for model in short.models] == [model.name for model in DEMO.models]
    assert [model.step for model in short.models] == [25, 50, 100, 250, 250, 250]
    assert short.course == replace(DEMO.course, steps=250)
    assert short.digest() != DEMO.digest()


@pytest.mark.parametrize("steps", ["0", "49", "751"])
def test_a_length_that_makes_no_models_is_refused(steps: str, tmp_path: Path, capsys):
    assert command.main([str(tmp_path), "--steps", steps, "--threads", "1"]) == 1
    assert f"--steps is {steps}; it is 50 to 750." in capsys.readouterr().out


def child(script: str) -> Iterator[dict[str, Any]]:
    return children.events("tests.gpu_workers.talker", [script], check=lambda: None)


def test_a_child_s_json_lines_are_heard_and_its_chatter_is_not():
    events = list(child("print('hello'); print('[1]'); say(event='step', n=1); say(event='done')"))

    assert events == [{"event": "step", "n": 1}, {"event": "done"}]


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("say(event='error', message='No cheese.')", "No cheese."),
        ("sys.exit('It broke.')", "ended with status 1. It broke."),
        ("os.kill(os.getpid(), 9)", "ended with status -9. It wrote nothing."),
    ],
)
def test_a_child_that_fails_says_so_in_a_sentence(script: str, sentence: str):
    with pytest.raises(ChildFailed) as failure:
        list(child(script))

    assert sentence in str(failure.value)


def test_a_child_ends_when_its_job_is_to_end():
    class Enough(Exception):
        pass

    heard: list[int] = []

    def check() -> None:
        if heard:
            raise Enough

    script = (
        "say(event='pid', pid=os.getpid()); signal.signal(signal.SIGTERM, signal.SIG_DFL); time.sleep(300)"
    )
    events = children.events("tests.gpu_workers.talker", [script], check=check, seconds=0.05)
    heard.append(next(events)["pid"])

    with pytest.raises(Enough):
        next(events)

    with pytest.raises(ProcessLookupError):
        os.kill(heard[0], 0)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("loaded_children")
def test_the_job_enters_each_model_and_plans_its_responses(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    settings.CACHE_DIR = tmp_path
    settings.DATA_DIR = tmp_path
    settings.DEMO_STEPS = 60
    asked: list[Any] = []
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    real = children.events
    monkeypatch.setattr(
        demo_task,
        "events",
        lambda module, arguments, check: (
            asked.append(arguments) or real("tests.gpu_workers.tiny", arguments[:1], check=check)
        ),
    )
    seed = demo.seed_demo()
    (job,) = seed.jobs

    leases.work_on(job.pk, demo_task.build_models)

    job.refresh_from_db()
    assert asked == [[str(tmp_path / "demo-models"), "--steps", "60"]]
    assert (job.state, job.error) == (Job.State.DONE, "")
    assert job.result["contestants"] == ["Early", "Whole", "Wild", "Tasted"]
    entered = {one.name: one for one in Contestant.objects.filter(arena=seed.arena)}
    assert sorted(entered) == ["Early", "Tasted", "Whole", "Wild"]
    assert entered["Wild"].parameters == {"temperature": 2.0, "max_new_tokens": 12}
    assert entered["Wild"].checkpoint == entered["Whole"].checkpoint
    assert Job.objects.filter(kind=Job.Kind.GENERATE).count() == 4
    assert not Response.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("loaded_children")
def test_a_build_that_fails_fails_its_job_in_a_sentence(settings: Any, tmp_path: Path):
    (tmp_path / "cache").write_text("a file in the way")
    settings.CACHE_DIR = tmp_path / "cache"
    settings.DATA_DIR = tmp_path
    (job,) = demo.seed_demo().jobs

    leases.work_on(job.pk, demo_task.build_models)

    job.refresh_from_db()
    assert job.state == Job.State.FAILED
    assert job.error.startswith("The demo's models could not be built. Not a directory")
    assert not Contestant.objects.exists()
