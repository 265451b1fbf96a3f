"""Reads the environment for arena/settings.py: the only place that does.

A wrong value ends the start with a sentence that names the variable, the value
and what is accepted. Every variable read here is listed in docs/settings.md.
"""

import os
from collections.abc import Callable, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

T = TypeVar("T")

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off", ""}


def read(name: str, default: T, convert: Callable[[str], T], accepted: str, *, secret: bool = False) -> T:
    """The converted value of the variable `name`, or `default` where it is not set."""
    text = os.environ.get(name)
    if text is None:
        return default
    try:
        return convert(text)
    except (ValueError, KeyError) as error:
        shown = "not readable" if secret else repr(text)
        raise ImproperlyConfigured(f"{name} is {shown}; accepted is {accepted}.") from (
            None if secret else error
        )


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


def web_address(name: str, *, plain_on: tuple[str, ...] = ("127.0.0.1", "localhost", "::1")) -> str:
    """An https:// address without a slash at its end; plain http:// on this machine only. Empty: not set."""

    def convert(value: str) -> str:
        parts = urlsplit(value)
        secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in plain_on)
        if value and not (secure and parts.hostname):
            raise ValueError(value)
        return value.rstrip("/")

    return read(name, "", convert, "an address that begins with https://")


def mail(name: str) -> dict[str, Any]:
    """Django's mail settings from one address, such as smtp://user:password@mail.example.org:587."""

    def convert(value: str) -> dict[str, Any]:
        parts = urlsplit(value)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise ValueError(value)
        encrypted = parts.scheme == "smtps"
        return {
            "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "EMAIL_HOST": parts.hostname,
            "EMAIL_PORT": parts.port or (465 if encrypted else 587),
            "EMAIL_HOST_USER": unquote(parts.username or ""),
            "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
            "EMAIL_USE_SSL": encrypted,
            # Plain only where it is asked for: a relay on this machine.
            "EMAIL_USE_TLS": not encrypted and "tls=off" not in parts.query,
            "EMAIL_TIMEOUT": 10,
        }

    accepted = "smtp://user:password@host:port, smtps://… or smtp://host:25?tls=off"
    return read(name, {}, lambda value: convert(value) if value else {}, accepted, secret=True)


def choices(name: str, default: list[str], *, options: list[str]) -> list[str]:
    """Some of the options, at least one."""

    def convert(value: str) -> list[str]:
        chosen = [part.strip() for part in value.split(",") if part.strip()]
        if not chosen or set(chosen) - set(options):
            raise ValueError(value)
        return chosen

    return read(name, default, convert, f"a list of {', '.join(options)}")


def ports(name: str, default: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    """Ports and ranges of ports, both ends included."""

    def convert(value: str) -> Sequence[tuple[int, int]]:
        found = []
        for part in value.split(","):
            first, _, last = part.strip().partition("-")
            least, most = int(first), int(last or first)
            if not 1 <= least <= most <= 65535:
                raise ValueError(part)
            found.append((least, most))
        return found

    return read(name, default, convert, "a list of ports and ranges such as 443,8000-8999")


def networks(name: str, default: list[str]) -> list[str]:
    def convert(value: str) -> list[str]:
        return [str(ip_network(part.strip())) for part in value.split(",") if part.strip()]

    return read(name, default, convert, "a list of networks such as 10.0.0.0/8")
