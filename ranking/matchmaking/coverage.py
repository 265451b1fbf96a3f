"""Spreading the battles over the prompts, so that no rating rests on a few of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


class NoPromptLeft(ValueError):
    """No prompt is open to this group.  The message is one sentence."""


@dataclass(frozen=True)
class PromptChoice:
    prompt: int
    propensity: float  # probability with which this prompt was drawn, given the group


@dataclass(frozen=True)
class Coverage:
    """How evenly the battles are spread over the prompts."""

    share: NDArray[np.float64]  # (n,) share of the prompts each contestant was shown on
    effective: NDArray[np.float64]  # (n,) number of equally used prompts that would be as concentrated
    unused: NDArray[np.int64]  # prompts no battle was about


def choose_prompt(
    shown: ArrayLike,
    group: Sequence[int],
    rng: np.random.Generator,
    *,
    answered: ArrayLike | None = None,
    seen: ArrayLike | None = None,
) -> PromptChoice:
    """The prompt on which the group was shown least, ties at random.

    `shown` (prompts, n) counts battles by prompt and contestant; `answered` (prompts, n) is
    False where a contestant has no response; `seen` (prompts,) is True for the prompts this
    voter has had.  Prompts are compared by the contestant shown most on them, then by the sum.
    Raises NoPromptLeft.
    """
    table = np.asarray(shown)
    members = np.asarray(group, dtype=np.int64)
    open_to = np.ones(len(table), dtype=bool)
    if answered is not None:
        open_to &= np.asarray(answered, dtype=bool)[:, members].all(axis=1)
    if seen is not None:
        open_to &= ~np.asarray(seen, dtype=bool)
    prompts = np.flatnonzero(open_to)
    if not len(prompts):
        raise NoPromptLeft("No prompt is left that these contestants answered and this voter has not seen.")
    here = table[np.ix_(prompts, members)]
    most, total = here.max(axis=1), here.sum(axis=1)
    least = most == most.min()
    least &= total == total[least].min()
    tied = prompts[least]
    return PromptChoice(int(rng.choice(tied)), 1.0 / len(tied))


def coverage(shown: ArrayLike) -> Coverage:
    """How the battles counted in `shown` (prompts, n) are spread over the prompts.

    The effective number is the inverse of Simpson's index, 1 / sum of squared shares.
    """
    table = np.asarray(shown, dtype=np.float64)
    total = table.sum(axis=0)
    squares = (table**2).sum(axis=0)
    effective = np.divide(total**2, squares, out=np.zeros_like(total), where=squares > 0.0)
    used = table > 0.0
    share = used.mean(axis=0) if len(table) else np.zeros(table.shape[1])
    return Coverage(share, effective, np.flatnonzero(~used.any(axis=1)))
