"""Draws tokens for a batch of prompts: one forward pass a step, each row with a seed of its own.

A prompt that is wanted several times is read once and its cache copied. Rows that have
ended leave the batch. The random numbers of a row come from its seed alone, drawn on the
CPU: whoever else is in the batch, and on whatever device, the row's text is the same up
to the rounding of the logits.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.generation.logits_process import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from gpu_workers.backends.base import BackendError, Sampling


@dataclass
class Row:
    """One text that is being written. `prompt` says which of the batch's prompts it answers.

    log_probability: of its tokens under the model itself, in nats, at whatever temperature they are drawn.
    """

    prompt: int
    seed: int
    tokens: list[int] = field(default_factory=list)
    finish_reason: str = "length"
    log_probability: float = 0.0
    # The tokens of texts that it is to keep away from.
    avoid: Sequence[Sequence[int]] = ()


def filled_in(sampling: Sampling, config: Any) -> Sampling:
    """The sampling with the checkpoint's own generation defaults where the contestant leaves it open."""
    own: dict[str, Any] = {}
    for name, neutral in (("temperature", 1.0), ("top_p", 1.0), ("top_k", 0), ("repetition_penalty", 1.0)):
        value = getattr(sampling, name)
        if value is None:
            value = getattr(config, name, None)
        own[name] = neutral if value is None else value
    return Sampling(max_new_tokens=sampling.max_new_tokens, seed=sampling.seed, **own)


@torch.inference_mode()
def decode(
    model: PreTrainedModel,
    prompts: list[list[int]],
    rows: list[Row],
    *,
    sampling: Sampling,
    stop: set[int],
    pad: int,
    penalty: float = 0.0,
) -> None:
    """Write the tokens of every row, in place. `sampling` has no open values (see `filled_in`).

    `penalty` is taken off the logit of a token for each of the row's `avoid` that has it in the same
    place: the Hamming diversity of diverse beam search with groups of one beam (Vijayakumar et al.
    2018, section 4), where the earlier groups are texts that are written already.
    """
    batch = _begun(model, prompts, rows, sampling.max_new_tokens, pad)
    processors = _processors(sampling)
    for step in range(sampling.max_new_tokens):
        logits = batch.logits
        apart = logits if batch.avoided is None else _apart(logits, batch.avoided[:, :, step], penalty)
        chance = batch.chance[:, step]
        token = _drawn(apart, batch.ids, chance, processors, greedy=sampling.temperature == 0)
        gained = logits.gather(1, token[:, None])[:, 0] - logits.logsumexp(-1)
        going = _append(batch.alive, token, gained, stop)
        if not any(going):
            return
        if sum(going) <= len(going) // 2:
            # Half the batch is done: without it the next steps cost half.
            kept = torch.tensor([place for place, on in enumerate(going) if on], device=token.device)
            batch.keep(kept)
            token = token[kept]
        batch.go_on(model, token)


@dataclass
class _Batch:
    """The texts that are being written, a row each, and what the model knows of them.

    logits: (rows, vocabulary) of the next token; ids, mask: (rows, length); positions: (rows, 1) of the last
    token; chance: (rows, steps); avoided: (rows, texts, steps) or None.
    """

    alive: list[Row]
    cache: Any
    logits: Tensor
    ids: Tensor
    mask: Tensor
    positions: Tensor
    chance: Tensor
    avoided: Tensor | None

    def keep(self, kept: Tensor) -> None:
        """Only these rows, (n,) their places, from here on."""
        self.alive = [self.alive[place] for place in kept.tolist()]
        self.cache.batch_select_indices(kept)
        self.ids, self.mask, self.positions = self.ids[kept], self.mask[kept], self.positions[kept]
        self.chance = self.chance[kept]
        self.avoided = None if self.avoided is None else self.avoided[kept]

    def go_on(self, model: PreTrainedModel, token: Tensor) -> None:
        """Read the rows' newest tokens, (rows,)."""
        self.ids = torch.cat([self.ids, token[:, None]], dim=1)
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.alive), 1)], dim=1)
        self.positions = self.positions + 1
        out = model(
            input_ids=token[:, None],
            attention_mask=self.mask,
            position_ids=self.positions,
            past_key_values=self.cache,
            use_cache=True,
        )
        self.logits = out.logits[:, -1].float()


def _begun(model: PreTrainedModel, prompts: list[list[int]], rows: list[Row], steps: int, pad: int) -> _Batch:
    """Every prompt read once, and a row for each text. Raises BackendError."""
    device = model.device
    ids, mask = left_padded(prompts, pad)  # (prompts, longest)
    ids, mask = ids.to(device), mask.to(device)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    out = model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=True, logits_to_keep=1)
    cache, logits = out.past_key_values, out.logits[:, -1].float()  # (prompts, vocabulary)
    if cache is None:
        raise BackendError("This kind of model keeps no cache. Serve it with an OpenAI-compatible server.")
    chosen = torch.tensor([row.prompt for row in rows], device=device)
    if chosen.tolist() != list(range(len(prompts))):
        # Several samples of one prompt: it was read once, and each goes on from a copy.
        cache.batch_select_indices(chosen)
        logits, ids, mask, positions = logits[chosen], ids[chosen], mask[chosen], positions[chosen]
    chance = torch.stack([_uniform(row.seed, steps) for row in rows]).to(device)
    avoided = _avoided(rows, steps)
    avoided = None if avoided is None else avoided.to(device)
    return _Batch(list(rows), cache, logits, ids, mask, positions[:, -1:], chance, avoided)


def left_padded(prompts: list[list[int]], pad: int) -> tuple[Tensor, Tensor]:
    """The prompts as one tensor (prompts, longest) that ends together, and the mask of what is real."""
    longest = max(map(len, prompts))
    ids = torch.full((len(prompts), longest), pad, dtype=torch.long)
    mask = torch.zeros((len(prompts), longest), dtype=torch.long)
    for place, prompt in enumerate(prompts):
        ids[place, longest - len(prompt) :] = torch.tensor(prompt)
        mask[place, longest - len(prompt) :] = 1
    return ids, mask


def _avoided(rows: Sequence[Row], steps: int) -> Tensor | None:
    """What each row keeps away from (rows, texts, steps), -1 where a text has no token; None: nothing."""
    most = max(len(row.avoid) for row in rows)
    if not most:
        return None
    found = torch.full((len(rows), most, steps), -1, dtype=torch.long)
    for place, row in enumerate(rows):
        for other, tokens in enumerate(row.avoid):
            kept = torch.tensor(tokens[:steps], dtype=torch.long)
            found[place, other, : len(kept)] = kept
    return found


def _apart(logits: Tensor, avoided: Tensor, penalty: float) -> Tensor:
    """The logits (rows, vocabulary) less the penalty for each text (rows, texts) that has the token here."""
    taken = (avoided >= 0).to(logits.dtype) * -penalty
    return logits.scatter_add(1, avoided.clamp(min=0), taken)


def _append(alive: list[Row], token: Tensor, gained: Tensor, stop: set[int]) -> list[bool]:
    """Give each row its token; which of them go on. A row that has ended stays as it is."""
    going = []
    for row, one, nats in zip(alive, token.tolist(), gained.tolist(), strict=True):
        if row.finish_reason != "stop":
            row.tokens.append(one)
            row.log_probability += nats
            if one in stop:
                row.finish_reason = "stop"
        going.append(row.finish_reason != "stop")
    return going


def _processors(sampling: Sampling) -> LogitsProcessorList:
    found = LogitsProcessorList()
    if sampling.repetition_penalty not in (None, 1.0):
        found.append(RepetitionPenaltyLogitsProcessor(float(sampling.repetition_penalty or 1.0)))
    if sampling.temperature == 0:
        return found
    if sampling.temperature not in (None, 1.0):
        found.append(TemperatureLogitsWarper(float(sampling.temperature or 1.0)))
    if sampling.top_k:
        found.append(TopKLogitsWarper(top_k=sampling.top_k))
    if sampling.top_p is not None and sampling.top_p < 1.0:
        found.append(TopPLogitsWarper(top_p=sampling.top_p))
    return found


def _drawn(
    logits: Tensor, ids: Tensor, chance: Tensor, processors: LogitsProcessorList, *, greedy: bool
) -> Tensor:
    """One token for each row (rows,): the likeliest, or the one at `chance` of the summed probabilities."""
    scores = processors(ids, logits)  # type: ignore[arg-type]  # asks for LongTensor, which is a Tensor
    if greedy:
        return scores.argmax(-1)
    cumulated = scores.softmax(-1).cumsum(-1)  # (rows, vocabulary)
    if not bool(torch.isfinite(cumulated[:, -1]).all()):
        raise BackendError(
            "The model gives numbers that are not finite. Its weights or number type are wrong."
        )
    # Rounding leaves the sum a little off one; below it, no token of probability 0 can be hit.
    point = (chance[:, None] * cumulated[:, -1:]).to(cumulated.dtype)
    return torch.searchsorted(cumulated, point, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)


def _uniform(seed: int, count: int) -> Tensor:
    """`count` numbers from 0 to below 1 that belong to this seed."""
    dice = torch.Generator().manual_seed(seed % 2**63)
    return torch.rand(count, generator=dice)
