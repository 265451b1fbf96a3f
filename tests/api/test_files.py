"""Responses that are files: who gets them, how, and that nothing in them runs or tells."""

import importlib.util
import io
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from PIL import Image

from arena.errors import BadRow
from arena.models import Arena, Battle, Response
from arena.services.imports import import_responses
from arena.services.responses import NewResponse, record_responses
from tests import factories
from tests.arena.test_media_formats import NAME, png, wav

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def media(settings, tmp_path) -> Path:
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.DATA_SETS_DIR = tmp_path / "data-sets"  # a backup takes all that lies there
    settings.RUNS_DIR = tmp_path / "runs"
    settings.MODELS_DIR = tmp_path / "models"
    return settings.MEDIA_ROOT


@pytest.fixture
def gallery(media) -> Arena:
    """Two painters and two musicians, one prompt each of theirs."""
    arena = factories.make_arena("gallery", k=2, access=Arena.Access.OPEN, modality="image")
    prompt = factories.make_prompt(arena, "A red fox")
    for name, data, media_type in (("Oil", png(), "image/png"), ("Horn", wav(), "audio/wav")):
        contestant = factories.make_contestant(arena, name)
        record_responses(
            contestant=contestant, items=[NewResponse(prompt.pk, 0, "", file=data, media_type=media_type)]
        )
    return arena


def files_of(anonymous) -> dict[str, str]:
    """The addresses of the files in the voter's battle, by media type."""
    slots = anonymous.start("gallery", k=2)["slots"]
    return {slot["file"]["media_type"]: slot["file"]["url"] for slot in slots}


def test_a_voter_gets_the_files_of_the_battle_and_nothing_that_tells_the_maker(anonymous, gallery):
    files = files_of(anonymous)

    picture, sound = anonymous.get(files["image/webp"]), anonymous.get(files["audio/wav"])

    assert Image.open(io.BytesIO(picture.content)).size == (6, 4)
    assert sound.content[:4] == b"RIFF"
    for answer in (picture, sound):
        assert answer.status_code == 200
        assert NAME not in answer.content
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer["Content-Security-Policy"]
        assert "default-src 'none'" in answer["Content-Security-Policy"]
        assert answer["Cache-Control"] == "no-store"
        assert answer["Content-Disposition"].startswith('inline; filename="response.')
    # The file as it came is kept for data sets.
    kept = Response.objects.get(media_type="image/png")
    assert (Path(settings.MEDIA_ROOT) / kept.file).read_bytes() == png()


def test_a_player_gets_the_part_that_it_asks_for(anonymous, gallery):
    url = files_of(anonymous)["audio/wav"]
    whole = anonymous.get(url).content

    part = anonymous.get(url, HTTP_RANGE="bytes=4-11")
    end = anonymous.get(url, HTTP_RANGE="bytes=-6")
    beyond = anonymous.get(url, HTTP_RANGE="bytes=9999-")

    assert (part.status_code, part.content) == (206, whole[4:12])
    assert part["Content-Range"] == f"bytes 4-11/{len(whole)}"
    assert end.content == whole[-6:]
    assert (beyond.status_code, beyond["Content-Range"]) == (416, f"bytes */{len(whole)}")
    # What is no range is passed over, as the standard says.
    assert anonymous.get(url, HTTP_RANGE="lines=1-2").content == whole


def test_nobody_else_gets_the_files_of_a_battle(anonymous, api, client, gallery, mallory):
    url = files_of(anonymous)["image/webp"]

    for stranger in (api(mallory), client):
        assert stranger.get(url).status_code == 404
    assert anonymous.get(url.replace("/files/", "/files/x")).status_code == 404
    assert anonymous.post(url).status_code == 405


def test_the_file_of_a_response_is_for_those_who_may_know_whose_it_is(anonymous, api, gallery, grace):
    factories.make_member(gallery, grace, "owner")
    url = f"/api/v1/responses/{Response.objects.get(media_type='image/png').pk}/file/"
    files_of(anonymous)

    assert anonymous.get(url).status_code == 404  # shown in a battle, and not voted on
    assert api(grace).get(url).status_code == 200

    factories.vote_on(Battle.objects.get())
    assert anonymous.get(url).status_code == 200


def test_the_page_shows_each_kind_with_words_for_who_cannot_see_it(client, gallery):
    page = client.get("/arenas/gallery/").content.decode()

    assert page.count('<img class="file" src="/api/v1/battles/') == 1
    assert page.count('<audio class="file" src="/api/v1/battles/') == 1
    assert 'alt="Picture of response ' in page
    assert 'aria-label="Sound of response ' in page
    assert "controls" in page
    assert NAME.decode() not in page


def test_a_backup_holds_the_files(gallery, tmp_path, media):
    before = {path.relative_to(media): path.read_bytes() for path in media.rglob("*.*")}
    call_command("backup", str(tmp_path / "kept.zip"))
    call_command("flush", interactive=False, verbosity=0)
    for path in media.rglob("*.*"):
        path.unlink()

    call_command("restore", str(tmp_path / "kept.zip"))

    assert len(before) == 4  # two as they came, two for voters
    assert {path.relative_to(media): path.read_bytes() for path in media.rglob("*.*")} == before


def test_files_made_elsewhere_are_imported(tmp_path):
    arena = factories.make_arena("gallery")
    factories.make_prompt(arena, "A red fox", key="fox")
    (tmp_path / "fox.png").write_bytes(png())
    table = tmp_path / "responses.jsonl"
    table.write_text('{"prompt": "fox", "model": "Oil", "file": "fox.png"}\n')

    first = import_responses(arena=arena, file=table)
    again = import_responses(arena=arena, file=table)

    assert (first.added, again.added) == (1, 0)
    assert Response.objects.get().media_type == "image/png"


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ('"file": "../fox.png"', "no file"),
        ('"file": "fox.svg"', "svg"),
        ('"file": "fox.wav"', "says that it is audio/wav"),
        ('"file": "fox.png", "text": "A fox."', "both a text and a file"),
    ],
)
def test_a_file_that_cannot_be_shown_is_named_with_its_line(tmp_path, row, why):
    arena = factories.make_arena("gallery")
    factories.make_prompt(arena, "A red fox", key="fox")
    folder = tmp_path / "folder"
    folder.mkdir()
    for path in (tmp_path / "fox.png", folder / "fox.png", folder / "fox.svg", folder / "fox.wav"):
        path.write_bytes(png())
    table = folder / "responses.jsonl"
    table.write_text(f'{{"prompt": "fox", "model": "Oil", {row}}}\n')

    with pytest.raises(BadRow, match=why):
        import_responses(arena=arena, file=table)

    assert not Response.objects.exists()


def test_the_example_endpoint_keeps_to_the_contract(capsys):
    spec = importlib.util.spec_from_file_location("painter", ROOT / "docs/examples/painter.py")
    painter = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(painter)
    arena = factories.make_arena("pictures")
    server = ThreadingHTTPServer(("127.0.0.1", 0), painter.Painter)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        factories.make_contestant(arena, "Stripes", backend="custom", endpoint=address)
        call_command("check_contestant", "Stripes", arena="pictures")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

    said = capsys.readouterr().out
    assert "Stripes keeps to the contract." in said
    assert "image/png" in said
