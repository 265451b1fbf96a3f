"""Prompts: checked and made here only."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from arena.errors import BadInput
from arena.models import Arena, Prompt
from arena.services.rendering import normalise_text

HELD_OUT_SHARE = 0.15
ROLES = ("system", "user", "assistant")
LONGEST_PROMPT = 200_000
Message = dict[str, str]


@dataclass(frozen=True)
class NewPrompt:
    """A prompt to make. Without a key it is named after its content, without a split it is drawn by it."""

    messages: list[Message]
    key: str = ""
    tags: list[str] = field(default_factory=list)
    split: str = ""


@transaction.atomic
def create_prompts(
    *,
    arena: Arena,
    prompts: Iterable[NewPrompt],
    held_out: float = HELD_OUT_SHARE,
    retired_at: Any = None,
) -> dict[str, Prompt]:
    """Make the prompts that are not there yet; returns all of them by key.

    A key that the arena has with the same messages is that prompt; with other messages it is
    refused, since votes and data sets name prompts by key.
    """
    if not 0 <= held_out < 1:
        raise BadInput(
            _("The held-out share is %(held_out)s; it must be at least 0 and less than 1.")
            % {"held_out": held_out}
        )
    wanted: dict[str, Prompt] = {}
    for new in prompts:
        key = new.key or content_key(new.messages)
        row = Prompt(
            arena=arena,
            key=key,
            messages=new.messages,
            tags=new.tags,
            split=new.split or drawn_split(new.messages, held_out),
            retired_at=retired_at,
        )
        if wanted.setdefault(key, row).messages != row.messages:
            raise BadInput(
                _("The key %(key)s stands for two different prompts. Give each its own.") % {"key": key}
            )
    there = _prompts_by_key(arena, wanted)
    for key, prompt in there.items():
        if prompt.messages != wanted[key].messages:
            raise BadInput(
                _("The arena has another prompt with the key %(key)s already. Choose another key.")
                % {"key": key}
            )
    Prompt.objects.bulk_create([row for key, row in wanted.items() if key not in there], batch_size=1000)
    return wanted | there


def _prompts_by_key(arena: Arena, keys: Iterable[str]) -> dict[str, Prompt]:
    found: dict[str, Prompt] = {}
    rest = iter(keys)
    # No database takes any number of values in one query.
    while some := list(islice(rest, 5000)):
        found |= {prompt.key: prompt for prompt in Prompt.objects.filter(arena=arena, key__in=some)}
    return found


def content_key(messages: list[Message]) -> str:
    """The same messages always get the same key."""
    return f"p-{_digest(messages)[:20]}"


def drawn_split(messages: list[Message], held_out: float) -> str:
    """A stable draw by the content: the same prompt lands in the same split in every arena."""
    place = int(_digest(messages)[:12], 16) / 16**12
    return Prompt.Split.HELD_OUT if place < held_out else Prompt.Split.TRAIN


def checked_messages(value: Any) -> list[Message]:
    """Chat messages as a user gave them, or BadInput: known roles, texts, the last one from the user."""
    if not isinstance(value, list) or not value:
        raise BadInput(_("messages must be a list with at least one message."))
    messages = [_checked_message(one) for one in value]
    if messages[-1]["role"] != "user":
        raise BadInput(_("The last message must be from the user."))
    if any(message["role"] == "system" for message in messages[1:]):
        raise BadInput(_("Only the first message may be from the system."))
    if sum(len(message["content"]) for message in messages) > LONGEST_PROMPT:
        raise BadInput(
            _("The prompt is longer than %(longest_prompt)s characters.")
            % {"longest_prompt": format(LONGEST_PROMPT, ",")}
        )
    return messages


def checked_text(text: str) -> str:
    """A prompt's text without what must not be shown; BadInput where nothing is left of it."""
    clean = normalise_text(text)
    if not clean:
        raise BadInput(_("The prompt is empty."))
    return clean


def _checked_message(one: Any) -> Message:
    if not isinstance(one, Mapping) or not isinstance(one.get("content"), str):
        raise BadInput(_('Each message must be an object such as {"role": "user", "content": "…"}.'))
    if one.get("role") not in ROLES:
        raise BadInput(
            _("The role is %(role)r; it must be one of %(known)s.")
            % {"role": one.get("role"), "known": ", ".join(ROLES)}
        )
    return {"role": str(one["role"]), "content": checked_text(one["content"])}


def _digest(messages: list[Message]) -> str:
    return hashlib.sha256(json.dumps(messages, sort_keys=True).encode()).hexdigest()
