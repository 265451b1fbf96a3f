"""Progress on a terminal: one line that is drawn again. Nothing where the output is not a terminal."""

from types import TracebackType
from typing import Any

WIDTH = 30


class ProgressLine:
    """`line.show(done, total, message)` as often as wanted; the line is cleared at the end."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._on = bool(stream.isatty())
        self._shown = ""

    def show(self, done: int, total: int = 0, message: str = "") -> None:
        if total:
            filled = min(WIDTH, WIDTH * done // total)
            text = f"[{'#' * filled}{'.' * (WIDTH - filled)}] {done:,} of {total:,} {message}"
        else:
            text = f"{done:,} rows {message}" if done else message
        if self._on and text != self._shown:
            self._draw(text)

    def _draw(self, text: str) -> None:
        self._stream.write(f"\r{text[:110].ljust(len(self._shown[:110]))}", ending="")
        self._stream.flush()
        self._shown = text

    def __enter__(self) -> "ProgressLine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            self._draw("")
            self._stream.write("\r", ending="")
