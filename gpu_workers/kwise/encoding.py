"""Rankings as token numbers: the prompt once, and each response with its end of text."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jinja2 import TemplateError

from gpu_workers.kwise.credit import credit_of
from gpu_workers.kwise.data import DataReport, Ranking
from gpu_workers.kwise.errors import TrainingError


def tokens_sha256(prompt: tuple[int, ...], response: tuple[int, ...], weights: str = "") -> str:
    """The name of a response in tokens, its end included, after the tokens of its prompt."""
    return hashlib.sha256(f"{prompt}{response}{weights}".encode()).hexdigest()


@dataclass(frozen=True)
class EncodedRanking:
    """A ranking ready for the model. All but the prompt is by slot, without what was left out.

    openings: tokens between the shared prompt and a response, not scored: a response's own prompt.
    token_weights: how much each token counts, None for 1.
    """

    vote_id: str
    prompt: tuple[int, ...]
    responses: tuple[tuple[int, ...], ...]
    ranks: tuple[int | None, ...]
    weight: float = 1.0
    group: str = ""
    shares: tuple[tuple[float, ...], ...] | None = None
    rewards: tuple[float, ...] | None = None
    openings: tuple[tuple[int, ...], ...] | None = None
    token_weights: tuple[tuple[float, ...], ...] | None = None

    @property
    def packed_length(self) -> int:
        return len(self.prompt) + sum(map(len, self.responses)) + sum(map(len, self.openings or ()))

    @property
    def lengths(self) -> list[float]:
        """Tokens of each response, by what they count."""
        if self.token_weights is None:
            return [float(len(response)) for response in self.responses]
        return [sum(weights) for weights in self.token_weights]

    def opening(self, slot: int) -> tuple[int, ...]:
        return self.openings[slot] if self.openings else ()

    def response_key(self, slot: int) -> str:
        """The same for the same tokens after the same prompt, whatever vote they are in."""
        weights = "" if self.token_weights is None else f"{self.token_weights[slot]}"
        return tokens_sha256(self.prompt + self.opening(slot), self.responses[slot], weights)

    def only(self, slot: int) -> "EncodedRanking":
        """The same with one response."""
        return EncodedRanking(
            self.vote_id,
            self.prompt,
            (self.responses[slot],),
            (1,),
            openings=(self.openings[slot],) if self.openings else None,
            token_weights=(self.token_weights[slot],) if self.token_weights else None,
        )


def encode_prompt(
    tokenizer: Any, messages: Sequence[Mapping[str, str]], system_prompt: str = ""
) -> tuple[int, ...]:
    """Token numbers of the chat up to where the answer begins; a contestant's own system prompt comes first.

    Generation and training both read prompts through this function: they must see the same tokens.

    Without a chat template the messages' text follows as it stands. Templates that know no system role get
    the system prompt before the first message. Raises jinja2's TemplateError where the template refuses.
    """
    first = [{"role": "system", "content": system_prompt}] if system_prompt else []
    chat = [*first, *map(dict, messages)]
    if not tokenizer.chat_template:
        return tuple(tokenizer("\n\n".join(message["content"] for message in chat))["input_ids"])
    try:
        text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    except TemplateError:
        if not system_prompt:
            raise
        told = {**messages[0], "content": f"{system_prompt}\n\n{messages[0]['content']}"}
        text = tokenizer.apply_chat_template([told, *chat[2:]], tokenize=False, add_generation_prompt=True)
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


def encode_rankings(
    tokenizer: Any,
    rankings: Sequence[Ranking],
    *,
    longest: int,
    system_prompt: str | None,
    report: DataReport,
    uses_ties: bool,
    uses_all_bad: bool = False,
    credit: str = "whole",
) -> list[EncodedRanking]:
    """The rankings in tokens. A response that does not fit in `longest` with its prompt is left out whole.

    A ranking that then orders nothing is left out too. Both are counted in `report`; nothing is ever cut.
    `credit` says which tokens count, see credit.py.
    """
    if tokenizer.eos_token_id is None:
        raise TrainingError(
            "The base's tokenizer has no end-of-text token, so no response could ever end. Set one."
        )
    encoded = []
    for ranking in rankings:
        one = _encode(tokenizer, ranking, system_prompt, credit)
        fits = [
            slot
            for slot, answer in enumerate(one.responses)
            if len(one.prompt) + len(one.opening(slot)) + len(answer) <= longest
        ]
        report.responses_too_long += len(one.responses) - len(fits)
        ranks = {one.ranks[slot] for slot in fits}
        level = uses_ties and len(fits) > 1 and ranks != {None}
        bad = uses_all_bad and len(fits) > 0 and ranks == {None}
        if len(ranks) < 2 and not level and not bad:
            report.rankings_too_long += 1
            continue
        encoded.append(_keep_slots(one, fits))
    return encoded


def _encode(tokenizer: Any, ranking: Ranking, system_prompt: str | None, credit: str) -> EncodedRanking:
    answers = tokenizer(
        list(ranking.texts), add_special_tokens=False, return_offsets_mapping=credit != "whole"
    )
    weights = None
    if credit != "whole":
        weights = credit_of(ranking, answers["offset_mapping"], credit)
        # The end of the text counts where its last token does.
        weights = tuple((*row, row[-1] if row else 1.0) for row in weights)
    prompt: tuple[int, ...] = ()
    openings = None
    if ranking.openings is None:
        prompt = _prompt(tokenizer, ranking, ranking.messages, system_prompt)
    else:
        openings = tuple(_prompt(tokenizer, ranking, own, system_prompt) for own in ranking.openings)
    return EncodedRanking(
        ranking.vote_id,
        prompt,
        tuple((*answer, tokenizer.eos_token_id) for answer in answers["input_ids"]),
        ranking.ranks,
        ranking.weight,
        ranking.group or ranking.voter,
        shares=ranking.shares,
        rewards=ranking.rewards,
        openings=openings,
        token_weights=weights,
    )


def _keep_slots(one: EncodedRanking, fits: Sequence[int]) -> EncodedRanking:
    """Without the responses that do not fit."""
    if len(fits) == len(one.responses):
        return one
    return replace(
        one,
        responses=tuple(one.responses[slot] for slot in fits),
        ranks=tuple(one.ranks[slot] for slot in fits),
        rewards=one.rewards and tuple(one.rewards[slot] for slot in fits),
        shares=one.shares and tuple(tuple(one.shares[i][j] for j in fits) for i in fits),
        openings=one.openings and tuple(one.openings[slot] for slot in fits),
        token_weights=one.token_weights and tuple(one.token_weights[slot] for slot in fits),
    )


def _prompt(
    tokenizer: Any, ranking: Ranking, messages: Sequence[Mapping[str, str]], system_prompt: str | None
) -> tuple[int, ...]:
    """As it was when the response was made: the prompt's own system message, after the contestant's."""
    own = [{"role": "system", "content": ranking.system}] if ranking.system else []
    try:
        return encode_prompt(tokenizer, [*own, *messages], system_prompt or "")
    except TemplateError as error:
        raise TrainingError(
            f"The base's chat template refuses the prompt {ranking.prompt_id}: {error}."
        ) from None
