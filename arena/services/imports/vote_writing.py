"""Imported votes become battles, slots and votes, in bulk."""

import uuid
from collections import defaultdict
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.crypto import salted_hmac

from arena.errors import BadRow
from arena.models import Arena, Battle, Contestant, Prompt, Response, Slot, Vote, Voter
from arena.services.contestants import uploaded_contestants
from arena.services.imports.conversations import Answer, Message
from arena.services.imports.report import at_line
from arena.services.imports.vote_rows import ImportedVote
from arena.services.prompts import NewPrompt, content_key, create_prompts
from arena.services.responses import NewResponse, new_row, text_hash

STRATEGY = "imported"
SPACE = uuid.UUID("6f0d7f0a-51d3-5b0c-9d0e-4f6a3c1b7e55")  # of the battles' names
LONGEST_KEY = 120
BATCH = 500


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
        Vote.objects.bulk_create(
            [
                Vote(
                    arena=self.arena,
                    battle_id=key,
                    voter=self._voters[vote.voter],
                    kind=vote.kind,
                    ranks=None if vote.ranks is None else list(vote.ranks),
                    details=vote.details,
                )
                for key, vote in new.items()
            ],
            batch_size=BATCH,
        )
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
            ],
            batch_size=BATCH,
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

    def _responses(
        self, votes: list[ImportedVote], prompts: dict[int, Prompt]
    ) -> dict[tuple[int, int], Response]:
        """By line and slot; the same text of the same model on the same prompt is one response."""
        texts = _TextsThere({prompt.pk for prompt in prompts.values()})
        rows: dict[tuple[int, int], Response] = {}
        for vote in votes:
            for slot, answer in enumerate(vote.texts.answers):
                contestant = self._contestants[vote.models[slot]]
                rows[vote.line, slot] = texts.row(
                    prompts[vote.line].pk, contestant, answer, self.file_name, render=self.show
                )
        Response.objects.bulk_create(texts.new, batch_size=BATCH)
        return rows

    def _battles(self, new: dict[uuid.UUID, ImportedVote], prompts: dict[int, Prompt]) -> None:
        Battle.objects.bulk_create(
            [
                Battle(
                    id=key,
                    arena=self.arena,
                    prompt=prompts.get(vote.line),
                    voter=self._voters[vote.voter],
                    k=len(vote.models),
                    strategy=STRATEGY,
                    closed_at=self.now,
                )
                for key, vote in new.items()
            ],
            batch_size=BATCH,
        )

    def _slots(self, new: dict[uuid.UUID, ImportedVote], responses: dict[tuple[int, int], Response]) -> None:
        Slot.objects.bulk_create(
            [
                Slot(
                    battle_id=key,
                    position=position,
                    contestant=self._contestants[model],
                    response=responses.get((vote.line, position)),
                )
                for key, vote in new.items()
                for position, model in enumerate(vote.models)
            ],
            batch_size=BATCH,
        )


class _TextsThere:
    """The responses to some prompts: those in the database and those about to be."""

    def __init__(self, prompt_ids: set[int]) -> None:
        self.new: list[Response] = []
        self._by_text: dict[tuple[int, int, str], Response] = {}
        self._samples: dict[tuple[int, int], int] = defaultdict(int)
        known = Response.objects.filter(prompt__in=prompt_ids).only(
            "prompt_id", "contestant_id", "sha256", "sample"
        )
        for row in known:
            self._keep(row)

    def row(
        self, prompt_id: int, contestant: Contestant, answer: Answer, file_name: str, *, render: bool
    ) -> Response:
        found = self._by_text.get((prompt_id, contestant.pk, text_hash(answer.text)))
        if found is not None:
            return found
        made_by: dict[str, Any] = {"file": file_name}
        if answer.is_transcript:
            made_by["transcript"] = True
        sample = self._samples[prompt_id, contestant.pk]
        item = NewResponse(prompt_id, sample, answer.text, raw=answer.raw, made_by=made_by)
        row = new_row(contestant, item, render=render)
        self.new.append(row)
        self._keep(row)
        return row

    def _keep(self, row: Response) -> None:
        place = (row.prompt_id, row.contestant_id)
        self._by_text[(*place, row.sha256)] = row
        self._samples[place] = max(self._samples[place], row.sample + 1)


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
