"""Imported votes become battles, slots and votes, in bulk."""

import json
import uuid
from collections import defaultdict
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.crypto import salted_hmac

from arena.errors import BadRow
from arena.models import Arena, Battle, Contestant, Prompt, Response, Slot, Vote, Voter
from arena.models.battles import random_token
from arena.services.bulk import insert_rows
from arena.services.contestants import uploaded_contestants
from arena.services.imports.conversations import Answer, Message
from arena.services.imports.report import at_line
from arena.services.imports.vote_rows import ImportedVote
from arena.services.prompts import NewPrompt, content_key, create_prompts
from arena.services.rendering import rendered
from arena.services.responses import text_hash

STRATEGY = "imported"
SPACE = uuid.UUID("6f0d7f0a-51d3-5b0c-9d0e-4f6a3c1b7e55")  # of the battles' names
LONGEST_KEY = 120
Place = tuple[int, int, int]  # of a response: prompt, contestant, sample


class VoteWriter:
    """Writes the votes of one file, chunk by chunk, and keeps what later chunks need again."""

    def __init__(self, arena: Arena, *, file_name: str, show: bool) -> None:
        self.arena = arena
        self.file_name = file_name
        self.show = show
        self.now: datetime = timezone.now()
        self._contestants: dict[str, Contestant] = {}
        self._voters: dict[str, Voter] = {}

    def battle_id(self, key: str) -> uuid.UUID:
        """The same vote of the same file is the same battle, whenever it is imported."""
        return uuid.uuid5(SPACE, f"{self.arena.pk}/{key}")

    def write(self, votes: dict[uuid.UUID, ImportedVote]) -> int:
        """Write those that are not there yet; returns how many."""
        there = set(Battle.objects.filter(pk__in=votes).values_list("pk", flat=True))
        new = {key: vote for key, vote in votes.items() if key not in there}
        if not new:
            return 0
        self._meet_contestants(new)
        self._meet_voters(new)
        prompts = self._prompts(list(new.values()))
        responses = self._responses(list(new.values()), prompts)
        self._battles(new, prompts)
        self._slots(new, responses)
        self._votes(new)
        return len(new)

    def _meet_contestants(self, new: dict[uuid.UUID, ImportedVote]) -> None:
        for vote in new.values():
            for model in vote.models:
                if model not in self._contestants:
                    with at_line(vote.line):
                        self._contestants |= uploaded_contestants(arena=self.arena, names=[model])

    def _meet_voters(self, new: dict[uuid.UUID, ImportedVote]) -> None:
        names = {vote.voter for vote in new.values()} - self._voters.keys()
        pseudonyms = {_pseudonym(self.arena, name): name for name in names}
        there = {one.pseudonym: one for one in Voter.objects.filter(pseudonym__in=pseudonyms)}
        made = Voter.objects.bulk_create(
            [
                Voter(pseudonym=pseudonym, kind=Voter.Kind.IMPORTED)
                for pseudonym in pseudonyms
                if pseudonym not in there
            ]
        )
        for voter in [*there.values(), *made]:
            self._voters[pseudonyms[voter.pseudonym]] = voter

    def _prompts(self, votes: list[ImportedVote]) -> dict[int, Prompt]:
        """By line. Votes whose file names no prompt have none."""
        wanted = {vote.line: named for vote in votes if (named := _named_prompt(vote))}
        keys = {key for key, _ in wanted.values()}
        known = {one.key: one for one in Prompt.objects.filter(arena=self.arena, key__in=keys)}
        new: dict[str, NewPrompt] = {}
        for line, (key, messages) in wanted.items():
            if key in known:
                same, here = known[key].messages, "in the arena"
            else:
                same, here = new.setdefault(key, NewPrompt(messages, key)).messages, "in an earlier line"
            if messages is not same and messages != same and not _is_name_only(key, messages):
                raise BadRow(line, f"Its prompt {key} has another text {here}.")
        made = create_prompts(
            arena=self.arena, prompts=new.values(), retired_at=None if self.show else self.now
        )
        prompts = known | made
        return {line: prompts[key] for line, (key, _) in wanted.items()}

    def _responses(self, votes: list[ImportedVote], prompts: dict[int, Prompt]) -> dict[tuple[int, int], int]:
        """Ids by line and slot; the same text of the same model on the same prompt is one response."""
        texts = _TextsThere({prompt.pk for prompt in prompts.values()})
        places: dict[tuple[int, int], Place] = {}
        for vote in votes:
            for slot, answer in enumerate(vote.texts.answers):
                contestant = self._contestants[vote.models[slot]]
                places[vote.line, slot] = texts.place(
                    prompts[vote.line].pk, contestant, answer, self.file_name, render=self.show
                )
        columns = (
            "prompt_id", "contestant_id", "sample", "text", "raw", "messages", "sha256", "made_by", "html",
            "renderer", "created_at",
        )  # fmt: skip
        insert_rows(Response, columns, ((*row, self.now) for row in texts.new))
        ids = texts.ids()
        return {at: ids[place] for at, place in places.items()}

    def _battles(self, new: dict[uuid.UUID, ImportedVote], prompts: dict[int, Prompt]) -> None:
        insert_rows(
            Battle,
            ("id", "arena_id", "prompt_id", "voter_id", "k", "strategy", "created_at", "closed_at"),
            (
                (
                    key,
                    self.arena.pk,
                    prompts[vote.line].pk if vote.line in prompts else None,
                    self._voters[vote.voter].pk,
                    len(vote.models),
                    STRATEGY,
                    self.now,
                    self.now,
                )
                for key, vote in new.items()
            ),
        )

    def _slots(self, new: dict[uuid.UUID, ImportedVote], responses: dict[tuple[int, int], int]) -> None:
        insert_rows(
            Slot,
            ("battle_id", "position", "contestant_id", "response_id", "token"),
            (
                (
                    key,
                    position,
                    self._contestants[model].pk,
                    responses.get((vote.line, position)),
                    random_token(),
                )
                for key, vote in new.items()
                for position, model in enumerate(vote.models)
            ),
        )

    def _votes(self, new: dict[uuid.UUID, ImportedVote]) -> None:
        insert_rows(
            Vote,
            ("arena_id", "battle_id", "voter_id", "kind", "ranks", "skip_reason", "details", "created_at"),
            (
                (
                    self.arena.pk,
                    key,
                    self._voters[vote.voter].pk,
                    vote.kind,
                    None if vote.ranks is None else list(vote.ranks),
                    "",
                    vote.details,
                    self.now,
                )
                for key, vote in new.items()
            ),
        )


class _TextsThere:
    """The responses to some prompts: those in the database and those about to be."""

    def __init__(self, prompt_ids: set[int]) -> None:
        self.new: list[tuple[Any, ...]] = []  # in the order of the columns of `_responses`
        self._there = Response.objects.filter(prompt__in=prompt_ids)
        self._by_text: dict[tuple[int, int, str], int] = {}
        self._samples: dict[tuple[int, int], int] = defaultdict(int)
        columns = ("prompt_id", "contestant_id", "sha256", "sample")
        for prompt, contestant, digest, sample in self._there.values_list(*columns):
            self._keep(prompt, contestant, digest, sample)

    def place(
        self, prompt_id: int, contestant: Contestant, answer: Answer, file_name: str, *, render: bool
    ) -> Place:
        """Where the response is, or will be once `new` is written."""
        digest = text_hash(answer.text)
        there = self._by_text.get((prompt_id, contestant.pk, digest))
        if there is not None:
            return prompt_id, contestant.pk, there
        sample = self._samples[prompt_id, contestant.pk]
        made_by = {"file": file_name} | ({"transcript": True} if answer.is_transcript else {})
        messages = json.loads(answer.raw) if answer.is_transcript else []
        # What is not shown now is rendered when it is.
        shown = rendered(text=answer.text, messages=messages) if render else {"html": "", "renderer": 0}
        row = (prompt_id, contestant.pk, sample, answer.text, answer.raw, messages, digest, made_by)
        self.new.append((*row, shown["html"], shown["renderer"]))
        self._keep(prompt_id, contestant.pk, digest, sample)
        return prompt_id, contestant.pk, sample

    def ids(self) -> dict[Place, int]:
        rows = self._there.values_list("prompt_id", "contestant_id", "sample", "pk")
        return {(prompt, contestant, sample): pk for prompt, contestant, sample, pk in rows}

    def _keep(self, prompt: int, contestant: int, digest: str, sample: int) -> None:
        self._by_text[prompt, contestant, digest] = sample
        self._samples[prompt, contestant] = max(self._samples[prompt, contestant], sample + 1)


def _named_prompt(vote: ImportedVote) -> tuple[str, list[Message]] | None:
    """The prompt's key and messages. A prompt that is only named stands for itself."""
    key = vote.prompt_key
    if vote.texts.prompt is not None:
        fitting = key if 0 < len(key) <= LONGEST_KEY else content_key(vote.texts.prompt)
        return fitting, vote.texts.prompt
    if not key:
        return None
    messages = [{"role": "user", "content": key}]
    return (key if len(key) <= LONGEST_KEY else content_key(messages)), messages


def _is_name_only(key: str, messages: list[Message]) -> bool:
    return messages == [{"role": "user", "content": key}]


def _pseudonym(arena: Arena, name: str) -> str:
    """Cannot be turned back into the file's name; the same name in the same arena is the same voter."""
    if not name:
        return f"imported-{arena.pk}-unnamed"
    digest = salted_hmac("arena.imports.voter", f"{arena.pk}/{name}", algorithm="sha256")
    return f"imported-{digest.hexdigest()[:32]}"
