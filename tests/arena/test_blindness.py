"""Before the vote nothing that reaches a voter depends on who the contestants are."""

import html
import json
import random
import re
import secrets
import warnings
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.http import HttpResponse
from django.test import Client

from arena.models import Arena, Slot
from arena.services import matchmaking
from arena.services.battles import blind_view, start_battle
from tests import factories

pytestmark = pytest.mark.django_db

# What is random for each battle, session and second, and says nothing of the contestants.
RANDOM = [
    (re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"), b"UUID"),
    (re.compile(rb"(?<!\w)\w{64}(?!\w)"), b"CSRF"),
    (re.compile(rb"Expires: [^\n]*"), b"Expires: SOON"),
    (re.compile(rb'(name="idempotency_key" value=")[\w-]+'), rb"\1KEY"),
]


# All that an arena can ask for: each part draws more of the page.
ASKS_ALL = {
    "criteria": [{"key": "a", "kind": "rank"}, {"key": "b", "kind": "scale"}, {"key": "c", "kind": "choice"}],
    "confidence": "required",
    "reason": {"need": "required", "tags": ["Clearer"]},
    "spans": True,
    "parts": "good_bad",
    "rewrite": True,
    "report": True,
    "undo": True,
}


def build_world(names: list[str], judgement: dict[str, Any] | None = None, **fields: Any) -> Arena:
    """An arena whose prompts and texts are always the same, whoever wrote them."""
    # The arena's own id may be seen; those of contestants and responses may not, and they differ.
    arena = factories.make_arena("world", k=4, pk=777, judgement=judgement or {})
    elsewhere = factories.make_arena("elsewhere", access=Arena.Access.CLOSED)
    for _ in names[-1]:
        factories.make_contestant(elsewhere)
    contestants = [factories.make_contestant(arena, name, **fields) for name in names]
    for number in range(3):
        prompt = factories.make_prompt(arena, f"Question {number}?", key=f"q{number}")
        for letter, contestant in zip("abcdef", contestants, strict=False):
            factories.make_response(
                prompt,
                contestant,
                f"Text {letter}{number}, **bold**",
                raw=fields.get("description", ""),
                made_by={"model": contestant.name, "seconds": len(contestant.name)},
            )
    return arena


def before_the_vote(client: Client, slug: str) -> Iterator[HttpResponse]:
    """Every answer that a voter can get before voting and that a battle is in, or near."""
    yield client.post("/api/v1/battles/", {"arena": slug}, content_type="application/json")
    yield client.get("/api/v1/arenas/")
    yield client.get(f"/api/v1/arenas/{slug}/")
    yield client.get("/api/v1/schema/")
    yield client.get(f"/arenas/{slug}/")
    yield client.get(f"/arenas/{slug}/next/")
    yield client.get(f"/arenas/{slug}/next/?ahead")
    yield client.get("/")


def bytes_of(response: HttpResponse) -> bytes:
    """Status line, headers and body, without what is random for each session."""
    body = b"".join(response.streaming_content) if response.streaming else response.content
    headers = [f"{name}: {value}" for name, value in response.headers.items() if name != "Set-Cookie"]
    cookies = [f"{name}; {sorted(morsel.items())}" for name, morsel in response.cookies.items()]
    cookies = [re.sub(r"'expires', '[^']*'", "", cookie) for cookie in cookies]
    text = "\n".join([str(response.status_code), *sorted(headers), *cookies]).encode() + b"\n" + body
    for token in Slot.objects.values_list("token", flat=True):
        text = text.replace(token.encode(), b"TOKEN")
    for pattern, instead in RANDOM:
        text = pattern.sub(instead, text)
    return text


def seen_in_world(monkeypatch: pytest.MonkeyPatch, names: list[str], **fields: Any) -> list[bytes]:
    """The normalised answers in a world of these contestants, with the same dice."""
    monkeypatch.setattr(matchmaking, "_random", random.Random(5))
    monkeypatch.setattr(secrets, "randbits", lambda bits: 12345)
    with transaction.atomic():
        build_world(names, **fields)
        answers = [bytes_of(response) for response in before_the_vote(Client(), "world")]
        transaction.set_rollback(True)
    matchmaking.forget()
    return answers


@pytest.mark.parametrize("judgement", [{}, ASKS_ALL, {**ASKS_ALL, "ask": "best", "parts": "preference"}])
def test_two_worlds_that_differ_in_who_answers_look_the_same(monkeypatch, judgement):
    plain = seen_in_world(monkeypatch, ["a", "b", "c", "d", "e"], judgement=judgement)
    other = seen_in_world(
        monkeypatch,
        ["Zephyr-9000", "x" * 100, "Claude", "GPT", "Ω" * 30],
        backend="transformers",
        checkpoint="/models/secret",
        revision="abc",
        system_prompt="You are secret.",
        parameters={"temperature": 1.7},
        description="the secret one",
        weight=3,
        judgement=judgement,
    )

    assert len(plain) == len(other) >= 7
    for one, two in zip(plain, other, strict=True):
        assert one == two
    assert b"bold" in plain[0]  # what is compared is a battle and not a refusal
    assert b"bold" in plain[4]


def canaries() -> dict[str, Any]:
    return {
        name: f"canary{secrets.token_hex(13)}"
        for name in (
            "description", "checkpoint", "endpoint", "endpoint_model", "endpoint_key_variable", "revision",
            "system_prompt",
        )
    }  # fmt: skip


def decodings(text: bytes) -> Iterator[str]:
    """The text as it came, and as somebody curious would unwrap it."""
    plain = text.decode(errors="replace")
    yield plain
    yield html.unescape(plain)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # what is no escape stays as it is
        yield plain.encode().decode("unicode_escape", errors="replace")
    for run in re.findall(rb"(?:[0-9a-f]{2}){8,}", text):
        yield bytes.fromhex(run.decode()).decode(errors="replace")
    for run in re.findall(rb"x\x9c[\x00-\xff]+", text):
        yield zlib.decompressobj().decompress(run).decode(errors="replace")


def test_no_name_and_no_setting_of_a_contestant_gets_out_before_the_vote():
    names = [f"canary{secrets.token_hex(13)}" for _ in range(5)]
    build_world(names, ASKS_ALL, parameters={"canary-temperature": 0.123456789}, **canaries())

    client, read = Client(), 0
    for response in before_the_vote(client, "world"):
        body = b"".join(response.streaming_content) if response.streaming else response.content
        head = repr([*response.headers.items(), *response.cookies.items()]).encode()
        for text in decodings(head + body):
            assert "canary" not in text
            assert "0.123456789" not in text
            read += len(text)
    assert read > 5000
    battle = Slot.objects.first().battle
    said = {"criteria": {"a": [1, 2, 3, 4], "b": [1, 2, 3, 4], "c": {"best": 0}}, "confidence": 1}
    body = {"best": 0, "details": {**said, "reason": {"tags": ["Clearer"]}}}
    answer = client.post(f"/api/v1/battles/{battle.pk}/vote/", body, content_type="application/json")
    assert "canary" in answer.content.decode()  # and the vote earns the names


def test_tokens_are_new_for_each_battle_and_say_nothing(open_arena):
    views = [blind_view(start_battle(arena=open_arena, voter=factories.make_voter())) for _ in range(10)]

    tokens = [slot["token"] for view in views for slot in view["slots"]]
    assert len(set(tokens)) == len(tokens) == 40
    assert all(re.fullmatch(r"[\w-]{22}", token) for token in tokens)


def test_a_message_shows_its_words_and_nothing_that_came_along(open_arena):
    prompt = open_arena.prompts.first()
    prompt.messages = [{"role": "user", "content": "Hello?", "model": "x", "meta": {"provider": "y"}}]
    prompt.save()

    view = blind_view(factories.make_battle(open_arena, prompt=prompt))

    assert view["prompt"] == {"messages": [{"role": "user", "content": "Hello?"}]}
    assert set(json.loads(json.dumps(view))) == {"id", "arena", "k", "prompt", "slots"}
