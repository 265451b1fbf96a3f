"""A judging job: one judge's opinion of battles, written down as votes of its own kind."""

import os
from collections.abc import Callable, Sequence
from typing import Any

from django.conf import settings

from arena.errors import BadInput
from arena.models import Judge
from arena.outbound import Rules
from arena.services import judges
from arena.services.contestants import key_of
from arena.services.leases import Lease
from gpu_workers.backends import BackendError, ContestantSpec, open_backend
from gpu_workers.judging import Opinion, ask, by_scores

Judging = Callable[[Sequence[Any], Sequence[str]], Opinion]


def judge_battles(lease: Lease) -> dict[str, Any]:
    """The work of a job of the kind "judge". A battle that the judge has voted on is not asked for again."""
    judge = Judge.objects.select_related("arena", "voter").get(pk=lease.job.payload["judge"])
    lease.progress(message=f"Opening {judge.name}")
    voted = abstained = 0
    try:
        opinion_of = _opened(judge)
        payload = lease.job.payload
        for work in judges.open_work(judge, limit=payload["limit"], among=payload.get("contestants", ())):
            opinion = opinion_of(work.messages, work.texts)
            # Nothing is written by an attempt that has lost its lease.
            lease.check()
            judges.record_opinion(
                judge=judge,
                work=work,
                ranks=opinion.ranks,
                reason=opinion.reason,
                facts={
                    "pairs": [
                        [one.first, one.second, round(one.preference, 6), one.consistent]
                        for one in opinion.verdicts
                    ],
                    "scores": [round(score, 6) for score in opinion.scores],
                    "job": lease.job.pk,
                },
            )
            voted += opinion.ranks is not None
            abstained += opinion.ranks is None
            lease.progress(done=voted + abstained, message=f"{voted} judged, {abstained} abstained")
    except BackendError as error:
        raise BadInput(str(error)) from error
    return {"judged": voted, "abstained": abstained}


def _opened(judge: Judge) -> Judging:
    if judge.method == Judge.Method.REWARD:
        from gpu_workers.reward_scores import open_scorer

        scorer = open_scorer(judge.checkpoint)
        return lambda messages, texts: by_scores(scorer.scores(messages, texts))
    spec = ContestantSpec(
        backend=judge.backend,
        checkpoint=judge.checkpoint,
        endpoint=judge.endpoint,
        endpoint_model=judge.endpoint_model,
        key=key_of(judge, os.environ),
        parameters={"max_new_tokens": 8, **judge.parameters},
    )
    backend = open_backend(spec, hosts=Rules(hosts=tuple(settings.ENDPOINT_HOSTS), **settings.OUTBOUND))
    criteria = judges.criteria_of(judge)
    return lambda messages, texts: ask(backend, messages, texts, criteria=criteria)
