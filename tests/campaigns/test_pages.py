"""A campaign's pages as annotators meet them: in, judge, out."""

import re
from decimal import Decimal

import pytest
from django.test import Client

from annotation.models import Annotator, Assignment, Campaign
from annotation.services import campaigns, items, queue
from arena.models import Battle, SurveyAnswer, Vote
from arena.services import surveys
from tests.campaigns.conftest import annotator_of, answer

pytestmark = pytest.mark.django_db


def fields(page: str) -> dict[str, str]:
    """The hidden fields and the slots' tokens of the voting form."""
    return {
        "battle": re.search(r'name="battle" value="([^"]+)"', page)[1],
        "idempotency_key": re.search(r'name="idempotency_key" value="([^"]+)"', page)[1],
    }


def ranks(page: str) -> dict[str, str]:
    tokens = list(dict.fromkeys(re.findall(r'name="(rank-[^"]+)"', page)))
    return {token: str(rank) for rank, token in enumerate(tokens, start=1)}


def judge(client: Client, campaign: Campaign):
    """Judge the next battle with the plain form. The page after it; None where there was no battle."""
    page = client.get(f"/campaigns/{campaign.slug}/work/").content.decode()
    if 'name="battle"' not in page:
        return None
    form = {**fields(page), **ranks(page), "answer": "rank"}
    return client.post(f"/campaigns/{campaign.slug}/vote/", form, follow=True)


@pytest.fixture
def open_campaign(started):
    return started(open_link=True, instructions="Judge the **soil**.", overlap=2, most_each=4)


def test_from_the_open_link_to_the_code_without_an_account(open_campaign, client):
    campaign, link = open_campaign, f"/campaigns/{open_campaign.slug}/join/{open_campaign.token}/"

    welcome = client.get(link)
    assert "Judge the <strong>soil</strong>" in welcome.content.decode()
    assert Annotator.objects.count() == 0  # looking is not taking part
    home = client.post(link, follow=True)
    assert "Begin" in home.content.decode()
    for number in range(1, 5):
        after = judge(client, campaign)
        assert f"{number} of 4 judged" in after.content.decode()
    end = client.get(f"/campaigns/{campaign.slug}/work/").content.decode()

    assert campaign.code_complete in end
    assert "You have judged 4 battles." in end
    assert Vote.objects.count() == 4


def test_no_name_is_told_on_any_page_of_a_campaign(open_campaign, client):
    names = list(open_campaign.arena.contestants.values_list("name", flat=True))
    link = f"/campaigns/{open_campaign.slug}/join/{open_campaign.token}/"
    seen = client.post(link, follow=True).content.decode()
    seen += client.get(f"/campaigns/{open_campaign.slug}/work/").content.decode()
    seen += judge(client, open_campaign).content.decode()

    assert [name for name in names if name in seen] == []


def test_a_campaign_is_not_there_for_whoever_takes_no_part(open_campaign, sign_in, mallory, client):
    for visitor in (client, sign_in(mallory)):
        for page in ("", "work/", "next/"):
            assert visitor.get(f"/campaigns/{open_campaign.slug}/{page}").status_code == 404
        assert visitor.post(f"/campaigns/{open_campaign.slug}/vote/").status_code == 404
        assert visitor.post(f"/campaigns/{open_campaign.slug}/keep/").status_code == 404
    assert client.get(f"/campaigns/{open_campaign.slug}/join/wrong/").status_code == 404
    Campaign.objects.update(open_link=False)
    link = f"/campaigns/{open_campaign.slug}/join/{open_campaign.token}/"
    assert client.post(link).status_code == 404
    assert Annotator.objects.count() == 0


def test_wrong_methods_are_refused(open_campaign, client):
    base = f"/campaigns/{open_campaign.slug}/"
    assert client.post(base + "work/").status_code == 405
    assert client.get(base + "vote/").status_code == 405
    assert client.get(base + "panel/").status_code == 405


def test_an_invited_user_finds_the_campaign_and_judges_in_a_closed_arena(closed_arena, sign_in, ada):
    campaign = campaigns.start_campaign(
        campaign=campaigns.create_campaign(arena=closed_arena, name="Cellar work", k=2, overlap=1)
    )
    annotator_of(campaign, ada)
    browser = sign_in(ada)

    assert "Cellar work" in browser.get("/campaigns/").content.decode()
    assert judge(browser, campaign).status_code == 200

    assert Vote.objects.get().voter.user == ada


def test_somebody_from_the_open_link_judges_in_a_closed_arena(closed_arena, client):
    campaign = campaigns.start_campaign(
        campaign=campaigns.create_campaign(
            arena=closed_arena, name="Cellar work", k=2, overlap=1, open_link=True
        )
    )
    client.post(f"/campaigns/{campaign.slug}/join/{campaign.token}/")

    assert judge(client, campaign).status_code == 200
    assert Vote.objects.count() == 1
    assert client.get("/arenas/cellar/").status_code in (302, 401, 404)  # the rest of it stays closed


def test_my_campaigns_are_empty_for_a_stranger(client):
    assert "None yet" in client.get("/campaigns/").content.decode()


def test_a_form_without_ranks_comes_back_with_the_reason_and_the_same_battle(open_campaign, client):
    client.post(f"/campaigns/{open_campaign.slug}/join/{open_campaign.token}/")
    page = client.get(f"/campaigns/{open_campaign.slug}/work/").content.decode()
    form = fields(page)

    refused = client.post(f"/campaigns/{open_campaign.slug}/vote/", {**form, "answer": "rank"})

    assert refused.status_code == 400
    assert form["battle"] in refused.content.decode()
    assert "Give every response a rank" in refused.content.decode()
    assert Vote.objects.count() == 0


def test_the_same_form_sent_twice_is_one_vote(open_campaign, client):
    client.post(f"/campaigns/{open_campaign.slug}/join/{open_campaign.token}/")
    page = client.get(f"/campaigns/{open_campaign.slug}/work/").content.decode()
    form = {**fields(page), **ranks(page), "answer": "rank"}

    answers = [client.post(f"/campaigns/{open_campaign.slug}/vote/", form) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [302, 302]
    assert Vote.objects.count() == 1


def test_a_lease_is_kept_while_somebody_works(open_campaign, client):
    from datetime import timedelta

    from django.utils import timezone

    client.post(f"/campaigns/{open_campaign.slug}/join/{open_campaign.token}/")
    page = client.get(f"/campaigns/{open_campaign.slug}/work/").content.decode()
    assert 'id="lease"' in page
    Assignment.objects.update(leased_until=timezone.now() + timedelta(seconds=5))

    kept = client.post(f"/campaigns/{open_campaign.slug}/keep/", {"battle": fields(page)["battle"]})

    assert kept.json()["seconds"] > 14 * 60


def test_an_undone_vote_is_judged_again_in_the_same_place(open_campaign, client):
    campaign = open_campaign
    type(campaign.arena).objects.update(reveal="never")  # where names are never told a vote can be undone
    client.post(f"/campaigns/{campaign.slug}/join/{campaign.token}/")
    judge(client, campaign)
    first = Vote.objects.get()
    ahead = client.get(f"/campaigns/{campaign.slug}/next/", headers={"HX-Request": "true"})
    assert 'id="battle"' in ahead.content.decode()

    again = client.post(f"/campaigns/{campaign.slug}/votes/{first.battle_id}/undo/", follow=True)

    assert 'id="battle"' in again.content.decode()
    judge(client, campaign)
    assert Vote.objects.count() == 2
    assert [vote.pk for vote in Vote.objects.counted()] == [Vote.objects.latest("id").pk]
    assert Assignment.objects.filter(state="voted").count() == 1
    assert sum(item.held for item in campaign.items.all()) == 1


def test_the_qualification_teaches_after_each_question_and_screens_out(draft, client):
    campaign = draft(open_link=True, tries=1)
    for prompt in campaign.arena.prompts.all()[:2]:
        better, worse = prompt.responses.order_by("id").values_list("id", flat=True)[:2]
        items.add_known(
            campaign=campaign,
            purpose="qualification",
            responses=[better, worse],
            expected={"above": [[better, worse]]},
            explanation="The first says why.",
        )
    campaigns.start_campaign(campaign=campaign)
    client.post(f"/campaigns/{campaign.slug}/join/{campaign.token}/")

    assert "question 1 of 2" in client.get(f"/campaigns/{campaign.slug}/work/").content.decode()
    for _ in range(2):
        page = client.get(f"/campaigns/{campaign.slug}/work/").content.decode()
        battle = Battle.objects.get(pk=fields(page)["battle"])
        slots = list(battle.slots.order_by("position"))
        better = battle.assignment.item.expected["above"][0][0]
        wrong = {f"rank-{slot.token}": "2" if slot.response_id == better else "1" for slot in slots}
        told = client.post(
            f"/campaigns/{campaign.slug}/vote/", {**fields(page), **wrong, "answer": "rank"}, follow=True
        ).content.decode()
        assert "That is not what was expected." in told
        assert "The first says why." in told
    end = client.get(f"/campaigns/{campaign.slug}/work/").content.decode()

    assert "did not reach the pass mark" in end
    assert campaign.code_screened_out in end
    assert campaign.code_complete not in end


def test_the_next_battle_costs_few_queries(open_campaign, client, django_assert_max_num_queries):
    client.post(f"/campaigns/{open_campaign.slug}/join/{open_campaign.token}/")
    judge(client, open_campaign)

    with django_assert_max_num_queries(45):
        client.get(f"/campaigns/{open_campaign.slug}/next/", headers={"HX-Request": "true"})


def test_who_joins_before_the_start_is_told_to_come_back(draft, client):
    campaign = draft(open_link=True)

    client.post(f"/campaigns/{campaign.slug}/join/{campaign.token}/")
    page = client.get(f"/campaigns/{campaign.slug}/work/").content.decode()

    assert "The campaign has not begun yet." in page
    assert campaign.code_complete not in page
    campaigns.start_campaign(campaign=campaign)
    assert judge(client, campaign).status_code == 200


def test_consent_and_questions_are_asked_in_a_campaign_of_an_arena_closed_to_its_annotators(
    started, closed_arena, client
):
    campaign = started(arena=closed_arena, open_link=True)
    questions = [{"key": "tea", "label": "How much tea?", "kind": "one", "choices": ["some", "none"]}]
    surveys.revise_survey(arena=closed_arena, consent="We keep votes.", questions=questions, by=None)
    client.post(f"/campaigns/{campaign.slug}/join/{campaign.token}/")
    address = f"/campaigns/{campaign.slug}/survey/"
    assert f'action="{address}"' in client.get(f"/campaigns/{campaign.slug}/work/").content.decode()

    refused = client.post(address, {"q-tea": "some"})
    assert refused.status_code == 400
    assert f'action="{address}"' in refused.content.decode()
    assert not SurveyAnswer.objects.exists()

    work = client.post(address, {"agree": "yes", "q-tea": "some"}, follow=True)
    assert work.redirect_chain == [(f"/campaigns/{campaign.slug}/work/", 302)]
    assert 'name="battle"' in work.content.decode()

    mine = f"/campaigns/{campaign.slug}/my-answers/"
    assert f'href="{mine}"' in work.content.decode()
    assert "Delete my answers" in client.get(mine).content.decode()
    assert "Your answers are deleted" in client.post(mine, follow=True).content.decode()
    assert not SurveyAnswer.objects.exclude(answers={}).exists()


@pytest.mark.parametrize(
    ("language", "rate", "says"),
    [("en", "0.100", "0.10 EUR"), ("de", "0.125", "0,125 EUR"), ("en", "2", "2.00 EUR")],
)
def test_pay_is_written_as_money_in_the_readers_language(started, client, language, rate, says):
    campaign = started(open_link=True, pay_per_battle=Decimal(rate), currency="EUR")
    address = f"/campaigns/{campaign.slug}/join/{campaign.token}/"
    page = client.get(address, headers={"accept-language": language}).content.decode()
    assert f"<dd>{says} " in page


def test_the_campaign_says_go_on_only_where_there_is_a_battle(started, client):
    campaign = started(open_link=True, overlap=2)
    home = f"/campaigns/{campaign.slug}/"
    begin = client.post(f"{home}join/{campaign.token}/", follow=True).content.decode()
    assert "Begin" in begin
    judge(client, campaign)
    assert "Go on judging" in client.get(home).content.decode()
    while judge(client, campaign):
        pass
    given = Assignment.objects.count()

    for address in (home, "/campaigns/"):
        page = client.get(address).content.decode()
        assert "See how it ended" in page
        assert "Go on judging" not in page
    assert Assignment.objects.count() == given  # looking gave nothing


def test_looking_at_a_campaign_says_what_asking_for_a_battle_would(started):
    campaign = started(overlap=1, gold_every=0)
    one, other = annotator_of(campaign), annotator_of(campaign)
    while leased := queue.next_item(annotator=one).assignment:
        assert queue.standing(one) == ""  # it holds a battle
        if Assignment.objects.filter(state="leased").count() == 1 and queue.standing(other):
            assert queue.standing(other) == "wait"
            assert queue.next_item(annotator=other).kind == "wait"
        answer(leased)
    campaign.refresh_from_db()
    for annotator in (one, other):
        annotator.refresh_from_db()
        assert queue.standing(annotator) == queue.next_item(annotator=annotator).kind == "finished"
