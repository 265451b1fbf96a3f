"""Responses that were made elsewhere, from a file."""

from collections import defaultdict
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from django.contrib.auth.models import User
from django.db import transaction

from arena.errors import BadInput, BadRow
from arena.media_formats import BadFile, by_ending, for_voters
from arena.models import Arena, Contestant, Prompt, Response
from arena.services import audit, media
from arena.services.contestants import uploaded_contestants
from arena.services.imports.report import ImportReport, Progress, at_line, chunks, no_progress
from arena.services.prompts import content_key
from arena.services.rendering import normalise_text
from arena.services.responses import NewResponse, record_responses, text_hash
from arena.services.tabular import Record, first_text, is_missing, read_rows

PROMPT_COLUMNS = ("prompt", "prompt_key", "prompt_id", "key")
MODEL_COLUMNS = ("model", "contestant")
TEXT_COLUMNS = ("text", "response")
FILE_COLUMNS = ("file",)
MOST_SAMPLES = 1_000_000
CHUNK = 1000


@dataclass(frozen=True)
class _Row:
    line: int
    prompt: str
    model: str
    sample: int
    text: str
    file: bytes = b""
    media_type: str = ""

    @property
    def digest(self) -> str:
        return sha256(self.file).hexdigest() if self.file else text_hash(self.text)


@transaction.atomic
def import_responses(
    *, arena: Arena, file: Path, by: User | None = None, progress: Progress = no_progress
) -> ImportReport:
    """Make the responses of a JSONL, CSV or Parquet file, all or none.

    Columns: `prompt` (its key, or its text), `model`, `text` or `file` (a picture, sound, film or GLB
    model, by its path from the folder of the table and inside it), and `sample` where a model has
    several responses to one prompt. Models that are not there yet become uploaded contestants. A response
    that is there already with the same text is passed over. Raises BadRow.
    """
    report = ImportReport()
    prompts = dict(Prompt.objects.filter(arena=arena).values_list("key", "pk"))
    models: dict[str, Contestant] = {}
    for rows in chunks((_row(line, record, file.parent) for line, record in read_rows(file)), CHUNK):
        for row in rows:
            if row.model not in models:
                models[row.model] = _contestant(arena, row)
        report.added += _write(file, rows, prompts, models)
        report.rows += len(rows)
        progress(report.rows)
    if not report.rows:
        raise BadInput(f"{file.name} holds no responses.")
    report.there_already = report.rows - report.added
    details = {"file": file.name, "added": report.added}
    audit.record(action="responses imported", target=arena, actor=by, details=details)
    return report


def _row(line: int, record: Record, folder: Path) -> _Row:
    prompt = first_text(line, record, PROMPT_COLUMNS)
    model = first_text(line, record, MODEL_COLUMNS).strip()
    text = normalise_text(first_text(line, record, TEXT_COLUMNS))
    path = first_text(line, record, FILE_COLUMNS).strip()
    if not prompt:
        raise BadRow(line, "It names no prompt.")
    if not model:
        raise BadRow(line, "It names no model.")
    if path and text:
        raise BadRow(line, "It has both a text and a file. A response is one of them.")
    if path:
        return _Row(line, prompt, model, _sample(line, record), "", *_file(line, folder, path))
    if not text:
        raise BadRow(line, "Its text is empty.")
    return _Row(line, prompt, model, _sample(line, record), text)


def _file(line: int, folder: Path, path: str) -> tuple[bytes, str]:
    """The file's bytes and its media type, by its ending. Raises BadRow."""
    found = (folder / path).resolve()
    if not found.is_relative_to(folder.resolve()) or not found.is_file():
        raise BadRow(line, f"There is no file {path[:120]!r} in the folder of the table.")
    if found.stat().st_size > media.LARGEST:
        raise BadRow(line, f"{path[:120]} is larger than {media.LARGEST // 2**20} MB.")
    try:
        media_type, data = by_ending(found.name), found.read_bytes()
        for_voters(data, media_type)
        return data, media_type
    except BadFile as error:
        raise BadRow(line, str(error)) from None


def _sample(line: int, record: Record) -> int:
    value = record.get("sample")
    if is_missing(value):
        return 0
    try:
        number = float(str(value))
    except ValueError:
        number = -1.0
    if number != int(number) or not 0 <= number < MOST_SAMPLES:
        raise BadRow(line, f"Its sample is {value!r}; it must be a whole number from 0.")
    return int(number)


def _contestant(arena: Arena, row: _Row) -> Contestant:
    with at_line(row.line):
        contestant = uploaded_contestants(arena=arena, names=[row.model])[row.model]
        if contestant.backend != Contestant.Backend.UPLOADED:
            raise BadInput(f"{row.model} makes its own responses here; give the imported ones another name.")
    return contestant


def _write(file: Path, rows: list[_Row], prompts: dict[str, int], models: dict[str, Contestant]) -> int:
    """Write one chunk; returns how many were new. Raises BadRow where a text differs from one there."""
    found = {row.line: _prompt_id(row, prompts) for row in rows}
    there = _there(set(found.values()), models)
    new: dict[str, list[NewResponse]] = defaultdict(list)
    for row in rows:
        place = (found[row.line], models[row.model].pk, row.sample)
        if there.setdefault(place, row.digest) != row.digest:
            what = "file" if row.file else "text"
            raise BadRow(
                row.line,
                f"{row.model} has another {what} for this prompt and sample {row.sample} already. "
                "Give it a sample number of its own.",
            )
        item = NewResponse(
            place[0],
            row.sample,
            row.text,
            made_by={"file": file.name},
            file=row.file,
            media_type=row.media_type,
        )
        new[row.model].append(item)
    return sum(record_responses(contestant=models[model], items=items) for model, items in new.items())


def _there(prompt_ids: set[int], models: dict[str, Contestant]) -> dict[tuple[int, int, int], str]:
    rows = Response.objects.filter(prompt__in=prompt_ids, contestant__in=models.values())
    return {
        (prompt, contestant, sample): digest
        for prompt, contestant, sample, digest in rows.values_list(
            "prompt_id", "contestant_id", "sample", "sha256"
        )
    }


def _prompt_id(row: _Row, prompts: dict[str, int]) -> int:
    """By the key; else by the text, where the prompt's key was made from it."""
    for key in (row.prompt, content_key([{"role": "user", "content": normalise_text(row.prompt)}])):
        if key in prompts:
            return prompts[key]
    raise BadRow(row.line, f"There is no prompt {row.prompt[:60]!r} in the arena. Import the prompts first.")
