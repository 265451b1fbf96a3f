import json
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from annotation.models import Campaign
from annotation.services import campaigns, exports, items, progress
from arena.errors import BadInput, NotFound
from arena.management.command import ArenaCommand
from arena.models import Arena

CHANGES: dict[str, Callable[..., Any]] = {
    "start": campaigns.start_campaign,
    "pause": campaigns.pause_campaign,
    "resume": campaigns.resume_campaign,
    "finish": campaigns.finish_campaign,
}
ACTS = ("list", "create", "preview", *CHANGES, "status", "answers", "payments")


class Command(ArenaCommand):
    help = (
        "Campaigns from the command line: create (from a JSON file of settings, see docs/campaigns.md), "
        "preview, start, pause, resume, finish, status, and the files of answers and payments."
    )
    example = "create --arena study --file campaign.json --start"

    def add_options(self, parser: ArgumentParser) -> None:
        parser.add_argument("act", choices=ACTS)
        parser.add_argument("campaign", nargs="?", help="its name in addresses; not for list and create")
        parser.add_argument("--file", type=Path, metavar="FILE", help="create: a JSON object, with name")
        parser.add_argument("--start", action="store_true", help="create: start it at once")
        parser.add_argument("--json", action="store_true", help="list, preview, status: as JSON")
        parser.add_argument("--to", type=Path, metavar="FILE", help="answers, payments: .csv or .jsonl")

    def work(self, arena: Arena, options: dict[str, Any]) -> None:
        act = options["act"]
        if act == "list":
            self._list(arena, options)
        elif act == "create":
            self._create(arena, options)
        else:
            campaign = _find(arena, options["campaign"])
            WORK.get(act, Command._change)(self, campaign, options)

    def _list(self, arena: Arena, options: dict[str, Any]) -> None:
        rows = [_facts(one) for one in arena.campaigns.order_by("id")]
        if options["json"]:
            self.stdout.write(json.dumps(rows, indent=2))
            return
        for row in rows:
            self.stdout.write(
                f"{row['campaign']:<40} {row['state']:<9} {row['votes']:>7} of {row['wanted']:,} votes"
            )
        if not rows:
            self.stdout.write(f"There is no campaign in {arena.slug} yet.")

    def _create(self, arena: Arena, options: dict[str, Any]) -> None:
        settings = _settings(options["file"])
        known = settings.pop("questions", [])
        names = settings.get("contestants", [])
        if names:
            settings["contestants"] = _ids(arena, names)
        campaign = campaigns.create_campaign(arena=arena, name=settings.pop("name", ""), **settings)
        for question in known:
            items.add_known(campaign=campaign, **question)
        if options["start"]:
            campaigns.start_campaign(campaign=campaign)
            campaign.refresh_from_db()
        self._status(campaign, options)
        if campaign.open_link:
            self.stdout.write(f"The open link: /campaigns/{campaign.slug}/join/{campaign.token}/")

    def _preview(self, campaign: Campaign, options: dict[str, Any]) -> None:
        seen = campaigns.preview(campaign)
        if options["json"]:
            facts = {**seen.__dict__, "cost": None if seen.cost is None else str(seen.cost)}
            self.stdout.write(json.dumps({**facts, "hours": round(seen.hours, 2)}, indent=2))
            return
        self.stdout.write(
            f"{seen.battles:,} battles on {seen.prompts:,} prompts, {seen.votes:,} votes with checks "
            f"by at least {seen.people:,} people: {seen.hours:.1f} hours "
            f"at {seen.seconds:.0f} seconds a battle."
        )
        for problem in seen.problems:
            self.stdout.write(problem)

    def _status(self, campaign: Campaign, options: dict[str, Any]) -> None:
        facts = _facts(campaign)
        if options["json"]:
            self.stdout.write(json.dumps(facts, indent=2))
            return
        self.stdout.write(
            f"{campaign.slug} is {facts['state']}: {facts['votes']:,} of {facts['wanted']:,} votes, "
            f"{facts['leased']:,} being judged, {facts['annotators']:,} annotators."
        )

    def _change(self, campaign: Campaign, options: dict[str, Any]) -> None:
        CHANGES[options["act"]](campaign=campaign)
        campaign.refresh_from_db()
        self._status(campaign, options)

    def _write(self, campaign: Campaign, options: dict[str, Any]) -> None:
        act, to = options["act"], options["to"]
        rows = list(exports.answers(campaign)) if act == "answers" else exports.payments(campaign)
        if to is not None and to.suffix not in (".csv", ".jsonl"):
            raise BadInput(f"{to.name}: the file's name ends in .csv or .jsonl.")
        lines = to is not None and to.suffix == ".jsonl"
        text = (
            "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
            if lines
            else exports.as_csv(rows)
        )
        if to is None:
            self.stdout.write(text, ending="")
            return
        to.write_text(text, newline="")
        self.stdout.write(f"{len(rows):,} rows are in {to}.")


WORK = {
    "status": Command._status,
    "preview": Command._preview,
    "answers": Command._write,
    "payments": Command._write,
}


def _find(arena: Arena, slug: str | None) -> Campaign:
    found = Campaign.objects.select_related("arena").filter(arena=arena, slug=slug or "").first()
    if found is None:
        known = ", ".join(arena.campaigns.order_by("slug").values_list("slug", flat=True))
        raise NotFound(f'There is no campaign "{slug or ""}" in {arena.slug}. Known are: {known or "none"}.')
    return found


def _settings(file: Path | None) -> dict[str, Any]:
    if file is None:
        raise BadInput("Name the file of the settings: --file campaign.json")
    try:
        data = json.loads(file.read_text())
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise BadInput(f"{file} is not valid JSON: {error}.") from None
    if not isinstance(data, dict) or not str(data.get("name", "")).strip():
        raise BadInput(f'{file} holds a JSON object with at least a "name".')
    return data


def _ids(arena: Arena, names: list[str]) -> list[int]:
    """Contestants' ids by name. Raises NotFound for the first that is not there."""
    known = dict(arena.contestants.values_list("name", "id"))
    for name in names:
        if name not in known:
            raise NotFound(f'There is no contestant "{name}" in {arena.slug}. Known are: {", ".join(known)}.')
    return [known[name] for name in names]


def _facts(campaign: Campaign) -> dict[str, Any]:
    seen = progress.progress_of(campaign)
    return {
        "campaign": campaign.slug,
        "state": str(campaign.state),
        "votes": seen.votes,
        "wanted": seen.wanted,
        "leased": seen.leased,
        "skipped": seen.skipped,
        "annotators": campaign.annotators.count(),
    }
