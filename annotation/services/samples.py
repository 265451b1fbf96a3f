"""A battle to look at that is in no table: for the preview of a form."""

from typing import Any

from django.utils.translation import gettext as _

from arena.models import Arena, Response
from arena.services.media import own_file
from arena.services.rendering import html_of, render_markdown

Face = tuple[str, str, dict[str, str] | None]  # text, HTML, file


def sample_battle(arena: Arena) -> dict[str, Any]:
    """A blind view of responses to one of the arena's prompts; of made-up ones where there are too few."""
    responses = _of_one_prompt(arena)
    faces: list[Face]
    if responses:
        messages = responses[0].prompt.messages
        faces = [(one.text, html_of(one), own_file(one)) for one in responses]
    else:
        messages = [{"role": "user", "content": _("Why is the sky blue?")}]
        texts = [
            _("Air scatters **blue** light more than red light.\n\nSo blue comes from all sides."),
            _("1. Light meets air.\n2. Blue is scattered most.\n3. The sky looks blue."),
        ]
        made_up = (texts * (arena.k // 2 + 1))[: arena.k]
        faces = [(text, render_markdown(text), None) for text in made_up]
    return {
        "id": "",
        "arena": arena.slug,
        "k": arena.k,
        "prompt": {"messages": [{"role": one["role"], "content": one["content"]} for one in messages]},
        "slots": [
            {"token": f"sample-{position}", "position": position, "text": text, "html": html, "file": file}
            for position, (text, html, file) in enumerate(faces)
        ],
    }


def _of_one_prompt(arena: Arena) -> list[Response]:
    newest = Response.objects.filter(
        prompt__arena=arena, prompt__retired_at=None, contestant__retired_at=None
    )
    first = newest.order_by("prompt_id").select_related("prompt").first()
    if first is None:
        return []
    responses = list(
        newest.filter(prompt=first.prompt_id, sample=0).select_related("prompt").order_by("sha256")[: arena.k]
    )
    return responses if len(responses) == arena.k else []
