"""One row of a file of votes, whatever its form, as an `ImportedVote`.

Forms: LMArena's pairs (`model_a, model_b, winner`, or the one-hot `winner_model_a` …), K-wise
rows (`models`, `ranks`), and the K-wise rows of this product's own data sets.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from arena.errors import BadInput, BadRow
from arena.models import Vote
from arena.models.arenas import LARGEST_BATTLE, SMALLEST_BATTLE
from arena.services.imports.conversations import NO_TEXT, Answer, Message, Texts, texts_of_pair
from arena.services.imports.report import at_line
from arena.services.prompts import checked_messages, checked_text
from arena.services.rendering import normalise_text
from arena.services.tabular import Record, first_text, is_missing, json_of, text_of
from ranking.outcomes import ALL_BAD, FIRST, SECOND, TIE, WINNER_WORDS

Ranks = tuple[int | None, ...]

ID_COLUMNS = ("id", "battle_id", "vote_id")
VOTER_COLUMNS = ("voter", "judge", "evaluation_session_id", "annotator", "user")
TIME_COLUMNS = ("timestamp", "tstamp", "created_at")
ONE_HOT = {"winner_model_a": FIRST, "winner_model_b": SECOND, "winner_tie": TIE}
RANKS: Mapping[int, Ranks | None] = {FIRST: (1, 2), SECOND: (2, 1), TIE: (1, 1), ALL_BAD: None}
# What else a row says about the vote; kept with it, since later work may need it.
KEPT_COLUMNS = (
    "evaluation_session_id", "evaluation_order", "language", "category_tag", "is_code", "is_refusal",
    "conv_metadata", "turn", "anony", "dedup_tag", "question_id", "tags",
)  # fmt: skip


@dataclass(frozen=True)
class ImportedVote:
    """One checked vote. `key` is empty where the row has no id of its own."""

    line: int
    key: str
    models: tuple[str, ...]
    kind: str
    ranks: Ranks | None
    texts: Texts
    prompt_key: str
    voter: str
    details: dict[str, Any] = field(default_factory=dict)


def vote_of(line: int, record: Record) -> ImportedVote:
    """The vote that the row holds. Raises BadRow with what is wrong with it."""
    if is_missing(record.get("models")) and is_missing(record.get("responses")):
        models, ranks, texts = _pair(line, record)
    else:
        models, ranks, texts = _ranking(line, record)
    _check_models(line, models)
    kind = Vote.Kind.RANKING
    if ranks is None:
        kind = Vote.Kind.ALL_BAD
    elif len(ranks) > 2 and sum(rank is not None for rank in ranks) == 1:
        kind = Vote.Kind.BEST
    return ImportedVote(
        line=line,
        key=_key(line, record, models),
        models=models,
        kind=kind,
        ranks=ranks,
        texts=texts,
        prompt_key=_prompt_key(line, record),
        voter=first_text(line, record, VOTER_COLUMNS),
        details=_details(line, record),
    )


def _pair(line: int, record: Record) -> tuple[tuple[str, ...], Ranks | None, Texts]:
    for column in ("model_a", "model_b"):
        if is_missing(record.get(column)):
            raise BadRow(
                line, f"It has no {column}. Votes are pairs (model_a, model_b, winner) or models, ranks."
            )
    models = (text_of(line, record, "model_a"), text_of(line, record, "model_b"))
    return models, RANKS[_winner(line, record)], texts_of_pair(line, record)


def _winner(line: int, record: Record) -> int:
    if "winner" not in record and any(column in record for column in ONE_HOT):
        said = [
            code
            for column, code in ONE_HOT.items()
            if str(record.get(column)) in ("1", "1.0", "True", "true")
        ]
        if len(said) != 1:
            raise BadRow(line, "Exactly one of winner_model_a, winner_model_b and winner_tie must be 1.")
        return said[0]
    word = record.get("winner")
    if not isinstance(word, str) or word not in WINNER_WORDS:
        said_word = "no winner" if is_missing(word) else f"{word!r} as its winner"
        raise BadRow(line, f"It has {said_word}; known are {', '.join(WINNER_WORDS)}.")
    return WINNER_WORDS[word]


def _ranking(line: int, record: Record) -> tuple[tuple[str, ...], Ranks | None, Texts]:
    responses = json_of(line, record, "responses")
    names = json_of(line, record, "models")
    if names is None and isinstance(responses, list):
        # Our own export: each response says whose it is.
        names = [one.get("contestant") if isinstance(one, dict) else None for one in responses]
    if not isinstance(names, list) or not all(isinstance(name, str | int) for name in names):
        raise BadRow(line, "models is not a list of names.")
    models = tuple(str(name) for name in names)
    return models, _ranks(line, record, len(models)), _ranked_texts(line, record, responses, len(models))


def _ranks(line: int, record: Record, size: int) -> Ranks | None:
    if record.get("all_bad") in (True, "true", "True", "1", 1) or record.get("kind") == Vote.Kind.ALL_BAD:
        return None
    value = json_of(line, record, "ranks")
    if not isinstance(value, list):
        raise BadRow(line, "It has no list of ranks.")
    if len(value) != size:
        raise BadRow(line, f"It has {size} models but {len(value)} ranks.")
    ranks = [_rank(line, rank) for rank in value]
    if all(rank is None for rank in ranks):
        return None
    return tuple(
        None if rank is None else 1 + sum(other is not None and other < rank for other in ranks)
        for rank in ranks
    )


def _rank(line: int, value: Any) -> int | None:
    if is_missing(value):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < 1:
        raise BadRow(line, f"It has the rank {value!r}; ranks are whole numbers from 1, or null.")
    return int(value)


def _ranked_texts(line: int, record: Record, responses: Any, size: int) -> Texts:
    if responses is None:
        return NO_TEXT
    if not isinstance(responses, list) or len(responses) != size:
        raise BadRow(line, f"responses is not a list of {size} texts, one for each model.")
    texts = [one.get("text") if isinstance(one, dict) else one for one in responses]
    if not all(isinstance(text, str) and text.strip() for text in texts):
        return Texts(why_not="an empty response")
    answers = tuple(Answer(normalise_text(str(text))) for text in texts)
    return Texts(prompt=_prompt(line, record), answers=answers)


def _prompt(line: int, record: Record) -> list[Message]:
    with at_line(line):
        messages = json_of(line, record, "messages")
        if messages is not None:
            system = text_of(line, record, "system")
            first = [{"role": "system", "content": system}] if system else []
            return checked_messages([*first, *messages] if isinstance(messages, list) else messages)
        if text := text_of(line, record, "prompt"):
            return checked_messages([{"role": "user", "content": checked_text(text)}])
        raise BadInput("It has responses but no prompt: give it a column prompt, or messages.")


def _prompt_key(line: int, record: Record) -> str:
    """The name that the file gives the prompt: its id, or a prompt that stands there without texts."""
    if key := text_of(line, record, "prompt_id"):
        return key
    if any(not is_missing(record.get(column)) for column in ("response_a", "responses", "conversation_a")):
        return ""
    return text_of(line, record, "prompt")


def _check_models(line: int, models: tuple[str, ...]) -> None:
    if not SMALLEST_BATTLE <= len(models) <= LARGEST_BATTLE:
        raise BadRow(
            line, f"It compares {len(models)} models; a vote is on {SMALLEST_BATTLE} to {LARGEST_BATTLE}."
        )
    for model in models:
        if not model.strip():
            raise BadRow(line, "It has a model without a name.")
        if models.count(model) > 1:
            raise BadRow(line, f"It compares {model} with itself.")


def _key(line: int, record: Record, models: tuple[str, ...]) -> str:
    if key := first_text(line, record, ID_COLUMNS):
        return key
    # MT-bench asks the same question of many pairs and judges.
    if question := text_of(line, record, "question_id"):
        judge, turn = first_text(line, record, VOTER_COLUMNS), text_of(line, record, "turn")
        return "/".join([question, *models, judge, turn])
    return ""


def _details(line: int, record: Record) -> dict[str, Any]:
    details: dict[str, Any] = {}
    weight = record.get("weight")
    if not is_missing(weight):
        details["weight"] = _weight(line, weight)
    for column in TIME_COLUMNS:
        if not is_missing(record.get(column)):
            details["voted_at"] = _time(line, column, record[column])
            break
    kept = {
        name: _plain(value)
        for name, value in record.items()
        if (name in KEPT_COLUMNS or name.startswith("style")) and not is_missing(value)
    }
    return details | ({"file": kept} if kept else {})


def _weight(line: int, value: Any) -> float:
    try:
        weight = float(value)
    except (TypeError, ValueError):
        weight = -1.0
    if not 0 <= weight < math.inf:
        raise BadRow(line, f"Its weight is {value!r}; it must be a number from 0.")
    return weight


def _time(line: int, column: str, value: Any) -> str:
    """ISO 8601 from a time, a text, or seconds since 1970."""
    try:
        if isinstance(value, datetime):
            moment = value
        elif isinstance(value, int | float):
            moment = datetime.fromtimestamp(value, UTC)
        else:
            moment = _time_of_text(str(value))
    except (ValueError, OverflowError, OSError):
        raise BadRow(
            line, f"{column} is {value!r}; it must be a time such as 2025-01-31T12:00:00Z."
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


def _time_of_text(text: str) -> datetime:
    try:
        return datetime.fromtimestamp(float(text), UTC)
    except ValueError:
        return datetime.fromisoformat(text)


def _plain(value: Any) -> Any:
    """The value as JSON keeps it."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):
        return value.replace("\x00", "")
    return value if isinstance(value, int | float | None) else str(value)
