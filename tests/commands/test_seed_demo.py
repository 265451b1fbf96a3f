import json
import stat
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from arena.errors import BadInput
from arena.models import Arena, Contestant, Job, Prompt
from arena.services.demo import checkpoint_ready, seed_demo
from tests import factories


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    made.mkdir()
    (made / "config.json").write_text(json.dumps({}))
    (made / "model.safetensors").write_bytes(b"weights")
    return made


def test_the_demo_has_prompts_a_share_of_them_held_out_and_a_job_for_its_models(db):
    seed = seed_demo()

    assert seed.prompts == Prompt.objects.count() >= 200
    share = Prompt.objects.filter(split="held_out").count() / seed.prompts
    assert 0.1 < share < 0.2
    assert [job.kind for job in seed.jobs] == ["demo_models"]
    assert Arena.objects.get().is_demo


def test_seeding_twice_makes_nothing_twice(db):
    first = seed_demo()
    second = seed_demo()

    assert second.password == first.password
    assert second.jobs == first.jobs
    assert (Arena.objects.count(), User.objects.count(), Job.objects.count()) == (1, 1, 1)


def test_the_demo_s_password_is_random_kept_for_its_owner_only_and_works(db, client):
    seed = seed_demo()

    file = settings.DATA_DIR / "demo-password"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(seed.password) >= 12
    assert client.login(username="demo", password=seed.password)
    assert User.objects.get().is_staff


def test_a_password_changed_since_is_neither_told_nor_put_back(db):
    seed_demo()
    user = User.objects.get()
    user.set_password("my own words")
    user.save()

    assert seed_demo().password is None

    user.refresh_from_db()
    assert user.check_password("my own words")


def test_an_arena_of_that_name_that_is_not_the_demo_is_left_alone(db):
    factories.make_arena("demo", name="Mine")

    with pytest.raises(BadInput, match='There is an arena "demo" that is not the demo'):
        seed_demo()
    with pytest.raises(CommandError, match="that is not the demo"):
        call_command("seed_demo")

    assert Arena.objects.get().name == "Mine"
    assert not Prompt.objects.exists()


def test_a_checkpoint_becomes_a_contestant_that_says_what_it_is_and_its_responses_are_planned(db, folder):
    seed = seed_demo()

    checkpoint_ready("Oak", folder, parameters={"temperature": 0.5}, description="The whole training.")
    checkpoint_ready("Oak", folder)

    oak = Contestant.objects.get()
    assert oak.description == "The whole training. A demo model made on this machine."
    assert (oak.checkpoint, oak.parameters) == (str(folder), {"temperature": 0.5})
    job = Job.objects.get(kind="generate")
    assert (job.payload["contestant"], job.total) == (oak.pk, seed.prompts)


def test_models_that_were_built_are_not_built_again(db, folder):
    seed_demo()
    checkpoint_ready("Oak", folder)
    Job.objects.filter(kind="demo_models").update(state="done")
    Job.objects.filter(kind="generate").update(state="done")

    again = seed_demo()

    assert [job.kind for job in again.jobs] == ["generate"]


def test_models_that_are_gone_are_built_again(db, folder):
    seed_demo()
    checkpoint_ready("Oak", folder)
    Job.objects.update(state="done")
    folder.rename(folder.with_name("gone"))

    assert [job.kind for job in seed_demo().jobs] == ["demo_models"]


def test_the_command_says_where_the_demo_is_and_how_to_sign_in(db, capsys):
    call_command("seed_demo")

    said = capsys.readouterr().out
    assert "/arenas/demo/" in said
    assert (settings.DATA_DIR / "demo-password").read_text() in said
    assert "Queued: Build the demo's models." in said
