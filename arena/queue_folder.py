"""The queue as a folder: Celery's filesystem broker with its half-written files taken out.

Kombu's own transport writes a message under its final name and moves it away to be read.
A worker that looks at the wrong moment reads an empty file and ends with a JSON error, and
all the jobs it holds with it. Here a file appears under its name only when it is whole, and is
moved within the folder, where a move cannot be half done.
"""

import fcntl
import uuid
from pathlib import Path
from queue import Empty
from time import monotonic_ns
from typing import Any

from kombu.transport import filesystem
from kombu.transport.filesystem import exchange_queue_t
from kombu.utils.json import dumps, loads


class Channel(filesystem.Channel):
    def _put(self, queue: str, payload: Any, **_: Any) -> None:
        name = f"{monotonic_ns():020}_{uuid.uuid4()}.{queue}.msg"
        _write_whole(Path(self.data_folder_out) / name, payload)

    def _get(self, queue: str) -> Any:
        folder = Path(self.data_folder_in)
        for name in sorted(file.name for file in folder.iterdir()):
            if name.partition(".")[2] != f"{queue}.msg":
                continue
            mine = folder / f"{name.partition('.')[0]}.taken"
            try:
                (folder / name).rename(mine)
            except FileNotFoundError:
                continue  # Another worker of this queue was quicker.
            try:
                return loads(mine.read_bytes())
            finally:
                mine.unlink()
        raise Empty()

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        file = self._exchange_file(exchange)
        with (self.control_folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            bound = self.get_table(exchange)
            binding = exchange_queue_t(routing_key or "", pattern or "", queue or "")
            if binding not in bound:
                _write_whole(file, [binding, *bound])


class Transport(filesystem.Transport):
    Channel = Channel


def _write_whole(file: Path, content: Any) -> None:
    """The file with all of its content, or no file: never a part of it."""
    draft = file.with_name(f"{uuid.uuid4()}.draft")
    draft.write_text(dumps(content))
    draft.replace(file)
