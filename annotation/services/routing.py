"""From a judge to people: a campaign of exactly the sets on which a person would likely differ from it."""

from django.contrib.auth.models import User
from django.utils.translation import gettext as _

from annotation.models import Campaign
from annotation.services.campaigns import create_campaign
from arena.errors import BadInput
from arena.models import Judge, Slot
from arena.services.judge_report import report_on


def ask_people(*, judge: Judge, by: User | None = None) -> Campaign:
    """A draft with the sets that are worth a person, most worth it first. Raises BadInput without any.

    Sets of another size than the arena's own are left out: a campaign shows as many responses in each battle.
    """
    worth = [one["battle"] for one in report_on(judge).worth]
    shown: dict[str, list[int]] = {battle: [] for battle in worth}
    prompts: dict[str, str] = {}
    slots = Slot.objects.filter(battle__in=worth).exclude(response=None).order_by("battle", "position")
    for battle, response, key in slots.values_list("battle_id", "response_id", "response__prompt__key"):
        shown[str(battle)].append(response)
        prompts[str(battle)] = key
    chosen = [battle for battle in worth if len(shown[battle]) == judge.arena.k]
    if not chosen:
        raise BadInput(
            _("%(judge)s names no set that is worth a person. Have it judge more.") % {"judge": judge.name}
        )
    return create_campaign(
        arena=judge.arena,
        name=_("Where people may differ from %(judge)s") % {"judge": judge.name[:80]},
        by=by,
        overlap=1,
        prompt_filter={
            "sets": [shown[battle] for battle in chosen],
            "keys": sorted({prompts[battle] for battle in chosen}),
        },
    )
