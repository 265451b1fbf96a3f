"""The Celery application. Messages are doorbells: arena/services/jobs.py holds the truth."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "arena.settings")

app = Celery("arena")
app.config_from_object("django.conf:settings", namespace="CELERY")
# A web process and a default worker must not import torch; gpu_workers.tasks is
# loaded only by a worker started with `--include gpu_workers.tasks`.
app.autodiscover_tasks(["arena"])
