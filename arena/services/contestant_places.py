"""What a lead may name as a model: what lies in the folder of models, models of the hub that the settings
list, and what the arena has already.

Staff may name any folder. Which hosts may be called is one list for all (ARENA_ENDPOINT_HOSTS).
"""

import os
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

from arena.errors import BadInput
from arena.models import Arena, Contestant
from arena.services.contestants import is_hub_name

MOST_LISTED = 200
CHECKPOINT_FILE, ADAPTER_FILE = "config.json", "adapter_config.json"


@dataclass(frozen=True)
class Place:
    """A model that may be named. `name` is how it is shown: below the folder of models, or by who has it."""

    path: str
    name: str


def checkpoints_for(arena: Arena) -> list[Place]:
    """The checkpoints that a lead of this arena may name."""
    return _places(arena, CHECKPOINT_FILE, "checkpoint")


def adapters_for(arena: Arena) -> list[Place]:
    """The LoRA adapters that a lead of this arena may name."""
    return _places(arena, ADAPTER_FILE, "adapter")


def check_places(*, arena: Arena, checkpoint: str, adapter: str) -> None:
    """Raise BadInput unless a lead of this arena may name both. Whether others exist is not told."""
    if checkpoint and checkpoint not in _known(arena, "checkpoint"):
        if is_hub_name(checkpoint):
            _check_hub(checkpoint)
        else:
            _check_folder(checkpoint)
    if adapter and adapter not in _known(arena, "adapter"):
        _check_folder(adapter)


def _check_hub(name: str) -> None:
    if not any(fnmatchcase(name, pattern) for pattern in settings.HUB_MODELS):
        known = ", ".join(settings.HUB_MODELS) or _("nothing")
        raise BadInput(
            _(
                "The hub's model %(name)s is not allowed. Ask staff to add it to ARENA_HUB_MODELS, which now "
                "lists %(known)s."
            )
            % {"name": name, "known": known}
        )
    if Path(name).exists():  # it would be opened as a folder, and no hub asked
        raise BadInput(_not_to_be_named(name))


def _check_folder(value: str) -> None:
    """The folder, taken as it is written, must lie in this installation's models."""
    root = _root()
    # As it is written and no other way: what is opened later is this very text.
    path = Path(os.path.normpath(value))
    if str(path) != value or not path.is_relative_to(root) or path == root:
        raise BadInput(_not_to_be_named(value))


def _not_to_be_named(value: str) -> str:
    return _(
        "%(value)s is not a folder that leads may name. Choose one of the list, or ask staff to put the "
        "model into the folder of models (ARENA_MODELS_DIR)."
    ) % {"value": value}


def _root() -> Path:
    return Path(settings.MODELS_DIR).absolute()


def _known(arena: Arena, field: str) -> set[str]:
    """What contestants of the arena have already: staff, or a training run, put it there."""
    return set(Contestant.objects.filter(arena=arena).exclude(**{field: ""}).values_list(field, flat=True))


def _places(arena: Arena, file: str, field: str) -> list[Place]:
    root = _root()
    folders = [
        found.parent for pattern in (f"*/{file}", f"*/*/{file}") for found in sorted(root.glob(pattern))
    ]
    found = {str(folder): folder.relative_to(root).as_posix() for folder in folders[:MOST_LISTED]}
    rows = Contestant.objects.filter(arena=arena).exclude(**{field: ""}).order_by("id")
    for path, name in rows.values_list(field, "name"):
        found.setdefault(path, path if is_hub_name(path) else _("that of %(name)s") % {"name": name})
    return [Place(path, name) for path, name in found.items()]
