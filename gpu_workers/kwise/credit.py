"""Which tokens of a response a vote is about: all, the marked spans, or the first step that differs.

Segment weights follow the idea of fine-grained and step-wise preferences: Lai et al. 2024 (Step-DPO),
arXiv 2406.18629, eq. 3, where only the first wrong step and its right twin are compared after the steps that
both share; and marked spans as in Wu et al. 2023, arXiv 2306.01693.
"""

from collections.abc import Sequence

from gpu_workers.kwise.data import Ranking

REST = 0.1  # what a token outside the marked spans counts, in a response that has one

Offsets = Sequence[tuple[int, int]]  # of each token: code points of the text


def credit_of(ranking: Ranking, offsets: Sequence[Offsets], credit: str) -> tuple[tuple[float, ...], ...]:
    """What each token counts, by slot. A response without a mark counts whole."""
    if credit == "spans":
        return tuple(_marked(ranking, slot, row) for slot, row in enumerate(offsets))
    return _first_step(ranking.texts, offsets)


def _marked(ranking: Ranking, slot: int, offsets: Offsets) -> tuple[float, ...]:
    spans = [span for span in ranking.spans if span.slot == slot]
    if not spans:
        return (1.0,) * len(offsets)
    return tuple(
        1.0 if any(start < span.end and span.start < end for span in spans) else REST
        for start, end in offsets
    )


def _first_step(texts: Sequence[str], offsets: Sequence[Offsets]) -> tuple[tuple[float, ...], ...]:
    """1 for the first line in which the responses part, 0 before and behind it. A line is a step."""
    steps = [text.splitlines(keepends=True) or [""] for text in texts]
    shared = 0
    while all(len(lines) > shared + 1 for lines in steps) and len({lines[shared] for lines in steps}) == 1:
        shared += 1
    weights = []
    for lines, row in zip(steps, offsets, strict=True):
        begin = sum(map(len, lines[:shared]))
        end = begin + len(lines[shared])
        counted = tuple(float(start < end and begin < stop) for start, stop in row)
        weights.append(counted if any(counted) else (1.0,) * len(row))
    return tuple(weights)
