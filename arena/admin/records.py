from django.contrib import admin

from arena.admin.parts import ReadOnlyAdmin
from arena.models import AuditEntry, Leaderboard


@admin.register(Leaderboard)
class LeaderboardAdmin(ReadOnlyAdmin):
    list_display = ["id", "arena", "last_vote", "method", "created_at"]
    list_filter = ["arena"]
    list_select_related = ["arena"]


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ["at", "actor", "action", "target"]
    list_filter = ["action", "at"]
    list_select_related = ["actor"]
    search_fields = ["target", "action"]
