"""Log-probabilities of every response under the base, computed once and kept.

The reference is always the base as it was opened, before any trained weights are put in: a run that resumes
must not take the half-trained policy for its reference. What is computed is kept by (prompt and response
tokens, hash of the base, number type), so a resumed run, and the next run on the same base, reads it back.
What the base wrote itself need not be computed: generation knows how likely each token was (`adopt`).
"""

import json
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gpu_workers.kwise.data import Ranking
from gpu_workers.kwise.encoding import EncodedRanking
from gpu_workers.kwise.errors import Stopped
from gpu_workers.kwise.scoring import ScoringPath
from gpu_workers.kwise.sharing import ALONE, Share

CHUNK = 16  # at most so many rankings are scored and written at a time


Known = float | list[float]


class ReferenceCache:
    """The known log-probabilities of one base, in files of JSON lines, appended to as they come.

    Of whole responses, or with `by_token` of each of their tokens. Each process of a run writes to a file of
    its own, named by its `rank`, and reads all of them.
    """

    def __init__(
        self, folder: Path, *, base_sha256: str, kind: str, by_token: bool = False, rank: int = 0
    ) -> None:
        name = f"{base_sha256[:32]}-{kind}{'-tokens' if by_token else ''}"
        self.file = folder / (f"{name}.jsonl" if rank == 0 else f"{name}.{rank}.jsonl")
        self.pattern = f"{name}.*jsonl"
        self.by_token = by_token
        self.known: dict[str, Known] = {}
        self.read()

    def read(self) -> None:
        """Take over what is on disk."""
        for file in sorted(self.file.parent.glob(self.pattern)):
            lines = file.read_bytes().split(b"\n")
            if lines[-1] and file == self.file:
                # The last append was cut off by a kill: end it here, so that the next one starts a line.
                with file.open("r+b") as handle:
                    handle.truncate(sum(len(line) + 1 for line in lines[:-1]))
            for line in lines[:-1]:
                self.known.update(json.loads(line))

    def add(self, values: dict[str, Known]) -> None:
        self.known.update(values)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("ab") as handle:
            handle.write(json.dumps(values).encode() + b"\n")
            handle.flush()
            os.fsync(handle.fileno())

    def adopt(self, rankings: Sequence[Ranking], *, revision: str, dtype: str) -> int:
        """Take over what generation said of its own texts, where this very model wrote them with these
        numbers. Returns how many. They are kept by their tokens: a text that is read as other tokens than it
        was written in is scored like any other.
        """
        if self.by_token:
            return 0
        found: dict[str, Known] = {}
        for ranking in rankings:
            for said in filter(None, ranking.scored):
                if (said["revision"], said["dtype"]) == (revision, dtype):
                    found[said["tokens_sha256"]] = float(said["log_probability"])
        new = {key: value for key, value in found.items() if key not in self.known}
        if new:
            self.add(new)  # on disk, so that a run that goes on has the very same numbers
        return len(new)

    def tensor(self, rankings: Sequence[EncodedRanking], k: int) -> Tensor:
        """(batch, K) float32, or (batch, K, T) with `by_token`; 0 for absent slots and behind the end."""
        rows = [
            [self.known[ranking.response_key(slot)] for slot in range(len(ranking.responses))]
            for ranking in rankings
        ]
        if not self.by_token:
            return torch.tensor([[*row, *[0.0] * (k - len(row))] for row in rows], dtype=torch.float32)
        longest = max(len(response) for ranking in rankings for response in ranking.responses)
        filled = torch.zeros(len(rankings), k, longest)
        for number, row in enumerate(rows):
            for slot, values in enumerate(row):
                assert isinstance(values, list)
                filled[number, slot, : len(values)] = torch.tensor(values)
        return filled

    def take(self, chunk: Sequence[EncodedRanking], values: Tensor) -> None:
        """Keep what a chunk was scored to, (batch, K) or (batch, K, T)."""
        new: dict[str, Known] = {}
        for ranking, row in zip(chunk, values.tolist(), strict=True):
            for slot, response in enumerate(ranking.responses):
                found = row[slot][: len(response)] if self.by_token else row[slot]
                new.setdefault(ranking.response_key(slot), found)
        self.add({key: value for key, value in new.items() if key not in self.known})


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
    share: Share = ALONE,
    with_weights: Callable[[Callable[[], Tensor]], Tensor] = lambda work: work(),
) -> int:
    """Score what the cache does not know. Returns how many rankings had to be scored. Raises Stopped.
    Several processes share the chunks; `with_weights` is the base's own, and there where it is shared out.

    Chunks are cut by place in the data, whatever is known: a sum's last bit depends on what shares its
    batch, and a run that was killed here must go on to the very same numbers.
    """
    chunks = cut(rankings, tokens)
    scored = 0
    for at in range(0, len(chunks), share.world):
        number = min(at + share.rank, len(chunks) - 1)
        chunk = chunks[number]
        mine = number == at + share.rank
        wanted = mine and not all(key in cache.known for key in _keys(chunk))
        # Several processes ask together, with a chunk or without: one that did not would be waited for.
        if (wanted or share.world > 1) and stop():
            raise Stopped("The run was asked to end while the reference was computed.")
        # A model that is shared out takes all processes for each pass.
        if not (share.any(wanted) if share.sharded else wanted):
            continue
        k = max(len(ranking.responses) for ranking in chunk)
        path = score.tokens if cache.by_token else score
        with torch.no_grad(), precision():
            values = with_weights(partial(path, model, chunk, k))
        if wanted:
            cache.take(chunk, values)
            scored += len(chunk)
            note(number + 1, len(chunks))
    if share.world > 1:
        share.wait()
        cache.read()
    return scored


def _keys(chunk: Sequence[EncodedRanking]) -> list[str]:
    return [ranking.response_key(slot) for ranking in chunk for slot in range(len(ranking.responses))]
