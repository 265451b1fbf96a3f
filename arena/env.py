"""Reads the environment for arena/settings.py: the only place that does.

A wrong value ends the start with a sentence that names the variable, the value
and what is accepted. Every variable read here is listed in docs/settings.md.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from django.core.exceptions import ImproperlyConfigured

T = TypeVar("T")

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off", ""}


def read(name: str, default: T, convert: Callable[[str], T], accepted: str) -> T:
    """The converted value of the variable `name`, or `default` where it is not set."""
    text = os.environ.get(name)
    if text is None:
        return default
    try:
        return convert(text)
    except (ValueError, KeyError) as error:
        raise ImproperlyConfigured(f"{name} is {text!r}; accepted is {accepted}.") from error


def text(name: str, default: str = "") -> str:
    return read(name, default, str, "any text")


def number(name: str, default: int) -> int:
    return read(name, default, int, "a whole number")


def decimal(name: str, default: float) -> float:
    return read(name, default, float, "a number")


def folder(name: str, default: Path) -> Path:
    return read(name, default, lambda value: Path(value).expanduser().resolve(), "a folder's path")


def words(name: str, default: list[str]) -> list[str]:
    return read(
        name,
        default,
        lambda value: [part.strip() for part in value.split(",") if part.strip()],
        "a list with commas",
    )


def switch(name: str, default: bool) -> bool:
    def convert(value: str) -> bool:
        lowered = value.strip().lower()
        if lowered in TRUE:
            return True
        if lowered in FALSE:
            return False
        raise ValueError(value)

    return read(name, default, convert, "one of 1, true, yes, on, 0, false, no, off")


def choice(name: str, default: str, options: list[str]) -> str:
    def convert(value: str) -> str:
        if value not in options:
            raise ValueError(value)
        return value

    return read(name, default, convert, f"one of {', '.join(options)}")
