"""Prompts say what they need, contestants what they can; and sets of samples that differ."""

from typing import Any

import pytest

from arena.errors import AllSeen, BadInput
from arena.models import Contestant, Job, Response
from arena.services import battles, diversity, responses, routing, votes
from arena.services.ballots import Ballot
from tests import factories
from tests.arena.test_media_formats import png

pytestmark = pytest.mark.django_db

TURNS = [
    {"role": "user", "content": "One?"},
    {"role": "assistant", "content": "One."},
    {"role": "user", "content": "Two?"},
]
PICTURE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]


@pytest.mark.parametrize(
    ("can", "needs", "able"),
    [
        ({}, {}, True),
        ({}, {"language": "de", "turns": 9}, True),
        ({}, {"image_input": True}, False),
        ({"image_input": True}, {"image_input": True}, True),
        ({"languages": ["en"]}, {"language": "de"}, False),
        ({"languages": ["de-AT"]}, {"language": "de"}, True),
        ({"languages": ["en"]}, {}, True),
        ({"turns": 1}, {"turns": 2}, False),
        ({"turns": 2}, {"turns": 2}, True),
        ({}, {"lyrics": True}, False),
        ({"max_duration": 30}, {"duration": 31}, False),
        ({"max_duration": 30}, {"duration": 30}, True),
        ({"modality": "audio"}, {}, False),
        ({"modality": "audio"}, {"modality": "audio"}, True),
    ],
)
def test_who_can_answer_what(can: dict[str, Any], needs: dict[str, Any], able: bool):
    assert routing.can_answer(Contestant(capabilities=can), needs) is able


def test_what_a_prompt_needs_is_read_from_its_messages():
    assert routing.needs_of(TURNS) == {"turns": 2}
    assert routing.needs_of(PICTURE) == {"image_input": True}
    assert routing.needs_of(TURNS, {"turns": 5, "language": "de"}) == {"turns": 5, "language": "de"}
    assert routing.needs_of(TURNS[:1]) == {}


@pytest.mark.parametrize(
    ("check", "given", "sentence"),
    [
        (routing.checked_needs, {"langauge": "de"}, "Known are language"),
        (routing.checked_needs, {"turns": True}, "turns is True"),
        (routing.checked_capabilities, {"languages": "de"}, "must be of the kind list"),
        (routing.checked_capabilities, ["text"], "must be an object"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(check: Any, given: Any, sentence: str):
    with pytest.raises(BadInput, match=sentence):
        check(given)


def test_nobody_is_asked_for_what_it_cannot():
    arena = factories.make_arena()
    plain = factories.make_prompt(arena)
    long = factories.make_prompt(arena, messages=TURNS)
    german = factories.make_prompt(arena, needs={"language": "de"})
    short, all_of_it = (
        factories.make_contestant(
            arena, backend="openai", endpoint="http://127.0.0.1:8009/v1", endpoint_model="m", capabilities=can
        )
        for can in ({"turns": 1, "languages": ["en"]}, {})
    )

    owed = {one.contestant: one.responses for one in responses.missing(arena=arena)}
    asked = responses.next_requests(contestant=short, samples=1, limit=10)

    assert owed == {short: 1, all_of_it: 3}
    assert [one.prompt_id for one in asked] == [plain.pk]
    assert routing.cannot_answer(short) == {long.pk, german.pk}
    assert routing.able([short, all_of_it], TURNS) == [all_of_it]


def read_by_a_model(messages: Any) -> dict[str, Any]:
    """Stands for a router of the user's own."""
    return {"language": "de"} if "Was" in messages[-1]["content"] else {}


def test_a_router_of_one_s_own_reads_the_prompts(settings):
    settings.PROMPT_ROUTER = "tests.jobs.test_routing.read_by_a_model"
    arena = factories.make_arena()
    german = factories.make_prompt(arena, "Was frisst ein Hund?")
    factories.make_prompt(arena, "What does a dog eat?")

    assert routing.route(arena) == 1

    german.refresh_from_db()
    assert german.needs == {"language": "de"}


def test_what_costs_nothing_is_made_first():
    arena = factories.make_pool(contestants=0, prompts=0)
    factories.make_prompt(arena)
    for name, budget in (("dear", {"price_out": 9}), ("free", {}), ("cheap", {"price_out": 1})):
        factories.make_contestant(
            arena,
            name,
            backend="openai",
            endpoint="http://127.0.0.1:8009/v1",
            endpoint_model="m",
            budget=budget,
        )

    assert [one.contestant.name for one in responses.missing(arena=arena)] == ["free", "cheap", "dear"]


def test_a_voter_who_has_seen_everything_has_more_made():
    arena = factories.make_pool(contestants=0, prompts=0, k=2)
    prompt = factories.make_prompt(arena)
    for name, fields in (("free", {}), ("also free", {}), ("dear", {"budget": {"price_out": 9}})):
        contestant = factories.make_contestant(
            arena, name, backend="openai", endpoint="http://127.0.0.1:8009/v1", endpoint_model="m", **fields
        )
        factories.make_response(prompt, contestant)
    voter = factories.make_voter()

    for _ in range(5):
        try:
            battle = battles.start_battle(arena=arena, voter=voter)
        except AllSeen:
            break
        votes.cast_vote(battle=battle, voter=voter, ballot=Ballot.parse({"ranks": [1, 2]}, k=2))
    else:
        pytest.fail("the voter never saw all")

    queued = Job.objects.filter(kind=Job.Kind.GENERATE)
    assert {job.title for job in queued} == {"Responses of free", "Responses of also free"}
    assert {job.payload["samples"] for job in queued} == {2}


def test_texts_are_as_diverse_as_their_words_differ():
    same = "A dog eats meat and bones."
    assert diversity.diversity([same, same]) == 0.0
    assert diversity.diversity([same, "Cats sleep all day long in the sun."]) == 1.0
    assert diversity.diversity([same]) is None
    # a b c | b c d against a b c | b c e: one triple of three is common
    assert diversity.diversity(["a b c d", "a b c e"]) == pytest.approx(1 - 1 / 3)


def test_nearly_equal_samples_are_not_shown_together_where_there_is_a_choice():
    arena = factories.make_arena()
    prompt = factories.make_prompt(arena)
    one, other = (factories.make_contestant(arena) for _ in range(2))
    text = "A dog eats meat, and now and then a bone that it has buried in the garden before."
    only = factories.make_response(prompt, one, text)
    repeats = factories.make_response(prompt, other, text.upper(), sample=0)
    differs = factories.make_response(prompt, other, "Dogs like whatever falls from the table.", sample=1)

    for pick in (min, max):
        chosen = diversity.apart({other.pk: [repeats.pk, differs.pk], one.pk: [only.pk]}, pick)
        assert chosen == {one.pk: only.pk, other.pk: differs.pk}
    assert diversity.apart({other.pk: [repeats.pk], one.pk: [only.pk]}, min)[other.pk] == repeats.pk


def test_a_file_is_kept_once_under_its_checksum(settings):
    arena = factories.make_arena()
    contestant = factories.make_contestant(arena)
    items = [
        responses.NewResponse(factories.make_prompt(arena).pk, 0, "", file=png(), media_type="image/png")
        for _ in range(2)
    ]

    responses.record_responses(contestant=contestant, items=items)

    files = set(Response.objects.values_list("file", flat=True))
    assert len(files) == 1
    assert (settings.MEDIA_ROOT / files.pop()).read_bytes() == png()
