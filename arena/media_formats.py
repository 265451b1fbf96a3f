"""Files that models make: are they what they say, and how they look to a voter. Knows nothing of Django.

What a file says of its maker (text chunks with a prompt and a model's name, ID3 tags, the name of an
encoder) would tell a voter whose it is. `for_voters` takes it away: pictures are drawn anew, the rest
is copied without what describes it; sound and moving pictures themselves stay bit for bit.
"""

import io
import json
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

# media type: (what stands at which place of every such file, the ending of its name)
KINDS: dict[str, tuple[tuple[tuple[int, bytes], ...], str]] = {
    "image/png": (((0, b"\x89PNG\r\n\x1a\n"),), ".png"),
    "image/jpeg": (((0, b"\xff\xd8\xff"),), ".jpg"),
    "image/webp": (((0, b"RIFF"), (8, b"WEBP")), ".webp"),
    "audio/wav": (((0, b"RIFF"), (8, b"WAVE")), ".wav"),
    "audio/mpeg": ((), ".mp3"),  # may begin with tags or at once: see _is_mp3
    "audio/ogg": (((0, b"OggS"),), ".ogg"),
    "audio/flac": (((0, b"fLaC"),), ".flac"),
    "video/mp4": (((4, b"ftyp"),), ".mp4"),
    "video/webm": (((0, b"\x1a\x45\xdf\xa3"),), ".webm"),
    "model/gltf-binary": (((0, b"glTF"),), ".glb"),
}
SHOWN_IMAGES = "image/webp"
LONGEST_SIDE, MOST_PIXELS = 4096, 50_000_000


class BadFile(ValueError):
    """The file is not what it says, or cannot be read. The text is a sentence."""


def ending(media_type: str) -> str:
    return KINDS[media_type][1]


def by_ending(name: str) -> str:
    """The media type of a file of this name. Raises BadFile."""
    suffix = "." + name.rpartition(".")[2].lower()
    suffix = {".jpeg": ".jpg", ".oga": ".ogg", ".opus": ".ogg"}.get(suffix, suffix)
    for media_type, (_marks, own) in KINDS.items():
        if own == suffix:
            return media_type
    known = ", ".join(own.removeprefix(".") for _marks, own in KINDS.values())
    raise BadFile(f"Files that end in {suffix} are not taken; {known} are.")


def check(data: bytes, media_type: str) -> None:
    """Raises BadFile where the bytes are not of this type."""
    if media_type not in KINDS:
        raise BadFile(f"Files of the type {media_type[:60]} are not taken; {', '.join(sorted(KINDS))} are.")
    marks = KINDS[media_type][0]
    if not all(data[at : at + len(mark)] == mark for at, mark in marks) or (
        media_type == "audio/mpeg" and not _is_mp3(data)
    ):
        raise BadFile(f"The file says that it is {media_type}, and is not.")


def for_voters(data: bytes, media_type: str) -> tuple[bytes, str]:
    """The file without what tells its maker, and its media type then. Raises BadFile."""
    check(data, media_type)
    try:
        if media_type.startswith("image/"):
            return _drawn_anew(data), SHOWN_IMAGES
        return PLAIN[media_type](data), media_type
    except (struct.error, IndexError, ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, BadFile):
            raise
        raise BadFile(f"The file is damaged, or no {media_type}.") from None


def _drawn_anew(data: bytes) -> bytes:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=["PNG", "JPEG", "WEBP"]) as image:
            if image.width * image.height > MOST_PIXELS:
                raise BadFile(f"The picture has {image.width} × {image.height} dots, which is too many.")
            upright = ImageOps.exif_transpose(image)
            upright.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            mode = "RGBA" if upright.has_transparency_data else "RGB"
            # A new picture has no text chunks, no EXIF and no profile to carry over.
            plain = Image.new(mode, upright.size)
            plain.paste(upright.convert(mode))
    except (OSError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError):
        raise BadFile("The picture is damaged and cannot be drawn.") from None
    out = io.BytesIO()
    plain.save(out, "WEBP", quality=95, method=4)
    return out.getvalue()


def _wav(data: bytes) -> bytes:
    kept, at = b"", 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
        if name in (b"fmt ", b"fact", b"data"):
            body = data[at + 8 : at + 8 + size]
            kept += name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
        at += 8 + size + size % 2
    if b"data" not in kept:
        raise BadFile("The file is no sound: it has no samples.")
    return b"RIFF" + struct.pack("<I", 4 + len(kept)) + b"WAVE" + kept


def _is_mp3(data: bytes) -> bool:
    return data[:3] == b"ID3" or (len(data) > 2 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2)


def _mp3(data: bytes) -> bytes:
    while data[:3] == b"ID3":
        size = data[6] << 21 | data[7] << 14 | data[8] << 7 | data[9]
        data = data[10 + size + (10 if data[5] & 0x10 else 0) :]
    if data[-128:-125] == b"TAG":
        data = data[:-128]
    if data[-32:-24] == b"APETAGEX":
        size, flags = struct.unpack_from("<I4xI", data, len(data) - 20)
        data = data[: -size - (32 if flags & 1 << 31 else 0)]
    if not _is_mp3(data):
        raise BadFile("The file is no MP3: no sound follows its tags.")
    return data


def _flac(data: bytes) -> bytes:
    at, kept = 4, []
    while True:
        head = data[at]
        end = at + 4 + int.from_bytes(data[at + 1 : at + 4], "big")
        if head & 0x7F in (0, 3):  # STREAMINFO and SEEKTABLE
            kept.append((head & 0x7F, data[at + 1 : end]))
        at = end
        if head & 0x80:
            break
    last = len(kept) - 1
    blocks = [
        bytes([kind | (0x80 if place == last else 0)]) + body for place, (kind, body) in enumerate(kept)
    ]
    return b"fLaC" + b"".join(blocks) + data[at:]


def _ogg(data: bytes) -> bytes:
    """The names in the comments are blanked in their place, and the page's checksum made anew."""
    out, at = bytearray(data), 0
    while at < len(data):
        if data[at : at + 4] != b"OggS":
            raise BadFile("The file is damaged: a page of it does not begin as one.")
        count = data[at + 26]
        body = at + 27 + count
        end = body + sum(data[at + 27 : body])
        for mark in (b"OpusTags", b"\x03vorbis"):
            if data[body : body + len(mark)] == mark:
                if all(size == 255 for size in data[at + 27 : body]):
                    raise BadFile("The file's comments fill more than a page. Write it without a cover.")
                _blank_comments(out, body + len(mark), end)
                out[at + 22 : at + 26] = b"\0\0\0\0"
                out[at + 22 : at + 26] = struct.pack("<I", _ogg_sum(bytes(out[at:end])))
        at = end
    return bytes(out)


def _blank_comments(out: bytearray, at: int, end: int) -> None:
    size = struct.unpack_from("<I", out, at)[0]
    out[at + 4 : at + 4 + size] = b" " * size  # the encoder's name
    at += 4 + size
    count, at = struct.unpack_from("<I", out, at)[0], at + 4
    for _ in range(count):
        size = struct.unpack_from("<I", out, at)[0]
        if at + 4 + size > end:
            raise BadFile("The file's comments are damaged.")
        out[at + 4 : at + 4 + size] = b"=".ljust(size)[:size]
        at += 4 + size


def _ogg_sum(page: bytes) -> int:
    """The checksum of RFC 3533: CRC-32 with the polynomial 0x04c11db7, not reflected, from 0."""
    value = 0
    for byte in page:
        value = (value << 8 & 0xFFFFFFFF) ^ _OGG_TABLE[value >> 24 ^ byte]
    return value


def _ogg_row(value: int) -> int:
    value <<= 24
    for _ in range(8):
        value = (value << 1 ^ 0x04C11DB7) & 0xFFFFFFFF if value & 0x80000000 else value << 1
    return value


_OGG_TABLE = [_ogg_row(value) for value in range(256)]
DESCRIBING, BOXES = {b"udta", b"meta", b"uuid"}, {b"moov", b"trak", b"mdia", b"minf", b"moof", b"traf"}


def _mp4(data: bytes) -> bytes:
    """Boxes that describe become free space of the same size: whatever points into the file still does."""
    out = bytearray(data)
    _free(out, 0, len(out), 0)
    return bytes(out)


def _free(out: bytearray, at: int, end: int, depth: int) -> None:
    while at + 8 <= end:
        size, name, head = struct.unpack_from(">I", out, at)[0], bytes(out[at + 4 : at + 8]), 8
        if size == 1:
            size, head = struct.unpack_from(">Q", out, at + 8)[0], 16
        size = size or end - at
        if size < head or at + size > end:
            raise BadFile("The file is damaged: a box of it is longer than the file.")
        if name in DESCRIBING:
            out[at + 4 : at + 8] = b"free"
            out[at + head : at + size] = bytes(size - head)
        elif name in BOXES and depth < 8:
            _free(out, at + head, at + size, depth + 1)
        at += size


SEGMENT, INFO, TAGS = b"\x18\x53\x80\x67", b"\x15\x49\xa9\x66", b"\x12\x54\xc3\x67"
TITLE, MUXER, WRITER, DATE = b"\x7b\xa9", b"\x4d\x80", b"\x57\x41", b"\x44\x61"


def _webm(data: bytes) -> bytes:
    out = bytearray(data)
    for name, start, end in _elements(out, 0, len(out)):
        if name != SEGMENT:
            continue
        for inner, first, last in _elements(out, start, end):
            if inner == INFO:
                for one, begin, stop in _elements(out, first, last):
                    if one in (TITLE, MUXER, WRITER):
                        out[begin:stop] = b" " * (stop - begin)
                    elif one == DATE:
                        out[begin:stop] = bytes(stop - begin)
            elif inner == TAGS:
                # An empty element (Void) in the place of the tags.
                room = last - first - 9
                if room >= 0:
                    out[first:last] = b"\xec\x01" + room.to_bytes(7, "big") + bytes(room)
    return bytes(out)


def _elements(data: bytearray, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """EBML elements: the id, where the content begins and where it ends (RFC 8794)."""
    while at < end:
        name_length = 9 - data[at].bit_length()
        size_at = at + name_length
        size_length = 9 - data[size_at].bit_length()
        if name_length > 4 or size_length > 8:
            raise BadFile("The file is damaged: an element of it has no length.")
        size = int.from_bytes(data[size_at : size_at + size_length], "big") & (1 << 7 * size_length) - 1
        start = size_at + size_length
        # All ones: the length was not known when it was written.
        stop = end if size == (1 << 7 * size_length) - 1 else min(start + size, end)
        yield bytes(data[at:size_at]), start, stop
        at = stop


def _glb(data: bytes) -> bytes:
    size, kind = struct.unpack_from("<I4s", data, 12)
    if kind != b"JSON":
        raise BadFile("The file is damaged: its description is not in the first place.")
    scene = json.loads(data[20 : 20 + size])
    if any("uri" in one and not str(one["uri"]).startswith("data:")
           for one in [*scene.get("buffers", []), *scene.get("images", [])]):  # fmt: skip
        raise BadFile("The model names files outside itself. Write all of it into one file.")
    with suppress(KeyError):
        scene["asset"] = {"version": scene["asset"]["version"]}
    text = json.dumps(_without_names(scene), separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    rest = data[20 + size :]
    head = b"glTF" + data[4:8] + struct.pack("<I", 20 + len(text) + len(rest))
    return head + struct.pack("<I", len(text)) + b"JSON" + text + rest


def _without_names(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_names(one) for key, one in value.items() if key not in ("name", "extras")}
    return [_without_names(one) for one in value] if isinstance(value, list) else value


PLAIN = {
    "audio/wav": _wav,
    "audio/mpeg": _mp3,
    "audio/ogg": _ogg,
    "audio/flac": _flac,
    "video/mp4": _mp4,
    "video/webm": _webm,
    "model/gltf-binary": _glb,
}
