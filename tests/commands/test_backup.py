import io
import json
import shutil
import zipfile
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from arena.models import Analysis, Arena, Contestant, Vote, Voter, VoteRuling, Webhook, WebhookDelivery
from arena.models.jobs import Canary
from arena.services import leaderboards
from arena.services.backups import SUMMARY, TABLES, table_of
from arena.services.data_sets import data_set_folder, request_data_set, verify_data_set, write_data_set
from arena.services.votes import rule_on_vote
from tests import factories

pytestmark = pytest.mark.usefixtures("folders_of_their_own")


def run(*words: str) -> str:
    out = io.StringIO()
    call_command(*words, stdout=out, no_color=True)
    return out.getvalue()


@pytest.fixture
def kept(open_arena, ada, grace, tmp_path) -> Path:
    """A backup of an arena with votes, a ruling, a board and a data set, beside an idle arena."""
    for ranks in ([1, 2, 3, 4], [2, 1, 3, 4], [1, 1, 3, 4], [4, 3, 2, 1]):
        vote = factories.make_vote(open_arena, ranks)
    rule_on_vote(vote=vote, action="quarantined", reason="Too quick", by=grace)
    leaderboards.fit_leaderboard(arena=open_arena)
    write_data_set(request_data_set(arena=open_arena, formats=("kwise",)))
    file = tmp_path / "kept.zip"
    run("backup", str(file))
    return file


def everything() -> dict[str, list[dict]]:
    return {model.__name__: list(model._default_manager.order_by("pk").values()) for model, _ in TABLES}


def lose_everything() -> None:
    call_command("flush", interactive=False, verbosity=0)
    for folder in (settings.DATA_SETS_DIR, settings.RUNS_DIR):
        for path in Path(folder).iterdir():
            shutil.rmtree(path)


def test_every_table_of_the_arena_is_in_a_backup():
    # A copy must not tell the receivers of the original; the others are made again from the rest.
    left_out = {Webhook, WebhookDelivery, Analysis, Canary}
    kept = {model for app in ("arena", "annotation") for model in apps.get_app_config(app).get_models()}
    assert {model for model, _ in TABLES} - {User} == kept - left_out


def test_what_was_lost_comes_back_to_the_last_digit(kept):
    before = everything()
    lose_everything()
    assert not Vote.objects.exists()

    told = run("restore", str(kept))

    assert everything() == before
    assert "garden: the votes give the stored leaderboard again, to the last digit." in told
    data_set = Arena.objects.get(slug="garden").data_sets.get()
    verify_data_set(data_set)
    assert data_set_folder(data_set).is_dir()


def test_votes_and_rulings_can_be_added_after_a_restore(kept):
    lose_everything()
    run("restore", str(kept))
    arena = Arena.objects.get(slug="garden")

    vote = factories.make_vote(arena, [1, 2, 3, 4])
    rule_on_vote(vote=vote, action="withdrawn", reason="A slip", by=None)

    assert vote.pk == Vote.objects.latest("id").pk
    assert VoteRuling.objects.count() == 2


def test_drafts_of_work_that_is_going_on_are_left_out(kept, tmp_path):
    draft = Path(settings.DATA_SETS_DIR) / "garden" / ".2-draft" / "kwise"
    draft.mkdir(parents=True)
    (draft / "half.jsonl").write_text("{")
    file = tmp_path / "again.zip"

    run("backup", str(file))

    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
    assert not [name for name in names if "half.jsonl" in name]
    assert [name for name in names if name.endswith("kwise/train-00000-of-00001.parquet")]


def test_one_arena_is_taken_out_of_a_backup(kept):
    lose_everything()

    run("restore", str(kept), "--arena", "garden")

    assert list(Arena.objects.values_list("slug", flat=True)) == ["garden"]
    assert Vote.objects.count() == 4
    assert Voter.objects.count() == 4
    assert {user.username for user in User.objects.all()} == {"ada", "grace"}


def test_a_backup_of_one_arena_holds_nothing_of_another(kept, tmp_path):
    file = tmp_path / "cellar.zip"
    run("backup", str(file), "--arena", "cellar")

    with zipfile.ZipFile(file) as archive:
        assert json.loads(archive.read(SUMMARY))["arenas"] == ["cellar"]
        assert archive.read(table_of(Vote)) == b""
        assert b"garden" not in b"".join(archive.read(name) for name in archive.namelist())


def test_checkpoints_below_the_data_folder_are_found_where_it_is_now(kept, settings, tmp_path):
    arena = Arena.objects.get(slug="garden")
    folder = Path(settings.RUNS_DIR) / "garden" / "7" / "model"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    factories.make_contestant(arena, "Tuned", backend="transformers", checkpoint=str(folder))
    file = tmp_path / "again.zip"
    run("backup", str(file))
    lose_everything()
    settings.RUNS_DIR = tmp_path / "elsewhere"

    run("restore", str(file))

    checkpoint = Path(Contestant.objects.get(name="Tuned").checkpoint)
    assert checkpoint == tmp_path / "elsewhere" / "garden" / "7" / "model"
    assert (checkpoint / "model.safetensors").read_bytes() == b"weights"


def test_accounts_that_are_here_already_keep_their_own_password(kept):
    lose_everything()
    other = factories.make_user("zoe")
    grace = User.objects.create_user("grace", password="another one")

    run("restore", str(kept))

    grace.refresh_from_db()
    assert grace.check_password("another one")
    assert VoteRuling.objects.get().by == grace
    assert User.objects.get(username="zoe") == other
    assert Arena.objects.get(slug="garden").memberships.filter(user__username="ada").exists()


def test_a_restore_over_arenas_is_refused(kept):
    before = everything()

    with pytest.raises(CommandError, match="into an empty installation, and this one has arenas"):
        run("restore", str(kept))

    assert everything() == before


def test_a_backup_never_overwrites_a_file(kept):
    held = kept.read_bytes()

    with pytest.raises(CommandError, match="is there already"):
        run("backup", str(kept))

    assert kept.read_bytes() == held


def damaged(kept: Path, change: str) -> None:
    """The archive again with one thing wrong."""
    with zipfile.ZipFile(kept) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    if change == "format":
        members[SUMMARY] = members[SUMMARY].replace(b'"format": 1', b'"format": 99')
    elif change == "summary":
        del members[SUMMARY]
    elif change == "row":
        members[table_of(Vote)] = members[table_of(Vote)].replace(b'"kind"', b'"sort"')
    elif change == "table":
        del members[table_of(Vote)]
    elif change == "outside":
        members["files/runs/../../../outside.txt"] = b"x"
    with zipfile.ZipFile(kept, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("format", "written by another version"),
        ("summary", "is not a backup of this product"),
        ("row", "does not fit this version"),
        ("table", "does not fit this version"),
        ("outside", "outside its folder"),
    ],
)
def test_a_damaged_backup_is_one_sentence_and_changes_nothing(kept, change, sentence):
    damaged(kept, change)
    lose_everything()

    with pytest.raises(CommandError, match=sentence):
        run("restore", str(kept))

    assert not Arena.objects.exists()
    assert not any(path.is_file() for path in Path(settings.DATA_SETS_DIR).rglob("*"))


def test_a_file_that_is_no_archive_is_one_sentence(db, tmp_path):
    file = tmp_path / "notes.zip"
    file.write_text("Not a zip.")

    with pytest.raises(CommandError, match="cannot be read as a backup"):
        run("restore", str(file))


def test_an_unknown_arena_of_a_backup_names_those_it_holds(kept):
    lose_everything()

    with pytest.raises(CommandError, match=r'no arena "moon"\. It holds: cellar, garden\.'):
        run("restore", str(kept), "--arena", "moon")
