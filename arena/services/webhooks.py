"""Telling other systems what happens in an arena: Standard Webhooks (standardwebhooks.com, 1.0).

A message is a row written in the transaction of what it tells of, so that one cannot be
without the other; `deliver_due` sends it afterwards, from the keeper of a worker and never
from a request. It may arrive twice or out of order: receivers drop doubles by `webhook-id`.
"""

import base64
import hashlib
import hmac
import json
import logging
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from arena.errors import BadInput, NotFound
from arena.models import Arena, Webhook, WebhookDelivery
from arena.outbound import Limits, OutboundError, Refused, Rules, Session, check_url
from arena.sealing import seal, unseal
from arena.services import audit

log = logging.getLogger(__name__)

# What can be told, and when.
EVENTS = {
    "vote.cast": gettext_noop("A vote was cast"),
    "campaign.completed": gettext_noop("A campaign has all its votes"),
    "campaign.closed": gettext_noop("A campaign ended without all its votes"),
    "annotator.flagged": gettext_noop("An annotator was warned, paused or excluded"),
    "data_set.completed": gettext_noop("A data set was written"),
    "training_run.completed": gettext_noop("A training run ended"),
}
TEST = "webhook.test"
# Seconds after the try before; then it is given up.
WAITS = (0, 5, 30, 120, 600, 3600)
LEASE = timedelta(seconds=60)
KEPT = timedelta(days=30)
LIMITS = Limits(connect=5.0, silence=10.0, whole=15.0, largest=2**16)
BATCH = 20
PREFIX = "whsec_"
State = WebhookDelivery.State


def add_webhook(*, arena: Arena, url: str, events: list[str], by: User) -> tuple[Webhook, str]:
    """A new webhook and its secret, which is never shown again. Raises BadInput for a bad address."""
    _check(url, events)
    secret = _new_secret()
    hook = Webhook.objects.create(
        arena=arena, url=url, events=_in_order(events), sealed_secret=seal(secret), created_by=by
    )
    audit.record(action="webhook added", target=hook, actor=by, details={"arena": arena.slug, "url": url})
    return hook, secret


def change_webhook(*, hook: Webhook, url: str, events: list[str], paused: bool, by: User) -> Webhook:
    _check(url, events)
    hook.url, hook.events = url, _in_order(events)
    hook.paused_at = (hook.paused_at or timezone.now()) if paused else None
    hook.save(update_fields=["url", "events", "paused_at"])
    audit.record(action="webhook changed", target=hook, actor=by, details={"url": url, "paused": paused})
    return hook


def renew_secret(*, hook: Webhook, by: User) -> str:
    """A new secret; what is sent from now on is signed with it."""
    secret = _new_secret()
    hook.sealed_secret = seal(secret)
    hook.save(update_fields=["sealed_secret"])
    audit.record(action="webhook secret renewed", target=hook, actor=by)
    return secret


def remove_webhook(*, hook: Webhook, by: User) -> None:
    """Remove it with what it has not sent yet."""
    audit.record(action="webhook removed", target=hook, actor=by, details={"url": hook.url})
    hook.delete()


def emit(*, arena: Arena, event: str, data: Mapping[str, Any]) -> int:
    """Write the messages of one event, inside the caller's transaction. Gives how many there are.

    One look-up where nobody listens: this stands in the path of every vote.
    """
    hooks = [hook for hook in Webhook.objects.filter(arena=arena, paused_at=None) if event in hook.events]
    WebhookDelivery.objects.bulk_create(_message(hook, event, arena.slug, data) for hook in hooks)
    return len(hooks)


def send_test(*, hook: Webhook) -> WebhookDelivery:
    """Queue a message that says it is a test."""
    message = _message(hook, TEST, hook.arena.slug, {"sentence": "It works: this is a test."})
    message.save()
    return message


def send_again(*, delivery: WebhookDelivery) -> WebhookDelivery:
    """Queue a delivered or given-up message once more, under the same id. Raises BadInput while it waits."""
    again = WebhookDelivery.objects.filter(pk=delivery.pk).exclude(state=State.WAITING)
    if not again.update(state=State.WAITING, attempts=0, due_at=timezone.now(), error="", delivered_at=None):
        raise BadInput(_("This message is still being sent."))
    delivery.refresh_from_db()
    return delivery


def deliver_due(limit: int = BATCH) -> int:
    """Send what is due. Gives how many were tried. Safe to run in several places at once.

    Each message is claimed by moving `due_at` on: who dies with it loses it for LEASE only.
    """
    now = timezone.now()
    due = WebhookDelivery.objects.filter(state=State.WAITING, due_at__lte=now, webhook__paused_at=None)
    tried = 0
    for pk in list(due.order_by("due_at").values_list("pk", flat=True)[:limit]):
        claimed = WebhookDelivery.objects.filter(pk=pk, state=State.WAITING, due_at__lte=now)
        if claimed.update(due_at=timezone.now() + LEASE, attempts=F("attempts") + 1):
            _deliver(WebhookDelivery.objects.select_related("webhook").get(pk=pk))
            tried += 1
    return tried


def forget_old() -> int:
    """Drop messages that ended long ago. What they told of is in the arena still."""
    ended = WebhookDelivery.objects.exclude(state=State.WAITING)
    return ended.filter(created_at__lt=timezone.now() - KEPT).delete()[0]


def signature(secret: str, message: str, timestamp: int, body: str) -> str:
    """`v1,` and the base64 HMAC-SHA256 of "id.timestamp.body" (Standard Webhooks, Signature scheme)."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    mac = hmac.new(key, f"{message}.{timestamp}.{body}".encode(), hashlib.sha256)
    return "v1," + base64.b64encode(mac.digest()).decode()


def webhooks_of(arena: Arena) -> QuerySet[Webhook]:
    return Webhook.objects.filter(arena=arena).select_related("arena", "created_by")


def get_webhook(*, arena: Arena, pk: int) -> Webhook:
    hook = webhooks_of(arena).filter(pk=pk).first()
    if hook is None:
        raise NotFound(_("There is no such webhook in this arena."))
    return hook


def deliveries_of(hook: Webhook, limit: int = 50) -> QuerySet[WebhookDelivery]:
    """The newest messages of a webhook."""
    return WebhookDelivery.objects.filter(webhook=hook)[:limit]


def get_delivery(*, arena: Arena, pk: int) -> WebhookDelivery:
    found = WebhookDelivery.objects.filter(webhook__arena=arena, pk=pk).select_related("webhook").first()
    if found is None:
        raise NotFound(_("There is no such message in this arena."))
    return found


def _deliver(delivery: WebhookDelivery) -> None:
    """One try. Network first, then one update: no transaction is open while we wait."""
    status, error = None, ""
    try:
        status = _post(delivery)
        if not 200 <= status < 300:
            error = f"The receiver answered {status}."
    except (OutboundError, BadInput) as refused:
        error = str(refused)
    changes: dict[str, Any] = {"status": status, "error": error[:300]}
    if not error:
        changes |= {"state": State.DELIVERED, "delivered_at": timezone.now()}
    elif status == 410:
        # Gone: the receiver wants no more of these (Standard Webhooks, Responses).
        changes["state"] = State.FAILED
        Webhook.objects.filter(pk=delivery.webhook_id).update(paused_at=timezone.now())
    elif delivery.attempts >= len(WAITS):
        changes["state"] = State.FAILED
    else:
        changes["due_at"] = timezone.now() + timedelta(seconds=WAITS[delivery.attempts])
    # Of two that hold it after a lapse of the lease the later try counts.
    WebhookDelivery.objects.filter(pk=delivery.pk, attempts=delivery.attempts, state=State.WAITING).update(
        **changes
    )
    if error:
        log.warning("Webhook %s, try %s: %s", delivery.message, delivery.attempts, error)


def _post(delivery: WebhookDelivery) -> int:
    now = int(timezone.now().timestamp())
    secret = unseal(delivery.webhook.sealed_secret)
    headers = {
        "webhook-id": delivery.message,
        "webhook-timestamp": str(now),
        "webhook-signature": signature(secret, delivery.message, now, delivery.body),
    }
    with Session(_rules(), LIMITS) as session:
        return session.post(delivery.webhook.url, headers=headers, body=delivery.body.encode()).status


def _rules() -> Rules:
    return Rules(hosts=tuple(settings.WEBHOOK_HOSTS), setting="ARENA_WEBHOOK_HOSTS")


def _message(hook: Webhook, event: str, slug: str, data: Mapping[str, Any]) -> WebhookDelivery:
    now = timezone.now()
    told = {"type": event, "timestamp": now.isoformat(), "data": {"arena": slug, **data}}
    body = json.dumps(told, separators=(",", ":"), ensure_ascii=False, default=str)
    return WebhookDelivery(webhook=hook, event=event, body=body, due_at=now)


def _check(url: str, events: list[str]) -> None:
    try:
        check_url(url, _rules())
    except Refused as refused:
        raise BadInput(str(refused)) from None
    unknown = sorted(set(events) - set(EVENTS))
    if unknown:
        raise BadInput(_("There is no event %(event)s.") % {"event": unknown[0]})
    if not events:
        raise BadInput(_("Choose at least one event: otherwise nothing would ever be sent."))


def _in_order(events: list[str]) -> list[str]:
    return [event for event in EVENTS if event in events]


def _new_secret() -> str:
    """192 random bits, as the specification asks (24 to 64 bytes)."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
