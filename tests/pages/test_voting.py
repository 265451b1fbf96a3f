import re

import pytest
from django.test import Client

from arena.models import Arena, Battle, Contestant, Job, Vote
from tests import factories

HTMX = {"HX-Request": "true"}


def opened(client: Client, slug: str) -> tuple[Battle, dict[str, str]]:
    """The battle that the page serves and the hidden fields of its form."""
    page = client.get(f"/arenas/{slug}/").content.decode()
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
    return Battle.objects.get(pk=hidden["battle"]), hidden


def ranking(battle: Battle, *ranks: int | str) -> dict[str, str]:
    tokens = battle.slots.order_by("position").values_list("token", flat=True)
    return {f"rank-{token}": str(rank) for token, rank in zip(tokens, ranks, strict=True) if rank != ""}


def test_open_arena_serves_a_battle_without_signing_in(client, open_arena):
    response = client.get(f"/arenas/{open_arena.slug}/")

    assert response.status_code == 200
    page = response.content.decode()
    assert page.count('class="card"') == 4
    assert " checked>" not in page.split("</dialog>")[0].split("<dialog")[0]  # nothing is chosen beforehand
    assert "no-store" in response["Cache-Control"]


def test_page_before_the_vote_names_no_contestant(client, open_arena):
    page = client.get(f"/arenas/{open_arena.slug}/")

    for contestant in open_arena.contestants.all():
        assert contestant.name not in page.content.decode()
        assert contestant.name not in str(page.headers)


def test_reload_serves_the_same_battle(client, open_arena):
    first, _ = opened(client, open_arena.slug)
    second, _ = opened(client, open_arena.slug)

    assert first == second
    assert Battle.objects.count() == 1


def test_plain_form_casts_a_ranking_with_a_tie_and_shows_the_names(client, open_arena):
    battle, hidden = opened(client, open_arena.slug)

    response = client.post(
        f"/arenas/{open_arena.slug}/vote/",
        {**hidden, "answer": "rank", **ranking(battle, 1, 2, 2, 4)},
        follow=True,
    )

    assert response.redirect_chain == [(f"/arenas/{open_arena.slug}/votes/{battle.pk}/", 302)]
    vote = Vote.objects.get()
    assert (vote.kind, vote.ranks) == (Vote.Kind.RANKING, [1, 2, 2, 4])
    page = response.content.decode()
    names = [slot.contestant.name for slot in battle.slots.order_by("position")]
    places = [page.index(f">{name}<") for name in names]
    assert places == sorted(places)  # the cards keep their order


def test_script_gets_the_reveal_as_a_fragment(client, open_arena):
    battle, hidden = opened(client, open_arena.slug)

    response = client.post(
        f"/arenas/{open_arena.slug}/vote/",
        {**hidden, "answer": "rank", "active_ms": "0", **ranking(battle, 1, 2, 3, 4)},
        headers=HTMX,
    )

    assert response.status_code == 200
    assert b'id="reveal"' in response.content
    assert b"<html" not in response.content
    assert Vote.objects.get().active_ms == 0


@pytest.mark.parametrize(
    ("pressed", "kind", "ranks"),
    [
        (lambda slots: {"best": slots[2].token}, Vote.Kind.BEST, [None, None, 1, None]),
        (lambda slots: {"answer": "all_bad"}, Vote.Kind.ALL_BAD, None),
        (lambda slots: {"answer": "skip", "skip_reason": "The prompt is unclear"}, Vote.Kind.SKIP, None),
    ],
)
def test_each_other_button_is_a_vote_of_its_kind(client, open_arena, pressed, kind, ranks):
    battle, hidden = opened(client, open_arena.slug)
    slots = list(battle.slots.order_by("position"))

    response = client.post(f"/arenas/{open_arena.slug}/vote/", {**hidden, **pressed(slots)}, follow=True)

    assert response.status_code == 200
    vote = Vote.objects.get()
    assert (vote.kind, vote.ranks) == (kind, ranks)
    if kind == Vote.Kind.SKIP:
        assert slots[0].contestant.name not in response.content.decode()  # not judged, so not told


def test_incomplete_ranking_is_refused_and_nothing_filled_in_is_lost(client, open_arena):
    battle, hidden = opened(client, open_arena.slug)

    response = client.post(
        f"/arenas/{open_arena.slug}/vote/", {**hidden, "answer": "rank", **ranking(battle, 1, "", 3, "")}
    )

    page = response.content.decode()
    assert response.status_code == 400
    assert "Give every response a rank: B, D have none yet." in page
    assert len(re.findall(r'value="[13]" checked', page)) == 2
    assert hidden["idempotency_key"] in page
    assert not Vote.objects.exists()


@pytest.mark.parametrize(
    "bad",
    [
        {"answer": "rank"},
        {},
        {"answer": "conquer"},
        {"best": "a-token-of-elsewhere"},
        {"answer": "skip", "skip_reason": "x" * 201},
    ],
)
def test_answer_that_does_not_fit_is_refused_with_a_sentence(client, open_arena, bad):
    _, hidden = opened(client, open_arena.slug)

    response = client.post(f"/arenas/{open_arena.slug}/vote/", {**hidden, **bad}, headers=HTMX)

    assert response.status_code == 400
    assert re.search(r'<p class="note bad">[A-Z][^<]+\.', response.content.decode())
    assert not Vote.objects.exists()


@pytest.mark.parametrize("rank", [0, 5, "first", "-1", "1e9", "９"])
def test_rank_out_of_range_is_refused(client, open_arena, rank):
    battle, hidden = opened(client, open_arena.slug)

    response = client.post(
        f"/arenas/{open_arena.slug}/vote/", {**hidden, "answer": "rank", **ranking(battle, 1, 2, 3, rank)}
    )

    assert response.status_code == 400
    assert not Vote.objects.exists()


def test_same_form_sent_twice_is_one_vote(client, open_arena):
    battle, hidden = opened(client, open_arena.slug)
    form = {**hidden, "answer": "rank", **ranking(battle, 1, 2, 3, 4)}

    first = client.post(f"/arenas/{open_arena.slug}/vote/", form, headers=HTMX)
    second = client.post(f"/arenas/{open_arena.slug}/vote/", form, headers=HTMX)

    assert first.status_code == second.status_code == 200
    assert Vote.objects.count() == 1


def test_second_vote_on_a_battle_is_refused_and_shows_the_way_on(client, open_arena):
    battle, hidden = opened(client, open_arena.slug)
    client.post(
        f"/arenas/{open_arena.slug}/vote/", {**hidden, "answer": "rank", **ranking(battle, 1, 2, 3, 4)}
    )

    response = client.post(
        f"/arenas/{open_arena.slug}/vote/",
        {**hidden, "idempotency_key": "another", "answer": "rank", **ranking(battle, 4, 3, 2, 1)},
    )

    page = response.content.decode()
    assert response.status_code == 409
    assert "your first vote stands" in page
    assert "Go to the next battle" in page
    assert len(re.findall(r" checked>", page.split("<dialog")[0])) == 4  # the ranking is still there
    assert Vote.objects.get().ranks == [1, 2, 3, 4]


def test_battle_of_somebody_else_is_refused(client, open_arena):
    battle, hidden = opened(client, open_arena.slug)
    stranger = Client()
    stranger.get(f"/arenas/{open_arena.slug}/")

    response = stranger.post(
        f"/arenas/{open_arena.slug}/vote/", {**hidden, "answer": "rank", **ranking(battle, 1, 2, 3, 4)}
    )

    assert response.status_code == 403
    assert "served to somebody else" in response.content.decode()
    for slot in battle.slots.all():
        assert slot.response.text not in response.content.decode()
    assert not Vote.objects.exists()


@pytest.mark.parametrize("battle_id", ["", "7", "00000000-0000-0000-0000-000000000000"])
def test_unknown_battle_is_refused(client, open_arena, battle_id):
    response = client.post(f"/arenas/{open_arena.slug}/vote/", {"battle": battle_id, "answer": "all_bad"})

    assert response.status_code == 404
    assert not Vote.objects.exists()


def test_battle_of_another_arena_is_not_found(client, open_arena):
    other = factories.make_pool("other")
    _, hidden = opened(client, other.slug)

    response = client.post(f"/arenas/{open_arena.slug}/vote/", {**hidden, "answer": "all_bad"})

    assert response.status_code == 404
    assert not Vote.objects.exists()


def test_form_without_its_key_is_refused(open_arena):
    client = Client(enforce_csrf_checks=True)
    _, hidden = opened(client, open_arena.slug)
    hidden.pop("csrfmiddlewaretoken", None)

    response = client.post(f"/arenas/{open_arena.slug}/vote/", {**hidden, "answer": "all_bad"})

    assert response.status_code == 403
    assert "Reload the page" in response.content.decode()
    assert not Vote.objects.exists()


def test_reveal_of_a_vote_is_for_its_voter_only(client, open_arena):
    battle, hidden = opened(client, open_arena.slug)
    client.post(
        f"/arenas/{open_arena.slug}/vote/", {**hidden, "answer": "rank", **ranking(battle, 1, 2, 3, 4)}
    )

    response = Client().get(f"/arenas/{open_arena.slug}/votes/{battle.pk}/")

    assert response.status_code == 404
    for slot in battle.slots.all():
        assert slot.contestant.name not in response.content.decode()


def test_battle_not_yet_voted_on_reveals_nothing(client, open_arena):
    battle, _ = opened(client, open_arena.slug)

    assert client.get(f"/arenas/{open_arena.slug}/votes/{battle.pk}/").status_code == 404


def test_arena_that_never_reveals_thanks_and_goes_on(client, db):
    arena = factories.make_pool("silent", reveal=Arena.Reveal.NEVER)
    battle, hidden = opened(client, arena.slug)

    response = client.post(
        f"/arenas/{arena.slug}/vote/",
        {**hidden, "answer": "rank", **ranking(battle, 1, 2, 3, 4)},
        headers=HTMX,
    )

    page = response.content.decode()
    assert "Your vote is in. Thank you." in page
    assert "Next battle" in page
    for slot in battle.slots.all():
        assert slot.contestant.name not in page


def test_next_battle_comes_as_a_fragment_and_is_the_one_of_the_page(client, open_arena):
    first, hidden = opened(client, open_arena.slug)
    client.post(
        f"/arenas/{open_arena.slug}/vote/", {**hidden, "answer": "rank", **ranking(first, 1, 2, 3, 4)}
    )

    fragment = client.get(f"/arenas/{open_arena.slug}/next/", headers=HTMX).content.decode()
    battle, _ = opened(client, open_arena.slug)

    assert str(battle.pk) in fragment
    assert battle != first
    assert "<html" not in fragment


def test_closed_arena_asks_for_signing_in(client, closed_arena):
    response = client.get(f"/arenas/{closed_arena.slug}/")

    assert response.status_code == 401
    assert f"/accounts/login/?next=/arenas/{closed_arena.slug}/" in response.content.decode()


def test_closed_arena_is_not_there_for_an_outsider(mallory_in, closed_arena):
    response = mallory_in.get(f"/arenas/{closed_arena.slug}/")

    assert response.status_code == 404
    assert closed_arena.name not in response.content.decode()


def test_member_votes_in_a_closed_arena(ada_in, closed_arena):
    battle, hidden = opened(ada_in, closed_arena.slug)

    ada_in.post(
        f"/arenas/{closed_arena.slug}/vote/", {**hidden, "answer": "rank", **ranking(battle, 1, 2, 3, 4)}
    )

    assert Vote.objects.get().voter.user.username == "ada"


def test_unknown_arena_is_a_sentence(client, db):
    response = client.get("/arenas/nowhere/")

    assert response.status_code == 404
    assert "There is no arena &quot;nowhere&quot;." in response.content.decode()


def test_arena_without_responses_says_so(client, db):
    arena = factories.make_arena("bare")

    response = client.get(f"/arenas/{arena.slug}/")

    assert response.status_code == 200
    assert "No battles yet" in response.content.decode()


def test_arena_at_work_shows_its_progress_and_looks_again(client, db):
    arena = factories.make_arena("busy")
    secret = factories.make_contestant(arena, "the-secret-model")
    Job.objects.create(
        kind=Job.Kind.GENERATE,
        arena=arena,
        title=f"Responses of {secret}",
        state="running",
        done=40,
        total=300,
    )

    page = client.get(f"/arenas/{arena.slug}/").content.decode()

    assert "Responses are being made" in page
    assert "40 of 300" in page
    assert 'data-reload="3000"' in page
    assert secret.name not in page  # whose responses are late says who is who


def test_voter_who_has_seen_all_is_thanked(client, db):
    arena = factories.make_pool("small", contestants=2, prompts=1, k=2)
    battle, hidden = opened(client, arena.slug)
    client.post(f"/arenas/{arena.slug}/vote/", {**hidden, "answer": "rank", **ranking(battle, 1, 2)})

    page = client.get(f"/arenas/{arena.slug}/").content.decode()

    assert "You have judged everything there is; thank you." in page
    assert "data-reload" not in page


@pytest.mark.parametrize("k", range(2, 9))
def test_every_k_has_as_many_cards_and_ranks(client, db, k):
    arena = factories.make_pool(f"k{k}", contestants=8, prompts=1, k=k)

    page = client.get(f"/arenas/{arena.slug}/").content.decode()

    assert page.count('class="card"') == k
    assert page.count('<label class="rank">') == k * k


@pytest.mark.parametrize("path", ["", "next/"])
def test_reading_pages_take_no_post(client, open_arena, path):
    assert client.post(f"/arenas/{open_arena.slug}/{path}").status_code == 405


def test_vote_takes_no_get(client, open_arena):
    assert client.get(f"/arenas/{open_arena.slug}/vote/").status_code == 405


def test_output_of_a_model_cannot_run_script(client, db):
    arena = factories.make_arena("hostile", k=2)
    prompt = factories.make_prompt(arena, "<script>alert('prompt')</script>")
    for _ in range(2):
        factories.make_response(
            prompt, factories.make_contestant(arena), "<script>alert(1)</script> [x](javascript:alert(1))"
        )

    page = client.get(f"/arenas/{arena.slug}/").content.decode()

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert 'href="javascript' not in page


def test_guidelines_are_shown_beside_the_battle(client, open_arena):
    Arena.objects.update(guidelines="Prefer the **true** one.")

    assert (
        "Prefer the <strong>true</strong> one." in client.get(f"/arenas/{open_arena.slug}/").content.decode()
    )


def test_page_with_an_open_battle_costs_few_queries(client, open_arena, django_assert_max_num_queries):
    client.get(f"/arenas/{open_arena.slug}/")

    with django_assert_max_num_queries(11):
        client.get(f"/arenas/{open_arena.slug}/")


def test_page_does_not_ask_more_for_more_contestants(client, django_assert_max_num_queries, db):
    arena = factories.make_pool("large", contestants=8, prompts=2, k=8)
    client.get(f"/arenas/{arena.slug}/")

    with django_assert_max_num_queries(11):
        client.get(f"/arenas/{arena.slug}/")
    assert Contestant.objects.filter(arena=arena).count() == 8
