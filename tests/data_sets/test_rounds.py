"""Rounds of online training: samplings compete, their votes train the next contestant."""

import json

import pytest
from django.core.management import call_command
from django.utils import translation

from arena.errors import BadInput
from arena.models import Contestant, Job, Judge, TrainingRun
from arena.services.contestants import retire_contestant
from arena.services.data_sets import data_set_folder, write_data_set
from arena.services.lineage import retracted_votes, traces_of
from arena.services.rounds import (
    close_round,
    end_round,
    give_up_round,
    let_vote,
    open_round,
    open_rounds,
    past_rounds,
    round_data,
    samplings_in,
)
from arena.services.training import end_training
from arena.services.votes import rule_on_vote
from arena.tasks import export_data_set
from tests import factories


def test_a_round_has_samplings_of_its_base_and_no_older_ones(base):
    first = open_round(base=base, samplings=3)
    child = factories.make_contestant(
        base.arena, "Child", backend="transformers", checkpoint=base.checkpoint, parent=None
    )

    second = open_round(base=child, samplings=2)

    assert {one.parameters["temperature"] for one in first} == {1.0}
    assert len({one.parameters["seed"] for one in [*first, *second]}) == 5
    assert {one.checkpoint for one in first} == {base.checkpoint}
    assert {one.system_prompt for one in first} == {base.system_prompt}
    assert samplings_in(base) == second
    assert Contestant.objects.active().filter(pk=base.pk).exists()  # the base itself goes on
    assert Job.objects.filter(kind="generate").exists()


def test_a_round_is_trained_with_the_suggested_settings(base, voted_arena, export):
    for _ in range(10):
        factories.make_vote(voted_arena, [1, 2, 3], prompt=voted_arena.prompts.order_by("id").first())

    run = close_round(base=base, data_set=export(voted_arena, "kwise"))

    assert run.base == base
    assert run.objective == "adpo-list"  # rankings of three
    assert (run.parameters["epochs"], run.parameters["batch_size"]) == (4, 4)


def test_a_round_of_one_or_of_a_contestant_that_cannot_be_trained_is_refused(base, voted_arena):
    with pytest.raises(BadInput, match="A round has 2 to 10 samplings"):
        open_round(base=base, samplings=1)
    with pytest.raises(BadInput, match="has no transformers checkpoint"):
        open_round(base=voted_arena.contestants.get(name="Ann"))

    assert samplings_in(base) == []


def test_the_same_base_has_a_second_round_with_other_samplings(base):
    first = open_round(base=base, samplings=2)

    second = open_round(base=base, samplings=2)

    assert [one.name for one in [*first, *second]] == [f"{base.name} ~{number}" for number in (1, 2, 3, 4)]
    assert len({one.parameters["seed"] for one in [*first, *second]}) == 4
    assert samplings_in(base) == second


def test_a_round_alone_retires_everybody_else(base, voted_arena):
    made = open_round(base=base, samplings=2, alone=True)

    assert list(Contestant.objects.active().filter(arena=voted_arena)) == made


def test_a_round_learns_from_votes_on_its_samplings_and_from_judges_that_it_names(base, voted_arena, run_of):
    voted_arena.k = 3
    voted_arena.save()
    samplings = open_round(base=base, samplings=3)
    prompt = voted_arena.prompts.order_by("id").first()
    judge = run_of("Judge", objective="reward-bradley-terry")
    job = let_vote(base=base, run=judge, battles=7)
    voter = Judge.objects.get(name="reward model Judge").voter
    people = [factories.make_vote(voted_arena, [1, 2, 3], prompt=prompt, contestants=samplings) for _ in "ab"]
    factories.make_vote(voted_arena, [1, 2, 3], prompt=prompt)  # on others
    models = factories.make_vote(voted_arena, [3, 2, 1], prompt=prompt, contestants=samplings, voter=voter)

    alone = rows_of(round_data(base=base))
    both = rows_of(round_data(base=base, reward_model=judge))

    assert job.payload["contestants"] == [one.pk for one in samplings]
    assert {row["vote_id"] for row in alone} == {str(vote.pk) for vote in people}
    assert {row["vote_id"]: row["judge"] for row in both} == {
        **{str(vote.pk): None for vote in people},
        str(models.pk): "reward model Judge",
    }
    assert let_vote(base=base, run=judge, battles=7).payload["judge"] == job.payload["judge"]  # one judge


def test_what_a_round_left_out_is_not_in_its_lineage(base, voted_arena):
    samplings = open_round(base=base, samplings=3)
    prompt = voted_arena.prompts.order_by("id").first()
    inside = factories.make_vote(voted_arena, [1, 2, 3], prompt=prompt, contestants=samplings)
    outside = factories.make_vote(voted_arena, [1, 2, 3], prompt=prompt)
    data_set = write_data_set(round_data(base=base))

    for vote in (inside, outside):
        rule_on_vote(vote=vote, action="withdrawn", reason="asked for it", by=None)

    assert traces_of(arena=voted_arena, vote=inside.pk).data_sets == (data_set,)
    assert traces_of(arena=voted_arena, vote=outside.pk).data_sets == ()
    assert retracted_votes(data_set) == 1


def test_without_an_open_round_nothing_is_trained_and_no_model_votes(base, run_of):
    with pytest.raises(BadInput, match="has no open round"):
        round_data(base=base)
    with pytest.raises(BadInput, match="has no open round"):
        let_vote(base=base, run=run_of("Judge", objective="reward-bradley-terry"), battles=5)

    assert not Judge.objects.exists()


def rows_of(data_set):
    file = data_set_folder(write_data_set(data_set)) / "kwise" / "train-00000-of-00001.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture
def run_of(base, voted_arena, export):
    """Makes a finished run of a name."""

    def make(name, **fields):
        run = TrainingRun.objects.create(
            arena=voted_arena,
            base=base,
            data_set=export(voted_arena, "kwise"),
            name=name,
            folder=f"{voted_arena.slug}/{name}",
            **fields,
        )
        end_training(run, summary={}, manifest={"result": {}})
        run.refresh_from_db()
        return run

    return make


def test_an_open_round_tells_what_is_written_and_who_voted_on_it_alone(base, voted_arena, run_of):
    samplings = open_round(base=base, samplings=3)
    prompt = voted_arena.prompts.order_by("id").first()
    let_vote(base=base, run=run_of("Judge", objective="reward-bradley-terry"), battles=7)
    voter = Judge.objects.get().voter
    for _vote in "ab":
        factories.make_vote(voted_arena, [1, 2, 3], prompt=prompt, contestants=samplings)
    factories.make_vote(voted_arena, [1, 2, 3], prompt=prompt, contestants=samplings, voter=voter)
    mixed = [*samplings[:2], voted_arena.contestants.get(name="Ann")]
    factories.make_vote(voted_arena, [1, 2, 3], prompt=prompt, contestants=mixed)  # not of these alone

    (told,) = open_rounds(voted_arena)

    assert (told.base, list(told.samplings)) == (base, samplings)
    assert (told.people, told.models, told.enough) == (2, {"reward model Judge": 1}, False)
    assert (told.written, told.wanted) == (3, 9)  # the votes' own, of three samplings on three prompts
    assert told.ending is None


def test_the_end_of_a_round_is_its_export_and_then_the_run(base, voted_arena, grace):
    samplings = open_round(base=base, samplings=3)
    prompt = voted_arena.prompts.order_by("id").first()
    with pytest.raises(BadInput, match="0 votes that order something; training needs at least 10"):
        end_round(base=base)
    for _vote in range(12):
        factories.make_vote(voted_arena, [1, 2, 3], prompt=prompt, contestants=samplings)

    data_set = end_round(base=base, by=grace)

    assert end_round(base=base) == data_set  # pressed twice
    assert open_rounds(voted_arena)[0].ending == data_set
    assert not TrainingRun.objects.exists()
    export_data_set(data_set.job.pk)
    run = TrainingRun.objects.get()
    assert (run.base, run.data_set, run.created_by) == (base, data_set, grace)
    assert open_rounds(voted_arena)[0].ending is None
    assert past_rounds(voted_arena) == [run]
    Job.objects.filter(pk=data_set.job.pk).update(state=Job.State.QUEUED)
    export_data_set(data_set.job.pk)  # a message that came twice
    assert TrainingRun.objects.count() == 1


def test_a_round_without_enough_on_training_prompts_says_so_and_can_be_ended_later(base, voted_arena):
    samplings = open_round(base=base, samplings=3)
    held_out = voted_arena.prompts.get(split="held_out")
    for _vote in range(12):
        factories.make_vote(voted_arena, [1, 2, 3], prompt=held_out, contestants=samplings)
    first = end_round(base=base)
    export_data_set(first.job.pk)
    assert "training needs at least 10" in open_rounds(voted_arena)[0].ending.job.error

    prompt = voted_arena.prompts.filter(split="train").first()
    for _vote in range(12):
        factories.make_vote(voted_arena, [1, 2, 3], prompt=prompt, contestants=samplings)
    second = end_round(base=base)

    assert second != first
    export_data_set(second.job.pk)
    assert TrainingRun.objects.get().data_set == second


def test_giving_a_round_up_brings_back_whom_it_retired_and_nobody_else(base, voted_arena):
    retired_before = voted_arena.contestants.get(name="Ann")
    retire_contestant(contestant=retired_before)
    samplings = open_round(base=base, samplings=2, alone=True)

    back = give_up_round(base=base)

    assert {one.name for one in back} == {"Base", "Bob", "Cy"}
    assert set(Contestant.objects.active().filter(arena=voted_arena)) == set(back)
    assert open_rounds(voted_arena) == []
    assert Contestant.objects.filter(pk__in=[one.pk for one in samplings]).count() == 2  # their votes stay
    with pytest.raises(BadInput, match="has no open round"):
        give_up_round(base=base)


def test_a_second_round_given_up_does_not_bring_back_the_first_one_s_samplings(base, voted_arena):
    open_round(base=base, samplings=2)
    open_round(base=base, samplings=2)

    assert give_up_round(base=base) == []
    assert open_rounds(voted_arena) == []


def test_other_runs_are_no_rounds(base, voted_arena, run_of):
    run_of("Plain")

    assert past_rounds(voted_arena) == []


def test_what_a_round_writes_down_is_the_same_in_every_language(base, run_of):
    with translation.override("de"):
        samplings = open_round(base=base, samplings=2)
        let_vote(base=base, run=run_of("Judge", objective="reward-bradley-terry"), battles=5)

    assert Judge.objects.get().name == "reward model Judge"
    assert samplings[0].description == "A sampling of Base for a round of online training."


def test_the_command_gives_a_round_up(base, voted_arena, capsys):
    open_round(base=base, samplings=2, alone=True)

    call_command("online_round", arena=voted_arena.slug, base="Base", give_up=True)

    assert "The round is over. Back in the arena: Ann, Bob, Cy, Base." in capsys.readouterr().out
    assert open_rounds(voted_arena) == []
