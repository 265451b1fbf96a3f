"""Things to test with, made as plain functions: each takes what matters and invents the rest."""

import hashlib
from collections.abc import Sequence
from itertools import count
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from arena.models import Arena, Battle, Contestant, Membership, Prompt, Response, Slot, Vote, Voter
from arena.services.rendering import render_markdown

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
    number = next(_numbers)
    messages = [{"role": "user", "content": text or f"Question {number}?"}]
    return Prompt.objects.create(
        **{"arena": arena, "key": f"prompt-{number}", "messages": messages, **fields}
    )


def make_response(prompt: Prompt, contestant: Contestant, text: str = "", **fields: Any) -> Response:
    text = text or f"Answer {next(_numbers)}."
    return Response.objects.create(
        **{
            "prompt": prompt,
            "contestant": contestant,
            "text": text,
            "html": render_markdown(text),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            **fields,
        }
    )


def make_pool(
    slug: str = "", *, contestants: int = 5, prompts: int = 6, names: Sequence[str] = (), **fields: Any
) -> Arena:
    """An arena in which every contestant has answered every prompt."""
    arena = make_arena(slug, **fields)
    made = [make_contestant(arena, name) for name in (names or [""] * contestants)]
    for _ in range(prompts):
        prompt = make_prompt(arena)
        for contestant in made:
            make_response(prompt, contestant)
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
    if ranks is None and kind in (Vote.Kind.RANKING, Vote.Kind.BEST):
        ranks = list(range(1, battle.k + 1))
    return Vote.objects.create(
        **{
            "arena": arena,
            "battle": battle,
            "voter": battle.voter,
            "kind": kind,
            "ranks": None if ranks is None else list(ranks),
            "wall_ms": 5000,
            **fields,
        }
    )
