"""Prompts from a file."""

from pathlib import Path

from django.contrib.auth.models import User
from django.db import transaction

from arena.errors import BadInput, BadRow
from arena.models import Arena, Prompt
from arena.services import audit
from arena.services.imports.report import ImportReport, Progress, at_line, no_progress
from arena.services.prompts import (
    HELD_OUT_SHARE,
    Message,
    NewPrompt,
    checked_messages,
    checked_text,
    content_key,
    create_prompts,
)
from arena.services.tabular import Record, first_text, is_missing, json_of, read_rows, text_of

TEXT_COLUMNS = ("text", "prompt")
KEY_COLUMNS = ("key", "id", "prompt_id")
LONGEST_KEY = 120


@transaction.atomic
def import_prompts(
    *,
    arena: Arena,
    file: Path,
    held_out: float = HELD_OUT_SHARE,
    by: User | None = None,
    progress: Progress = no_progress,
) -> ImportReport:
    """Make the prompts of a JSONL, CSV or Parquet file, all or none.

    Columns: `text` or `messages`; and, where wanted, `key`, `tags` and `split`. A row without a
    split is held out with the probability `held_out`, drawn by its content. Raises BadRow.
    """
    report = ImportReport()
    prompts: dict[str, NewPrompt] = {}
    lines: dict[str, int] = {}
    for line, record in read_rows(file):
        prompt = _prompt(line, record)
        if prompts.setdefault(prompt.key, prompt).messages != prompt.messages:
            raise BadRow(line, f"Its key {prompt.key} stands for another prompt in line {lines[prompt.key]}.")
        lines.setdefault(prompt.key, line)
        report.rows += 1
        progress(report.rows)
    if not prompts:
        raise BadInput(f"{file.name} holds no prompts.")
    before = Prompt.objects.filter(arena=arena).count()
    create_prompts(arena=arena, prompts=prompts.values(), held_out=held_out)
    report.added = Prompt.objects.filter(arena=arena).count() - before
    report.there_already = report.rows - report.added
    audit.record(
        action="prompts imported", target=arena, actor=by, details={"file": file.name, "added": report.added}
    )
    return report


def _prompt(line: int, record: Record) -> NewPrompt:
    messages = _messages(line, record)
    key = first_text(line, record, KEY_COLUMNS)
    if len(key) > LONGEST_KEY:
        raise BadRow(line, f"Its key is longer than {LONGEST_KEY} characters.")
    split = text_of(line, record, "split").replace("-", "_")
    if split in ("test", "validation"):
        split = Prompt.Split.HELD_OUT
    if split and split not in Prompt.Split.values:
        raise BadRow(line, f"Its split is {split!r}; it must be train or held_out.")
    return NewPrompt(
        messages=messages, key=key or content_key(messages), tags=_tags(line, record), split=split
    )


def _messages(line: int, record: Record) -> list[Message]:
    with at_line(line):
        if not is_missing(record.get("messages")):
            return checked_messages(json_of(line, record, "messages"))
        if text := first_text(line, record, TEXT_COLUMNS):
            return checked_messages([{"role": "user", "content": checked_text(text)}])
    raise BadRow(line, "It has no text: give it a column text, or messages.")


def _tags(line: int, record: Record) -> list[str]:
    """A list, a JSON list, or words with commas."""
    value = record.get("tags")
    if is_missing(value):
        return []
    if isinstance(value, str):
        value = json_of(line, record, "tags") if value.lstrip().startswith("[") else value.split(",")
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        raise BadRow(line, "Its tags are not a list of words.")
    return [tag.strip() for tag in value if tag.strip()]
