"""The state of a run on disk: all that is needed to go on bit for bit, or else nothing.

A checkpoint is a folder written under another name, flushed to the disk and renamed, so that a kill at any
moment leaves the one before. Its manifest holds the hash of each file: one that is cut short or altered is
passed over.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

KEPT = 2
PREFIX = "checkpoint-"


@dataclass(frozen=True)
class Checkpoint:
    """step: how many steps are done; weights: trained parameters by name; state: optimiser, RNG and
    settings.
    """

    step: int
    weights: dict[str, Tensor]
    state: dict[str, Any]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write the checkpoint below `folder` whole or not at all, and drop all but the newest two."""
    target = folder / f"{PREFIX}{checkpoint.step:08d}"
    draft = folder / f".draft-{checkpoint.step:08d}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    save_file(
        {name: value.contiguous() for name, value in checkpoint.weights.items()},
        draft / "weights.safetensors",
    )
    torch.save(checkpoint.state, draft / "state.pt")
    manifest = {"step": checkpoint.step, "files": file_hashes(draft)}
    (draft / "manifest.json").write_text(json.dumps(manifest, indent=1))
    publish(draft, target)
    for old in sorted(folder.glob(f"{PREFIX}*"))[:-KEPT]:
        shutil.rmtree(old)
    return target


def load_newest(folder: Path, note: Callable[[str], None]) -> Checkpoint | None:
    """The newest whole checkpoint below `folder`, or None. `note` is told of each that had to be passed
    over.
    """
    for path in sorted(folder.glob(f"{PREFIX}*"), reverse=True):
        fault = _fault(path)
        if fault:
            note(f"The checkpoint {path.name} is passed over: {fault}.")
            continue
        weights = load_file(path / "weights.safetensors")
        state = torch.load(path / "state.pt", weights_only=True, map_location="cpu")
        return Checkpoint(int(path.name.removeprefix(PREFIX)), weights, state)
    return None


def _fault(path: Path) -> str:
    try:
        stated = json.loads((path / "manifest.json").read_text())["files"]
        found = file_hashes(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"its manifest cannot be read ({error})"
    for name, digest in stated.items():
        if found.get(name) != digest:
            return f"{name} is cut short or altered"
    return ""


def file_hashes(folder: Path) -> dict[str, str]:
    """The sha256 of every file in `folder` but its manifest, by name."""
    hashes = {}
    for file in sorted(folder.iterdir()):
        if file.is_file() and file.name != "manifest.json":
            with file.open("rb") as handle:
                hashes[file.name] = hashlib.file_digest(handle, "sha256").hexdigest()
    return hashes


def publish(draft: Path, target: Path) -> None:
    """Flush all files of `draft` to the disk and give it its name; what had the name before is replaced."""
    for file in draft.iterdir():
        flush(file)
    flush(draft)
    if target.exists():
        shutil.rmtree(target)
    draft.rename(target)
    flush(target.parent)


def flush(path: Path) -> None:
    """Have the disk keep what was written to this file or folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
