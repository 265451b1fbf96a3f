"""Addresses that somebody typed reach nothing that they should not, and take no more than allowed."""

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from arena.outbound import (
    Answer,
    Broken,
    Limits,
    OutboundError,
    Refused,
    Rules,
    Session,
    TooLarge,
    TooLong,
    TooSlow,
    Unreachable,
    addresses,
    check_url,
)

PUBLIC = Rules(hosts=("*",))
HERE = Rules(hosts=("127.0.0.1",))
QUICK = Limits(connect=1, silence=0.4, whole=1.0, largest=100_000)

# What each text means to the machine's own resolver, or what a hostile name server may answer.
ANSWERS = {
    "rebind.example": "127.0.0.1",
    "metadata.example": "169.254.169.254",
    "inner.example": "10.0.0.7",
    "mapped.example": "::ffff:10.0.0.7",
    "six.example": "fd00::7",
    "nat64.example": "64:ff9b::a00:7",
    "6to4.example": "2002:7f00:1::",
    "zero.example": "0.0.0.0",
    "shared.example": "100.64.0.1",
    "local.example": "fe80::1",
    "many.example": "224.0.0.1",
    "compatible.example": "::7f00:1",
}
REFUSED = [
    # other ways to write 127.0.0.1 and its neighbours
    "http://127.0.0.1/",
    "http://127.1/",
    "http://127.0.1/",
    "http://127.255.255.254/",
    "http://2130706433/",
    "http://0177.0.0.1/",
    "http://0x7f.0.0.1/",
    "http://0x7f000001/",
    "http://017700000001/",
    "http://0/",
    "http://0.0.0.0/",
    "http://localhost/",
    "http://LOCALHOST/",
    "http://localhost./",
    "http://[::1]/",
    "http://[::]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[fe80::1]/",
    "http://[fd00::1]/",
    "http://[ff02::1]/",
    # private networks, clouds' metadata, what is nobody's
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/latest/meta-data/",
    "http://0xa9fea9fe/",
    "http://[::ffff:169.254.169.254]/",
    "http://192.0.2.1/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    # names that point inside
    *(f"http://{name}/" for name in ANSWERS),
    # tricks with the address itself
    "http://public.example@127.0.0.1/",
    "http://user:secret@public.example/",
    "http://@public.example/",
    "http://127.0.0.1#@public.example/",
    "http://public.example/#fragment",
    "http://public.example\\@127.0.0.1/",
    "http://public.example\\.127.0.0.1/",
    "http://public.example/ HTTP/1.1\r\nHost: other/",
    "http://public.example /",
    "http://pub\tlic.example/",
    "http://[fe80::1%25eth0]/",
    "http://127.0.0.1%00.public.example/",
    "http:///etc/passwd",
    "http://",
    "http:public.example",
    "//public.example/",
    "public.example",
    "",
    "file:///etc/passwd",
    "ftp://public.example/",
    "gopher://public.example/",
    "dict://public.example:11211/",
    "data:text/plain,hello",
    "javascript:alert(1)",
    # ports
    "http://public.example:22/",
    "http://public.example:25/",
    "http://public.example:5432/",
    "http://public.example:6379/",
    "http://public.example:11211/",
    "http://public.example:0/",
    "http://public.example:65536/",
    "http://public.example:-1/",
    "http://public.example:99999999999/",
]


def resolver(host: str, port: int, **options: Any) -> Any:
    if host.endswith("public.example"):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.215.14", port))]
    if host in ANSWERS:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ANSWERS[host], port))]
    if host.endswith(".example"):
        raise socket.gaierror(-2, "Name or service not known")
    return socket.getaddrinfo(host, port, **options)


def test_the_table_is_long_enough():
    assert len(set(REFUSED)) == len(REFUSED) >= 60


@pytest.mark.parametrize(
    "url", REFUSED, ids=lambda url: url[:60].encode("unicode_escape").decode() or "empty"
)
def test_an_address_that_leads_inside_is_refused_and_nobody_is_called(
    url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("a connection was made"))

    with Session(PUBLIC, QUICK, resolver=resolver) as session, pytest.raises(OutboundError) as refusal:
        session.get(url)

    assert isinstance(refusal.value, Refused | Unreachable)
    assert str(refusal.value).endswith(".")


@pytest.mark.parametrize(
    "url", ["http://public.example/", "https://public.example:8443/v1", "http://93.184.215.14:8080/?a=b"]
)
def test_a_public_address_is_allowed(url: str):
    assert addresses(check_url(url, PUBLIC), PUBLIC, resolver) == ["93.184.215.14"]


def test_without_a_star_only_the_named_hosts_are_called():
    with pytest.raises(Refused, match=r"Add it to ARENA_ENDPOINT_HOSTS\."):
        check_url("http://public.example/", HERE)


def test_a_private_network_that_is_named_is_called():
    rules = Rules(hosts=("*",), networks=("10.0.0.0/8",))

    assert addresses(check_url("http://inner.example/", rules), rules, resolver) == ["10.0.0.7"]
    with pytest.raises(Refused):
        addresses(check_url("http://rebind.example/", rules), rules, resolver)


def test_not_even_a_named_host_leads_to_a_cloud_s_metadata():
    rules = Rules(hosts=("metadata.example",))

    with pytest.raises(Refused, match=r"169\.254\.169\.254, which is never called"):
        addresses(check_url("http://metadata.example/", rules), rules, resolver)


def test_one_bad_address_among_good_ones_is_refused():
    def both(host: str, port: int, **_: Any) -> Any:
        return [(2, 1, 6, "", (ip, port)) for ip in ("93.184.215.14", "127.0.0.1")]

    with pytest.raises(Refused, match=r"127\.0\.0\.1"):
        addresses(check_url("http://public.example/", PUBLIC), PUBLIC, both)


# Real connections


Serve = Callable[[socket.socket], None]


@contextmanager
def server(serve: Serve) -> Iterator[int]:
    """A server that does `serve` with each connection, and shuts it."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        ended = threading.Event()

        def each() -> None:
            while not ended.is_set():
                try:
                    guest, _ = door.accept()
                except OSError:
                    return
                with guest:
                    try:
                        serve(guest)
                    except OSError:
                        continue  # the client had enough

        thread = threading.Thread(target=each, daemon=True)
        thread.start()
        try:
            yield port
        finally:
            ended.set()
            door.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=10)


def ask(port: int, *, limits: Limits = QUICK, host: str = "127.0.0.1", **options: Any) -> Answer:
    with Session(Rules(hosts=(host,)), limits, **options) as session:
        return session.post(f"http://{host}:{port}/v1", body={"a": 1})


def say(text: bytes) -> Serve:
    def serve(guest: socket.socket) -> None:
        guest.recv(65536)
        guest.sendall(text)

    return serve


def test_the_name_is_resolved_once_and_the_connection_goes_to_what_was_checked():
    """A name server that answers differently the second time has nobody to answer to."""
    asked: list[str] = []
    heard: list[bytes] = []

    def changing(host: str, port: int, **_: Any) -> Any:
        asked.append(host)
        return [(2, 1, 6, "", ("127.0.0.1" if len(asked) == 1 else "10.0.0.7", port))]

    def serve(guest: socket.socket) -> None:
        heard.append(guest.recv(65536))
        guest.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with server(serve) as port:
        answer = ask(port, host="pinned.example", resolver=changing)

    assert answer.content == b"ok"
    assert asked == ["pinned.example"]
    assert f"Host: pinned.example:{port}".encode() in heard[0]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_not_followed(status: int):
    calls: list[bytes] = []

    def serve(guest: socket.socket) -> None:
        calls.append(guest.recv(65536))
        head = f"HTTP/1.1 {status} Elsewhere\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
        guest.sendall(head.encode())

    with server(serve) as port:
        assert ask(port).status == status
    assert len(calls) == 1


def drip_body(guest: socket.socket) -> None:
    guest.recv(65536)
    guest.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(100):
        guest.sendall(b" ")
        time.sleep(0.05)


def drip_head(guest: socket.socket) -> None:
    guest.recv(65536)
    guest.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(100):
        guest.sendall(f"X-{number}: y\r\n".encode())
        time.sleep(0.05)


def hang(guest: socket.socket) -> None:
    guest.recv(65536)
    time.sleep(1.0)


def ten_gigabytes(guest: socket.socket) -> None:
    guest.recv(65536)
    guest.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n")
    part = b"x" * 65536
    for _ in range(10 * 2**30 // len(part)):
        guest.sendall(part)


def bomb(guest: socket.socket) -> None:
    packed = gzip.compress(b"\0" * 20_000_000)
    guest.recv(65536)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
    guest.sendall(head.encode() + packed)


@pytest.mark.parametrize(
    ("serve", "error"),
    [
        (drip_body, TooLong),
        (drip_head, TooLong),
        (hang, TooSlow),
        (ten_gigabytes, TooLarge),
        (bomb, Broken),
        (say(b"220 mail.example ESMTP\r\n"), Broken),
        (say(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\ncut"), Broken),
    ],
    ids=["drips", "drips its head", "hangs", "10 GB", "gzip bomb", "no HTTP", "cut off"],
)
def test_a_hostile_server_costs_bounded_time_and_memory(serve: Serve, error: type[OutboundError]):
    with server(serve) as port, pytest.raises(error) as failure:
        ask(port)

    assert str(failure.value).endswith(".")


def test_nobody_there_is_told_apart_from_a_slow_one():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable, match="Nothing answers"):
            ask(unused.getsockname()[1])


def test_the_time_of_one_request_is_not_counted_to_the_next():
    short = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    with server(say(short)) as port, Session(HERE, QUICK) as session:
        for _ in range(3):
            time.sleep(0.4)
            assert session.get(f"http://127.0.0.1:{port}/").content == b"ok"


def test_the_environment_s_proxy_and_netrc_are_not_used(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")

    with server(say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) as port:
        assert ask(port).content == b"ok"
