"""What the voting page shows, wherever it stands: the battle to judge, and what comes after the vote.

An arena's own page, a campaign's and a preview share this; they differ in the addresses, `Places`.
"""

import secrets
from dataclasses import dataclass
from typing import Any

from django.urls import reverse
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext as _

from annotation import form_parts
from annotation.ballot_form import (
    Fields,
    active_ms,
    answer_in,
    details_in,
    guidelines_number,
    kept_fields,
)
from arena.api.errors import status_of
from arena.errors import AlreadyVoted, ArenaError, BattleClosed
from arena.models import Arena, Battle, Vote, Voter
from arena.services import channels
from arena.services.ballots import Ballot
from arena.services.battles import blind_view
from arena.services.drafts import draft_of, save_draft
from arena.services.guidelines import shown_version
from arena.services.judgement import Judgement
from arena.services.undo import may_undo
from arena.services.votes import cast_vote, reveal

BATTLE, REVEAL = "annotation/_battle.html", "annotation/_reveal.html"
Stage = dict[str, Any]


@dataclass(frozen=True)
class Places:
    """Where the form goes and what comes next.

    `home` shows the voter's battle as a page, `next` as a fragment fetched ahead; `cast` takes the
    form. Below `votes` lie a vote's own page (BATTLE/), BATTLE/undo/ and BATTLE/names/. `board`
    is empty where there is no leaderboard to go to; `ahead` gives the battle after the one that is being
    judged, and is empty where none may be drawn before the vote.
    """

    home: str
    next: str
    cast: str
    votes: str
    board: str = ""
    ahead: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of a form: the vote, if one was taken, and what to show with which status."""

    stage: Stage
    status: int = 200
    vote: Vote | None = None


def arena_places(arena: Arena) -> Places:
    """The addresses of free voting."""
    return Places(
        home=reverse("vote", args=[arena.slug]),
        next=reverse("next_battle", args=[arena.slug]),
        cast=reverse("cast", args=[arena.slug]),
        votes=reverse("votes", args=[arena.slug]),
        board=reverse("leaderboard", args=[arena.slug]),
        ahead=reverse("next_battle", args=[arena.slug]) + "?ahead",
    )


def cast_form(*, form: Fields, battle: Battle, voter: Voter, places: Places) -> Outcome:
    """Take the vote in the form. Where it is refused the form is shown as it was, with the reason."""
    blind = blind_view(battle)
    number, asked = shown_version(battle=battle, number=guidelines_number(form))
    if form.get("answer") == "preview":
        return Outcome(_form_again(battle, blind, places, form))
    try:
        vote = cast_vote(
            battle=battle,
            voter=voter,
            ballot=Ballot.parse(answer_in(form, blind, asked), battle.k),
            idempotency_key=form.get("idempotency_key"),
            active_ms=active_ms(form),
            details=details_in(form, blind, asked),
            guidelines=number,
        )
    except ArenaError as error:
        stage = _form_again(battle, blind, places, form)
        stage |= {"problem": str(error), "over": isinstance(error, AlreadyVoted | BattleClosed)}
        return Outcome(stage, status_of(error))
    return Outcome(after_stage(vote, places), vote=vote)


def battle_stage(battle: Battle, places: Places, form: Fields | None = None) -> Stage:
    """A battle before the vote, as it was filled in: made of the blind view and nothing else."""
    blind = blind_view(battle)
    if form is None:
        form = MultiValueDict(draft_of(battle))
    number, asked = shown_version(battle=battle, number=guidelines_number(form))
    return {**form_stage(blind, asked, places, form), "guidelines_number": number or ""}


def form_stage(blind: dict[str, Any], asked: Judgement, places: Places, form: Fields) -> Stage:
    """The form itself, of any blind view: a preview has one that is not in the database."""
    return {
        "stage": BATTLE,
        "battle": blind,
        "asked": asked,
        "places": places,
        "cards": form_parts.cards(blind, asked, form),
        "overall": form_parts.overall(blind, asked, form),
        "idempotency_key": secrets.token_urlsafe(16),
        "problem": "",
        "over": False,
    }


def after_stage(vote: Vote, places: Places) -> Stage:
    """After the vote: while it can be taken back the names stay hidden; then what may be told."""
    if not may_undo(vote):
        return reveal_stage(vote, places)
    tells = vote.arena.reveal == Arena.Reveal.AFTER_VOTE and channels.may_tell(vote.battle)
    ranks = vote.ranks or [None] * vote.battle.k
    slots = [{"rank": rank, "contestant": None} for rank in ranks]
    stage = _revealed(vote, places, slots, _thanks(vote, told=False))
    return {**stage, "may_undo": True, "may_ask_names": tells and vote.kind != Vote.Kind.SKIP}


def reveal_stage(vote: Vote, places: Places) -> Stage:
    """The same cards in the same order, with what may be told."""
    told = reveal(vote)
    return _revealed(vote, places, told["slots"], _thanks(vote, told=told["revealed"]))


def _revealed(vote: Vote, places: Places, slots: list[dict[str, Any]], title: str) -> Stage:
    blind = blind_view(vote.battle)
    faces = [form_parts.face(slot) for slot in blind["slots"]]
    return {
        "stage": REVEAL,
        "battle": blind,
        "places": places,
        "cards": [
            {**face, **slot, "is_best": slot["rank"] == 1} for face, slot in zip(faces, slots, strict=True)
        ],
        "title": title,
        "best_only": vote.kind == Vote.Kind.BEST,
    }


def _thanks(vote: Vote, *, told: bool) -> str:
    if vote.kind == Vote.Kind.SKIP:
        return _("Skipped. Thank you for saying so.")
    if told:
        return _("Your vote is in. These are the models and their ratings now.")
    return _("Your vote is in. Thank you.")


def _form_again(battle: Battle, blind: dict[str, Any], places: Places, form: Fields) -> Stage:
    stage = battle_stage(battle, places, form)
    stage["idempotency_key"] = form.get("idempotency_key") or stage["idempotency_key"]
    return stage


def keep_draft(*, form: Fields, battle: Battle, voter: Voter | None) -> None:
    """Keep what is filled in, without what belongs to one sending alone."""
    save_draft(battle=battle, voter=voter, form=kept_fields(form))
