"""Which responses are missing, who is to make them, and writing them down once made.

Made by a worker, given by a file, or made by hand in a test: every response goes
through `record_responses`, so the text, its HTML and its checksum always agree.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, Exists, Max, OuterRef, Q
from django.utils.translation import gettext as _

from arena.errors import BadInput
from arena.models import Arena, Contestant, Job, Prompt, Response
from arena.services import jobs, media
from arena.services.rendering import normalise_text, rendered
from arena.services.routing import cannot_answer, route

LARGEST_SAMPLES = 64


@dataclass(frozen=True)
class PromptRequest:
    """One response to make: sample number `sample` of the contestant's outputs for the prompt."""

    prompt_id: int
    sample: int
    messages: list[dict[str, Any]]


@dataclass(frozen=True)
class NewResponse:
    """One response made, as the worker or the file gives it. `raw` only where it differs from `text`."""

    prompt_id: int
    sample: int
    text: str
    raw: str = ""
    made_by: dict[str, Any] = field(default_factory=dict)
    file: bytes = b""
    media_type: str = ""


@dataclass(frozen=True)
class Missing:
    """How many responses one contestant still owes."""

    contestant: Contestant
    responses: int


def missing(
    *,
    arena: Arena,
    contestants: Iterable[Contestant] | None = None,
    samples: int = 1,
    prompts: Iterable[Prompt] | None = None,
) -> list[Missing]:
    """What every contestant that a worker can run still owes; those that owe nothing are left out.

    Without `contestants`: all active ones whose responses a worker makes (not the uploaded ones).
    """
    _check_samples(samples)
    prompt_ids = None if prompts is None else [prompt.pk for prompt in prompts]
    route(arena)
    owed = []
    for contestant in _able(arena, contestants):
        prompts_it_can = _prompts(arena, prompt_ids).exclude(pk__in=cannot_answer(contestant))
        wanted = prompts_it_can.count() * samples
        there = Response.objects.filter(
            contestant=contestant, sample__lt=samples, prompt__in=prompts_it_can
        ).count()
        if wanted > there:
            owed.append(Missing(contestant, wanted - there))
    # Cheapest first: what costs nothing, then what costs least a token, then what is nearly done.
    return sorted(owed, key=lambda one: (_price(one.contestant), one.responses))


def top_up(arena: Arena) -> list[Job]:
    """Have one more sample of every prompt made, where voters have seen all there is.

    By contestants without a price only: what costs money is decided by people. Up to
    TOP_UP_SAMPLES a prompt; nothing is queued where work is queued already.
    """
    free = [one for one in _able(arena, None) if not _price(one)]
    made = Response.objects.filter(contestant__in=free).aggregate(most=Max("sample"))["most"]
    samples = 1 if made is None else made + 1
    if not missing(arena=arena, contestants=free, samples=samples):
        samples += 1
    if not free or samples > settings.TOP_UP_SAMPLES:
        return []
    return plan_generation(arena=arena, contestants=free, samples=samples)


def _price(contestant: Contestant) -> float:
    return float(contestant.budget.get("price_in", 0)) + float(contestant.budget.get("price_out", 0))


def somebody_waits(contestant: Contestant) -> bool:
    """Whether a job is queued for a contestant of the same arena that has no response at all yet.

    A battle needs K contestants: the first responses of each are worth more than the last of one.
    """
    queued = Job.objects.filter(arena=contestant.arena, kind=Job.Kind.GENERATE, state=Job.State.QUEUED)
    waiting = [payload["contestant"] for payload in queued.values_list("payload", flat=True)]
    return Contestant.objects.active().filter(pk__in=waiting, responses=None).exists()


def made_by_job(job: Job) -> int:
    """How many responses the job's attempts have made so far."""
    return Response.objects.filter(contestant=job.payload["contestant"], made_by__job=job.pk).count()


def plan_generation(
    *,
    arena: Arena,
    contestants: Iterable[Contestant] | None = None,
    samples: int = 1,
    prompts: Iterable[Prompt] | None = None,
    priority: int = 0,
    by: User | None = None,
) -> list[Job]:
    """One job per contestant that owes responses. Planning again adds nothing to what is queued."""
    prompts = None if prompts is None else list(prompts)
    return [
        jobs.enqueue(
            kind=Job.Kind.GENERATE,
            title=f"Responses of {owed.contestant.name}"[:200],
            arena=arena,
            payload={
                "contestant": owed.contestant.pk,
                "samples": samples,
                "prompts": None if prompts is None else [prompt.pk for prompt in prompts],
            },
            total=owed.responses,
            unique_key=f"generate:{owed.contestant.pk}",
            priority=priority,
            created_by=by,
        )
        for owed in missing(arena=arena, contestants=contestants, samples=samples, prompts=prompts)
    ]


def next_requests(
    *,
    contestant: Contestant,
    samples: int,
    prompt_ids: Sequence[int] | None = None,
    limit: int,
    skip: Collection[tuple[int, int]] = (),
) -> list[PromptRequest]:
    """The next `limit` responses that the contestant owes, without the (prompt id, sample) in `skip`.

    The first sample of every prompt comes before any second one. Prompts that most others
    have answered come first: they are the nearest to a battle, so that the first battle comes
    early however many contestants are at work at once.
    """
    _check_samples(samples)
    left_out = set(skip)
    cannot = cannot_answer(contestant)
    requests: list[PromptRequest] = []
    for sample in range(samples):
        made = Response.objects.filter(prompt=OuterRef("pk"), contestant=contestant, sample=sample)
        open_prompts = (
            _prompts(contestant.arena, prompt_ids)
            .filter(~Exists(made))
            .exclude(pk__in=cannot)
            .annotate(answers=Count("responses__contestant", distinct=True))
            .order_by("-answers", "id")
        )
        # What is skipped was tried and failed; read that many more rows and no further.
        for prompt in open_prompts[: limit - len(requests) + len(left_out)]:
            if (prompt.pk, sample) not in left_out:
                requests.append(PromptRequest(prompt.pk, sample, prompt.messages))
            if len(requests) == limit:
                return requests
    return requests


@transaction.atomic
def record_responses(*, contestant: Contestant, items: Iterable[NewResponse]) -> int:
    """Write down responses; those already there stay as they are. Returns how many were new.

    Safe to call twice with the same items, and from two workers at once: the unique
    constraint lets one row in.
    """
    wanted = {(item.prompt_id, item.sample): item for item in items}
    if not wanted:
        return 0
    prompt_ids = {prompt_id for prompt_id, _sample in wanted}
    known = set(
        Prompt.objects.filter(arena=contestant.arena_id, pk__in=prompt_ids).values_list("pk", flat=True)
    )
    if strangers := sorted(prompt_ids - known):
        raise BadInput(
            _("The arena of %(contestant)s has no prompt %(strangers)s.")
            % {"contestant": contestant.name, "strangers": strangers[0]}
        )
    there = set(
        Response.objects.filter(contestant=contestant, prompt__in=prompt_ids).values_list(
            "prompt_id", "sample"
        )
    )
    new = [new_row(contestant, item) for key, item in wanted.items() if key not in there]
    Response.objects.bulk_create(new, ignore_conflicts=True, batch_size=500)
    return len(new)


def new_row(contestant: Contestant, item: NewResponse) -> Response:
    """The unsaved row: text normalised, HTML made, checksum of the text."""
    text = normalise_text(item.text)
    raw = item.raw.replace("\x00", "")  # PostgreSQL keeps no NUL in text
    return Response(
        prompt_id=item.prompt_id,
        contestant=contestant,
        sample=item.sample,
        text=text,
        raw="" if raw == text else raw,
        file=media.keep(item.file, item.media_type) if item.file else "",
        media_type=item.media_type if item.file else "",
        **rendered(text=text),
        sha256=hashlib.sha256(item.file).hexdigest() if item.file else text_hash(text),
        made_by=item.made_by,
    )


def siblings(*, contestant: Contestant, prompt_ids: Collection[int]) -> dict[int, list[str]]:
    """The texts that the contestant has given to each of these prompts, in the order of their samples."""
    found: dict[int, list[str]] = {}
    rows = Response.objects.filter(contestant=contestant, prompt__in=prompt_ids).order_by("sample")
    for prompt, text in rows.values_list("prompt_id", "text"):
        found.setdefault(prompt, []).append(text)
    return found


def sample_sets(*, contestant: Contestant, prompt_ids: Sequence[int] | None, limit: int) -> list[list[str]]:
    """The texts of the newest `limit` prompts to which the contestant has given more than one."""
    several = _prompts(contestant.arena, prompt_ids).filter(
        responses__contestant=contestant, responses__sample=1
    )
    newest = list(several.order_by("-pk").values_list("pk", flat=True)[:limit])
    return list(siblings(contestant=contestant, prompt_ids=newest).values())


def text_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _prompts(arena: Arena, prompt_ids: Sequence[int] | None) -> Any:
    if prompt_ids is None:
        # What a voter asked is answered by those who were drawn for it and nobody else.
        return Prompt.objects.drawable().filter(arena=arena)
    return Prompt.objects.active().filter(arena=arena, pk__in=prompt_ids)


def _able(arena: Arena, contestants: Iterable[Contestant] | None) -> list[Contestant]:
    """The contestants asked for, refused with a sentence where no worker can run them."""
    uploaded = Q(backend=Contestant.Backend.UPLOADED)
    if contestants is None:
        return list(Contestant.objects.active().filter(arena=arena).exclude(uploaded))
    chosen = list(contestants)
    for contestant in chosen:
        if contestant.arena_id != arena.pk:
            raise BadInput(
                _("%(contestant)s is not a contestant of %(arena)s.")
                % {"contestant": contestant.name, "arena": arena.name}
            )
        if contestant.backend == Contestant.Backend.UPLOADED:
            raise BadInput(
                _("The responses of %(contestant)s are made elsewhere: import them with import_responses.")
                % {"contestant": contestant.name}
            )
        if contestant.retired_at:
            raise BadInput(
                _("%(contestant)s is retired and makes no more responses.") % {"contestant": contestant.name}
            )
    return chosen


def _check_samples(samples: int) -> None:
    if not 1 <= samples <= LARGEST_SAMPLES:
        raise BadInput(
            _("The number of samples is %(samples)s; it must be from 1 to %(largest_samples)s.")
            % {"samples": samples, "largest_samples": LARGEST_SAMPLES}
        )
