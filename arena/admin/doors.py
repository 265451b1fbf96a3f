"""What leads from an arena outwards, and into it: webhooks with their messages, and invitations.

Secrets are no fields of these pages. Leads change them on the pages of their arena.
"""

from django.contrib import admin

from arena.admin.parts import ReadOnlyAdmin
from arena.models import Invitation, Webhook, WebhookDelivery


@admin.register(Webhook)
class WebhookAdmin(ReadOnlyAdmin):
    list_display = ["url", "arena", "events", "paused_at", "created_by", "created_at"]
    list_filter = ["arena"]
    list_select_related = ["arena", "created_by"]
    search_fields = ["url"]


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyAdmin):
    list_display = ["message", "webhook", "event", "state", "attempts", "status", "error", "created_at"]
    list_filter = ["state", "event", "webhook__arena"]
    list_select_related = ["webhook"]
    search_fields = ["message", "error"]


@admin.register(Invitation)
class InvitationAdmin(ReadOnlyAdmin):
    list_display = [
        "__str__", "arena", "role", "uses", "max_uses", "expires_at", "revoked_at", "created_by",
    ]  # fmt: skip
    list_filter = ["arena", "role"]
    list_select_related = ["arena", "created_by"]
    search_fields = ["note", "email"]
