"""Reward models: trained by the same run, opened again, and used."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from arena.models import Job, Vote
from arena.services import judges, leases
from arena.services.battles import slots_of
from gpu_workers.curate import curate, main
from gpu_workers.judge_task import judge_battles
from gpu_workers.kwise.config import TrainingConfig, parse_config
from gpu_workers.kwise.data import Ranking, read_rankings
from gpu_workers.kwise.errors import TrainingError
from gpu_workers.kwise.models import Base, open_base, revision_hash
from gpu_workers.kwise.objectives import OBJECTIVES
from gpu_workers.kwise.reward_model import RewardModel, add_reward_head, given_by_head
from gpu_workers.kwise.trainer import train
from tests import factories
from tests.gpu_workers import kwise_world as world
from tests.gpu_workers.test_kwise_scoring import make_rankings
from tests.gpu_workers.test_train import Events


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("rewards")
    world.write_base(folder / "base")
    rows = world.rankings_by_shortness(128), world.rankings_by_shortness(8, seed=9)
    world.write_data_set(folder / "data", *rows)
    return {"base": str(folder / "base"), "data": str(folder / "data")}


def train_judge(places: dict[str, str], output: Path, **changes: Any) -> tuple[RewardModel, Events]:
    events = Events()
    settings = {**places, "output": str(output), "threads": 1, "learning_rate": 3e-3, "epochs": 10, **changes}
    config = parse_config(settings)
    train(config, events)
    return RewardModel.open(output / "model", config), events


@pytest.fixture(scope="module")
def judge(places, tmp_path_factory) -> tuple[RewardModel, Events, Path]:
    """A reward model that has learnt to like short answers."""
    torch.set_num_threads(1)
    output = tmp_path_factory.mktemp("judge")
    return *train_judge(places, output, objective="reward-bradley-terry"), output / "model"


def test_a_reward_model_learns_the_voters_order_and_opens_again(judge, places):
    model, events, folder = judge

    assert events.of("step")[-1]["accuracy"] > 0.85
    assert not events.of("reference")  # there is none to score
    held_out = read_rankings(Path(places["data"])).held_out
    rewards = model.score(held_out)
    right = [
        rewards[n][i] > rewards[n][j]
        for n, ranking in enumerate(held_out)
        for i, one in enumerate(ranking.ranks)
        for j, other in enumerate(ranking.ranks)
        if one < other
    ]
    assert sum(right) / len(right) == pytest.approx(events.of("eval")[-1]["accuracy"], abs=0.02)
    assert sum(right) / len(right) > 0.8
    why = [{"role": "user", "content": "why"}]
    assert model.prefers(why, "the cat", "the cat sees a big dog you like the moon") > 0.6
    assert (folder / "model.safetensors").is_file()  # a checkpoint like any other, and the head beside it
    assert json.loads((folder / "reward.json").read_text())["objective"] == "reward-bradley-terry"


@pytest.mark.parametrize("objective", ["reward-gpm", "reward-mixture", "reward-plackett-luce"])
def test_each_kind_of_reward_model_can_be_trained_and_asked(places, tmp_path, objective):
    model, events = train_judge(places, tmp_path / "out", objective=objective, method="lora")

    steps = [said["loss"] for said in events.of("step")]
    assert sum(steps[-3:]) < sum(steps[:3])
    pair = Ranking("v", "p", ({"role": "user", "content": "why"},), None, ("the cat", "a dog sees"), (1, 2))
    (rewards,) = model.score([pair])
    assert len(rewards) == 2
    assert rewards[0] != rewards[1]


def test_the_head_sees_the_same_state_packed_or_one_by_one(tmp_path):
    model = world.make_model().double()
    base = Base(model, None, "", tmp_path, torch.device("cpu"), torch.float32, torch.float32)
    add_reward_head(base, OBJECTIVES["reward-mixture"], seed=1)
    model.reward_head.double()
    rankings = make_rankings()

    with torch.no_grad():
        packed, plain = (given_by_head(model, rankings, 4, packed=packed) for packed in (True, False))

    assert torch.allclose(packed, plain, atol=1e-6)
    assert packed.shape == (4, 4, 8)
    assert packed[1, 2:].abs().max() == 0  # the ranking of two has no third and fourth
    # The gate is of the prompt alone.
    assert torch.allclose(packed[0, 0, 4:], packed[0, 3, 4:], atol=1e-6)


@pytest.mark.parametrize("objective", ["madpo", "reward-gap", "modpo"])
def test_an_objective_takes_explicit_rewards_from_a_named_reward_model(judge, places, tmp_path, objective):
    events = Events()
    settings = {**places, "output": str(tmp_path / "out"), "objective": objective, "threads": 1, "epochs": 1}

    train(parse_config({**settings, "reward_model": str(judge[2]), "kl_prompts": 4}), events)

    assert events[-1]["event"] == "done"
    assert 0 <= events[-1]["summary"]["fresh"]["win_rate"] <= 1
    with pytest.raises(TrainingError, match=f"{objective} needs explicit rewards. Set reward_model"):
        train(parse_config({**settings, "output": str(tmp_path / "other")}), events)
    assert not (tmp_path / "other").exists()


def test_a_folder_that_is_no_reward_model_is_refused(places, tmp_path):
    like = TrainingConfig(**places, output=str(tmp_path))

    with pytest.raises(TrainingError, match="holds no reward model"):
        RewardModel.open(Path(places["base"]), like)
    assert open_base(like).model is not None  # though it is a checkpoint


@pytest.mark.django_db
def test_a_reward_model_trained_here_judges_battles_as_a_voter_of_its_own(judge):
    arena = factories.make_arena("garden", k=3)
    prompt = factories.make_prompt(arena, "why")
    texts = ("the cat", "the cat sees a big dog you like the moon", "the cat sees a")
    for text in texts:
        factories.make_response(prompt, factories.make_contestant(arena), text)
    one = judges.create_judge(arena=arena, name="Taste", method="reward", checkpoint=str(judge[2]))

    job = judges.plan_judging(judge=one, limit=1)
    leases.work_on(job.pk, judge_battles)

    job.refresh_from_db()
    assert (job.state, job.result) == (Job.State.DONE, {"judged": 1, "abstained": 0})
    vote = Vote.objects.get()
    assert vote.voter == one.voter
    shown = {slot.response.text: rank for slot, rank in zip(slots_of(vote.battle), vote.ranks, strict=True)}
    assert shown[texts[0]] < shown[texts[1]]  # it has learnt to like short answers
    assert len(vote.details["judge"]["scores"]) == 3


@pytest.mark.django_db
def test_a_judge_that_is_no_reward_model_fails_in_one_sentence(places):
    arena = factories.make_pool(contestants=2, prompts=1, k=2)
    one = judges.create_judge(arena=arena, name="Base", method="reward", checkpoint="/nowhere/at/all")

    job = judges.plan_judging(judge=one, limit=1)
    leases.work_on(job.pk, judge_battles)

    job.refresh_from_db()
    assert job.state == Job.State.FAILED
    assert "/nowhere/at/all" in job.error
    assert not Vote.objects.exists()


def test_votes_that_the_reward_model_finds_unlikely_are_left_out(judge, places, tmp_path):
    rows = world.rankings_by_shortness(40, seed=3)
    slips = {row["vote_id"] for row in rows[:8]}
    for row in rows[:8]:
        row["ranks"] = [1 + sum(other > rank for other in row["ranks"]) for rank in row["ranks"]]
    data = world.write_data_set(tmp_path / "data", rows, rows[:2])

    told = curate(data, judge[2], tmp_path / "kept", least=0.5)

    kept = read_rankings(tmp_path / "kept")
    left = {row["vote_id"] for row in rows} - {one.vote_id for one in kept.train}
    assert (told["votes"], told["kept"]) == (40, len(kept.train))
    assert len(left & slips) >= 6
    assert len(left - slips) <= 4
    assert len(kept.held_out) == 2  # as they were
    manifest = json.loads((tmp_path / "kept" / "manifest.json").read_text())
    assert manifest["curated"]["reward_model_sha256"] == revision_hash(judge[2])


def test_best_of_n_says_that_a_model_chose(judge, tmp_path):
    rows = world.rankings_by_shortness(6, seed=4)
    for row in rows:
        row["prompt_id"], row["messages"] = "one", rows[0]["messages"]
    data = world.write_data_set(tmp_path / "data", rows)

    curate(data, judge[2], tmp_path / "best", keep="best-of-n")

    (best,) = read_rankings(tmp_path / "best").train
    assert best.voter == f"reward model {revision_hash(judge[2])[:12]}"
    rewards = judge[0].score(read_rankings(data, uses_ties=True).train)
    texts = [response["text"] for row in rows for response in row["responses"]]
    by_text = dict(zip(texts, [one for row in rewards for one in row], strict=True))
    assert best.texts == (max(by_text, key=by_text.__getitem__), min(by_text, key=by_text.__getitem__))
    assert len(best.texts[0].split()) < len(best.texts[1].split())  # it has learnt to like short answers


def test_what_cannot_be_curated_is_refused_and_nothing_is_written(judge, places, tmp_path, capsys):
    data, model, output = places["data"], str(judge[2]), tmp_path / "out"

    for arguments, sentence in (
        ([str(tmp_path / "gone"), model, str(output)], "There is no data set folder"),
        ([data, places["base"], str(output)], "holds no reward model"),
        ([data, model, str(output), "--least", "1"], "No vote of"),
        ([data, model, str(output), "--least", "2"], "from 0 to 1"),
        ([data, model, str(tmp_path)], "Choose another folder"),
    ):
        assert main(arguments) == 1
        assert sentence in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
