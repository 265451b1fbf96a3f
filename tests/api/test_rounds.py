"""Rounds of online training over REST."""

import pytest

from arena.models import Contestant, DataSet, Job
from arena.services.training import end_training, request_training
from tests import factories
from tests.api.test_work import base, data_set, voted  # noqa: F401  # fixtures


@pytest.fixture
def address(voted):  # noqa: F811
    return f"/api/v1/arenas/{voted.slug}/rounds/"


def test_a_round_is_opened_told_ended_and_given_up(api, grace, voted, base, address):  # noqa: F811
    client = api(grace)
    made = client.post(address, {"base": base.pk, "samplings": 3, "alone": True}, format="json")
    assert made.status_code == 201
    samplings = list(Contestant.objects.filter(parent=base).order_by("pk"))
    assert [one["id"] for one in made.json()] == [one.pk for one in samplings]
    for _vote in range(11):
        factories.make_vote(voted, [1, 2, 3], prompt=voted.prompts.first(), contestants=samplings)

    (told,) = client.get(address).json()
    assert (told["base"]["id"], told["people"], told["models"]) == (base.pk, 11, {})
    ended = client.post(f"{address}{base.pk}/end/", {}, format="json")

    assert ended.status_code == 202
    written = DataSet.objects.get(pk=ended.json()["id"])
    assert written.job.payload == {"data_set": written.pk, "train": base.pk}
    back = client.post(f"{address}{base.pk}/give-up/").json()
    assert base.pk in [one["id"] for one in back]
    assert client.get(address).json() == []


def test_a_reward_model_votes_only_in_an_open_round(api, grace, voted, base, address, data_set):  # noqa: F811
    run = request_training(base=base, data_set=data_set, objective="reward-bradley-terry")
    end_training(run, summary={}, manifest={})
    body = {"reward_model": run.pk, "battles": 9}
    early = api(grace).post(f"{address}{base.pk}/votes/", body, format="json")
    assert (early.status_code, "no open round" in early.json()["error"]) == (400, True)
    api(grace).post(address, {"base": base.pk, "samplings": 2}, format="json")

    sent = api(grace).post(f"{address}{base.pk}/votes/", body, format="json")

    assert sent.status_code == 202
    assert Job.objects.get(kind=Job.Kind.JUDGE).payload["limit"] == 9


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("", {}, 400),
        ("", {"base": 999}, 404),
        ("{base}/votes/", {"reward_model": 999}, 404),
        ("{base}/votes/", {"reward_model": "x"}, 400),
        ("{base}/end/", {}, 400),
        ("{base}/end/", {"reward_model": 999}, 404),
        ("{base}/give-up/", {}, 400),
        ("999/give-up/", {}, 404),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(api, grace, base, address, path, body, status):  # noqa: F811
    answer = api(grace).post(address + path.format(base=base.pk), body, format="json")

    assert answer.status_code == status
    assert answer.json()["error"]
    assert not Contestant.objects.filter(parent=base).exists()


@pytest.mark.parametrize("path", ["", "{base}/votes/", "{base}/end/", "{base}/give-up/"])
def test_nobody_else_has_rounds(api, mallory, client, base, address, path):  # noqa: F811
    at = address + path.format(base=base.pk)

    assert api(mallory).post(at, {"base": base.pk}, format="json").status_code in (403, 404)
    assert client.post(at).status_code == 401
    assert not Contestant.objects.filter(parent=base).exists()
