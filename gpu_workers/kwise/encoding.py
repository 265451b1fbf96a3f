"""Rankings as token numbers: the prompt once, and each response with its end of text."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from gpu_workers.kwise.data import DataReport, Ranking
from gpu_workers.kwise.errors import TrainingError


@dataclass(frozen=True)
class EncodedRanking:
    """A ranking ready for the model. `responses` and `ranks` are by slot, without what was left out."""

    vote_id: str
    prompt: tuple[int, ...]
    responses: tuple[tuple[int, ...], ...]
    ranks: tuple[int | None, ...]
    weight: float = 1.0

    @property
    def packed_length(self) -> int:
        return len(self.prompt) + sum(map(len, self.responses))

    def response_key(self, slot: int) -> str:
        """The same for the same tokens after the same prompt, whatever vote they are in."""
        text = f"{self.prompt}{self.responses[slot]}"
        return hashlib.sha256(text.encode()).hexdigest()


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
) -> list[EncodedRanking]:
    """The rankings in tokens. A response that does not fit in `longest` with its prompt is left out whole.

    A ranking that then orders nothing is left out too. Both are counted in `report`; nothing is ever cut.
    """
    if tokenizer.eos_token_id is None:
        raise TrainingError(
            "The base's tokenizer has no end-of-text token, so no response could ever end. Set one."
        )
    encoded = []
    for ranking in rankings:
        prompt = _prompt(tokenizer, ranking, system_prompt)
        answers = tokenizer(list(ranking.texts), add_special_tokens=False)["input_ids"]
        ended = [(*answer, tokenizer.eos_token_id) for answer in answers]
        fits = [slot for slot, answer in enumerate(ended) if len(prompt) + len(answer) <= longest]
        report.responses_too_long += len(ended) - len(fits)
        ranks = tuple(ranking.ranks[slot] for slot in fits)
        if len(set(ranks)) < 2 and not (uses_ties and len(ranks) > 1 and ranks[0] is not None):
            report.rankings_too_long += 1
            continue
        responses = tuple(ended[slot] for slot in fits)
        encoded.append(EncodedRanking(ranking.vote_id, prompt, responses, ranks, ranking.weight))
    return encoded


def _prompt(tokenizer: Any, ranking: Ranking, system_prompt: str | None) -> tuple[int, ...]:
    """As it was when the response was made: the prompt's own system message, after the contestant's."""
    own = [{"role": "system", "content": ranking.system}] if ranking.system else []
    try:
        return encode_prompt(tokenizer, [*own, *ranking.messages], system_prompt or "")
    except TemplateError as error:
        raise TrainingError(
            f"The base's chat template refuses the prompt {ranking.prompt_id}: {error}."
        ) from None
