"""Log-probabilities of every response under the base, computed once and kept.

The reference is always the base as it was opened, before any trained weights are put in: a run that resumes
must not take the half-trained policy for its reference. What is computed is kept by (prompt and response
tokens, hash of the base, number type), so a resumed run, and the next run on the same base, reads it back.
"""

import json
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gpu_workers.kwise.encoding import EncodedRanking
from gpu_workers.kwise.errors import Stopped
from gpu_workers.kwise.scoring import ScoringPath

CHUNK = 16  # at most so many rankings are scored and written at a time


class ReferenceCache:
    """The known log-probabilities of one base, in one file of JSON lines, appended to as they come."""

    def __init__(self, folder: Path, *, base_sha256: str, kind: str) -> None:
        self.file = folder / f"{base_sha256[:32]}-{kind}.jsonl"
        self.known: dict[str, float] = {}
        if self.file.exists():
            self._read()

    def _read(self) -> None:
        lines = self.file.read_bytes().split(b"\n")
        if lines[-1]:
            # The last append was cut off by a kill: end it here, so that the next one starts a line.
            with self.file.open("r+b") as handle:
                handle.truncate(sum(len(line) + 1 for line in lines[:-1]))
        for line in lines[:-1]:
            self.known.update(json.loads(line))

    def add(self, values: dict[str, float]) -> None:
        self.known.update(values)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("ab") as handle:
            handle.write(json.dumps(values).encode() + b"\n")
            handle.flush()
            os.fsync(handle.fileno())

    def tensor(self, rankings: Sequence[EncodedRanking], k: int) -> Tensor:
        """(batch, K) float32; 0 for absent slots."""
        rows = [
            [self.known[ranking.response_key(slot)] for slot in range(len(ranking.responses))]
            for ranking in rankings
        ]
        return torch.tensor([row + [0.0] * (k - len(row)) for row in rows], dtype=torch.float32)


def cut(rankings: Sequence[EncodedRanking], tokens: int) -> list[list[EncodedRanking]]:
    """Neighbours together: at most CHUNK rankings and, padding counted, `tokens` tokens (or one ranking)."""
    chunks: list[list[EncodedRanking]] = []
    for ranking in rankings:
        together = [*chunks[-1], ranking] if chunks else []
        if 0 < len(together) <= CHUNK and len(together) * max(r.packed_length for r in together) <= tokens:
            chunks[-1].append(ranking)
        else:
            chunks.append([ranking])
    return chunks


def fill(
    cache: ReferenceCache,
    model: Any,
    rankings: Sequence[EncodedRanking],
    score: ScoringPath,
    *,
    precision: Callable[[], AbstractContextManager[Any]],
    stop: Callable[[], bool],
    note: Callable[[int, int], None],
    tokens: int = 8192,
) -> int:
    """Score what the cache does not know. Returns how many rankings had to be scored. Raises Stopped.

    Chunks are cut by place in the data, whatever is known: a sum's last bit depends on what shares its
    batch, and a run that was killed here must go on to the very same numbers.
    """
    chunks = cut(rankings, tokens)
    scored = 0
    for number, chunk in enumerate(chunks):
        keys = [ranking.response_key(slot) for ranking in chunk for slot in range(len(ranking.responses))]
        if all(key in cache.known for key in keys):
            continue
        if stop():
            raise Stopped("The run was asked to end while the reference was computed.")
        k = max(len(ranking.responses) for ranking in chunk)
        with torch.no_grad(), precision():
            values = score(model, chunk, k).tolist()
        found = [
            value
            for ranking, row in zip(chunk, values, strict=True)
            for value in row[: len(ranking.responses)]
        ]
        new = dict(zip(keys, found, strict=True))
        cache.add({key: value for key, value in new.items() if key not in cache.known})
        scored += len(chunk)
        note(number + 1, len(chunks))
    return scored
