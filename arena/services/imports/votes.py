"""Votes from a file."""

import hashlib
import uuid
from pathlib import Path

from django.contrib.auth.models import User
from django.db import transaction

from arena.errors import BadInput, BadRow
from arena.models import Arena
from arena.services import audit, vote_log
from arena.services.imports.report import ImportReport, Progress, chunks, no_progress
from arena.services.imports.vote_rows import ImportedVote, vote_of
from arena.services.imports.vote_writing import VoteWriter
from arena.services.tabular import read_rows

CHUNK = 1000


@transaction.atomic
def import_votes(
    *,
    arena: Arena,
    file: Path,
    show: bool = False,
    by: User | None = None,
    progress: Progress = no_progress,
) -> ImportReport:
    """Add the votes of a JSONL, CSV or Parquet file to the arena's log, all or none.

    Models become uploaded contestants and texts become prompts and responses. The prompts are
    retired, so that nobody generates for them or is shown them, unless `show`. Votes that are there
    already are passed over: by the row's id, or by the file's hash and the line where it has none.
    Voters get pseudonyms that the file's names cannot be read from. Raises BadRow.
    """
    vote_log.hold_for_append(arena.pk)
    writer = VoteWriter(arena, file_name=file.name, show=show)
    report = ImportReport()
    lines: dict[uuid.UUID, int] = {}
    digest = ""
    for rows in chunks(read_rows(file), CHUNK):
        votes: dict[uuid.UUID, ImportedVote] = {}
        for line, record in rows:
            vote = vote_of(line, record)
            if not vote.key:
                digest = digest or _sha256(file)
            key = writer.battle_id(vote.key or f"{digest}:{line}")
            if key in lines:
                raise BadRow(line, f"Its id {vote.key} was there in line {lines[key]} already.")
            lines[key], votes[key] = line, vote
            if vote.texts.why_not:
                report.notes[f"without texts: {vote.texts.why_not}"] += 1
        report.added += writer.write(votes)
        report.rows += len(rows)
        progress(report.rows)
    if not report.rows:
        raise BadInput(f"{file.name} holds no votes.")
    report.there_already = report.rows - report.added
    details = {"file": file.name, "rows": report.rows, "added": report.added}
    audit.record(action="votes imported", target=arena, actor=by, details=details)
    return report


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
