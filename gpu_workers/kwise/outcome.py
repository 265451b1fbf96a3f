"""What a run leaves behind: OUTPUT/model, a checkpoint that any transformers worker opens, and its
manifest.
"""

import hashlib
import json
import shutil
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch
import transformers

from gpu_workers.kwise.checkpoints import file_hashes, publish
from gpu_workers.kwise.config import TrainingConfig
from gpu_workers.kwise.data import RankingData
from gpu_workers.kwise.models import Base, revision_hash
from gpu_workers.kwise.objectives import Objective
from gpu_workers.kwise.reward_model import write_head

# Folders of this machine: they say nothing about the result.
PLACES = ("data", "base", "output", "reference_cache", "threads")


def code_hash() -> str:
    """One hash of the trainer's own source."""
    digest = hashlib.sha256()
    folder = Path(__file__).parent
    for file in sorted(folder.rglob("*.py")):
        digest.update(file.relative_to(folder).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()


def settings_of(config: TrainingConfig) -> dict[str, Any]:
    return {name: value for name, value in config.as_dict().items() if name not in PLACES}


def write_model(
    base: Base,
    config: TrainingConfig,
    data: RankingData,
    summary: Mapping[str, Any],
    objective: Objective,
) -> Path:
    """Write OUTPUT/model whole or not at all: weights, tokenizer, manifest.json. Returns the folder.

    Under LoRA the adapter is merged into the weights, and kept beside them in OUTPUT/adapter.
    """
    # Where DeepSpeed is installed, transformers imports it here, and it logs to standard output, which has
    # the run's own lines.
    with redirect_stdout(sys.stderr):
        return _written(base, config, data, summary, objective)


def _written(
    base: Base,
    config: TrainingConfig,
    data: RankingData,
    summary: Mapping[str, Any],
    objective: Objective,
) -> Path:
    output = Path(config.output)
    draft = output / ".draft-model"
    shutil.rmtree(draft, ignore_errors=True)
    model = base.model
    head = getattr(model, "reward_head", None)
    if head is not None:
        del model.reward_head  # kept in a file of its own
    if config.method != "full":
        adapter = output / ".draft-adapter"
        shutil.rmtree(adapter, ignore_errors=True)
        model.save_pretrained(adapter)
        publish(adapter, output / "adapter")
        model = model.merge_and_unload()
    model.to(base.stored_dtype).save_pretrained(draft)
    base.tokenizer.save_pretrained(draft)
    if head is not None:
        write_head(head, objective, draft)
    manifest = _manifest(base, config, data, draft, summary)
    (draft / "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False))
    target = output / "model"
    publish(draft, target)
    return target


def _manifest(
    base: Base, config: TrainingConfig, data: RankingData, draft: Path, summary: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "made_by": "gpu_workers.train",
        "parent": config.parent,
        "objective": config.objective,
        "settings": settings_of(config),
        "base": {"name": base.folder.name, "sha256": base.sha256},
        "data": {
            "sha256": data.sha256,
            **{name: data.manifest.get(name) for name in ("arena", "data_set", "number")},
        },
        "code": {
            "sha256": code_hash(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "result": {"sha256": revision_hash(draft), "files": file_hashes(draft)},
        "summary": dict(summary),
    }
