"""Which addresses may be called: allowed schemes, ports and hosts, and what a name may resolve to.

The requests themselves are in outbound.py, which also hands these names on.
"""

import ipaddress
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx

Resolver = Callable[..., Any]
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Services that speak no HTTP but can be harmed by it, or that hold an installation's own data.
NEVER_PORTS = {1433, 1521, 2049, 2375, 2376, 2379, 3306, 3389, 5432, 5672, 6379, 6380, 6443, 9042, 9092}
NEVER_PORTS |= {10250, 11211, 27017}
DEFAULT_PORTS = ((80, 80), (443, 443), (1024, 65535))
NAT64 = ipaddress.ip_network("64:ff9b::/96")


class OutboundError(Exception):
    """The request came to nothing. The text is a sentence."""


class Refused(OutboundError):
    """The address may not be called. Asking again changes nothing."""


class Unreachable(OutboundError):
    """Nobody answers there."""


class TooSlow(OutboundError):
    """No byte for too long."""


class TooLong(OutboundError):
    """The whole answer took too long: a drip, or a hang in many small parts."""


class TooLarge(OutboundError):
    """The answer is larger than allowed."""


class Broken(OutboundError):
    """The connection broke, or what came is not HTTP."""


@dataclass(frozen=True)
class Rules:
    """Where requests may go. "*" in `hosts` stands for every public host.

    A host that is named may be private. One that only "*" allows must be public, or in one of
    `networks`. `ports` are ranges, both ends included.
    """

    hosts: tuple[str, ...] = ()
    schemes: tuple[str, ...] = ("http", "https")
    ports: tuple[tuple[int, int], ...] = DEFAULT_PORTS
    networks: tuple[str, ...] = ()
    setting: str = "ARENA_ENDPOINT_HOSTS"

    @cached_property
    def _networks(self) -> tuple[Network, ...]:
        return tuple(ipaddress.ip_network(text) for text in self.networks)

    def allows(self, address: IPAddress, *, named: bool) -> bool:
        """Whether a connection may go to this address. `named`: the host is on the list itself."""
        for inner in _inside(address):
            if any(inner in network for network in self._networks if network.version == inner.version):
                continue
            # Link-local is where clouds keep their credentials: nobody names it by accident.
            if inner.is_link_local or inner.is_multicast or inner.is_unspecified:
                return False
            if not named and not inner.is_global:
                return False
        return True


@dataclass(frozen=True)
class Target:
    """An address that was taken apart and checked, but for what its name resolves to."""

    url: httpx.URL
    host: str
    port: int
    named: bool = field(default=False)


def check_url(url: str, rules: Rules) -> Target:
    """Take the address apart, by the same parser that the request uses. Raises Refused. Resolves nothing."""
    try:
        parsed = httpx.URL(url)
        host, port = parsed.host, parsed.port
    except (httpx.InvalidURL, ValueError, TypeError, UnicodeError):
        raise Refused(f"{url[:200]!r} is not an address.") from None
    if parsed.scheme not in rules.schemes:
        raise Refused(f"The address must begin with {' or '.join(f'{one}://' for one in rules.schemes)}.")
    if parsed.userinfo or "@" in url.partition("//")[2].partition("/")[0]:
        raise Refused("The address must not hold a name or a password.")
    if parsed.fragment or "\\" in url or any(ord(one) <= 32 or ord(one) == 127 for one in url):
        raise Refused("The address must hold no fragment, backslash, space or control character.")
    if not host or "%" in host:
        raise Refused("The address names no host.")
    port = (443 if parsed.scheme == "https" else 80) if port is None else port
    if port in NEVER_PORTS or not any(least <= port <= most for least, most in rules.ports):
        raise Refused(f"Port {port} is not one that may be called.")
    # "host." is the same name as "host".
    named = host.lower().rstrip(".") in {one.lower().rstrip(".").strip("[]") for one in rules.hosts}
    if not named and "*" not in rules.hosts:
        raise Refused(f"The host {host} is not allowed. Add it to {rules.setting}.")
    return Target(parsed, host, port, named)


def addresses(target: Target, rules: Rules, resolver: Resolver = socket.getaddrinfo) -> list[str]:
    """What the target's name resolves to now, all of it allowed. Raises Refused and Unreachable."""
    try:
        found = resolver(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise Unreachable(f"The host {target.host} is not known: {why}.") from None
    texts = list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
    for text in texts:
        # One bad address among good ones is refused too: which one is used would be chance.
        if not rules.allows(ipaddress.ip_address(text), named=target.named):
            raise Refused(f"The host {target.host} points to {text}, which is not public. Name it in "
                          f"{rules.setting}." if not target.named else
                          f"The host {target.host} points to {text}, which is never called.")  # fmt: skip
    if not texts:
        raise Unreachable(f"The host {target.host} is not known.")
    return texts


def _inside(address: IPAddress) -> list[IPAddress]:
    """The address, and the one that it carries: ::ffff:127.0.0.1 reaches 127.0.0.1."""
    found = [address]
    if isinstance(address, ipaddress.IPv6Address):
        carried = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in NAT64 or (int(address) >> 32 == 0 and int(address) > 1):
            carried.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        found += [one for one in carried if one is not None]
        if address.ipv4_mapped is not None:
            found.remove(address)  # the mapped form says nothing of its own
    return found
