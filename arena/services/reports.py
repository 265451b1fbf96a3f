"""Reports of voters that something is wrong with a response. The battle stays open."""

from collections.abc import Sequence

from django.contrib.auth.models import User
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from arena.errors import BadInput, NotFound, NotYourBattle
from arena.models import Arena, Battle, Report, Voter
from arena.services.guidelines import shown_version
from arena.services.rendering import normalise_text

TAGS = {
    "harmful": gettext_lazy("Harmful or hateful"),
    "personal": gettext_lazy("Personal data"),
    "broken": gettext_lazy("Broken or empty"),
    "language": gettext_lazy("Not in the language of the prompt"),
    "identity": gettext_lazy("Says which model it is"),
    "other": gettext_lazy("Something else"),
}
LONGEST_TEXT = 2000


def report_response(
    *, battle: Battle, voter: Voter | None, token: str, tags: Sequence[str], text: str = ""
) -> Report:
    """Note what is wrong with the response under `token`; a second report replaces the first.

    Raises NotYourBattle, NotFound for a token of elsewhere, and BadInput.
    """
    if voter is None or battle.voter_id != voter.pk:
        raise NotYourBattle(_("This battle was served to somebody else. Start your own to vote."))
    if not shown_version(battle=battle, number=None)[1].report:
        raise BadInput(_("This arena takes no reports."))
    slot = battle.slots.filter(token=token).first()
    if slot is None:
        raise NotFound(_("The response you report is not of this battle. Reload the page."))
    unknown = [tag for tag in tags if tag not in TAGS]
    if unknown:
        raise BadInput(_("There is no such thing to report: %(tag)s.") % {"tag": unknown[0][:40]})
    text = normalise_text(text)
    if not tags and not text:
        raise BadInput(_("Say what is wrong: tick something or write a few words."))
    if len(text) > LONGEST_TEXT:
        raise BadInput(_("The report is longer than %(n)s characters.") % {"n": LONGEST_TEXT})
    report, _made = Report.objects.update_or_create(
        slot=slot, voter=voter, defaults={"tags": list(dict.fromkeys(tags)), "text": text}
    )
    return report


def reports_of(arena: Arena) -> models.QuerySet[Report]:
    """Newest first, those that nobody has settled before the others."""
    return (
        Report.objects.filter(slot__battle__arena=arena)
        .select_related("slot__contestant", "slot__response", "slot__battle__prompt", "settled_by")
        .order_by(models.F("settled_at").asc(nulls_first=True), "-id")
    )


def settle_report(*, arena: Arena, pk: int, by: User | None) -> Report:
    """Mark a report as looked at, or open it again."""
    report = reports_of(arena).filter(pk=pk).first()
    if report is None:
        raise NotFound(_("There is no such report in this arena."))
    settled = report.settled_at is None
    report.settled_at, report.settled_by = (timezone.now(), by) if settled else (None, None)
    report.save(update_fields=["settled_at", "settled_by"])
    return report
