"""Responses that are files: kept under their checksum, shown to voters without what tells their maker."""

import hashlib
from pathlib import Path
from uuid import UUID, uuid4

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.urls import reverse
from django.utils.translation import gettext as _

from arena.errors import BadInput, NotFound
from arena.media_formats import SHOWN_IMAGES, BadFile, ending, for_voters
from arena.models import Arena, Battle, Response, Vote, Voter
from arena.services import access

FOLDER, SHOWN = "responses", "shown"
LARGEST = 64 * 2**20


def keep(data: bytes, media_type: str) -> str:
    """Write the file and the copy for voters; its path below the media folder. Raises BadInput.

    Both are written once, whole or not at all, under the checksum of the file as it came.
    """
    if len(data) > LARGEST:
        raise BadInput(_("The file is larger than %(size)s MB.") % {"size": LARGEST // 2**20})
    try:
        shown, shown_type = for_voters(data, media_type)
    except BadFile as error:
        raise BadInput(str(error)) from None
    digest = hashlib.sha256(data).hexdigest()
    name = f"{FOLDER}/{digest}{ending(media_type)}"
    _write(f"{FOLDER}/{SHOWN}/{digest}{ending(shown_type)}", shown)
    _write(name, data)
    return name


def shown_file(response: Response) -> tuple[Path, str]:
    """The copy for voters and its media type. Raises NotFound."""
    if response.file:
        media_type = shown_type(response)
        path = Path(settings.MEDIA_ROOT) / FOLDER / SHOWN / f"{response.sha256}{ending(media_type)}"
        if path.is_file():
            return path, media_type
    raise NotFound(_("There is no such file."))


def shown_type(response: Response) -> str:
    """The media type of the copy for voters: the same for all pictures."""
    return SHOWN_IMAGES if response.media_type.startswith("image/") else response.media_type


def blind_file(*, battle: Battle, token: str, response: Response | None) -> dict[str, str] | None:
    """What a voter's browser gets of a response that is a file; None for a text."""
    if response is None or not response.file:
        return None
    return {
        "url": reverse("api:battle_file", args=[battle.pk, token]),
        "media_type": shown_type(response),
    }


def own_file(response: Response) -> dict[str, str] | None:
    """The same for somebody who may know whose response it is."""
    if not response.file:
        return None
    return {"url": reverse("api:response_file", args=[response.pk]), "media_type": shown_type(response)}


def file_of_slot(*, battle_id: UUID, token: str, voter: Voter | None) -> Response:
    """The response in a slot of this voter's own battle. Raises NotFound for everybody else."""
    found = None
    if voter is not None:
        slots = Response.objects.filter(slots__token=token, slots__battle=battle_id)
        found = slots.filter(slots__battle__voter=voter).first()
    if found is None:
        raise NotFound(_("There is no such file."))
    return found


def file_of_response(*, pk: int, user: User | AnonymousUser, voter: Voter | None) -> Response:
    """A response whose maker the reader may know: a lead's, or one revealed by the voter's own vote."""
    response = Response.objects.select_related("contestant__arena").filter(pk=pk).first()
    if response is None or not _may_know(response, user, voter):
        raise NotFound(_("There is no such file."))
    return response


def _may_know(response: Response, user: User | AnonymousUser, voter: Voter | None) -> bool:
    arena = response.contestant.arena
    if access.may_manage(arena=arena, user=user):
        return True
    if arena.reveal == Arena.Reveal.NEVER or voter is None:
        return False
    votes = Vote.objects.filter(voter=voter, arena=arena).exclude(kind=Vote.Kind.SKIP)
    return votes.filter(battle__slots__response=response).exists()


def _write(name: str, data: bytes) -> None:
    target = Path(settings.MEDIA_ROOT) / name
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f"{uuid4().hex}.draft")
    draft.write_bytes(data)
    draft.replace(target)
