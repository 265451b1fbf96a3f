"""Who can answer what: prompts say what they need, contestants what they can.

What a contestant does not say is taken as: text in and out, every language, any number of turns.
What a prompt does not say is read from its messages by rule; ARENA_PROMPT_ROUTER may name a function
that reads it with a model (Music Arena does so): it gets the messages and gives needs.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from arena.errors import BadInput
from arena.models import Arena, Contestant, Prompt

Messages = Sequence[Mapping[str, Any]]

# name: what it may be, for prompts and for contestants.
NEEDS: dict[str, tuple[type, ...]] = {
    "language": (str,),
    "turns": (int,),
    "image_input": (bool,),
    "lyrics": (bool,),
    "duration": (int, float),
    "modality": (str,),
}
ABILITIES: dict[str, tuple[type, ...]] = {
    "languages": (list,),
    "turns": (int,),
    "image_input": (bool,),
    "lyrics": (bool,),
    "max_duration": (int, float),
    "modality": (str,),
}


def checked_needs(given: Any) -> dict[str, Any]:
    """What a prompt needs, or BadInput with the sentence that says what is wrong."""
    return _checked(given, NEEDS)


def checked_capabilities(given: Any) -> dict[str, Any]:
    """What a contestant can do, or BadInput."""
    return _checked(given, ABILITIES)


def needs_of(messages: Messages, declared: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What answering these messages takes: what is declared, and what can be read from them by rule."""
    read: dict[str, Any] = {}
    turns = sum(message.get("role") == "user" for message in messages)
    if turns > 1:
        read["turns"] = turns
    if any(_has_image(message.get("content")) for message in messages):
        read["image_input"] = True
    return {**read, **(declared or {})}


def can_answer(contestant: Contestant, needs: Mapping[str, Any]) -> bool:
    """Whether the contestant can do all of it."""
    can = contestant.capabilities or {}
    languages = [one.lower().partition("-")[0] for one in can.get("languages", [])]
    language = str(needs.get("language", "")).lower().partition("-")[0]
    return (
        (not language or not languages or language in languages)
        and needs.get("turns", 1) <= can.get("turns", needs.get("turns", 1))
        and (not needs.get("image_input") or bool(can.get("image_input")))
        and (not needs.get("lyrics") or bool(can.get("lyrics")))
        and needs.get("duration", 0) <= can.get("max_duration", needs.get("duration", 0))
        and needs.get("modality", "text") == can.get("modality", needs.get("modality", "text"))
    )


def able(contestants: Iterable[Contestant], messages: Messages) -> list[Contestant]:
    """Those of the contestants that can answer these messages. For a question that a visitor asks."""
    needs = needs_of(messages, _routed(messages))
    return [one for one in contestants if can_answer(one, needs)]


def cannot_answer(contestant: Contestant) -> set[int]:
    """The prompts of its arena that this contestant cannot answer."""
    prompts = Prompt.objects.active().filter(arena=contestant.arena_id)
    if not contestant.capabilities and not prompts.exclude(needs={}).exists():
        return set()
    rows = prompts.values_list("pk", "messages", "needs")
    return {pk for pk, messages, needs in rows if not can_answer(contestant, needs_of(messages, needs))}


def route(arena: Arena) -> int:
    """Have the router read the prompts that say nothing of their needs. How many it read something from."""
    if not settings.PROMPT_ROUTER:
        return 0
    found = 0
    for prompt in Prompt.objects.active().filter(arena=arena, needs={}):
        if needs := _routed(prompt.messages):
            Prompt.objects.filter(pk=prompt.pk).update(needs=needs)
            found += 1
    return found


def _routed(messages: Messages) -> dict[str, Any]:
    if not settings.PROMPT_ROUTER:
        return {}
    router: Callable[[Messages], Mapping[str, Any]] = import_string(settings.PROMPT_ROUTER)
    return checked_needs(dict(router(messages)))


def _has_image(content: Any) -> bool:
    return isinstance(content, list) and any(
        isinstance(part, dict) and part.get("type") in ("image", "image_url") for part in content
    )


def _checked(given: Any, known: Mapping[str, tuple[type, ...]]) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise BadInput(_("It must be an object such as %(example)s.") % {"example": '{"turns": 3}'})
    for name, value in given.items():
        if name not in known:
            near = get_close_matches(str(name), known, n=1)
            raise BadInput(
                _("There is no %(name)r here. Known are %(known)s.")
                % {"name": name, "known": ", ".join(near or known)}
            )
        wrong = isinstance(value, bool) and bool not in known[name]
        if wrong or not isinstance(value, known[name]):
            raise BadInput(
                _("%(name)s is %(value)r; it must be of the kind %(kind)s.")
                % {"name": name, "value": value, "kind": known[name][0].__name__}
            )
    return given
