"""Whether this process lives (/healthz) and can serve (/readyz): for load balancers and Docker."""

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from arena.services import canaries


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers. Asks nothing else: a slow database must not restart the web."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 where people can be served; 503 with a sentence for each thing that is not there.

    `workers` says which queues are served. It changes no status: people vote without any worker.
    """
    faults = {"database": database_fault(), "queue": queue_fault()}
    ready = not any(faults.values())
    checks: dict[str, object] = {name: fault or "ok" for name, fault in faults.items()}
    if not faults["database"]:
        checks["workers"] = {queue: fault or "ok" for queue, fault in canaries.queue_faults().items()}
    return JsonResponse({"status": "ok" if ready else "unavailable", **checks}, status=200 if ready else 503)


def database_fault() -> str:
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return "The database does not answer. Start it, or look at DATABASE_URL."
    if missing:
        return f"{len(missing)} migrations have not been applied. Run: python manage.py migrate"
    return ""


def queue_fault() -> str:
    """The folder queue needs no server; Redis has to answer."""
    if not settings.REDIS_URL:
        return ""
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2) as client:
            client.ping()
    except redis.RedisError:
        return "Redis does not answer. Start it, or look at REDIS_URL."
    return ""
