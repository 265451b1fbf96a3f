"""The page about judges: what simulated judges with known faults are found to have."""

import random
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from annotation.models import Campaign
from annotation.services.campaigns import change_campaign, preview, start_campaign
from arena.errors import BadInput
from arena.models import Arena, Battle, DataSet, Job, Judge, TrainingRun, Voter
from arena.services import judge_report, judges
from arena.services.battles import slots_of
from arena.services.training import run_folder
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def judge(open_arena: Arena) -> Judge:
    kin = open_arena.contestants.order_by("id").first()
    return judges.create_judge(
        arena=open_arena,
        name="Robin",
        endpoint="http://127.0.0.1:8009/v1",
        endpoint_model="m",
        kin=[kin.name],
    )


def opinions(judge: Judge, count: int, *, wrong_when_unsure: bool = False, favour: float = 0.0) -> None:
    """`count` battles judged by people and the judge. It errs where it is unsure, or prefers its kin."""
    dice = random.Random(7)
    contestants = list(judge.arena.contestants.order_by("id"))
    prompts = list(judge.arena.prompts.all())
    for number in range(count):
        shown = dice.sample(contestants, 2)
        person = factories.make_vote(judge.arena, contestants=shown, prompt=prompts[number % len(prompts)])
        sure = dice.random() < 0.5
        right = sure or not wrong_when_unsure or dice.random() < 0.4
        preference = 0.95 if sure else 0.6
        preference = preference if right else 1 - preference
        kin = (shown[0].name in judge.kin) - (shown[1].name in judge.kin)
        preference = min(1.0, max(0.0, preference + favour * kin))
        work = judges._work_of(person.battle)
        ranks = [1, 2] if preference > 0.5 else [2, 1]
        facts: dict[str, Any] = {"pairs": [[0, 1, preference, True]], "scores": [preference, 1 - preference]}
        judges.record_opinion(judge=judge, work=work, ranks=ranks, reason="", facts=facts)


def test_a_judge_that_agrees_is_found_to_agree(judge: Judge):
    opinions(judge, 30)

    report = judge_report.report_on(judge)

    assert (report.judged, report.with_people, report.consistency) == (30, 30, 1.0)
    assert report.agreement.value == 1.0
    assert report.routing is None  # there is nothing to learn from a judge that never errs


def test_errors_where_the_judge_is_unsure_are_learned_and_told_on_other_battles(judge: Judge):
    opinions(judge, 120, wrong_when_unsure=True)

    report = judge_report.report_on(judge)

    # It errs on 60 % of the half on which it is unsure.
    assert report.agreement.lower < 0.7 < report.agreement.upper
    # Knowing which half gives .5 + .5 * 1 * (1 - .4 * .5 / .7) or about .86.
    assert 0.75 < report.routing.value < 0.95
    assert report.routing.lower > 0.6


def test_favour_for_its_kin_is_measured_against_people(judge: Judge):
    opinions(judge, 80, favour=0.3)
    favoured = judge_report.report_on(judge).favour

    # A soft judge is less sure than people for and against its kin alike; what is left is the favour.
    assert favoured.lower > 0.0
    assert favoured.lower < favoured.value < favoured.upper


def seen_alone(judge: Judge, *preferences: float) -> None:
    """A hundred battles that people judged too, and one for each preference that none did."""
    opinions(judge, 100, wrong_when_unsure=True)
    arena, nobody = judge.arena, Voter.objects.create(kind=Voter.Kind.SIMULATED)
    for preference in preferences:
        shown = list(arena.contestants.order_by("id")[:2])
        vote = factories.make_vote(
            arena, contestants=shown, prompt=factories.make_prompt(arena), voter=nobody
        )
        work = judges._work_of(vote.battle)
        alone = judges.Work(None, work.prompt_id, work.messages, work.contestants, work.responses, work.texts)
        facts = {"pairs": [[0, 1, preference, True]], "scores": [preference, 1 - preference]}
        judges.record_opinion(judge=judge, work=alone, ranks=[1, 2], reason="", facts=facts)


def test_what_the_judge_saw_alone_is_listed_by_the_chance_of_a_difference(judge: Judge):
    seen_alone(judge, 0.99, 0.52)

    unsure, sure = judge_report.report_on(judge).worth

    assert unsure["chance"] > 0.5 > sure["chance"]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"name": " "}, "needs a name"),
        ({"endpoint": ""}, "needs its address"),
        ({"backend": "uploaded"}, "one of openai, transformers"),
        ({"backend": "transformers"}, "needs a checkpoint"),
        ({"method": "reward"}, "needs a checkpoint"),
        ({"name": "Robin"}, "named Robin already"),
    ],
)
def test_a_judge_that_cannot_work_is_refused(judge: Judge, fields: dict[str, Any], sentence: str):
    given = {"name": "Wren", "endpoint": "http://127.0.0.1:8009/v1", "endpoint_model": "m", **fields}

    with pytest.raises(BadInput, match=sentence):
        judges.create_judge(arena=judge.arena, **given)

    assert Judge.objects.count() == 1


def test_the_page_shows_it_and_sends_a_judge_to_work(judge: Judge, sign_in, grace, client):
    opinions(judge, 70, wrong_when_unsure=True)
    address = reverse("judges", args=["garden"])
    start = reverse("judge_start", args=["garden", judge.pk])
    browser = sign_in(grace)

    page = browser.get(address).content.decode()
    assert "Robin" in page
    assert "on 70 battles that a person judged too" in page
    answer = browser.post(start, {"limit": "5"})

    job = Job.objects.get(kind=Job.Kind.JUDGE)
    assert answer.url == reverse("job", args=[job.pk])
    assert job.payload == {"judge": judge.pk, "limit": 5, "contestants": []}
    for bad in ("", "many", "0", "5001"):
        assert browser.post(start, {"limit": bad}).url == address
    assert Job.objects.filter(kind=Job.Kind.JUDGE).count() == 1


def test_only_leads_see_judges(judge: Judge, sign_in, ada, mallory, client):
    address = reverse("judges", args=["garden"])
    start = reverse("judge_start", args=["garden", judge.pk])

    for browser in (sign_in(ada), sign_in(mallory), client):
        assert browser.get(address).status_code in (401, 403, 404)
        assert browser.post(start, {"limit": "5"}).status_code in (401, 403, 404)
    assert not Job.objects.filter(kind=Job.Kind.JUDGE).exists()


# Made by leads, of models that are here


@pytest.fixture
def here(open_arena: Arena) -> Arena:
    """An arena with a contestant on an endpoint, its twin at another temperature, and one with a kept key."""
    same = {"backend": "openai", "endpoint": "http://127.0.0.1:8009/v1", "endpoint_model": "owl"}
    factories.make_contestant(open_arena, "Owl", endpoint_key_variable="OWL_KEY", **same)
    factories.make_contestant(open_arena, "Owl, warm", parameters={"temperature": 1.2}, **same)
    factories.make_contestant(open_arena, "Kept key", endpoint_key_sealed="sealed", **same)
    return open_arena


def reward_run(arena: Arena) -> TrainingRun:
    base = factories.make_contestant(arena, "Base", backend="transformers", checkpoint="/models/base")
    data_set = DataSet.objects.create(arena=arena, number=1, formats=["kwise"])
    return TrainingRun.objects.create(
        arena=arena,
        base=base,
        data_set=data_set,
        name="Taste",
        objective="reward-bt",
        completed_at=timezone.now(),
    )


def test_a_lead_makes_a_judge_of_a_contestants_model(here: Arena, sign_in, grace):
    owl = here.contestants.get(name="Owl")
    address = reverse("judges", args=["garden"])
    browser = sign_in(grace)

    page = browser.get(address).content.decode()
    assert "Owl, warm" in page
    assert f'value="contestant:{here.contestants.get(name="Kept key").pk}"' not in page
    answer = browser.post(address, {"name": "Robin", "model": f"contestant:{owl.pk}"})

    assert answer.url == address
    judge = Judge.objects.get()
    assert (judge.endpoint, judge.endpoint_model) == (owl.endpoint, "owl")
    assert judge.endpoint_key_variable == "OWL_KEY"
    assert judge.kin == ["Kept key", "Owl", "Owl, warm"]  # the same model
    assert "Send it to work below" in browser.get(address).content.decode()


def test_a_lead_makes_a_judge_of_a_reward_model(here: Arena, sign_in, grace):
    run = reward_run(here)

    sign_in(grace).post(
        reverse("judges", args=["garden"]), {"name": "Taste", "model": f"reward:{run.pk}", "kin": ["Owl"]}
    )

    judge = Judge.objects.get()
    assert judge.method == Judge.Method.REWARD
    assert judge.checkpoint == str(run_folder(run) / "model")
    assert judge.kin == ["Owl"]


def test_a_lead_names_no_model_that_staff_has_not_set_up(here: Arena, sign_in, grace):
    elsewhere = factories.make_contestant(
        factories.make_arena("elsewhere"),
        "Spy",
        backend="openai",
        endpoint="http://x.test/v1",
        endpoint_model="m",
    )
    browser, address = sign_in(grace), reverse("judges", args=["garden"])

    for model in ("", "contestant:0", f"contestant:{elsewhere.pk}", "reward:1", "http://x.test/v1"):
        answer = browser.post(address, {"name": "Robin", "model": model})
        assert answer.status_code == 400

    assert not Judge.objects.exists()


def test_a_retired_judge_is_gone_and_its_votes_stay(judge: Judge, sign_in, grace):
    opinions(judge, 3)
    browser = sign_in(grace)

    browser.post(reverse("judge_retire", args=["garden", judge.pk]))

    assert f'id="judge-{judge.pk}"' not in browser.get(reverse("judges", args=["garden"])).content.decode()
    assert judge.voter.votes.count() == 3
    assert browser.post(reverse("judge_start", args=["garden", judge.pk]), {"limit": "5"}).status_code == 404


def test_judges_over_rest(judge: Judge, here: Arena, grace, ada, mallory):
    opinions(judge, 30)
    address = "/api/v1/arenas/garden/judges/"
    owl = here.contestants.get(name="Owl")

    def api(user: Any) -> APIClient:
        client = APIClient()
        client.force_authenticate(user)
        return client

    (listed,) = api(grace).get(address).json()
    made = api(grace).post(address, {"name": "Wren", "model": f"contestant:{owl.pk}"}, format="json")
    again = api(grace).post(address, {"name": "Wren", "model": f"contestant:{owl.pk}"}, format="json")
    job = api(grace).post(f"{address}{made.json()['id']}/work/", {"limit": 3}, format="json")

    assert listed["name"] == "Robin"
    assert listed["report"]["agreement"]["value"] == 1.0
    assert listed["report"]["judged"] == 30
    assert made.status_code == 201
    assert made.json()["report"]["judged"] == 0
    assert (again.status_code, again.json()["error"]) == (400, "The arena has a judge named Wren already.")
    assert (job.status_code, job.json()["kind"]) == (202, "judge")
    assert "endpoint" not in made.json()
    for stranger in (None, ada, mallory):
        assert api(stranger).get(address).status_code in (401, 403, 404)
        assert api(stranger).post(address, {}, format="json").status_code in (401, 403, 404)


def test_a_retired_judge_can_be_brought_back(grace_in, open_arena, judge):
    at = f"/arenas/{open_arena.slug}/manage/judges/"
    grace_in.post(f"{at}{judge.pk}/retire/")
    shown = grace_in.get(at).content.decode()
    assert "Retired judges" in shown
    assert "Judge</button>" not in shown  # it cannot be sent to work

    grace_in.post(f"{at}{judge.pk}/bring-back/")

    assert list(judges.at_work(open_arena)) == [judge]
    assert "Retired judges" not in grace_in.get(at).content.decode()
    assert grace_in.post(f"{at}{judge.pk}/bring-back/").status_code == 404  # it is back already


def test_a_judge_is_retired_and_brought_back_over_rest(grace, open_arena, judge):
    client = APIClient()
    client.force_authenticate(grace)
    address = f"/api/v1/arenas/{open_arena.slug}/judges/{judge.pk}/"

    assert client.patch(address, {"retired": True}, format="json").status_code == 200
    assert not judges.at_work(open_arena)
    assert client.patch(address, {"retired": False}, format="json").status_code == 200
    assert list(judges.at_work(open_arena)) == [judge]
    assert client.patch(address, {}, format="json").status_code == 400


def test_what_is_worth_a_person_becomes_a_campaign_of_exactly_these(grace_in, open_arena, judge):
    open_arena.k = 2
    open_arena.save()
    judge.arena.refresh_from_db()
    seen_alone(judge, 0.99, 0.52)
    shown = [[slot.response_id for slot in slots_of(battle)] for battle in worth_of(judge)]

    answer = grace_in.post(f"/arenas/{open_arena.slug}/manage/judges/{judge.pk}/ask-people/")

    campaign = Campaign.objects.get()
    assert answer["Location"].endswith(f"/manage/campaigns/{campaign.slug}/")
    assert campaign.state == Campaign.State.DRAFT
    assert preview(campaign).battles == 2
    change_campaign(campaign=campaign, prompt_filter={"keys": campaign.prompt_filter["keys"]})
    start_campaign(campaign=campaign)
    assert [sorted(item.responses) for item in campaign.items.order_by("id")] == [
        sorted(one) for one in shown
    ]
    assert {item.wanted for item in campaign.items.all()} == {1}


def test_a_set_that_a_person_has_judged_since_is_worth_nobody_s_time_any_more(judge: Judge):
    seen_alone(judge, 0.99, 0.52)
    first, _second = worth_of(judge)

    factories.make_vote(judge.arena, contestants=[s.contestant for s in slots_of(first)], prompt=first.prompt)

    assert first not in worth_of(judge)
    assert len(worth_of(judge)) == 1


def test_without_anything_worth_it_no_campaign_is_made(grace_in, open_arena, judge):
    answer = grace_in.post(f"/arenas/{open_arena.slug}/manage/judges/{judge.pk}/ask-people/", follow=True)

    assert "Robin names no set that is worth a person" in answer.content.decode()
    assert not Campaign.objects.exists()


def worth_of(judge: Judge) -> list[Battle]:
    found = [one["battle"] for one in judge_report.report_on(judge).worth]
    return [Battle.objects.get(pk=battle) for battle in found]
