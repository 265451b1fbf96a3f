"""The translations: catalogues in text form (`arena/locale/*/LC_MESSAGES/django.po`), compiled on demand.

Django reads compiled catalogues only. They are built files, so they are in no repository, and GNU
gettext is on few machines: Babel compiles them, into a folder of the installation that is named
after what they were made of. So they are never stale, and a reader never meets half a file.
Read by arena/settings.py, before there is a Django to speak of.
"""

import contextlib
import hashlib
import shutil
import tempfile
from pathlib import Path

SOURCES = Path(__file__).resolve().parent / "locale"
DRAFT = ".draft-"


def compiled(sources: Path, target: Path) -> Path:
    """The folder below `target` with the compiled catalogues of `sources`, made where it is not there.

    Folders made of earlier sources go, but for the newest: a process may still be reading it.
    """
    files = sorted(sources.glob("*/LC_MESSAGES/*.po"))
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(sources)}\0".encode() + file.read_bytes())
    folder = target / digest.hexdigest()[:16]
    if folder.is_dir():
        return folder
    target.mkdir(parents=True, exist_ok=True)
    # Drafts are other processes' that start at this moment.
    finished = [one for one in target.iterdir() if one.is_dir() and not one.name.startswith(DRAFT)]
    draft = Path(tempfile.mkdtemp(prefix=DRAFT, dir=target))
    draft.chmod(0o755)
    for file in files:
        _compile(file, (draft / file.relative_to(sources)).with_suffix(".mo"))
    try:
        draft.rename(folder)
    except OSError:
        # Another process was faster; what it made of the same text is the same.
        shutil.rmtree(draft)
    for one in _oldest_first(finished)[:-1]:
        if one != folder:
            shutil.rmtree(one, ignore_errors=True)
    return folder


def _oldest_first(folders: list[Path]) -> list[Path]:
    made = {}
    for one in folders:
        with contextlib.suppress(FileNotFoundError):  # another process has just removed it
            made[one] = one.stat().st_mtime
    return sorted(made, key=made.__getitem__)


def _compile(source: Path, target: Path) -> None:
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as text, target.open("wb") as out:
        write_mo(out, read_po(text, abort_invalid=True))
