"""`?campaign=`: the pages of leads that show the whole arena, or one campaign of it."""

from typing import Any

from django.utils.translation import gettext as _

from annotation.models import Campaign
from arena.errors import NotFound
from arena.models import Arena
from arena.views.entry import PageRequest, arena_page


def chosen_campaign(request: PageRequest, arena: Arena) -> Campaign | None:
    """The campaign that the address asks for; None for the whole arena. Raises NotFound."""
    slug = request.GET.get("campaign", "")
    if not slug:
        return None
    campaign = Campaign.objects.filter(arena=arena, slug=slug).first()
    if campaign is None:
        raise NotFound(_('There is no campaign "%(slug)s" in this arena.') % {"slug": slug})
    return campaign


def campaign_page(request: PageRequest, arena: Arena, here: str, campaign: Campaign | None) -> dict[str, Any]:
    """The context of such a page: its frame, and what there is to choose from."""
    return {
        **arena_page(request, arena, here),
        "campaign": campaign,
        "campaigns": Campaign.objects.filter(arena=arena).only("slug", "name", "arena_id"),
        "of_campaign": f"?campaign={campaign.slug}" if campaign else "",
    }
