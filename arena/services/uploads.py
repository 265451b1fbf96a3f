"""A file that a lead sends through the browser becomes prompts, responses or votes, as by the commands."""

import tempfile
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.files.uploadedfile import UploadedFile
from django.utils.text import get_valid_filename
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from arena.errors import BadInput
from arena.models import Arena
from arena.services.imports import ImportReport, import_prompts, import_responses, import_votes

# A web process reads it while somebody waits, and SQLite's other writers wait too.
LARGEST = 10 * 1024 * 1024
KINDS = {
    "prompts": gettext_lazy("Prompts"),
    "responses": gettext_lazy("Responses made elsewhere, with the names of their models"),
    "votes": gettext_lazy("Votes cast elsewhere"),
}


def import_upload(
    *, arena: Arena, kind: str, upload: "UploadedFile[Any]", show: bool = False, by: User | None = None
) -> ImportReport:
    """Import what was sent, all rows or none. `show`: the prompts of imported votes are used in battles too.

    The file lies in a folder of its own while it is read, so that it can name no other. Raises BadInput.
    """
    if kind not in KINDS:
        raise BadInput(_("Say what the file holds: prompts, responses or votes."))
    if (upload.size or 0) > LARGEST:
        raise BadInput(
            _("The file is larger than %(limit)s MB. Import it on the server: manage.py import_%(kind)s.")
            % {"limit": LARGEST // 2**20, "kind": kind}
        )
    with tempfile.TemporaryDirectory(prefix="arena-import-") as folder:
        file = Path(folder) / get_valid_filename(Path(upload.name or "file").name[-100:])
        with file.open("wb") as handle:
            for chunk in upload.chunks():
                handle.write(chunk)
        if kind == "prompts":
            return import_prompts(arena=arena, file=file, by=by)
        if kind == "responses":
            return import_responses(arena=arena, file=file, by=by)
        return import_votes(arena=arena, file=file, show=show, by=by)
