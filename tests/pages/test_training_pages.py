"""Before, during and after a training run, on its pages."""

import csv
import io
import json
import re
import shutil
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from arena.models import (
    Arena,
    AuditEntry,
    Contestant,
    DataSet,
    Job,
    TrainingMetric,
    TrainingRun,
    Vote,
)
from arena.services import training_settings
from arena.services.data_sets import data_set_folder, write_data_set
from arena.services.training import complete_training, end_training, request_training, run_folder
from arena.services.votes import rule_on_vote
from tests import factories
from tests.pages.test_work import PARAMETERS, base, data_set, voted  # noqa: F401  # fixtures

SUMMARY = {
    "steps": 12,
    "rankings": 10,
    "tokens_per_second": 900.0,
    "before": {"accuracy": 0.5, "loss": 1.5},
    "after": {
        "accuracy": 0.8125,
        "accuracy_se": 0.04,
        "rankings": 40,
        "loss": 1.1,
        "groups": [
            {"group": "red", "rankings": 3, "accuracy": 0.9},
            {"group": "blue", "rankings": 3, "accuracy": 0.6},
        ],
    },
    "fresh": {
        "samples": 16,
        "sequence_kl": 1.75,
        "sequence_kl_se": 0.4,
        "win_rate": 0.61,
        "repetition": 0.02,
    },
}
MANIFEST = {part: {"sha256": part[0] * 64} for part in ("base", "data", "code", "result")}


@pytest.fixture(autouse=True)
def _runs_of_this_test(settings, tmp_path):
    settings.RUNS_DIR = tmp_path / "runs"


@pytest.fixture
def form(base: Contestant, data_set: DataSet) -> dict[str, Any]:  # noqa: F811
    head = json.dumps({"w": {"dtype": "F32", "shape": [1000, 500], "data_offsets": [0, 1]}}).encode()
    (Path(base.checkpoint) / "model.safetensors").write_bytes(struct.pack("<Q", len(head)) + head)
    return {"base": base.pk, "data_set": data_set.pk, "objective": "dpo", **PARAMETERS}


def make_run(base: Contestant, data_set: DataSet, name: str, **changes: Any) -> TrainingRun:  # noqa: F811
    """A run that has come to its end, with weights on the disk."""
    run = request_training(base=base, data_set=data_set, name=name, **changes)
    folder = run_folder(run) / "model"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "config.json").write_text("{}")
    if run.objective.startswith("reward-"):
        end_training(run, summary=SUMMARY, manifest=MANIFEST)
    else:
        complete_training(run, summary=SUMMARY, manifest=MANIFEST, checkpoint=folder)
    run.refresh_from_db()
    return run


def page(client: Client, arena: Arena, path: str = "") -> str:
    response = client.get(f"/arenas/{arena.slug}/training-runs/{path}")
    assert response.status_code == 200
    return response.content.decode()


def votes_page(client: Client, arena: Arena, query: str = "") -> str:
    response = client.get(f"/arenas/{arena.slug}/manage/votes/{query}")
    assert response.status_code == 200
    return response.content.decode()


def test_looking_first_shows_data_costs_and_settings_and_starts_nothing(grace_in, voted, form):  # noqa: F811
    response = grace_in.post(f"/arenas/{voted.slug}/training-runs/", {**form, "action": "check"})

    shown = response.content.decode()
    assert response.status_code == 200
    assert "Rankings to learn from" in shown
    assert "500000" in shown.replace(",", "")  # parameters, from the head of the file
    assert "Under a hundred rankings" in shown
    assert "Use these settings" in shown
    assert 'name="objective" value="adpo-list"' in shown  # rankings of four
    assert not TrainingRun.objects.exists()


def test_the_suggested_settings_fill_the_form(grace_in, voted, form):  # noqa: F811
    shown = page(grace_in, voted, f"?base={form['base']}&beta=0.2&objective=adpo-list&batch_size=4")

    assert '<option value="adpo-list" selected>' in shown
    assert 'name="beta" value="0.2"' in shown


def test_the_form_begins_with_what_the_plan_suggests(grace_in, voted, base, data_set):  # noqa: F811
    shown = page(grace_in, voted)

    assert '<option value="adpo-list" selected>' in shown
    assert 'name="beta" value="0.3"' in shown  # few rankings
    assert 'name="epochs" value="4"' in shown


def test_the_form_begins_with_an_objectives_options_as_they_are_written(grace_in, voted, base, form):  # noqa: F811
    for prompt in voted.prompts.all():
        for ranks in [[4, 3, 2, 1]] * 4:  # against every vote there is
            factories.make_vote(voted, ranks, prompt=prompt)
    grace_in.post(f"/arenas/{voted.slug}/data-sets/", {"formats": ["kwise"]})
    asked = {**form, "data_set": write_data_set(DataSet.objects.latest("number")).pk}

    begun = page(grace_in, voted, f"?base={base.pk}&data_set={asked['data_set']}")
    looked = grace_in.post(f"/arenas/{voted.slug}/training-runs/", {**asked, "action": "check"})

    assert '<option value="dpo" selected>' in begun
    for shown in (begun, looked.content.decode()):
        assert re.search(r'name="objective_options" value="label_smoothing=0\.\d+"', shown)


def test_the_form_is_there_where_the_data_set_s_files_are_gone(grace_in, voted, base, data_set):  # noqa: F811
    shutil.rmtree(data_set_folder(data_set))

    assert 'name="objective"' in page(grace_in, voted)


def test_a_dry_run_is_a_run_that_makes_no_contestant(grace_in, voted, form):  # noqa: F811
    grace_in.post(f"/arenas/{voted.slug}/training-runs/", {**form, "action": "dry-run"})

    run = TrainingRun.objects.get()
    assert run.parameters["dry_run"] is True
    told = {"dry_run": True, "steps": 4, "estimated_seconds": 200, "peak_memory_bytes": 2**30}
    end_training(run, summary={**told, "tokens_per_second": 50.0}, manifest={})
    shown = page(grace_in, voted, f"{run.pk}/")
    assert "3 minutes" in shown
    assert "1.0\xa0GB" in shown
    assert not Contestant.objects.filter(parent__isnull=False).exists()


def test_the_page_offers_every_setting_of_the_trainer(grace_in, voted):  # noqa: F811
    offered = set(re.findall(r'name="(\w+)"', page(grace_in, voted)))

    settings = {*training_settings.PARAMETERS, *training_settings.CHOICES, *training_settings.SWITCHES}
    # A dry run has a button; how often the state is saved is the worker's affair.
    assert settings - offered == {"dry_run", "checkpoint_every_seconds", "checkpoint_every_steps"}


def test_further_settings_reach_the_run(grace_in, voted, form):  # noqa: F811
    further = {
        "objective_options": "label_smoothing=0.1",
        "vote_weights": ["confidence"],
        "credit": "spans",
        "merge_votes": "on",
        "method": "lora",
        "lora_r": "8",
        "lora_alpha": "32",  # as it is without a word
        "criteria": "",
        "max_length": "256",
        "eval_every_steps": "5",
        "kl_prompts": "0",
        "warmup": "0.1",  # as it is without a word
        "dtype": "auto",
        "schedule": "linear",
    }

    grace_in.post(f"/arenas/{voted.slug}/training-runs/", {**form, **further})

    parameters = TrainingRun.objects.get().parameters
    assert parameters["objective_options"] == {"label_smoothing": 0.1}
    assert (parameters["vote_weights"], parameters["merge_votes"]) == (["confidence"], True)
    assert (parameters["credit"], parameters["method"]) == ("spans", "lora")
    assert parameters["lora"] == {"r": 8}
    assert [parameters[name] for name in ("max_length", "eval_every_steps", "kl_prompts")] == [256, 5, 0]
    assert parameters["schedule"] == "linear"
    # What is usual is not written down.
    assert not {"curriculum", "warmup", "dtype", "criteria", "reward_model"} & parameters.keys()


def test_the_criteria_of_the_arena_are_named_where_they_are_weighed(grace_in, voted, form):  # noqa: F811
    voted.judgement = {"criteria": [{"key": "style", "label": "Style"}]}
    voted.save()

    assert "overall=1, style=0.5" in page(grace_in, voted)
    grace_in.post(f"/arenas/{voted.slug}/training-runs/", {**form, "criteria": "overall=1, style=0.5"})

    assert TrainingRun.objects.get().parameters["criteria"] == {"overall": 1.0, "style": 0.5}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"objective_options": "tau:2"}, "is not name=number"),
        ({"objective_options": "label_smothing=0.1"}, "Did you mean label_smoothing?"),
        (
            {"objective": "ipo", "objective_options": "tau=2"},
            "ipo has no option &#x27;tau&#x27;. It has none.",
        ),
        ({"merge_votes": "on", "criteria": "overall=1"}, "Set merge_votes or criteria, not both"),
        ({"objective": "madpo"}, "madpo needs a reward model. Train one first"),
        ({"reward_model": "999"}, "not one of the available choices"),
    ],
)
def test_a_wrong_setting_is_named_and_the_form_keeps_the_rest(grace_in, voted, form, change, sentence):  # noqa: F811
    response = grace_in.post(f"/arenas/{voted.slug}/training-runs/", {**form, "name": "Mine", **change})

    assert response.status_code == 400
    assert sentence in response.content.decode()
    assert 'value="Mine"' in response.content.decode()
    assert not TrainingRun.objects.exists()


def test_a_finished_run_tells_before_and_after_and_gives_its_files(grace_in, voted, base, data_set):  # noqa: F811
    run = make_run(base, data_set, "Tuned")

    shown = page(grace_in, voted, f"{run.pk}/")
    assert "0.8125" in shown
    assert "On 40 held-out rankings" in shown
    assert "0.734 to 0.891" in shown  # 0.8125 ± 1.96 × 0.04
    assert "81% in the voters" in shown  # and in a sentence
    assert "That is more than guessing." in shown
    assert "Sequence KL from the base" in shown
    assert "0.966 to 2.534" in shown
    assert "By annotator group" in shown
    address = f"/arenas/{voted.slug}/training-runs/{run.pk}"
    zipped = b"".join(grace_in.get(f"{address}/model.zip").streaming_content)
    names = zipfile.ZipFile(io.BytesIO(zipped)).namelist()
    assert f"{voted.slug}-{run.pk}-model/model.safetensors" in names
    assert f"{voted.slug}-{run.pk}-model/README.md" in names
    assert grace_in.get(f"{address}/adapter.zip").status_code == 404  # all weights were trained
    assert grace_in.get(f"{address}/state.zip").status_code == 404
    assert grace_in.post(f"{address}/model.zip").status_code == 405


def test_the_model_card_has_lineage_hashes_and_rights(grace_in, voted, base, data_set):  # noqa: F811
    first = make_run(base, data_set, "First")
    assert first.result is not None
    second = make_run(first.result, data_set, "Second", objective="dpo")

    card = grace_in.get(f"/arenas/{voted.slug}/training-runs/{second.pk}/README.md").content.decode()

    assert "# Second" in card
    assert "1. Second: dpo on data set 1, from First\n1. First: adpo-list on data set 1, from Base" in card
    assert f"| result sha256 | `{'r' * 64}` |" in card
    assert "It carries the licence of Base" in card
    assert "No licence is named beside that base" in card
    assert "| accuracy | 0.5 | 0.8125 |" in card


def test_no_card_before_there_is_a_checkpoint(grace_in, voted, base, data_set):  # noqa: F811
    run = request_training(base=base, data_set=data_set)

    assert grace_in.get(f"/arenas/{voted.slug}/training-runs/{run.pk}/README.md").status_code == 404


def test_runs_are_compared_by_what_differs(grace_in, voted, base, data_set):  # noqa: F811
    one = make_run(base, data_set, "One", parameters={"beta": 0.1, "epochs": 2})
    two = make_run(base, data_set, "Two", parameters={"beta": 0.5, "epochs": 2})
    for step in range(3):
        TrainingMetric.objects.create(run=one, step=step, values={"loss": 1.0 - step / 10})

    shown = page(grace_in, voted, f"compare/?run={one.pk}&run={two.pk}")

    assert ">Beta<" in shown
    assert ">Epochs<" not in shown  # the same in both
    assert "0.8125" in shown
    assert "curve-plot" in shown
    assert "Choose two to four runs" in page(grace_in, voted, f"compare/?run={one.pk}&run=x&run=999")


def test_a_retracted_vote_is_traced_to_its_data_sets_and_descendants(grace_in, grace, voted, base, data_set):  # noqa: F811
    run = make_run(base, data_set, "Tuned")
    assert run.result is not None
    child = make_run(run.result, data_set, "Grandchild")
    vote = Vote.objects.order_by("pk").first()
    assert vote is not None
    assert "retracted since" not in page(grace_in, voted, f"{run.pk}/")

    rule_on_vote(vote=vote, action="withdrawn", reason="asked for it", by=grace)

    assert "1 vote of its data set was retracted since" in page(grace_in, voted, f"{run.pk}/")
    for contestant in (run.result, child.result):
        told = grace_in.get(f"/arenas/{voted.slug}/contestants/{contestant.pk}/").content.decode()
        assert "Contains 1 vote withdrawn since" in told
    assert (
        "withdrawn since" not in grace_in.get(f"/arenas/{voted.slug}/contestants/{base.pk}/").content.decode()
    )
    shown = votes_page(grace_in, voted, f"?vote={vote.pk}")
    assert f"Vote {vote.pk} was taken out of the count." in shown
    for contestant in (run.result, child.result):
        assert f"/contestants/{contestant.pk}/" in shown.split("learnt from it")[1]
    assert "has no vote 99999" in votes_page(grace_in, voted, "?vote=99999")


def test_a_reward_model_is_no_contestant_and_can_be_chosen(grace_in, voted, form, base, data_set):  # noqa: F811
    judge = make_run(base, data_set, "Judge", objective="reward-bradley-terry")

    grace_in.post(
        f"/arenas/{voted.slug}/training-runs/", {**form, "objective": "madpo", "reward_model": judge.pk}
    )

    run = TrainingRun.objects.get(objective="madpo")
    assert run.parameters["reward_model"] == judge.pk
    assert not Contestant.objects.filter(name="Judge").exists()
    assert "Reward model" in page(grace_in, voted)


def test_a_winner_that_falls_is_explained(grace_in, voted, base, data_set):  # noqa: F811
    run = request_training(base=base, data_set=data_set)
    for step in range(6):
        TrainingMetric.objects.create(
            run=run, step=step, values={"loss": 1.0, "winner_log_ratio": -float(step)}
        )

    assert "becoming less likely than under the base" in page(grace_in, voted, f"{run.pk}/")


def test_a_plan_tells_the_time_of_a_run_like_an_earlier_one(grace_in, voted, form, base, data_set):  # noqa: F811
    make_run(base, data_set, "Earlier")
    TrainingRun.objects.update(completed_at=timezone.now())

    shown = grace_in.post(
        f"/arenas/{voted.slug}/training-runs/", {**form, "action": "check"}
    ).content.decode()

    assert "by the speed of one earlier run; reckon with half to twice" in shown
    assert "rule of thumb" in shown


def test_a_plan_tells_how_far_earlier_runs_differ(grace_in, voted, form, base, data_set):  # noqa: F811
    for name, speed in (("Slow", 100.0), ("Quick", 400.0), ("Usual", 200.0)):
        run = make_run(base, data_set, name)
        TrainingRun.objects.filter(pk=run.pk).update(summary={**SUMMARY, "tokens_per_second": speed})

    shown = grace_in.post(
        f"/arenas/{voted.slug}/training-runs/", {**form, "action": "check"}
    ).content.decode()

    told = re.search(
        r"(\d+) seconds?, by the speed of 3 earlier runs \((\d+) seconds? to (\d+) seconds?\)", shown
    )
    assert told is not None
    middle, least, most = map(int, told.groups())
    assert least < middle < most


def test_the_card_names_the_licence_that_stands_beside_the_base(grace_in, voted, base, data_set):  # noqa: F811
    head = "---\ntags: [small]\nlicense: apache-2.0\n---\n# Base\nlicense: none of this\n"
    (Path(base.checkpoint) / "README.md").write_text(head)
    first = make_run(base, data_set, "First")
    assert first.result is not None
    second = make_run(first.result, data_set, "Second")

    card = grace_in.get(f"/arenas/{voted.slug}/training-runs/{second.pk}/README.md").content.decode()

    assert card.startswith("---\nlibrary_name: transformers\n")
    assert "\nlicense: apache-2.0\n" in card.split("\n---\n")[0]
    assert "Base, is under the licence apache-2.0" in card
    assert "base_model" not in card  # a folder of this machine is no name that others know


def test_a_zip_carries_our_card_and_not_another_tools(grace_in, voted, base, data_set):  # noqa: F811
    run = make_run(base, data_set, "Tuned")
    adapter = run_folder(run) / "adapter"
    adapter.mkdir()
    (adapter / "README.md").write_text("[More Information Needed]")
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")

    sent = grace_in.get(f"/arenas/{voted.slug}/training-runs/{run.pk}/adapter.zip")

    with zipfile.ZipFile(io.BytesIO(b"".join(sent.streaming_content))) as archive:
        names = [name.rpartition("/")[2] for name in archive.namelist()]
        card = archive.read(archive.namelist()[0]).decode()
    assert sorted(names) == ["README.md", "adapter_model.safetensors"]
    assert "library_name: peft" in card
    assert "More Information Needed" not in card


def test_a_result_that_is_held_back_is_promoted_by_a_lead_once(grace_in, grace, voted, base, data_set):  # noqa: F811
    run = make_run(base, data_set, "Held", held_back=True)
    assert run.result is None
    assert "The result is held back" in page(grace_in, voted, f"{run.pk}/")
    assert "Held back" in page(grace_in, voted)
    other = make_run(base, data_set, "Entered", parameters={"beta": 0.7})
    compared = page(grace_in, voted, f"compare/?run={run.pk}&run={other.pk}")
    assert "Promote Held to contestant" in compared
    assert "Promote Entered" not in compared

    for _again in range(2):
        grace_in.post(f"/arenas/{voted.slug}/training-runs/{run.pk}/promote/")

    run.refresh_from_db()
    assert run.result is not None
    assert run.result.parent == base
    assert Contestant.objects.filter(name__startswith="Held").count() == 1
    entry = AuditEntry.objects.get(action="training run promoted")
    assert (entry.actor, entry.details) == (grace, {"contestant": run.result.pk})
    assert Job.objects.filter(kind=Job.Kind.GENERATE, payload__contestant=run.result.pk).exists()


@pytest.mark.parametrize(
    ("objective", "ended", "sentence"),
    [("dpo", False, "has not come to its end yet"), ("reward-bradley-terry", True, "makes no contestant")],
)
def test_what_has_no_result_is_not_promoted(grace_in, voted, base, data_set, objective, ended, sentence):  # noqa: F811
    if ended:
        run = make_run(base, data_set, "Held", held_back=True, objective=objective)
    else:
        run = request_training(base=base, data_set=data_set, held_back=True, objective=objective)

    answer = grace_in.post(f"/arenas/{voted.slug}/training-runs/{run.pk}/promote/", follow=True)

    assert sentence in answer.content.decode()
    run.refresh_from_db()
    assert run.result is None


def test_the_verdict_of_the_arena_stands_beside_the_trainer_s_figures(grace_in, voted, base, data_set):  # noqa: F811
    run = make_run(base, data_set, "Tuned")
    assert run.result is not None
    assert "verdict is still to come" in page(grace_in, voted, f"{run.pk}/")

    for _vote in range(3):
        factories.make_vote(voted, contestants=[run.result, base], ranks=[1, 2])

    shown = page(grace_in, voted, f"{run.pk}/").partition("The arena's own verdict")[2]
    assert shown.index(">Tuned<") < shown.index(">Base<")
    assert re.search(r"The votes are \d+ % sure that Tuned is better than Base.", shown)
    assert re.search(r"\d+ points apart, between -?\d+ and \d+.", shown)


def test_every_figure_of_every_step_is_downloaded_as_csv(grace_in, voted, base, data_set):  # noqa: F811
    run = request_training(base=base, data_set=data_set)
    TrainingMetric.objects.create(run=run, step=0, values={"eval_loss": 2.5})
    TrainingMetric.objects.create(run=run, step=1, values={"loss": 2.0, "rewards_by_place": [0.5, None]})

    sent = grace_in.get(f"/arenas/{voted.slug}/training-runs/{run.pk}/figures.csv").content.decode()

    rows = list(csv.DictReader(io.StringIO(sent)))
    assert [row["step"] for row in rows] == ["0", "1"]
    assert (rows[0]["eval_loss"], rows[0]["loss"]) == ("2.5", "")
    assert json.loads(rows[1]["rewards_by_place"]) == [0.5, None]


def test_what_was_left_as_usual_is_told_too(grace_in, voted, base, data_set):  # noqa: F811
    run = request_training(base=base, data_set=data_set, objective="dpo", parameters={"beta": 0.4})

    chosen, _, usual = page(grace_in, voted, f"{run.pk}/").partition("What was left as usual")

    assert '<dt>Beta</dt><dd class="number">0.4</dd>' in chosen
    assert '<dt>Learning rate</dt><dd class="number">0.0003</dd>' in usual
    assert "<dt>Beta</dt>" not in usual


def test_a_reward_model_s_rewards_are_not_taken_for_probabilities(grace_in, voted, base, data_set):  # noqa: F811
    run = request_training(base=base, data_set=data_set, objective="reward-bradley-terry")
    for step in range(6):
        TrainingMetric.objects.create(run=run, step=step, values={"loss": 1.0, "winner_log_ratio": -5.0})

    shown = page(grace_in, voted, f"{run.pk}/")

    assert "becoming less likely" not in shown
    assert "Log-probability" not in shown


def test_a_run_s_settings_fill_the_next_form(grace_in, voted, base, data_set):  # noqa: F811
    parameters = {
        "dry_run": True,
        "beta": 0.7,
        "vote_weights": ["confidence", "strength"],
        "objective_options": {"alpha": 0.2},
        "merge_votes": True,
        "lora": {"r": 4},
        "warmup": 0.25,
        "kl_prompts": 0,
        "schedule": "linear",
    }
    run = request_training(
        base=base, data_set=data_set, objective="cpo", parameters=parameters, held_back=True
    )
    end_training(run, summary={"dry_run": True, "estimated_seconds": 9, "steps": 2}, manifest={})
    told = page(grace_in, voted, f"{run.pk}/")
    query = told.split("/training-runs/?", 1)[1].split("#", 1)[0].replace("&amp;", "&")

    shown = page(grace_in, voted, f"?{query}")

    assert '<option value="cpo" selected>' in shown
    assert 'name="beta" value="0.7"' in shown
    assert 'name="objective_options" value="alpha=0.2"' in shown
    for name, value in (("lora_r", "4"), ("warmup", "0.25"), ("kl_prompts", "0")):
        assert f'name="{name}" value="{value}"' in shown
    assert '<option value="linear" selected>' in shown
    assert shown.count(" checked") == 4  # two weights, merged votes, held back
    assert "dry_run" not in query


def test_a_lead_takes_a_vote_out_of_the_count_and_puts_it_back(grace_in, voted):  # noqa: F811
    vote = Vote.objects.order_by("pk").first()
    assert vote is not None
    assert "Out of the count" not in votes_page(grace_in, voted)

    address = f"/arenas/{voted.slug}/manage/votes/{vote.pk}/rule/"
    refused = grace_in.post(address, {"action": "quarantined", "reason": " "}, follow=True)
    assert "Give the reason" in refused.content.decode()
    assert Vote.objects.counted().filter(pk=vote.pk).exists()

    said = grace_in.post(address, {"action": "quarantined", "reason": "asleep"}, follow=True).content.decode()
    assert f"Vote {vote.pk} is out of the count now." in said
    assert "asleep" in said
    assert not Vote.objects.counted().filter(pk=vote.pk).exists()
    assert "Out of the count" in votes_page(grace_in, voted, f"?before={vote.pk + 1}")

    grace_in.post(address, {"action": "restored", "reason": "awake after all"})
    assert Vote.objects.counted().filter(pk=vote.pk).exists()


def test_a_vote_of_another_arena_is_not_ruled_on(grace_in, voted, closed_arena):  # noqa: F811
    other = factories.make_vote(closed_arena)

    answer = grace_in.post(
        f"/arenas/{voted.slug}/manage/votes/{other.pk}/rule/", {"action": "quarantined", "reason": "no"}
    )

    assert answer.status_code == 404
    assert Vote.objects.counted().filter(pk=other.pk).exists()


def test_votes_are_listed_from_the_newest_in_parts(grace_in, voted):  # noqa: F811
    votes = [factories.make_vote(voted).pk for _vote in range(26)]

    first = votes_page(grace_in, voted)
    assert f">Vote {votes[-1]}<" in first
    assert f">Vote {votes[0]}<" not in first
    assert f">Vote {votes[0]}<" in votes_page(grace_in, voted, f"?before={votes[1]}")
    assert votes_page(grace_in, voted, "?before=x&vote=x")


def test_a_reward_model_chooses_of_a_data_set_s_votes(grace_in, voted, base, data_set):  # noqa: F811
    address = f"/arenas/{voted.slug}/data-sets/{data_set.number}/"
    assert "There is no reward model yet" in grace_in.get(address).content.decode()
    judge = make_run(base, data_set, "Taster", objective="reward-bradley-terry")
    body = {"reward_model": judge.pk, "keep": "agreeing", "least": "0.25"}

    refused = grace_in.post(address, {**body, "least": "2"})
    answer = grace_in.post(address, body)

    assert refused.status_code == 400
    curated = DataSet.objects.latest("number")
    assert answer["Location"].endswith(f"/data-sets/{curated.number}/")
    assert curated.filters["curation"] == {
        "of": data_set.number, "run": judge.pk, "by": "Taster", "keep": "agreeing", "least": 0.25
    }  # fmt: skip
    assert curated.job.kind == Job.Kind.CURATE
    assert "chosen by Taster" in grace_in.get(f"/arenas/{voted.slug}/data-sets/").content.decode()
    assert "Have it choose" not in grace_in.get(answer["Location"]).content.decode()


def test_weights_and_adapter_are_downloaded_with_a_token_too(grace, mallory, voted, base, data_set):  # noqa: F811
    run = make_run(base, data_set, "Tuned")
    address = f"/api/v1/training-runs/{run.pk}/download"
    client = APIClient()
    client.force_authenticate(grace)

    sent = client.get(f"{address}/model/")

    with zipfile.ZipFile(io.BytesIO(b"".join(sent.streaming_content))) as archive:
        assert {"README.md", "model.safetensors"} <= {name.rpartition("/")[2] for name in archive.namelist()}
    assert client.get(f"{address}/adapter/").status_code == 404  # all weights were trained
    assert client.get(f"{address}/state/").status_code == 404
    client.force_authenticate(mallory)
    assert client.get(f"{address}/model/").status_code == 404
