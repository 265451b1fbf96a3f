"""What a checkpoint was made of: parents, data sets, and which of their votes were retracted since."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.translation import gettext as _

from arena.errors import NotFound
from arena.models import Arena, Contestant, DataSet, TrainingRun, Vote
from arena.services import vote_log
from arena.services.data_sets.votes import is_wanted

MOST_PARENTS = 100  # a line of descent has an end, whatever the table says


@dataclass(frozen=True)
class Step:
    """One training run on the way to a checkpoint. retracted: votes of its data set that are out of the count
    now and were in it when it was exported.
    """

    run: TrainingRun
    retracted: int


@dataclass(frozen=True)
class Traces:
    """Where one vote went: data sets that hold it, contestants that learnt from them, and runs that did and
    whose result is no contestant.
    """

    vote: Vote
    counts: bool
    data_sets: tuple[DataSet, ...]
    contestants: tuple[Contestant, ...]
    held_back: tuple[TrainingRun, ...]


def retracted_votes(data_set: DataSet) -> int:
    """How many votes of this data set were taken out of the count after it was exported."""
    now = vote_log.ruled_out(data_set.arena)
    before = vote_log.ruled_out(data_set.arena, data_set.last_ruling)
    gone = [vote for vote in now - before if vote <= data_set.last_vote]
    if not data_set.filters:
        return len(gone)
    return sum(holds(data_set, vote) for vote in Vote.objects.filter(pk__in=gone).select_related("voter"))


def holds(data_set: DataSet, vote: Vote) -> bool:
    """Whether a vote that was there in time is of the contestants and voters that the data set is of, and
    was kept where a reward model chose.
    """
    if str(vote.pk) in data_set.manifest.get("curated", {}).get("dropped", ()):
        return False
    shown = vote.battle.slots.values_list("contestant_id", flat=True)
    people = vote.voter.kind in vote_log.COUNTED_SOURCES
    asked_for = str(vote.voter_id) in data_set.filters.get("judges", {})
    return (people or asked_for) and all(is_wanted(data_set, contestant) for contestant in shown)


def line_of(contestant: Contestant) -> list[Step]:
    """The training runs behind a contestant, the newest first."""
    return [Step(run, retracted_votes(run.data_set)) for run in _runs_behind(contestant)]


def withdrawn_since(contestant: Contestant) -> int:
    """How many votes that the contestant learnt from, itself or through its parents, were taken out since."""
    return sum({step.run.data_set_id: step.retracted for step in line_of(contestant)}.values())


def _runs_behind(contestant: Contestant) -> Iterator[TrainingRun]:
    current: Contestant | None = contestant
    for _generation in range(MOST_PARENTS):
        if current is None:
            return
        runs = TrainingRun.objects.select_related("base", "data_set__arena")
        run = runs.filter(result=current).first()
        if run is None:
            # A sampling of online training has its parent's weights.
            same = current.parent is not None and current.parent.checkpoint == current.checkpoint
            current = current.parent if same else None
            continue
        yield run
        current = run.base


def traces_of(*, arena: Arena, vote: int) -> Traces:
    """Which data sets and which trained contestants hold a vote. Raises NotFound."""
    found = Vote.objects.filter(arena=arena, pk=vote).first()
    if found is None:
        raise NotFound(_("%(arena)s has no vote %(vote)s.") % {"arena": arena.name, "vote": vote})
    written = DataSet.objects.filter(arena=arena, last_vote__gte=vote).exclude(completed_at=None)
    holding = tuple(
        data_set
        for data_set in written.order_by("number")
        if vote not in vote_log.ruled_out(arena, data_set.last_ruling) and holds(data_set, found)
    )
    runs = TrainingRun.objects.filter(data_set__in=holding)
    trained = runs.exclude(result=None)
    first = [run.result for run in trained.select_related("result").order_by("pk") if run.result is not None]
    contestants = _with_descendants(first)
    # What a contestant was trained into learnt from it too.
    behind = runs | TrainingRun.objects.filter(base__in=contestants)
    ended = behind.filter(result=None).exclude(completed_at=None).exclude(parameters__has_key="dry_run")
    return Traces(
        vote=found,
        counts=vote not in vote_log.ruled_out(arena),
        data_sets=holding,
        contestants=tuple(contestants),
        held_back=tuple(ended.order_by("pk")),
    )


def _with_descendants(contestants: list[Contestant]) -> list[Contestant]:
    """These, and all that were trained from them, each once."""
    known = {contestant.pk: contestant for contestant in contestants}
    newest = list(known)
    for _generation in range(MOST_PARENTS):
        children = Contestant.objects.filter(parent__in=newest).exclude(pk__in=known)
        newest = []
        for child in children.order_by("pk"):
            known[child.pk] = child
            newest.append(child.pk)
        if not newest:
            break
    return list(known.values())
