"""Online training in the browser: a round from its opening to the run, and back."""

import pytest
from django.test import Client

from arena.models import Arena, Contestant, DataSet, Job, Judge, TrainingRun
from arena.tasks import export_data_set
from tests import factories
from tests.pages.test_training_pages import _runs_of_this_test, make_run  # noqa: F401  # fixture
from tests.pages.test_work import base, data_set, voted  # noqa: F401  # fixtures


@pytest.fixture
def address(voted: Arena) -> str:  # noqa: F811
    return f"/arenas/{voted.slug}/training-runs/rounds/"


def opened(client: Client, address: str, base: Contestant, **changes: str) -> list[Contestant]:  # noqa: F811
    answer = client.post(address, {"base": base.pk, "samplings": "4", "alone": "on", **changes})
    assert answer.status_code == 302
    return list(Contestant.objects.filter(parent=base).order_by("pk"))


def test_before_any_round_the_page_says_what_one_is_and_offers_it(grace_in, voted, base, address):  # noqa: F811
    shown = grace_in.get(address).content.decode()

    assert "No round is open." in shown
    assert "Each round is a training run with its lineage" in shown
    assert 'name="samplings" value="4"' in shown  # the arena's own number of responses
    assert address in grace_in.get(f"/arenas/{voted.slug}/training-runs/").content.decode()


def test_a_round_goes_from_votes_to_a_run_and_offers_the_next(grace_in, voted, base, address):  # noqa: F811
    samplings = opened(grace_in, address, base)
    assert {one.name for one in voted.contestants.active()} == {one.name for one in samplings}
    shown = grace_in.get(address).content.decode()
    assert "The round of Base" in shown
    assert "training needs at least 10 votes" in shown
    grace_in.post(f"{address}{base.pk}/end/")
    assert not DataSet.objects.exists()  # too early, and it said so
    for _vote in range(12):
        factories.make_vote(voted, [1, 2, 3, 4], prompt=voted.prompts.first(), contestants=samplings)

    answer = grace_in.post(f"{address}{base.pk}/end/", follow=True)

    assert "Data set 1 is being written; Base is trained on it then." in answer.content.decode()
    export_data_set(Job.objects.get(kind=Job.Kind.EXPORT).pk)
    run = TrainingRun.objects.get()
    assert f"/training-runs/{run.pk}/" in grace_in.get(address).content.decode().partition("Rounds so far")[2]


def test_a_reward_model_votes_in_a_round_when_a_lead_says_so(grace_in, base, data_set, address):  # noqa: F811
    judge = make_run(base, data_set, "Taster", objective="reward-bradley-terry")
    opened(grace_in, address, base)

    answer = grace_in.post(f"{address}{base.pk}/votes/", {"reward_model": judge.pk, "battles": "25"})

    job = Job.objects.get(kind=Job.Kind.JUDGE)
    assert answer["Location"] == f"/jobs/{job.pk}/"
    assert (job.payload["limit"], Judge.objects.get().name) == (25, "reward model Taster")


@pytest.mark.parametrize(
    ("path", "body"), [("votes/", {"battles": "0"}), ("votes/", {}), ("end/", {}), ("give-up/", {})]
)
def test_what_cannot_be_is_said_and_nothing_begins(grace_in, base, address, path, body):  # noqa: F811
    answer = grace_in.post(f"{address}{base.pk}/{path}", body, follow=True)

    said = "Choose a reward model" if path == "votes/" else "Base has no open round"
    assert said in answer.content.decode()
    assert not Job.objects.exists()


def test_a_round_of_one_sampling_is_refused_with_the_form_kept(grace_in, base, address):  # noqa: F811
    answer = grace_in.post(address, {"base": base.pk, "samplings": "1"})

    assert answer.status_code == 400
    assert "greater than or equal to 2" in answer.content.decode()
    assert not Contestant.objects.filter(parent=base).exists()


def test_giving_up_brings_the_others_back(grace_in, voted, base, address):  # noqa: F811
    before = set(voted.contestants.active())
    opened(grace_in, address, base)

    answer = grace_in.post(f"{address}{base.pk}/give-up/", follow=True)

    assert f"{len(before)} contestants compete again" in answer.content.decode()
    assert set(voted.contestants.active()) == before


def test_a_sampling_s_page_does_not_call_it_trained(grace_in, voted, base, address):  # noqa: F811
    sampling = opened(grace_in, address, base)[0]

    shown = grace_in.get(f"/arenas/{voted.slug}/contestants/{sampling.pk}/").content.decode()

    assert "a sampling of the same model" in shown
    assert ">trained<" not in shown
