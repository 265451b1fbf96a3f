"""What the voting page asks of the database beside the arena's own services."""

from dataclasses import dataclass
from uuid import UUID

from django.utils.translation import gettext as _

from arena.errors import AllSeen, NotEnoughResponses, NotFound
from arena.models import Arena, Battle, Job, Vote, Voter

MAKES_RESPONSES = [Job.Kind.GENERATE, Job.Kind.DEMO_MODELS]


@dataclass(frozen=True)
class Waiting:
    """Why there is no battle now. `done` of `total` responses are made, where a worker makes some."""

    kind: str
    title: str
    sentence: str
    done: int = 0
    total: int = 0

    @property
    def reloads(self) -> bool:
        """Whether a battle may come by itself."""
        return self.kind == "generating"


def get_battle(*, arena: Arena, pk: UUID) -> Battle:
    battle = Battle.objects.filter(arena=arena, pk=pk).select_related("arena", "prompt").first()
    if battle is None:
        raise NotFound(_("There is no such battle in this arena. Start the next one."))
    return battle


def get_vote(*, arena: Arena, battle_id: UUID, voter: Voter | None) -> Vote:
    """The voter's own vote on a battle."""
    vote = (
        Vote.objects.filter(arena=arena, battle=battle_id, voter=voter)
        .select_related("arena", "battle__arena", "battle__prompt")
        .first()
    )
    if voter is None or vote is None:
        raise NotFound(_("You have not voted on this battle."))
    return vote


def why_waiting(*, arena: Arena, error: NotEnoughResponses) -> Waiting:
    """Why `error` was raised for this arena, and whether it will pass.

    The progress is of the arena as a whole: whose response is late must not be seen.
    """
    jobs = Job.objects.unfinished().filter(arena=arena, kind__in=MAKES_RESPONSES)
    counts = list(jobs.values_list("kind", "done", "total"))
    if counts:
        builds = any(kind == Job.Kind.DEMO_MODELS for kind, _done, _total in counts)
        return Waiting(
            "generating",
            _("The first models are being built") if builds else _("Responses are being made"),
            _("The models are at work. The next battle appears here by itself as soon as it is ready."),
            done=sum(done for _kind, done, _total in counts),
            total=sum(total for _kind, _done, total in counts),
        )
    if isinstance(error, AllSeen):
        return Waiting("finished", _("All done"), _("You have judged everything there is; thank you."))
    return Waiting("empty", _("No battles yet"), str(error))
