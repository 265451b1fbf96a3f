"""What a voter has filled in and not sent: kept with the open battle until the vote."""

import json
from collections.abc import Mapping, Sequence

from django.utils.translation import gettext as _

from arena.errors import BadInput, BattleClosed, NotYourBattle
from arena.models import Battle, Draft, Voter

LARGEST_DRAFT = 256 * 1024
Fields = Mapping[str, Sequence[str]]


def save_draft(*, battle: Battle, voter: Voter | None, form: Fields) -> None:
    """Keep the fields of the form, in place of what was kept before.

    Raises NotYourBattle, BattleClosed where it has ended, and BadInput where it is too large.
    """
    if voter is None or battle.voter_id != voter.pk:
        raise NotYourBattle(_("This battle was served to somebody else. Start your own to vote."))
    if battle.closed_at is not None:
        raise BattleClosed(_("This battle has ended. Start a new one to vote."))
    kept = {name: [str(value) for value in values] for name, values in form.items()}
    if len(json.dumps(kept)) > LARGEST_DRAFT:
        raise BadInput(_("What you have written is too long to be kept. Shorten it."))
    Draft.objects.update_or_create(battle=battle, defaults={"form": kept})


def draft_of(battle: Battle) -> dict[str, list[str]]:
    """The fields that were kept for this battle, by name; none where there is no draft."""
    draft = getattr(battle, "draft", None)  # a battle without one has no such attribute
    return dict(draft.form) if draft else {}
