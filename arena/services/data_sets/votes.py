"""The votes of a data set as K-wise rows: the canonical record, and nothing is lost in it."""

import hashlib
import hmac
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from arena.models import Battle, DataSet, Slot, Vote
from arena.services import vote_log

SCHEMA_VERSION = 1
PAGE = 1000
Row = dict[str, Any]

# Why a vote is not in the rows, in the words of the card.
CANNOT_JUDGE = "cannot judge"
RULED_OUT = "withdrawn or quarantined"
OTHER_SOURCE = "of judges or adjudicators"
OTHER_CONTESTANTS = "on other contestants"
CHECKS = "asked to check the voter"
NO_TEXT = "no text"
SEVERAL_TURNS = "several turns, each side its own"
OWN_PROMPTS = "asked by voters themselves"
BOTH_SPLITS = "prompts of both splits"


class VoteReader:
    """Reads the votes of a data set in their order. What is left out is counted in `left_out`."""

    def __init__(self, data_set: DataSet) -> None:
        self.data_set = data_set
        self.left_out: Counter[str] = Counter()
        self.last_page = 0  # how many votes the newest page was made of
        self._ruled_out = vote_log.ruled_out(data_set.arena, data_set.last_ruling)

    def total(self) -> int:
        return int(self._votes().count())

    def pages(self) -> Iterator[list[tuple[Row, str]]]:
        """Rows with their split, a thousand votes at a time, so that memory does not grow with the log."""
        newest = 0
        while True:
            votes = list(
                self._votes()
                .filter(pk__gt=newest)
                .select_related("battle__prompt", "voter")
                .order_by("pk")[:PAGE]
            )
            if not votes:
                return
            newest, self.last_page = votes[-1].pk, len(votes)
            slots = _slots(votes)
            yield [row for vote in votes if (row := self._row(vote, slots[vote.battle_id]))]

    def _votes(self) -> Any:
        return Vote.objects.filter(arena=self.data_set.arena_id, pk__lte=self.data_set.last_vote)

    def _row(self, vote: Vote, slots: list[Slot]) -> tuple[Row, str] | None:
        battle, prompt = vote.battle, vote.battle.prompt
        why = self._why_not(vote, slots)
        if why:
            self.left_out[why] += 1
            return None
        system, messages = split_system(prompt.messages) if prompt else (None, [])
        row = {
            "schema_version": SCHEMA_VERSION,
            "vote_id": str(vote.pk),
            "battle_id": str(battle.pk),
            "prompt_id": prompt.key if prompt else "",
            "messages": messages,
            "system": system,
            "responses": [
                {
                    "id": str(slot.response_id),
                    "contestant": slot.contestant.name,
                    "text": slot.response.text,
                    "sample": slot.response.sample,
                    "sha256": slot.response.sha256,
                    "scored": slot.response.made_by.get("scored"),
                    "prompt_id": None if prompt else slot.response.prompt.key,
                    "messages": None if prompt else plain(slot.response.prompt.messages),
                }
                for slot in slots
                if slot.response is not None
            ],
            "ranks": vote.ranks,
            "kind": str(vote.kind),
            "voter": self._pseudonym(vote.voter.pseudonym),
            "judge": self._judge(vote),
            "weight": float(vote.details.get("weight", 1.0)),
            "details": _details(vote),
            "propensity": battle.propensity,
            "strategy": battle.strategy,
            "display_order": [slot.position for slot in slots],
            "wall_ms": vote.wall_ms,
            "active_ms": vote.active_ms,
            "created_at": vote.details.get("voted_at") or vote.created_at.isoformat(),
        }
        return row, splits(vote, slots).pop()

    def _why_not(self, vote: Vote, slots: list[Slot]) -> str:
        if vote.pk in self._ruled_out:
            return RULED_OUT
        if vote.battle.purpose not in (Battle.Purpose.ORDINARY, Battle.Purpose.ADJUDICATION):
            return CHECKS
        if vote.voter.kind not in vote_log.COUNTED_SOURCES and not self._judge(vote):
            return OTHER_SOURCE
        if not all(is_wanted(self.data_set, slot.contestant_id) for slot in slots):
            return OTHER_CONTESTANTS
        if vote.kind == Vote.Kind.SKIP:
            return CANNOT_JUDGE
        if any(slot.response is None for slot in slots):
            return NO_TEXT
        if len(splits(vote, slots)) > 1:
            return BOTH_SPLITS
        asked_by = vote.battle.prompt.asked_by_id if vote.battle.prompt else None
        if asked_by and not self.data_set.arena.keep_own_prompts:
            return OWN_PROMPTS
        if any(slot.response.made_by.get("transcript") for slot in slots if slot.response is not None):
            return SEVERAL_TURNS
        return ""

    def _judge(self, vote: Vote) -> str | None:
        """The name of the model that voted, where the data set asks for its votes."""
        named: dict[str, str] = self.data_set.filters.get("judges", {})
        return named.get(str(vote.voter_id))

    def _pseudonym(self, pseudonym: str) -> str:
        """Another name in every data set, so that two of them cannot be joined by voter."""
        digest = hmac.new(self.data_set.salt.encode(), pseudonym.encode(), hashlib.sha256)
        return f"voter-{digest.hexdigest()[:20]}"


# What was asked beside the ranking, and how the answer came about. What an import brought stays in the arena.
ANSWERS = (
    "schema", "guidelines", "strength", "criteria", "confidence", "reason", "spans", "parts", "rewrite",
    "timing",
)  # fmt: skip


def _details(vote: Vote) -> str | None:
    """The answers beside the ranking as JSON, None where nothing was asked."""
    told = {name: vote.details[name] for name in ANSWERS if vote.details.get(name) is not None}
    asked = told.keys() - {"schema", "guidelines"}
    return json.dumps(told, ensure_ascii=False, sort_keys=True) if asked else None


def is_wanted(data_set: DataSet, contestant: int) -> bool:
    """Whether votes on this contestant are in the data set, all of those or the chosen ones."""
    chosen = data_set.filters.get("contestants")
    return chosen is None or str(contestant) in chosen


def prompt_ids(row: Row) -> list[str]:
    """The prompts of a row: one, or that of each response."""
    return [row["prompt_id"]] if row["prompt_id"] else [one["prompt_id"] for one in row["responses"]]


def is_informative(row: Row) -> bool:
    """Whether the row says that one response is better than another."""
    return row["ranks"] is not None and len(set(row["ranks"])) > 1


def splits(vote: Vote, slots: list[Slot]) -> set[str]:
    """The splits that the prompts of a vote are in: one, unless a prompt was moved after the battle."""
    if vote.battle.prompt is not None:
        return {str(vote.battle.prompt.split)}
    return {str(slot.response.prompt.split) for slot in slots if slot.response is not None}


def plain(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{"role": message["role"], "content": message["content"]} for message in messages]


def split_system(messages: list[dict[str, str]]) -> tuple[str | None, list[dict[str, str]]]:
    """The system's text, if there is one, and the messages after it."""
    said = plain(messages)
    if said and said[0]["role"] == "system":
        return said[0]["content"], said[1:]
    return None, said


def _slots(votes: list[Vote]) -> dict[Any, list[Slot]]:
    by_battle: dict[Any, list[Slot]] = defaultdict(list)
    slots = (
        Slot.objects.filter(battle__in=[vote.battle_id for vote in votes])
        .select_related("contestant", "response__prompt")
        .defer("response__html", "response__raw")
        .order_by("battle", "position")
    )
    for slot in slots:
        by_battle[slot.battle_id].append(slot)
    return by_battle
