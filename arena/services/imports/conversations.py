"""The text of imported votes: which prompt both sides answered, and with what.

LMArena's releases hold a whole conversation for each side. What both sides share from the
start is the prompt; what follows is the response. Where each side goes on for several
turns there is no single response: the rest is kept as a transcript, to be read but not
to be trained on.
"""

import json
from dataclasses import dataclass
from typing import Any

from arena.errors import BadRow
from arena.services.rendering import normalise_text
from arena.services.tabular import Record, is_missing, json_of

Message = dict[str, str]


@dataclass(frozen=True)
class Answer:
    """One side's response, its text normalised. `raw` holds the messages of a transcript, as JSON."""

    text: str
    raw: str = ""

    @property
    def is_transcript(self) -> bool:
        return bool(self.raw)


@dataclass(frozen=True)
class Texts:
    """What was shown; `why_not` says why nothing could be taken, where nothing was."""

    prompt: list[Message] | None = None
    answers: tuple[Answer, ...] = ()
    why_not: str = ""


NO_TEXT = Texts(why_not="no text in the file")


def texts_of_pair(line: int, record: Record) -> Texts:
    """The texts of a row with two models, in whichever columns they are."""
    if not is_missing(record.get("conversation_a")):
        sides = [_conversation(line, record, f"conversation_{side}") for side in "ab"]
        if None in sides:
            return Texts(why_not="a message that is not text")
        return _texts([side for side in sides if side is not None])
    if not is_missing(record.get("response_a")):
        return _texts(_parallel_lists(line, record))
    return NO_TEXT


def _conversation(line: int, record: Record, column: str) -> list[Message] | None:
    """The messages of one side; None where one is not text (an image, a file)."""
    value = json_of(line, record, column)
    if not isinstance(value, list) or not all(isinstance(message, dict) for message in value):
        raise BadRow(line, f"{column} is not a list of messages.")
    messages = []
    for message in value:
        content = _text_of_content(message.get("content"))
        if content is None or not isinstance(message.get("role"), str):
            return None
        messages.append({"role": message["role"], "content": normalise_text(content)})
    return messages


def _text_of_content(content: Any) -> str | None:
    """A text, or the texts of a list of parts; None where a part is something else."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not content:
        return None
    texts = []
    for part in content:
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            return None
        texts.append(part["text"])
    return "\n\n".join(texts)


def _parallel_lists(line: int, record: Record) -> list[list[Message]]:
    """The 55k form: a list of what the user said, and for each side a list of answers."""
    columns = {name: json_of(line, record, name) for name in ("prompt", "response_a", "response_b")}
    for name, value in columns.items():
        if not isinstance(value, list):
            raise BadRow(line, f"{name} is not a list with one text per turn.")
    asked = columns["prompt"]
    sides = []
    for name in ("response_a", "response_b"):
        answers = columns[name]
        if len(answers) != len(asked):
            raise BadRow(line, f"prompt has {len(asked)} turns but {name} has {len(answers)}.")
        side = []
        for question, answer in zip(asked, answers, strict=True):
            # The release writes null where a model answered nothing.
            side.append({"role": "user", "content": normalise_text(str(question or ""))})
            side.append({"role": "assistant", "content": normalise_text(str(answer or ""))})
        sides.append(side)
    return sides


def _texts(sides: list[list[Message]]) -> Texts:
    shared = 0
    while all(len(side) > shared for side in sides) and all(
        side[shared] == sides[0][shared] for side in sides
    ):
        shared += 1
    # The prompt ends with the user; where both sides answered in the same words, the answer is still one.
    prompt = sides[0][:shared]
    while prompt and (prompt[-1]["role"] != "user" or any(len(side) <= len(prompt) for side in sides)):
        prompt = prompt[:-1]
    if not prompt or not all(message["content"] for message in prompt):
        return Texts(why_not="an empty prompt")
    if any(message["role"] not in ("user", "assistant", "system") for message in prompt):
        return Texts(why_not="a role that is not known")
    if any(message["role"] == "system" for message in prompt[1:]):
        return Texts(why_not="a role that is not known")
    answers = tuple(_answer(side[len(prompt) :]) for side in sides)
    if not all(answer.text for answer in answers):
        return Texts(why_not="an empty response")
    return Texts(prompt=prompt, answers=answers)


def _answer(rest: list[Message]) -> Answer:
    if len(rest) == 1 and rest[0]["role"] == "assistant":
        return Answer(rest[0]["content"])
    written = [f"**{message['role'].capitalize()}:** {message['content']}" for message in rest]
    return Answer("\n\n".join(written), raw=json.dumps(rest, ensure_ascii=False))
