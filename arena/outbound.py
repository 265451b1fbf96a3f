"""HTTP to addresses that somebody typed: models' endpoints, webhooks. Knows nothing of Django.

What is asked of every address: an allowed scheme, port and host; a name is resolved once per
connection, every address that it gives must be allowed, and the connection goes to exactly the
address that was checked (a name that changes its mind in between gains nothing), while Host and
TLS still see the name. Redirects are not followed, proxies and credentials of the environment
not used, answers bounded in size, silence and total time, and compressed ones refused.
"""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

from arena.outbound_rules import (
    DEFAULT_PORTS,
    NEVER_PORTS,
    Broken,
    OutboundError,
    Refused,
    Resolver,
    Rules,
    Target,
    TooLarge,
    TooLong,
    TooSlow,
    Unreachable,
    addresses,
    check_url,
)

__all__ = [
    "DEFAULT_PORTS",
    "NEVER_PORTS",
    "Answer",
    "Broken",
    "Limits",
    "OutboundError",
    "Refused",
    "Rules",
    "Session",
    "Target",
    "TooLarge",
    "TooLong",
    "TooSlow",
    "Unreachable",
    "addresses",
    "check_url",
]


@dataclass(frozen=True)
class Limits:
    """Seconds and bytes. `whole` is for one request from its first byte sent to its last received."""

    connect: float = 5.0
    silence: float = 30.0
    whole: float = 120.0
    largest: int = 8 * 2**20


@dataclass(frozen=True)
class Answer:
    """What came back, whatever its status."""

    status: int
    headers: httpx.Headers
    content: bytes

    def json(self) -> Any:
        """The content as JSON. Raises ValueError."""
        try:
            return json.loads(self.content)
        except RecursionError:
            raise ValueError("It is nested too deeply.") from None


class Session:
    """A client for addresses within the rules; may be used from several threads at once."""

    def __init__(
        self,
        rules: Rules,
        limits: Limits | None = None,
        *,
        connections: int = 10,
        resolver: Resolver = socket.getaddrinfo,
    ) -> None:
        self.rules = rules
        self.limits = limits or Limits()
        self._network = _PinnedNetwork(rules, resolver)
        self._connections = _Connections(self._network, kept=connections)

    def post(self, url: str, *, body: Any, headers: Mapping[str, str] | None = None) -> Answer:
        """Post JSON (or bytes as they are). See `request`."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.request(
            "POST", url, content=content, headers={"Content-Type": "application/json", **(headers or {})}
        )

    def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("GET", url, headers=headers)

    def request(
        self, method: str, url: str, *, content: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """The answer, whole and bounded, whatever its status. Raises an OutboundError."""
        target = check_url(url, self.rules)
        limits = self.limits
        request = httpx.Request(
            method,
            target.url,
            content=content or None,
            headers={"Accept-Encoding": "identity", "User-Agent": "preference-arena", **(headers or {})},
        )
        patience = {
            "connect": limits.connect,
            "read": limits.silence,
            "write": limits.silence,
        }
        with self._network.until(time.monotonic() + limits.whole):
            try:
                with self._connections.stream(
                    httpcore.Request(
                        method,
                        str(target.url),
                        headers=request.headers.raw,
                        content=content,
                        extensions={"timeout": patience},
                    )
                ) as response:
                    return self._read(response)
            except httpcore.ConnectTimeout:
                raise Unreachable(f"Nothing answers at {target.host}:{target.port} in time.") from None
            except httpcore.TimeoutException:
                raise TooSlow(f"{target.host} did not answer in time.") from None
            except httpcore.ConnectError as error:
                raise Unreachable(f"Nothing answers at {target.host}:{target.port} ({error}).") from None
            except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
                raise Broken(f"The connection to {target.host} broke: {error}.") from None

    def close(self) -> None:
        self._connections.close()

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _read(self, response: httpcore.Response) -> Answer:
        headers = httpx.Headers(response.headers)
        if headers.get("content-encoding", "identity").lower() not in ("", "identity"):
            # A kilobyte can unpack to a gigabyte; we asked for it plain.
            raise Broken("The answer is compressed, which was not asked for.")
        content = bytearray()
        for part in response.iter_stream():
            content += part
            if len(content) > self.limits.largest:
                raise TooLarge(f"The answer is larger than {self.limits.largest:,} bytes.")
        return Answer(response.status, headers, bytes(content))


class _Connections:
    """Open connections by origin; at most `kept` wait for the next request.

    httpcore's own pool looks at every connection and every request for each request: from some hundred
    under way on, that takes longer than the answers. Here a request takes the connection used last.
    """

    def __init__(self, network: httpcore.NetworkBackend, *, kept: int) -> None:
        self._network = network
        self._kept = kept
        self._tls = ssl.create_default_context()
        self._lock = threading.Lock()
        self._idle: list[httpcore.HTTPConnection] = []
        self._closed = False

    @contextmanager
    def stream(self, request: httpcore.Request) -> Iterator[httpcore.Response]:
        connection = self._take(request.url.origin)
        try:
            response = connection.handle_request(request)
            try:
                yield response
            finally:
                response.close()
        finally:
            self._put_back(connection)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _take(self, origin: httpcore.Origin) -> httpcore.HTTPConnection:
        while True:
            with self._lock:
                fitting = [at for at, one in enumerate(self._idle) if one.can_handle_request(origin)]
                connection = self._idle.pop(fitting[-1]) if fitting else None
            if connection is None:
                return httpcore.HTTPConnection(
                    origin, self._tls, keepalive_expiry=30.0, network_backend=self._network
                )
            if not connection.has_expired():  # nor closed by the other side
                return connection
            connection.close()

    def _put_back(self, connection: httpcore.HTTPConnection) -> None:
        if connection.is_idle():
            with self._lock:
                if not self._closed and len(self._idle) < self._kept:
                    self._idle.append(connection)
                    return
        connection.close()


class _PinnedNetwork(httpcore.NetworkBackend):
    """Resolves and checks a name, and connects to what was checked. Streams know when time is up."""

    def __init__(self, rules: Rules, resolver: Resolver) -> None:
        self._rules = rules
        self._resolver = resolver
        self._inner = httpcore.SyncBackend()
        self._clock = _Clock()

    def until(self, deadline: float) -> "_Clock":
        self._clock.deadline = deadline
        return self._clock

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        host = host.strip("[]")
        named = host.lower().rstrip(".") in {one.lower().rstrip(".").strip("[]") for one in self._rules.hosts}
        target = Target(httpx.URL("http://unused"), host, port, named)
        last: Exception = httpcore.ConnectError("no address")
        for address in addresses(target, self._rules, self._resolver)[:4]:
            try:
                stream = self._inner.connect_tcp(
                    address, port, self._clock.within(timeout), local_address, socket_options
                )
                return _TimedStream(stream, self._clock)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        raise last

    def connect_unix_socket(self, *args: Any, **options: Any) -> httpcore.NetworkStream:
        raise Refused("Sockets in the file system are not called.")


class _Clock(threading.local):
    """When this thread's request must be over. A request runs in one thread from begin to end."""

    deadline: float = float("inf")

    def within(self, timeout: float | None) -> float:
        """The timeout, or what is left until the deadline. Raises TooLong where nothing is left."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TooLong("The whole answer took too long.")
        return min(left, timeout) if timeout is not None else left

    def __enter__(self) -> "_Clock":
        return self

    def __exit__(self, *exception: object) -> None:
        self.deadline = float("inf")


class _TimedStream(httpcore.NetworkStream):
    """A connection whose every wait ends at the request's deadline: a drip resets no clock."""

    def __init__(self, inner: httpcore.NetworkStream, clock: _Clock) -> None:
        self._inner = inner
        self._clock = clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return bytes(self._timed(self._inner.read, max_bytes, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._timed(self._inner.write, buffer, timeout)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        inner = self._inner.start_tls(ssl_context, server_hostname, self._clock.within(timeout))
        return _TimedStream(inner, self._clock)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)

    def _timed(self, act: Callable[[Any, float], Any], what: Any, timeout: float | None) -> Any:
        try:
            return act(what, self._clock.within(timeout))
        except httpcore.TimeoutException:
            self._clock.within(None)  # the whole time is up, or only the silence too long
            raise
