"""Log-probabilities of the K responses of a ranking, each response once and the prompt once.

Packed: one row holds the prompt and then its K responses. Positions of every response start after the
prompt, and a four-dimensional mask lets a token see the prompt and its own response only (a tree with one
stem and K branches), so the result is that of K separate sequences. The head is computed where a response
token is predicted, nowhere else. Plain: every response behind its own copy of the prompt; what packed is
compared with, and what is used for models whose layers the mask does not reach.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from gpu_workers.kwise.encoding import EncodedRanking

# Logits held at once: rows of the head are done in pieces of about this many numbers.
HEAD_NUMBERS = 2**25
STEM = 0
PADDING = -1


@dataclass(frozen=True)
class Packed:
    """A batch of rankings, one row each.

    tokens, positions, branches: (batch, length); branches are 0 for the prompt, 1..K by slot, -1 for padding.
    sources: (n,) where, in the flattened batch, each response token is predicted; targets: (n,) that token;
    owners: (n,) the response it belongs to, numbered batch row times K plus slot.
    """

    tokens: Tensor
    positions: Tensor
    branches: Tensor
    sources: Tensor
    targets: Tensor
    owners: Tensor
    shape: tuple[int, int]

    def to(self, device: torch.device) -> "Packed":
        return Packed(
            tokens=self.tokens.to(device),
            positions=self.positions.to(device),
            branches=self.branches.to(device),
            sources=self.sources.to(device),
            targets=self.targets.to(device),
            owners=self.owners.to(device),
            shape=self.shape,
        )


def pack(rankings: Sequence[EncodedRanking], k: int) -> Packed:
    """Lay each ranking out as one row: prompt, response 1, ..., response K, padding."""
    length = max(ranking.packed_length for ranking in rankings)
    tokens = torch.zeros(len(rankings), length, dtype=torch.long)
    positions = torch.zeros_like(tokens)
    branches = torch.full_like(tokens, PADDING)
    sources: list[int] = []
    targets: list[int] = []
    owners: list[int] = []
    for row, ranking in enumerate(rankings):
        stem = len(ranking.prompt)
        line, order, branch = list(ranking.prompt), list(range(stem)), [STEM] * stem
        for slot, response in enumerate(ranking.responses):
            start = row * length + len(line)
            # The first token of a response is predicted by the prompt's last, the others by the one before.
            sources += [row * length + stem - 1, *range(start, start + len(response) - 1)]
            targets += response
            owners += [row * k + slot] * len(response)
            line += response
            order += range(stem, stem + len(response))
            branch += [slot + 1] * len(response)
        tokens[row, : len(line)] = torch.tensor(line)
        positions[row, : len(line)] = torch.tensor(order)
        branches[row, : len(line)] = torch.tensor(branch)
    source, target, owner = (torch.tensor(values, dtype=torch.long) for values in (sources, targets, owners))
    return Packed(tokens, positions, branches, source, target, owner, shape=(len(rankings), k))


def tree_mask(branches: Tensor, dtype: torch.dtype) -> Tensor:
    """(batch, 1, length, length) to add to attention scores: 0 where row may see column, else the lowest
    number.
    """
    rows, columns = branches[:, :, None], branches[:, None, :]
    length = branches.shape[1]
    before = torch.ones(length, length, dtype=torch.bool, device=branches.device).tril()
    # Padding sees itself: a row that may see nothing would become NaN.
    seen = before & ((rows == columns) | ((columns == STEM) & (rows != PADDING)))
    mask = torch.zeros(seen.shape, dtype=dtype, device=branches.device)
    return mask.masked_fill(~seen, torch.finfo(dtype).min)[:, None]


def packed_log_probabilities(model: Any, rankings: Sequence[EncodedRanking], k: int) -> Tensor:
    """(batch, K) float32 log-probability in nats of every response after its prompt; 0 for absent slots."""
    device = next(model.parameters()).device
    packed = pack(rankings, k).to(device)
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model  # under LoRA
    hidden = plain.get_decoder()(
        input_ids=packed.tokens,
        position_ids=packed.positions,
        attention_mask=tree_mask(packed.branches, mask_dtype(plain)),
        use_cache=False,
    ).last_hidden_state.flatten(0, 1)[packed.sources]
    each = _token_log_probabilities(plain.get_output_embeddings(), hidden, packed.targets)  # (n,)
    total = torch.zeros(packed.shape[0] * k, dtype=torch.float32, device=device)
    return total.index_add(0, packed.owners, each).view(packed.shape)


def mask_dtype(model: Any) -> torch.dtype:
    """What attention computes in: autocast's type where it is on, else the parameters' own."""
    device = next(model.parameters()).device
    if torch.is_autocast_enabled(device.type):
        return torch.get_autocast_dtype(device.type)
    return next(iter(model.parameters())).dtype


def _token_log_probabilities(head: Callable[[Tensor], Tensor], hidden: Tensor, targets: Tensor) -> Tensor:
    """(n,) float32. In pieces, and each piece's logits computed again for the gradient, where they would be
    large.
    """
    piece = max(1, HEAD_NUMBERS // head.weight.shape[0])  # type: ignore[attr-defined]  # a torch Linear

    def score(states: Tensor, wanted: Tensor) -> Tensor:
        logits = head(states).float()
        return logits.gather(1, wanted[:, None])[:, 0] - torch.logsumexp(logits, dim=1)

    if len(targets) <= piece:
        return score(hidden, targets)
    pieces = zip(hidden.split(piece), targets.split(piece), strict=True)
    return torch.cat([checkpoint(score, states, wanted, use_reentrant=False) for states, wanted in pieces])


def plain_log_probabilities(model: Any, rankings: Sequence[EncodedRanking], k: int) -> Tensor:
    """(batch, K) as `packed_log_probabilities`, by one sequence per response through the model's own
    forward.
    """
    device = next(model.parameters()).device
    rows = [
        (number * k + slot, (*ranking.prompt, *response), len(response))
        for number, ranking in enumerate(rankings)
        for slot, response in enumerate(ranking.responses)
    ]
    length = max(len(tokens) for _, tokens, _ in rows)
    tokens = torch.zeros(len(rows), length, dtype=torch.long)
    real = torch.zeros_like(tokens)
    answer = torch.zeros(len(rows), length - 1, dtype=torch.bool)  # which predictions are of response tokens
    for row, (_, line, count) in enumerate(rows):
        tokens[row, : len(line)] = torch.tensor(line)
        real[row, : len(line)] = 1
        answer[row, len(line) - 1 - count : len(line) - 1] = True
    tokens, real, answer = tokens.to(device), real.to(device), answer.to(device)
    logits = model(input_ids=tokens, attention_mask=real, use_cache=False).logits[:, :-1].float()
    each = logits.gather(2, tokens[:, 1:, None])[:, :, 0] - torch.logsumexp(logits, dim=2)
    owners = torch.tensor([owner for owner, _, _ in rows], device=device)
    total = torch.zeros(len(rankings) * k, dtype=torch.float32, device=device)
    return total.index_add(0, owners, (each * answer).sum(dim=1)).view(len(rankings), k)


ScoringPath = Callable[[Any, Sequence[EncodedRanking], int], Tensor]
PATHS: dict[str, ScoringPath] = {"packed": packed_log_probabilities, "plain": plain_log_probabilities}


def choose_path(model: Any, example: EncodedRanking, wanted: str) -> tuple[str, str]:
    """The name of the path to take, and a sentence where packed is not exact for this model ("" otherwise).

    Models with sliding windows, recurrent layers or scaled logits may not honour the tree mask or may
    change the head's numbers: one ranking is scored both ways, and packed is taken only where they agree.
    """
    if wanted != "auto":
        return wanted, ""
    k = len(example.responses)
    with torch.no_grad():
        plain = plain_log_probabilities(model, [example], k)
        try:
            packed = packed_log_probabilities(model, [example], k)
        except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
            return "plain", f"Responses are scored one by one: this model takes no tree mask ({error})."
    loose = mask_dtype(model) is not torch.float32
    if torch.allclose(plain, packed, rtol=0.02 if loose else 1e-4, atol=0.5 if loose else 1e-2):
        return "packed", ""
    return "plain", "Responses are scored one by one: with the prompt shared this model gives other numbers."
