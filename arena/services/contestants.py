"""Contestants: made, checked and retired here only."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from arena.errors import BadInput
from arena.models import Arena, Contestant

Backend = Contestant.Backend

# Sampling parameters: what is accepted, and the least and the most.
PARAMETERS: dict[str, tuple[type, float, float]] = {
    "temperature": (float, 0, 5),
    "top_p": (float, 0, 1),
    "top_k": (int, 0, 100_000),
    "repetition_penalty": (float, 0.1, 10),
    "max_new_tokens": (int, 1, 131_072),
    "seed": (int, 0, 2**32 - 1),
}


def create_contestant(
    *,
    arena: Arena,
    name: str,
    backend: str,
    description: str = "",
    checkpoint: str = "",
    endpoint: str = "",
    endpoint_model: str = "",
    endpoint_key_variable: str = "",
    revision: str = "",
    system_prompt: str = "",
    parameters: Mapping[str, Any] | None = None,
    parent: Contestant | None = None,
    weight: float = 1.0,
) -> Contestant:
    """A new contestant, or BadInput with the sentence that says what to put right."""
    contestant = Contestant(
        arena=arena,
        name=name.strip(),
        backend=backend,
        description=description,
        checkpoint=checkpoint.strip(),
        endpoint=endpoint.strip().rstrip("/"),
        endpoint_model=endpoint_model.strip(),
        endpoint_key_variable=endpoint_key_variable.strip(),
        revision=revision.strip(),
        system_prompt=system_prompt,
        parameters=dict(parameters or {}),
        parent=parent,
        weight=weight,
    )
    check_contestant(contestant)
    try:
        with transaction.atomic():
            contestant.save()
    except IntegrityError:
        raise BadInput(_taken(contestant)) from None
    return contestant


def uploaded_contestants(*, arena: Arena, names: Iterable[str]) -> dict[str, Contestant]:
    """The contestants of these names; those that are not there yet are made, as uploaded ones."""
    wanted = list(dict.fromkeys(names))
    there = {one.name: one for one in Contestant.objects.filter(arena=arena, name__in=wanted)}
    for name in wanted:
        if name not in there:
            there[name] = create_contestant(arena=arena, name=name, backend=Backend.UPLOADED)
    return there


def retire_contestant(*, contestant: Contestant) -> Contestant:
    """Draw it no more. Its responses and votes stay, and so does its row of the leaderboard."""
    Contestant.objects.filter(pk=contestant.pk, retired_at=None).update(retired_at=Now())
    contestant.refresh_from_db()
    return contestant


def bring_back_contestant(*, contestant: Contestant) -> Contestant:
    """Draw a retired contestant again."""
    Contestant.objects.filter(pk=contestant.pk).update(retired_at=None)
    contestant.refresh_from_db()
    return contestant


def check_contestant(contestant: Contestant) -> None:
    """Raise BadInput for the first thing that is wrong with a contestant that is to be saved."""
    if not contestant.name:
        raise BadInput("A contestant needs a name.")
    if len(contestant.name) > 120:
        raise BadInput(f"The name {contestant.name[:40]}… is longer than 120 characters.")
    others = Contestant.objects.filter(arena_id=contestant.arena_id, name=contestant.name)
    if others.exclude(pk=contestant.pk).exists():
        raise BadInput(_taken(contestant))
    if contestant.backend not in Backend.values:
        raise BadInput(
            f"The backend is {contestant.backend!r}; it must be one of {', '.join(Backend.values)}."
        )
    if not contestant.weight >= 0:
        raise BadInput(f"The weight is {contestant.weight}; it must be 0 or more.")
    if contestant.parent is not None and contestant.parent.arena_id != contestant.arena_id:
        raise BadInput(f"The parent {contestant.parent.name} is in another arena.")
    if contestant.backend == Backend.TRANSFORMERS:
        check_checkpoint(contestant.checkpoint)
    if contestant.backend == Backend.OPENAI:
        _check_endpoint(contestant)
    _check_parameters(contestant.parameters)


def check_checkpoint(checkpoint: str) -> None:
    """Raise BadInput unless it is a folder with safetensors, or a name on the hub."""
    if not checkpoint:
        raise BadInput("A transformers contestant needs a checkpoint: a folder, or a name on the hub.")
    folder = Path(checkpoint).expanduser()
    if not folder.is_dir():
        if is_hub_name(checkpoint):
            return
        raise BadInput(f"There is no checkpoint folder {checkpoint}. Check the path on the worker's machine.")
    if not (folder / "config.json").is_file():
        raise BadInput(f"The folder {checkpoint} is not a checkpoint: it has no config.json.")
    if not any(folder.glob("*.safetensors")):
        raise BadInput(
            f"The checkpoint {checkpoint} has no safetensors file. Others can run code and are refused."
        )


def is_hub_name(checkpoint: str) -> bool:
    """`owner/name`: what the hub calls a model, and nothing that means a path."""
    owner, slash, name = checkpoint.partition("/")
    return bool(slash and owner and name) and "/" not in name and owner[0] not in ".~" and "\\" not in name


def _check_endpoint(contestant: Contestant) -> None:
    if not contestant.endpoint or not contestant.endpoint_model:
        raise BadInput("An openai contestant needs an endpoint and the model's name there.")
    address = urlsplit(contestant.endpoint)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise BadInput(
            f"The endpoint is {contestant.endpoint!r}; it must be an address like http://127.0.0.1:8001/v1."
        )
    if address.username or address.password or address.query or address.fragment:
        raise BadInput("The endpoint must not hold a name, a password or a query; a key goes in a variable.")
    if "*" not in settings.ENDPOINT_HOSTS and address.hostname not in settings.ENDPOINT_HOSTS:
        raise BadInput(
            f"The host {address.hostname} is not allowed. Add it to ARENA_ENDPOINT_HOSTS, which now lists "
            f"{', '.join(settings.ENDPOINT_HOSTS) or 'nothing'}."
        )
    variable = contestant.endpoint_key_variable
    if variable and not variable.isidentifier():
        raise BadInput(
            f"{variable!r} is not the name of an environment variable. Give the variable's name, not the key."
        )


def _check_parameters(parameters: Any) -> None:
    if not isinstance(parameters, dict):
        raise BadInput('The parameters must be an object such as {"temperature": 0.8}.')
    for name, value in parameters.items():
        if name not in PARAMETERS:
            near = get_close_matches(name, PARAMETERS, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(PARAMETERS)}."
            raise BadInput(f"There is no parameter {name!r}. {hint}")
        kind, least, most = PARAMETERS[name]
        numeric = isinstance(value, int | float) and not isinstance(value, bool)
        if not numeric or (kind is int and value != int(value)) or not least <= value <= most:
            number = "whole number" if kind is int else "number"
            raise BadInput(f"{name} is {value!r}; it must be a {number} from {least:g} to {most:g}.")


def _taken(contestant: Contestant) -> str:
    return f"The arena has a contestant named {contestant.name} already. Choose another name."
