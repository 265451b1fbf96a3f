"""Models that judge: made, sent to work, and their opinions written down as votes of their own kind."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from arena.errors import BadInput, NotEnoughResponses
from arena.models import (
    Arena,
    Battle,
    Contestant,
    Job,
    Judge,
    Prompt,
    Response,
    Slot,
    TrainingRun,
    Vote,
    Voter,
)
from arena.services import jobs, matchmaking
from arena.services.ballots import Ballot
from arena.services.training import reward_models_of, run_folder
from arena.services.votes import cast_vote

MOST_AT_ONCE = 5000
STRATEGY = "judge"
BACKENDS = ("openai", "transformers")


@dataclass(frozen=True)
class Work:
    """One set of responses to judge; `of` is the battle of a person who has judged it, or None."""

    of: Battle | None
    prompt_id: int
    messages: list[dict[str, Any]]
    contestants: tuple[int, ...]
    responses: tuple[int, ...]
    texts: tuple[str, ...]


def create_judge(*, arena: Arena, name: str, **fields: Any) -> Judge:
    """A new judge with a voter of its own, or BadInput."""
    judge = Judge(arena=arena, name=name.strip(), **fields)
    check_judge(judge)
    try:
        with transaction.atomic():
            judge.voter = Voter.objects.create(kind=Voter.Kind.JUDGE)
            judge.save()
    except IntegrityError:
        raise BadInput(_("The arena has a judge named %(name)s already.") % {"name": judge.name}) from None
    return judge


def models_for(arena: Arena) -> tuple[list[Contestant], list[TrainingRun]]:
    """What a lead may make a judge of: models of the arena's contestants, and its reward models.

    Leads name no other address here and no variable of a worker: that could lead its key to a stranger. A
    contestant whose key is kept in the database is left out: a judge has no place for one.
    """
    contestants = Contestant.objects.active().filter(
        arena=arena, backend__in=BACKENDS, endpoint_key_sealed=""
    )
    return list(contestants.order_by("name")), list(reward_models_of(arena).order_by("-id"))


def judge_of(
    *, arena: Arena, name: str, model: str, instructions: str = "", kin: Sequence[str] = ()
) -> Judge:
    """A judge of one of the `models_for` the arena: "contestant:ID" or "reward:ID". Raises BadInput.

    Without `kin`, those contestants count as its own family that are the same model.
    """
    kind, _colon, number = model.partition(":")
    contestants, rewards = models_for(arena)
    of = next((one for one in contestants if kind == "contestant" and str(one.pk) == number), None)
    run = next((one for one in rewards if kind == "reward" and str(one.pk) == number), None)
    strangers = set(kin) - set(arena.contestants.values_list("name", flat=True))
    if strangers:
        raise BadInput(_("The arena has no contestant named %(name)s.") % {"name": min(strangers)})
    if of is not None:
        same = arena.contestants.filter(
            backend=of.backend,
            checkpoint=of.checkpoint,
            endpoint=of.endpoint,
            endpoint_model=of.endpoint_model,
        )
        return create_judge(
            arena=arena,
            name=name,
            backend=of.backend,
            checkpoint=of.checkpoint,
            endpoint=of.endpoint,
            endpoint_model=of.endpoint_model,
            endpoint_key_variable=of.endpoint_key_variable,
            instructions=instructions,
            kin=list(kin) or sorted(same.values_list("name", flat=True)),
        )
    if run is not None:
        return create_judge(
            arena=arena,
            name=name,
            method=Judge.Method.REWARD,
            checkpoint=str(run_folder(run) / "model"),
            instructions=instructions,
            kin=list(kin),
        )
    raise BadInput(_("Choose a model for the judge: a contestant here, or a reward model trained here."))


def at_work(arena: Arena) -> QuerySet[Judge]:
    """The arena's judges but for the retired ones."""
    return Judge.objects.filter(arena=arena, retired_at=None).select_related("arena", "voter")


def retire_judge(judge: Judge) -> None:
    """It judges no more; what it said stays."""
    Judge.objects.filter(pk=judge.pk, retired_at=None).update(retired_at=Now())


def bring_back_judge(judge: Judge) -> None:
    """A retired judge may be sent to work again."""
    Judge.objects.filter(pk=judge.pk).exclude(retired_at=None).update(retired_at=None)


def retired(arena: Arena) -> QuerySet[Judge]:
    return Judge.objects.filter(arena=arena).exclude(retired_at=None)


def check_judge(judge: Judge) -> None:
    """Raise BadInput for the first thing that is wrong with a judge that is to be saved."""
    if not judge.name or len(judge.name) > 120:
        raise BadInput(_("A judge needs a name of at most 120 characters."))
    if judge.method == Judge.Method.REWARD:
        if not judge.checkpoint:
            raise BadInput(_("A reward model needs a checkpoint: its folder on the worker's machine."))
        return
    if judge.backend not in BACKENDS:
        raise BadInput(_("A judge's backend is one of %(known)s.") % {"known": ", ".join(BACKENDS)})
    if judge.backend == "openai" and not (judge.endpoint and judge.endpoint_model):
        raise BadInput(_("A judge on an endpoint needs its address and the model's name there."))
    if judge.backend == "transformers" and not judge.checkpoint:
        raise BadInput(_("A judge on a worker needs a checkpoint."))


def plan_judging(
    *, judge: Judge, limit: int, contestants: Sequence[Contestant] = (), by: User | None = None
) -> Job:
    """Queue the judging of up to `limit` sets of responses, with `contestants` of these alone: first those
    that people have judged.
    """
    if not 1 <= limit <= MOST_AT_ONCE:
        raise BadInput(
            _("Choose from 1 to %(most)s battles; %(limit)s is not.") % {"most": MOST_AT_ONCE, "limit": limit}
        )
    return jobs.enqueue(
        kind=Job.Kind.JUDGE,
        title=f"Judging by {judge.name}"[:200],
        arena=judge.arena,
        payload={"judge": judge.pk, "limit": limit, "contestants": [one.pk for one in contestants]},
        total=limit,
        unique_key=f"judge:{judge.pk}",
        created_by=by,
    )


def open_work(judge: Judge, *, limit: int, among: Sequence[int] = ()) -> Iterator[Work]:
    """What the judge has not judged: sets that people have, the newest first, then newly drawn ones; with
    `among` only of these contestants.
    """
    given = 0
    done = {
        vote.details.get("judge", {}).get("of")
        for vote in Vote.objects.filter(voter=judge.voter_id).only("details")
    }
    for battle in _judged_by_people(judge.arena, among).iterator(chunk_size=200):
        if given == limit:
            return
        if str(battle.pk) not in done:
            given += 1
            yield _work_of(battle)
    while given < limit and not judge.arena.joint:
        try:
            draw = matchmaking.draw_battle(arena=judge.arena, voter=judge.voter, k=judge.arena.k, among=among)
        except NotEnoughResponses:
            return
        assert draw.prompt is not None  # only joint battles have none
        given += 1
        yield _work(None, draw.prompt, draw.contestants, draw.responses)


@transaction.atomic
def record_opinion(
    *, judge: Judge, work: Work, ranks: Sequence[int] | None, reason: str, facts: Mapping[str, Any]
) -> Vote:
    """The opinion as a vote: a ranking, or "cannot judge" with the reason where the judge abstains.

    A battle of its own stands behind it, with the same responses in the same order, so that no
    judge's answer is ever an answer to a person's battle.
    """
    battle = Battle.objects.create(
        arena=judge.arena,
        prompt_id=work.prompt_id,
        voter=judge.voter,
        k=len(work.responses),
        strategy=STRATEGY,
        propensity=None,
    )
    Slot.objects.bulk_create(
        Slot(battle=battle, position=place, contestant_id=contestant, response_id=response)
        for place, (contestant, response) in enumerate(zip(work.contestants, work.responses, strict=True))
    )
    answer = {"ranks": list(ranks)} if ranks is not None else {"skip": reason[:200]}
    return cast_vote(
        battle=battle,
        voter=judge.voter,
        ballot=Ballot.parse(answer, k=battle.k),
        facts={"judge": {**facts, "of": str(work.of.pk) if work.of else None}},
    )


def criteria_of(judge: Judge) -> str:
    """What the judge is told to look at."""
    return judge.instructions.strip() or judge.arena.guidelines.strip()


def _judged_by_people(arena: Arena, among: Sequence[int] = ()) -> Any:
    """Battles of one prompt with a text in every slot, on which a person gave an order that counts."""
    votes = (
        Vote.objects.counted()
        .orders()
        .filter(arena=arena, voter__kind=Voter.Kind.PERSON, battle__purpose=Battle.Purpose.ORDINARY)
    )
    found = Battle.objects.filter(pk__in=votes.values("battle"))
    if among:
        found = found.exclude(pk__in=Slot.objects.exclude(contestant__in=among).values("battle"))
    return (
        found.exclude(prompt=None)
        .exclude(slots__response=None)
        .select_related("prompt")
        .order_by("-created_at")
    )


def _work_of(battle: Battle) -> Work:
    slots = list(battle.slots.order_by("position"))
    assert battle.prompt_id is not None
    responses = tuple(slot.response_id for slot in slots if slot.response_id)
    return _work(battle, battle.prompt_id, tuple(slot.contestant_id for slot in slots), responses)


def _work(
    of: Battle | None, prompt_id: int, contestants: tuple[int, ...], responses: tuple[int, ...]
) -> Work:
    texts = dict(Response.objects.filter(pk__in=responses).values_list("pk", "text"))
    messages = Prompt.objects.values_list("messages", flat=True).get(pk=prompt_id)
    return Work(of, prompt_id, messages, contestants, responses, tuple(texts[one] for one in responses))
