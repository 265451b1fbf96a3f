"""Things to test with, made as plain functions: each takes what matters and invents the rest."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from arena.models import Arena, Battle, Contestant, Membership, Prompt, Response, Slot, Vote, Voter
from arena.services.rendering import rendered

_numbers = count(1)


def make_user(username: str = "", **fields: Any) -> User:
    return User.objects.create_user(username or f"user-{next(_numbers)}", password="open sesame", **fields)


def make_arena(slug: str = "", **fields: Any) -> Arena:
    slug = slug or f"arena-{next(_numbers)}"
    return Arena.objects.create(**{"slug": slug, "name": slug.replace("-", " ").title(), **fields})


def make_member(arena: Arena, user: User, role: str = Membership.Role.ANNOTATOR) -> Membership:
    return Membership.objects.create(arena=arena, user=user, role=role)


def make_contestant(arena: Arena, name: str = "", **fields: Any) -> Contestant:
    return Contestant.objects.create(arena=arena, name=name or f"contestant-{next(_numbers)}", **fields)


def make_prompt(arena: Arena, text: str = "", **fields: Any) -> Prompt:
    prompt = _prompt(arena, text, **fields)
    prompt.save(force_insert=True)
    return prompt


def make_response(prompt: Prompt, contestant: Contestant, text: str = "", **fields: Any) -> Response:
    text = text or f"Answer {next(_numbers)}."
    html = rendered(text=text, messages=fields.get("messages"))
    response = _response(prompt, contestant, text, **{**html, **fields})
    response.save(force_insert=True)
    return response


def make_pool(
    slug: str = "", *, contestants: int = 5, prompts: int = 6, names: Sequence[str] = (), **fields: Any
) -> Arena:
    """An arena in which every contestant has answered every prompt. Most tests begin here: few inserts."""
    arena = make_arena(slug, **fields)
    made = [make_contestant(arena, name) for name in (names or [""] * contestants)]
    asked = Prompt.objects.bulk_create(_prompt(arena) for _ in range(prompts))
    pairs = [(prompt, contestant) for prompt in asked for contestant in made]
    texts = [f"Answer {number} in {arena.name}." for number in range(1, len(pairs) + 1)]
    Response.objects.bulk_create(
        _response(*pair, text, **_rendered(text)) for pair, text in zip(pairs, texts, strict=True)
    )
    return arena


def make_voter(**fields: Any) -> Voter:
    return Voter.objects.create(**fields)


def make_battle(
    arena: Arena,
    voter: Voter | None = None,
    *,
    contestants: Sequence[Contestant] = (),
    prompt: Prompt | None = None,
    **fields: Any,
) -> Battle:
    """A battle of these contestants (or the arena's first K) in this order of slots."""
    shown = list(contestants) or list(arena.contestants.order_by("id")[: arena.k])
    prompt = prompt or arena.prompts.order_by("id").first() or make_prompt(arena)
    battle = Battle.objects.create(
        **{
            "arena": arena,
            "prompt": prompt,
            "voter": voter or make_voter(),
            "k": len(shown),
            "strategy": "random",
            "propensity": 1.0,
            **fields,
        }
    )
    for position, contestant in enumerate(shown):
        response = Response.objects.filter(prompt=prompt, contestant=contestant).first()
        Slot.objects.create(
            battle=battle,
            position=position,
            contestant=contestant,
            response=response or make_response(prompt, contestant),
        )
    return battle


def make_vote(
    arena: Arena,
    ranks: Sequence[int | None] | None = None,
    *,
    contestants: Sequence[Contestant] = (),
    voter: Voter | None = None,
    kind: str = Vote.Kind.RANKING,
    prompt: Prompt | None = None,
    **fields: Any,
) -> Vote:
    """A vote on a closed battle of these contestants; without ranks, in the order given."""
    battle = make_battle(arena, voter, contestants=contestants, prompt=prompt, closed_at=timezone.now())
    return vote_on(battle, ranks, kind=kind, **fields)


def vote_on(
    battle: Battle, ranks: Sequence[int | None] | None = None, *, kind: str = Vote.Kind.RANKING, **fields: Any
) -> Vote:
    """A vote on this battle as its voter; without ranks, in the order of the slots."""
    if ranks is None and kind in (Vote.Kind.RANKING, Vote.Kind.BEST):
        ranks = list(range(1, battle.k + 1))
    return Vote.objects.create(
        **{
            "arena": battle.arena,
            "battle": battle,
            "voter": battle.voter,
            "kind": kind,
            "ranks": None if ranks is None else list(ranks),
            "wall_ms": 5000,
            **fields,
        }
    )


def _prompt(arena: Arena, text: str = "", **fields: Any) -> Prompt:
    number = next(_numbers)
    messages = [{"role": "user", "content": text or f"Question {number}?"}]
    return Prompt(**{"arena": arena, "key": f"prompt-{number}", "messages": messages, **fields})


def _response(prompt: Prompt, contestant: Contestant, text: str, **fields: Any) -> Response:
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return Response(**{"prompt": prompt, "contestant": contestant, "text": text, "sha256": sha256, **fields})


@lru_cache(maxsize=10_000)
def _rendered(text: str) -> dict[str, Any]:
    """Pools of the same name have the same texts, which need not be rendered for each test."""
    return rendered(text=text)
