"""Writing a data set and checking it: the same votes always give the same bytes.

Everything goes to a folder of its own that is renamed in place at the end, so that a
data set is there whole or not at all, however often its job is cut off.
"""

import shutil
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from arena.errors import BadInput
from arena.models import DataSet, Prompt
from arena.services import webhooks
from arena.services.data_sets.card import card
from arena.services.data_sets.files import Table, put_in_place, sha256_of, write_json, write_text
from arena.services.data_sets.formats import FORMATS
from arena.services.data_sets.views import llama_factory_info
from arena.services.data_sets.votes import SCHEMA_VERSION, Row, VoteReader, is_informative, prompt_ids
from arena.services.leases import Lease

SPLITS: tuple[str, ...] = (Prompt.Split.TRAIN.value, Prompt.Split.HELD_OUT.value)
MANIFEST = "manifest.json"
NOT_CHOSEN = "not chosen by the reward model"
Placed = tuple[Row, str]  # a row with its split
Tables = dict[tuple[str, str], Table]


def data_set_folder(data_set: DataSet) -> Path:
    return Path(settings.DATA_SETS_DIR) / data_set.folder


class Choice(Protocol):
    """Chooses among the rows while they are written; see gpu_workers/curate.py."""

    def of(self, page: Sequence[Placed]) -> list[Placed]: ...
    def rest(self) -> list[Placed]: ...
    def told(self) -> dict[str, Any]: ...


def write_data_set(data_set: DataSet, lease: Lease | None = None, choice: Choice | None = None) -> DataSet:
    """Write the files, the card and the manifest, and mark the data set as complete.

    With a `choice` only the rows that it keeps, and those that it makes of them.
    Does nothing where it is complete. Raises BadInput where no vote is left to write.
    """
    data_set.refresh_from_db()
    if data_set.completed_at is not None:
        return data_set
    final = data_set_folder(data_set)
    final.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=final.parent))
    try:
        manifest = _write(data_set, draft, lease, choice)
        if lease is not None:
            lease.check()
        put_in_place(draft, final)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    # Only the first attempt to end counts; another one wrote the same bytes.
    with transaction.atomic():
        first = DataSet.objects.filter(pk=data_set.pk, completed_at=None).update(
            counts=manifest["rows"],
            manifest=manifest,
            sha256=sha256_of(final / MANIFEST),
            completed_at=Now(),
        )
        if first:
            told = {"data_set": data_set.number, "rows": manifest["rows"]}
            webhooks.emit(arena=data_set.arena, event="data_set.completed", data=told)
    data_set.refresh_from_db()
    return data_set


def verify_data_set(data_set: DataSet) -> None:
    """Raise BadInput, naming the file, where the folder is not what was written."""
    folder = data_set_folder(data_set)
    if data_set.completed_at is None:
        raise BadInput(
            _("Data set %(number)s is not written yet. Wait until its job is done.")
            % {"number": data_set.number}
        )
    recorded = {MANIFEST: {"sha256": data_set.sha256}, **data_set.manifest["files"]}
    for name, facts in recorded.items():
        if not (folder / name).is_file():
            raise BadInput(
                _("The file %(name)s of data set %(number)s is gone. Export a new data set.")
                % {"name": name, "number": data_set.number}
            )
        if sha256_of(folder / name) != facts["sha256"]:
            raise BadInput(
                _("The file %(name)s of data set %(number)s was changed. Export a new data set.")
                % {"name": name, "number": data_set.number}
            )


def _write(data_set: DataSet, folder: Path, lease: Lease | None, choice: Choice | None) -> dict[str, Any]:
    """All files of the data set in `folder`; returns the manifest."""
    reader = VoteReader(data_set)
    tables, splits = _write_tables(data_set, folder, reader, lease, choice)
    curated = choice.told() if choice else {}
    if curated:
        reader.left_out[NOT_CHOSEN] += len(curated["dropped"])
    if not any(facts["votes"] for facts in splits.values()):
        raise BadInput(
            "No vote can be exported: "
            + ", ".join(f"{n} ({why})" for why, n in reader.left_out.items())
            + "."
        )
    facts = {
        "rows": {name: {split: tables[name, split].rows for split in SPLITS} for name in data_set.formats},
        "splits": splits,
        "left_out": {why: count for why, count in sorted(reader.left_out.items()) if count},
        **({"curated": curated} if curated else {}),
    }
    files = _named_files(folder, tables)
    if "llama-factory" in files:
        named = {split: tables["llama-factory", split].lines.name for split in files["llama-factory"]}
        info = llama_factory_info(f"{data_set.arena.slug}_{data_set.number}", named)
        write_json(folder / "llama-factory" / "dataset_info.json", info)
    write_text(folder / "README.md", card(data_set, files=files, facts=facts))
    manifest = _manifest(data_set, folder, tables, facts)
    write_json(folder / MANIFEST, manifest)
    return manifest


def _write_tables(
    data_set: DataSet, folder: Path, reader: VoteReader, lease: Lease | None, choice: Choice | None
) -> tuple[Tables, dict[str, dict[str, int]]]:
    """The rows of every format; returns the tables and what each split holds."""
    prompts: dict[str, set[str]] = defaultdict(set)
    splits = {split: {"votes": 0, "informative": 0, "prompts": 0} for split in SPLITS}
    total, done = reader.total(), 0
    with ExitStack() as stack:
        tables = {
            (name, split): stack.enter_context(Table(folder, FORMATS[name], split))
            for name in data_set.formats
            for split in SPLITS
        }

        def add(page: Sequence[Placed]) -> None:
            for split in SPLITS:
                rows = [row for row, its_split in page if its_split == split]
                splits[split]["votes"] += len(rows)
                splits[split]["informative"] += sum(map(is_informative, rows))
                prompts[split].update(key for row in rows for key in prompt_ids(row))
                for name in data_set.formats:
                    view = FORMATS[name].view
                    tables[name, split].add([seen for row in rows for seen in view(row)])

        for page in reader.pages():
            add(choice.of(page) if choice else page)
            done += reader.last_page
            if lease is not None:
                lease.progress(done=done, total=total, message=f"{done:,} of {total:,} votes")
        add(choice.rest() if choice else [])
    for split in SPLITS:
        splits[split]["prompts"] = len(prompts[split])
    return tables, splits


def _named_files(folder: Path, tables: Tables) -> dict[str, dict[str, str]]:
    """What the card names, by format and split. `datasets` refuses a split without rows: left out."""
    files: dict[str, dict[str, str]] = defaultdict(dict)
    for (name, split), table in tables.items():
        if table.rows:
            files[name][split] = table.parquet.relative_to(folder).as_posix()
    return dict(files)


def _manifest(data_set: DataSet, folder: Path, tables: Tables, facts: dict[str, Any]) -> dict[str, Any]:
    rows = {path: table.rows for table in tables.values() for path in (table.lines, table.parquet)}
    return {
        "data_set": f"{data_set.arena.slug}/{data_set.number}",
        "arena": data_set.arena.slug,
        "number": data_set.number,
        "schema_version": SCHEMA_VERSION,
        "created_at": data_set.created_at.isoformat(),
        "last_vote": data_set.last_vote,
        "last_ruling": data_set.last_ruling,
        **({"filters": data_set.filters} if data_set.filters else {}),
        **facts,
        "files": {
            path.relative_to(folder).as_posix(): {
                "sha256": sha256_of(path),
                "bytes": path.stat().st_size,
                "rows": rows.get(path),
            }
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    }
