"""The record of who did what. Entries are added, never changed."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from django.db import models

from arena.models import AuditEntry


def record(
    *,
    action: str,
    target: models.Model | str,
    actor: User | None = None,
    details: Mapping[str, Any] | None = None,
) -> AuditEntry:
    """Write down that `actor` (None: a command or a worker) did `action` to `target`."""
    name = target if isinstance(target, str) else f"{target._meta.model_name} {target.pk}"
    return AuditEntry.objects.create(
        actor=actor, action=action, target=name[:120], details=dict(details or {})
    )
