"""Runs the tests marked `services` on PostgreSQL and Redis: `make test-services`, a part of `make test`.

Redis is started here for the occasion. PostgreSQL is the one at TEST_DATABASE_URL, or the
local one of this user; the tests make a database of their own in it and drop it again.
Where either is missing the tests are left out with a sentence, and in CI that is a failure.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import dj_database_url
import psycopg
import redis

DATABASE_URL = os.environ.get("TEST_DATABASE_URL", "postgres:///postgres")


def main() -> int:
    missing = [sentence for sentence in (_postgres_fault(), _redis_fault()) if sentence]
    if missing:
        print("The tests on PostgreSQL and Redis were left out.", *missing)
        return 1 if os.environ.get("CI") == "true" else 0
    with redis_server() as redis_url:
        environment = {**os.environ, "DATABASE_URL": DATABASE_URL, "REDIS_URL": redis_url}
        command = [sys.executable, "-m", "pytest", "-q", "-m", "services", *sys.argv[1:]]
        return subprocess.run(command, env=environment, check=False).returncode


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


@contextmanager
def redis_server(port: int | None = None, *options: str) -> Iterator[str]:
    """A Redis of our own, with nothing in it, gone afterwards. Gives its URL."""
    port = port or free_port()
    with tempfile.TemporaryDirectory(prefix="arena-redis-") as folder:
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""]
        server = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)
        try:
            _await_answer(port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()
            server.wait(timeout=20)


def _await_answer(port: int) -> None:
    deadline = time.monotonic() + 20
    with redis.Redis(port=port) as client:
        while True:
            try:
                client.ping()
                return
            except redis.ConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


def _postgres_fault() -> str:
    database = dj_database_url.parse(DATABASE_URL)
    try:
        with psycopg.connect(
            host=database["HOST"] or None,
            port=database["PORT"] or None,
            user=database["USER"] or None,
            password=database["PASSWORD"] or None,
            dbname=database["NAME"],
            connect_timeout=5,
        ):
            return ""
    except psycopg.OperationalError as error:
        return f"PostgreSQL at {DATABASE_URL} does not answer: {str(error).splitlines()[0]}."


def _redis_fault() -> str:
    return "" if shutil.which("redis-server") else "redis-server is not installed."


if __name__ == "__main__":
    sys.exit(main())
