"""Campaigns from the draft to the end: what a lead sets, starts, rests and ends."""

import secrets
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import comb
from statistics import median
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext as _

from annotation.models import Annotator, Campaign
from annotation.services import crowd, items, progress
from annotation.services.thresholds import parse_rules, stored
from arena.errors import BadInput
from arena.models import Arena, Prompt, Vote
from arena.services import audit
from arena.services.voters import voter_of_user

State = Campaign.State
# While it runs these may change; what the battles are is fixed at the start.
ALWAYS = {
    "name", "instructions", "opens_at", "closes_at", "lease_minutes", "most_each", "rules", "open_link",
    "pay_per_battle", "currency", "panel", "panel_settings", "code_complete", "code_screened_out",
    "batch", "repeat_gap",
}  # fmt: skip
AT_DRAFT = {
    "slug", "prompt_filter", "contestants", "k", "method", "overlap", "per_prompt", "gold_every",
    "repeat_every", "checks_every", "pass_mark", "tries",
}  # fmt: skip
TYPICAL_SECONDS = 20  # per response of a battle, until the arena has votes to go by
RECENT_VOTES = 500
CODE_ALPHABET = string.ascii_uppercase.replace("I", "").replace("O", "") + "23456789"
LARGEST_OVERLAP = 1000


@dataclass(frozen=True)
class Preview:
    """What the settings mean: shown before the start. `seconds` is per battle; `measured` says whose."""

    prompts: int
    contestants: int
    battles: int
    votes: int
    people: int
    seconds: float
    measured: bool
    cost: Decimal | None
    problems: tuple[str, ...]

    @property
    def hours(self) -> float:
        return self.votes * self.seconds / 3600

    @property
    def hours_each(self) -> float:
        return self.hours / self.people if self.people else 0.0


def create_campaign(*, arena: Arena, name: str, by: User | None = None, **fields: Any) -> Campaign:
    """A draft. Raises BadInput for a setting that is not known or cannot be."""
    campaign = Campaign(arena=arena, name=" ".join(name.split()), created_by=by, k=arena.k)
    campaign.slug = fields.pop("slug", "") or _free_slug(campaign.name)
    campaign.code_complete, campaign.code_screened_out = make_code(), make_code()
    _set(campaign, fields, AT_DRAFT | ALWAYS)
    with transaction.atomic():
        try:
            with transaction.atomic():
                campaign.save()
        except IntegrityError:
            raise BadInput(
                _("There is a campaign named %s in addresses. Choose another name.") % campaign.slug
            ) from None
        audit.record(
            action="campaign created", target=campaign, actor=by, details={"campaign": campaign.slug}
        )
    return campaign


def change_campaign(*, campaign: Campaign, by: User | None = None, **fields: Any) -> Campaign:
    """Change settings: all of a draft, those that leave the battles alone of one that was started."""
    allowed = AT_DRAFT | ALWAYS if campaign.state == State.DRAFT else ALWAYS
    fixed = sorted(
        name for name in set(fields) & AT_DRAFT - allowed if fields[name] != getattr(campaign, name)
    )
    if fixed:
        raise BadInput(_("Fixed since the campaign was started: %s.") % ", ".join(fixed))
    changed = {name: value for name, value in fields.items() if name in allowed}
    if unknown := set(fields) - AT_DRAFT - ALWAYS:
        raise BadInput(_("A campaign has no setting %s.") % ", ".join(sorted(unknown)))
    _set(campaign, changed, allowed)
    campaign.save(update_fields=sorted(changed))
    audit.record(
        action="campaign changed",
        target=campaign,
        actor=by,
        details={"campaign": campaign.slug, "settings": sorted(changed)},
    )
    return campaign


def preview(campaign: Campaign) -> Preview:
    """How many battles, votes, hours and how much pay the settings mean."""
    pools = items.pools_of(campaign)
    contestants = items.contestants_of(campaign)
    battles = _battles(campaign, [len(pool.responses) for pool in pools])
    votes = battles * campaign.overlap
    seconds, measured = _seconds_per_battle(campaign)
    # Checks and repeats are battles too, and nobody judges an item twice.
    share = sum(
        1 / every for every in (campaign.gold_every, campaign.repeat_every, campaign.checks_every) if every
    )
    asked = round(votes * (1 + share))
    each = campaign.most_each or max(1, battles)
    return Preview(
        prompts=len(pools),
        contestants=len(contestants),
        battles=battles,
        votes=asked,
        people=max(campaign.overlap, -(-asked // each)) if battles else 0,
        seconds=seconds,
        measured=measured,
        cost=None if campaign.pay_per_battle is None else campaign.pay_per_battle * asked,
        problems=tuple(_problems(campaign, len(pools), len(contestants), battles)),
    )


def start_campaign(*, campaign: Campaign, by: User | None = None) -> Campaign:
    """Fix what is judged, draw the first battles and open the campaign.

    Raises BadInput with what is missing.
    """
    seen = preview(campaign)
    if seen.problems:
        raise BadInput(" ".join(seen.problems))
    with transaction.atomic():
        drafts = Campaign.objects.filter(pk=campaign.pk, state=State.DRAFT)
        if not drafts.update(state=State.RUNNING, started_at=timezone.now(), target=seen.battles):
            raise BadInput(_("The campaign was started already."))
        campaign.refresh_from_db()
        campaign.plan = _plan(campaign)
        campaign.save(update_fields=["plan"])
        if campaign.method == Campaign.Method.ALL or campaign.prompt_filter.get("sets"):
            made = items.lay_out_all(campaign)
            Campaign.objects.filter(pk=campaign.pk).update(drawn=made, target=made)
        else:
            items.more_items(campaign)
        items.add_checks(campaign)
        campaign.refresh_from_db()
        audit.record(
            action="campaign started",
            target=campaign,
            actor=by,
            details={"campaign": campaign.slug, "battles": campaign.target, "votes": campaign.votes_wanted},
        )
    return campaign


def pause_campaign(*, campaign: Campaign, by: User | None = None) -> None:
    """Serve and take nothing for a while. Leases stay: whoever comes back in time goes on."""
    _change_state(campaign, [State.RUNNING], State.PAUSED, "campaign paused", by)


def resume_campaign(*, campaign: Campaign, by: User | None = None) -> None:
    """Go on, after a pause or because votes of a finished campaign were ruled out since."""
    if progress.is_complete(campaign):
        raise BadInput(_("The campaign has all the votes it wants."))
    if campaign.closes_at is not None and campaign.closes_at <= timezone.now():
        raise BadInput(_("The time at which it closes has passed."))
    _change_state(campaign, [State.PAUSED, State.FINISHED], State.RUNNING, "campaign resumed", by)
    Campaign.objects.filter(pk=campaign.pk).update(ended_because="", finished_at=None)


def finish_campaign(*, campaign: Campaign, by: User | None = None) -> None:
    """End it early: nothing more is served, and votes under way still count."""
    _change_state(campaign, [State.RUNNING, State.PAUSED], State.FINISHED, "campaign finished early", by)
    Campaign.objects.filter(pk=campaign.pk).update(finished_at=timezone.now())


def invite(*, campaign: Campaign, users: Iterable[User], by: User | None = None) -> int:
    """Let these users take part. How many are new."""
    new = 0
    for user in users:
        _annotator, made = Annotator.objects.get_or_create(campaign=campaign, voter=voter_of_user(user))
        new += made
    audit.record(
        action="annotators invited",
        target=campaign,
        actor=by,
        details={"campaign": campaign.slug, "new": new},
    )
    return new


def new_link(*, campaign: Campaign, by: User | None = None) -> Campaign:
    """Another open link; the one before leads nowhere any more."""
    campaign.token = secrets.token_urlsafe(16)
    campaign.save(update_fields=["token"])
    audit.record(
        action="campaign link renewed", target=campaign, actor=by, details={"campaign": campaign.slug}
    )
    return campaign


def make_code() -> str:
    """A code of 8 characters that cannot be misread, 40 bits."""
    return "".join(secrets.choice(CODE_ALPHABET) for _ in range(8))


def _change_state(campaign: Campaign, frm: list[str], to: str, action: str, by: User | None) -> None:
    if not Campaign.objects.filter(pk=campaign.pk, state__in=frm).update(state=to):
        campaign.refresh_from_db(fields=["state"])
        raise BadInput(
            _("The campaign is %s: this cannot be done now.") % campaign.get_state_display().lower()
        )
    campaign.state = to
    audit.record(action=action, target=campaign, actor=by, details={"campaign": campaign.slug})


def _set(campaign: Campaign, fields: Mapping[str, Any], allowed: set[str]) -> None:
    if unknown := set(fields) - allowed:
        raise BadInput(_("A campaign has no setting %s.") % ", ".join(sorted(unknown)))
    # No form asks for these: they were named when the campaign was made, and stay.
    sets = campaign.prompt_filter.get("sets", [])
    for name, value in fields.items():
        setattr(campaign, name, value)
    if sets and isinstance(campaign.prompt_filter, dict):
        campaign.prompt_filter.setdefault("sets", sets)
    campaign.rules = stored(parse_rules(campaign.rules))
    campaign.prompt_filter = _checked_filter(campaign.prompt_filter)
    campaign.panel_settings = crowd.checked_settings(campaign.panel, campaign.panel_settings)
    try:
        # Whether the slug is free is found out when it is stored.
        campaign.clean_fields(exclude=["prompt_filter", "contestants", "rules", "plan", "panel_settings"])
    except ValidationError as error:
        lines = [f"{name}: {' '.join(said)}" for name, said in error.message_dict.items()]
        raise BadInput(" ".join(lines)) from None
    _check_together(campaign)


def _check_together(campaign: Campaign) -> None:
    if campaign.overlap > LARGEST_OVERLAP:
        raise BadInput(_("More than %s votes per battle are not needed.") % LARGEST_OVERLAP)
    if campaign.opens_at and campaign.closes_at and campaign.closes_at <= campaign.opens_at:
        raise BadInput(_("The campaign closes before it opens. Change one of the two times."))
    if campaign.pay_per_battle is not None and not campaign.currency:
        raise BadInput(_("Give the currency of the pay, such as EUR."))
    for every in ("gold_every", "repeat_every", "checks_every"):
        if getattr(campaign, every) == 1:
            raise BadInput(_("%s: one in 1 would be all battles. Set 0 for none, or 2 and more.") % every)
    known = set(campaign.arena.contestants.values_list("id", flat=True))
    if not set(campaign.contestants) <= known:
        raise BadInput(_("A chosen contestant is not of this arena."))


def _checked_filter(chosen: Any) -> dict[str, Any]:
    if not isinstance(chosen, Mapping) or set(chosen) - {"tags", "split", "keys", "most", "sets"}:
        raise BadInput(_("Prompts are chosen by tags, split, keys and most."))
    most = chosen.get("most")
    if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
        raise BadInput(_("The number of prompts is a whole number from 1."))
    if chosen.get("split") and chosen["split"] not in Prompt.Split.values:
        raise BadInput(_("The split is train or held_out, not %s.") % chosen["split"])
    for name in ("tags", "keys"):
        value = chosen.get(name, [])
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise BadInput(_("%s is a list of texts.") % name)
    return {name: value for name, value in chosen.items() if value}


def _problems(campaign: Campaign, prompts: int, contestants: int, battles: int) -> Iterable[str]:
    if contestants < campaign.k:
        yield _("A battle of %(k)s needs as many contestants; chosen are %(n)s.") % {
            "k": campaign.k,
            "n": contestants,
        }
    elif not prompts:
        yield _("No chosen prompt has responses of %s chosen contestants yet.") % campaign.k
    if battles > items.MOST_ITEMS:
        yield _(
            "That are %(n)s battles; a campaign has at most %(most)s. Choose fewer prompts or contestants."
        ) % {
            "n": battles,
            "most": items.MOST_ITEMS,
        }
    if campaign.gold_every and not _has_gold(campaign):
        yield _("Gold questions are on, but there are none. Add some, or set their rate to 0.")
    if campaign.closes_at is not None and campaign.closes_at <= timezone.now():
        yield _("The time at which it closes has passed.")


def _has_gold(campaign: Campaign) -> bool:
    return campaign.items.filter(purpose="gold", retired_at=None).exclude(origin=items.INSTRUCTION).exists()


def _battles(campaign: Campaign, answered: list[int]) -> int:
    if campaign.prompt_filter.get("sets"):
        return len(items.sets_of(campaign))
    possible = [comb(n, campaign.k) for n in answered]
    if campaign.method == Campaign.Method.ALL:
        return sum(possible)
    return sum(min(campaign.per_prompt, n) for n in possible)


def _plan(campaign: Campaign) -> list[int]:
    """One prompt per battle, every prompt once before any comes again; for all combinations each once."""
    pools = items.pools_of(campaign)
    rounds = campaign.per_prompt if campaign.method == Campaign.Method.DRAWN else 1
    return [
        pool.prompt
        for turn in range(rounds)
        for pool in pools
        if turn < comb(len(pool.responses), campaign.k)
    ]


def _seconds_per_battle(campaign: Campaign) -> tuple[float, bool]:
    recent = Vote.objects.filter(
        arena=campaign.arena, battle__k=campaign.k, wall_ms__gt=0, voter__kind="person"
    )
    newest = recent.order_by("-id").values_list("wall_ms", flat=True)[:RECENT_VOTES]
    times = [wall_ms for wall_ms in newest if wall_ms is not None]
    if len(times) >= 20:
        return median(times) / 1000, True
    return float(TYPICAL_SECONDS * campaign.k), False


def _free_slug(name: str) -> str:
    slug = slugify(name)[:40] or "campaign"
    if not Campaign.objects.filter(slug=slug).exists():
        return slug
    return f"{slug}-{secrets.token_hex(3)}"
