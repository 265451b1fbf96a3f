from django import forms
from django.contrib import admin
from django.contrib.admin.helpers import ActionForm
from django.db.models import QuerySet
from django.http import HttpRequest

from arena.admin.parts import ReadOnlyAdmin, ReadOnlyInline, do_for_each, signed_in
from arena.models import Battle, Slot, Vote, Voter, VoteRuling
from arena.services.votes import rule_on_vote


class RulingForm(ActionForm):
    reason = forms.CharField(
        required=False, max_length=300, label="Reason", help_text="For taking votes out or putting them back."
    )


class RulingInline(ReadOnlyInline):
    model = VoteRuling
    fields = ["action", "reason", "by", "created_at"]
    readonly_fields = ["created_at"]


@admin.register(Vote)
class VoteAdmin(ReadOnlyAdmin):
    """Votes are never changed; a ruling takes one out of the count, or puts it back."""

    action_form = RulingForm
    list_display = ["id", "arena", "kind", "ranks", "voter", "wall_ms", "created_at"]
    list_filter = ["arena", "kind", "created_at"]
    list_select_related = ["arena", "voter__user"]
    inlines = [RulingInline]
    actions = ["quarantine", "restore"]

    def has_change_permission(self, request: HttpRequest, obj: Vote | None = None) -> bool:
        # Staff with the right to change votes may rule on them in the list; its own page is to be read.
        return obj is None and admin.ModelAdmin.has_change_permission(self, request)

    @admin.action(description="Take out of the count (give a reason)", permissions=["change"])
    def quarantine(self, request: HttpRequest, votes: QuerySet[Vote]) -> None:
        _rule(request, votes, VoteRuling.Action.QUARANTINED, "Votes taken out of the count")

    @admin.action(description="Put back into the count (give a reason)", permissions=["change"])
    def restore(self, request: HttpRequest, votes: QuerySet[Vote]) -> None:
        _rule(request, votes, VoteRuling.Action.RESTORED, "Votes put back into the count")


def _rule(request: HttpRequest, votes: QuerySet[Vote], action: str, done: str) -> None:
    reason = request.POST.get("reason", "")
    do_for_each(
        request,
        votes.select_related("arena", "voter"),
        lambda vote: rule_on_vote(vote=vote, action=action, reason=reason, by=signed_in(request)),
        done,
    )


class SlotInline(ReadOnlyInline):
    model = Slot
    fields = ["position", "contestant", "response"]


@admin.register(Battle)
class BattleAdmin(ReadOnlyAdmin):
    list_display = ["id", "arena", "prompt", "k", "strategy", "voter", "created_at", "closed_at"]
    list_filter = ["arena", "strategy"]
    list_select_related = ["arena", "prompt", "voter__user"]
    inlines = [SlotInline]


@admin.register(Voter)
class VoterAdmin(ReadOnlyAdmin):
    list_display = ["pseudonym", "kind", "user", "created_at"]
    list_filter = ["kind"]
    list_select_related = ["user"]
    search_fields = ["pseudonym", "user__username"]
