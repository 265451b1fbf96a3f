"""Which guidelines and which form a voter had: every change is a new version, and votes name theirs."""

from dataclasses import replace
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from arena.errors import BadInput
from arena.models import Arena, Battle, GuidelineVersion
from arena.services import audit
from arena.services.judgement import Judgement, check_for_arena, judgement_data, parse_judgement
from arena.services.rewrites import let_compete

LONGEST_GUIDELINES = 50_000


def current_version(arena: Arena) -> GuidelineVersion | None:
    """The version in force; None where there never was anything to be told or asked beside the order.

    Whatever way the arena was changed by, the first reader after the change numbers it.
    """
    newest = arena.guideline_versions.order_by("-number").first()
    if newest is None and not arena.guidelines and not arena.judgement:
        return None
    if newest is not None and (newest.text, newest.judgement) == (arena.guidelines, arena.judgement):
        return newest
    return _new_version(arena, newest, None)


def shown_version(*, battle: Battle, number: int | None) -> tuple[int | None, Judgement]:
    """The version that the voter had on the page, and its form.

    `number` is what the page sent. It holds where it is in force, or was when the battle was
    served; otherwise the one in force does.
    """
    current = current_version(battle.arena)
    if current is None:
        return None, Judgement()
    if number is not None and number != current.number:
        after = battle.arena.guideline_versions.filter(number=number + 1).first()
        if after is not None and after.created_at > battle.created_at:
            before = battle.arena.guideline_versions.filter(number=number).first()
            return number, _for_battle(parse_judgement(before.judgement if before else {}), battle)
    return current.number, _for_battle(parse_judgement(current.judgement), battle)


def _for_battle(form: Judgement, battle: Battle) -> Judgement:
    """Strength compares two; where somebody asked for more responses they are ranked."""
    return form if form.ask != "strength" or battle.k == 2 else replace(form, ask="ranking")


@transaction.atomic
def revise(
    *, arena: Arena, by: User | None, text: str | None = None, form: Judgement | None = None
) -> GuidelineVersion | None:
    """Change the guidelines, the form or both. Raises BadInput; the same again makes no new version."""
    current_version(arena)  # what was in force until now gets its number first
    if text is not None:
        if len(text) > LONGEST_GUIDELINES:
            raise BadInput(_("The guidelines are longer than %(n)s characters.") % {"n": LONGEST_GUIDELINES})
        arena.guidelines = text.replace("\r\n", "\n").strip()
    if form is not None:
        check_for_arena(form, arena)
        arena.judgement = {} if form == Judgement() else judgement_data(form)
        let_compete(arena=arena, compete=form.rewrites_compete)
    arena.save(update_fields=["guidelines", "judgement"])
    newest = arena.guideline_versions.order_by("-number").first()
    if newest is None and not arena.guidelines and not arena.judgement:
        return None
    if newest is not None and (newest.text, newest.judgement) == (arena.guidelines, arena.judgement):
        return newest
    version = _new_version(arena, newest, by)
    audit.record(action="guidelines revised", target=arena, actor=by, details={"version": version.number})
    return version


def _new_version(arena: Arena, newest: GuidelineVersion | None, by: User | None) -> GuidelineVersion:
    fields: dict[str, Any] = {"text": arena.guidelines, "judgement": arena.judgement}
    number = 1 + (newest.number if newest else 0)
    try:
        with transaction.atomic():
            return GuidelineVersion.objects.create(arena=arena, number=number, created_by=by, **fields)
    except IntegrityError:
        # Two readers came first after the change; the other one has numbered it.
        return GuidelineVersion.objects.get(arena=arena, number=number)
