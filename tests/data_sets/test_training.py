import pytest

from arena.errors import BadInput
from arena.models import Contestant, Job, TrainingMetric, TrainingRun
from arena.services.data_sets import data_set_folder, request_data_set
from arena.services.training import (
    complete_training,
    record_metric,
    request_training,
    run_config,
    run_folder,
)
from arena.services.training_plans import plan_training
from arena.services.training_suggestions import slips_at
from gpu_workers.kwise.config import parse_config
from tests import factories


@pytest.fixture
def data_set(voted_arena, export):
    """Enough rankings to learn from."""
    for _ in range(10):
        factories.make_vote(voted_arena, [1, 2, 3], prompt=voted_arena.prompts.order_by("id").first())
    return export(voted_arena, "kwise")


def test_a_request_makes_a_run_and_its_job(base, data_set, grace):
    run = request_training(base=base, data_set=data_set, objective="dpo", parameters={"epochs": 1}, by=grace)

    assert (run.name, run.objective) == ("Base + data set 1", "dpo")
    job = Job.objects.get(kind="train")
    assert run.job == job
    assert (job.payload, job.created_by, job.state) == ({"run": run.pk}, grace, "queued")


def test_the_configuration_names_the_data_the_base_and_the_output(base, data_set, checkpoint):
    settings = {"epochs": 1, "beta": 0.3}
    run = request_training(base=base, data_set=data_set, objective="dpo", parameters=settings)

    config = run_config(run)

    assert config["data"] == str(data_set_folder(data_set))
    assert config["base"] == str(checkpoint)
    assert config["output"] == str(run_folder(run))
    assert (config["epochs"], config["beta"], config["batch_size"]) == (1, 0.3, 8)
    assert (config["objective"], config["device"], config["method"]) == ("dpo", "auto", "full")


def test_without_an_objective_a_run_is_what_the_plan_suggests(base, data_set):
    plan = plan_training(base=base, data_set=data_set, parameters={})

    run = request_training(base=base, data_set=data_set, parameters={"beta": 0.2})

    assert {"objective": run.objective, **run.parameters} == {**plan.suggested, "beta": 0.2}
    assert run.parameters["epochs"] == 4  # few rankings


@pytest.mark.parametrize(
    ("agreement", "slips"), [(1.0, 0.0), (0.68, 0.2), (0.58, 0.3), (0.5, 0.4), (0.45, 0.4), (0.0, 0.4)]
)
def test_slips_are_reckoned_from_how_often_two_voters_agree(agreement, slips):
    """.68 = .8^2 + .2^2, .58 = .7^2 + .3^2; below a half no share of slips explains it."""
    assert slips_at(agreement) == pytest.approx(slips)


def test_voters_who_do_not_agree_are_learnt_from_with_soft_labels(base, voted_arena, export):
    """What ended highest where votes were turned round, and not robust DPO: docs/benchmarks.md."""
    prompt = voted_arena.prompts.order_by("id").first()
    for ranks in [[1, 2, 3]] * 8 + [[3, 2, 1]] * 3:
        factories.make_vote(voted_arena, ranks, prompt=prompt)
    data_set = export(voted_arena, "kwise")

    plan = plan_training(base=base, data_set=data_set, parameters={})
    run = request_training(base=base, data_set=data_set)

    assert plan.data.agreement == pytest.approx(0.593, abs=0.05)
    slips = slips_at(plan.data.agreement)
    assert plan.suggested["objective"] == "dpo"
    assert plan.suggested["objective_options"] == {"label_smoothing": slips}
    said = next(one for one in plan.suggestions if one.name == "objective_options")
    assert said.written == f"label_smoothing={slips}"
    assert f"{slips:.0%} of the votes were slips" in said.reason
    assert run_config(run)["objective_options"] == {"label_smoothing": slips}
    assert parse_config(run_config(run)).objective == "dpo"


def test_too_few_rankings_are_refused_with_their_number(base, voted_arena, export):
    with pytest.raises(BadInput, match=r"has 2 rankings to learn from.*at least 10"):
        request_training(base=base, data_set=export(voted_arena, "kwise"))

    assert not TrainingRun.objects.exists()
    assert not Job.objects.filter(kind="train").exists()


def test_a_data_set_that_is_not_written_is_refused(base, voted_arena):
    with pytest.raises(BadInput, match="Data set 1 is not written yet"):
        request_training(base=base, data_set=request_data_set(arena=voted_arena))


def test_a_data_set_without_the_kwise_format_is_refused(base, voted_arena, export):
    with pytest.raises(BadInput, match="has no kwise format"):
        request_training(base=base, data_set=export(voted_arena, "trl-preference"))


def test_a_data_set_that_was_changed_is_refused(base, data_set):
    (data_set_folder(data_set) / "README.md").write_text("mine")

    with pytest.raises(BadInput, match=r"README.md of data set 1 was changed"):
        request_training(base=base, data_set=data_set)


def test_a_base_without_a_checkpoint_of_transformers_is_refused(voted_arena, data_set):
    with pytest.raises(BadInput, match="Ann cannot be trained: it has no transformers checkpoint"):
        request_training(base=voted_arena.contestants.get(name="Ann"), data_set=data_set)


def test_a_base_of_another_arena_is_refused(open_arena, checkpoint, data_set):
    stranger = factories.make_contestant(
        open_arena, "Stranger", backend="transformers", checkpoint=str(checkpoint)
    )

    with pytest.raises(BadInput, match="are of different arenas"):
        request_training(base=stranger, data_set=data_set)


def test_a_checkpoint_that_is_gone_is_refused(base, data_set, checkpoint):
    checkpoint.rename(checkpoint.with_name("elsewhere"))

    with pytest.raises(BadInput, match="There is no checkpoint folder"):
        request_training(base=base, data_set=data_set)
    assert not TrainingRun.objects.exists()


def test_a_checkpoint_without_safetensors_is_refused(base, data_set, checkpoint):
    (checkpoint / "model.safetensors").rename(checkpoint / "pytorch_model.bin")

    with pytest.raises(BadInput, match="has no safetensors file"):
        request_training(base=base, data_set=data_set)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"epoch": 1}, "There is no training parameter 'epoch'. Did you mean epochs?"),
        ({"epochs": 0}, "epochs is 0; it must be a whole number from 1 to 1000."),
        ({"epochs": 1.5}, "epochs is 1.5; it must be a whole number"),
        ({"beta": "x"}, "beta is 'x'; it must be a number from 0 to 100."),
        ({"beta": True}, "beta is True; it must be a number"),
        ({"learning_rate": float("nan")}, "learning_rate is nan; it must be a number"),
        ({"device": "tpu"}, "device is 'tpu'; it must be one of auto, cpu, cuda."),
        ({"lora": 8}, "lora must be an object"),
        ({"output": "/etc"}, "There is no training parameter 'output'."),
    ],
)
def test_a_parameter_that_cannot_be_is_named(base, data_set, parameters, sentence):
    with pytest.raises(BadInput) as caught:
        request_training(base=base, data_set=data_set, parameters=parameters)

    assert str(caught.value).startswith(sentence)
    assert not TrainingRun.objects.exists()


def test_a_name_is_not_given_twice(base, data_set):
    first = request_training(base=base, data_set=data_set)
    second = request_training(base=base, data_set=data_set)

    assert (first.name, second.name) == ("Base + data set 1", "Base + data set 1 (2)")
    with pytest.raises(BadInput, match="a contestant named Ann already"):
        request_training(base=base, data_set=data_set, name="Ann")


def test_a_step_done_again_after_a_restart_replaces_its_line(base, data_set):
    run = request_training(base=base, data_set=data_set)

    record_metric(run, 1, {"loss": 0.7})
    record_metric(run, 2, {"loss": 0.6})
    record_metric(run, 1, {"loss": 0.71})

    assert [(metric.step, metric.values) for metric in TrainingMetric.objects.all()] == [
        (1, {"loss": 0.71}),
        (2, {"loss": 0.6}),
    ]


def test_the_result_is_a_contestant_with_its_lineage_and_its_responses_are_planned(
    base, data_set, checkpoint
):
    run = request_training(base=base, data_set=data_set)

    contestant = complete_training(run, summary={"loss": 0.5}, manifest={"base": "x"}, checkpoint=checkpoint)

    assert (contestant.parent, contestant.name) == (base, "Base + data set 1")
    assert contestant.parameters == {"temperature": 0.7}
    assert contestant.system_prompt == "Be kind."
    run = TrainingRun.objects.get()
    assert (run.result, run.summary, run.completed_at is not None) == (contestant, {"loss": 0.5}, True)
    job = Job.objects.get(kind="generate")
    assert (job.payload["contestant"], job.total) == (contestant.pk, 3)


def test_completing_twice_makes_one_contestant(base, data_set, checkpoint):
    run = request_training(base=base, data_set=data_set)

    first = complete_training(run, summary={}, manifest={}, checkpoint=checkpoint)
    second = complete_training(run, summary={"late": 1}, manifest={}, checkpoint=checkpoint)

    assert first == second
    assert Contestant.objects.filter(parent=base).count() == 1
    assert TrainingRun.objects.get().summary == {}


def test_a_name_taken_during_the_training_costs_no_result(base, data_set, checkpoint):
    run = request_training(base=base, data_set=data_set, name="Best")
    factories.make_contestant(base.arena, "Best")

    contestant = complete_training(run, summary={}, manifest={}, checkpoint=checkpoint)

    assert contestant.name == "Best (2)"
