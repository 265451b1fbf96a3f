"""Log-probabilities of the K responses of a ranking, each response once and the prompt once.

Packed: one row holds the prompt and then its K responses. Positions of every response start after the
prompt, and a four-dimensional mask lets a token see the prompt and its own response only (a tree with one
stem and K branches), so the result is that of K separate sequences. The head is computed where a response
token is predicted, nowhere else, and in pieces (head.py). Plain: every response behind its own copy of the
prompt; what packed is compared with, and what is used for models whose layers the mask does not reach.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gpu_workers.kwise.encoding import EncodedRanking
from gpu_workers.kwise.head import Predictions, log_probabilities

STEM = 0
PADDING = -1


@dataclass(frozen=True)
class Packed:
    """A batch of rankings, one row each.

    tokens, positions, branches: (batch, length); branches are 0 for the prompt, 1..K by slot, -1 for padding.
    sources: (n,) where, in the flattened batch, each response token is predicted; targets: (n,) that token.
    """

    tokens: Tensor
    positions: Tensor
    branches: Tensor
    sources: Tensor
    targets: Tensor

    def to(self, device: torch.device) -> "Packed":
        return Packed(
            tokens=self.tokens.to(device),
            positions=self.positions.to(device),
            branches=self.branches.to(device),
            sources=self.sources.to(device),
            targets=self.targets.to(device),
        )


def pack(rankings: Sequence[EncodedRanking]) -> Packed:
    """Lay each ranking out as one row: prompt, response 1 with its opening, ..., response K, padding."""
    length = max(ranking.packed_length for ranking in rankings)
    tokens = torch.zeros(len(rankings), length, dtype=torch.long)
    positions = torch.zeros_like(tokens)
    branches = torch.full_like(tokens, PADDING)
    sources: list[int] = []
    targets: list[int] = []
    for row, ranking in enumerate(rankings):
        stem = len(ranking.prompt)
        line, order, branch = list(ranking.prompt), list(range(stem)), [STEM] * stem
        for slot, response in enumerate(ranking.responses):
            opening = ranking.opening(slot)
            start = row * length + len(line) + len(opening)
            # The first token of a response is predicted by the one before it: of its own opening or of
            # the prompt. The others by the one before.
            first = start - 1 if opening else row * length + stem - 1
            sources += [first, *range(start, start + len(response) - 1)]
            targets += response
            line += (*opening, *response)
            order += range(stem, stem + len(opening) + len(response))
            branch += [slot + 1] * (len(opening) + len(response))
        tokens[row, : len(line)] = torch.tensor(line)
        positions[row, : len(line)] = torch.tensor(order)
        branches[row, : len(line)] = torch.tensor(branch)
    source, target = (torch.tensor(values, dtype=torch.long) for values in (sources, targets))
    return Packed(tokens, positions, branches, source, target)


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


def packed_predictions(model: Any, rankings: Sequence[EncodedRanking]) -> Predictions:
    """The states that predict each response token, through the decoder with the tree mask."""
    device = next(model.parameters()).device
    packed = pack(rankings).to(device)
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model  # under LoRA
    hidden = plain.get_decoder()(
        input_ids=packed.tokens,
        position_ids=packed.positions,
        attention_mask=tree_mask(packed.branches, mask_dtype(plain)),
        use_cache=False,
    ).last_hidden_state
    states = hidden.flatten(0, 1).index_select(0, packed.sources)
    return Predictions(states, packed.targets, plain.get_output_embeddings())


def mask_dtype(model: Any) -> torch.dtype:
    """What attention computes in: autocast's type where it is on, else the parameters' own."""
    parameter = next(p for p in model.parameters() if p.is_floating_point())
    if torch.is_autocast_enabled(parameter.device.type):
        return torch.get_autocast_dtype(parameter.device.type)
    return parameter.dtype


def plain_predictions(model: Any, rankings: Sequence[EncodedRanking]) -> Predictions:
    """The logits at each response token, by one sequence per response through the model's own forward."""
    device = next(model.parameters()).device
    rows = [
        ((*ranking.prompt, *ranking.opening(slot), *response), len(response))
        for ranking in rankings
        for slot, response in enumerate(ranking.responses)
    ]
    length = max(len(line) for line, _ in rows)
    tokens = torch.zeros(len(rows), length, dtype=torch.long)
    real = torch.zeros_like(tokens)
    answer = torch.zeros(len(rows), length - 1, dtype=torch.bool)  # which predictions are of response tokens
    for row, (line, count) in enumerate(rows):
        tokens[row, : len(line)] = torch.tensor(line)
        real[row, : len(line)] = 1
        answer[row, len(line) - 1 - count : len(line) - 1] = True
    tokens, real, answer = tokens.to(device), real.to(device), answer.to(device)
    logits = model(input_ids=tokens, attention_mask=real, use_cache=False).logits[:, :-1][answer]
    return Predictions(logits, tokens[:, 1:][answer], None)


@dataclass(frozen=True)
class ScoringPath:
    """A way to score; `path(model, rankings, k)` is (batch, K) nats of every response, 0 for absent slots."""

    name: str
    predict: Callable[[Any, Sequence[EncodedRanking]], Predictions]

    def __call__(self, model: Any, rankings: Sequence[EncodedRanking], k: int) -> Tensor:
        return sums(log_probabilities(self.predict(model, rankings)), rankings, k)

    def tokens(self, model: Any, rankings: Sequence[EncodedRanking], k: int) -> Tensor:
        """(batch, K, T) nats of every token of every response, zero behind its end."""
        return by_token(log_probabilities(self.predict(model, rankings)), rankings, k)


def sums(each: Tensor, rankings: Sequence[EncodedRanking], k: int) -> Tensor:
    """(batch, K) of (n,) values of response tokens, times what each token counts."""
    if any(ranking.token_weights for ranking in rankings):
        counted = [
            weight
            for ranking in rankings
            for row in ranking.token_weights or [[1.0] * len(response) for response in ranking.responses]
            for weight in row
        ]
        each = each * torch.tensor(counted, device=each.device, dtype=each.dtype)
    total = torch.zeros(len(rankings) * k, dtype=each.dtype, device=each.device)
    return total.index_add(0, by_owner(rankings, k).to(each.device), each).view(len(rankings), k)


def by_owner(rankings: Sequence[EncodedRanking], k: int) -> Tensor:
    """(n,) the response that each response token belongs to, numbered ranking times K plus slot."""
    owners = [
        number * k + slot
        for number, ranking in enumerate(rankings)
        for slot, response in enumerate(ranking.responses)
        for _ in response
    ]
    return torch.tensor(owners, dtype=torch.long)


def by_token(each: Tensor, rankings: Sequence[EncodedRanking], k: int) -> Tensor:
    """(batch, K, T) of (n,) values of response tokens."""
    longest = max(len(response) for ranking in rankings for response in ranking.responses)
    places = [
        (number * k + slot) * longest + place
        for number, ranking in enumerate(rankings)
        for slot, response in enumerate(ranking.responses)
        for place in range(len(response))
    ]
    total = torch.zeros(len(rankings) * k * longest, dtype=each.dtype, device=each.device)
    where = torch.tensor(places, device=each.device)
    return total.index_add(0, where, each).view(len(rankings), k, longest)


packed_log_probabilities = ScoringPath("packed", packed_predictions)
plain_log_probabilities = ScoringPath("plain", plain_predictions)
PATHS = {path.name: path for path in (packed_log_probabilities, plain_log_probabilities)}


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
