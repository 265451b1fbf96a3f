"""Files of models: what says who made them goes, what they are stays, and what they are not is refused."""

import io
import json
import struct
import wave
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from arena.media_formats import BadFile, by_ending, for_voters

NAME = b"FoxPainter-9000"
TEXT = NAME.decode()


def picture(kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (6, 4), (200, 80, 20)).save(out, kind, **options)
    return out.getvalue()


def png() -> bytes:
    told = PngImagePlugin.PngInfo()
    told.add_text("parameters", TEXT)
    return picture("PNG", pnginfo=told)


def jpeg() -> bytes:
    exif = Image.Exif()
    exif[0x0131] = TEXT  # Software
    return picture("JPEG", exif=exif.tobytes())


def webp() -> bytes:
    exif = Image.Exif()
    exif[0x0131] = TEXT
    return picture("WEBP", exif=exif.tobytes())


def wav() -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(b"\1\2\3\4" * 20)
    comment = b"INFOISFT" + struct.pack("<I", len(NAME) + 1) + NAME + b"\0"
    return out.getvalue() + b"LIST" + struct.pack("<I", len(comment)) + comment


def mp3() -> bytes:
    frames = b"\xff\xfb\x90\x00" + bytes(413)
    tag = b"ID3\x04\x00\x00" + bytes([0, 0, 0, len(NAME)]) + NAME
    ape = b"APETAGEX" + struct.pack("<III", 2000, 32 + len(NAME), 1) + bytes(12)
    return tag + frames + NAME + ape + (b"TAG" + NAME).ljust(128, b"\0")


def flac() -> bytes:
    info = b"\x00" + (34).to_bytes(3, "big") + bytes(34)
    comments = b"\x84" + len(NAME).to_bytes(3, "big") + NAME
    return b"fLaC" + info + comments + b"\xff\xf8frames"


def ogg() -> bytes:
    def page(body: bytes) -> bytes:
        return b"OggS" + bytes(22) + bytes([1, len(body)]) + body

    tags = b"OpusTags" + struct.pack("<I", len(NAME)) + NAME + struct.pack("<I", 1)
    tags += struct.pack("<I", 8 + len(NAME)) + b"ENCODER=" + NAME
    return page(b"OpusHead" + bytes(11)) + page(tags) + page(b"sound")


def box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + name + body


def mp4() -> bytes:
    moov = box(b"mvhd", bytes(4)) + box(b"trak", box(b"udta", NAME)) + box(b"udta", NAME)
    return box(b"ftyp", b"isom") + box(b"moov", moov) + box(b"mdat", b"film")


def element(name: bytes, body: bytes) -> bytes:
    return name + bytes([0x80 | len(body)]) + body


def webm() -> bytes:
    info = element(b"\x15\x49\xa9\x66", element(b"\x57\x41", NAME) + element(b"\x2a\xd7\xb1", b"\1"))
    inside = info + element(b"\x12\x54\xc3\x67", NAME) + element(b"\x1f\x43\xb6\x75", b"film")
    head = element(b"\x1a\x45\xdf\xa3", element(b"\x42\x82", b"webm"))
    return head + b"\x18\x53\x80\x67\x01" + b"\xff" * 7 + inside  # a segment whose length was not known


def glb() -> bytes:
    scene = {
        "asset": {"version": "2.0", "generator": TEXT, "copyright": TEXT},
        "nodes": [{"name": TEXT, "mesh": 0, "extras": {"by": TEXT}}],
    }
    text = json.dumps(scene).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<I", len(text)) + b"JSON" + text + struct.pack("<I", 4) + b"BIN\0" + b"mesh"
    return b"glTF" + struct.pack("<II", 2, 12 + len(body)) + body


# media type: (a file that says who made it, what must still be in it)
FILES = {
    "image/png": (png(), b""),
    "image/jpeg": (jpeg(), b""),
    "image/webp": (webp(), b""),
    "audio/wav": (wav(), b"\1\2\3\4" * 20),
    "audio/mpeg": (mp3(), b"\xff\xfb\x90\x00" + bytes(413)),
    "audio/flac": (flac(), b"frames"),
    "audio/ogg": (ogg(), b"sound"),
    "video/mp4": (mp4(), b"film"),
    "video/webm": (webm(), b"film"),
    "model/gltf-binary": (glb(), b"mesh"),
}


@pytest.mark.parametrize("media_type", FILES)
def test_what_tells_the_maker_is_taken_away_and_the_rest_stays(media_type: str):
    data, kept = FILES[media_type]
    assert NAME in data

    shown, shown_type = for_voters(data, media_type)

    assert NAME not in shown
    assert kept in shown
    assert shown_type == ("image/webp" if media_type.startswith("image/") else media_type)


@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg", "image/webp"])
def test_pictures_of_all_kinds_come_out_alike(media_type: str):
    shown, _ = for_voters(FILES[media_type][0], media_type)

    with Image.open(io.BytesIO(shown)) as picture:
        assert (picture.format, picture.size, picture.mode) == ("WEBP", (6, 4), "RGB")
        assert not {"exif", "icc_profile", "xmp"} & picture.info.keys()
        red, green, blue = picture.getpixel((2, 2))
    assert abs(red - 200) < 8
    assert abs(green - 80) < 8
    assert abs(blue - 20) < 12


@pytest.mark.parametrize("media_type", ["video/mp4", "video/webm", "audio/ogg"])
def test_what_points_into_a_file_still_points_to_the_same_place(media_type: str):
    data, kept = FILES[media_type]

    shown, _ = for_voters(data, media_type)

    assert len(shown) == len(data)
    assert shown.index(kept) == data.index(kept)


def test_the_sound_of_a_wav_is_read_as_before():
    shown, _ = for_voters(wav(), "audio/wav")

    with wave.open(io.BytesIO(shown)) as sound:
        assert (sound.getframerate(), sound.readframes(1000)) == (8000, b"\1\2\3\4" * 20)


def test_the_checksum_of_an_ogg_page_is_that_of_the_format():
    # The first page of an Opus file as libopusenc writes it, with its checksum at 22 to 25.
    from arena.media_formats import _ogg_sum

    assert _ogg_sum(b"123456789") == 0x89A1897F  # the check value of CRC-32/POSIX without its last inversion


@pytest.mark.parametrize("media_type", FILES)
@pytest.mark.parametrize("data", [b"", b"<html>", b"<svg onload=alert(1)>"], ids=["empty", "page", "svg"])
def test_what_is_something_else_is_refused(media_type: str, data: bytes):
    with pytest.raises(BadFile):
        for_voters(data, media_type)


@pytest.mark.parametrize("media_type", FILES)
def test_a_file_that_is_cut_off_is_refused_or_read_as_far_as_it_goes(media_type: str):
    data, _ = FILES[media_type]
    for length in range(len(data)):
        try:
            shown, _ = for_voters(data[:length], media_type)
        except BadFile:
            continue
        assert len(shown) <= len(data) + 200


def test_a_picture_that_would_fill_the_memory_is_refused():
    bomb = bytearray(png())
    bomb[16:24] = struct.pack(">II", 100_000, 100_000)

    with pytest.raises(BadFile):
        for_voters(bytes(bomb), "image/png")


def test_a_model_that_names_files_elsewhere_is_refused():
    data = glb().replace(b'"mesh": 0', b'"mesh": 1')
    text = json.dumps({"asset": {"version": "2.0"}, "images": [{"uri": "https://x.test/a.png"}]}).encode()
    text += b" " * (-len(text) % 4)
    data = b"glTF" + struct.pack("<III", 2, 20 + len(text), len(text)) + b"JSON" + text

    with pytest.raises(BadFile, match="outside itself"):
        for_voters(data, "model/gltf-binary")


def test_types_are_told_by_the_ending():
    assert by_ending("a/b.c/Fox.JPEG") == "image/jpeg"
    with pytest.raises(BadFile, match="png"):
        by_ending("fox.svg")
