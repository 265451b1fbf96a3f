"""How many responses a second come from a served model, through our backend and through bare httpx.

The server is a process of its own that answers each request after SECONDS, however many are under way, as
a server on a GPU with room does. So each way could reach `at_once / SECONDS`; what is missing is its own.
"""

import asyncio
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any

import httpx

from gpu_workers.backends import ContestantSpec, GenerationRequest, open_backend

Messages = tuple[dict[str, str], ...]

SECONDS = 0.2
ANSWER = {
    "choices": [{"message": {"role": "assistant", "content": "word " * 100}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 70, "completion_tokens": 100},
}
MESSAGES: Messages = ({"role": "user", "content": "word " * 60},)


def rates(at_once: int, *, rounds: int, repeats: int) -> tuple[float, str, float]:
    """Responses a second of ours, the quicker peer's name, and its, from a server of our own."""
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(there,), daemon=True)
    server.start()
    try:
        address = f"http://127.0.0.1:{here.recv()}/v1"
        return compare(address, "m", [MESSAGES] * (at_once * rounds), at_once, repeats)
    finally:
        server.kill()
        server.join()


def compare(
    address: str,
    model: str,
    conversations: Sequence[Messages],
    at_once: int,
    repeats: int,
    parameters: Mapping[str, Any] | None = None,
) -> tuple[float, str, float]:
    """The same requests through our backend and through bare httpx, wall seconds: medians, in turn.

    `parameters` are ours for a contestant; the peers send them in the server's names, as the backend does.
    """
    spec = ContestantSpec(
        "openai", endpoint=address, endpoint_model=model, at_once=at_once, parameters=dict(parameters or {})
    )
    backend = open_backend(spec, hosts=["127.0.0.1"])
    requests = [GenerationRequest(str(n), messages, n) for n, messages in enumerate(conversations)]
    bodies = [backend.body(request) for request in requests]  # type: ignore[attr-defined]

    def ours() -> None:
        errors = [result.error for result in backend.generate(requests) if result.error]
        assert not errors, errors[0]

    ways: dict[str, Callable[[], None]] = {
        "ours": ours,
        "httpx, threads": lambda: _threads(address, bodies, at_once),
        "httpx, asynchronous": lambda: asyncio.run(_asynchronous(address, bodies, at_once)),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    try:
        ours()  # connections are open from here on, as in a long fill
        for _ in range(repeats):
            for name, way in ways.items():
                began = time.perf_counter()
                way()
                found[name].append(len(requests) / (time.perf_counter() - began))
    finally:
        backend.close()
    medians = {name: statistics.median(values) for name, values in found.items()}
    mine = medians.pop("ours")
    peer = max(medians, key=lambda name: medians[name])
    return mine, peer, medians[peer]


def _threads(address: str, bodies: list[dict[str, Any]], at_once: int) -> None:
    limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
    with httpx.Client(limits=limits, timeout=60) as client, ThreadPoolExecutor(at_once) as pool:
        url = f"{address}/chat/completions"
        answers = pool.map(lambda body: client.post(url, json=body).json(), bodies)
        assert all(answer["choices"] for answer in answers)


async def _asynchronous(address: str, bodies: list[dict[str, Any]], at_once: int) -> None:
    limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
    room = asyncio.Semaphore(at_once)
    async with httpx.AsyncClient(limits=limits, timeout=60) as client:

        async def ask(body: dict[str, Any]) -> dict[str, Any]:
            async with room:
                answer = await client.post(f"{address}/chat/completions", json=body)
                return dict(answer.json())

        answers = await asyncio.gather(*(ask(body) for body in bodies))
    assert all(answer["choices"] for answer in answers)


def _serve(told: Connection) -> None:
    asyncio.run(_server(told))


async def _server(told: Connection) -> None:
    content = json.dumps(ANSWER).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    answer = head % len(content) + content

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                asked = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(asked.split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                await asyncio.sleep(SECONDS)
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, backlog=1024)
    told.send(server.sockets[0].getsockname()[1])
    async with server:
        await server.serve_forever()
