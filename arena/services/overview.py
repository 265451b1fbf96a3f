"""What pages list: arenas, contestants and how far their responses are, training runs, jobs. Reading only."""

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Count, F, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce
from django.utils.translation import gettext as _

from arena.errors import NotFound
from arena.models import (
    Arena,
    Contestant,
    DataSet,
    Job,
    Leaderboard,
    Membership,
    Prompt,
    Response,
    TrainingRun,
    Vote,
    Voter,
    VoteRuling,
)
from arena.services import access, vote_log

LISTED_JOBS = 100
LISTED_VOTES = 25
SHOWN_RESPONSES = 5


@dataclass(frozen=True)
class Coverage:
    """How many of an arena's prompts one contestant has answered."""

    contestant: Contestant
    answered: int
    prompts: int
    job: Job | None  # the unfinished one that makes the rest


def arenas_for(user: User | AnonymousUser) -> QuerySet[Arena]:
    """The arenas this user may see, each with `votes_cast`, `active_contestants` and `may_vote`.

    Votes are counted as the leaderboard counts them: those of its newest snapshot, and those since.
    """
    boards = Leaderboard.objects.filter(arena=OuterRef("pk")).order_by("-id")
    counted = boards.annotate(counted=Cast(KT("counts__votes"), IntegerField())).values("counted")
    since = Vote.objects.counted().filter(
        arena=OuterRef("pk"),
        pk__gt=OuterRef("board_last"),
        battle__purpose__in=vote_log.COUNTED_PURPOSES,
        voter__kind__in=vote_log.COUNTED_SOURCES,
    )
    return (
        Arena.objects.visible_to(user)
        .annotate(
            may_vote=access.voting_in(user),
            active_contestants=_count(Contestant.objects.active().filter(arena=OuterRef("pk")), "arena"),
            board_votes=Coalesce(Subquery(counted[:1]), 0),
            board_last=Coalesce(Subquery(boards.values("last_vote")[:1]), 0),
        )
        .annotate(votes_cast=F("board_votes") + _count(since, "arena"))
    )


def coverage(arena: Arena) -> list[Coverage]:
    """All contestants of the arena, active ones first, with how far their responses are."""
    prompts = Prompt.objects.drawable().filter(arena=arena).count()
    answers = (
        Response.objects.filter(contestant__arena=arena, sample=0, prompt__retired_at=None)
        .order_by()
        .values_list("contestant")
        .annotate(Count("pk"))
    )
    answered = dict(answers)
    contestants = (
        Contestant.objects.filter(arena=arena)
        .select_related("parent")
        .order_by(F("retired_at").asc(nulls_first=True), "id")
    )
    waiting = Job.objects.unfinished().filter(arena=arena, kind=Job.Kind.GENERATE)
    jobs = {job.payload.get("contestant"): job for job in waiting}
    return [Coverage(one, answered.get(one.pk, 0), prompts, jobs.get(one.pk)) for one in contestants]


def prompt_counts(arena: Arena) -> dict[str, int]:
    """Active prompts by split."""
    splits = (
        Prompt.objects.drawable().filter(arena=arena).order_by().values_list("split").annotate(Count("pk"))
    )
    return dict(splits)


def get_contestant(*, arena: Arena, pk: int) -> Contestant:
    contestant = (
        Contestant.objects.filter(arena=arena, pk=pk)
        .select_related("arena", "parent", "made_by_run__data_set")
        .first()
    )
    if contestant is None:
        raise NotFound(_("There is no such contestant in this arena."))
    return contestant


def lineage(contestant: Contestant) -> list[Contestant]:
    """The contestant's ancestors, the first one first, itself last."""
    line = [contestant]
    parent_id = contestant.parent_id
    while parent_id and parent_id not in {one.pk for one in line}:
        parent = Contestant.objects.select_related("made_by_run__data_set").get(pk=parent_id)
        line.insert(0, parent)
        parent_id = parent.parent_id
    return line


def parents(arena: Arena) -> dict[int, str]:
    """The name of the contestant that each trained one came from, by the trained one's id."""
    trained = Contestant.objects.filter(arena=arena).exclude(parent=None)
    return dict(trained.values_list("pk", "parent__name"))


def shown_responses(
    *, contestant: Contestant, user: User | AnonymousUser, voter: Voter | None
) -> list[Response]:
    """Some responses of this contestant that the reader may know as its own.

    Managers see its first ones. A voter sees those that were revealed to them by their own
    votes: any other could come up in a battle of theirs, no longer blind.
    """
    responses = Response.objects.filter(contestant=contestant).select_related("prompt")
    if not access.may_manage(arena=contestant.arena, user=user):
        if contestant.arena.reveal == Arena.Reveal.NEVER or voter is None:
            return []
        votes = Vote.objects.filter(voter=voter, arena=contestant.arena).exclude(kind=Vote.Kind.SKIP)
        responses = responses.filter(slots__battle__in=votes.values("battle")).distinct()
    return list(responses.order_by("-id")[:SHOWN_RESPONSES])


def data_sets_of(arena: Arena) -> QuerySet[DataSet]:
    return DataSet.objects.filter(arena=arena).select_related("job", "created_by")


def get_data_set(*, arena: Arena, number: int) -> DataSet:
    data_set = data_sets_of(arena).select_related("arena").filter(number=number).first()
    if data_set is None:
        raise NotFound(_("%(arena)s has no data set %(number)s.") % {"arena": arena.name, "number": number})
    return data_set


def training_runs_of(arena: Arena) -> QuerySet[TrainingRun]:
    return TrainingRun.objects.filter(arena=arena).select_related(
        "arena", "base", "data_set", "job", "result"
    )


def get_training_run(*, arena: Arena, pk: int) -> TrainingRun:
    run = training_runs_of(arena).select_related("created_by").filter(pk=pk).first()
    if run is None:
        raise NotFound(_("%(arena)s has no training run %(pk)s.") % {"arena": arena.name, "pk": pk})
    return run


def trainable(arena: Arena) -> QuerySet[Contestant]:
    """The contestants that a training run may start from."""
    return Contestant.objects.active().filter(arena=arena, backend=Contestant.Backend.TRANSFORMERS)


def exported(arena: Arena) -> QuerySet[DataSet]:
    """The data sets that are written."""
    return DataSet.objects.filter(arena=arena).exclude(completed_at=None)


def votes_before(*, arena: Arena, before: int | None) -> list[Vote]:
    """The newest votes, or those before that one, each with the action of its newest ruling as `ruling`."""
    newest = VoteRuling.objects.filter(vote=OuterRef("pk")).order_by("-id").values("action")[:1]
    votes = Vote.objects.filter(arena=arena).annotate(ruling=Subquery(newest))
    if before is not None:
        votes = votes.filter(pk__lt=before)
    return list(votes.select_related("voter__user", "battle").order_by("-pk")[:LISTED_VOTES])


def jobs_for(user: User | AnonymousUser) -> QuerySet[Job]:
    """The newest jobs of the arenas that this user manages; for staff of all, and those of none."""
    jobs = Job.objects.select_related("arena").defer("log", "payload", "result")
    if not user.is_staff:
        managed = Membership.objects.filter(user=user.pk, role__in=access.MANAGING).values("arena")
        jobs = jobs.filter(arena__in=managed)
    return jobs[:LISTED_JOBS]


def jobs_mark(user: User | AnonymousUser) -> tuple[object, ...]:
    """A value that differs whenever a job that this user sees changed its state or its progress."""
    jobs = Job.objects.all()
    if not user.is_staff:
        managed = Membership.objects.filter(user=user.pk, role__in=access.MANAGING).values("arena")
        jobs = jobs.filter(arena__in=managed)
    rows = jobs.order_by("-id")[:LISTED_JOBS].values_list("id", "state", "done", "message")
    return tuple(rows)


def get_job(*, pk: int, user: User | AnonymousUser) -> Job:
    """The job, for somebody who manages its arena. Raises NotFound, in the same words for all others."""
    job = Job.objects.select_related("arena").filter(pk=pk).first()
    managed = job is not None and (
        access.may_manage(arena=job.arena, user=user) if job.arena else user.is_staff
    )
    if job is None or not managed:
        raise NotFound(_("There is no job %(pk)s, or it is not yours to manage.") % {"pk": pk})
    return job


def newest_jobs(arena: Arena, limit: int = 8) -> QuerySet[Job]:
    return Job.objects.filter(arena=arena).defer("log", "payload", "result")[:limit]


def _count(rows: QuerySet[Any], group: str) -> Coalesce:
    counted = rows.order_by().values(group).annotate(n=Count("pk")).values("n")
    return Coalesce(Subquery(counted, output_field=IntegerField()), 0)
