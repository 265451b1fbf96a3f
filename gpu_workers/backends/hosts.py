"""Which hosts an endpoint may live on: those on the list, or with "*" every public one."""

import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from gpu_workers.backends.base import BackendError


def check_host(endpoint: str, hosts: Sequence[str]) -> str:
    """The endpoint without a slash at its end. Raises BackendError where it may not be called.

    A host that the list names may be private; one that only "*" allows must be public, so
    that nobody reaches this network's own services by a name that points there.
    """
    address = urlsplit(endpoint)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise BackendError(f"The endpoint {endpoint!r} must be an address like http://127.0.0.1:8001/v1.")
    if address.hostname not in hosts:
        if "*" not in hosts:
            raise BackendError(
                f"The host {address.hostname} is not allowed. Add it to ARENA_ENDPOINT_HOSTS on the worker."
            )
        _check_public(address.hostname, address.port or (443 if address.scheme == "https" else 80))
    return endpoint.rstrip("/")


def _check_public(host: str, port: int) -> None:
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError as error:
        raise BackendError(f"The host {host} is not known: {error.strerror or error}.") from None
    for text in found:
        if not ipaddress.ip_address(text.partition("%")[0]).is_global:
            raise BackendError(
                f"The host {host} points to {text}, which is not public. Name it in ARENA_ENDPOINT_HOSTS."
            )
