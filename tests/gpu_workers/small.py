"""Small real things for the tests of the workers: a decoder that is trained in a blink, and an endpoint."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from arena.demo_corpus import Style
from gpu_workers.demo.recipe import Course, Entry, Model, Recipe, Size

COURSE = Course(steps=6, batch=4, matrix_rate=0.02, other_rate=5e-3, style=Style(), seed=1, warm_up=2)
TINY = Recipe(
    size=Size(vocabulary=400, hidden=32, layers=2, heads=2, feed_forward=64, context=256),
    course=COURSE,
    tokenizer_texts=100,
    models=(
        Model("early", 3),
        Model("whole", 6),
        Model("tasted", 6, Course(2, 4, 0.01, 1e-3, Style(short=1), seed=2, warm_up=1)),
    ),
    entries=(
        Entry("Early", "early", "Half of it.", {"temperature": 1.0, "max_new_tokens": 12}),
        Entry("Whole", "whole", "All of it.", {"temperature": 1.0, "max_new_tokens": 12}),
        Entry("Wild", "whole", "All of it, hot.", {"temperature": 2.0, "max_new_tokens": 12}),
        Entry("Tasted", "tasted", "All of it, and more.", {"temperature": 1.0, "max_new_tokens": 12}),
    ),
)

Reply = Callable[["_Door", dict[str, Any]], None]


@dataclass
class Endpoint:
    """A chat completions endpoint on this machine that behaves as `reply` says."""

    address: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    reply: Reply | None = None
    failures: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    capabilities: dict[str, Any] = field(default_factory=dict)
    at_once: int = 0
    most_at_once: int = 0


class _Door(BaseHTTPRequestHandler):
    endpoint: Endpoint
    lock: threading.Lock

    def do_GET(self) -> None:
        self.send(200, self.endpoint.capabilities)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.lock:
            self.endpoint.asked.append({"path": self.path, **body})
            self.endpoint.headers.append(dict(self.headers))
            self.endpoint.at_once += 1
            self.endpoint.most_at_once = max(self.endpoint.most_at_once, self.endpoint.at_once)
            failure = self.endpoint.failures.pop(0) if self.endpoint.failures else None
        try:
            if failure is not None:
                self.send(failure[0], {"error": {"message": "Not now."}}, failure[1])
            else:
                (self.endpoint.reply or echo)(self, body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client had enough
        finally:
            with self.lock:
                self.endpoint.at_once -= 1

    def send(self, status: int, answer: Any, headers: dict[str, str] | None = None) -> None:
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the screen."""


def echo(door: _Door, body: dict[str, Any]) -> None:
    """A well-behaved model: what it says depends on the last message and the seed."""
    time.sleep(0.01)
    words = f"You said {body['messages'][-1]['content']!r} ({body.get('seed')})."
    door.send(
        200,
        {
            "choices": [{"message": {"role": "assistant", "content": words}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 5},
        },
    )


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    """An endpoint on 127.0.0.1, gone afterwards."""
    found = Endpoint()
    door = type("Door", (_Door,), {"endpoint": found, "lock": threading.Lock()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), door)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    found.address = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
