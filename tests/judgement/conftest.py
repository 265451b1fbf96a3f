"""Arenas that ask for more than an order. Ada votes in them through her browser."""

import re
from collections.abc import Callable

import pytest
from django.test import Client

from arena.models import Arena, Battle
from arena.services.guidelines import revise
from arena.services.judgement import Criterion, Judgement, Reason
from tests import factories

EVERYTHING = Judgement(
    criteria=(
        Criterion("helpful", "Helpful", "Does it help?"),
        Criterion("progress", "Progress", "How far does it get?", "scale"),
        Criterion("truth", "Truthful", "Is it true?", "choice", 2.0),
    ),
    confidence="required",
    reason=Reason("required", ("Clearer", "More correct"), min_length=10),
    spans=True,
    parts="good_bad",
    rewrite=True,
    report=True,
    undo=True,
)
TEXT = "The sky is **blue** 🌍. That is due to *scattering*.\n\nAt sunset it is red."


@pytest.fixture
def asks(db) -> Callable[..., Arena]:
    """`asks(Judgement(…), k=2)` is an open arena that asks so; every response is the same known text."""

    def made(
        form: Judgement, *, k: int = 3, slug: str = "study", text: str = TEXT, **fields: object
    ) -> Arena:
        arena = factories.make_arena(slug, k=k, **fields)
        contestants = [factories.make_contestant(arena) for _ in range(k + 1)]
        for _ in range(4):
            prompt = factories.make_prompt(arena)
            for contestant in contestants:
                factories.make_response(prompt, contestant, text)
        revise(arena=arena, by=None, form=form)
        return arena

    return made


@pytest.fixture
def study(asks) -> Arena:
    """An arena that asks for everything there is, of three responses."""
    return asks(EVERYTHING)


def opened(client: Client, slug: str = "study") -> tuple[Battle, dict[str, str], list[str]]:
    """The battle of the page, the hidden fields of its form, and the tokens of its slots."""
    page = client.get(f"/arenas/{slug}/").content.decode()
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
    battle = Battle.objects.get(pk=hidden["battle"])
    return battle, hidden, list(battle.slots.order_by("position").values_list("token", flat=True))


def complete(tokens: list[str]) -> dict[str, str | list[str]]:
    """Fields that answer everything the study asks for."""
    a, b, c = tokens
    return {
        "answer": "rank",
        **{f"rank-{token}": str(rank) for token, rank in zip(tokens, (2, 1, 3), strict=True)},
        **{f"c-helpful-{token}": str(rank) for token, rank in zip(tokens, (1, 1, 3), strict=True)},
        **{f"c-progress-{token}": str(score) for token, score in zip(tokens, (0, 50, 100), strict=True)},
        "c-truth": c,
        "confidence": "3",
        "tag": ["Clearer"],
        "reason": "B says it in the fewest words.",
        "mark": f"{a}:good:11:19",
        f"s-{b}-0-22": "bad",
        f"part-{a}-1": "good",
        "rewrite": "The sky is blue, since air scatters blue light.",
    }
