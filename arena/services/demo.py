"""The demo arena: real prompts, and real small models that this machine trains for itself."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import transaction

from arena import demo_corpus
from arena.errors import BadInput
from arena.models import Arena, Contestant, Job, Membership, Response
from arena.services import jobs
from arena.services.contestants import create_contestant
from arena.services.prompts import NewPrompt, create_prompts
from arena.services.responses import plan_generation

SLUG = "demo"
USER_NAME = "demo"
PASSWORD_FILE = "demo-password"  # noqa: S105  (the file's name, not a password)


@dataclass(frozen=True)
class DemoSeed:
    """What seed_demo made or found. `password` is None where somebody has changed it since."""

    arena: Arena
    user_name: str
    password: str | None
    prompts: int
    jobs: list[Job]


def seed_demo() -> DemoSeed:
    """Make the demo arena, its prompts, its user and the job that builds its models.

    Done again, it makes only what is missing.
    """
    user, password = _demo_user()
    with transaction.atomic():
        arena, _ = Arena.objects.get_or_create(
            slug=SLUG,
            defaults={
                "name": "Demo arena",
                "description": "Small language models, trained on this machine when the demo was set up, "
                "answer everyday questions and tell little stories. Which of them writes best?",
                "guidelines": "Rank the answers from best to worst. Good ones are on topic, clear and kind. "
                "Give two answers the same rank where neither is better.",
                "k": 4,
                "is_demo": True,
            },
        )
        if not arena.is_demo:
            raise BadInput(f'There is an arena "{SLUG}" that is not the demo. Rename it, then seed the demo.')
        Membership.objects.get_or_create(arena=arena, user=user, defaults={"role": Membership.Role.OWNER})
        prompts = create_prompts(
            arena=arena,
            prompts=[
                NewPrompt(
                    key=prompt.key,
                    messages=[{"role": "user", "content": prompt.text}],
                    tags=list(prompt.tags),
                    split=prompt.split,
                )
                for prompt in demo_corpus.prompts()
            ],
        )
    return DemoSeed(arena, USER_NAME, password, len(prompts), _missing_work(arena))


def demo_jobs() -> list[Job]:
    """The demo's jobs that have not ended, the oldest first."""
    return list(Job.objects.unfinished().filter(arena__slug=SLUG, arena__is_demo=True).order_by("pk"))


def checkpoint_ready(
    name: str, folder: Path | str, *, parameters: dict[str, Any] | None = None, description: str = ""
) -> Contestant:
    """A demo model stands in `folder`: make it a contestant of the demo arena and plan its responses.

    Called again for the same name it plans only what is missing; a contestant that has no
    responses yet takes the new folder.
    """
    arena = Arena.objects.get(slug=SLUG, is_demo=True)
    contestant = Contestant.objects.filter(arena=arena, name=name).first()
    if contestant is None:
        contestant = create_contestant(
            arena=arena,
            name=name,
            backend=Contestant.Backend.TRANSFORMERS,
            description=f"{description} A demo model made on this machine.".strip(),
            checkpoint=str(folder),
            parameters=parameters or {"temperature": 0.8, "max_new_tokens": 128},
        )
    elif contestant.checkpoint != str(folder) and not _has_responses(contestant):
        contestant.checkpoint = str(folder)
        contestant.save(update_fields=["checkpoint"])
    if contestant.retired_at is None:
        plan_generation(arena=arena, contestants=[contestant])
    return contestant


def _missing_work(arena: Arena) -> list[Job]:
    """The jobs that bring the demo to life: building the models, or the responses they still owe."""
    built = Job.objects.filter(arena=arena, kind=Job.Kind.DEMO_MODELS, state=Job.State.DONE).exists()
    # Those without a parent are the builder's; the others were trained from votes.
    models = Contestant.objects.filter(arena=arena, backend=Contestant.Backend.TRANSFORMERS, parent=None)
    if built and models and all(Path(model.checkpoint).is_dir() for model in models):
        return plan_generation(arena=arena)
    return [
        jobs.enqueue(
            kind=Job.Kind.DEMO_MODELS,
            title="Build the demo's models",
            arena=arena,
            unique_key="demo-models",
        )
    ]


def _has_responses(contestant: Contestant) -> bool:
    return Response.objects.filter(contestant=contestant).exists()


def _demo_user() -> tuple[User, str | None]:
    """The demo's user and its password, kept in the data folder for its owner only."""
    password = _kept_password()
    user, made = get_user_model().objects.get_or_create(
        username=USER_NAME, defaults={"is_staff": True, "is_superuser": True}
    )
    if made:
        user.set_password(password)
        user.save(update_fields=["password"])
    return user, password if user.check_password(password) else None


def _kept_password() -> str:
    file = Path(settings.DATA_DIR) / PASSWORD_FILE
    try:
        handle = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return file.read_text().strip()
    with os.fdopen(handle, "w") as stream:
        stream.write(secrets.token_urlsafe(12))
    return file.read_text().strip()
