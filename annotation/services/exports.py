"""A campaign's answers and payments as rows, for files.

Annotators are A1, A2 … here, not their pseudonyms.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.contrib.auth.models import User

from annotation.models import Assignment, Campaign, PanelIdentity
from annotation.services import progress
from arena.models import Slot
from arena.sealing import unseal
from arena.services import audit
from arena.services.leaderboards import harmless

PAGE = 1000


def labels(campaign: Campaign) -> dict[int, str]:
    """A name for each annotator in what leaves the campaign: by order of joining."""
    ids = campaign.annotators.order_by("id").values_list("id", flat=True)
    return {pk: f"A{number}" for number, pk in enumerate(ids, start=1)}


def answers(campaign: Campaign) -> Iterator[dict[str, Any]]:
    """A row per serving that was answered: item, annotator, ranks by contestant, checks, times."""
    named = labels(campaign)
    done = Assignment.objects.filter(campaign=campaign, battle__votes__isnull=False).order_by("id")
    newest = 0
    while True:
        page = list(
            done.filter(pk__gt=newest)
            .select_related("item__prompt", "battle")
            .prefetch_related("battle__votes")[:PAGE]
        )
        if not page:
            return
        newest = page[-1].pk
        shown = _contestants([one.battle_id for one in page])
        for assignment in page:
            vote = assignment.battle.votes.all()[0]
            names = shown[assignment.battle_id]
            yield {
                "item": assignment.item_id,
                "prompt": assignment.item.prompt.key,
                "purpose": assignment.purpose or "ordinary",
                "annotator": named[assignment.annotator_id],
                "state": assignment.state,
                "kind": vote.kind,
                "ranks": dict(zip(names, vote.ranks, strict=True)) if vote.ranks else None,
                "shown": names,
                "skip_reason": vote.skip_reason,
                "correct": assignment.correct,
                "agreement": assignment.agreement,
                "wall_ms": vote.wall_ms,
                "active_ms": vote.active_ms,
                "details": vote.details,
                "voted_at": vote.created_at.isoformat(),
            }


def payments(campaign: Campaign, by: User | None = None) -> list[dict[str, Any]]:
    """What each annotator is owed, with the panel's id where there is one. On the record: it names people."""
    named = labels(campaign)
    identities = {
        one.annotator_id: json.loads(unseal(one.sealed))
        for one in PanelIdentity.objects.filter(campaign=campaign)
    }
    rows = []
    for annotator in campaign.annotators.select_related("campaign", "voter__user").order_by("id"):
        own = progress.own_progress(annotator)
        known = identities.get(annotator.pk, {})
        rows.append(
            {
                "annotator": named[annotator.pk],
                "user": annotator.voter.user.get_username() if annotator.voter.user else "",
                "participant": known.get("participant", ""),
                "session": known.get("session", ""),
                "state": annotator.state,
                "judged": own.judged,
                "skipped": own.skipped,
                "earned": "" if own.earned is None else str(own.earned),
                "currency": own.currency,
            }
        )
    audit.record(
        action="campaign payments exported", target=campaign, actor=by, details={"campaign": campaign.slug}
    )
    return rows


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV (RFC 4180); lists and objects as JSON. What a spreadsheet would run gets a ' in front."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    if rows:
        writer.writerow(rows[0].keys())
    for row in rows:
        writer.writerow([harmless(_plain(value)) for value in row.values()])
    return text.getvalue()


def _plain(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def _contestants(battles: Sequence[Any]) -> dict[Any, list[str]]:
    """Names of the contestants by battle, in the order they were shown."""
    shown: dict[Any, list[str]] = {}
    slots = Slot.objects.filter(battle__in=battles).order_by("battle", "position")
    for battle, name in slots.values_list("battle_id", "contestant__name"):
        shown.setdefault(battle, []).append(name)
    return shown
