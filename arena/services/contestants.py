"""Contestants: made, checked and retired here only."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from arena.errors import BadInput
from arena.models import Arena, Contestant, Judge
from arena.sealing import seal, unseal
from arena.services import audit
from arena.services.routing import checked_capabilities

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

# How the samples of one prompt are made to differ on purpose; see docs/backends.md.
VARIETY = ("temperature_ladder", "contrast", "diversity_penalty")


def create_contestant(
    *,
    arena: Arena,
    name: str,
    backend: str,
    description: str = "",
    checkpoint: str = "",
    adapter: str = "",
    endpoint: str = "",
    endpoint_model: str = "",
    endpoint_key_variable: str = "",
    revision: str = "",
    system_prompt: str = "",
    parameters: Mapping[str, Any] | None = None,
    parent: Contestant | None = None,
    weight: float = 1.0,
    capabilities: Mapping[str, Any] | None = None,
    budget: Mapping[str, Any] | None = None,
) -> Contestant:
    """A new contestant, or BadInput with the sentence that says what to put right."""
    contestant = Contestant(
        arena=arena,
        name=name.strip(),
        backend=backend,
        description=description,
        checkpoint=checkpoint.strip(),
        adapter=adapter.strip(),
        endpoint=endpoint.strip().rstrip("/"),
        endpoint_model=endpoint_model.strip(),
        endpoint_key_variable=endpoint_key_variable.strip(),
        revision=revision.strip(),
        system_prompt=system_prompt,
        parameters=dict(parameters or {}),
        parent=parent,
        weight=weight,
        capabilities=dict(capabilities or {}),
        budget=dict(budget or {}),
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


def retire_contestant(*, contestant: Contestant, by: User | None = None) -> Contestant:
    """Draw it no more. Its responses and votes stay, and so does its row of the leaderboard."""
    if Contestant.objects.filter(pk=contestant.pk, retired_at=None).update(retired_at=Now()):
        audit.record(action="contestant retired", target=contestant, actor=by)
    contestant.refresh_from_db()
    return contestant


def bring_back_contestant(*, contestant: Contestant, by: User | None = None) -> Contestant:
    """Draw a retired contestant again."""
    if Contestant.objects.filter(pk=contestant.pk).exclude(retired_at=None).update(retired_at=None):
        audit.record(action="contestant brought back", target=contestant, actor=by)
    contestant.refresh_from_db()
    return contestant


def check_contestant(contestant: Contestant) -> None:
    """Raise BadInput for the first thing that is wrong with a contestant that is to be saved."""
    if not contestant.name:
        raise BadInput(_("A contestant needs a name."))
    if len(contestant.name) > 120:
        raise BadInput(
            _("The name %(contestant)s… is longer than 120 characters.")
            % {"contestant": contestant.name[:40]}
        )
    others = Contestant.objects.filter(arena_id=contestant.arena_id, name=contestant.name)
    if others.exclude(pk=contestant.pk).exists():
        raise BadInput(_taken(contestant))
    if contestant.backend not in Backend.values:
        raise BadInput(
            _("The backend is %(backend)r; it must be one of %(known)s.")
            % {"backend": contestant.backend, "known": ", ".join(Backend.values)}
        )
    if not contestant.weight >= 0:
        raise BadInput(_("The weight is %(weight)s; it must be 0 or more.") % {"weight": contestant.weight})
    if contestant.parent is not None and contestant.parent.arena_id != contestant.arena_id:
        raise BadInput(_("The parent %(parent)s is in another arena.") % {"parent": contestant.parent.name})
    if contestant.backend == Backend.TRANSFORMERS:
        check_checkpoint(contestant.checkpoint)
        _check_adapter(contestant.adapter)
    if contestant.backend in (Backend.OPENAI, Backend.CUSTOM):
        _check_endpoint(contestant)
    if contestant.backend != Backend.CUSTOM:  # an endpoint of one's own has parameters of its own
        _check_parameters(contestant.parameters)
    if contestant.parameters.get("diversity_penalty") and contestant.backend != Backend.TRANSFORMERS:
        raise BadInput(
            _("diversity_penalty works on a checkpoint that a worker runs. Use contrast for an endpoint.")
        )
    checked_capabilities(contestant.capabilities)
    _check_budget(contestant.budget)


def set_key(*, contestant: Contestant, key: str) -> Contestant:
    """Keep the endpoint's key encrypted, or with "" none. It is shown to nobody afterwards."""
    contestant.endpoint_key_sealed = seal(key.strip()) if key.strip() else ""
    contestant.save(update_fields=["endpoint_key_sealed"])
    return contestant


def key_of(contestant: Contestant | Judge, environment: Mapping[str, str]) -> str:
    """The endpoint's key, for the worker that asks. BadInput where its variable is not set there."""
    if variable := contestant.endpoint_key_variable:
        if key := environment.get(variable, ""):
            return key
        raise BadInput(
            _("The variable %(variable)s is not set on this worker. It must hold %(contestant)s's key.")
            % {"variable": variable, "contestant": contestant.name}
        )
    sealed = "" if isinstance(contestant, Judge) else contestant.endpoint_key_sealed
    return unseal(sealed) if sealed else ""


def left_of(contestant: Contestant) -> dict[str, float]:
    """The contestant's budget with what is spent taken off."""
    left = dict(contestant.budget)
    for name, spent in (("tokens", contestant.spent_tokens), ("money", contestant.spent_money)):
        if name in left:
            left[name] = max(0, left[name] - spent)
    return left


def note_spent(*, contestant: Contestant, tokens_in: int, tokens_out: int) -> None:
    """Count what responses took; safe from several workers at once."""
    prices = contestant.budget
    money = (tokens_in * prices.get("price_in", 0) + tokens_out * prices.get("price_out", 0)) / 1e6
    Contestant.objects.filter(pk=contestant.pk).update(
        spent_tokens=F("spent_tokens") + tokens_in + tokens_out, spent_money=F("spent_money") + money
    )


def check_checkpoint(checkpoint: str) -> None:
    """Raise BadInput unless it is a folder with safetensors, or a name on the hub."""
    if not checkpoint:
        raise BadInput(_("A transformers contestant needs a checkpoint: a folder, or a name on the hub."))
    folder = Path(checkpoint).expanduser()
    if not folder.is_dir():
        if is_hub_name(checkpoint):
            return
        raise BadInput(
            _("There is no checkpoint folder %(checkpoint)s. Check the path on the worker's machine.")
            % {"checkpoint": checkpoint}
        )
    if not (folder / "config.json").is_file():
        raise BadInput(
            _("The folder %(checkpoint)s is not a checkpoint: it has no config.json.")
            % {"checkpoint": checkpoint}
        )
    if not any(folder.glob("*.safetensors")):
        raise BadInput(
            _("The checkpoint %(checkpoint)s has no safetensors file. Others can run code and are refused.")
            % {"checkpoint": checkpoint}
        )


def _check_adapter(adapter: str) -> None:
    folder = Path(adapter).expanduser()
    if adapter and not ((folder / "adapter_config.json").is_file() and any(folder.glob("*.safetensors"))):
        raise BadInput(
            _("%(adapter)s is not an adapter: it needs adapter_config.json and a safetensors file.")
            % {"adapter": adapter}
        )


def _check_budget(budget: Any) -> None:
    known = ("tokens", "money", "price_in", "price_out")
    if not isinstance(budget, dict) or set(budget) - set(known):
        raise BadInput(_("A budget is an object with some of %(known)s.") % {"known": ", ".join(known)})
    for name, value in budget.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
            raise BadInput(
                _("The budget's %(name)s is %(value)r; it must be a number from 0.")
                % {"name": name, "value": value}
            )
    if "money" in budget and not (budget.get("price_in") or budget.get("price_out")):
        raise BadInput(_("A budget in money needs price_in and price_out, for a million tokens each."))


def is_hub_name(checkpoint: str) -> bool:
    """`owner/name`: what the hub calls a model, and nothing that means a path."""
    owner, slash, name = checkpoint.partition("/")
    return bool(slash and owner and name) and "/" not in name and owner[0] not in ".~" and "\\" not in name


def _check_endpoint(contestant: Contestant) -> None:
    named = contestant.endpoint_model or contestant.backend == Backend.CUSTOM
    if not contestant.endpoint or not named:
        raise BadInput(_("An openai contestant needs an endpoint and the model's name there."))
    address = urlsplit(contestant.endpoint)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise BadInput(
            _("The endpoint is %(endpoint)r; it must be an address like http://127.0.0.1:8001/v1.")
            % {"endpoint": contestant.endpoint}
        )
    if address.username or address.password or address.query or address.fragment:
        raise BadInput(
            _("The endpoint must not hold a name, a password or a query; a key goes in a variable.")
        )
    if "*" not in settings.ENDPOINT_HOSTS and address.hostname not in settings.ENDPOINT_HOSTS:
        raise BadInput(
            _(
                "The host %(hostname)s is not allowed. Add it to ARENA_ENDPOINT_HOSTS, which now lists "
                "%(hosts)s."
            )
            % {"hostname": address.hostname, "hosts": ", ".join(settings.ENDPOINT_HOSTS) or _("nothing")}
        )
    variable = contestant.endpoint_key_variable
    if variable and not variable.isidentifier():
        raise BadInput(
            _(
                "%(variable)r is not the name of an environment variable. Give the variable's name, "
                "not the key."
            )
            % {"variable": variable}
        )


def _check_parameters(parameters: Any) -> None:
    if not isinstance(parameters, dict):
        raise BadInput(_('The parameters must be an object such as {"temperature": 0.8}.'))
    for name, value in parameters.items():
        if name in VARIETY:
            _check_variety(name, value)
            continue
        if name not in PARAMETERS:
            near = get_close_matches(name, PARAMETERS, n=1)
            known = ", ".join(PARAMETERS)
            hint = (
                _("Did you mean %(name)s?") % {"name": near[0]}
                if near
                else _("Known are %(known)s.") % {"known": known}
            )
            raise BadInput(_("There is no parameter %(name)r. %(hint)s") % {"name": name, "hint": hint})
        kind, least, most = PARAMETERS[name]
        numeric = isinstance(value, int | float) and not isinstance(value, bool)
        if not numeric or (kind is int and value != int(value)) or not least <= value <= most:
            sentence = (
                _("%(name)s is %(value)r; it must be a whole number from %(least)g to %(most)g.")
                if kind is int
                else _("%(name)s is %(value)r; it must be a number from %(least)g to %(most)g.")
            )
            raise BadInput(sentence % {"name": name, "value": value, "least": least, "most": most})


def _check_variety(name: str, value: Any) -> None:
    if name == "diversity_penalty" and (
        isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100
    ):
        raise BadInput(
            _("diversity_penalty is %(value)r; it must be a number from 0 to 100.") % {"value": value}
        )
    if name == "contrast" and not isinstance(value, bool):
        raise BadInput(_("contrast is %(value)r; it must be true or false.") % {"value": value})
    if name == "temperature_ladder":
        steps = value if isinstance(value, list) else []
        if not 2 <= len(steps) <= 16 or not all(
            isinstance(one, int | float) and not isinstance(one, bool) and 0 <= one <= 5 for one in steps
        ):
            raise BadInput(
                _("temperature_ladder is %(value)r; it must be a list of 2 to 16 numbers from 0 to 5.")
                % {"value": value}
            )


def _taken(contestant: Contestant) -> str:
    return _("The arena has a contestant named %(name)s already. Choose another name.") % {
        "name": contestant.name
    }
