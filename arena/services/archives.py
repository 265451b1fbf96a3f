"""A folder as one zip, made while it is sent: no copy on disk and none in memory."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

PIECE = 256 * 1024


class _Pipe(io.RawIOBase):
    """Keeps what was written until it is taken."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # zipfile writes bytes only
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def zipped(folder: Path, name: str, *, readme: str = "") -> Iterator[bytes]:
    """A zip of all files below `folder`, in order, below `name` in the zip, as pieces to be sent.

    A `readme` takes the place of the folder's own README.md.
    """
    pipe = _Pipe()
    # Parquet is compressed already, and the JSON twins are worth it.
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        if readme:
            archive.writestr(f"{name}/README.md", readme)
            yield pipe.take()
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            if readme and path == folder / "README.md":
                continue
            member = zipfile.ZipInfo(f"{name}/{path.relative_to(folder).as_posix()}")
            member.compress_type = zipfile.ZIP_STORED if path.suffix == ".parquet" else zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=True) as target, path.open("rb") as source:
                while piece := source.read(PIECE):
                    target.write(piece)
                    yield pipe.take()
    yield pipe.take()
