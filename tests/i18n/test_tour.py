"""The ways of a voter, an annotator and a lead in Chinese and German: no page says a word in English."""

import re
from collections.abc import Iterator

import pytest
from django.test import Client

from annotation.services import campaigns, crowd
from arena.models import Arena, Vote, Voter
from arena.services import webhooks
from arena.services.guidelines import revise
from arena.services.judgement import Criterion, Judgement, Reason
from tests import factories
from tests.i18n.test_pages import LANGUAGES, NAMES, still_english, words_of

# What people wrote: in the language they wrote it in.
GIVEN = {"Garden", "Weeding", "Meadow", "ada", "grace"}
FORM = Judgement(
    criteria=(Criterion("helpful", "帮助", "有用吗？"), Criterion("progress", "进展", "多远？", "scale")),
    confidence="optional",
    reason=Reason("optional", ("清楚",)),
    spans=True,
    parts="good_bad",
    rewrite=True,
    report=True,
    undo=True,
)


class Tourist:
    """A browser that keeps the words of every page it was shown."""

    def __init__(self, client: Client, language: str) -> None:
        self.client, self.language = client, language
        self.heard: list[tuple[str, str]] = []

    def get(self, path: str, status: int = 200) -> str:
        return self._seen(path, self.client.get(path, headers=self._wish(), follow=True), status)

    def post(self, path: str, form: dict[str, str], status: int = 200) -> str:
        return self._seen(path, self.client.post(path, form, headers=self._wish(), follow=True), status)

    def _wish(self) -> dict[str, str]:
        return {"accept-language": self.language}

    def _seen(self, path: str, answer, status: int) -> str:
        page = answer.content.decode()
        assert answer.status_code == status, (path, answer.status_code, page[:300])
        self.heard += [(path, text) for _tag, text in words_of(page)]
        return page

    def english(self) -> Iterator[str]:
        """What it read that is a text of ours in English, or looks like an English sentence."""
        known = still_english(self.language)
        for path, text in self.heard:
            ours = NAMES.sub("", text)
            foreign = self.language == "zh-hans" and re.search("[A-Za-z]{2,} [a-z]{2,}", ours)
            if text in known or (foreign and not re.search(r"[一-鿿]", text) and text not in GIVEN):
                yield f"{path}: {text}"


def form_of(page: str) -> dict[str, str]:
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
    tokens = list(dict.fromkeys(re.findall(r'name="(rank-[^"]+)"', page)))
    return {**hidden, **{token: str(rank) for rank, token in enumerate(tokens, 1)}, "answer": "rank"}


@pytest.fixture
def tour(sign_in):
    def made(user, language: str) -> Tourist:
        return Tourist(sign_in(user), language)

    return made


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_voter_s_way_has_no_english(tour, ada, open_arena, language):
    meadow = factories.make_pool("meadow", k=2)
    revise(arena=meadow, by=None, form=FORM)
    asked = factories.make_pool("asked", own_prompts=True, turns=2)
    reader = tour(ada, language)

    reader.get("/")
    page = reader.get("/arenas/garden/")
    reader.post("/arenas/garden/vote/", {**form_of(page), "answer": "nothing"}, status=400)
    reader.post("/arenas/garden/vote/", form_of(page))
    page = reader.get("/arenas/garden/")
    reader.post("/arenas/garden/vote/", {**form_of(page), "answer": "skip"})
    reader.get("/arenas/garden/leaderboard/")
    reader.get("/arenas/garden/leaderboard/behind/")
    page = reader.get("/arenas/meadow/")
    reader.post("/arenas/meadow/vote/", form_of(page), status=400)  # the criteria are not judged
    reader.get(f"/arenas/{asked.slug}/ask/")
    reader.get("/arenas/garden/my-answers/")
    for _ in range(20):
        page = reader.get("/arenas/garden/")
        if 'name="battle"' not in page:
            break
        reader.client.post("/arenas/garden/vote/", form_of(page))

    assert sorted(set(reader.english())) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_annotator_s_way_has_no_english(tour, ada, open_arena, language):
    campaign = campaigns.start_campaign(
        campaign=campaigns.create_campaign(
            arena=open_arena, name="Weeding", k=2, overlap=2, batch=3, open_link=True, most_each=2
        )
    )
    reader, at = tour(ada, language), f"/campaigns/{campaign.slug}/"

    reader.get(f"{at}join/{campaign.token}/")
    reader.post(f"{at}join/{campaign.token}/", {})
    reader.get(at)
    for _ in range(2):
        page = reader.get(f"{at}work/")
        reader.post(f"{at}vote/", {**form_of(page), "answer": "nothing"}, status=400)
        reader.post(f"{at}vote/", form_of(page))
    reader.get(f"{at}work/")
    reader.get("/campaigns/")

    assert sorted(set(reader.english())) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_lead_s_way_has_no_english(tour, grace, open_arena, language):
    voter = judged(open_arena)
    webhook, _secret = webhooks.add_webhook(
        arena=open_arena, url="http://127.0.0.1/hook", events=["vote.cast"], by=grace
    )
    campaign = campaigns.create_campaign(arena=open_arena, name="Weeding", k=2, open_link=True)
    crowd.join(campaign=campaigns.start_campaign(campaign=campaign), voter=factories.make_voter())
    battle = Vote.objects.first().battle_id
    reader, at = tour(grace, language), "/arenas/garden/manage/"

    for page in (
        "",
        "dashboard/",
        "quality/",
        f"quality/{voter.pk}/",
        f"quality/{voter.pk}/without/",
        "review/",
        f"review/{battle}/",
        "judgement/",
        "judgement/preview/",
        "survey/",
        "reports/",
        "webhooks/",
        f"webhooks/{webhook.pk}/",
        "members/",
        "judges/",
        "campaigns/",
        "new-campaign/",
        f"campaigns/{campaign.slug}/",
        f"campaigns/{campaign.slug}/edit/",
        f"campaigns/{campaign.slug}/questions/",
    ):
        reader.get(at + page)
    reader.post("/arenas/garden/data-sets/", {"formats": "kwise"})
    reader.get("/arenas/garden/data-sets/")
    reader.get("/arenas/garden/training-runs/")
    reader.get("/jobs/")

    assert sorted(set(reader.english())) == []


def judged(arena: Arena) -> Voter:
    """Votes of two people on the same prompts; the one who is asked about."""
    voters = [factories.make_voter(), factories.make_voter()]
    for prompt in arena.prompts.all():
        for voter, ranks in zip(voters, ([1, 2, 3, 4], [4, 3, 2, 1]), strict=True):
            factories.make_vote(arena, ranks, voter=voter, prompt=prompt)
    return voters[0]
