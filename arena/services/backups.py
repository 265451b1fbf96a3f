"""One archive that holds an installation, or one arena, and gives it back on any database.

A zip: `backup.json` (what is in it), `tables/*.jsonl` (a row per line, by column name) and
`files/` (data sets, training results, uploads). It does not hold sessions, API tokens,
users' groups, the queue or the secret key; nor webhooks, whose receivers must not hear of
the same votes from a copy; nor checkpoints outside the data folder, such as the demo's,
which their machine makes again.
"""

import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management.color import no_style
from django.db import Error as DatabaseFault
from django.db import connection, models, transaction

from arena.errors import BadInput
from arena.models import (
    Arena,
    AuditEntry,
    Battle,
    Contestant,
    Conversation,
    DataSet,
    Draft,
    GuidelineVersion,
    Invitation,
    Job,
    Judge,
    Leaderboard,
    Membership,
    Preference,
    Prompt,
    Report,
    Response,
    Slot,
    Survey,
    SurveyAnswer,
    TrainingMetric,
    TrainingRun,
    Turn,
    Vote,
    Voter,
    VoterRuling,
    VoteRuling,
)
from arena.services import matchmaking, vote_log

FORMAT = 1
SUMMARY = "backup.json"
# What a row names must be written before it: users, arenas, then what stands in them.
# The second part leads from a row to its arena; without one, a row belongs to no single arena.
TABLES: list[tuple[type[models.Model], str]] = [
    (User, ""),
    (Preference, ""),
    (Arena, "slug"),
    (Invitation, "arena__slug"),
    (Membership, "arena__slug"),
    (Job, "arena__slug"),
    (Voter, "battles__arena__slug"),
    (Prompt, "arena__slug"),
    (Contestant, "arena__slug"),
    (Response, "prompt__arena__slug"),
    (Judge, "arena__slug"),
    (Battle, "arena__slug"),
    (Slot, "battle__arena__slug"),
    (Conversation, "arena__slug"),
    (Turn, "conversation__arena__slug"),
    (Vote, "arena__slug"),
    (VoteRuling, "vote__arena__slug"),
    (GuidelineVersion, "arena__slug"),
    (Draft, "battle__arena__slug"),
    (Report, "slot__battle__arena__slug"),
    (Survey, "arena__slug"),
    # What people said of themselves stays here when one arena is passed on.
    (SurveyAnswer, ""),
    (VoterRuling, "arena__slug"),
    (Leaderboard, "arena__slug"),
    (DataSet, "arena__slug"),
    (TrainingRun, "arena__slug"),
    (TrainingMetric, "run__arena__slug"),
    (AuditEntry, ""),
    # Of the package that asks people, which this one does not import.
    *(
        (apps.get_model("annotation", name), path)
        for name, path in (
            ("Campaign", "arena__slug"),
            ("Item", "campaign__arena__slug"),
            ("Annotator", "campaign__arena__slug"),
            ("Assignment", "campaign__arena__slug"),
            ("AnnotatorRuling", "annotator__campaign__arena__slug"),
            # A panel's ids stay here when one arena is passed on.
            ("PanelIdentity", ""),
            ("PanelEvent", "campaign__arena__slug"),
        )
    ),
]
FOLDERS = {"data-sets": "DATA_SETS_DIR", "runs": "RUNS_DIR", "media": "MEDIA_ROOT", "models": "MODELS_DIR"}
PER_ARENA = {"data-sets", "runs"}  # these have a folder for each arena's slug

Tell = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Backup:
    """What an archive holds: rows by table, files, and the arenas' slugs."""

    rows: dict[str, int]
    files: int
    arenas: list[str]


def write_backup(*, file: Path, arena: Arena | None = None, tell: Tell | None = None) -> Backup:
    """Write everything, or one arena, as it is at one moment. The file appears whole or not at all.

    People may go on voting meanwhile: what they add after the beginning is not in it.
    Raises BadInput where the file is there already or cannot be written.
    """
    if file.exists():
        raise BadInput(f"{file} is there already. Name another file, or remove it first.")
    draft = file.with_name(f".{file.name}.part")
    try:
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
            backup = _write(archive, arena, tell)
        draft.rename(file)
    except OSError as error:
        raise BadInput(f"{file} could not be written: {error.strerror or error}.") from error
    finally:
        draft.unlink(missing_ok=True)
    return backup


def restore_backup(*, file: Path, slug: str | None = None, tell: Tell | None = None) -> Backup:
    """Bring back an archive, or of it the arena `slug`, into an installation that has no arenas yet.

    All rows or none. Users who are here already (by name) keep their own row and password.
    Raises BadInput with what is wrong; nothing is changed then.
    """
    if Arena.objects.exists():
        raise BadInput(
            "A backup is restored into an empty installation, and this one has arenas. "
            "Set ARENA_DATA_DIR (or DATABASE_URL) to a new place, migrate, and restore there."
        )
    try:
        with zipfile.ZipFile(file) as archive:
            summary = _summary(archive, file)
            if slug is not None and slug not in summary["arenas"]:
                known = ", ".join(summary["arenas"]) or "none"
                raise BadInput(f'The backup has no arena "{slug}". It holds: {known}.')
            if archive.testzip() is not None:
                raise BadInput(f"{file} is damaged. Take another copy of it.")
            backup = _restore(archive, summary, slug, tell)
    except (OSError, zipfile.BadZipFile) as error:
        raise BadInput(f"{file} cannot be read as a backup: {error}.") from error
    vote_log.forget()
    matchmaking.forget()
    return backup


def table_of(model: type[models.Model]) -> str:
    return f"tables/{model._meta.label_lower}.jsonl"


def _write(archive: zipfile.ZipFile, arena: Arena | None, tell: Tell | None) -> Backup:
    slug = arena.slug if arena is not None else None
    rows: dict[str, int] = {}
    with transaction.atomic():
        if connection.vendor == "postgresql":
            # One moment for all tables. SQLite's IMMEDIATE transaction is that already.
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        for number, (model, path) in enumerate(TABLES):
            if tell is not None:
                tell(str(model._meta.verbose_name_plural), number, len(TABLES))
            rows[model._meta.label_lower] = _write_table(archive, model, _rows(model, path, slug))
        arenas = [slug] if slug else list(Arena.objects.order_by("slug").values_list("slug", flat=True))
    files = sum(_store(archive, *found) for found in _files(slug))
    summary = {
        "format": FORMAT,
        "arenas": arenas,
        "rows": rows,
        "files": files,
        "folders": {name: str(getattr(settings, setting)) for name, setting in FOLDERS.items()},
    }
    archive.writestr(SUMMARY, json.dumps(summary, indent=1))
    return Backup(rows, files, arenas)


def _rows(model: type[models.Model], path: str, slug: str | None) -> models.QuerySet[Any]:
    everything = model._default_manager.order_by("pk")
    if slug is None:
        return everything
    if model is Voter:
        # Who asked something and never got a battle of it is named by the prompt alone.
        here = models.Q(battles__arena__slug=slug) | models.Q(prompts__arena__slug=slug)
        here |= models.Q(campaigns__campaign__arena__slug=slug)
        return everything.filter(here).distinct()
    if path:
        return everything.filter(**{path: slug}).distinct()
    # The accounts an arena's rows may name; what was done elsewhere stays elsewhere.
    return everything if model is User else everything.none()


def _write_table(archive: zipfile.ZipFile, model: type[models.Model], rows: models.QuerySet[Any]) -> int:
    count = 0
    with archive.open(table_of(model), "w", force_zip64=True) as stream:
        for row in rows.values().iterator(chunk_size=2000):
            stream.write(json.dumps(row, default=_as_text, ensure_ascii=False).encode() + b"\n")
            count += 1
    return count


def _as_text(value: Any) -> str:
    # Django's own serialiser cuts times to milliseconds, and then a restored log is another one.
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _files(slug: str | None) -> Iterator[tuple[Path, str]]:
    for name, setting in FOLDERS.items():
        root = Path(getattr(settings, setting))
        start = root / slug if slug is not None and name in PER_ARENA else root
        for path in sorted(start.rglob("*")):
            # Names with a dot in front are drafts of work that is going on.
            draft = any(part.startswith(".") for part in path.relative_to(root).parts)
            if path.is_file() and not draft:
                yield path, f"files/{name}/{path.relative_to(root).as_posix()}"


def _store(archive: zipfile.ZipFile, path: Path, name: str) -> bool:
    """False where the file is gone by now: a training run removes its older states as it goes."""
    try:
        archive.write(path, name)
    except FileNotFoundError:
        return False
    return True


def _summary(archive: zipfile.ZipFile, file: Path) -> dict[str, Any]:
    try:
        summary: dict[str, Any] = json.loads(archive.read(SUMMARY))
        known = summary["format"] == FORMAT
    except (KeyError, ValueError) as error:
        raise BadInput(f"{file} is not a backup of this product: it has no {SUMMARY}.") from error
    if not known:
        raise BadInput(f"{file} was written by another version (format {summary['format']}, not {FORMAT}).")
    return summary


def _restore(
    archive: zipfile.ZipFile, summary: dict[str, Any], slug: str | None, tell: Tell | None
) -> Backup:
    rows: dict[str, int] = {}
    try:
        with transaction.atomic():
            reader = _Reader(slug, summary["folders"])
            for number, (model, _) in enumerate(TABLES):
                if tell is not None:
                    tell(str(model._meta.verbose_name_plural), number, len(TABLES))
                with archive.open(table_of(model)) as stream:
                    rows[model._meta.label_lower] = reader.read(model, stream)
            if slug is not None:
                Voter.objects.filter(battles=None, prompts=None, campaigns=None).delete()
            _set_sequences()
            files = _unpack_all(archive, [name for name in archive.namelist() if _wanted(name, slug)])
    except (DatabaseFault, KeyError, ValueError, ValidationError) as error:
        raise BadInput(f"The backup does not fit this version of the product: {error}.") from error
    return Backup(rows, len(files), [slug] if slug else summary["arenas"])


class _Reader:
    """Writes the archive's rows with their own ids, leaving out those of other arenas."""

    def __init__(self, slug: str | None, folders: dict[str, str]) -> None:
        self._slug = slug
        self._folders = folders
        # By table: the ids that were taken; where one arena is wanted, a row must hang on one of them.
        self._taken: dict[type[models.Model], set[Any]] = {}
        self._accounts: dict[Any, Any] = {}

    def read(self, model: type[models.Model], stream: Any) -> int:
        taken = self._taken[model] = set()
        for line in stream:
            row = _row(model, json.loads(line))
            if isinstance(row, User) and self._known_account(row):
                continue
            if not self._belongs(row):
                continue
            self._mend(row)
            row.save_base(raw=True, force_insert=True)
            taken.add(row.pk)
        return len(taken)

    def _known_account(self, user: User) -> bool:
        here = User.objects.filter(username=user.username).first()
        if here is None and User.objects.filter(pk=user.pk).exists():
            old, user.pk = user.pk, None
            user.save()
            here = user
            self._accounts[old] = here.pk
            return True
        if here is not None:
            self._accounts[user.pk] = here.pk
        return here is not None

    def _belongs(self, row: models.Model) -> bool:
        if self._slug is None:
            return True
        if isinstance(row, Arena):
            return row.slug == self._slug
        if isinstance(row, (User, Voter)):
            # A voter is read before the battles that say where it was; idle ones go at the end.
            return True
        owners = [
            (field.related_model, getattr(row, field.attname))
            for field in row._meta.concrete_fields
            if field.many_to_one and field.related_model in self._taken
        ]
        tied = [(model, pk) for model, pk in owners if model not in (User, Voter, type(row)) and pk]
        return bool(tied) and all(pk in self._taken[model] for model, pk in tied)

    def _mend(self, row: models.Model) -> None:
        """Accounts that have another id here, and folders that are elsewhere now."""
        for field in row._meta.concrete_fields:
            if field.is_relation and field.related_model is User:
                old = getattr(row, field.attname)
                setattr(row, field.attname, self._accounts.get(old, old))
        if isinstance(row, Contestant) and row.checkpoint:
            for name, old_root in self._folders.items():
                if row.checkpoint.startswith(f"{old_root}/"):
                    rest = row.checkpoint[len(old_root) + 1 :]
                    row.checkpoint = str(Path(getattr(settings, FOLDERS[name])) / rest)


def _row(model: type[models.Model], values: dict[str, Any]) -> models.Model:
    fields = {field.attname: field for field in model._meta.concrete_fields}
    if values.keys() != fields.keys():
        raise KeyError(f"the columns of {model._meta.label_lower} are others")
    return model(**{name: fields[name].to_python(value) for name, value in values.items()})


def _set_sequences() -> None:
    """PostgreSQL counts on from the restored ids."""
    for statement in connection.ops.sequence_reset_sql(no_style(), [model for model, _ in TABLES]):
        with connection.cursor() as cursor:
            cursor.execute(statement)


def _wanted(name: str, slug: str | None) -> bool:
    parts = name.split("/")
    if parts[0] != "files" or len(parts) < 3 or parts[1] not in FOLDERS:
        return False
    return slug is None or parts[1] not in PER_ARENA or parts[2] == slug


def _unpack_all(archive: zipfile.ZipFile, names: list[str]) -> list[Path]:
    """All files, or none where one cannot be written."""
    written: list[Path] = []
    try:
        for name in names:
            written.append(_target(name))
            _unpack(archive, name, written[-1])
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return written


def _target(name: str) -> Path:
    _, folder, rest = name.split("/", 2)
    root = Path(getattr(settings, FOLDERS[folder])).resolve()
    target = (root / rest).resolve()
    if not target.is_relative_to(root):
        raise BadInput(
            f"The backup names a file outside its folder: {name}. It was not made by this product."
        )
    if target.exists():
        raise BadInput(f"{target} is there already. Restore into an empty data folder.")
    return target


def _unpack(archive: zipfile.ZipFile, name: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(name) as source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy)
